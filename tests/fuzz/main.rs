//! Feeds what parses with input that nobody would send.
//!
//! Coverage-guided fuzzers need a nightly compiler; the project builds with stable. So inputs come from
//! a seed: valid ones that the targets make themselves, then cut, spliced, flipped and filled with
//! numbers at the edges, and now and then noise. A target ends in a panic, in more time than its budget,
//! or in a broken promise of its own (an input that is read must be written back the same). Then the
//! input is kept in a file, and the file replays it. Invariant: the same seed gives the same inputs.

#![forbid(unsafe_code)]

mod mutate;
mod radius;
mod service;
mod targets;

use std::{
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use authenteon_tests::options::options;
use clap::Parser;
use mutate::Mutator;
use targets::Target;

/// One input may take this long.
const BUDGET: Duration = Duration::from_secs(5);

/// Feeds parsers with mutated input.
///
/// Exit codes: 0 nothing found, 1 a target failed (its input is kept), 64 wrong options, 66 a file is
/// missing, 73 an input cannot be kept.
#[derive(Parser)]
#[command(name = "fuzz", version)]
struct Options {
    /// Targets; all when none is named. `--list` names them.
    targets: Vec<String>,
    /// Names the targets.
    #[arg(long)]
    list: bool,
    /// Seconds for each target.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Where the inputs come from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Feeds one target with this file instead.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Where failing inputs are kept.
    #[arg(long, value_name = "DIR", default_value = "target/fuzz")]
    keep: PathBuf,
}

fn main() -> ExitCode {
    let code = feed();
    service::end();
    code
}

fn feed() -> ExitCode {
    let options = match options::<Options>() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let mut said = std::io::stdout().lock();
    let mut say = |text: String| {
        // Nobody may be listening.
        let _ = writeln!(said, "{text}");
    };
    if options.list {
        all().for_each(|target| say(format!("{}: {}", target.name, target.what)));
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&Target> = all()
        .filter(|target| options.targets.is_empty() || options.targets.iter().any(|name| name == target.name))
        .collect();
    if wanted.len() < options.targets.len() || (options.replay.is_some() && wanted.len() != 1) {
        eprintln!("fuzz: name targets that --list names, and one only to replay a file");
        return ExitCode::from(64);
    }
    if let (Some(path), [target]) = (&options.replay, wanted.as_slice()) {
        let Ok(input) = std::fs::read(path) else {
            eprintln!("fuzz: cannot read {}", path.display());
            return ExitCode::from(66);
        };
        // A panic is to be seen.
        (target.feed)(&input);
        say(format!("{}: nothing wrong with {}", target.name, path.display()));
        return ExitCode::SUCCESS;
    }
    for target in wanted {
        let found = run(target, options.seed, Duration::from_secs(options.seconds));
        match found {
            Ok((inputs, accepted)) => {
                let rate = inputs as f64 / options.seconds.max(1) as f64;
                say(format!(
                    "{:<18}{inputs:>10} inputs, {rate:>9.0} a second, {accepted} of them valid",
                    target.name
                ));
            }
            Err((input, why)) => {
                let path = options.keep.join(format!("{}-{}.bin", target.name, options.seed));
                let kept =
                    std::fs::create_dir_all(&options.keep).and_then(|()| std::fs::write(&path, &input));
                eprintln!("fuzz: {} failed: {why}", target.name);
                if let Err(error) = kept {
                    eprintln!("fuzz: cannot keep the input in {}: {error}", path.display());
                    return ExitCode::from(73);
                }
                eprintln!("fuzz: its input again: fuzz {} --replay {}", target.name, path.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn all() -> impl Iterator<Item = &'static Target> {
    targets::TARGETS.iter().chain(&service::TARGETS).chain(&radius::TARGETS)
}

/// Feeds a target for a while: inputs and how many it took, or the input that broke it.
fn run(target: &Target, seed: u64, time: Duration) -> Result<(u64, u64), (Vec<u8>, String)> {
    let corpus = (target.corpus)();
    // Else nothing behind the first look at an input would ever be reached. A datagram may be late once.
    if let Some(input) = corpus.iter().find(|input| !(0..5).any(|_| (target.feed)(input))) {
        return Err((input.clone(), "it does not take an input of its own".to_owned()));
    }
    let mut mutator = Mutator::new(seed, target.name);
    let end = Instant::now() + time;
    let (mut inputs, mut accepted) = (0, 0);
    while Instant::now() < end {
        let input = mutator.next(&corpus);
        let begun = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| (target.feed)(&input))) {
            Ok(taken) => accepted += u64::from(taken),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
                return Err((input, text.unwrap_or_else(|| "a panic".to_owned())));
            }
        }
        let took = begun.elapsed();
        if took > BUDGET {
            return Err((input, format!("it took {:.1} s", took.as_secs_f64())));
        }
        inputs += 1;
    }
    Ok((inputs, accepted))
}
