//! The claim: how a box that nobody knows gets its first administrator, and serves nobody else before.
//!
//! Whoever reads the console holds the code; whoever has the code and shows a key gets a certificate for
//! it. The box is claimed from the moment that `claimed.toml` is on the disk, once and for all.
//!
//! A claim is four steps under one lock, and a power cut may come between any two:
//!
//! | after | on the disk | after the next start |
//! |---|---|---|
//! | 1. the certificate is made | nothing new | unclaimed, another code; nobody has the certificate |
//! | 2. the client is registered | a client `administrator` | unclaimed, another code: the registration is worth nothing, as everything answers 503, and the next claim replaces it |
//! | 3. `claimed.toml` is written | that, with the certificate | claimed; the answer was perhaps never heard: the same code with the same key gets the same certificate again |
//! | 4. the answer is sent | the same | claimed |
//!
//! A failure (a full disk) is like a cut: the box stays unclaimed, the code stays good. Should the key be
//! lost for ever, whoever can write the disk removes `claimed.toml`, and the box is claimed anew with all
//! that it holds.

pub mod addresses;
mod code;
mod gate;
mod notice;
pub mod provision;
mod record;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use authenteon_hal::clock::Clock;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::{
    credential::{
        authority::{Authority, AuthorityError},
        clients::{Client, Clients, ClientsError},
        csr::{self, CsrError},
    },
    request::Role,
};
use code::Code;
use gate::{Expected, Gate, Rate, Verdict};
use notice::{Identity, Secret};
use record::{Kept, Record};

pub use notice::{Console, Device, StandardOutput};

/// Whether the box whose authority is in `folder` belongs to somebody, asked by who does not serve it.
#[must_use]
pub fn is_claimed(folder: &Path) -> bool {
    record::exists(folder)
}

/// What the first administrator is called in the registry.
pub const NAME: &str = "administrator";

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The box has its administrator.
    #[error("the box is claimed already; its administrator registers others with authenteond client add")]
    Claimed,
    /// The code is another.
    #[error("this is not the code; wrong codes left: {left}")]
    Wrong {
        /// Until the code is replaced or claiming is locked.
        left: u32,
    },
    /// The code was another once too often.
    #[error("this was one wrong code too many: the console shows another code")]
    Replaced,
    /// The code was never one.
    #[error("the code was mistyped: its check does not fit; this one was not counted")]
    Mistyped,
    /// Too many wrong guesses at a chosen code.
    #[error("too many wrong codes: claiming is locked for another {} minutes", .0.as_secs().div_ceil(60))]
    Locked(Duration),
    /// Too many attempts of everybody together.
    #[error("too many attempts: wait {} seconds", .0.as_secs() + 1)]
    TooMany(Duration),
    /// The request for a certificate cannot be used. The code stays good.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The certificate cannot be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The client cannot be registered.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// The record cannot be kept.
    #[error("the record of the claim cannot be kept: {0}")]
    Record(io::Error),
}

/// What the administrator gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// A certificate for the key that was shown, in PEM.
    pub certificate: String,
    /// The box's authority, in PEM.
    pub authority: String,
    /// The box's name.
    pub device: Uuid,
}

/// Where the box can be reached, asked anew whenever it is told to a person.
pub type Addresses = Box<dyn Fn() -> Vec<SocketAddr> + Send>;

/// The claim of one box.
pub struct Claim {
    /// Read on every request; set once, under the lock.
    unprovisioned: AtomicBool,
    inner: Mutex<Inner>,
    clock: Arc<dyn Clock>,
}

struct Inner {
    folder: PathBuf,
    authority: String,
    identity: Identity,
    console: Box<dyn Console>,
    /// Nobody is told of the box before it listens.
    addresses: Option<Addresses>,
    told: Vec<SocketAddr>,
    rate: Rate,
    state: State,
}

enum State {
    Unclaimed(Gate),
    /// The record, where it can be read.
    Claimed(Option<Box<Record>>),
}

impl Claim {
    /// The claim of the box whose authority is in `folder`. The file `provision` is read only while the box
    /// is unclaimed.
    ///
    /// # Errors
    /// [`AuthorityError`]: the folder cannot be read.
    pub fn open(
        folder: &Path,
        device: Uuid,
        provision: Option<&Path>,
        clock: Arc<dyn Clock>,
        console: Box<dyn Console>,
    ) -> Result<Self, AuthorityError> {
        let file = |name: &str| {
            let path = folder.join(name);
            move |why| AuthorityError::File { path, why }
        };
        let authority = fs::read_to_string(folder.join("ca.pem")).map_err(file("ca.pem"))?;
        let certificate = CertificateDer::from_pem_slice(authority.as_bytes())
            .map_err(|why| file("ca.pem")(io::Error::other(why)))?;
        let authority_sha256 = Sha256::digest(&certificate).into();
        let state = match Record::load(folder).map_err(file("claimed.toml"))? {
            Kept::Claimed(record) => State::Claimed(record),
            Kept::Nothing => {
                let chosen = provision.and_then(|path| chosen_code(path, console.as_ref()));
                State::Unclaimed(Gate::new(chosen.map_or(Expected::Nothing, Expected::Chosen), clock.now()))
            }
        };
        let inner = Inner {
            folder: folder.to_owned(),
            authority,
            identity: Identity { device, authority_sha256 },
            console,
            addresses: None,
            told: Vec::new(),
            rate: Rate::default(),
            state,
        };
        let unprovisioned = AtomicBool::new(matches!(inner.state, State::Unclaimed(_)));
        Ok(Self { unprovisioned, inner: Mutex::new(inner), clock })
    }

    /// Whether nobody has claimed the box.
    #[must_use]
    pub fn unprovisioned(&self) -> bool {
        self.unprovisioned.load(Ordering::Acquire)
    }

    /// Tells the console of the box, now that it listens.
    pub fn announce(&self, addresses: Addresses) {
        let mut inner = self.lock();
        inner.addresses = Some(addresses);
        let now = self.clock.now();
        if matches!(&inner.state, State::Unclaimed(gate) if matches!(gate.expected(), Expected::Chosen(_))) {
            inner.tell(&Secret::Chosen);
        }
        inner.refresh(now);
    }

    /// To be called every few seconds while the box is unclaimed: shows another code when the last one is
    /// too old, and where the box is when that has changed.
    pub fn tick(&self) {
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.refresh(now);
        let State::Unclaimed(gate) = &inner.state else { return };
        let secret =
            if matches!(gate.expected(), Expected::Chosen(_)) { Secret::Chosen } else { Secret::Before };
        if inner.addresses.as_ref().is_some_and(|addresses| addresses() != inner.told) {
            inner.tell(&secret);
        }
    }

    /// Claims the box with a code and a request for a certificate. `publish` makes the new registry known
    /// to the server; it is called once the claim is durable, and before anybody is let in.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn attempt(
        &self,
        code: &str,
        csr: &str,
        publish: impl FnOnce(Clients),
    ) -> Result<Claimed, ClaimError> {
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.rate.admit(now).map_err(ClaimError::TooMany)?;
        inner.refresh(now);
        let typed = typed_digest(code);
        let gate = match &mut inner.state {
            State::Claimed(record) => {
                // Strangers do not get as far as the parser.
                let record = record.as_ref().filter(|record| record.is_of_code(&typed));
                let record = record.ok_or(ClaimError::Claimed)?;
                if !record.is_of(&csr::proven_key(csr)?.sha256, &typed) {
                    return Err(ClaimError::Claimed);
                }
                let certificate = record.certificate.clone();
                return Ok(inner.answer(certificate));
            }
            State::Unclaimed(gate) => gate,
        };
        match gate.judge(code, now) {
            Verdict::Right => {}
            Verdict::Wrong { left } => {
                warn!(left, "a wrong claim code");
                return Err(ClaimError::Wrong { left });
            }
            Verdict::Spent => {
                warn!("too many wrong claim codes: the code is replaced");
                inner.refresh(now);
                return Err(ClaimError::Replaced);
            }
            Verdict::Mistyped => return Err(ClaimError::Mistyped),
            Verdict::Locked(wait) => {
                warn!(seconds = wait.as_secs(), "too many wrong claim codes: claiming is locked");
                return Err(ClaimError::Locked(wait));
            }
        }
        let key = csr::proven_key(csr)?;
        let issued = Authority::open(&inner.folder)?.certify_client(NAME, Role::Administrator, &key.key)?;
        let mut clients = Clients::load(&inner.folder)?;
        clients.put(Client::new(NAME, Role::Administrator, &issued.fingerprint, Some(issued.expires)));
        clients.save(&inner.folder)?;
        let record = Record::new(&key.sha256, &typed, issued.certificate.clone());
        record.save(&inner.folder).map_err(ClaimError::Record)?;
        inner.state = State::Claimed(Some(Box::new(record)));
        publish(clients);
        self.unprovisioned.store(false, Ordering::Release);
        info!(client = NAME, "the box is claimed");
        inner.show(&notice::line("this box is claimed; the code is worth nothing any more"));
        Ok(inner.answer(issued.certificate))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Replaces a code that is worth nothing any more, once there is somebody to tell.
    fn refresh(&mut self, now: Duration) {
        let State::Unclaimed(gate) = &mut self.state else { return };
        if self.addresses.is_none() || !gate.stale(now) {
            return;
        }
        match Code::random(aws_lc_rs::default_provider().secure_random) {
            Ok(code) => {
                *gate = Gate::new(Expected::Shown(code.digest()), now);
                self.tell(&Secret::Shown(&code));
            }
            Err(_) => {
                error!("no randomness for a claim code");
                if gate.expected() != Expected::Nothing {
                    *gate = Gate::new(Expected::Nothing, now);
                    self.tell(&Secret::Nothing);
                }
            }
        }
    }

    fn tell(&mut self, secret: &Secret<'_>) {
        self.told = self.addresses.as_ref().map(|addresses| addresses()).unwrap_or_default();
        self.show(&notice::block(&self.identity, &self.told, secret));
    }

    fn show(&self, text: &str) {
        if let Err(why) = self.console.show(text) {
            error!(%why, "the console cannot be written: check [claim] console");
        }
    }

    fn answer(&self, certificate: String) -> Claimed {
        Claimed { certificate, authority: self.authority.clone(), device: self.identity.device }
    }
}

/// The digest of the code that the administrator chose, if the file is there and good.
fn chosen_code(path: &Path, console: &dyn Console) -> Option<[u8; 32]> {
    match provision::read(path) {
        Ok(read) => read.and_then(|provision| provision.code_sha256),
        Err(why) => {
            warn!(%why, "provision.toml is not used");
            let line = notice::line(&format!("provision.toml is not used: {why}"));
            if let Err(why) = console.show(&line) {
                error!(%why, "the console cannot be written: check [claim] console");
            }
            None
        }
    }
}

/// What is remembered of a code when the box is claimed: the same for all ways to type it.
fn typed_digest(code: &str) -> [u8; 32] {
    Code::parse(code).map_or_else(|_| Sha256::digest(code.as_bytes()).into(), |code| code.digest())
}

#[cfg(test)]
mod tests;
