//! Fits the matcher's fusion and calibration anew and says how far they can be trusted.

#![forbid(unsafe_code)]

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use authenteon_matcher::{
    compare::{TERM_NAMES, TERMS},
    params::{TAIL_ORIGIN, TAIL_SCALE},
};
use authenteon_tests::{
    accuracy::{Rates, TerminalBar},
    calibration::{Between, Half, Pair, Pairs, Tail, Together, Weights, fit, gather, half, tail, together},
    options::options,
    sets::{Set, SetError},
};
use clap::Parser;

/// Fits the weights of the evidence and the impostors' tail on folders of prints.
///
/// Prints what `matcher/src/params.rs` and `docs/matching/calibration.md` state: the weights fitted on
/// every other finger, the error rates of the fingers that the fit did not see, the same by
/// cross-validation over all fingers and by leaving out one set at a time, the tail of the
/// impostors' scores with its interval over fingers, and how the fingers of one person err together where
/// the names of the prints say whose they are (`PERSON_FINGER_IMPRESSION`).
///
/// Exit codes: 0 fitted, 64 wrong options, 65 a name or image in a folder is wrong or the prints do
/// not determine a fit, 66 a folder is missing, 73 the result cannot be written.
#[derive(Parser)]
#[command(name = "calibrate", version)]
struct Options {
    /// Folders of prints; each folder's `set.toml` may give its resolution (`dpi = 569`).
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    images: Vec<PathBuf>,
    /// Groups of fingers that are left out in turn.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=20))]
    folds: u8,
    /// Further folders whose impostors only widen the tail; nothing is fitted on them.
    #[arg(long, num_args = 1.., value_name = "DIR")]
    tail: Vec<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Set(#[from] SetError),
    #[error("the comparisons do not determine a fit: give folders with several fingers and impressions")]
    NoFit,
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
}

fn main() -> ExitCode {
    let options = match options::<Options>() {
        Ok(options) => options,
        Err(code) => return code,
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("calibrate: {error}");
            ExitCode::from(match error {
                Failed::Set(SetError::Folder { .. } | SetError::File { .. }) => 66,
                Failed::Set(_) | Failed::NoFit => 65,
                Failed::Write(_) => 73,
            })
        }
    }
}

fn run(options: &Options) -> Result<(), Failed> {
    let bar = TerminalBar::new(std::io::stderr().is_terminal());
    let open = |dirs: &[PathBuf]| {
        let sets = dirs.iter().map(|dir| Set::open(dir, None)).collect::<Result<Vec<_>, _>>()?;
        sets.iter().map(|set| gather(set, &bar)).collect::<Result<Vec<Pairs>, SetError>>()
    };
    let (sets, more) = (open(&options.images)?, open(&options.tail)?);
    bar.finish();
    let text = report(&sets, &more, usize::from(options.folds)).ok_or(Failed::NoFit)?;
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// The pairs both of whose fingers are wanted.
fn only(pairs: &Pairs, wanted: impl Fn(usize) -> bool) -> Vec<Pair> {
    pairs.pairs.iter().filter(|p| wanted(p.probe) && wanted(p.reference)).copied().collect()
}

fn report(sets: &[Pairs], more: &[Pairs], folds: usize) -> Option<String> {
    let mut text = String::new();
    let seen: Vec<Vec<Pair>> =
        sets.iter().map(|s| only(s, |finger| half(&s.set, finger) == Half::Seen)).collect();
    let seen: Vec<Vec<Pair>> = seen.into_iter().filter(|pairs| !pairs.is_empty()).collect();
    let weights = fit(&seen)?;
    // Writing to a string cannot fail.
    let _ = writeln!(text, "weights, fitted on every other finger of {} sets:", seen.len());
    for (name, weight) in TERM_NAMES.iter().zip(&weights.terms) {
        let _ = writeln!(text, "  {weight:>10.6}  {name}");
    }
    let _ = writeln!(text, "  {:>10.6}  constant\n", weights.bias);

    let _ =
        writeln!(text, "error rates, percent:{:>25}{:>8}{:>8}{:>9}", "EER", "FMR100", "FMR1000", "ZeroFMR");
    let held_out = |pairs: &Pairs| scored(&only(pairs, |f| half(&pairs.set, f) == Half::HeldOut), &weights);
    rows(&mut text, "held out", sets, held_out);
    rows(&mut text, "cross-validated", sets, |pairs| crossed(sets, pairs, folds).unwrap_or_default());
    rows(&mut text, "its set left out", sets, |pairs| left_out(sets, pairs).unwrap_or_default());

    let _ = writeln!(
        text,
        "\nimpostors' tail, all fingers, in units of the fused evidence (90 % intervals over fingers):"
    );
    for pairs in sets.iter().chain(more) {
        let impostors: Vec<(usize, usize, f64)> = pairs
            .pairs
            .iter()
            .filter(|p| !p.genuine)
            .map(|p| (p.probe, p.reference, weights.apply(&p.terms)))
            .collect();
        match tail(&impostors) {
            Some(fitted) => {
                let Tail { quantile, excess, shape, quantile_interval: q, excess_interval: e, .. } = fitted;
                let _ = writeln!(
                    text,
                    "  {:<16}{:>8} pairs  99 % {quantile:>6.2} ({:.2} to {:.2})  excess {excess:.2} ({:.2} to {:.2})  shape {shape:>5.2}",
                    pairs.set,
                    impostors.len(),
                    q.0,
                    q.1,
                    e.0,
                    e.1
                );
                let bound = |rate: f64| fitted.upper(TAIL_ORIGIN + TAIL_SCALE * (1.0 / rate).ln());
                let bounds = CLAIMED.map(|rate| format!("{:.1e} where {rate:.0e}", bound(rate)));
                let _ = writeln!(text, "  {:<16}at most, with 95 % confidence: {}", "", bounds.join(", "));
            }
            None => {
                let _ = writeln!(text, "  {:<16}too few for a tail", pairs.set);
            }
        }
    }
    fingers_together(&mut text, sets.iter().chain(more), &weights);
    Some(text)
}

/// How the fingers of one person err together, in the sets that say whose they are.
fn fingers_together<'a>(text: &mut String, sets: impl Iterator<Item = &'a Pairs>, weights: &Weights) {
    for pairs in sets {
        let Some(comparisons) = Between::all_of(pairs, weights) else { continue };
        let _ = writeln!(
            text,
            "\n{}: two fingers of one person pass for two of another, over the square of the rate of one:",
            pairs.set
        );
        for Together { rate, ratio, interval } in
            TOGETHER.iter().filter_map(|rate| together(&comparisons, *rate))
        {
            let (low, high) = interval;
            let _ = writeln!(text, "  {rate:.1e}  {ratio:>6.2} ({low:.2} to {high:.2})");
        }
    }
}

/// Rates of one finger at which two are looked at: rarer ones do not happen twice at once.
const TOGETHER: [f64; 6] = [1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4];

/// Rates that the calibration claims, whose bounds are told.
const CLAIMED: [f64; 3] = [1e-3, 1e-4, 1e-5];

/// (genuine, score) of pairs under weights.
type Scored = Vec<(bool, f64)>;

fn scored(pairs: &[Pair], weights: &Weights) -> Scored {
    pairs.iter().map(|p| (p.genuine, weights.apply(&p.terms))).collect()
}

/// Every pair of a set under weights that saw neither of its fingers.
fn crossed(sets: &[Pairs], of: &Pairs, folds: usize) -> Option<Scored> {
    let mut out = Vec::new();
    // Pairs across two groups are scored with both of them left out.
    for a in 0..folds {
        for b in a..folds {
            let out_of = |finger: usize| finger % folds == a || finger % folds == b;
            let sees = |s: &Pairs, finger: usize| s.set != of.set || !out_of(finger);
            let train: Vec<Vec<Pair>> = sets.iter().map(|s| only(s, |f| sees(s, f))).collect();
            let weights = fit(&train)?;
            let here = |p: &&Pair| {
                let (i, j) = (p.probe % folds, p.reference % folds);
                (i.min(j), i.max(j)) == (a, b)
            };
            let pairs: Vec<Pair> = of.pairs.iter().filter(here).copied().collect();
            out.extend(scored(&pairs, &weights));
        }
    }
    Some(out)
}

/// Every pair of a set under weights that saw the other sets only.
fn left_out(sets: &[Pairs], of: &Pairs) -> Option<Scored> {
    let train: Vec<Vec<Pair>> = sets.iter().filter(|s| s.set != of.set).map(|s| s.pairs.clone()).collect();
    Some(scored(&of.pairs, &fit(&train)?))
}

fn rows(text: &mut String, title: &str, sets: &[Pairs], score: impl Fn(&Pairs) -> Scored) {
    let _ = writeln!(text, " {title}");
    for pairs in sets {
        let scores = score(pairs);
        let of = |genuine| scores.iter().filter(|s| s.0 == genuine).map(|s| s.1).collect::<Vec<f64>>();
        match Rates::of(&of(true), &of(false)) {
            Some(r) => {
                let _ = writeln!(
                    text,
                    "  {:<36}{:>8.2}{:>8.2}{:>8.2}{:>9.2}",
                    pairs.set, r.eer, r.fmr100, r.fmr1000, r.zero_fmr
                );
            }
            None => {
                let _ = writeln!(text, "  {:<36}nothing to compare", pairs.set);
            }
        }
    }
}

const _: () = assert!(TERMS == TERM_NAMES.len());
