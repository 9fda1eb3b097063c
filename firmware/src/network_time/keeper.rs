//! Keeps the clock: asks the servers in turn, lets the discipline judge, and tells and remembers the outcome.
//!
//! Invariant: the mark that the clock was synchronised is made after the clock was set, never before; and what
//! is remembered over a restart is never later than what the clock showed.

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use tracing::{info, warn};

use super::{
    discipline::{Discipline, Doubt, Known, Measurement, Offset},
    measure::{self, AskError},
    report::{Report, Standing},
    servers::{self, TimeServer},
};
use crate::clock::{Clock, SystemClock, Timestamp};

/// Between rounds when all is well, as NTP's own clients at their slowest.
const USUAL: Duration = Duration::from_secs(1024);
/// Between the first rounds; doubled up to the usual as long as nobody answers.
const FIRST: Duration = Duration::from_secs(4);
/// A server that refuses is left alone for so long.
const REST: Duration = Duration::from_secs(3600);
/// A clock that ran by itself for longer is not synchronised any more.
const GOOD_FOR: Duration = Duration::from_secs(86_400);
/// How often the time is remembered.
const REMEMBER: Duration = Duration::from_secs(3600);

/// What the keeper needs of the machine.
pub trait Device {
    /// What the clock shows.
    fn now(&self) -> Timestamp;
    /// How long the machine has run, by a clock that nobody sets.
    fn uptime(&self) -> Duration;
    /// Asks a server how far it is ahead of the clock.
    ///
    /// # Errors
    /// [`AskError`].
    fn ask(&self, server: &TimeServer) -> Result<Measurement, AskError>;
    /// Moves the clock.
    ///
    /// # Errors
    /// It may not be, or it cannot show that.
    fn step(&self, by: Offset) -> io::Result<()>;
}

/// The machine that we run on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisMachine;

impl Device for ThisMachine {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn uptime(&self) -> Duration {
        Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
    }

    fn ask(&self, server: &TimeServer) -> Result<Measurement, AskError> {
        measure::ask(server)
    }

    fn step(&self, by: Offset) -> io::Result<()> {
        let out_of_range = || io::Error::from(io::ErrorKind::InvalidInput);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let change = Duration::from_millis(by.millis().unsigned_abs());
        let then = if by.millis() < 0 { now.checked_sub(change) } else { now.checked_add(change) };
        let then = Timespec::try_from(then.ok_or_else(out_of_range)?).map_err(|_| out_of_range())?;
        Ok(clock_settime(ClockId::Realtime, then)?)
    }
}

/// Where the keeper reads and writes.
#[derive(Clone, Debug)]
pub struct Files {
    /// Lists of servers; the first that names any is followed.
    pub servers: Vec<PathBuf>,
    /// What is told.
    pub report: PathBuf,
    /// Made when the clock has been set.
    pub synchronised: PathBuf,
    /// What the clock showed last, in seconds: where a box without a battery goes on.
    pub remembered: PathBuf,
    /// The last time that was known from servers, in seconds: what they say is not believed before it.
    pub certain: PathBuf,
    /// Nothing is remembered any more once this exists.
    pub forget: PathBuf,
}

/// The keeper.
pub struct Keeper<D> {
    device: D,
    files: Files,
    discipline: Discipline,
    list: Vec<TimeServer>,
    /// Servers that refused, and until when they are left alone.
    resting: HashMap<TimeServer, Duration>,
    /// The last time that a server was followed: by uptime, and what is told of it.
    last: Option<(Duration, Report)>,
    remembered: Option<Duration>,
    pause: Duration,
    due: Duration,
}

fn seconds(path: &PathBuf) -> Option<Timestamp> {
    let seconds: u64 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    Some(Timestamp::from_millis(seconds.saturating_mul(1000)))
}

impl<D: Device> Keeper<D> {
    /// Of a version that was built then.
    pub fn new(device: D, files: Files, built: Timestamp) -> Self {
        let discipline = Discipline::new(Known { built, last: seconds(&files.certain) });
        Self {
            device,
            files,
            discipline,
            list: Vec::new(),
            resting: HashMap::new(),
            last: None,
            remembered: None,
            pause: FIRST,
            due: Duration::ZERO,
        }
    }

    /// Does what is due. To be called every few seconds: servers come with the network.
    ///
    /// # Errors
    /// What is to be told or remembered cannot be written.
    pub fn tick(&mut self) -> io::Result<()> {
        let list = self.files.servers.iter().map(|path| servers::read(path)).find(|list| !list.is_empty());
        let list = list.unwrap_or_default();
        let uptime = self.device.uptime();
        if list != self.list || (list.is_empty() && self.due == Duration::ZERO) {
            self.list = list;
            (self.pause, self.due) = (FIRST, uptime);
        }
        if uptime >= self.due {
            let report = self.round();
            self.due = self.device.uptime() + self.pause;
            report.write(&self.files.report)?;
        }
        self.remember()
    }

    /// Asks everybody once.
    fn round(&mut self) -> Report {
        if self.list.is_empty() {
            self.pause = USUAL;
            return self.standing(
                "no time server is known: the network offers none; name some in network.toml".to_owned(),
            );
        }
        match self.follow() {
            Ok(report) => {
                self.pause = USUAL;
                report
            }
            Err(why) => {
                warn!(%why, "the clock is not set");
                self.pause = (self.pause * 2).min(USUAL);
                self.standing(why)
            }
        }
    }

    fn follow(&mut self) -> Result<Report, String> {
        let (answered, silent) = self.ask_all();
        let measured: Vec<Measurement> = answered.iter().map(|(_, measurement)| *measurement).collect();
        let verdict = self.discipline.judge(&measured, self.device.now(), self.device.uptime());
        let verdict = verdict.map_err(|why| match why {
            Doubt::Nobody if !silent.is_empty() => silent.join("; "),
            other => other.to_string(),
        })?;
        if let Some(by) = verdict.step {
            self.device.step(by).map_err(|why| format!("the clock cannot be set: {why}"))?;
            info!(%by, "the clock was set");
        }
        let uptime = self.device.uptime();
        self.discipline.followed(&verdict, uptime);
        fs::write(&self.files.synchronised, "").map_err(|why| why.to_string())?;
        let report = Report {
            standing: Standing::Synchronised,
            at: Some(self.device.now()),
            server: answered.get(verdict.of).map(|(server, _)| server.to_string()),
            offset_ms: Some(verdict.offset.millis()),
            why: None,
        };
        if self.last.is_none() {
            info!(server = report.server, offset = %verdict.offset, "the clock is synchronised");
            // The time that is remembered may have been wrong until now.
            self.remembered = None;
        }
        self.last = Some((uptime, report.clone()));
        Ok(report)
    }

    fn ask_all(&mut self) -> (Vec<(TimeServer, Measurement)>, Vec<String>) {
        let uptime = self.device.uptime();
        self.resting.retain(|_, until| *until > uptime);
        let (mut answered, mut silent) = (Vec::new(), Vec::new());
        for server in &self.list {
            if self.resting.contains_key(server) {
                silent.push(format!("{server}: it refused to answer and is left alone"));
                continue;
            }
            match self.device.ask(server) {
                Ok(measurement) => answered.push((server.clone(), measurement)),
                Err(why) => {
                    if matches!(why, AskError::Unwanted(_)) {
                        self.resting.insert(server.clone(), uptime + REST);
                    }
                    silent.push(format!("{server}: {why}"));
                }
            }
        }
        (answered, silent)
    }

    /// How things are when nobody was followed now.
    fn standing(&self, why: String) -> Report {
        let Some((at, last)) = &self.last else { return Report::unsynchronised(why) };
        let mut report = Report { why: Some(why), ..last.clone() };
        if self.device.uptime().saturating_sub(*at) > GOOD_FOR {
            report.standing = Standing::Unsynchronised;
        }
        report
    }

    /// A box whose power is cut goes on from here.
    fn remember(&mut self) -> io::Result<()> {
        let uptime = self.device.uptime();
        let due = self.remembered.is_none_or(|last| uptime.saturating_sub(last) >= REMEMBER);
        if !due || self.files.forget.exists() {
            return Ok(());
        }
        self.remembered = Some(uptime);
        let now = self.device.now();
        save(&self.files.remembered, now)?;
        let certain = self.last.as_ref().is_some_and(|(at, _)| uptime.saturating_sub(*at) <= GOOD_FOR);
        if certain { save(&self.files.certain, now) } else { Ok(()) }
    }
}

/// Durable, and the old one or the new one whenever the power goes.
fn save(path: &PathBuf, moment: Timestamp) -> io::Result<()> {
    let part = path.with_extension("part");
    fs::write(&part, format!("{}\n", moment.millis() / 1000))?;
    fs::File::open(&part)?.sync_all()?;
    fs::rename(&part, path)
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::VecDeque, path::Path, rc::Rc};

    use super::*;

    const BUILT: u64 = 1_793_491_200_000;

    /// A machine whose servers say what a test wrote down.
    #[derive(Clone, Default)]
    struct Scripted(Rc<RefCell<Script>>);

    #[derive(Default)]
    struct Script {
        clock: u64,
        uptime: Duration,
        answers: HashMap<String, VecDeque<Result<i64, AskError>>>,
        asked: Vec<String>,
        fails: bool,
    }

    impl Device for Scripted {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.borrow().clock)
        }

        fn uptime(&self) -> Duration {
            self.0.borrow().uptime
        }

        fn ask(&self, server: &TimeServer) -> Result<Measurement, AskError> {
            let mut script = self.0.borrow_mut();
            let name = server.to_string();
            script.asked.push(name.clone());
            let answer = script.answers.get_mut(&name).and_then(VecDeque::pop_front);
            let offset = answer.unwrap_or_else(|| Err(AskError::Answer("silence".to_owned())))?;
            Ok(Measurement { offset: Offset::from_millis(offset), delay: Duration::from_millis(5) })
        }

        fn step(&self, by: Offset) -> io::Result<()> {
            let mut script = self.0.borrow_mut();
            if script.fails {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            script.clock = script.clock.saturating_add_signed(by.millis());
            Ok(())
        }
    }

    struct Bench {
        folder: tempfile::TempDir,
        device: Scripted,
        keeper: Keeper<Scripted>,
    }

    fn files(folder: &Path) -> Files {
        let at = |name: &str| folder.join(name);
        Files {
            servers: vec![at("told"), at("offered")],
            report: at("clock.json"),
            synchronised: at("synchronised"),
            remembered: at("clock"),
            certain: at("certain"),
            forget: at("forget"),
        }
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let device = Scripted::default();
            device.0.borrow_mut().clock = BUILT;
            let keeper = Keeper::new(device.clone(), files(folder.path()), Timestamp::from_millis(BUILT));
            Self { folder, device, keeper }
        }

        fn put(&self, name: &str, text: &str) {
            fs::write(self.folder.path().join(name), text).unwrap();
        }

        fn get(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.folder.path().join(name)).ok()
        }

        fn says(&self, server: &str, answer: Result<i64, AskError>) {
            self.device.0.borrow_mut().answers.entry(server.to_owned()).or_default().push_back(answer);
        }

        fn asked(&self) -> usize {
            self.device.0.borrow().asked.len()
        }

        /// Time passes, and the keeper is called as its program calls it.
        fn pass(&mut self, seconds: u64) -> Report {
            for _ in 0..seconds.div_ceil(5) {
                self.keeper.tick().unwrap();
                let mut script = self.device.0.borrow_mut();
                script.uptime += Duration::from_secs(5);
                script.clock += 5000;
            }
            Report::read(&self.folder.path().join("clock.json")).unwrap()
        }
    }

    #[test]
    fn without_a_server_health_is_told_what_to_do_and_the_time_is_remembered_all_the_same() {
        let mut bench = Bench::new();
        let report = bench.pass(5);
        assert_eq!(report.standing, Standing::Unsynchronised);
        assert!(report.why.unwrap().contains("network.toml"));
        assert_eq!(bench.get("clock").as_deref(), Some("1793491200\n"));
        assert_eq!((bench.get("certain"), bench.get("synchronised")), (None, None));
    }

    #[test]
    fn servers_that_come_with_the_network_are_asked_at_once_and_followed() {
        let mut bench = Bench::new();
        bench.pass(60);
        bench.put("offered", "10.0.0.1\n");
        bench.says("10.0.0.1", Ok(86_400_000));
        let report = bench.pass(5);
        assert_eq!((report.standing, report.server.as_deref()), (Standing::Synchronised, Some("10.0.0.1")));
        assert_eq!(report.at, Some(Timestamp::from_millis(BUILT + 60_000 + 86_400_000)));
        let certain = "1793577660\n";
        assert_eq!(bench.get("certain").as_deref(), Some(certain));
        assert_eq!(bench.get("clock").as_deref(), Some(certain), "what was remembered before was wrong");
        assert!(bench.get("synchronised").is_some());
    }

    #[test]
    fn the_administrators_servers_come_before_the_networks() {
        let mut bench = Bench::new();
        bench.put("offered", "10.0.0.1\n");
        bench.put("told", "ntp.example.com\n");
        bench.pass(5);
        assert_eq!(bench.device.0.borrow().asked, ["ntp.example.com"]);
    }

    #[test]
    fn silent_servers_are_asked_less_and_less_often_and_the_report_says_why() {
        let mut bench = Bench::new();
        bench.put("offered", "10.0.0.1\n");
        let report = bench.pass(60);
        assert_eq!(report.why.as_deref(), Some("10.0.0.1: silence"));
        assert!((3..=5).contains(&bench.asked()), "{}", bench.asked());
        let before = bench.asked();
        bench.pass(36_000);
        assert!(bench.asked() - before < 50, "{}", bench.asked());
    }

    #[test]
    fn a_server_that_refuses_is_left_alone_for_an_hour() {
        let mut bench = Bench::new();
        bench.put("offered", "10.0.0.1\n");
        bench.says("10.0.0.1", Err(AskError::Unwanted("RateExceeded".to_owned())));
        let report = bench.pass(3500);
        assert_eq!(bench.asked(), 1);
        assert!(report.why.unwrap().contains("left alone"));
        bench.says("10.0.0.1", Ok(0));
        assert_eq!(bench.pass(2500).standing, Standing::Synchronised);
    }

    #[test]
    fn a_clock_that_runs_by_itself_for_a_day_is_not_synchronised_any_more() {
        let mut bench = Bench::new();
        bench.put("offered", "10.0.0.1\n");
        bench.says("10.0.0.1", Ok(0));
        bench.pass(5);
        let report = bench.pass(80_000);
        assert_eq!(
            (report.standing, report.why.as_deref()),
            (Standing::Synchronised, Some("10.0.0.1: silence"))
        );
        let report = bench.pass(10_000);
        assert_eq!((report.standing, report.server.as_deref()), (Standing::Unsynchronised, Some("10.0.0.1")));
    }

    #[test]
    fn a_clock_that_cannot_be_set_is_not_called_synchronised() {
        let mut bench = Bench::new();
        bench.device.0.borrow_mut().fails = true;
        bench.put("offered", "10.0.0.1\n");
        bench.says("10.0.0.1", Ok(5000));
        let report = bench.pass(5);
        assert_eq!((report.standing, bench.get("synchronised")), (Standing::Unsynchronised, None));
    }

    #[test]
    fn what_was_known_for_certain_bounds_the_next_start_until_it_is_forgotten() {
        let mut bench = Bench::new();
        let known = BUILT / 1000 + 30 * 86_400;
        bench.put("certain", &format!("{known}\n"));
        bench.put("offered", "10.0.0.1\n");
        for certain in [true, false] {
            if !certain {
                fs::remove_file(bench.folder.path().join("certain")).unwrap();
            }
            let files = files(bench.folder.path());
            bench.keeper = Keeper::new(bench.device.clone(), files, Timestamp::from_millis(BUILT));
            bench.says("10.0.0.1", Ok(86_400_000));
            let report = bench.pass(5);
            assert_eq!(report.standing == Standing::Unsynchronised, certain, "{report:?}");
            assert_eq!(report.why.is_some_and(|why| why.contains("'clock'")), certain);
        }
    }

    #[test]
    fn nothing_is_remembered_once_the_box_is_to_forget() {
        let mut bench = Bench::new();
        bench.put("forget", "");
        bench.pass(7200);
        assert_eq!(bench.get("clock"), None);
    }
}
