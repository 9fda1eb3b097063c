//! A fingerprint module on a pseudo-terminal, for programs that want a serial port.

#![forbid(unsafe_code)]

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use authenteon_hal::zfm::{self, emulator::Emulator};
use authenteon_tests::{
    emulator::{
        Module,
        schedule::{Schedule, Touch, picture, pictures},
    },
    options::options,
};
use clap::{Args, Parser, ValueEnum};

/// Emulates a serial fingerprint module of the 0xEF01 family (ZFM, R30x, R503, AS608) on a
/// pseudo-terminal, until it is ended.
///
/// The first line of its output is the path of the port to open, at 57600 baud. A picture is cut or
/// widened around its middle to the module's size; of each pixel the module sends four bits.
///
/// Exit codes: 0 the terminal ended, 64 wrong options, 66 a picture cannot be read, 71 the system
/// gives no pseudo-terminal.
#[derive(Parser)]
#[command(name = "zfm-emulator", version)]
struct Options {
    #[command(flatten)]
    finger: Finger,
    /// Which module it is.
    #[arg(long, value_enum, default_value_t = Model::Optical)]
    model: Model,
    /// Its password, as eight hexadecimal digits or fewer.
    #[arg(long, value_name = "HEX", default_value = "0", value_parser = hexadecimal)]
    password: u32,
    /// Bytes take their time on the wire, and come out as garbage when the host has another speed
    /// than the module.
    #[arg(long)]
    pace: bool,
    /// How long each picture of a folder lies on the module.
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    lies: Duration,
    /// How long nothing lies there before the next one.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    lifted: Duration,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Finger {
    /// Pictures that are laid on the module one after the other, by name, again and again.
    #[arg(long, value_name = "DIR")]
    frames: Option<PathBuf>,
    /// One picture that always lies there.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Model {
    /// 256x288 pixels.
    Optical,
    /// 192x192 pixels.
    R503,
}

fn hexadecimal(text: &str) -> Result<u32, std::num::ParseIntError> {
    u32::from_str_radix(text.trim_start_matches("0x"), 16)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let options = match options::<Options>() {
        Ok(options) => options,
        Err(code) => return code,
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, reason)) => {
            eprintln!("zfm-emulator: {reason}");
            ExitCode::from(code)
        }
    }
}

fn run(options: &Options) -> Result<(), (u8, String)> {
    let size = match options.model {
        Model::Optical => zfm::Model::Optical,
        Model::R503 => zfm::Model::R503,
    }
    .size();
    let schedule = schedule(options, size).map_err(|error| (66, error.to_string()))?;
    let emulator = Emulator::new().with_password(options.password);
    let module = Module::start(emulator, schedule, options.pace).map_err(|error| (71, error.to_string()))?;
    announce(module.path()).map_err(|error| (71, error.to_string()))?;
    module.wait();
    Ok(())
}

fn schedule(
    options: &Options,
    size: (u32, u32),
) -> Result<Schedule, authenteon_tests::emulator::schedule::NoPicture> {
    if let Some(folder) = &options.finger.frames {
        let frames = pictures(folder, size)?.into_iter();
        let touch = |frame| Touch { frame, lies: options.lies, lifted: options.lifted };
        return Ok(Schedule::of(frames.map(touch).collect()).repeated());
    }
    let image = options.finger.image.as_deref().unwrap_or(Path::new(""));
    picture(image, size).map(Schedule::always)
}

/// Whoever started the program reads the path before it opens the port.
fn announce(path: &Path) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", path.display())?;
    out.flush()
}
