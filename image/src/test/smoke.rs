//! From flashing to a verified finger, and the figures of it.

use std::time::Duration;

use super::{
    Bench,
    box_under_test::{PATIENCE, TestBox},
    clients::{Person, call_plain, fresh_print, print},
    table::Table,
};
use crate::{board::Board, build::Built, failure::Failure, machine::Machine};

/// What `authenteonctl` ends with when nobody is accepted.
const NOT_ACCEPTED: i32 = 4;

/// A box that was claimed, with somebody enrolled.
pub(super) struct Claimed {
    pub(super) device: TestBox,
    pub(super) subject: String,
}

impl Claimed {
    /// A machine with a copy of its disk.
    pub(super) fn twin(&self, name: &str) -> Result<Self, Failure> {
        Ok(Self { device: self.device.twin(name)?, subject: self.subject.clone() })
    }

    /// The right finger is accepted, laid down a second time if need be, and another one is not.
    pub(super) fn verifies(&self, machine: &Machine) -> Result<(), Failure> {
        let desk = Person { folder: &self.device.folder, name: Some("desk") };
        let lays_down = || desk.call(machine, &["verify", &self.subject, &fresh_print(&self.device.folder)?]);
        let first = lays_down()?;
        let answer = if first.code == NOT_ACCEPTED { lays_down()? } else { first };
        answer.expect(0, "verifying the right finger")?;
        desk.call(machine, &["verify", &self.subject, &print(126, 4)])?
            .expect(NOT_ACCEPTED, "verifying a wrong finger")?;
        Ok(())
    }
}

pub(super) fn all(bench: &Bench, table: &mut Table) -> Result<Option<Claimed>, Failure> {
    let device = bench.new_box("smoke")?;
    let mut first = None;
    let machine = table.check("the first boot ends at a box that waits to be claimed", || {
        let mut machine = device.start("authenteon.golden authenteon.report")?;
        first = Some(machine.wait_live(PATIENCE)?);
        Ok(machine)
    });
    let Some(mut machine) = machine else { return Ok(None) };
    table.figure("first boot to an answering 3411 (s)", seconds(first));
    table.check("templates, scores and searches by NEON on aarch64 are those of x86-64", || {
        machine.wait_for("the same as on x86-64", PATIENCE)
    });
    table.figure(
        "a search among 4100 by NEON, as it is emulated",
        machine.console.after("search among 4100 by Neon:").unwrap_or_default(),
    );
    let claimed = table.check("claimed by its code; a station enrols; a finger is enrolled", || {
        claim(&device, &mut machine)?;
        enrol(&device, &machine)
    });
    let Some(subject) = claimed else { return Ok(None) };
    let claimed = Claimed { device, subject };
    table.check("the right finger is accepted over 3411, a wrong one is not", || claimed.verifies(&machine));
    table.check("health says that an image is for tests", || {
        let administrator = Person { folder: &claimed.device.folder, name: Some("administrator") };
        let health = administrator.call(&machine, &["health"])?.expect(0, "asking for its health")?;
        match health["live"]["image"].as_str() {
            Some(image) if image.starts_with("TEST") => Ok(()),
            _ => Err(machine.fault(&format!("it says {health}"))),
        }
    });
    table.check("the memory of the daemon is reported", || {
        machine.wait_for("report: authenteond VmRSS", PATIENCE)
    });
    table.figure(
        "memory of the daemon, idle",
        machine.console.after("report: authenteond VmRSS").unwrap_or_default(),
    );
    // Power is cut, not switched off: what was answered must be there.
    machine.cut();
    table.check("after a power cut the finger is still accepted", || {
        let mut machine = claimed.device.start("")?;
        machine.wait_live(PATIENCE)?;
        claimed.verifies(&machine)
    });
    Ok(Some(claimed))
}

/// Seconds from the start to an answer, each on a claimed box.
pub(super) fn boot_times(claimed: &Claimed, table: &mut Table) {
    let mut times = Vec::new();
    table.check("five boots of a claimed box", || {
        for _ in 0..5 {
            let mut machine = claimed.device.start("")?;
            times.push(machine.wait_live(PATIENCE)?);
        }
        Ok(())
    });
    times.sort();
    let middle = times.get(times.len() / 2).copied();
    table.figure("boot of a claimed box to an answering 3411, median of five (s)", seconds(middle));
}

pub(super) fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "not measured".to_owned(), |time| format!("{:.1}", time.as_secs_f64()))
}

/// Claims a box by what its console shows.
pub(super) fn claim(device: &TestBox, machine: &mut Machine) -> Result<(), Failure> {
    machine.wait_for("Claim it with:", PATIENCE)?;
    machine.wait_for("--code", PATIENCE)?;
    let word = |mark: &str| {
        let rest = machine.console.after(mark)?;
        rest.split_whitespace().next().map(str::to_owned)
    };
    let (Some(digest), Some(code)) = (word("--ca-sha256"), word("--code")) else {
        return Err(machine.fault("the console shows no claim code"));
    };
    claim_with(device, machine, &digest, &code)
}

/// Claims a box with a code that is known.
pub(super) fn claim_with(
    device: &TestBox,
    machine: &Machine,
    digest: &str,
    code: &str,
) -> Result<(), Failure> {
    let url = format!("https://127.0.0.1:{}", machine.port);
    let folder = device.folder.display().to_string();
    let words = ["claim", "--url", &url, "--ca-sha256", digest, "--code", code, "--out", &folder];
    call_plain(&words)?.expect(0, "claiming")?;
    Ok(())
}

/// Makes a station and enrols a finger; gives the subject.
pub(super) fn enrol(device: &TestBox, machine: &Machine) -> Result<String, Failure> {
    let folder = device.folder.display().to_string();
    let administrator = Person { folder: &device.folder, name: Some("administrator") };
    administrator
        .call(machine, &["station", "add", "desk", "--role", "station", "--out", &folder])?
        .expect(0, "adding a station")?;
    let made = administrator.call(machine, &["subject", "create", "Ada"])?.expect(0, "creating a subject")?;
    let subject = made["subject_id"].as_str().unwrap_or_default().to_owned();
    let [one, two, three] = [1, 2, 3].map(|impression| print(125, impression));
    administrator
        .call(machine, &["finger", "enrol", &subject, "right-index", &one, &two, &three])?
        .expect(0, "enrolling")?;
    Ok(subject)
}

/// The same root on the Pi's layout.
pub(super) fn raspi(bench: &Bench, built: &Built, table: &mut Table) -> Result<(), Failure> {
    let device = bench.box_of("raspi3b", Board::Pi, &built.disk)?;
    let mut live = None;
    table.check("the same root boots as raspi3b to an answering 3411", || {
        let mut machine = device.start("")?;
        live = Some(machine.wait_live(PATIENCE)?);
        Ok(())
    });
    table.figure("raspi3b, first boot to an answering 3411 (s)", seconds(live));
    Ok(())
}
