//! What a template is like, in numbers: each trait one number an impression.
//!
//! Impressions are the units of the tests and not minutiae: those of one print depend on each other.

use authenteon_matcher::{Minutia, Template};

use crate::scale::peer::{Cylinders, Peer as _};

/// A number that every template has.
pub(crate) struct Trait {
    /// Its name.
    pub(crate) name: &'static str,
    /// It, unless the template has too little for it.
    pub(crate) of: fn(&Template) -> Option<f64>,
}

/// What is compared.
pub(crate) const TRAITS: [Trait; 8] = [
    Trait { name: "minutiae", of: |t| Some(t.minutiae().len() as f64) },
    Trait { name: "distance to the nearest, median, px", of: nearest },
    Trait { name: "neighbours within 70 px, mean", of: neighbours },
    Trait { name: "turn against the nearest, mean, degrees", of: turn },
    Trait { name: "nearest that run the other way, share", of: opposed },
    Trait { name: "quality, mean", of: quality },
    Trait { name: "cylinders", of: |t| Some(Cylinders::enrol(t).count() as f64) },
    Trait { name: "bits of a cylinder, mean", of: |t| Cylinders::enrol(t).bits() },
];

/// Distance, pixels.
fn distance(a: &Minutia, b: &Minutia) -> f64 {
    let (x, y) = (f64::from(a.x) - f64::from(b.x), f64::from(a.y) - f64::from(b.y));
    (x * x + y * y).sqrt() / 10.0
}

/// The nearest other one and how far it is.
fn nearest_to(all: &[Minutia], at: usize) -> Option<(f64, &Minutia)> {
    let others = all.iter().enumerate().filter(|(other, _)| *other != at);
    others.map(|(_, m)| (distance(&all[at], m), m)).min_by(|a, b| a.0.total_cmp(&b.0))
}

fn nearest(t: &Template) -> Option<f64> {
    let all = t.minutiae();
    let mut each: Vec<f64> = (0..all.len()).filter_map(|at| Some(nearest_to(all, at)?.0)).collect();
    each.sort_by(f64::total_cmp);
    each.get(each.len() / 2).copied()
}

fn neighbours(t: &Template) -> Option<f64> {
    let all = t.minutiae();
    let near = all.iter().flat_map(|a| all.iter().filter(|b| distance(a, b) <= 70.0)).count();
    (!all.is_empty()).then(|| near as f64 / all.len() as f64 - 1.0)
}

/// Degrees between two directions, modulo `around` of 256.
fn degrees(a: u8, b: u8, around: u8) -> f64 {
    let off = if around == 0 { a.wrapping_sub(b) } else { a.wrapping_sub(b) % around };
    let back = around.wrapping_sub(off);
    f64::from(off.min(back)) * 360.0 / 256.0
}

/// The mean over the minutiae of something of each and its nearest.
fn with_nearest(t: &Template, of: impl Fn(&Minutia, &Minutia) -> f64) -> Option<f64> {
    let all = t.minutiae();
    let each = (0..all.len()).filter_map(|at| Some(of(&all[at], nearest_to(all, at)?.1)));
    let (count, sum) = each.fold((0, 0.0), |(count, sum), one| (count + 1, sum + one));
    (count > 0).then(|| sum / f64::from(count))
}

/// As lines, whichever way they run along them: 0 to 90.
fn turn(t: &Template) -> Option<f64> {
    with_nearest(t, |a, b| degrees(a.angle, b.angle, 128))
}

fn opposed(t: &Template) -> Option<f64> {
    with_nearest(t, |a, b| f64::from(u8::from(degrees(a.angle, b.angle, 0) > 90.0)))
}

fn quality(t: &Template) -> Option<f64> {
    let all = t.minutiae();
    let sum: f64 = all.iter().map(|m| f64::from(m.quality)).sum();
    (!all.is_empty()).then(|| sum / all.len() as f64)
}

#[cfg(test)]
mod tests {
    use authenteon_matcher::MinutiaKind;

    use super::*;

    #[test]
    fn a_worked_example_gives_the_traits_found_by_hand() {
        let m = |x, angle, quality| Minutia { x, y: 500, angle, kind: MinutiaKind::Ending, quality };
        // At 10, 20 and 100 pixels; the second runs against the first, the third a quarter across.
        let template =
            Template::from_minutiae(200, 100, vec![m(100, 0, 40), m(200, 128, 50), m(1000, 64, 60)]).unwrap();
        let found: Vec<f64> = TRAITS[..6].iter().map(|t| (t.of)(&template).unwrap()).collect();
        let by_hand = [3.0, 10.0, 2.0 / 3.0, 30.0, 2.0 / 3.0, 50.0];
        assert!(found.iter().zip(by_hand).all(|(f, b)| (f - b).abs() < 1e-12), "{found:?}");
        let none = Template::from_minutiae(200, 100, Vec::new()).unwrap();
        assert!(TRAITS.iter().all(|t| (t.of)(&none).is_none_or(|v| v == 0.0)));
    }

    #[test]
    fn degrees_go_the_shorter_way_round() {
        assert_eq!(degrees(250, 6, 0), 12.0 * 360.0 / 256.0);
        assert_eq!((degrees(0, 128, 0), degrees(0, 128, 128), degrees(0, 192, 128)), (180.0, 0.0, 90.0));
    }
}
