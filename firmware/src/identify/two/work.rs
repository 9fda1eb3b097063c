//! How much is compared for two fingers: the time must not tell who was found.

use authenteon_matcher::search::Finger;

use super::{
    tests::{id, probe, template},
    *,
};

#[test]
fn about_as_much_is_compared_whoever_it_is_and_however_many_fingers_people_have() {
    let gallery = |fingers: usize, impressions: usize| {
        let mut gallery = Gallery::new();
        for n in 0..60_u8 {
            for (position, seed) in FingerPosition::ALL[..fingers].iter().zip(0..) {
                let views: Vec<_> = (0..impressions as u32).map(|view| template(view + seed)).collect();
                gallery.insert((id(n), *position), Finger::new(&views));
            }
        }
        gallery
    };
    for (fingers, impressions, people) in [(2, 3, 5), (10, 3, FEWEST), (2, 1, COMPARED)] {
        let gallery = gallery(fingers, impressions);
        for probes in [[probe(1), probe(2)], [probe(1), probe(77)], [probe(76), probe(77)]] {
            let [one, other] = probes.each_ref();
            let lists = gallery.search_each(&[one, other], LISTED);
            let compared = pairs(&gallery, &lists, [one, other]).len();
            // As far as there are so many in the lists.
            let listed = likely(&lists).len();
            assert_eq!(compared, people.min(listed), "{fingers} fingers");
        }
    }
}
