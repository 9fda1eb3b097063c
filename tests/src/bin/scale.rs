//! Measures identification among many fingers.

#![forbid(unsafe_code)]

use std::{
    io::{IsTerminal as _, Write as _},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
};

use authenteon_matcher::simd::{Kernel, NotForced};
use authenteon_tests::{
    accuracy::TerminalBar,
    options::options,
    scale::{Order, Real, Report, ScaleError, force, growth, growth_plot, measure},
    sets::{Set, SetError},
};
use clap::{Parser, ValueEnum};

/// Measures a search among many fingers: time by stages, memory, what it misses, beside two other methods.
///
/// The gallery is real fingers, if folders of them are given, hidden among synthetic ones. Of each finger the first
/// impressions are enrolled; of the real ones the others are probes. Without real ones the probes are synthetic too, and
/// the result is labelled "speed only", as it is when tests find the synthetic fingers unlike the real ones. What is
/// said of false accepts comes from real pairs and the calibration alone.
///
/// A search is timed from a template in memory to ranked candidates; `search_ms` and `build` are wall-clock times, so
/// keep the machine quiet. Misses are at rank 1, in percent of the probes, and the same in every run.
///
/// Exit codes: 0 measured, 64 wrong options, 65 a name or image in a folder is wrong, 66 a folder is missing, 69 this
/// processor has not the instructions forced, 73 a result cannot be written.
#[derive(Parser)]
#[command(name = "scale", version)]
struct Options {
    /// Fingers in the gallery, real ones included.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000_000))]
    gallery: u32,
    /// Folders of prints `<finger>_<impression>.png|tif|bmp|wsq`; each folder's `set.toml` may give its resolution
    /// (`dpi = 569`).
    #[arg(long, num_args = 1.., value_name = "DIR")]
    probes: Vec<PathBuf>,
    /// Resolution of folders that do not say theirs [default: 500].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(125..=2000))]
    dpi: Option<u32>,
    /// Impressions enrolled of each finger: its first K that give a template.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    enrol: u8,
    /// Threads of a search; all cores by default.
    #[arg(long, value_name = "T")]
    threads: Option<NonZeroUsize>,
    /// Use these instructions in all kernels instead of the best that the processor has.
    #[arg(long, value_enum, value_name = "KERNEL")]
    force: Option<Forced>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Probes that are compared with every impression too [default: what takes about ten million comparisons].
    #[arg(long, value_name = "N")]
    exhaustive_probes: Option<usize>,
    /// Searches for enrolled fingers when no real probes are given; no more, and at most 100, are made for strangers.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    searches: u32,
    /// Seed of the synthetic fingers.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Leave out the peers, the tests of likeness and what is said of false accepts.
    #[arg(long)]
    brief: bool,
    /// Print what a shortlist of each size would miss after each stage: where the finger of each probe stands among all.
    #[arg(long)]
    sweep: bool,
    /// Measure 1000, 3000, 10,000 fingers and so on up to --gallery too, and draw how a search grows: FOLDER/scale.svg,
    /// with all figures in FOLDER/scale.json.
    #[arg(long, value_name = "FOLDER")]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Forced {
    Scalar,
    Avx2,
    Avx512,
    Neon,
}

impl From<Forced> for Kernel {
    fn from(forced: Forced) -> Self {
        match forced {
            Forced::Scalar => Self::Scalar,
            Forced::Avx2 => Self::Avx2,
            Forced::Avx512 => Self::Avx512,
            Forced::Neon => Self::Neon,
        }
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Set(#[from] SetError),
    #[error(transparent)]
    Scale(#[from] ScaleError),
    #[error("{0}: leave --force away, or take one that it has")]
    NotForced(#[from] NotForced),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

impl Failed {
    /// As `sysexits.h` has them.
    fn code(&self) -> u8 {
        match self {
            Self::Set(SetError::Folder { .. } | SetError::File { .. }) => 66,
            Self::Set(_) => 65,
            Self::Scale(_) => 64,
            Self::NotForced(_) => 69,
            Self::Write { .. } => 73,
        }
    }
}

fn main() -> ExitCode {
    let options = match options::<Options>() {
        Ok(options) => options,
        Err(code) => return code,
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::from(error.code())
        }
    }
}

fn run(options: &Options) -> Result<(), Failed> {
    let kernel = force(options.force.map(Kernel::from))?;
    let sets = options.probes.iter().map(|dir| Set::open(dir, options.dpi)).collect::<Result<Vec<_>, _>>()?;
    if let Some(folder) = &options.plot {
        // Hours of work must not end at a folder that cannot be made.
        std::fs::create_dir_all(folder).map_err(|source| Failed::Write { path: folder.clone(), source })?;
    }
    let cores = || std::thread::available_parallelism().map_or(1, Into::into);
    let order = Order {
        fingers: options.gallery as usize,
        enrol: usize::from(options.enrol),
        threads: options.threads.map_or_else(cores, Into::into),
        searches: options.searches as usize,
        exhaustive: options.exhaustive_probes,
        whole: !options.brief,
        sweep: options.sweep,
        kernel,
        seed: options.seed,
    };
    let bar = TerminalBar::new(std::io::stderr().is_terminal());
    let real = Real::read(&sets, &bar)?;
    for failure in &real.failures {
        eprintln!("{}: no template: {}", failure.name, failure.reason);
    }
    let report = match &options.plot {
        None => measure(&order, &real, &bar)?,
        Some(folder) => {
            let reports = growth(&order, &real, &bar)?;
            plot(folder, &reports)?;
            match reports.into_iter().last() {
                Some(last) => last,
                None => return Ok(()),
            }
        }
    };
    bar.finish();
    let text = if options.json {
        serde_json::to_string(&report).unwrap_or_default() + "\n"
    } else {
        report.to_string()
    };
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    written.map_err(|source| Failed::Write { path: "standard output".into(), source })
}

fn plot(folder: &Path, reports: &[Report]) -> Result<(), Failed> {
    let json = serde_json::to_string_pretty(reports).unwrap_or_default() + "\n";
    for (name, text) in [("scale.svg", growth_plot(reports)), ("scale.json", json)] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| Failed::Write { path, source })?;
    }
    Ok(())
}
