//! Measures how well replays are told from other impressions of the same finger.

#![forbid(unsafe_code)]

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use authenteon_matcher::params::COPY_SAMENESS;
use authenteon_tests::{
    accuracy::TerminalBar,
    options::options,
    replay::{Alarms, Caught, Replayed, TUNED_ON, measure, upper_bound},
    sets::{Set, SetError},
};
use clap::Parser;

/// Measures the check against replays on folders of prints.
///
/// False alarms: all pairs of two impressions of one finger. Detection: impressions presented again in
/// many ways, of those that would be accepted without the check. Prints what `docs/matching/replay.md`
/// states, the sets that the threshold was fitted on apart from the others.
///
/// Exit codes: 0 measured, 64 wrong options, 65 a name or image in a folder is wrong, 66 a folder is
/// missing, 73 the result cannot be written.
#[derive(Parser)]
#[command(name = "replay", version)]
struct Options {
    /// Folders of prints; each folder's `set.toml` may give its resolution (`dpi = 569`).
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    images: Vec<PathBuf>,
    /// Present every N-th print again.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Set(#[from] SetError),
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
            eprintln!("replay: {error}");
            ExitCode::from(match error {
                Failed::Set(SetError::Folder { .. } | SetError::File { .. }) => 66,
                Failed::Set(_) => 65,
                Failed::Write(_) => 73,
            })
        }
    }
}

fn run(options: &Options) -> Result<(), Failed> {
    let sets = options.images.iter().map(|dir| Set::open(dir, None)).collect::<Result<Vec<_>, _>>()?;
    let bar = TerminalBar::new(std::io::stderr().is_terminal());
    let measured = sets
        .iter()
        .map(|set| measure(set, usize::from(options.every), &bar))
        .collect::<Result<Vec<_>, _>>()?;
    bar.finish();
    std::io::stdout().lock().write_all(report(&measured).as_bytes())?;
    Ok(())
}

fn report(measured: &[Replayed]) -> String {
    // Writing to a string cannot fail.
    let mut text = format!("copies from a sameness of {COPY_SAMENESS} on\n\nfalse alarms\n");
    for set in measured {
        let _ = writeln!(text, "  {:<16}{}", set.set, alarms(&set.alarms));
    }
    let _ = writeln!(text, "\ncost of one impression, prepared anew, on one thread");
    for set in measured {
        let us = |time: std::time::Duration| time.as_secs_f64() * 1e6;
        let (comparison, check) = (us(set.cost.comparison), us(set.cost.check));
        let _ = writeln!(
            text,
            "  {:<16}comparison {comparison:.0} us, check {check:.0} us: {:.2} of it",
            set.set,
            check / comparison
        );
    }
    let (tuned, other): (Vec<&Replayed>, Vec<&Replayed>) =
        measured.iter().partition(|set| TUNED_ON.contains(&set.set.as_str()));
    for (title, sets) in [("fitted on", tuned), ("others", other)] {
        if sets.is_empty() {
            continue;
        }
        let sum = |of: fn(&Alarms) -> usize| sets.iter().map(|set| of(&set.alarms)).sum::<usize>();
        let _ = writeln!(text, "\n{title}: false alarms, and at most, with 95 % confidence");
        for (name, events, trials) in [
            ("pairs", sum(|a| a.alarms), sum(|a| a.pairs)),
            ("probes after all others", sum(|a| a.probes_alarmed), sum(|a| a.probes)),
            ("fingers", sum(|a| a.fingers_alarmed), sum(|a| a.fingers)),
        ] {
            let bound = upper_bound(events, trials).map_or_else(String::new, percent);
            let _ = writeln!(text, "  {name:<24}{events:>4} of {trials:<6}{bound}");
        }
        let _ = writeln!(text, "{title}: caught, of those that match");
        let names = sets.first().map_or(&[][..], |set| set.caught.as_slice());
        for (at, kind) in names.iter().enumerate() {
            let all: Vec<&Caught> = sets.iter().filter_map(|set| set.caught.get(at)).collect();
            let sum = |of: fn(&Caught) -> usize| all.iter().map(|c| of(c)).sum::<usize>();
            let (caught, matching, presented) =
                (sum(|c| c.caught), sum(|c| c.matching), sum(|c| c.presented));
            let share = percent(caught as f64 / matching.max(1) as f64);
            let claimed = if kind.claimed { "" } else { "  (not claimed)" };
            let _ = writeln!(
                text,
                "  {:<30}{caught:>5} of {matching:<5} {share:>8}  ({presented} presented){claimed}",
                kind.name
            );
        }
    }
    text
}

fn alarms(alarms: &Alarms) -> String {
    let at = |share: f64| {
        let last = alarms.samenesses.len().saturating_sub(1);
        alarms.samenesses.get((last as f64 * share) as usize).copied().unwrap_or_default()
    };
    format!(
        "{} of {} pairs; sameness 50 % {:.2}, 99 % {:.2}, greatest {:.2}, greatest of successive ones {:.2}",
        alarms.alarms,
        alarms.pairs,
        at(0.5),
        at(0.99),
        at(1.0),
        alarms.successive
    )
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
