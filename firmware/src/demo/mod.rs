//! The main job, shown: a real daemon on a real port, recorded fingers at the replay sensor, and a TLS
//! client that is told yes, no, and who.

mod client;
mod fixtures;
mod presented;
mod prints;
mod report;
mod steps;

use std::{fs, io, path::Path, sync::Arc};

use authenteon_hal::{FrameError, SensorError, replay::SetError};
use tempfile::TempDir;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use crate::{
    cli::DemoArguments,
    clock::SystemClock,
    config::Limits,
    credential::{
        authority::{Authority, AuthorityError},
        clients::{self, Clients, ClientsError},
        write_private, write_public,
    },
    lock::Lock,
    policy::Policy,
    request::Role,
    server::{ServeError, Server},
    services::{OpenError, Services},
    store::DiskStore,
};
use client::{Client, ClientError};
use prints::Prints;
use report::Report;
use steps::Askers;

/// Why the demo could not be shown. A wrong decision is no error: it is shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The prints cannot be read.
    #[error("the prints cannot be read: {0}")]
    Frames(#[from] SetError),
    /// There are too few prints for the steps.
    #[error("{0}")]
    TooFew(String),
    /// A file or the runtime failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Certificates could not be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Clients could not be registered.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// The server does not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The services do not start.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The client could not ask.
    #[error("the demo's client: {0}")]
    Client(#[from] ClientError),
    /// A print cannot be a frame.
    #[error("a print: {0}")]
    Frame(#[from] FrameError),
    /// The replay sensor failed.
    #[error("the demo's sensor: {0}")]
    Sensor(#[from] SensorError),
}

impl From<crate::store::StoreError> for DemoError {
    fn from(why: crate::store::StoreError) -> Self {
        Self::Open(why.into())
    }
}

/// Shows the main job; true when every decision was right.
///
/// # Errors
/// [`DemoError`].
pub(crate) fn run(arguments: &DemoArguments) -> Result<bool, DemoError> {
    let prints = match &arguments.frames {
        Some(folder) => Prints::of_folder(folder, arguments.dpi)?,
        None => Prints::built_in()?,
    };
    crate::cli::log_to_stderr(&crate::config::Log { filter: "warn".to_owned(), json: false });
    // It goes after the runtime, whose tasks close the store.
    let folder = TempDir::with_prefix("authenteon-demo-")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(show(arguments, prints, folder.path()))
}

async fn show(arguments: &DemoArguments, prints: Prints, folder: &Path) -> Result<bool, DemoError> {
    let pki = folder.join("pki");
    let authority = Authority::init(&pki, &["localhost".to_owned(), arguments.listen.ip().to_string()])?;
    let mut clients = Clients::default();
    for (name, role) in [("officer", Role::Officer), ("station", Role::Station)] {
        let issued = authority.issue_client(name, role)?;
        write_private(&pki.join(format!("{name}.key")), &issued.key)?;
        write_public(&pki.join(format!("{name}.pem")), &issued.certificate)?;
        clients.add(clients::Client::new(name, role, &issued.fingerprint, Some(issued.expires)))?;
    }
    clients.save(&pki)?;

    let store = DiskStore::open(&folder.join("store"))?;
    let services = Services::open(Arc::new(store), Policy::default(), Arc::new(SystemClock))?;
    let server = Server::bind(arguments.listen, pki.clone(), Limits::default(), Lock::open(services)).await?;
    let address = server.address()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async {
        // A dropped sender stops it too.
        let _ = stopped.await;
    }));

    let mut report = Report::new(address, arguments.json);
    let askers = Askers {
        officer: Client::new(address, &pki, Some("officer"))?,
        station: Client::new(address, &pki, Some("station"))?,
        stranger: Client::new(address, &pki, None)?,
    };
    steps::run(&mut report, &askers, prints).await?;
    let right = report.finish();
    if !arguments.once {
        let sample = sample_file(folder, report.probe())?;
        report.invite(&pki, &sample, report.subject());
        // Both, so that the temporary folder with its keys goes away.
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
        }
    }
    let _ = stop.send(());
    let _ = serving.await;
    Ok(right)
}

/// A request's body that `curl` can send: a probe that was not presented yet.
fn sample_file(folder: &Path, body: Option<&serde_json::Value>) -> io::Result<std::path::PathBuf> {
    let path = folder.join("verify.json");
    fs::write(&path, serde_json::to_vec_pretty(&body)?)?;
    Ok(path)
}
