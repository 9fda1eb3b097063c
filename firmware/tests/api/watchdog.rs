//! What restarts a daemon that hangs is told that it does not: systemd, and the machine's watchdog.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::support::Daemon;

/// Messages until one has this line, and all of them.
fn until(socket: &UnixDatagram, line: &str) -> Vec<String> {
    let began = Instant::now();
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while began.elapsed() < Duration::from_secs(60) {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        said.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        if said.last().unwrap().lines().any(|said| said == line) {
            return said;
        }
    }
    panic!("{line} was not said: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_of_the_start_of_a_live_daemon_and_of_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let pulse = folder.path().join("pulse");
    let mut daemon = Daemon::with_environment(
        &format!("[watchdog]\ndevice = {pulse:?}\nevery-seconds = 1\n"),
        &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "900000")],
    );
    let start = until(&socket, "READY=1");
    assert!(start.last().unwrap().contains("STATUS=operational"), "{start:?}");
    until(&socket, "WATCHDOG=1");
    // Three times in the time that systemd waits: well before a second.
    let began = Instant::now();
    until(&socket, "WATCHDOG=1");
    until(&socket, "WATCHDOG=1");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());

    let first = fs::read_to_string(&pulse).unwrap();
    let began = Instant::now();
    while fs::read_to_string(&pulse).unwrap_or_default() == first {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    daemon.hang_up();
    let again = until(&socket, "RELOADING=1");
    assert!(again.last().unwrap().contains("MONOTONIC_USEC="), "{again:?}");
    until(&socket, "READY=1");
    daemon.terminate();
    until(&socket, "STOPPING=1");
    assert!(daemon.wait().success());
    assert_eq!(
        fs::read_to_string(&pulse).unwrap(),
        "",
        "who feeds by this file would miss a daemon that was stopped"
    );
}

/// The appliance's script, with a file in the place of the device.
struct Feeder(Child);

impl Drop for Feeder {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the device was fed again, or gives up after so long.
async fn fed(device: &Path, patience: Duration) -> bool {
    let meals = || fs::metadata(device).map_or(0, |about| about.len());
    let (before, began) = (meals(), Instant::now());
    while began.elapsed() < patience {
        if meals() > before {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn the_appliance_feeds_its_watchdog_while_the_daemon_turns_and_not_while_it_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let (device, pulse) = (folder.path().join("device"), folder.path().join("pulse"));
    fs::write(&device, "").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../buildroot/board/authenteon/common/rootfs-overlay/usr/sbin/authenteon-watchdog");
    let _feeder =
        Feeder(Command::new("sh").arg(script).args([&device, &pulse]).args(["0.2", "15"]).spawn().unwrap());
    assert!(fed(&device, Duration::from_secs(30)).await, "a box whose daemon has not started yet is fed");
    let mut daemon = Daemon::with(&format!("[watchdog]\ndevice = {pulse:?}\nevery-seconds = 1\n"));
    assert!(fed(&device, Duration::from_secs(30)).await);
    daemon.freeze();
    let began = Instant::now();
    // Its patience is three seconds; then nothing comes any more.
    while fed(&device, Duration::from_secs(2)).await {
        assert!(began.elapsed() < Duration::from_secs(60), "a daemon that hangs is fed for");
    }
    daemon.thaw();
    assert!(fed(&device, Duration::from_secs(30)).await, "it came round again");
    assert_eq!(daemon.end(), Some(0));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(fed(&device, Duration::from_secs(30)).await, "a daemon that was stopped is not missed");
}
