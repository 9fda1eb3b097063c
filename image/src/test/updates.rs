//! Updates: one that is good, those that are refused, those that do not come up, and power that goes in
//! between. After each the finger that was enrolled before must be accepted.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Bench,
    box_under_test::PATIENCE,
    clients::{Answer, Person},
    faults::flip,
    jobs::Job,
    smoke::{self, Claimed},
    table::Table,
};
use crate::{
    board::Board,
    build::{self, Built, Plan, Release},
    failure::{Failure, at},
    machine::{Ended, Machine, extent},
};
use authenteon_image::bundle;

/// Versions on trial are given up after so long here, and not after three minutes.
const TRIAL: &str = "authenteon.trial=40";
/// The same for one that cannot pass, and needs the time only to start and to be asked.
const SHORT_TRIAL: &str = "authenteon.trial=28";
/// The store keeps the format that the version before reads and writes.
const HOLD: &str = "authenteon.hold-format";
const ROOT_B: u8 = 6;
/// The version whose root holds another keyring.
const ROTATED: &str = "0.2.5";

/// Bundles to try.
pub(super) struct Bundles {
    good: PathBuf,
    /// It serves, and does not pass its self-test.
    deaf: PathBuf,
    older: PathBuf,
    of_another_board: PathBuf,
    of_a_stranger: PathBuf,
    unsigned: PathBuf,
    truncated: PathBuf,
    /// Signed by the old key, and holds another keyring.
    with_another_keyring: PathBuf,
    /// Of a later version, signed by the old key and by the new one.
    later_by_the_old_key: PathBuf,
    later_by_the_new_key: PathBuf,
}

/// Builds the versions and makes bundles of them.
pub(super) fn bundles(plan: &Plan, out: &Path) -> Result<Bundles, Failure> {
    let folder = out.join("bundles");
    std::fs::create_dir_all(&folder).map_err(at(&folder))?;
    let stranger = folder.join("stranger");
    let other_keyring = build::throw_away(&stranger)?;
    let version = |version: &str, deaf, keyring: Option<&PathBuf>| {
        let plan = Plan {
            out: out.join(format!("qemu-{version}")),
            release: Release { version: version.to_owned(), ..plan.release.clone() },
            deaf,
            keyring: keyring.cloned(),
            ..plan.clone()
        };
        build::build(&plan)
    };
    let (next, broken) = (version("0.2.0", false, None)?, version("0.3.0", true, None)?);
    let rotated = version(ROTATED, false, Some(&other_keyring))?;
    let board = Board::Qemu.name();
    let make = |built: &Built, authority: &Path, board: &str, version: &str, name: &str| {
        let path = folder.join(name);
        let (key, certificate) = (authority.join("signer.key"), authority.join("signer.pem"));
        bundle::from_files([&built.root, &built.boot, &key, &certificate, &path], board, version)
            .map_err(|why| Failure::Wrong(format!("{name}: {why}")))?;
        Ok::<PathBuf, Failure>(path)
    };
    let own = &plan.test_authority;
    let good = make(&next, own, board, "0.2.0", "good.raucb")?;
    let whole = std::fs::read(&good).map_err(at(&good))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(at(&path))?;
        Ok::<PathBuf, Failure>(path)
    };
    // The last eight bytes are the length of the signature: none.
    let unsigned = [&whole[..whole.len().saturating_sub(8)], &[0; 8]].concat();
    Ok(Bundles {
        deaf: make(&broken, own, board, "0.3.0", "deaf.raucb")?,
        older: make(&next, own, board, "0.0.9", "older.raucb")?,
        of_another_board: make(&next, own, "rpi4", "0.2.0", "another-board.raucb")?,
        with_another_keyring: make(&rotated, own, board, ROTATED, "another-keyring.raucb")?,
        later_by_the_old_key: make(&next, own, board, "0.2.6", "old-key.raucb")?,
        later_by_the_new_key: make(&next, &stranger, board, "0.2.6", "new-key.raucb")?,
        of_a_stranger: make(&next, &stranger, board, "0.2.0", "stranger.raucb")?,
        unsigned: write("unsigned.raucb", &unsigned)?,
        truncated: write("truncated.raucb", &whole[..whole.len() / 2])?,
        good,
    })
}

/// Everything that an update can meet, the longest first.
pub(super) fn jobs<'a>(
    bench: &'a Bench,
    claimed: &'a Claimed,
    bundles: &'a Bundles,
    cuts: u32,
) -> Vec<Job<'a>> {
    vec![
        Box::new(move |table| {
            let name =
                format!("{cuts} power cuts during an installation: the box starts, the finger is known");
            table.check(&name, || power(claimed, bundles, cuts));
        }),
        Box::new(|table| of_the_store_before(bench, bundles, table)),
        Box::new(|table| given_up_again(claimed, bundles, table)),
        Box::new(|table| of_signatures(claimed, bundles, table)),
    ]
}

fn of_signatures(claimed: &Claimed, bundles: &Bundles, table: &mut Table) {
    table.check("bundles cut, unsigned, of a stranger, older, of another board: refused", || {
        refused(claimed, bundles)
    });
    table.check(
        "another keyring comes by the old key; then the new key counts and the old one does not",
        || rotated(claimed, bundles),
    );
}

fn of_the_store_before(bench: &Bench, bundles: &Bundles, table: &mut Table) {
    let before = table.check("a box whose store has the format of the version before", || before(bench));
    let missing = || Failure::Wrong("there is no such box".to_owned());
    table.check(
        "an update that could encrypt the store fails its self-test: the version before reads what was written",
        || failed(before.as_ref().ok_or_else(missing)?, bundles),
    );
    let updated = table.check("an update passes its self-test, is kept, and encrypts the store", || {
        good(before.as_ref().ok_or_else(missing)?, bundles)
    });
    table.check("an older version is refused after the update, the version floor rose", || match &updated {
        Some((updated, machine)) => downgrade(updated, machine, bundles),
        None => Err(Failure::Wrong("there is no updated box".to_owned())),
    });
}

fn given_up_again(claimed: &Claimed, bundles: &Bundles, table: &mut Table) {
    let waiting =
        table.check("an update waits for its trial while the power is off", || waiting(claimed, bundles));
    let missing = || Failure::Wrong("there is no such box".to_owned());
    table.check("a root that rots before its trial restarts by itself, and the one before is back", || {
        rotten(waiting.as_ref().ok_or_else(missing)?)
    });
    table.check("a second start during a trial goes back to the version before", || {
        second_start(waiting.as_ref().ok_or_else(missing)?)
    });
}

fn administrator(claimed: &Claimed) -> Person<'_> {
    Person { folder: &claimed.device.folder, name: Some("administrator") }
}

fn apply(claimed: &Claimed, machine: &Machine, bundle: &Path, more: &[&str]) -> Result<Answer, Failure> {
    let path = bundle.display().to_string();
    administrator(claimed).call(machine, &[&["update", "apply", &path], more].concat())
}

fn status(claimed: &Claimed, machine: &Machine) -> Result<Value, Failure> {
    administrator(claimed).call(machine, &["update", "status"])?.expect(0, "asking for the state of updates")
}

/// The box runs this version, for good, and knows its people.
fn runs(claimed: &Claimed, machine: &mut Machine, version: &str) -> Result<(), Failure> {
    machine.wait_live(PATIENCE)?;
    let began = Instant::now();
    loop {
        let status = status(claimed, machine)?;
        if status["version"] == version && status["state"] != "trial" {
            break;
        }
        if began.elapsed() > PATIENCE {
            return Err(machine.fault(&format!("it does not run {version} for good: {status}")));
        }
        thread::sleep(Duration::from_millis(500));
    }
    claimed.verifies(machine)
}

fn refused(claimed: &Claimed, bundles: &Bundles) -> Result<(), Failure> {
    let twin = claimed.twin("refused")?;
    let mut machine = twin.device.start("")?;
    machine.wait_live(PATIENCE)?;
    for (bundle, word) in [
        (&bundles.truncated, "bundle"),
        (&bundles.unsigned, "bundle"),
        (&bundles.of_a_stranger, "sign"),
        (&bundles.of_another_board, "rpi4"),
        (&bundles.older, "0.0.9"),
    ] {
        let answer = apply(&twin, &machine, bundle, &[])?;
        let name = bundle.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if answer.code == 0 || !answer.said.contains(word) {
            return Err(machine.fault(&format!("{name} ended with code {}: {}", answer.code, answer.said)));
        }
    }
    runs(&twin, &mut machine, &running())
}

/// The version of the disk that is tested.
fn running() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Installs and restarts into the trial; gives the machine on trial. `words` are for the kernel of the version
/// before.
fn tried(claimed: &Claimed, bundle: &Path, words: &str, trial: &str) -> Result<Machine, Failure> {
    let mut machine = claimed.device.start(words)?;
    machine.wait_live(PATIENCE)?;
    apply(claimed, &machine, bundle, &[])?.expect(0, "applying the update")?;
    let ended = machine.wait(PATIENCE)?;
    if ended != (Ended::Restart { trial: true }) {
        return Err(machine.fault(&format!("it did not restart into a trial but ended by {ended:?}")));
    }
    claimed.device.start_as(true, trial)
}

/// A claimed box whose store is not encrypted: as it is under the version before.
fn before(bench: &Bench) -> Result<Claimed, Failure> {
    let device = bench.new_box("before")?;
    let mut machine = device.start(HOLD)?;
    machine.wait_live(PATIENCE)?;
    smoke::claim(&device, &mut machine)?;
    let subject = smoke::enrol(&device, &machine)?;
    let claimed = Claimed { device, subject };
    at_rest(&claimed, &machine, "not-encrypted")?;
    machine.cut();
    Ok(claimed)
}

/// Waits until the box protects what it stores like this: it may be starting anew.
fn at_rest(claimed: &Claimed, machine: &Machine, mode: &str) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        let health = administrator(claimed).call(machine, &["health"])?;
        if health.json["ready"]["at_rest"] == mode {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(machine.fault(&format!("it is not {mode}: {}", health.said)));
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// The trial serves, writes what the version before must read, and is given up because it does not ask to be kept.
fn failed(before: &Claimed, bundles: &Bundles) -> Result<(), Failure> {
    let twin = before.twin("failed")?;
    let mut trial = tried(&twin, &bundles.deaf, HOLD, SHORT_TRIAL)?;
    trial.wait_live(PATIENCE)?;
    twin.verifies(&trial)?;
    at_rest(&twin, &trial, "not-encrypted")?;
    let made = administrator(&twin).call(&trial, &["subject", "create", "Bob"])?;
    let made = made.expect(0, "creating a subject during the trial")?;
    let ended = trial.wait(PATIENCE)?;
    if ended != (Ended::Restart { trial: false }) {
        return Err(trial.fault(&format!("the trial ended by {ended:?}")));
    }
    let mut machine = twin.device.start(HOLD)?;
    runs(&twin, &mut machine, &running())?;
    at_rest(&twin, &machine, "not-encrypted")?;
    let subject = made["subject_id"].as_str().unwrap_or_default();
    administrator(&twin)
        .call(&machine, &["subject", "show", subject])?
        .expect(0, "showing the subject of the trial")
        .map(drop)
}

/// Gives the box under the new version, running.
fn good(before: &Claimed, bundles: &Bundles) -> Result<(Claimed, Machine), Failure> {
    let twin = before.twin("updated")?;
    let mut machine = tried(&twin, &bundles.good, HOLD, TRIAL)?;
    machine.wait_live(PATIENCE)?;
    at_rest(&twin, &machine, "key-file")?;
    runs(&twin, &mut machine, "0.2.0")?;
    let health = administrator(&twin).call(&machine, &["health"])?.expect(0, "asking for its health")?;
    if health["ready"]["snapshot"] != true {
        return Err(machine.fault(&format!("there is no snapshot: {health}")));
    }
    machine.cut();
    let mut machine = twin.device.start("")?;
    runs(&twin, &mut machine, "0.2.0")?;
    Ok((twin, machine))
}

fn rotated(claimed: &Claimed, bundles: &Bundles) -> Result<(), Failure> {
    let twin = claimed.twin("rotated")?;
    let mut machine = tried(&twin, &bundles.with_another_keyring, "", TRIAL)?;
    runs(&twin, &mut machine, ROTATED)?;
    let answer = apply(&twin, &machine, &bundles.later_by_the_old_key, &["--no-reboot"])?;
    if answer.code == 0 || !answer.said.contains("sign") {
        return Err(machine.fault(&format!("the old key: code {}: {}", answer.code, answer.said)));
    }
    apply(&twin, &machine, &bundles.later_by_the_new_key, &["--no-reboot"])?
        .expect(0, "the new key")
        .map(drop)
}

fn downgrade(updated: &Claimed, machine: &Machine, bundles: &Bundles) -> Result<(), Failure> {
    let answer = apply(updated, machine, &bundles.older, &[])?;
    if answer.code == 0 || !answer.said.contains("0.2.0") {
        return Err(machine.fault(&format!("it ended with code {}: {}", answer.code, answer.said)));
    }
    Ok(())
}

/// The trial ends by itself in a restart, and the version before is there again.
fn given_up(claimed: &Claimed, mut trial: Machine) -> Result<(), Failure> {
    let ended = trial.wait(PATIENCE)?;
    if ended != (Ended::Restart { trial: false }) {
        return Err(trial.fault(&format!("the trial ended by {ended:?}")));
    }
    let mut machine = claimed.device.start("")?;
    runs(claimed, &mut machine, &running())
}

/// A box in whose other slot an update waits.
fn waiting(claimed: &Claimed, bundles: &Bundles) -> Result<Claimed, Failure> {
    let twin = claimed.twin("waiting")?;
    let mut machine = twin.device.start("")?;
    machine.wait_live(PATIENCE)?;
    apply(&twin, &machine, &bundles.good, &["--no-reboot"])?.expect(0, "installing the update")?;
    machine.cut();
    Ok(twin)
}

fn rotten(waiting: &Claimed) -> Result<(), Failure> {
    let twin = waiting.twin("rotten")?;
    flip(&twin.device.disk, extent(&twin.device.disk, ROOT_B)?.from + 9)?;
    let trial = twin.device.start_as(true, TRIAL)?;
    given_up(&twin, trial)
}

fn second_start(waiting: &Claimed) -> Result<(), Failure> {
    let twin = waiting.twin("second-start")?;
    let trial = twin.device.start_as(true, TRIAL)?;
    // Sooner than it can pass its self-test.
    thread::sleep(Duration::from_secs(3));
    // The power goes during the trial: the firmware forgets that there was one.
    trial.cut();
    let mut machine = twin.device.start("")?;
    runs(&twin, &mut machine, &running())
}

/// Cuts at moments spread over an installation, each on the disk that the last one left: the start that
/// shows that a cut did no harm is the one that the next cut ends.
fn power(claimed: &Claimed, bundles: &Bundles, cuts: u32) -> Result<(), Failure> {
    let twin = claimed.twin("power")?;
    let mut machine = twin.device.start("")?;
    machine.wait_live(PATIENCE)?;
    let began = Instant::now();
    apply(&twin, &machine, &bundles.good, &["--no-reboot"])?.expect(0, "installing the update")?;
    let whole = began.elapsed();
    for cut in 0..cuts {
        // Golden ratio: moments that lie apart however many there are.
        let moment = whole.mul_f64((0.5 + f64::from(cut) * 0.618_034).fract());
        thread::scope(|scope| {
            let (twin, machine) = (&twin, &machine);
            // It fails when the power goes, or has ended before.
            scope.spawn(move || apply(twin, machine, &bundles.good, &["--no-reboot"]));
            thread::sleep(moment);
            machine.kill();
        });
        machine.cut();
        machine = twin.device.start("")?;
        runs(&twin, &mut machine, &running()).map_err(|why| {
            Failure::Wrong(format!("cut {cut}, after {:.1} s: {why}", moment.as_secs_f64()))
        })?;
    }
    Ok(())
}
