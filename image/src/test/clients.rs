//! People at their machines: `authenteonctl`, as they call it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::Value;

use crate::{
    failure::{Failure, at, run},
    machine::Machine,
};

/// The client program that everybody calls.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Everybody calls this client program from now on, or one that is built for this host now.
pub(super) fn use_program(given: Option<&Path>) -> Result<(), Failure> {
    if let Some(given) = given {
        let path = given.canonicalize().map_err(at(given))?;
        PROGRAM.get_or_init(|| path);
        return Ok(());
    }
    program().map(drop)
}

fn program() -> Result<PathBuf, Failure> {
    if let Some(path) = PROGRAM.get() {
        return Ok(path.clone());
    }
    let [path] = built(["authenteonctl"], &["--package", "authenteonctl"])?;
    Ok(PROGRAM.get_or_init(|| path).clone())
}

/// Programs of this workspace, built for this host as cargo is told by `words`.
pub(super) fn built<const N: usize>(names: [&str; N], words: &[&str]) -> Result<[PathBuf; N], Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(root).args(["build", "--locked", "--message-format=json-render-diagnostics"]);
    let said = run(build.args(words))?;
    let messages: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut paths = Vec::new();
    for name in names {
        let path = messages
            .iter()
            .filter(|message| message["target"]["name"] == name)
            .find_map(|message| message["executable"].as_str().map(PathBuf::from));
        paths.push(path.ok_or_else(|| Failure::Wrong(format!("cargo names no {name}")))?);
    }
    paths.try_into().map_err(|_| Failure::Wrong("cargo names other programs".to_owned()))
}

/// What a call ended with.
pub(super) struct Answer {
    pub(super) code: i32,
    pub(super) json: Value,
    pub(super) said: String,
}

impl Answer {
    /// The answer, if it was this code.
    pub(super) fn expect(self, code: i32, what: &str) -> Result<Value, Failure> {
        if self.code == code {
            return Ok(self.json);
        }
        Err(Failure::Wrong(format!("{what} ended with code {} and not {code}: {}", self.code, self.said)))
    }
}

/// Somebody with a certificate, or nobody.
pub(super) struct Person<'a> {
    pub(super) folder: &'a Path,
    pub(super) name: Option<&'a str>,
}

impl Person<'_> {
    /// Calls the client program against a machine.
    pub(super) fn call(&self, machine: &Machine, arguments: &[&str]) -> Result<Answer, Failure> {
        let mut command = Command::new(program()?);
        command.arg("--json").args([
            "--timeout",
            "60",
            "--server",
            &format!("https://127.0.0.1:{}", machine.port),
        ]);
        if let Some(name) = self.name {
            command.arg("--cacert").arg(self.folder.join("ca.pem"));
            command.arg("--cert").arg(self.folder.join(format!("{name}.pem")));
            command.arg("--key").arg(self.folder.join(format!("{name}.key")));
        }
        call(command.args(arguments))
    }
}

/// Calls the client program with nothing but the arguments.
pub(super) fn call_plain(arguments: &[&str]) -> Result<Answer, Failure> {
    call(Command::new(program()?).args(arguments))
}

fn call(command: &mut Command) -> Result<Answer, Failure> {
    let ended = command.output().map_err(|why| Failure::Wrong(format!("authenteonctl: {why}")))?;
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    Ok(Answer {
        code: ended.status.code().unwrap_or(-1),
        json: serde_json::from_str(&text).unwrap_or(Value::Null),
        said: text + &String::from_utf8_lossy(&ended.stderr),
    })
}

/// A print of the fixtures that the repository made itself.
pub(super) fn print(finger: u32, impression: u32) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/fixtures/prints");
    root.join(format!("{finger}_{impression}.png")).display().to_string()
}

/// The finger that is enrolled.
const FINGER: u32 = 125;
/// Its impressions that can be laid down in one run, beside those of the fixtures: a box refuses one that it was shown
/// before, over restarts too.
const IMPRESSIONS: std::ops::RangeInclusive<u32> = 5..=64;

/// An impression of the enrolled finger that was not presented in this run. They are made beside a box's folder.
pub(super) fn fresh_print(folder: &Path) -> Result<String, Failure> {
    static NEXT: AtomicU32 = AtomicU32::new(*IMPRESSIONS.start());
    let (finger, last) = (FINGER.to_string(), IMPRESSIONS.end().to_string());
    let prints = folder.with_file_name("prints");
    if !prints.exists() {
        let synth = synth()?;
        let words = ["--fingers", "1", "--conditions", "good", "--seed", &finger, "--impressions", &last];
        run(Command::new(synth).args(words).arg(&prints))?;
    }
    let impression = NEXT.fetch_add(1, Ordering::Relaxed);
    if !IMPRESSIONS.contains(&impression) {
        return Err(Failure::Wrong(format!("there are {last} impressions for a run")));
    }
    Ok(prints.join(format!("{finger}_{impression}.png")).display().to_string())
}

/// What makes prints: as the tests of the workspace built it, beside this program, or built now.
fn synth() -> Result<PathBuf, Failure> {
    let here = std::env::current_exe().map(|program| program.with_file_name("synth"));
    if let Some(beside) = here.ok().filter(|path| path.exists()) {
        return Ok(beside);
    }
    let [built] = built(["synth"], &["--package", "authenteon-tests", "--bin", "synth"])?;
    Ok(built)
}
