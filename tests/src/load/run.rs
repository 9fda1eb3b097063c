//! The measurement itself: people enrolled, requests sent when they are due, times counted.

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::StatusCode;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, Semaphore, mpsc},
    time::Instant,
};

use super::{
    LoadError, Order,
    client::{Answer, Client, Connection},
    daemon::{Daemon, build},
    figures::{Figures, quantile},
    finger::{Person, people},
};
use crate::accuracy::Progress;

/// Verifications that have a connection of their own, at most as many as those under load.
const HANDSHAKES: usize = 40;
/// Verifications before those that count, at most as many: pages and caches are warm in an office too.
const WARM_UP: usize = 20;
/// Of the answers, so many in a hundred must be accepts.
const ACCEPTED: usize = 90;
/// Requests a second at which the search for the highest rate begins.
const FIRST_RATE: u32 = 50;
/// Prints that are presented again and again in it, and the configuration that lets them.
const AGAIN: usize = 1000;
const REPLAYS: &str = "policy.replay = \"off\"\n";
/// What p99 may be at the highest rate, in milliseconds.
const BOUND_MS: f64 = 100.0;
/// Where a verification is asked for.
pub(super) const VERIFY: &str = "/v1/verify";

/// The highest rate that a box carries.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Highest {
    /// Requests a second.
    pub rate: u32,
    /// What was measured at that rate.
    pub figures: Figures,
}

/// What connections cost that do nothing.
#[derive(Clone, Debug, serde::Serialize)]
pub struct IdleConnections {
    /// How many were opened.
    pub connections: usize,
    /// Bytes of memory for each.
    pub bytes_each: u64,
}

/// Measures one load.
///
/// # Errors
/// [`LoadError`].
pub fn run(order: &Order, progress: &dyn Progress) -> Result<Figures, LoadError> {
    let program = order.daemon.clone().map_or_else(build, Ok)?;
    let people = people(requests(order), order.sample, progress)?;
    measured(order, &program, &people, "", progress)
}

/// Looks for the highest rate whose p99 stays under 100 ms, by doubling and then halving steps. So many distinct prints
/// cannot be rendered: some are presented again and again, to a daemon that does not refuse replays.
///
/// # Errors
/// [`LoadError`].
pub fn highest(order: &Order, progress: &dyn Progress) -> Result<Highest, LoadError> {
    let program = order.daemon.clone().map_or_else(build, Ok)?;
    let people = people(AGAIN, order.sample, progress)?;
    let mut best: Option<Highest> = None;
    let (mut low, mut high, mut rate) = (0, None, FIRST_RATE);
    while let Some(wanted) = NonZeroU32::new(rate).filter(|rate| rate.get() - low > low / 16) {
        let step = Order { rate: wanted, ..order.clone() };
        let figures = measured(&step, &program, &people, REPLAYS, progress)?;
        if figures.errors == 0 && figures.p99_ms < BOUND_MS {
            low = rate;
            best = Some(Highest { rate, figures });
        } else {
            high = Some(rate);
        }
        rate = high.map_or(rate * 2, |high| u32::midpoint(low, high));
    }
    best.ok_or(LoadError::Overloaded)
}

/// Measures one load on a daemon of its own.
fn measured(
    order: &Order,
    program: &Path,
    people: &[Person],
    configuration: &str,
    progress: &dyn Progress,
) -> Result<Figures, LoadError> {
    let bench = Bench { daemon: Daemon::start(program, configuration)?, order };
    runtime()?.block_on(async {
        let probes = enrol(&bench.client("officer")?, people, progress).await?;
        let mut numbered = probes.iter().cycle().enumerate().map(|(number, probe)| {
            let mut body = probe.clone();
            body["request_id"] = json!(format!("load-{number}"));
            body["nonce"] = json!(format!("{number:032x}"));
            bytes(&body)
        });
        // Made before they are due.
        let ready: Vec<Bytes> = numbered.by_ref().take(requests(order)).collect();
        bench.measure(order.rate.get(), &mut ready.into_iter(), progress).await
    })
}

/// Opens connections and leaves them alone.
///
/// # Errors
/// [`LoadError`].
pub fn idle(order: &Order, connections: usize) -> Result<IdleConnections, LoadError> {
    allow_descriptors();
    let program = order.daemon.clone().map_or_else(build, Ok)?;
    let most = connections + 100;
    let limits = format!(
        "limits.connections = {most}\nlimits.connections-per-address = {most}\nlimits.idle-seconds = 600\n"
    );
    let bench = Bench { daemon: Daemon::start(&program, &limits)?, order };
    runtime()?.block_on(async {
        let client = bench.client("station")?;
        let mut open = Vec::with_capacity(connections);
        open.push(client.connect().await?);
        let before = bench.daemon.memory();
        while open.len() <= connections {
            open.push(client.connect().await?);
        }
        let grown = bench.daemon.memory().saturating_sub(before);
        Ok(IdleConnections { connections, bytes_each: grown / connections as u64 })
    })
}

/// Lets this process and the daemon, which inherits it, open as many descriptors as the system allows.
fn allow_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If the system says no, connecting says so.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Requests of an order, with those before the ones that count.
fn requests(order: &Order) -> usize {
    let sent = (order.rate.get() * order.seconds.get()) as usize;
    sent + HANDSHAKES.min(sent) + WARM_UP.min(sent)
}

/// A daemon under load.
struct Bench<'a> {
    daemon: Daemon,
    order: &'a Order,
}

impl Bench<'_> {
    fn client(&self, name: &str) -> Result<Client, LoadError> {
        Ok(Client::new(self.daemon.address, &self.daemon.pki(), name, self.order.http)?)
    }

    async fn measure(
        &self,
        rate: u32,
        requests: &mut impl Iterator<Item = Bytes>,
        progress: &dyn Progress,
    ) -> Result<Figures, LoadError> {
        let client = self.client("station")?;
        let kept = Kept::open(&client, self.order.connections.get() as usize).await?;
        let sent = (rate * self.order.seconds.get()) as usize;
        let mut tally = Tally::default();
        for body in requests.by_ref().take(WARM_UP.min(sent)) {
            tally.count(&kept.verify(&client, body).await);
        }
        let mut handshakes = Vec::new();
        for body in requests.by_ref().take(HANDSHAKES.min(sent)) {
            let begun = Instant::now();
            let mut connection = client.connect().await?;
            let answer = client.post(&mut connection, VERIFY, body).await;
            handshakes.push(begun.elapsed());
            tally.count(&answer.map_err(LoadError::from));
        }
        progress.begin("verifying", sent);
        let (tell, mut told) = mpsc::unbounded_channel();
        let kept = Arc::new(kept);
        let mut pace = pace(rate, sent);
        for body in requests.by_ref().take(sent) {
            let Some(due) = pace.recv().await else { break };
            let (client, kept, tell) = (client.clone(), Arc::clone(&kept), tell.clone());
            tokio::spawn(async move {
                let answer = kept.verify(&client, body).await;
                // The receiver is there until all have told.
                let _ = tell.send((due.elapsed(), answer));
            });
            progress.advance(1);
        }
        drop(tell);
        let mut times = Vec::with_capacity(sent);
        let mut errors = 0;
        while let Some((time, answer)) = told.recv().await {
            times.push(time);
            errors += usize::from(!tally.count(&answer));
        }
        tally.check()?;
        Ok(Figures {
            rate,
            sent: times.len(),
            errors,
            p50_ms: quantile(&mut times, 0.5),
            p99_ms: quantile(&mut times, 0.99),
            p999_ms: quantile(&mut times, 0.999),
            handshake_verify_ms_p50: quantile(&mut handshakes, 0.5),
            rss_mb: (self.daemon.memory() as f64 / f64::from(1 << 20) * 10.0).round() / 10.0,
        })
    }
}

/// Tells each moment at which a request is due. A thread of its own: the runtime's clock goes by milliseconds, and late.
fn pace(rate: u32, requests: usize) -> mpsc::UnboundedReceiver<Instant> {
    let (tell, told) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let begun = Instant::now();
        for number in 0..requests {
            let due = begun + Duration::from_secs(1) * number as u32 / rate;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if tell.send(due).is_err() {
                return;
            }
        }
    });
    told
}

/// A runtime of one thread: the daemon needs the others.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, LoadError> {
    let made = tokio::runtime::Builder::new_current_thread().enable_all().build();
    made.map_err(|why| LoadError::System { what: "a runtime", why })
}

/// Enrols everybody; gives what is to be verified, everybody in turn, as people come.
pub(super) async fn enrol(
    officer: &Client,
    people: &[Person],
    progress: &dyn Progress,
) -> Result<Vec<Value>, LoadError> {
    let mut connection = officer.connect().await?;
    progress.begin("enrolling", people.len());
    let mut probes: Vec<Vec<Value>> = Vec::new();
    for (number, person) in people.iter().enumerate() {
        let new = json!({ "name": format!("person {number}") });
        let subject = created(officer.post(&mut connection, "/v1/subjects", bytes(&new)).await?)?;
        let id = subject["subject_id"].clone();
        let finger = json!({ "position": "right-index", "samples": person.enrol });
        let path = format!("/v1/subjects/{}/fingers", id.as_str().unwrap_or_default());
        created(officer.post(&mut connection, &path, bytes(&finger)).await?)?;
        probes
            .push(person.probes.iter().map(|sample| json!({ "subject_id": id, "sample": sample })).collect());
        progress.advance(1);
    }
    let most = probes.iter().map(Vec::len).max().unwrap_or_default();
    let in_turn = (0..most).flat_map(|at| probes.iter().filter_map(move |of_one| of_one.get(at)));
    Ok(in_turn.cloned().collect())
}

/// Connections that are kept, each lent to one request at a time.
struct Kept {
    free: Mutex<Vec<Connection>>,
    places: Semaphore,
}

impl Kept {
    async fn open(client: &Client, connections: usize) -> Result<Self, LoadError> {
        let mut free = Vec::with_capacity(connections);
        for _ in 0..connections {
            free.push(client.connect().await?);
        }
        Ok(Self { free: Mutex::new(free), places: Semaphore::new(connections) })
    }

    /// Verifies on a connection that is free, or the next that is; one that failed is replaced.
    async fn verify(&self, client: &Client, body: Bytes) -> Result<Answer, LoadError> {
        // Never closed.
        let _place = self.places.acquire().await;
        let lent = self.free.lock().await.pop();
        let mut connection = match lent {
            Some(connection) => connection,
            None => client.connect().await?,
        };
        let answer = client.post(&mut connection, VERIFY, body).await;
        if answer.is_ok() {
            self.free.lock().await.push(connection);
        }
        Ok(answer?)
    }
}

/// Answers by their kind.
#[derive(Default)]
struct Tally {
    decided: usize,
    accepted: usize,
}

impl Tally {
    /// Counts an answer; false when it is no decision.
    fn count(&mut self, answer: &Result<Answer, LoadError>) -> bool {
        let Ok((StatusCode::OK, body)) = answer else { return false };
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        self.decided += 1;
        self.accepted += usize::from(body["decision"] == "accept");
        true
    }

    fn check(&self) -> Result<(), LoadError> {
        let Self { decided, accepted } = *self;
        if accepted * 100 >= decided * ACCEPTED {
            Ok(())
        } else {
            Err(LoadError::Refused { decided, accepted })
        }
    }
}

fn created((status, body): Answer) -> Result<Value, LoadError> {
    let refused = || LoadError::Enrol(format!("{status}: {}", String::from_utf8_lossy(&body)));
    if status != StatusCode::CREATED {
        return Err(refused());
    }
    serde_json::from_slice(&body).map_err(|_| refused())
}

pub(super) fn bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}
