//! A connection to one server: protected, logged in, and looked at.
//!
//! Octets go server -> TLS -> [`Guard`] -> `ldap3`, the last step over a pair of sockets, as `ldap3` takes nothing but sockets.
//! Invariants: nothing is said before TLS but StartTLS; no wait is longer than the settings' patience; when a connection is
//! dropped, so is everything that it is made of.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, StdStream};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf},
    net::{TcpStream, UnixStream, unix::OwnedWriteHalf},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{
    ber::{self, Reader, tag},
    guard::{Guard, Refused},
    refusal, tls,
};
use crate::directory::{DirectoryError, Protection, Settings};

/// A server that does not take a connection within this is not there.
const TO_CONNECT: Duration = Duration::from_secs(4);
const STARTTLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::directory) struct Target {
    /// Its name, which its certificate has.
    pub(in crate::directory) host: String,
    pub(in crate::directory) addresses: Vec<SocketAddr>,
}

/// Why a conversation ended, once it has.
type Fate = Arc<OnceLock<DirectoryError>>;

/// A connection.
pub(in crate::directory) struct Connection {
    pub(super) ldap: Ldap,
    pub(super) patience: Duration,
    host: String,
    fate: Fate,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Connection {
    /// Connects, and logs in.
    pub(in crate::directory) async fn open(
        settings: &Settings,
        config: Arc<ClientConfig>,
        target: &Target,
    ) -> Result<Self, DirectoryError> {
        let patience = settings.patience;
        let stalled = |_| DirectoryError::Stalled(patience.as_secs());
        let mut stream = reach(target).await?;
        let protected = async {
            if settings.protection == Protection::StartTls {
                start_tls(&mut stream, &target.host).await?;
            }
            tls::shake_hands(config, &target.host, stream).await
        };
        let stream = timeout(patience, protected).await.map_err(stalled)??;
        let mut connection = Self::over(stream, target.host.clone(), patience).await?;
        connection.bind(settings).await?;
        Ok(connection)
    }

    async fn over(
        server: TlsStream<TcpStream>,
        host: String,
        patience: Duration,
    ) -> Result<Self, DirectoryError> {
        let socket = |why: std::io::Error| DirectoryError::Unreachable(format!("{host}: {why}"));
        let (here, there) = std::os::unix::net::UnixStream::pair().map_err(socket)?;
        there.set_nonblocking(true).map_err(socket)?;
        let there = UnixStream::from_std(there).map_err(socket)?;
        let fate = Fate::default();
        let carried = tokio::spawn(carry(server, there, Arc::clone(&fate)));
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(here));
        let driven = LdapConnAsync::with_settings(settings, "ldapi://guard").await;
        let (driver, ldap) = match driven {
            Ok(pair) => pair,
            Err(why) => {
                carried.abort();
                return Err(DirectoryError::Unreachable(format!("{host}: {why}")));
            }
        };
        let driver = tokio::spawn(async move {
            // How it ends is known by the fate and by who waits for an answer.
            let _ = driver.drive().await;
        });
        Ok(Self { ldap, patience, host, fate, tasks: [carried, driver] })
    }

    async fn bind(&mut self, settings: &Settings) -> Result<(), DirectoryError> {
        // RFC 4513 section 5.1.2: with a name and no password a server may let anybody in as nobody.
        if settings.account.is_empty() || settings.password.is_empty() {
            return Err(DirectoryError::Configuration("`account` has no password".into()));
        }
        let asked = self.ldap.with_timeout(self.patience);
        let answer = asked.simple_bind(&settings.account, settings.password.expose()).await;
        match answer {
            Ok(answer) if answer.rc == refusal::code::SUCCESS => Ok(()),
            Ok(answer) => Err(refusal::of_bind(&answer)),
            Err(why) => Err(match self.lost(why) {
                DirectoryError::Partial(why) => DirectoryError::Unreachable(format!("{}: {why}", self.host)),
                other => other,
            }),
        }
    }

    /// Why no answer came.
    pub(super) fn lost(&self, why: LdapError) -> DirectoryError {
        match (self.fate.get(), why) {
            (Some(fate), _) => fate.clone(),
            (None, LdapError::Timeout { .. }) => DirectoryError::Stalled(self.patience.as_secs()),
            (None, LdapError::FilterParsing) => {
                DirectoryError::Configuration("`filter` is no LDAP filter".into())
            }
            (None, _) => DirectoryError::Partial("the connection was lost".into()),
        }
    }
}

async fn reach(target: &Target) -> Result<TcpStream, DirectoryError> {
    let mut last = "it has no address".to_owned();
    for address in &target.addresses {
        match timeout(TO_CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // What waits for an answer is not to wait for an acknowledgement; without it all works, more slowly.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(why)) => last = why.kind().to_string(),
            Err(_) => last = format!("no answer within {} s", TO_CONNECT.as_secs()),
        }
    }
    Err(DirectoryError::Unreachable(format!("{}: {last}", target.host)))
}

/// Asks for TLS, and reads the answer to its last octet and no further: what came behind it would be taken for protected.
async fn start_tls(stream: &mut TcpStream, host: &str) -> Result<(), DirectoryError> {
    let lost = |why: std::io::Error| DirectoryError::Unreachable(format!("{host}: StartTLS: {}", why.kind()));
    let request = ber::element(0x77, &ber::element(0x80, STARTTLS));
    stream.write_all(&ber::sequence(&[ber::of_integer(1), request])).await.map_err(lost)?;
    let mut message = Vec::new();
    let length = loop {
        message.push(stream.read_u8().await.map_err(lost)?);
        match Guard::length(&message) {
            Ok(None) => {}
            Ok(Some(length)) if length <= 4096 => break length,
            _ => return Err(DirectoryError::Protocol("what answers StartTLS is no LDAP".into())),
        }
    };
    let before = message.len();
    message.resize(length, 0);
    stream.read_exact(&mut message[before..]).await.map_err(lost)?;
    match outcome(&message) {
        Ok(0) => Ok(()),
        Ok(rc) => Err(DirectoryError::Protocol(format!(
            "{host} refuses StartTLS with result code {rc}: give it a certificate, or use LDAPS"
        ))),
        Err(_) => Err(DirectoryError::Protocol("what answers StartTLS is no LDAP".into())),
    }
}

fn outcome(message: &[u8]) -> Result<i64, ber::Malformed> {
    let mut inside = Reader::new(Reader::new(message).required(tag::SEQUENCE)?);
    inside.required(tag::INTEGER)?;
    let mut answer = Reader::new(inside.required(0x78)?);
    ber::integer(answer.required(tag::ENUMERATED)?)
}

/// Carries requests out and answers in, until either side ends.
async fn carry(server: TlsStream<TcpStream>, here: UnixStream, fate: Fate) {
    let (from_server, mut to_server) = tokio::io::split(server);
    let (mut from_here, mut to_here) = here.into_split();
    tokio::select! {
        // The fate is known before the socket closes, so that whoever waits at it finds it.
        end = inward(from_server, &mut to_here) => drop(fate.set(end)),
        _ = tokio::io::copy(&mut from_here, &mut to_server) => {}
    }
    drop((from_here, to_here));
    // The server learns of the end; it may be gone already, or not listen.
    let _ = timeout(TO_CONNECT, to_server.shutdown()).await;
}

async fn inward(mut server: ReadHalf<TlsStream<TcpStream>>, here: &mut OwnedWriteHalf) -> DirectoryError {
    let mut guard = Guard::default();
    let mut buffer = BytesMut::with_capacity(64 << 10);
    loop {
        let passed = match passing(&mut guard, &buffer) {
            Ok(passed) => passed,
            Err(Refused::Notice) => return DirectoryError::Partial("the server ended the connection".into()),
            Err(why) => return DirectoryError::Protocol(why.to_string()),
        };
        if here.write_all(&buffer[..passed]).await.is_err() {
            return DirectoryError::Partial("the connection was closed".into());
        }
        buffer.advance(passed);
        match server.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return DirectoryError::Partial("the connection was lost".into()),
            Ok(_) => {}
        }
    }
}

/// How many octets of whole messages may pass.
fn passing(guard: &mut Guard, buffer: &[u8]) -> Result<usize, Refused> {
    let mut passed = 0;
    while let Some(length) = Guard::length(&buffer[passed..])? {
        let Some(message) = buffer.get(passed..passed + length) else { break };
        guard.admit(message)?;
        passed += length;
    }
    Ok(passed)
}
