//! A box without a battery: what it believes of the time, and of who tells it.

use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use super::{
    Bench,
    box_under_test::{PATIENCE, TestBox},
    clients::Person,
    smoke,
    table::Table,
};
use crate::{
    failure::{Failure, at, run},
    machine::{Machine, Network},
};

/// Where a time server is, if one is installed.
const PROGRAMS: [&str; 2] = ["/usr/sbin/chronyd", "/usr/bin/chronyd"];
/// What a board's clock shows when its power comes.
const POWER_ON: &str = "1970-01-02";
/// The box asks, and is asked, a moment later.
const NEAR: Duration = Duration::from_secs(5);

/// One box, from its first start on.
pub(super) fn all(bench: &Bench, table: &mut Table) {
    let device = table
        .check("a clock at 1970 is moved to the day of the image, and certificates are good", || {
            without_servers(bench)
        });
    let Some(mut device) = device else { return };
    let Some(program) = PROGRAMS.iter().map(Path::new).find(|path| path.exists()) else {
        table
            .figure("a time server", "skipped: chronyd is not installed (apt-get install chrony)".to_owned());
        return;
    };
    table.check("the clock follows a time server, and goes on from there without it", || {
        with_a_server(&mut device, program)
    });
}

fn without_servers(bench: &Bench) -> Result<TestBox, Failure> {
    let mut device = bench.new_box("clock")?;
    device.clock = Some(POWER_ON);
    let mut machine = device.start("")?;
    machine.wait_live(PATIENCE)?;
    machine.wait_for("init: the clock stood at", PATIENCE)?;
    smoke::claim(&device, &mut machine)?;
    smoke::enrol(&device, &machine)?;
    let clock = clock_of(&device, &machine, |clock| clock["why"].to_string().contains("network.toml"))?;
    if clock["state"] != "unsynchronised" {
        return Err(machine.fault(&format!("its clock: {clock}")));
    }
    Ok(device)
}

fn with_a_server(device: &mut TestBox, program: &Path) -> Result<(), Failure> {
    let server = TimeServer::start(program, &device.folder)?;
    device.put("network.toml", &format!("version = 1\ntime = [\"10.0.2.2:{}\"]\n", server.port))?;
    device.network = Network::Host;
    let mut machine = device.start("")?;
    machine.wait_live(PATIENCE)?;
    let clock = clock_of(device, &machine, |clock| clock["state"] == "synchronised")?;
    let (shows, here) = (seconds_of(&clock), now());
    if shows.abs_diff(here) > NEAR.as_secs() {
        return Err(machine.fault(&format!("it is {here} and the box shows {clock}")));
    }
    machine.cut();
    // Nobody tells the time any more: it goes on from what it remembers, and says that it does not know.
    drop(server);
    let mut machine = device.start("")?;
    machine.wait_live(PATIENCE)?;
    let clock = clock_of(device, &machine, |clock| clock["why"].is_string())?;
    if clock["state"] != "unsynchronised" || seconds_of(&clock) < shows {
        return Err(machine.fault(&format!("it knew {shows} and shows {clock}")));
    }
    Ok(())
}

/// How its clock is, as soon as it is so.
fn clock_of(device: &TestBox, machine: &Machine, so: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
    let administrator = Person { folder: &device.folder, name: Some("administrator") };
    let began = Instant::now();
    loop {
        let health = administrator.call(machine, &["health"])?.expect(0, "asking for its health")?;
        let clock = &health["ready"]["clock"];
        if so(clock) {
            return Ok(clock.clone());
        }
        if began.elapsed() > PATIENCE {
            return Err(machine.fault(&format!("its clock stays {clock}")));
        }
        thread::sleep(Duration::from_millis(500));
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What the box shows, in seconds since 1970.
fn seconds_of(clock: &Value) -> u64 {
    let text = clock["now"].as_str().unwrap_or_default();
    let parsed = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    parsed.ok().and_then(|moment| u64::try_from(moment.unix_timestamp()).ok()).unwrap_or(0)
}

/// A real time server on this host's loopback, which leaves this host's clock alone.
struct TimeServer {
    child: Child,
    port: u16,
}

impl TimeServer {
    fn start(program: &Path, folder: &Path) -> Result<Self, Failure> {
        // Free a moment ago.
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = port.map_err(at(folder))?.port();
        let configuration = folder.join("chrony.conf");
        let text = format!(
            "local stratum 5\nallow 127.0.0.1\nbindaddress 127.0.0.1\nport {port}\ncmdport 0\npidfile {}\n",
            folder.join("chronyd.pid").display()
        );
        fs::write(&configuration, text).map_err(at(&configuration))?;
        let user = run(Command::new("id").arg("-un"))?;
        let mut command = Command::new(program);
        command.args(["-x", "-d", "-u", user.trim(), "-f"]).arg(&configuration);
        let child =
            command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().map_err(at(&configuration))?;
        Ok(Self { child, port })
    }
}

impl Drop for TimeServer {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
