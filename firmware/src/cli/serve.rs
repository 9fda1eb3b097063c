//! `serve` and `validate`.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use authenteon_hal::{
    clock::{Clock, SystemClock as MonotonicClock},
    discovery::{SerialPorts, Source, UsbReaders},
    panel::cdev,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};
use tracing::{error, info, warn};

use super::{descriptors, exit::Failure, reload::Reload, selftest, storage};
use crate::{
    announce::announce,
    claim::{Claim, Console, Device, StandardOutput, addresses},
    config::{self, ClaimSection, Config, Loaded, Log},
    credential::{assertion, authority, device::device_key, first_boot},
    directory::follow::Following,
    forward::Forwarding,
    lock::Lock,
    logging::Logging,
    panel::FrontPanel,
    radius::Radius,
    sensors::Sensors,
    server::{Reloader, Server, Settings},
    services::{AtRest, AuditSettings, OpenError},
    update::{boot::Boot, link::Link},
    watchdog::{self, Watchdog},
};

/// How often an unclaimed box looks at the age of its code and at its addresses.
const LOOK: Duration = Duration::from_secs(5);
/// How often a box looks at its addresses and at its certificate.
const CARE: Duration = Duration::from_secs(10);
/// How often it looks at certificates of clients that were renewed.
const RETIRE: Duration = Duration::from_secs(60);
/// What still runs when the daemon stops gets so long after the drain; then it is left behind.
const LAST: Duration = Duration::from_secs(3);

/// Checks a configuration and says what is doubtful.
#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
pub(super) fn validate(path: &Path) -> Result<bool, Failure> {
    let loaded = config::load(path, std::env::vars())?;
    for warning in loaded.check()? {
        println!("warning: {}: {}", warning.place, warning.why);
    }
    println!("{} is a valid configuration", path.display());
    Ok(true)
}

/// Serves until it is told to stop.
pub(super) fn serve(path: &Path) -> Result<bool, Failure> {
    let loaded = config::load(path, std::env::vars())?;
    let warnings = loaded.check()?;
    let logging = Logging::start(&loaded.config.log);
    for warning in warnings {
        warn!(place = warning.place, "{}", warning.why);
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|why| Failure::io(&why))?;
    let console = loaded.config.claim.as_ref().and_then(|section| section.console.clone());
    let patience = loaded.config.limits.drain() + LAST;
    let done = runtime.block_on(run(Reload { path: path.to_owned(), started: loaded, logging }));
    if let (Err(failure), Some(console)) = (&done, console) {
        // Nobody reads the log of a box that does not serve.
        let text = format!("authenteon: FAILED, nothing is served: {}\n", failure.why);
        if let Err(why) = Device(console).show(&text) {
            error!(%why, "the console does not take why");
        }
    }
    // A thread that waits for a disk or a driver that does not answer any more holds up nobody's restart.
    runtime.shutdown_timeout(patience);
    done?.map_or(Ok(true), |why| Err(why.into()))
}

/// Serves until it is told to stop. Gives why nothing of what is stored was served, where it was not; the console was
/// told.
async fn run(reload: Reload) -> Result<Option<OpenError>, Failure> {
    let loaded = &reload.started;
    let policy = loaded.policy()?;
    let sources = readers(loaded)?;
    let destinations = loaded.destinations()?;
    let directories = loaded.directories()?;
    let mut handover = loaded.handover()?;
    let radius = loaded.radius()?;
    let config = loaded.config.clone();
    let settings = Settings { shown: loaded.shown(), ..Settings::default() };
    let claim = claim(&config)?;
    let lock = storage::open(&config, policy)?;
    let panel = panel(loaded, &lock)?;
    if lock.services().is_none() && lock.failed().is_none() {
        tokio::spawn(tell_once_unlocked(lock.clone(), config.clone()));
    }
    let pki = config.pki.folder;
    let keeping = pki.clone();
    let mut limits = config.limits;
    descriptors::fit(&mut limits);
    let server = Server::bind(config.server.listen, pki.clone(), limits, lock.clone()).await?;
    let failed = |why| Failure::io(&why);
    let server = if config.server.http3 { server.with_http3()? } else { server };
    let server = server.with_log(reload.logging.last_lines(), settings);
    let server = server.with_patience(config.watchdog.patience());
    let server = match config.metrics {
        Some(section) => server.with_metrics(section.listen).await?,
        None => server,
    };
    let server = match config.handover.revocation_listen {
        Some(address) => server.with_published(address).await?,
        None => server,
    };
    let server = match &claim {
        Some(claim) => server.with_claim(Arc::clone(claim)),
        None => server,
    };
    let looks = server.heartbeats().pulse("sensors");
    let sensors = Sensors::start_beating(sources, lock.clone(), Some(looks)).map_err(failed)?;
    let server = server.with_sensors(sensors);
    let server = match panel {
        Some(panel) => server.with_panel(panel),
        None => server,
    };
    let link = config.update.as_ref().map(|update| Link::new(update.agent.clone()));
    let server = server.of_a_test_image(config.update.as_ref().is_some_and(of_a_test_image));
    let server = server.with_disk(config.store.folder.clone());
    let server = server.with_clock_report(config.clock.map(|clock| clock.report));
    let server = match (config.update, &link) {
        (Some(update), Some(link)) => server.with_updates(update.folder, link.clone()).map_err(failed)?,
        _ => server,
    };
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let address = server.address().map_err(failed)?;
    info!(%address, http3 = config.server.http3, "serving over TLS 1.3");
    let fed = Watchdog::start(&config.watchdog, server.heartbeats().clone()).map_err(failed)?;
    watchdog::ready(server.standing());
    // A box that cannot be found by its name is found by its address.
    let announcement = config.announce.as_ref().map(|section| announce(section, address.port()));
    if let Some(Err(why)) = &announcement {
        error!(%why, "not announced on the local network");
    }
    if let Some(claim) = claim.filter(|claim| claim.unprovisioned()) {
        claim.announce(Box::new(move || reachable_at(address)));
        tokio::spawn(keep_announcing(claim));
    }
    keep_audit(&lock, &pki, config.audit.settings());
    let opens = lock.clone();
    let forwarding = Forwarding::start(destinations, async move { opens.opened().await.ok().cloned() });
    let server = server.with_forwarding(forwarding.clone());
    if config.handover.issuer.is_none() {
        handover.issuer = assertion::issuer(authority::device(&pki)?);
    }
    let opens = lock.clone();
    tokio::spawn(async move {
        if let Ok(services) = opens.opened().await {
            services.configure_handover(handover);
        }
    });
    let opens = lock.clone();
    let following = Following::start(directories, async move { opens.opened().await.ok().cloned() });
    let server = server.with_following(following.clone());
    let radius = radius.map(|settings| Radius::start(settings, server.desk()));
    let restart = Arc::new(Notify::new());
    if let Some(link) = link {
        let (restart, lock) = (Arc::clone(&restart), lock.clone());
        let held = config.store.hold_format;
        tokio::spawn(async move {
            // What cannot be opened is not tested, and not kept.
            let Ok(services) = lock.opened().await else { return };
            // Answered by the loop below as any other client is.
            let kept = selftest::run(link, address, pki).await;
            if kept && !held && services.at_rest() == AtRest::NotEncrypted {
                info!("starting anew: no earlier version needs to read the store any more");
                restart.notify_one();
            }
        });
    }
    let reloader = server.reloader();
    tokio::spawn(retire_certificates(reloader.clone()));
    if let Some(section) = config.claim {
        tokio::spawn(keep_certificate(section, config.server.listen.ip(), keeping, reloader.clone()));
    }
    // Before anybody is let in, where the store is open already: who was revoked is nobody.
    let settling = reloader.clone();
    if lock.services().is_some() {
        settling.reload_once_open().await;
    } else {
        tokio::spawn(async move { settling.reload_once_open().await });
    }
    let (reload, renewed) = (Arc::new(reload), following.clone());
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            watchdog::reloading();
            renewed.renew(None);
            match reloader.reload_certificate() {
                Ok(()) => info!("certificate read again"),
                Err(why) => error!(%why, "certificate not read; the old one stays"),
            }
            let (reload, again) = (Arc::clone(&reload), reloader.clone());
            let read = tokio::task::spawn_blocking(move || {
                reload.again(&again);
                again.reload()
            });
            match read.await {
                Ok(Ok(())) => info!("clients read again"),
                Ok(Err(why)) => error!(%why, "clients not read; the old ones stay"),
                Err(why) => error!(%why, "clients not read; the old ones stay"),
            }
            watchdog::ready(reloader.standing());
        }
    });
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = restart.notified() => {}
        }
        info!("stopping");
        watchdog::stopping();
    };
    server.run(stop).await;
    if let Some(radius) = radius {
        radius.end().await;
    }
    following.end().await;
    forwarding.end().await;
    if let Some(services) = lock.services() {
        services.end_upkeep();
        services.end_audit();
    }
    drop(fed);
    info!("stopped");
    Ok(lock.failed())
}

/// Has the audit signed as soon as there are services; a box without its key serves all the same, and says so.
fn keep_audit(lock: &Lock, pki: &Path, settings: AuditSettings) {
    let device = match device_key(pki) {
        Ok(device) => device,
        Err(why) => return error!(%why, "no device key: the audit is not signed"),
    };
    if let Some(services) = lock.services() {
        return services.keep_audit(device, settings);
    }
    let lock = lock.clone();
    tokio::spawn(async move {
        if let Ok(services) = lock.opened().await {
            services.keep_audit(device, settings);
        }
    });
}

/// Says so when the passphrase was right, and when what it opened cannot be served.
async fn tell_once_unlocked(lock: Lock, config: Config) {
    match lock.opened().await {
        Ok(_) => watchdog::ready("unlocked"),
        Err(why) => storage::tell_of(&config, &why),
    }
}

/// The claim of a box that looks after itself; makes what is missing for it.
fn claim(config: &Config) -> Result<Option<Arc<Claim>>, Failure> {
    let Some(section) = &config.claim else { return Ok(None) };
    let folder = &config.pki.folder;
    let (device, made) = first_boot::prepare(folder, &names(section, config.server.listen.ip()))?;
    if made {
        info!(%device, "first start: made an authority and a certificate for this box");
    }
    let console: Box<dyn Console> = match &section.console {
        Some(path) => Box::new(Device(path.clone())),
        None => Box::new(StandardOutput),
    };
    let clock = Arc::new(MonotonicClock::new());
    let claim = Claim::open(folder, device, section.provision.as_deref(), clock, console)?;
    if claim.unprovisioned() {
        warn!("nobody has claimed this box; it serves nothing else until somebody does");
    }
    Ok(Some(Arc::new(claim)))
}

/// What the server's certificate names, by the addresses that the machine has now.
fn names(section: &ClaimSection, listen: IpAddr) -> Vec<String> {
    let mut addresses = addresses::of_this_machine();
    // Loopback is always among the names.
    if !listen.is_unspecified() && !listen.is_loopback() && !addresses.contains(&listen) {
        addresses.push(listen);
    }
    section.server_names(&addresses)
}

/// Ends certificates of clients that were renewed.
async fn retire_certificates(reloader: Reloader) {
    let mut every = tokio::time::interval(RETIRE);
    loop {
        every.tick().await;
        let reloader = reloader.clone();
        match tokio::task::spawn_blocking(move || reloader.retire()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => error!(%why, "a certificate that was renewed stays"),
            Err(why) => error!(%why, "a certificate that was renewed stays"),
        }
    }
}

/// Has the server's certificate issued anew when the machine got another address, and before it ends.
async fn keep_certificate(section: ClaimSection, listen: IpAddr, pki: PathBuf, reloader: Reloader) {
    let mut every = tokio::time::interval(CARE);
    let mut complained: Option<String> = None;
    let mut read = Rereading::default();
    loop {
        every.tick().await;
        let (section, pki) = (section.clone(), pki.clone());
        let kept =
            tokio::task::spawn_blocking(move || first_boot::keep(&pki, &names(&section, listen))).await;
        let why = match kept {
            Ok(Ok(another)) => {
                let read = read.after(another, || reloader.reload_certificate());
                read.err().map(|why| why.to_string())
            }
            Ok(Err(why)) => Some(why.to_string()),
            Err(why) => Some(why.to_string()),
        };
        if let Some(why) = why.as_ref().filter(|why| complained.as_ref() != Some(*why)) {
            error!(%why, "the server's certificate is not renewed");
        }
        complained = why;
    }
}

/// Whether there is another certificate than the one in use.
#[derive(Default)]
struct Rereading {
    due: bool,
}

impl Rereading {
    /// Reads it when another one was issued, and again when that failed before.
    fn after<E>(&mut self, another: bool, read: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        self.due |= another;
        if self.due {
            read()?;
            info!("the server's certificate is another one: its names or its time had changed");
            self.due = false;
        }
        Ok(())
    }
}

/// Whether init said so. What it wrote and cannot be read is no reason not to serve.
fn of_a_test_image(update: &config::Update) -> bool {
    match update.boot.as_deref().map(Boot::read) {
        Some(Ok(boot)) => boot.test,
        Some(Err(why)) => {
            error!(%why, "what init says of this start is not known");
            false
        }
        None => false,
    }
}

/// Where a person can reach a server that listens on `address`.
fn reachable_at(address: SocketAddr) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    let here = addresses::of_this_machine().into_iter().filter(|ip| ip.is_ipv4() || address.is_ipv6());
    here.map(|ip| SocketAddr::new(ip, address.port())).collect()
}

/// Renews the code and says where the box is, until it is claimed.
async fn keep_announcing(claim: Arc<Claim>) {
    let mut every = tokio::time::interval(LOOK);
    while claim.unprovisioned() {
        every.tick().await;
        let claim = Arc::clone(&claim);
        // A console may be slow; what does not come back in this round is seen in the next.
        if tokio::task::spawn_blocking(move || claim.tick()).await.is_err() {
            error!("the claim code is not renewed");
        }
    }
}

/// Where readers are looked for.
fn readers(loaded: &Loaded) -> Result<Vec<Box<dyn Source>>, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::new());
    let mut sources: Vec<Box<dyn Source>> =
        vec![Box::new(SerialPorts::new(loaded.serial_readers()?, &clock))];
    if loaded.config.sensors.usb {
        sources.push(Box::new(UsbReaders::new(&clock)));
    }
    Ok(sources)
}

/// The front panel that the configuration names. A box whose panel does not answer serves without it.
fn panel(loaded: &Loaded, lock: &Lock) -> Result<Option<FrontPanel>, Failure> {
    let lines = loaded.panel_lines()?;
    let Some(panel) = &loaded.config.panel else { return Ok(None) };
    match cdev::open(&panel.chip, &lines) {
        Ok(pins) => {
            let started = FrontPanel::start(pins, panel.door(), lock.clone());
            Ok(Some(started.map_err(|why| Failure::io(&why))?))
        }
        Err(why) => {
            error!(%why, "no front panel; check [panel] and the rights to its chip");
            Ok(None)
        }
    }
}

/// Logs to standard error. A filter that cannot be read logs what is normal, and says so.
pub(crate) fn log_to_stderr(log: &Log) {
    Logging::start(log);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_could_not_be_read_is_read_again_until_it_can() {
        let mut rereading = Rereading::default();
        let mut reads = 0;
        let mut after = |another, good: bool| {
            rereading.after(another, || {
                reads += 1;
                if good { Ok(()) } else { Err("half a file") }
            })
        };
        assert!(after(false, false).is_ok(), "there is nothing to read");
        assert!(after(true, false).is_err() && after(false, false).is_err() && after(false, true).is_ok());
        assert!(after(false, false).is_ok());
        assert_eq!(reads, 3);
    }
}
