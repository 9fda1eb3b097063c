//! The clock's keeper with servers on the loopback: a real one (chrony), and some that nobody should believe.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use authenteon::{
    clock::{Clock, SystemClock, Timestamp},
    network_time::{
        discipline::{Measurement, Offset},
        keeper::{Device, Files, Keeper},
        measure::{self, AskError},
        report::{Report, Standing},
        servers::TimeServer,
    },
};

const DAY: i64 = 86_400_000;
/// Clocks of one machine, measured over its loopback on a busy day.
const NEAR: i64 = 400;

/// A machine whose clock is the host's, and some time behind it: nobody sets the host's clock.
#[derive(Clone)]
struct Behind(Arc<Mutex<i64>>);

impl Device for Behind {
    fn now(&self) -> Timestamp {
        Offset::from_millis(-*self.0.lock().unwrap()).after(SystemClock.now())
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn ask(&self, server: &TimeServer) -> Result<Measurement, AskError> {
        let measured = measure::ask(server)?;
        let offset = Offset::from_millis(measured.offset.millis() + *self.0.lock().unwrap());
        Ok(Measurement { offset, ..measured })
    }

    fn step(&self, by: Offset) -> std::io::Result<()> {
        *self.0.lock().unwrap() -= by.millis();
        Ok(())
    }
}

/// The keeper's one look at these servers, with a clock that is so far behind: how far it is then.
fn kept(servers: &[SocketAddr], behind: i64) -> (Report, i64) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let list: Vec<String> = servers.iter().map(ToString::to_string).collect();
    fs::write(at("servers"), list.join("\n")).unwrap();
    let files = Files {
        servers: vec![at("servers")],
        report: at("report"),
        synchronised: at("synchronised"),
        remembered: at("clock"),
        certain: at("certain"),
        forget: at("forget"),
    };
    let device = Behind(Arc::new(Mutex::new(behind)));
    let built = Offset::from_millis(-3000 * DAY).after(SystemClock.now());
    Keeper::new(device.clone(), files, built).tick().unwrap();
    let report = Report::read(&at("report")).unwrap();
    assert_eq!(report.standing == Standing::Synchronised, at("synchronised").exists());
    let behind = *device.0.lock().unwrap();
    (report, behind)
}

/// chrony wants a name and no number.
fn name_of_this_user() -> String {
    let said = Command::new("id").arg("-un").output().unwrap().stdout;
    String::from_utf8(said).unwrap().trim().to_owned()
}

/// chrony, which serves this host's time and leaves its clock alone.
struct Chrony {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Chrony {
    fn start() -> Option<Self> {
        let program = ["/usr/sbin/chronyd", "/usr/bin/chronyd"].into_iter().find(|p| Path::new(p).exists());
        let Some(program) = program else {
            eprintln!("skipped: chronyd is not installed (apt-get install chrony)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let configuration = folder.path().join("chrony.conf");
        let text = format!(
            "local stratum 5\nallow 127.0.0.1\nbindaddress 127.0.0.1\nport {}\ncmdport 0\npidfile {}\n",
            address.port(),
            folder.path().join("pid").display()
        );
        fs::write(&configuration, text).unwrap();
        let user = name_of_this_user();
        let child = Command::new(program)
            .args(["-x", "-d", "-u", &user, "-f"])
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, address, _folder: folder };
        let began = Instant::now();
        let name = address.to_string().parse().unwrap();
        while let Err(why) = measure::ask(&name) {
            assert!(began.elapsed() < Duration::from_secs(20), "chronyd does not serve: {why}");
            thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }
}

impl Drop for Chrony {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds since 1900 and their fractions, as NTP has them.
fn ntp(ahead_millis: i64) -> [u8; 8] {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let millis = since.as_millis() as i64 + ahead_millis + 2_208_988_800_000;
    let seconds = (millis / 1000) as u64;
    let fraction = ((millis % 1000) as u64) * (1 << 32) / 1000;
    ((seconds << 32) | fraction).to_be_bytes()
}

/// A correct answer of somebody who is so far ahead.
fn answer(request: &[u8], ahead_millis: i64) -> Vec<u8> {
    let mut reply = vec![0; 48];
    reply[..4].copy_from_slice(&[0x24, 2, 6, 0xEC]);
    reply[12..16].copy_from_slice(&[10, 0, 0, 1]);
    reply[16..24].copy_from_slice(&ntp(ahead_millis));
    reply[24..32].copy_from_slice(&request[40..48]);
    reply[32..40].copy_from_slice(&ntp(ahead_millis));
    reply[40..48].copy_from_slice(&ntp(ahead_millis));
    reply
}

/// A server that answers as it likes, for as long as the test runs.
fn server(mut says: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut request = [0; 1024];
        while let Ok((length, from)) = socket.recv_from(&mut request) {
            if let Some(reply) = says(&request[..length]) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    address
}

fn ahead(millis: i64) -> SocketAddr {
    server(move |request| Some(answer(request, millis)))
}

/// One whose answer is spoilt.
fn spoilt(spoil: fn(&mut Vec<u8>)) -> SocketAddr {
    server(move |request| {
        let mut reply = answer(request, 0);
        spoil(&mut reply);
        Some(reply)
    })
}

#[test]
fn a_box_that_is_months_behind_takes_the_time_of_a_real_server() {
    let Some(chrony) = Chrony::start() else { return };
    let (report, behind) = kept(&[chrony.address], 200 * DAY);
    assert_eq!(report.standing, Standing::Synchronised, "{report:?}");
    assert!(behind.abs() < NEAR, "{behind} ms behind: {report:?}");
    assert_eq!(report.server, Some(chrony.address.to_string()));
}

#[test]
fn a_real_server_and_a_liar_are_both_not_believed_and_two_real_ones_outvote_him() {
    let (Some(one), Some(two)) = (Chrony::start(), Chrony::start()) else { return };
    let liar = ahead(300 * DAY);
    let (report, behind) = kept(&[liar, one.address], 200 * DAY);
    assert_eq!((report.standing, behind), (Standing::Unsynchronised, 200 * DAY));
    assert!(report.why.unwrap().contains("do not agree"));
    let (report, behind) = kept(&[liar, one.address, two.address], 200 * DAY);
    assert!(report.standing == Standing::Synchronised && behind.abs() < NEAR, "{behind}: {report:?}");
}

#[test]
fn answers_that_are_none_are_not_believed_and_named() {
    let cases: [(SocketAddr, &str); 8] = [
        (spoilt(|reply| reply.truncate(47)), "short"),
        (spoilt(Vec::clear), "short"),
        (spoilt(|reply| reply[0] |= 0xC0), "synchronized"),
        (spoilt(|reply| reply[1] = 16), "synchronized"),
        (spoilt(|reply| reply[31] ^= 1), "riginate"),
        (spoilt(|reply| reply[40..48].fill(0)), "no sense"),
        (spoilt(|reply| reply[0] = 0x23), "ode"),
        (spoilt(|reply| reply.fill(0xFF)), ""),
    ];
    for (address, word) in cases {
        let (report, behind) = kept(&[address], DAY);
        let why = report.why.clone().unwrap_or_default();
        assert_eq!((report.standing, behind), (Standing::Unsynchronised, DAY), "{report:?}");
        assert!(why.starts_with(&format!("{address}: ")) && why.contains(word), "{why}");
    }
}

#[test]
fn a_server_that_does_not_want_to_be_asked_is_known_as_such() {
    let refusing = spoilt(|reply| {
        reply[1] = 0;
        reply[12..16].copy_from_slice(b"RATE");
    });
    assert!(matches!(measure::ask(&refusing.to_string().parse().unwrap()), Err(AskError::Unwanted(_))));
}

#[test]
fn a_time_that_has_passed_or_is_ten_years_away_is_not_taken_though_all_agree() {
    for lie in [-4000 * DAY, 4000 * DAY] {
        let (report, behind) = kept(&[ahead(lie), ahead(lie)], 0);
        assert_eq!((report.standing, behind), (Standing::Unsynchronised, 0), "{report:?}");
        assert!(report.why.unwrap().contains("the time servers say"));
    }
}

#[test]
fn a_server_that_says_nothing_costs_two_seconds_and_is_named() {
    let silent = server(|_| None);
    let began = Instant::now();
    let (report, _) = kept(&[silent], 0);
    assert!(report.why.unwrap().contains("does not answer"));
    assert!(began.elapsed() < Duration::from_secs(10));
}
