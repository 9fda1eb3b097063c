//! `backup` and `restore`: what a box stores, in one encrypted file, and back into an empty box.
//!
//! Invariant: a backup has its name only when it was read again from the disk and found whole, and the box has opened
//! all of it unless somebody said that it need not.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use authenteon_box::{Client, Problem};
use http_body_util::BodyExt;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{confirm, understand};
use crate::args::{Backup, Restore};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::passphrase;
use crate::transfer::{Download, Upload, bar, bytes_of_all};

const BACKUP: &str = "/v1/system/backup";
const RESTORE: &str = "/v1/system/restore";
const ERASURES: &str = "/v1/system/erasures";
const CONTENT_TYPE: &str = "application/vnd.authenteon.backup";
/// Problems that are the file's own.
const OF_THE_FILE: [&str; 4] = ["not-a-backup", "backup-damaged", "backup-newer", "wrong-backup-passphrase"];
/// Bytes of the checksum at the end of a backup.
const SUM: u64 = 32;
/// How often the box is asked how far it is.
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes of a list of erasures.
const LARGEST_LIST: u64 = 64 << 20;

/// What the box says of a backup that it was sent.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct State {
    state: String,
    backup: Option<String>,
    taken: Option<String>,
    expires: Option<String>,
    #[serde(default)]
    done: u64,
    #[serde(default)]
    all: u64,
    report: Option<Report>,
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Report {
    people: u64,
    fingers: u64,
    erasures: u64,
    audit: u64,
    clients: Vec<String>,
}

/// Takes a backup, or the list of erasures.
pub(crate) async fn take(
    asked: Backup,
    connect: impl AsyncFn() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    let mut download = Download::create(&asked.file, asked.force)?;
    if asked.erasures {
        let list = connect().await?.get(ERASURES).await?;
        download.write(list.to_string().as_bytes())?;
        download.keep()?;
        let count = list["count"].as_u64().unwrap_or_default();
        let file = asked.file.display();
        let json = json!({"file": asked.file, "erasures": count});
        return Ok(Outcome::done(format!("{count} erasures in {file}\n"), json));
    }
    let question = "Passphrase of the backup (12 characters or more): ";
    let passphrase = passphrase::chosen(asked.passphrase_file.as_deref(), question)?;
    let mut client = connect().await?;
    let progress = bar("Taking the backup", None);
    progress.enable_steady_tick(PAUSE);
    let body = json!({"passphrase": passphrase, "expires-days": asked.expires_days});
    let mut bytes = 0;
    let mut take = |piece: &[u8]| {
        bytes += piece.len() as u64;
        progress.inc(piece.len() as u64);
        download.write(piece)
    };
    client.download(BACKUP, &body, &mut |length| known(&progress, length), &mut take).await?;
    progress.finish_and_clear();
    let expires = whole(download.part())?;
    let checked = match asked.no_verify {
        true => Err("nobody asked for it".to_owned()),
        false => opened(download.part(), &passphrase, &connect).await?,
    };
    download.keep()?;
    let file = asked.file.display();
    let mut text = format!("{bytes} bytes in {file}, to be destroyed by {expires}\n");
    match &checked {
        Ok(report) => text.push_str(&format!(
            "the box has opened all of it: {} people, {} fingers\n",
            report.people, report.fingers
        )),
        Err(why) => text.push_str(&format!(
            "all of it is there, and the box has not opened it ({why}): try it with authenteonctl restore --dry-run\n"
        )),
    }
    let report = checked.as_ref().ok();
    let json = json!({
        "file": asked.file, "bytes": bytes, "expires": expires, "verified": report.is_some(),
        "people": report.map(|report| report.people), "fingers": report.map(|report| report.fingers),
    });
    // It was to be opened, and was not: whoever rests on the exit code learns of it.
    let exit = if report.is_some() || asked.no_verify { Exit::Ok } else { Exit::Failure };
    Ok(Outcome { exit, text, json })
}

/// Has the box open a backup that it gave; why it could not, when that says nothing of the backup.
async fn opened(
    file: &Path,
    passphrase: &str,
    connect: &impl AsyncFn() -> Result<Client, CtlError>,
) -> Result<Result<Report, String>, CtlError> {
    let options = json!({"passphrase": passphrase, "dry-run": true, "without-erasures": true});
    match worked(file, options, connect).await {
        Ok((state, _)) => Ok(state.report.ok_or_else(|| "the box did not say what is in it".to_owned())),
        Err(CtlError::Problem(problem)) if OF_THE_FILE.contains(&problem.slug()) => {
            Err(CtlError::Problem(problem))
        }
        Err(why) => Ok(Err(why.to_string())),
    }
}

/// The end of a bar, once it is known.
fn known(progress: &ProgressBar, length: u64) {
    progress.set_length(length);
    progress.set_style(bytes_of_all());
}

/// Restores a backup, or says what would be restored.
pub(crate) async fn restore(
    asked: Restore,
    connect: impl AsyncFn() -> Result<Client, CtlError>,
) -> Result<Outcome, CtlError> {
    whole(&asked.file)?;
    let list = asked.erasures.as_deref().map(erasures).transpose()?;
    let without = asked.without_erasures || asked.dry_run && list.is_none();
    if list.is_none() && !without {
        let text = "give the list of erasures since the backup with --erasures FILE (authenteonctl backup \
                    --erasures FILE, on the box that it is of), or say --without-erasures: then people who were \
                    erased since come back";
        return Err(CtlError::Usage(text.to_owned()));
    }
    if !asked.dry_run {
        confirm("restore this backup into the box", asked.yes)?;
    }
    let passphrase = passphrase::given(asked.passphrase_file.as_deref(), "Passphrase of the backup: ")?;
    let options = json!({
        "passphrase": passphrase, "dry-run": asked.dry_run, "erasures": list,
        "without-erasures": without, "even-expired": asked.even_expired,
    });
    let (state, answer) = worked(&asked.file, options, &connect).await?;
    Ok(Outcome { exit: Exit::Ok, text: describe(&state, asked.dry_run), json: answer })
}

/// Sends a backup to the box and waits until it has done with it what was asked. The box keeps nothing of it after.
async fn worked(
    file: &Path,
    mut options: Value,
    connect: &impl AsyncFn() -> Result<Client, CtlError>,
) -> Result<(State, Value), CtlError> {
    let mut client = connect().await?;
    let backup = Upload::open(file, "Sending the backup")?.boxed();
    let here = client.upload_file(RESTORE, backup, CONTENT_TYPE).await?;
    let here: State = understand(&here)?;
    options["backup"] = json!(here.backup);
    let ended = ended(&mut client, &options, &here.backup).await;
    if !ended.as_ref().is_ok_and(|(state, _)| state.state == "restored")
        && let Ok(mut client) = connect().await
    {
        // It goes by itself within the hour, too.
        let _ = client.delete(RESTORE).await;
    }
    ended
}

async fn ended(
    client: &mut Client,
    options: &Value,
    ours: &Option<String>,
) -> Result<(State, Value), CtlError> {
    client.post(RESTORE, options).await?;
    let progress = bar("The box reads it", Some(1));
    loop {
        let answer = client.get(RESTORE).await?;
        let state: State = understand(&answer)?;
        if state.backup != *ours {
            return Err(CtlError::Answer("somebody else sent another backup meanwhile".to_owned()));
        }
        if state.state == "restoring" {
            progress.set_message("The box restores it");
        }
        progress.set_length(state.all.max(1));
        progress.set_position(state.done);
        match state.state.as_str() {
            "checking" | "restoring" => tokio::time::sleep(PAUSE).await,
            "checked" | "restored" => {
                progress.finish_and_clear();
                return Ok((state, answer));
            }
            _ => {
                progress.finish_and_clear();
                return Err(match state.error {
                    Some(problem) => CtlError::Problem(problem),
                    None => CtlError::Answer(format!("the backup is {}", state.state)),
                });
            }
        }
    }
}

fn describe(state: &State, dry_run: bool) -> String {
    let (taken, expires) = (state.taken.as_deref(), state.expires.as_deref());
    let mut text = format!(
        "taken {}, to be destroyed by {}\n",
        taken.unwrap_or("at a time unknown"),
        expires.unwrap_or("a time unknown")
    );
    let Some(report) = &state.report else { return text };
    let verb = if dry_run { "would be restored" } else { "are restored" };
    text.push_str(&format!(
        "{} people with {} fingers {verb}, {} erasures are known\n",
        report.people, report.fingers, report.erasures
    ));
    if report.audit > 0 {
        text.push_str(&format!("{} audit records of the other box are kept apart\n", report.audit));
    }
    if !report.clients.is_empty() {
        text.push_str(&format!(
            "add anew, with authenteonctl station add, what the other box knew: {}\n",
            report.clients.join(", ")
        ));
    }
    text
}

/// Reads a backup from the disk and compares its checksum: whether all of it is there, and as it was sent. Gives when it
/// expires.
fn whole(path: &Path) -> Result<String, CtlError> {
    let bad = |reason: String| CtlError::File { path: path.to_path_buf(), reason };
    let failed = |error: io::Error| bad(error.to_string());
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut line = Vec::new();
    let mut head = io::BufReader::new(&mut file);
    io::BufRead::read_until(&mut head.by_ref().take(4096), b'\n', &mut line).map_err(failed)?;
    let line: Value = serde_json::from_slice(&line).unwrap_or_default();
    if line["format"] != "authenteon-backup" {
        return Err(bad("not a backup of a box".to_owned()));
    }
    let progress = bar("Reading the backup again", Some(length));
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut sum = Sha256::new();
    let mut rest = Read::by_ref(&mut file).take(length.saturating_sub(SUM));
    io::copy(&mut rest, &mut progress.wrap_write(Sum(&mut sum))).map_err(failed)?;
    progress.finish_and_clear();
    let mut found = Vec::new();
    file.read_to_end(&mut found).map_err(failed)?;
    if found != *sum.finalize() {
        return Err(bad("it is damaged or was cut: take another copy of it".to_owned()));
    }
    Ok(line["expires"].as_str().unwrap_or_default().to_owned())
}

/// Writes into a checksum.
struct Sum<'a>(&'a mut Sha256);

impl Write for Sum<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn erasures(path: &Path) -> Result<Value, CtlError> {
    let bad = |reason: String| CtlError::File { path: path.to_path_buf(), reason };
    let length = fs::metadata(path).map_err(|error| bad(error.to_string()))?.len();
    if length > LARGEST_LIST {
        return Err(bad("larger than a list of erasures".to_owned()));
    }
    let text = fs::read(path).map_err(|error| bad(error.to_string()))?;
    let list: Value = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    if list["format"] != "authenteon-erasures" {
        return Err(bad("not a list of erasures of a box".to_owned()));
    }
    Ok(list)
}
