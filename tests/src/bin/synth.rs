//! Makes sets of synthetic prints.

#![forbid(unsafe_code)]

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use authenteon_tests::{
    options::options,
    sets::{Order, contact_sheet, write_set},
    synthetic::Conditions,
};
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

/// Makes a folder of synthetic fingerprints: `<finger>_<impression>.png`, 500 dpi, with `set.toml`
/// and `manifest.toml`. The same options give the same pixels on every machine; a finger's name is
/// its seed.
///
/// Exit codes: 0 done, 64 wrong options, 73 the folder cannot be written or is not empty.
#[derive(Parser)]
#[command(name = "synth", version)]
struct Options {
    /// Folder to make; empty or not there yet.
    #[arg(value_name = "DIR")]
    out: PathBuf,
    /// How many fingers.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    fingers: u64,
    /// How many impressions of each.
    #[arg(long, default_value_t = 8, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    impressions: u64,
    /// Seed of the first finger; the following fingers take the following seeds.
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
    /// How hard the prints are.
    #[arg(long, value_enum, default_value_t = Difficulty::Typical)]
    conditions: Difficulty,
    /// Write the true minutiae too, as <finger>_<impression>.json: x and y in pixels from the top
    /// left, angle in radians counter-clockwise (ISO/IEC 19794-2), kind.
    #[arg(long)]
    truth: bool,
    /// Pack the files as tightly as PNG can; takes longer than making the prints.
    #[arg(long)]
    tight: bool,
    /// Write a picture of the whole set too, at half size in 16 greys: a row for each finger.
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
    /// How many threads work; all cores by default.
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Difficulty {
    /// Careful fingers on a clean reader, as for enrolment.
    Good,
    /// As hard as FVC2002 DB1 is meant to be.
    Typical,
    /// Unattended, in a hurry, dry and wet skins.
    Hard,
}

fn main() -> ExitCode {
    let options = match options::<Options>() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let (name, conditions) = match options.conditions {
        Difficulty::Good => ("good", Conditions::good()),
        Difficulty::Typical => ("typical", Conditions::default()),
        Difficulty::Hard => ("hard", Conditions::hard()),
    };
    let threads = options.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into));
    let order = Order {
        fingers: options.fingers,
        impressions: options.impressions,
        seed: options.seed,
        name: name.to_owned(),
        conditions,
        truth: options.truth,
        tight: options.tight,
        threads: threads.unwrap_or(1),
    };
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(order.fingers * order.impressions).with_style(style())
    } else {
        ProgressBar::hidden()
    };
    let made = write_set(&options.out, &order, &|| bar.inc(1));
    bar.finish_and_clear();
    let made = made.and_then(|manifest| {
        options.sheet.as_deref().map_or(Ok(()), |sheet| contact_sheet(&order, sheet)).map(|()| manifest)
    });
    match made {
        Ok(manifest) => {
            eprintln!("{} prints in {}", manifest.prints.len(), options.out.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("synth: {error}");
            ExitCode::from(73)
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {pos}/{len} prints, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
