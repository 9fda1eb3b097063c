//! RADIUS over TLS (RFC 6614): 1.3, or 1.2 for switches that have nothing newer, and both sides show a certificate.
//!
//! Files are read at the start and anew every minute, so that certificates can be renewed. Invariant: nothing of RADIUS is read from anybody
//! whose certificate is not of the configured authority, or has no name that the configuration knows.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::{debug, info, warn};
use x509_parser::{extensions::GeneralName, prelude::FromDer as _, prelude::X509Certificate};

use super::{
    clients::{Client, RadSec},
    desk::Outcome,
    front::{Front, Taken},
    packet::Packet,
    seal::Secret,
    udp::until_there,
};
use crate::{
    clock::{Clock as _, SystemClock},
    places::{Place, Places},
};

/// Connections at a time, and of one address.
const MOST: usize = 64;
const OF_ONE: usize = 16;
/// Those that wait to be taken.
const BACKLOG: u32 = 64;
/// A handshake takes no longer, and nor does the rest of a packet that has begun.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Whoever asks nothing for so long has gone: clients ask for the status in between.
const IDLE: Duration = Duration::from_secs(600);
/// How long the files that were read are used, and how long one that could not be read is let be.
const FRESH: Duration = Duration::from_secs(60);
/// Before a listener that fails is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// Answers of a connection that wait to be sent.
const ANSWERS: usize = 64;

/// Why a connection is not served.
#[derive(Debug, thiserror::Error)]
enum NotServed {
    #[error("{path}: {why}", path = .path.display())]
    File { path: std::path::PathBuf, why: String },
    #[error("no TLS: {0}")]
    Tls(String),
    #[error("no client has a name that is in its certificate")]
    Unknown,
}

fn bad(path: &Path, why: impl std::fmt::Display) -> NotServed {
    NotServed::File { path: path.to_owned(), why: why.to_string() }
}

/// Serves on an address until it is to stop.
pub(super) async fn serve(
    address: SocketAddr,
    interface: Option<String>,
    radsec: RadSec,
    front: Front,
    mut stopped: watch::Receiver<bool>,
) {
    let work = async {
        let listener = until_there(address, || bind(address, interface.as_deref())).await;
        info!(%address, "RADIUS over TLS");
        accept(listener, radsec, &front).await;
    };
    tokio::select! {
        () = work => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

async fn bind(address: SocketAddr, interface: Option<&str>) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The files as they were read last.
struct Files {
    radsec: RadSec,
    tried: Option<Duration>,
    read: Option<Arc<ServerConfig>>,
}

impl Files {
    /// TLS with the files of this minute; nothing while there are none that can be used.
    async fn fresh(&mut self) -> Option<Arc<ServerConfig>> {
        let now = SystemClock.running();
        if self.tried.is_none_or(|tried| now.saturating_sub(tried) > FRESH) {
            self.tried = Some(now);
            let radsec = self.radsec.clone();
            let read = spawn_blocking(move || config(&radsec).map_err(|why| why.to_string())).await;
            match read.unwrap_or_else(|why| Err(why.to_string())) {
                Ok(config) => self.read = Some(Arc::new(config)),
                // The one of before may do still.
                Err(why) => warn!(why, "the certificates of RADIUS over TLS cannot be used"),
            }
        }
        self.read.clone()
    }
}

async fn accept(listener: TcpListener, radsec: RadSec, front: &Front) {
    let places = Places::of(MOST, OF_ONE);
    let mut files = Files { radsec, tried: None, read: None };
    // What is wrong with them is said before anybody comes.
    files.fresh().await;
    loop {
        // There always will be.
        let Some(free) = places.free().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(why) => {
                warn!(%why, "no connection of RADIUS over TLS is taken");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.give(free, from.ip()) else {
            front.complain("none", "as many connections over TLS as an address may have are open", from.ip());
            continue;
        };
        let Some(config) = files.fresh().await else { continue };
        front.beside(connection(TlsAcceptor::from(config), stream, from, front.clone(), place));
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, from: SocketAddr, front: Front, _place: Place) {
    match shake_hands(acceptor, stream, &front).await {
        Ok((stream, client)) => exchange(stream, &client, from, &front).await,
        Err(why) => {
            front.count(Outcome::UnknownClient);
            front.complain("none", &why.to_string(), from.ip());
        }
    }
}

async fn shake_hands(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    front: &Front,
) -> Result<(TlsStream<TcpStream>, Client), NotServed> {
    let tls = |why: &dyn std::fmt::Display| NotServed::Tls(why.to_string());
    // An answer is small, and waited for.
    stream.set_nodelay(true).map_err(|why| tls(&why))?;
    let shaken = timeout(HANDSHAKE, acceptor.accept(stream)).await;
    let stream = shaken.map_err(|_| tls(&"too slow"))?.map_err(|why| tls(&why))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let names = shown.map(names).unwrap_or_default();
    let client = front.clients().named(&names).cloned().ok_or(NotServed::Unknown)?;
    Ok((stream, client))
}

/// The DNS names in a certificate.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}

/// Takes packets and gives answers, each as soon as it is there, until either side has enough.
async fn exchange(stream: TlsStream<TcpStream>, client: &Client, from: SocketAddr, front: &Front) {
    let secret = Secret::of_tls();
    let (mut incoming, mut outgoing) = tokio::io::split(stream);
    let (answers, mut answered) = mpsc::channel::<Vec<u8>>(ANSWERS);
    let reading = async {
        while let Some(packet) = packet(&mut incoming).await {
            match front.take((client, &secret), from.ip(), &packet) {
                Taken::Nothing => {}
                Taken::Again(answer) => {
                    // Whoever has gone asks again.
                    let _ = answers.send(answer).await;
                }
                Taken::Work(work) => {
                    let (again, answers) = (front.clone(), answers.clone());
                    front.beside(async move {
                        if let Some(answer) = again.work(*work).await {
                            // Whoever has gone asks again.
                            let _ = answers.send(answer).await;
                        }
                    });
                }
            }
        }
    };
    let writing = async {
        while let Some(answer) = answered.recv().await {
            let sent = timeout(HANDSHAKE, async {
                outgoing.write_all(&answer).await?;
                outgoing.flush().await
            });
            if !matches!(sent.await, Ok(Ok(()))) {
                break;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
    debug!("a connection of RADIUS over TLS has ended");
}

/// The next packet; none at the end, or after something that is none: where the next would begin, nobody knows then.
async fn packet(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut packet = vec![0; 4];
    timeout(IDLE, stream.read_exact(&mut packet)).await.ok()?.ok()?;
    let length = Packet::length(&packet).ok()?;
    packet.resize(length, 0);
    timeout(HANDSHAKE, stream.read_exact(&mut packet[4..])).await.ok()?.ok()?;
    Some(packet)
}

/// TLS with the files of now.
fn config(radsec: &RadSec) -> Result<ServerConfig, NotServed> {
    let tls = |why: &dyn std::fmt::Display| NotServed::Tls(why.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&radsec.ca)? {
        roots.add(certificate).map_err(|why| bad(&radsec.ca, why))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|why| bad(&radsec.ca, why))?;
    let (certificate, key) = &radsec.identity;
    let pair = PrivateKeyDer::from_pem_file(key).map_err(|why| bad(key, why))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|why| tls(&why))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(certificate)?, pair)
        .map_err(|why| bad(certificate, why))?;
    // A session that is resumed would bring a certificate that nobody looks at again.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, NotServed> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|why| bad(path, why))?;
    if found.is_empty() { Err(bad(path, "it holds no certificate in PEM")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_are_cut_out_of_a_stream_by_their_lengths_and_what_is_none_ends_it() {
        let one = [&[1, 7, 0, 23][..], &[9; 16], &[1, 3, b'a']].concat();
        let other = [&[12, 8, 0, 20][..], &[8; 16]].concat();
        let mut stream: &[u8] = &[&one[..], &other, &one[..10]].concat();
        assert_eq!(packet(&mut stream).await, Some(one.clone()));
        assert_eq!(packet(&mut stream).await, Some(other));
        assert_eq!(packet(&mut stream).await, None, "the rest does not come");
        for bad in [&[1, 7, 0, 19][..], &[1, 7, 16, 1], &[1, 7], &[]] {
            assert_eq!(packet(&mut { bad }).await, None, "{bad:?}");
        }
    }
}
