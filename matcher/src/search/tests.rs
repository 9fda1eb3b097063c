//! The gallery against a plain map that is searched as it reads, and what its snapshots promise.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    compare::compare_views,
    minutiae::{Minutia, MinutiaKind},
    template::{
        Template,
        flow::{Flow, FlowCell},
    },
};

const SIDE: usize = 300;

fn view(seed: u32) -> Template {
    let hash = |i: u32| (seed * 1000 + i).wrapping_mul(2_654_435_761);
    let minutiae = (0..30).map(hash).map(|h| Minutia {
        x: (h >> 8) as u16 % 3000,
        y: (h >> 20) as u16 % 3000,
        angle: h as u8,
        kind: MinutiaKind::Ending,
        quality: 80,
    });
    let template = Template::new((SIDE, SIDE), minutiae.collect());
    let (width, height) = Flow::cells_of(SIDE, SIDE);
    let cells = (0..(width * height) as u32).map(|i| match hash(500 + i) {
        h if h % 3 == 0 => FlowCell::NONE,
        h => FlowCell { angle: (h >> 8) as u8, period: 90 + (h >> 16) as u8 % 40 },
    });
    // Another maker's template has no flow.
    if seed.is_multiple_of(5) {
        template
    } else {
        template.with_flow(Flow { width, height, cells: cells.collect() })
    }
}

fn probe(seed: u32) -> Prepared {
    Prepared::new(&view(seed))
}

fn finger(seeds: &[u32]) -> Finger {
    Finger::new(&seeds.iter().copied().map(view).collect::<Vec<_>>())
}

/// What a gallery does, in the simplest way.
#[derive(Clone, Default)]
struct Model(BTreeMap<u32, Vec<u32>>);

impl Model {
    fn impressions(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn search(&self, probe: &Prepared, limit: usize) -> Vec<(u32, Score)> {
        let views = |seeds: &[u32]| seeds.iter().copied().map(self::probe).collect::<Vec<_>>();
        let found = self.0.iter().filter(|(_, seeds)| !seeds.is_empty());
        let mut all: Vec<_> = found.map(|(key, seeds)| (*key, compare_views(probe, &views(seeds)))).collect();
        all.sort_by(|a, b| b.1.get().total_cmp(&a.1.get()).then(a.0.cmp(&b.0)));
        all.truncate(limit);
        all
    }
}

fn scores(gallery: &Gallery<u32>, probe: &Prepared, limit: usize) -> Vec<(u32, Score)> {
    let found = gallery.search(probe, limit);
    assert_eq!(gallery.exhaustive(probe, 1, limit).first(), found.first().map(|c| (c.key, c.score)).as_ref());
    found.into_iter().map(|found| (found.key, found.score)).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32, Vec<u32>),
    Remove(u32),
    Extend(Vec<(u32, Vec<u32>)>),
    /// Builds what there is to build; to be put in later, or never.
    Build,
    Place,
    Search(u32, usize),
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    let entry = || (0_u32..40, prop::collection::vec(0_u32..6, 0..3));
    prop_oneof![
        6 => entry().prop_map(|(key, seeds)| Step::Insert(key, seeds)),
        2 => (0_u32..40).prop_map(Step::Remove),
        1 => prop::collection::vec(entry(), 0..30).prop_map(Step::Extend),
        2 => Just(Step::Build),
        2 => Just(Step::Place),
        1 => (0_u32..8, prop::sample::select(vec![0, 1, 3, usize::MAX]))
            .prop_map(|(seed, limit)| Step::Search(seed, limit)),
        1 => Just(Step::Snapshot),
    ]
}

/// Nothing is kept prepared, some, or everything.
fn budget() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![0, 20_000, usize::MAX])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_gallery_and_its_snapshots_answer_as_the_model_does(
        budget in budget(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut gallery = Gallery::with_budget(budget);
        let mut model = Model::default();
        let mut snapshots = Vec::new();
        let mut outstanding = Vec::new();
        for step in steps {
            match step {
                Step::Insert(key, seeds) => {
                    gallery.insert(key, finger(&seeds));
                    model.0.insert(key, seeds);
                }
                Step::Remove(key) => {
                    prop_assert_eq!(gallery.remove(&key), model.0.remove(&key).is_some());
                }
                Step::Extend(fingers) => {
                    gallery.extend(fingers.iter().map(|(key, seeds)| (*key, finger(seeds))));
                    model.0.extend(fingers);
                }
                Step::Build => {
                    outstanding.extend(gallery.batch().map(Batch::build));
                }
                Step::Place => {
                    if let Some(built) = outstanding.pop() {
                        gallery.place(built);
                    }
                }
                Step::Search(seed, limit) => {
                    let probe = probe(seed);
                    prop_assert_eq!(scores(&gallery, &probe, limit), model.search(&probe, limit));
                }
                Step::Snapshot => snapshots.push((gallery.clone(), model.clone())),
            }
            prop_assert_eq!((gallery.fingers(), gallery.impressions()), (model.0.len(), model.impressions()));
            prop_assert!(gallery.kept_bytes() <= budget);
            prop_assert!(gallery.chunks.iter().all(|chunk| (1..=LARGEST).contains(&chunk.len())));
        }
        snapshots.push((gallery, model));
        let probe = probe(3);
        for (gallery, model) in &snapshots {
            prop_assert_eq!(scores(gallery, &probe, 5), model.search(&probe, 5));
            for key in 0..40 {
                let found = gallery.get(&key).map(|finger| (finger.impressions(), finger.compare(&probe)));
                let kept = model.0.get(&key).map(|seeds| {
                    let views: Vec<_> = seeds.iter().copied().map(self::probe).collect();
                    (seeds.len(), compare_views(&probe, &views))
                });
                prop_assert_eq!(found, kept);
            }
        }
    }
}

#[test]
fn the_mate_is_first_whatever_the_order_of_enrolment() {
    let mut forward = Gallery::new();
    let mut backward = Gallery::new();
    for key in 0..20 {
        forward.insert(key, finger(&[key, key + 100]));
        backward.insert(19 - key, finger(&[119 - key, 19 - key]));
    }
    let probe = probe(107);
    let found = forward.search(&probe, 5);
    assert_eq!(found[0].key, 7);
    assert_eq!(found.len(), 5);
    assert_eq!(found, backward.search(&probe, 5));
    assert!(forward.remove(&7) && !forward.remove(&7));
    assert!(forward.search(&probe, 20).iter().all(|c| c.key != 7));
    assert_eq!((forward.fingers(), forward.impressions()), (19, 38));
}

#[test]
fn equal_scores_are_ordered_by_key() {
    let mut gallery = Gallery::new();
    for key in [5, 2, 9] {
        gallery.insert(key, finger(&[1]));
    }
    let keys: Vec<u32> = gallery.search(&probe(1), 2).iter().map(|c| c.key).collect();
    assert_eq!(keys, [2, 5]);
}

#[test]
fn several_probes_are_answered_as_each_alone_is() {
    let mut gallery = Gallery::new();
    gallery.extend((0..20).map(|key| (key, finger(&[key, key + 1]))));
    let probes = [probe(3), probe(9), probe(100)];
    let alone: Vec<_> = probes.iter().map(|probe| gallery.search(probe, 4)).collect();
    assert_eq!(gallery.search_each(&probes.each_ref(), 4), alone);
    assert!(gallery.search_each(&[], 4).is_empty());
}

#[test]
fn filled_in_any_order_at_once_or_one_by_one_it_is_the_same_gallery() {
    let keys: Vec<u32> = (0..50).map(|n| n * 37 % 50).collect();
    let mut at_once = Gallery::new();
    at_once.extend(keys.iter().map(|key| (*key, finger(&[*key]))));
    let mut one_by_one = Gallery::new();
    keys.iter().rev().for_each(|key| one_by_one.insert(*key, finger(&[*key])));
    assert_eq!(at_once.search(&probe(3), 50), one_by_one.search(&probe(3), 50));
}

#[test]
fn prepared_impressions_stay_within_the_budget_and_a_removed_finger_gives_its_place_back() {
    let mut one = Gallery::new();
    one.insert(1, finger(&[1, 2]));
    let place = one.kept_bytes();
    assert!(place > 0);
    one.build(2);
    let _ = one.search(&probe(1), 1);
    assert_eq!(one.kept_bytes(), place, "what is prepared is not prepared again");

    let mut gallery = Gallery::with_budget(2 * place);
    for key in 0..5 {
        gallery.insert(key, finger(&[1, 2]));
    }
    assert_eq!(gallery.kept_bytes(), 2 * place);
    let snapshot = gallery.clone();
    gallery.remove(&0);
    assert_eq!(gallery.kept_bytes(), 2 * place, "the snapshot has it still");
    drop(snapshot);
    assert_eq!(gallery.kept_bytes(), place);
    // A search takes the place.
    let _ = gallery.search(&probe(1), 1);
    assert_eq!(gallery.kept_bytes(), 2 * place);
}

#[test]
fn sketching_ends_when_it_is_told_to_and_what_it_left_is_made_when_it_is_built() {
    let mut gallery = Gallery::new();
    gallery.extend((0..10).map(|key| (key, finger(&[1]))));
    let mut batch = gallery.batch().unwrap();
    assert!(!batch.sketch(2, || false) && batch.impressions() == 10);
    let built = gallery.batch().unwrap().build();
    assert_eq!(gallery.unsketched(), 10);
    gallery.place(built);
    assert!(gallery.unsketched() == 0 && gallery.batch().is_none());
    assert!(batch.sketch(2, || true));
    gallery.place(batch.build());
    assert_eq!(gallery.search(&probe(1), 20).len(), 10, "what is built twice is there once");
}

#[test]
fn a_filter_hides_everybody_else_and_stages_are_told_of() {
    let mut gallery = Gallery::new();
    gallery.extend((0..20).map(|key| (key, finger(&[key]))));
    gallery.build(2);
    let (odd, mut stages) = (|key: &u32| key % 2 == 1, Vec::new());
    let search = Search { limit: 20, threads: 2, filter: Some(&odd) };
    let found = gallery.search_with(&probe(4), &search, &mut |stage| stages.push(stage));
    assert!(found.len() == 10 && found.iter().all(|found| found.key % 2 == 1));
    assert_eq!(stages.last(), Some(&Stage { name: "candidates", kept: 10 }));
    assert_eq!(gallery.search(&probe(4), 1)[0].key, 4);
}

#[test]
fn a_change_copies_one_chunk_and_shares_the_others_with_the_snapshot() {
    let mut gallery = Gallery::new();
    gallery.extend((0..60).map(|key| (2 * key, finger(&[1]))));
    let snapshot = gallery.clone();
    gallery.insert(31, finger(&[1]));
    let shared = |chunk: &&Chunk<u32>| snapshot.chunks.iter().any(|other| Arc::ptr_eq(chunk, other));
    assert_eq!(gallery.chunks.iter().filter(shared).count(), snapshot.chunks.len() - 1);
}

/// A view as another press of the same finger gives it: some minutiae lost, the others moved a little, and false ones.
fn pressed(seed: u32) -> Prepared {
    let hash = |i: u32| (seed * 777 + i).wrapping_mul(2_654_435_761) >> 7;
    let original = view(seed);
    let moved =
        original.minutiae().iter().zip(0..).filter(|(_, i)| hash(*i) % 10 != 0).map(|(m, i)| Minutia {
            x: (m.x + (hash(i + 50) % 30) as u16).clamp(15, 2999) - 15,
            y: (m.y + (hash(i + 100) % 30) as u16).clamp(15, 2999) - 15,
            angle: m.angle.wrapping_add((hash(i + 150) % 7) as u8).wrapping_sub(3),
            ..*m
        });
    let strange = view(seed + 5000);
    let minutiae = moved.chain(strange.minutiae().iter().take(3).copied()).collect();
    Prepared::new(&Template::new((SIDE, SIDE), minutiae))
}

/// Fingers in two segments, in the tail and not sketched; those of [`GONE`] removed from each.
fn large() -> Gallery<u32> {
    let mut gallery = Gallery::new();
    for keys in [0..250, 250..500] {
        gallery.extend(keys.map(|key| (key, finger(&[key]))));
        gallery.build(2);
    }
    (500..510).for_each(|key| gallery.insert(key, finger(&[key])));
    gallery.extend((510..515).map(|key| (key, finger(&[key]))));
    GONE.iter().for_each(|key| assert!(gallery.remove(key)));
    gallery
}

const GONE: [u32; 4] = [7, 307, 507, 512];

/// So little that the cascade leaves most of them out at every stage.
fn narrow(early: f64) -> Reach {
    Reach {
        everybody: 8,
        weighed: 0,
        aligned: (100, 1000),
        shortlist: [(20, 1000), (60, 1000)],
        finalists: [(3, 1000), (8, 1000)],
        early,
    }
}

#[test]
fn a_search_in_two_passes_finds_everybody_who_is_there_and_nobody_who_was_removed() {
    let gallery = large();
    let whole = Search { limit: 5, ..Search::default() };
    for early in [0.0, 90.0, f64::INFINITY] {
        for key in (0..515).step_by(9).chain(GONE) {
            let (probe, mut stages) = (pressed(key), Vec::new());
            let found =
                gallery.search_within(&narrow(early), &probe, &whole, &mut |stage| stages.push(stage));
            let first = found.first().map(|found| found.key);
            if GONE.contains(&key) {
                assert!(found.iter().all(|found| found.key != key));
            } else {
                assert_eq!(first, Some(key), "early {early}");
            }
            let exact = gallery.exhaustive(&probe, 1, usize::MAX);
            assert!(found.iter().all(|found| exact.contains(&(found.key, found.score))));
            let kept =
                |name| stages.iter().filter(|stage| stage.name == name).map(|s| s.kept).collect::<Vec<_>>();
            let passes = if early == 0.0 { 1 } else { 2 };
            assert_eq!(kept("votes"), [507]);
            assert!(kept("comparison").len() <= passes && kept("comparison").iter().all(|kept| *kept <= 8));
            assert!(early != f64::INFINITY || kept("comparison") == [3, 8], "{stages:?}");
        }
    }
}

#[test]
fn any_number_of_threads_and_a_filter_give_what_one_thread_does() {
    let gallery = large();
    let odd = |key: &u32| key % 2 == 1;
    for key in [1, 100, 251, 333, 504] {
        let probe = pressed(key);
        for filter in [None, Some(&odd as &(dyn Fn(&u32) -> bool + Sync))] {
            let with = |threads| {
                let search = Search { limit: 6, threads, filter };
                gallery.search_within(&narrow(f64::INFINITY), &probe, &search, &mut |_| ())
            };
            let alone = with(1);
            assert!([2, 3, 8].into_iter().all(|threads| with(threads) == alone));
            assert!(filter.is_none() || alone.iter().all(|found| odd(&found.key)));
            assert_eq!(alone[0].key == key, filter.is_none() || odd(&key));
        }
    }
}

#[test]
fn a_group_is_searched_as_a_gallery_of_its_size() {
    let gallery = large();
    let group = |key: &u32| [2, 40, 260, 301, 499, 505].contains(key);
    let search = Search { limit: 10, threads: 2, filter: Some(&group) };
    // A stranger: the votes of the whole gallery would leave most of the group out.
    let (stranger, mut stages) = (pressed(2000), Vec::new());
    let reach = narrow(f64::INFINITY);
    let found = gallery.search_within(&reach, &stranger, &search, &mut |stage| stages.push(stage));
    let all = gallery.exhaustive(&stranger, 1, usize::MAX).into_iter().filter(|(key, _)| group(key));
    let found: Vec<(u32, Score)> = found.into_iter().map(|found| (found.key, found.score)).collect();
    assert_eq!(found, all.collect::<Vec<_>>());
    assert!(stages.iter().all(|stage| stage.name != "votes"), "{stages:?}");
}

#[test]
fn what_is_removed_from_a_segment_leaves_the_memory_when_it_is_built_anew() {
    let mut gallery = Gallery::new();
    gallery.extend((0..40).map(|key| (key, finger(&[key]))));
    gallery.build(1);
    let (kept, bytes) = (gallery.kept_bytes(), gallery.bytes());
    assert!(gallery.remove(&3) && gallery.batch().is_some());
    gallery.build(1);
    assert!(gallery.batch().is_none() && gallery.kept_bytes() < kept);
    assert!(gallery.bytes().cylinders < bytes.cylinders);
    assert_eq!(gallery.search(&probe(4), 1)[0].key, 4);
    (0..40).for_each(|key| _ = gallery.remove(&key));
    gallery.build(1);
    assert_eq!((gallery.kept_bytes(), gallery.bytes()), (0, Bytes::default()));
}

#[test]
fn who_is_there_stands_before_most_after_each_stage_and_who_is_not_stands_nowhere() {
    let gallery = large();
    for key in [3, 100, 260, 499] {
        let Standing { votes, alignment, likeness } = gallery.standing(&pressed(key), &key, 2).unwrap();
        assert!(votes < 0.2 && alignment < 0.05 && likeness < 0.01, "{key}: {votes} {alignment} {likeness}");
        let stranger = gallery.standing(&pressed(key + 1000), &key, 1).unwrap();
        assert!(stranger.likeness > 0.0 && stranger.likeness <= 1.0, "{stranger:?}");
    }
    // Removed, not in a segment, and never there.
    for key in [GONE[0], 505, 513, 9999] {
        assert_eq!(gallery.standing(&pressed(3), &key, 1), None);
    }
}

#[test]
fn a_list_of_the_index_is_as_full_as_there_are_prints_alike() {
    let alone = occupancy(&[probe(1)]);
    assert_eq!(alone, [Some(0.0)]);
    // Whatever one cylinder is in a list with, it is there with that of each copy.
    let (twice, thrice) = (occupancy(&[probe(1), probe(1)]), occupancy(&[probe(1), probe(1), probe(1)]));
    let (one, two) = (twice[0].unwrap(), thrice[0].unwrap());
    assert!(one >= 1.0 && (two - 2.0 * one).abs() < 1e-9, "{one} {two}");
    let strangers = occupancy(&[probe(1), probe(2)])[0].unwrap();
    assert!(strangers < 0.5, "{strangers}");
    assert_eq!(occupancy(&[Prepared::new(&Template::new((SIDE, SIDE), Vec::new()))]), [None]);
}
