//! The service as whole strangers meet it, fed to a daemon that runs: bodies of requests, first datagrams of QUIC, frames
//! of HTTP/3, packets of RADIUS.
//!
//! What each promises: nothing makes the daemon panic, answer 500, grow, or forget the others, who ask in between.

use std::{
    io::Write as _,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use authenteon_tests::{
    http3,
    load::daemon::{Daemon, build},
};
use bytes::Bytes;
use hyper::Request;
use quinn::{Connection, VarInt};
use rustls::{
    ClientConfig, RootCertStore, Side,
    crypto::{CryptoProvider, aws_lc_rs},
    quic::{ClientConnection, Suite, Version},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tempfile::NamedTempFile;
use tokio::{runtime::Runtime, time::timeout};

use crate::{radius::SECRET, targets::Target};

pub(crate) const TARGETS: [Target; 3] = [
    Target { name: "requests", what: "bodies of requests", corpus: request_corpus, feed: request },
    Target {
        name: "quic-initial",
        what: "datagrams that begin a connection of QUIC",
        corpus: initial_corpus,
        feed: datagram,
    },
    Target {
        name: "http3-frames",
        what: "frames of HTTP/3 after a handshake",
        corpus: frame_corpus,
        feed: frames,
    },
];

/// An answer takes no longer, or none comes.
const ANSWER: Duration = Duration::from_millis(300);
/// The same for a datagram that need not be answered.
const DATAGRAM: Duration = Duration::from_millis(8);
/// Others wait no longer than this.
const OTHERS: Duration = Duration::from_secs(20);
/// After how many inputs others ask.
const BETWEEN: u64 = 64;
/// Memory that the daemon may grow to.
const MOST: u64 = 600 << 20;
/// Places are not what is looked for here, and half a handshake is not to be waited for.
const CONFIGURATION: &str = "[limits]\nconnections = 5000\nconnections-per-address = 5000\nhandshake-seconds = 2\n\
                             request-seconds = 2\nidle-seconds = 30\n";

/// Routes with a body, and who may ask; what would take a passphrase is left to the tests.
const ROUTES: [(&str, &str, &str); 7] = [
    ("POST", "/v1/verify", "station"),
    ("POST", "/v1/identify", "station"),
    ("POST", "/v1/sensors/none/capture", "station"),
    ("POST", "/v1/subjects", "officer"),
    ("POST", "/v1/subjects/00000000-0000-4000-8000-000000000000/fingers", "officer"),
    ("POST", "/v1/system/claim", "officer"),
    ("POST", "/v1/stations", "administrator"),
];

struct Service {
    daemon: Daemon,
    runtime: Runtime,
    /// Connections that are kept, by who asks.
    kept: Vec<(&'static str, http3::Connection)>,
    /// A connection on which frames are sent.
    raw: Option<Connection>,
    socket: UdpSocket,
    /// The same, for RADIUS.
    radius: UdpSocket,
    /// Where the secret of RADIUS lies.
    _secret: NamedTempFile,
    fed: u64,
}

/// The daemon that all targets share, once one of them has started it.
static SERVICE: Mutex<Option<Service>> = Mutex::new(None);

/// Does something with the daemon; a program that cannot start it has nothing to feed.
fn with<T>(does: impl FnOnce(&mut Service) -> T) -> T {
    // A promise that was broken is told by who broke it.
    let mut service = SERVICE.lock().unwrap_or_else(PoisonError::into_inner);
    does(service.get_or_insert_with(Service::start))
}

/// Stops the daemon, if there is one.
pub(crate) fn end() {
    SERVICE.lock().unwrap_or_else(PoisonError::into_inner).take();
}

#[expect(clippy::panic, reason = "a promise that is broken is a panic here")]
fn must<T, E: std::fmt::Display>(done: Result<T, E>, what: &str) -> T {
    done.unwrap_or_else(|why| panic!("{what}: {why}"))
}

/// A configuration with RADIUS at a port that is free, for who has the secret of the fuzzer.
fn with_radius() -> std::io::Result<(String, u16, NamedTempFile)> {
    let mut secret = NamedTempFile::new()?;
    writeln!(secret, "{SECRET}")?;
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let text = format!(
        "{CONFIGURATION}[radius]\nlisten = [\"127.0.0.1:{port}\"]\n[[radius.client]]\nname = \"fuzz\"\naddresses = \
         [\"127.0.0.1\"]\nsecret-file = {:?}\n",
        secret.path(),
    );
    Ok((text, port, secret))
}

/// Sends a packet of RADIUS; whether it is answered.
pub(crate) fn ask_radius(packet: &[u8]) -> bool {
    with(|service| {
        // What the daemon does not take is lost, as on any network.
        let _ = service.radius.send(packet);
        must(service.radius.set_read_timeout(Some(DATAGRAM)), "no socket");
        let answered = service.radius.recv(&mut [0; 4096]).is_ok();
        service.others_are_served();
        answered
    })
}

impl Service {
    fn start() -> Self {
        let program = must(build(), "the daemon is not built");
        let (configuration, port, secret) = must(with_radius(), "no port for RADIUS");
        let daemon = must(Daemon::start(&program, &configuration), "the daemon does not start");
        let socket = must(UdpSocket::bind("127.0.0.1:0"), "no socket");
        must(socket.connect(daemon.address()), "no socket");
        let radius = must(UdpSocket::bind("127.0.0.1:0"), "no socket");
        must(radius.connect(("127.0.0.1", port)), "no socket");
        let runtime = must(Runtime::new(), "no runtime");
        let _secret = secret;
        Self { daemon, runtime, kept: Vec::new(), raw: None, socket, radius, _secret, fed: 0 }
    }

    fn tls(&self, name: Option<&str>) -> ClientConfig {
        let pki = self.daemon.pki();
        let mut roots = RootCertStore::empty();
        let authority = must(CertificateDer::from_pem_file(pki.join("ca.pem")), "the authority");
        must(roots.add(authority), "the authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = must(builder.with_protocol_versions(&[&TLS13]), "TLS").with_root_certificates(roots);
        let Some(name) = name else { return builder.with_no_client_auth() };
        let chain = must(CertificateDer::from_pem_file(pki.join(format!("{name}.pem"))), name);
        let key = must(PrivateKeyDer::from_pem_file(pki.join(format!("{name}.key"))), name);
        must(builder.with_client_auth_cert(vec![chain], key), name)
    }

    fn client(&self, name: Option<&str>) -> http3::Client {
        // Sockets belong to a runtime.
        let _inside = self.runtime.enter();
        must(http3::Client::new(self.tls(name)), "a client")
    }

    /// Counts an input; now and then somebody else asks, and must be answered.
    fn others_are_served(&mut self) {
        self.fed += 1;
        if !self.fed.is_multiple_of(BETWEEN) {
            return;
        }
        let (client, address) = (self.client(None), self.daemon.address());
        let asking = async {
            let request =
                Request::get("/v1/health/live").body(Bytes::new()).map_err(std::io::Error::other)?;
            client.connect(address).await?.ask(request).await
        };
        let asked = self.runtime.block_on(async { timeout(OTHERS, asking).await });
        let answer = must(must(asked, "others wait"), "others are not served");
        assert!(answer.status().is_success(), "others get {}", answer.status());
        let said = self.daemon.said();
        assert!(!said.contains("panicked at"), "the daemon panicked: {said}");
        assert!(self.daemon.memory() < MOST, "the daemon grew to {} bytes", self.daemon.memory());
    }
}

fn request_corpus() -> Vec<Vec<u8>> {
    let png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
    let sample = format!("{{\"format\":\"png\",\"data\":\"{png}\",\"dpi\":500}}");
    let names = "\"request_id\":\"a\",\"nonce\":\"0123456789abcdef\"";
    let subject = "00000000-0000-4000-8000-000000000000";
    let bodies = [
        format!("{{{names},\"subject_id\":\"{subject}\",\"sample\":{sample}}}"),
        format!("{{{names},\"sample\":{sample}}}"),
        "{\"timeout_ms\":1}".to_owned(),
        "{\"name\":\"Ada \\u00e9\"}".to_owned(),
        format!("{{\"position\":\"right-index\",\"samples\":[{sample},{sample},{sample}]}}"),
        "{\"code\":\"0000-0000-0000-0000-0\",\"csr\":\"-----BEGIN CERTIFICATE REQUEST-----\"}".to_owned(),
        "{\"name\":\"desk\",\"role\":\"station\",\"csr\":\"-----BEGIN CERTIFICATE REQUEST-----\"}".to_owned(),
    ];
    bodies.iter().enumerate().map(|(route, body)| [&[route as u8], body.as_bytes()].concat()).collect()
}

/// A body for a route. Valid is what was understood, whatever the answer.
fn request(input: &[u8]) -> bool {
    let Some((route, body)) = input.split_first() else { return false };
    with(|service| service.ask(ROUTES[usize::from(*route) % ROUTES.len()], body))
}

impl Service {
    fn ask(&mut self, (method, path, who): (&'static str, &'static str, &'static str), body: &[u8]) -> bool {
        let kept = self
            .kept
            .iter()
            .position(|(name, connection)| *name == who && connection.quic().close_reason().is_none());
        let kept = kept.unwrap_or_else(|| {
            let (client, address) = (self.client(Some(who)), self.daemon.address());
            self.kept.retain(|(name, _)| *name != who);
            self.kept.push((who, must(self.runtime.block_on(client.connect(address)), "a connection")));
            self.kept.len() - 1
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Bytes::copy_from_slice(body));
        let asking = self.kept[kept].1.ask(must(request, path));
        let asked = self.runtime.block_on(async { timeout(OTHERS, asking).await });
        let status = must(must(asked, "no answer"), "no answer").status().as_u16();
        assert!(status < 500 || status == 503, "{path} answers {status}: {}", self.daemon.said());
        self.others_are_served();
        status != 400
    }
}

/// The keys of the packets that begin a connection: whoever sees its first identifier has them.
fn initial() -> Option<Suite> {
    aws_lc_rs::default_provider()
        .cipher_suites
        .iter()
        .filter(|suite| suite.suite() == rustls::CipherSuite::TLS13_AES_128_GCM_SHA256)
        .find_map(|suite| suite.tls13()?.quic_suite())
}

/// A packet that begins a connection, sealed, so that what is in it is looked at.
fn sealed(connection: &[u8; 8], number: u32, frames: &[u8]) -> Option<Vec<u8>> {
    let keys = initial()?.keys(connection, Side::Client, Version::V1);
    let mut frames = frames[..frames.len().min(1200)].to_vec();
    // PADDING up to what a first datagram must have.
    frames.resize(frames.len().max(1160), 0);
    let length = 4 + frames.len() + 16;
    let number = number.to_be_bytes();
    let header = [
        &[0xC3, 0, 0, 0, 1, 8][..],
        connection,
        &[8],
        connection,
        &[0],
        &(0x4000 | length as u16).to_be_bytes(),
        &number,
    ]
    .concat();
    let tag = keys.local.packet.encrypt_in_place(u64::from(u32::from_be_bytes(number)), &header, &mut frames);
    let mut packet = [&header[..], &frames, tag.ok()?.as_ref()].concat();
    let at = header.len() - 4;
    let (head, rest) = packet.split_at_mut(at);
    let (masked, sample) = rest.split_at_mut(4);
    keys.local.header.encrypt_in_place(&sample[..16], head.first_mut()?, masked).ok()?;
    Some(packet)
}

/// The first flight of a client, as a frame of CRYPTO.
fn client_hello(service: &Service) -> Vec<u8> {
    let provider = CryptoProvider {
        // The hybrid one needs two packets.
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let mut tls = must(builder.with_protocol_versions(&[&TLS13]), "TLS")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let name = ServerName::from(service.daemon.address().ip());
    // initial_source_connection_id, and some limits.
    let parameters = [&[0x0F, 8][..], b"12345678", &[0x04, 2, 0x7F, 0xFF, 0x08, 1, 0x20]].concat();
    let client = ClientConnection::new(Arc::new(tls), Version::V1, name, parameters);
    let mut hello = Vec::new();
    must(client, "TLS").write_hs(&mut hello);
    [&[0x06, 0][..], &(0x4000 | hello.len() as u16).to_be_bytes(), &hello].concat()
}

fn initial_corpus() -> Vec<Vec<u8>> {
    let hello = with(|service| client_hello(service));
    let (early, late) = hello.split_at(hello.len() / 2);
    let frames = [
        hello.clone(),
        // PING, ACK of one packet, then the hello.
        [&[0x01, 0x02, 0, 0, 0, 0][..], &hello].concat(),
        // In two parts, of which the first lacks its end.
        [early, &[0x01], late].concat(),
    ];
    let mut corpus: Vec<Vec<u8>> = frames.iter().map(|frames| [&[0], frames.as_slice()].concat()).collect();
    // As it goes over the wire, of which nothing is secret.
    corpus.extend(sealed(b"fuzzfuzz", 0, &hello).map(|packet| [vec![1], packet].concat()));
    corpus
}

/// A datagram, as it is or sealed. Valid is what is answered.
fn datagram(input: &[u8]) -> bool {
    let Some((sealing, bytes)) = input.split_first() else { return false };
    with(|service| service.receive(*sealing, bytes))
}

impl Service {
    fn receive(&mut self, sealing: u8, bytes: &[u8]) -> bool {
        let connection = (self.fed ^ 0xA5A5_0000_0000_0000).to_be_bytes();
        let datagrams = match sealing % 2 {
            0 => {
                // And its end, so that it is not waited for.
                let closed = sealed(&connection, 1, &[0x1C, 0, 0, 0]);
                [sealed(&connection, 0, bytes), closed].into_iter().flatten().collect()
            }
            _ => vec![bytes[..bytes.len().min(1400)].to_vec()],
        };
        let mut answered = false;
        let mut answer = [0; 2048];
        for datagram in datagrams {
            // What the daemon does not take is lost, as on any network.
            let _ = self.socket.send(&datagram);
            must(self.socket.set_read_timeout(Some(DATAGRAM)), "no socket");
            answered |= self.socket.recv(&mut answer).is_ok();
        }
        self.others_are_served();
        answered
    }
}

fn frame_corpus() -> Vec<Vec<u8>> {
    let path = b"/v1/health/live";
    // :method GET, :scheme https, :authority x, :path, by the static table.
    let get = [&[0, 0, 0xC0 | 17, 0xC0 | 23, 0x50, 1, b'x', 0x51, path.len() as u8][..], path].concat();
    let get = [&[0x01, get.len() as u8][..], &get].concat();
    let path = b"/v1/verify";
    let post = [&[0, 0, 0xC0 | 20, 0xC0 | 23, 0x50, 1, b'x', 0x51, path.len() as u8][..], path, &[0xC0 | 46]]
        .concat();
    let post = [&[0x01, post.len() as u8][..], &post].concat();
    vec![
        [&[0][..], &get].concat(),
        // A frame that nobody knows before it, and one after it.
        [&[0, 0x21, 3, 1, 2, 3][..], &get, &[0x40, 0x5F, 0]].concat(),
        [&[0][..], &post, &[0x00, 2], b"{}"].concat(),
        // In two parts, with trailers: x: y.
        [&[0][..], &post, &[0x00, 1, b'{', 0x00, 1, b'}', 0x01, 6, 0, 0, 0x21, b'x', 1, b'y']].concat(),
        // A control stream with its settings, and a limit of pushes; the streams of QPACK.
        vec![1, 0x00, 0x04, 4, 0x01, 0, 0x07, 0, 0x0D, 1, 0],
        vec![1, 0x02],
        vec![1, 0x03],
        vec![1, 0x40, 0x21, 1, 2, 3],
    ]
}

/// What is sent on a stream after a handshake. Valid is what is answered, or does not end the connection.
fn frames(input: &[u8]) -> bool {
    let Some((kind, bytes)) = input.split_first() else { return false };
    with(|service| service.take(*kind, bytes))
}

impl Service {
    fn take(&mut self, kind: u8, bytes: &[u8]) -> bool {
        let kept = self
            .raw
            .take()
            .filter(|connection| connection.close_reason().is_none() && kind.is_multiple_of(2));
        let connection = kept.unwrap_or_else(|| {
            let (client, address): (_, SocketAddr) = (self.client(Some("station")), self.daemon.address());
            must(self.runtime.block_on(client.shake_hands(address)), "a handshake")
        });
        let fed = self.runtime.block_on(async {
            if kind.is_multiple_of(2) {
                let (mut send, mut receive) = connection.open_bi().await.ok()?;
                // It may be refused before it is written.
                let _ = send.write_all(bytes).await;
                let _ = send.finish();
                let answer = timeout(ANSWER, receive.read_to_end(1 << 20)).await.ok()?.ok()?;
                (!answer.is_empty()).then_some(())
            } else {
                let mut send = connection.open_uni().await.ok()?;
                send.write_all(bytes).await.ok()?;
                timeout(DATAGRAM, connection.closed()).await.err().map(|_| ())
            }
        });
        if kind.is_multiple_of(2) {
            self.raw = Some(connection);
        } else {
            connection.close(VarInt::from_u32(0x100), b"");
        }
        self.others_are_served();
        fed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_a_first_packet_that_a_server_opens() {
        let connection = b"fuzzfuzz";
        let mut packet = sealed(connection, 7, &[0x01, 0x02]).unwrap();
        assert!(packet.len() >= 1200, "a server drops what is shorter");
        let keys = initial().unwrap().keys(connection, Side::Server, Version::V1);
        // Behind the header: 26 bytes and the packet's number.
        let (head, rest) = packet.split_at_mut(26);
        let (number, sample) = rest.split_at_mut(4);
        keys.remote.header.decrypt_in_place(&sample[..16], &mut head[0], number).unwrap();
        assert_eq!((head[0], &number[..]), (0xC3, &[0, 0, 0, 7][..]));
        let header = packet[..30].to_vec();
        let opened = keys.remote.packet.decrypt_in_place(7, &header, &mut packet[30..]).unwrap();
        assert_eq!(opened[..3], [0x01, 0x02, 0]);
    }
}
