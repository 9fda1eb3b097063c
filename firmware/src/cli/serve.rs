//! `serve` and `validate`.

use std::{path::Path, sync::Arc};

use authenteon_hal::{
    clock::{Clock, SystemClock as MonotonicClock},
    discovery::{SerialPorts, Source, UsbReaders},
    panel::cdev,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use super::{exit::Failure, selftest};
use crate::{
    clock::SystemClock,
    config::{self, Loaded, Log},
    panel::FrontPanel,
    sensors::Sensors,
    server::Server,
    services::Services,
    store::SledStore,
    update::link::Link,
};

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
    log_to_stderr(&loaded.config.log);
    for warning in warnings {
        warn!(place = warning.place, "{}", warning.why);
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|why| Failure::io(&why))?;
    runtime.block_on(run(loaded))
}

async fn run(loaded: Loaded) -> Result<bool, Failure> {
    let policy = loaded.policy()?;
    let sources = readers(&loaded)?;
    let panel = panel(&loaded)?;
    let config = loaded.config;
    let store = SledStore::open(&config.store.folder)?;
    let services = Services::open(Arc::new(store), policy, Arc::new(SystemClock))?;
    let counts = services.counts();
    info!(fingers = counts.fingers, impressions = counts.impressions, "store open");
    let pki = config.pki.folder;
    let server = Server::bind(config.server.listen, pki.clone(), config.limits, services).await?;
    let failed = |why| Failure::io(&why);
    let server = server.with_sensors(Sensors::start(sources).map_err(failed)?);
    let server = match panel {
        Some(panel) => server.with_panel(panel),
        None => server,
    };
    let link = config.update.as_ref().map(|update| Link::new(update.agent.clone()));
    let server = match (config.update, &link) {
        (Some(update), Some(link)) => server.with_updates(update.folder, link.clone()).map_err(failed)?,
        _ => server,
    };
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let address = server.address().map_err(failed)?;
    info!(%address, "serving over TLS 1.3");
    if let Some(link) = link {
        // Answered by the loop below as any other client is.
        tokio::spawn(selftest::run(link, address, pki));
    }
    let reloader = server.reloader();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match reloader.reload() {
                Ok(()) => info!("clients read again"),
                Err(why) => error!(%why, "clients not read; the old ones stay"),
            }
        }
    });
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping");
    };
    server.run(stop).await;
    info!("stopped");
    Ok(true)
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
fn panel(loaded: &Loaded) -> Result<Option<FrontPanel>, Failure> {
    let lines = loaded.panel_lines()?;
    let Some(panel) = &loaded.config.panel else { return Ok(None) };
    match cdev::open(&panel.chip, &lines) {
        Ok(pins) => Ok(Some(FrontPanel::start(pins, panel.door()).map_err(|why| Failure::io(&why))?)),
        Err(why) => {
            error!(%why, "no front panel; check [panel] and the rights to its chip");
            Ok(None)
        }
    }
}

/// Logs to standard error. A filter that cannot be read logs what is normal, and says so.
pub(crate) fn log_to_stderr(log: &Log) {
    let (filter, bad) = match EnvFilter::try_new(&log.filter) {
        Ok(filter) => (filter, None),
        Err(why) => (EnvFilter::new("info"), Some(why)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Only a second initialisation fails, and the first goes on working.
    let _ = if log.json { builder.json().try_init() } else { builder.try_init() };
    if let Some(why) = bad {
        warn!(%why, "log.filter cannot be read");
    }
}
