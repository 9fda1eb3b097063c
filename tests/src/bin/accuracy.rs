//! Measures the matcher on folders of prints.

#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufWriter, IsTerminal as _, Write as _},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
};

use authenteon_tests::{
    accuracy::{Measured, Report, TerminalBar, det_plot, histogram, measure, quality_plot},
    calibration::held_out,
    options::options,
    sets::{Set, SetError},
};
use clap::Parser;

/// Measures the matcher on folders of `<finger>_<impression>.png|tif|bmp|wsq`.
///
/// All pairs within each folder are compared: genuine when both are of one finger (everything before
/// the last underscore), impostor otherwise. An image that gives no template scores 0 with every
/// other. EER and FNMR at FMR 1 %, 0.1 % and zero are in percent.
///
/// Extraction runs on one thread and is timed there, decoding left out. Comparisons per second are of
/// prepared templates on one thread, over up to 4000 pairs spread evenly; the scores then come from
/// all cores. Times are processor time of the thread where the system tells it (Linux), so that a
/// busy machine does not lengthen them, else time that passed.
///
/// Exit codes: 0 measured, 64 wrong options, 65 a name or image in a folder is wrong, 66 a folder is
/// missing, 73 a result cannot be written.
#[derive(Parser)]
#[command(name = "accuracy", version)]
struct Options {
    /// Folders of prints; each folder's `set.toml` may give its resolution (`dpi = 569`).
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    images: Vec<PathBuf>,
    /// Resolution of folders that do not say theirs [default: 500].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(125..=2000))]
    dpi: Option<u32>,
    /// Write the scores of each folder to OUT_DIR/<name of DIR>.txt, as `G|I probe reference score`.
    #[arg(long, value_name = "OUT_DIR")]
    scores: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Draw DET curves.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Draw histograms of genuine and impostor scores, a panel for each folder.
    #[arg(long, value_name = "FILE.svg")]
    histogram: Option<PathBuf>,
    /// Draw FNMR by tenth of quality.
    #[arg(long, value_name = "FILE.svg")]
    quality: Option<PathBuf>,
    /// Enrol fingers with N impressions instead of comparing all pairs: every N successive impressions
    /// of a finger in turn, the best of the N scores counts.
    #[arg(long, value_name = "N", default_value = "1")]
    enrol: NonZeroUsize,
    /// Only fingers that no weight and no calibration was fitted on: every other finger of the sets
    /// that were fitted on, all of any other.
    #[arg(long)]
    held_out: bool,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Set(#[from] SetError),
    #[error("two folders are named {0}: their scores would overwrite each other")]
    SameName(String),
    #[error("nothing was compared")]
    Nothing,
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

impl Failed {
    /// As `sysexits.h` has them.
    fn code(&self) -> u8 {
        match self {
            Self::Set(SetError::Folder { .. } | SetError::File { .. }) => 66,
            Self::Set(_) | Self::Nothing => 65,
            Self::SameName(_) => 64,
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
            eprintln!("accuracy: {error}");
            ExitCode::from(error.code())
        }
    }
}

fn run(options: &Options) -> Result<(), Failed> {
    // All folders are looked at before the first is measured: a wrong name shows at once.
    let sets = options.images.iter().map(|dir| Set::open(dir, options.dpi)).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = sets.iter().find(|set| !names.insert(&set.name)) {
        return Err(Failed::SameName(twice.name.clone()));
    }
    let sets: Vec<Set> = if options.held_out { sets.into_iter().map(held_out).collect() } else { sets };
    let bar = TerminalBar::new(std::io::stderr().is_terminal());
    let measured = sets.iter().map(|set| measure(set, options.enrol, &bar)).collect::<Result<Vec<_>, _>>()?;
    bar.finish();
    for set in &measured {
        for failure in &set.failures {
            eprintln!("{}/{}: no template: {}", set.name, failure.name, failure.reason);
        }
    }
    if let Some(folder) = &options.scores {
        write_scores(folder, &measured)?;
    }
    let report = Report::of(&measured).ok_or(Failed::Nothing)?;
    if let Some(path) = &options.plot {
        write(path, &det_plot(&measured))?;
    }
    if let Some(path) = &options.histogram {
        write(path, &histogram(&measured))?;
    }
    if let Some(path) = &options.quality {
        write(path, &quality_plot(&measured))?;
    }
    let text = if options.json {
        serde_json::to_string(&report).unwrap_or_default() + "\n"
    } else {
        report.to_string()
    };
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    written.map_err(|source| Failed::Write { path: "standard output".into(), source })
}

fn write_scores(folder: &Path, measured: &[Measured]) -> Result<(), Failed> {
    std::fs::create_dir_all(folder).map_err(|source| Failed::Write { path: folder.to_owned(), source })?;
    for set in measured {
        let path = folder.join(format!("{}.txt", set.name));
        let done = File::create(&path).and_then(|file| set.scores.write(BufWriter::new(file)));
        done.map_err(|source| Failed::Write { path, source })?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failed> {
    std::fs::write(path, text).map_err(|source| Failed::Write { path: path.to_owned(), source })
}
