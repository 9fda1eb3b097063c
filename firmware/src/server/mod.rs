//! The server on port 3411: HTTP/1.1 and HTTP/2 over TLS 1.3 on TCP, HTTP/3 on UDP, and nothing in clear.
//!
//! One task accepts on each; each connection is a task of its own, bounded in number and time. Matching runs on
//! blocking threads, as many at a time as there are cores. The server calls the services and never the
//! store.

mod access;
mod api;
mod attempts;
mod backups;
mod beside;
mod certificate;
mod clear;
mod connection;
mod correlation;
mod exchange;
mod http3;
mod incoming;
mod json;
mod live;
mod metrics;
mod openapi;
mod operation;
mod outgoing;
mod problem;
mod published;
mod quic;
mod reloader;
mod shares;
mod streams;
mod tcp;
mod tls;
mod updates;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, RwLock},
    thread::available_parallelism,
    time::Duration,
};

use authenteon_hal::clock::SystemClock as MonotonicClock;
use axum::{
    http::{HeaderValue, header::ALT_SVC},
    middleware,
    response::Response,
};
use quinn::Endpoint;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tracing::{info, warn};

use crate::{
    claim::Claim,
    config::Limits,
    credential::{
        authority::Authority,
        clients::{Clients, ClientsError},
        stations::{StationError, Stations},
    },
    directory::follow::Following,
    forward::Forwarding,
    heartbeat::Heartbeats,
    lock::Lock,
    logging::LastLines,
    memory::Answers,
    panel::FrontPanel,
    places::Places,
    sensors::Sensors,
    services::Services,
    update::link::Link,
};

use access::{DEGRADED, FAILED, LOCKED, OPERATIONAL, UNPROVISIONED};
use attempts::Attempts;
use backups::Backups;
use operation::{Bounds, Operation};
use problem::Problem;
use shares::Shares;
use tcp::Listener;
use tls::Tls;
use updates::Updates;

pub use openapi::document as openapi_document;
pub use operation::Settings;
pub use reloader::Reloader;
pub use tls::TlsError;

/// Requests whose bodies may be in memory at a time: bounds memory at this many bodies.
const BODIES: usize = 8;
/// Of these, one caller's.
const BODIES_EACH: usize = 6;
/// The same for small ones, of strangers too: so many are worked on at a time.
const SMALL_BODIES: usize = 4;
const SMALL_BODIES_EACH: usize = 2;

/// Decisions on fingers at the box's readers, remembered for repeated requests, and for how long.
const ANSWERS_REMEMBERED: usize = 1024;
const ANSWERS_LIVE: Duration = Duration::from_secs(600);
/// How often a loop that waits comes round.
const ROUND: Duration = Duration::from_secs(1);
/// Readers get this long to put their lights out.
const READERS_END: Duration = Duration::from_secs(1);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        why: io::Error,
    },
    /// The UDP port is taken.
    #[error(
        "cannot listen on UDP {address} for HTTP/3: {why}; free the port, or switch HTTP/3 off: [server] http3 = false"
    )]
    Udp {
        /// Where.
        address: SocketAddr,
        /// Why.
        why: io::Error,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The registry of clients cannot be read.
    #[error(transparent)]
    Clients(#[from] ClientsError),
}

/// What every request can reach.
#[derive(Clone)]
pub(crate) struct State {
    /// The services, or what they wait for.
    pub(crate) lock: Lock,
    pub(crate) limits: Bounds,
    /// Who is who; replaced when it is read again.
    pub(crate) clients: Arc<RwLock<Clients>>,
    /// Adds to them and removes from them.
    pub(crate) stations: Arc<Stations>,
    /// Places for bodies in memory.
    pub(crate) bodies: Arc<Shares>,
    /// The same for small ones, which strangers send too.
    pub(crate) small_bodies: Arc<Shares>,
    /// Whether the box is anybody's yet; without it, it was set up on its command line.
    pub(crate) claim: Option<Arc<Claim>>,
    /// How often strangers try to come in.
    pub(crate) attempts: Arc<Attempts>,
    /// Permits for work on the matcher.
    pub(crate) cores: Arc<Semaphore>,
    /// The readers at the box.
    pub(crate) sensors: Sensors,
    /// The panel at the box, if it has one.
    pub(crate) panel: Option<Arc<FrontPanel>>,
    /// A request that is repeated must not ask for another finger.
    pub(crate) answers: Arc<Mutex<Answers>>,
    /// The backup that came in, if one did.
    pub(crate) backups: Backups,
    /// Updates of the box, if it is updated this way.
    pub(crate) updates: Option<Arc<Updates>>,
    /// Whether the image that runs is for tests.
    pub(crate) test_image: bool,
    /// Where it is told how the clock is.
    pub(crate) clock_report: Option<PathBuf>,
    /// Where the audit is forwarded to.
    pub(crate) forwarding: Forwarding,
    /// Directories that are followed.
    pub(crate) following: Following,
    /// How the daemon itself runs.
    pub(crate) operation: Operation,
}

impl State {
    /// The services.
    ///
    /// # Errors
    /// The box is locked or has failed; the guard lets nobody get as far.
    pub(crate) fn services(&self) -> Result<&Services, Problem> {
        self.lock.services().ok_or_else(|| self.unserved())
    }

    /// Why nothing of what is stored is served, where it is not.
    pub(crate) fn unserved(&self) -> Problem {
        self.lock.failed().map_or_else(Problem::locked, |why| Problem::failed(&why))
    }

    /// The state of the box, in the words of the API.
    pub(crate) fn standing(&self) -> &'static str {
        match self.lock.services() {
            _ if self.unprovisioned() => UNPROVISIONED,
            None if self.lock.failed().is_some() => FAILED,
            None => LOCKED,
            Some(services) if services.progress().is_some() => DEGRADED,
            Some(_) => OPERATIONAL,
        }
    }

    /// Brings the registry of clients and the store together, when the store is open; reads it again in any case.
    fn settle_clients(&self) -> Result<(), StationError> {
        let services = self.lock.services();
        self.stations.on_trial(services.is_some_and(Services::is_on_trial));
        self.stations.settle(|found| match services {
            Some(services) => services.settle_clients(found),
            None => Ok(found.unwrap_or_default().to_vec()),
        })
    }

    /// Whether nobody has claimed the box.
    pub(crate) fn unprovisioned(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.unprovisioned())
    }
}

/// A bound server, ready to run.
pub struct Server {
    listener: Listener,
    tls: Tls,
    /// HTTP/3, unless it is switched off.
    quic: Option<Endpoint>,
    state: State,
    metrics: Option<TcpListener>,
    published: Option<TcpListener>,
}

impl Server {
    /// Binds the address and reads certificates and clients from the folder `pki`.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(
        address: SocketAddr,
        pki: PathBuf,
        limits: Limits,
        lock: Lock,
    ) -> Result<Self, ServeError> {
        // One that was made by an earlier version lacks what this one makes.
        if let Err(why) = Authority::open(&pki) {
            warn!(%why, "the authority cannot certify anybody");
        }
        let tls = Tls::load(&pki)?;
        let clients = Arc::new(RwLock::new(Clients::load(&pki)?));
        let listener = Listener::bind(address, &tls).await?;
        let state = State {
            lock,
            limits: Bounds::new(limits),
            operation: Operation::new(pki.clone()),
            stations: Arc::new(Stations::new(pki, Arc::clone(&clients))),
            clients,
            bodies: Arc::new(Shares::new(BODIES, BODIES_EACH)),
            small_bodies: Arc::new(Shares::new(SMALL_BODIES, SMALL_BODIES_EACH)),
            claim: None,
            attempts: Arc::default(),
            cores: Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))),
            sensors: Sensors::none(),
            panel: None,
            answers: Arc::new(Mutex::new(Answers::new(ANSWERS_REMEMBERED, ANSWERS_LIVE))),
            backups: Backups::new(None),
            updates: None,
            test_image: false,
            clock_report: None,
            forwarding: Forwarding::default(),
            following: Following::default(),
        };
        Ok(Self { listener, tls, quic: None, state, metrics: None, published: None })
    }

    /// With HTTP/3 on the UDP port of the same number.
    ///
    /// # Errors
    /// [`ServeError::Udp`], say when the port is taken.
    pub fn with_http3(mut self) -> Result<Self, ServeError> {
        let address = self.listener.socket.local_addr();
        let address = address.map_err(|why| ServeError::Udp { address: ([0; 4], 0).into(), why })?;
        self.quic = Some(quic::bind(address, &self.tls, &self.state.limits.now())?);
        Ok(self)
    }

    /// With a claim: until it is made, nobody is served.
    #[must_use]
    pub fn with_claim(mut self, claim: Arc<Claim>) -> Self {
        self.state.claim = Some(claim);
        self
    }

    /// With readers at the box; they are closed when the server stops.
    #[must_use]
    pub fn with_sensors(mut self, sensors: Sensors) -> Self {
        self.state.sensors = sensors;
        self
    }

    /// With a panel that shows the decisions on fingers at the box's readers.
    #[must_use]
    pub fn with_panel(mut self, panel: FrontPanel) -> Self {
        self.state.panel = Some(Arc::new(panel));
        self
    }

    /// With a disk where a backup that is to be restored can come in.
    #[must_use]
    pub fn with_disk(mut self, folder: PathBuf) -> Self {
        self.state.backups = Backups::new(Some(folder));
        self
    }

    /// With updates: bundles go to `folder`, and the agent at `link` installs them.
    ///
    /// # Errors
    /// The folder cannot be made or cleared.
    pub fn with_updates(mut self, folder: PathBuf, link: Link) -> io::Result<Self> {
        self.state.updates = Some(Arc::new(Updates::open(folder, link)?));
        Ok(self)
    }

    /// Says in its health that the image which runs is for tests: anybody can sign updates of it.
    #[must_use]
    pub fn of_a_test_image(mut self, test: bool) -> Self {
        self.state.test_image = test;
        self
    }

    /// Tells in its health how the clock is, by what `authenteond clock` writes there.
    #[must_use]
    pub fn with_clock_report(mut self, report: Option<PathBuf>) -> Self {
        self.state.clock_report = report;
        self
    }

    /// Says how the audit is forwarded.
    #[must_use]
    pub fn with_forwarding(mut self, forwarding: Forwarding) -> Self {
        self.state.forwarding = forwarding;
        self
    }

    /// Says how directories are followed, and has them read when it is asked to.
    #[must_use]
    pub fn with_following(mut self, following: Following) -> Self {
        self.state.following = following;
        self
    }

    /// With the log whose last lines a support bundle holds, and the configuration as it was read.
    #[must_use]
    pub(crate) fn with_log(mut self, log: LastLines, settings: Settings) -> Self {
        self.state.operation.log = log;
        self.state.operation.read(settings);
        self
    }

    /// The state of the box, in the words of the API.
    #[must_use]
    pub fn standing(&self) -> &'static str {
        self.state.standing()
    }

    /// With loops that have to come round within this time.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.state.operation.heartbeats = Heartbeats::new(Arc::new(MonotonicClock::new()), patience);
        self
    }

    /// The loops that it rests on.
    #[must_use]
    pub fn heartbeats(&self) -> &Heartbeats {
        &self.state.operation.heartbeats
    }

    /// With a listener for metrics.
    ///
    /// # Errors
    /// [`ServeError::Listen`].
    pub async fn with_metrics(mut self, address: SocketAddr) -> Result<Self, ServeError> {
        let fails = |why| ServeError::Listen { address, why };
        let listener = TcpListener::bind(address).await.map_err(fails)?;
        info!(metrics = %listener.local_addr().map_err(fails)?, "metrics in clear");
        self.metrics = Some(listener);
        Ok(self)
    }

    /// With a listener in clear for the authority of people's certificates and its list of revoked ones.
    ///
    /// # Errors
    /// [`ServeError::Listen`].
    pub async fn with_published(mut self, address: SocketAddr) -> Result<Self, ServeError> {
        let fails = |why| ServeError::Listen { address, why };
        let listener = TcpListener::bind(address).await.map_err(fails)?;
        info!(published = %listener.local_addr().map_err(fails)?, "revoked certificates in clear");
        self.published = Some(listener);
        Ok(self)
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.socket.local_addr()
    }

    /// A handle to read the registry of clients and the certificate again.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader { state: self.state.clone(), certificate: self.tls.certificate().clone() }
    }

    /// Serves until `stop` resolves, then lets open requests finish for the drain time.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, quic, state, metrics, published: in_clear, .. } = self;
        if let Some(listener) = metrics {
            tokio::spawn(metrics::serve(listener, state.clone()));
        }
        if let Some(listener) = in_clear {
            tokio::spawn(published::serve(listener, state.clone()));
        }
        tokio::spawn(observed(state.clone()));
        tokio::spawn(writer(state.clone()));
        let router = api::router(state.clone());
        let places = Places::new(&state.limits.now());
        let (stopping, stopped) = watch::channel(false);
        let ending = async {
            stop.await;
            // Whoever waits for a finger is told, and the drain does not wait for one.
            state.sensors.close();
            stopping.send_replace(true);
        };
        let advertised = quic.as_ref().and_then(advertisement);
        let over_quic = async {
            if let Some(endpoint) = quic {
                let places = places.beside(&state.limits.now());
                quic::serve(endpoint, router.clone(), &state, places, stopped.clone()).await;
            }
        };
        let over_tcp = match advertised {
            Some(value) => router.clone().layer(middleware::map_response(move |mut answer: Response| {
                answer.headers_mut().insert(ALT_SVC, value.clone());
                std::future::ready(answer)
            })),
            None => router.clone(),
        };
        let over_tcp = listener.serve(over_tcp, &state, places.clone(), stopped.clone());
        tokio::join!(ending, over_tcp, over_quic);
        let sensors = state.sensors.clone();
        let ended = tokio::task::spawn_blocking(move || sensors.ended(READERS_END)).await;
        if !ended.unwrap_or(false) {
            info!("a reader's driver did not end in time");
        }
    }
}

/// Says on TCP that there is HTTP/3 as well.
fn advertisement(quic: &Endpoint) -> Option<HeaderValue> {
    let port = quic.local_addr().ok()?.port();
    HeaderValue::try_from(format!("h3=\":{port}\"; ma=86400")).ok()
}

/// Has the services tell how long they take, once there are any.
async fn observed(state: State) {
    if let Ok(services) = state.lock.opened().await {
        services.observe(Arc::new(state.operation.metrics.clone()));
    }
}

/// Beats for whoever writes the store: each round one waits until a change could be written.
async fn writer(state: State) {
    let pulse = state.operation.heartbeats.pulse("writer");
    let mut round = tokio::time::interval(ROUND);
    loop {
        round.tick().await;
        if let Some(services) = state.lock.services().cloned()
            && tokio::task::spawn_blocking(move || services.await_writer()).await.is_err()
        {
            continue;
        }
        pulse.beat();
    }
}
