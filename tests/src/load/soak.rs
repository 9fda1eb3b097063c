//! A long working day in minutes: verifications of many clients, and whatever goes wrong on a network meanwhile.
//!
//! Invariant: each decision that was answered is in the audit once, whatever happened around it; what the daemon holds
//! (memory, descriptors) after many requests is what it held after half of them, when what it remembers is full.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyper::{Method, StatusCode};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Http, LoadError, Sample,
    client::{Client, Connection},
    daemon::{Daemon, build},
    finger::people,
    run::{VERIFY, bytes, enrol, runtime},
};
use crate::accuracy::Progress;

/// Clients that ask at the same time.
const CLIENTS: usize = 6;
/// Probes that are presented over and over.
const PROBES: usize = 200;
/// Of so many requests one is a fault.
const ONE_FAULT_IN: u64 = 20;
/// Before what counts, so many in a hundred are asked, and the daemon is killed so often.
const BEFORE_PERCENT: usize = 10;
const KILLS: usize = 3;
/// How often what the daemon holds is read.
const READINGS: usize = 40;
/// What the daemon may hold more at the end, in bytes: what the allocator keeps of the largest moment.
const GROWTH: u64 = 8 << 20;
/// Descriptors that may be open more at the end: connections that are being closed.
const MORE_DESCRIPTORS: usize = 2 * CLIENTS;
/// An answer that takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Replays are what this consists of; who fails is not locked out, since faults are.
const CONFIGURATION: &str =
    "policy.replay = \"off\"\npolicy.lockout.subject-failures = 0\npolicy.lockout.station-failures = 0\n";

/// What a soak came to.
#[derive(Clone, Debug, Serialize)]
pub struct Soaked {
    /// Requests that were answered with a decision.
    pub decided: usize,
    /// Faults that were injected, by kind.
    pub faults: Vec<(&'static str, usize)>,
    /// Answers that were no decision, where one was due.
    pub errors: usize,
    /// Times that the daemon was killed and started again.
    pub kills: usize,
    /// Decisions a second.
    pub per_second: f64,
    /// Resident memory in MiB at each reading after the kills.
    pub memory_readings_mb: Vec<f64>,
    /// Resident memory in MiB, halfway after the kills and at the end.
    pub memory_mb: (f64, f64),
    /// Descriptors, the same.
    pub descriptors: (usize, usize),
    /// Records of the audit, without a gap.
    pub records: u64,
    /// Decisions that were answered and are not in the audit, or there twice.
    pub missing: usize,
    /// Whether nothing grew, nothing is missing, and there were no errors but those of the kills.
    pub held: bool,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    PlainText,
    CutHandshake,
    CutBody,
    UnknownField,
    WrongFinger,
    UnknownSubject,
    Reconnect,
    Repeat,
    HangUp,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::PlainText,
        Self::CutHandshake,
        Self::CutBody,
        Self::UnknownField,
        Self::WrongFinger,
        Self::UnknownSubject,
        Self::Reconnect,
        Self::Repeat,
        Self::HangUp,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::PlainText => "plain text on the port",
            Self::CutHandshake => "handshake cut",
            Self::CutBody => "body cut",
            Self::UnknownField => "unknown field",
            Self::WrongFinger => "wrong finger",
            Self::UnknownSubject => "unknown subject",
            Self::Reconnect => "connection given up",
            Self::Repeat => "request repeated",
            Self::HangUp => "configuration read again",
        }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct SoakOrder {
    /// Requests.
    pub requests: NonZeroUsize,
    /// Which faults come when.
    pub seed: u64,
    /// Protocols of the clients, in turn.
    pub http: Vec<Http>,
    /// The program to start; without one it is built.
    pub daemon: Option<PathBuf>,
}

/// Soaks a daemon.
///
/// # Errors
/// [`LoadError`].
pub fn soak(order: &SoakOrder, progress: &dyn Progress) -> Result<Soaked, LoadError> {
    let program = order.daemon.clone().map_or_else(build, Ok)?;
    let people = people(PROBES, Sample::Template, progress)?;
    let daemon = Daemon::start(&program, CONFIGURATION)?;
    runtime()?.block_on(async {
        let officer = Client::new(daemon.address, &daemon.pki(), "officer", Http::One)?;
        let probes = enrol(&officer, &people, progress).await?;
        let work = Work { probes, seed: order.seed, ..Work::default() };
        Soak { daemon, work: Arc::new(work), order: order.clone() }.run(progress).await
    })
}

/// What clients share.
#[derive(Default)]
struct Work {
    probes: Vec<Value>,
    seed: u64,
    next: AtomicUsize,
    /// Numbers of requests that were answered with a decision.
    decided: Mutex<Vec<usize>>,
    errors: AtomicUsize,
    faults: Mutex<HashMap<&'static str, usize>>,
}

struct Soak {
    daemon: Daemon,
    work: Arc<Work>,
    order: SoakOrder,
}

impl Soak {
    async fn run(mut self, progress: &dyn Progress) -> Result<Soaked, LoadError> {
        let all = self.order.requests.get();
        progress.begin("soaking", all);
        let begun = Instant::now();
        let before = all * BEFORE_PERCENT / 100 / KILLS;
        for _ in 0..KILLS {
            let end = self.work.next.load(Ordering::Relaxed) + before;
            let mut clients = self.clients(end)?;
            while self.work.next.load(Ordering::Relaxed) < end - before / 2 {
                sleep(Duration::from_millis(5)).await;
            }
            self.daemon.kill();
            // Whoever was asking has no answer, and over QUIC nobody would tell him that none will come.
            clients.shutdown().await;
            self.daemon.start_again()?;
            self.work.errors.store(0, Ordering::Relaxed);
            progress.advance(before);
        }
        let begun_at = self.work.next.load(Ordering::Relaxed);
        let (mut memory, mut descriptors) = (Vec::new(), Vec::new());
        for reading in 1..=READINGS {
            let end = begun_at + (all.saturating_sub(begun_at)) * reading / READINGS;
            let mut clients = self.clients(end)?;
            while clients.join_next().await.is_some() {}
            // Connections that were given up are closed by now.
            sleep(Duration::from_millis(300)).await;
            memory.push(self.daemon.memory());
            descriptors.push(self.daemon.descriptors());
            progress.advance(all / READINGS);
        }
        let seconds = begun.elapsed().as_secs_f64();
        let (records, missing) = self.audit().await?;
        let decided = self.work.decided.lock().unwrap_or_else(PoisonError::into_inner).len();
        let faults = self.work.faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut faults: Vec<_> = faults.into_iter().collect();
        faults.sort_unstable();
        let errors = self.work.errors.load(Ordering::Relaxed);
        let (early, late) = (middle(&memory[READINGS / 2..][..5]), middle(&memory[READINGS - 5..]));
        let (few, many) = (middle(&descriptors[READINGS / 2..][..5]), middle(&descriptors[READINGS - 5..]));
        let held = errors == 0 && missing == 0 && late <= early + GROWTH && many <= few + MORE_DESCRIPTORS;
        let mib = |bytes: u64| (bytes as f64 / f64::from(1 << 20) * 10.0).round() / 10.0;
        Ok(Soaked {
            decided,
            faults,
            errors,
            kills: KILLS,
            per_second: (decided as f64 / seconds).round(),
            memory_readings_mb: memory.into_iter().map(mib).collect(),
            memory_mb: (mib(early), mib(late)),
            descriptors: (few, many),
            records,
            missing,
            held,
        })
    }

    /// Clients that go on until so many requests were begun.
    fn clients(&self, end: usize) -> Result<JoinSet<()>, LoadError> {
        let mut clients = JoinSet::new();
        let process = self.daemon.process();
        for number in 0..CLIENTS {
            let http =
                self.order.http.get(number % self.order.http.len().max(1)).copied().unwrap_or(Http::One);
            let client = Client::new(self.daemon.address, &self.daemon.pki(), "station", http)?;
            let one = One { client, work: Arc::clone(&self.work), process, connection: None };
            clients.spawn(one.go_on(end));
        }
        Ok(clients)
    }

    /// Reads the whole audit: how many records it has without a gap, and how many decisions are not in it once.
    async fn audit(&self) -> Result<(u64, usize), LoadError> {
        let client = Client::new(self.daemon.address, &self.daemon.pki(), "auditor", Http::One)?;
        let mut connection = client.connect().await?;
        let (status, body) = client.ask(&mut connection, &Method::GET, "/v1/audit/export", None).await?;
        let broken = |why: &str| LoadError::Audit(why.to_owned());
        if status != StatusCode::OK {
            return Err(broken(&String::from_utf8_lossy(&body)));
        }
        let mut requests: HashMap<String, usize> = HashMap::new();
        let (mut records, mut previous) = (0, None);
        for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let record: Value = serde_json::from_slice(line).map_err(|_| broken("a line is no JSON"))?;
            let Some(number) = record["number"].as_u64().filter(|_| record["what"].is_object()) else {
                continue;
            };
            records += 1;
            if number != records {
                return Err(broken("a record is missing"));
            }
            if previous.as_ref().is_some_and(|hash| record["previous"] != *hash) {
                return Err(broken("the chain does not hold"));
            }
            previous = Some(format!("{:x}", Sha256::digest(line)));
            if let Some(request) = record["what"]["request"].as_str() {
                *requests.entry(request.to_owned()).or_default() += 1;
            }
        }
        let decided = self.work.decided.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = decided.iter().filter(|number| requests.get(&name(**number)) != Some(&1)).count();
        Ok((records, missing))
    }
}

fn name(number: usize) -> String {
    format!("soak-{number}")
}

/// The one in the middle.
fn middle<T: Copy + Ord + Default>(values: &[T]) -> T {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// One client.
struct One {
    client: Client,
    work: Arc<Work>,
    process: rustix::process::Pid,
    connection: Option<Connection>,
}

impl One {
    async fn go_on(mut self, end: usize) {
        loop {
            let number = self.work.next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                // Given back, for whoever goes on.
                self.work.next.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            let mut chance =
                ChaCha8Rng::seed_from_u64(self.work.seed ^ (number as u64).wrapping_mul(0x9E37_79B9));
            let fault = (chance.next_u64() % ONE_FAULT_IN == 0)
                .then(|| Fault::ALL[chance.next_u64() as usize % Fault::ALL.len()]);
            if let Some(fault) = fault {
                let mut faults = self.work.faults.lock().unwrap_or_else(PoisonError::into_inner);
                *faults.entry(fault.name()).or_default() += 1;
            }
            if !matches!(timeout(PATIENCE, self.one(number, fault)).await, Ok(Ok(()))) {
                self.connection = None;
                self.work.errors.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// One request, with what goes wrong before it or in it.
    async fn one(&mut self, number: usize, fault: Option<Fault>) -> Result<(), LoadError> {
        let mut body = self.work.probes[number % self.work.probes.len()].clone();
        body["request_id"] = json!(name(number));
        body["nonce"] = json!(format!("{number:032x}"));
        let whole = bytes(&body);
        match fault {
            Some(Fault::PlainText) => drop(self.send(b"GET / HTTP/1.1\r\nhost: box\r\n\r\n").await?),
            Some(Fault::CutHandshake) => drop(self.send(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3]).await?),
            Some(Fault::CutBody) => self.client.cut(VERIFY, whole.slice(..whole.len() / 2)).await?,
            Some(Fault::Reconnect) => self.connection = None,
            Some(Fault::HangUp) => {
                // It is there, or the next request says so.
                let _ = rustix::process::kill_process(self.process, rustix::process::Signal::HUP);
            }
            Some(Fault::UnknownField) => {
                let mut wrong = body.clone();
                wrong["score"] = json!(1);
                self.expect(&bytes(&wrong), StatusCode::BAD_REQUEST).await?;
            }
            Some(Fault::WrongFinger) => {
                body["sample"] = self.work.probes[(number + 1) % self.work.probes.len()]["sample"].clone();
            }
            Some(Fault::UnknownSubject) => body["subject_id"] = json!("123e4567-e89b-42d3-a456-426614174000"),
            Some(Fault::Repeat) | None => {}
        }
        let whole = bytes(&body);
        let first = self.expect(&whole, StatusCode::OK).await?;
        if fault == Some(Fault::Repeat) && self.expect(&whole, StatusCode::OK).await? != first {
            return Err(LoadError::Enrol("a repeated request got another answer".to_owned()));
        }
        self.work.decided.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        Ok(())
    }

    /// Opens a connection and sends what no client should, or not to its end.
    async fn send(&self, what: &[u8]) -> Result<TcpStream, LoadError> {
        let system = |why| LoadError::System { what: "a connection", why };
        let mut stream = TcpStream::connect(self.client.address()).await.map_err(system)?;
        stream.write_all(what).await.map_err(system)?;
        Ok(stream)
    }

    /// Asks on the connection that is kept, and this must be the answer's status.
    async fn expect(&mut self, body: &Bytes, status: StatusCode) -> Result<Bytes, LoadError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.client.connect().await?,
        };
        let (got, answer) = self.client.post(&mut connection, VERIFY, body.clone()).await?;
        self.connection = Some(connection);
        if got == status { Ok(answer) } else { Err(LoadError::Enrol(format!("{got} instead of {status}"))) }
    }
}
