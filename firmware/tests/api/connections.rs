//! Connections: TLS 1.3 or nothing, bounded in time and number, and closed cleanly at the end.

use std::{
    fs,
    time::{Duration, Instant},
};

use hyper::Method;
use rcgen::{CertificateParams, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{Client, Daemon, fixture, identification, sample};

/// Longer than any limit that these tests set, shorter than a person waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that the daemon says until it closes; a reset counts as closing.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut said = Vec::new();
    // What came before a reset is in `said` all the same.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.unwrap();
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_told_to_use_tls_and_is_not_served() {
    let daemon = Daemon::start();
    for request in
        ["GET /v1/health/live HTTP/1.1\r\nhost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\n"]
    {
        let mut stream = TcpStream::connect(daemon.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = String::from_utf8(rest(&mut stream).await).unwrap();
        assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("TLS only"), "{said:?}");
        assert!(!said.contains("live"), "{said:?}");
    }
    assert_eq!(Client::stranger(&daemon).get("/v1/health/live").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_tls_is_refused_with_its_alert() {
    // A ClientHello of TLS 1.2: no supported_versions, one cipher suite of that time.
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    let extensions: &[u8] = &[0, 10, 0, 4, 0, 2, 0, 29, 0, 13, 0, 4, 0, 2, 4, 3];
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    let mut record = vec![0x16, 3, 1];
    record.extend((hello.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((hello.len() as u16).to_be_bytes());
    record.extend(hello);

    let daemon = Daemon::start();
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let said = rest(&mut stream).await;
    // An alert record, fatal, protocol_version (70).
    assert_eq!((said[0], &said[5..7]), (0x15, &[2, 70][..]), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_exchange_is_post_quantum() {
    let daemon = Daemon::start();
    let stream = Client::stranger(&daemon).connect().await.unwrap();
    let connection = stream.get_ref().1;
    assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let group = connection.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_foreign_authority_is_refused_in_the_handshake() {
    let daemon = Daemon::start();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key_file) = (folder.path().join("c.pem"), folder.path().join("c.key"));
    let key = KeyPair::generate().unwrap();
    let foreign = CertificateParams::new(vec!["station".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(&certificate, foreign.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    let client = Client::with(daemon.address, &daemon.pki(), Some((&certificate, &key_file)));
    // In TLS 1.3 the client learns of it with its first reading.
    let served = async {
        let mut stream = client.connect().await?;
        stream.write_all(b"GET /v1/health/live HTTP/1.1\r\nhost: x\r\n\r\n").await?;
        let mut said = vec![0; 64];
        stream.read(&mut said).await
    };
    assert!(!matches!(timeout(PATIENCE, served).await.unwrap(), Ok(length) if length > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_is_not_spoken_on_tcp_is_refused_in_the_handshake() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    for protocol in [&b"h3"[..], b"smtp"] {
        let why = station.offering(&[protocol]).connect().await.unwrap_err().to_string();
        assert!(why.contains("NoApplicationProtocol"), "{why}");
    }
    assert!(station.offering(&[b"smtp", b"http/1.1"]).connect().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_is_idle_for_the_idle_time_and_not_for_that_of_a_head() {
    let daemon = Daemon::with("[limits]\nrequest-seconds = 1\nidle-seconds = 60");
    let station = Client::named(&daemon, "station");
    let mut kept = station.open().await;
    for _ in 0..2 {
        let request = station.request(&Method::GET, "/v1/health/ready").body(Default::default()).unwrap();
        assert_eq!(station.send(&mut kept, request).await.status, 200);
        tokio::time::sleep(Duration::from_millis(2500)).await;
    }
    assert!(!kept.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_its_answers_is_let_go() {
    let daemon = Daemon::with("[limits]\nidle-seconds = 1");
    let mut deaf = Client::named(&daemon, "station").connect().await.unwrap();
    let asking = async {
        // Until the box takes no more of them, and then hangs up.
        while deaf.write_all(b"GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").await.is_ok() {}
    };
    timeout(PATIENCE, asking).await.unwrap();
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What an HTTP/2 client says first.
fn hello() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat()
}

/// GET / of https://x, by the static table of HPACK.
const GET: [u8; 6] = [0x82, 0x87, 0x84, 0x41, 0x01, b'x'];

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_client_that_opens_and_resets_requests_is_let_go() {
    let daemon = Daemon::start();
    let mut rude = Client::named(&daemon, "station").offering(&[b"h2"]).connect().await.unwrap();
    let mut said = hello();
    for stream in (1..4000).step_by(2) {
        // A head that ends the request, and its end by CANCEL (8).
        said.extend(frame(1, 0x5, stream, &GET));
        said.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    // It may hang up before it has read all of that.
    let _ = rude.write_all(&said).await;
    let answer = rest(&mut rude).await;
    // GOAWAY with ENHANCE_YOUR_CALM (11), where the reset of the connection did not outrun it.
    let calm = answer.windows(17).any(|bytes| bytes[3] == 7 && bytes[13..17] == [0, 0, 0, 11]);
    assert!(calm || answer.len() < 1000, "{} bytes", answer.len());
    assert_eq!(Client::stranger(&daemon).get("/v1/health/live").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_client_with_half_a_head_or_half_a_body_is_let_go() {
    let daemon = Daemon::with("[limits]\nrequest-seconds = 1\nidle-seconds = 1");
    let station = Client::named(&daemon, "station").offering(&[b"h2"]);
    let began = Instant::now();
    // A head without its end; then a head of POST /v1/verify with JSON, and a byte of its body.
    let half_head = frame(1, 0, 1, &GET[..3]);
    let mut fields = vec![0x83, 0x87, 0x41, 0x01, b'x', 0x04, 10];
    fields.extend(b"/v1/verify");
    fields.extend([0x5F, 16]);
    fields.extend(b"application/json");
    let half_body = [frame(1, 0x4, 1, &fields), frame(0, 0, 1, b"{")].concat();
    for half in [half_head, half_body] {
        let mut stream = station.connect().await.unwrap();
        stream.write_all(&[hello(), half].concat()).await.unwrap();
        rest(&mut stream).await;
    }
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_slow_to_shake_hands_is_let_go() {
    let daemon = Daemon::with("[limits]\nhandshake-seconds = 1");
    let mut silent = TcpStream::connect(daemon.address).await.unwrap();
    let mut half = TcpStream::connect(daemon.address).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    let began = Instant::now();
    rest(&mut silent).await;
    rest(&mut half).await;
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trickles_its_request_or_asks_nothing_is_let_go() {
    let daemon = Daemon::with("[limits]\nrequest-seconds = 1\nidle-seconds = 1");
    let station = Client::named(&daemon, "station");
    let mut trickling = station.connect().await.unwrap();
    trickling.write_all(b"GET /v1/health/live HTTP/1.1\r\nhost:").await.unwrap();
    let mut idle = station.connect().await.unwrap();
    idle.write_all(b"GET /v1/health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // An HTTP/2 client may be silent in a more eloquent way: it answers pings for ever.
    let quiet = station.offering(&[b"h2"]).connect().await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::handshake::<_, _, String>(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(quiet),
    )
    .await
    .unwrap();
    let began = Instant::now();
    rest(&mut trickling).await;
    assert!(rest(&mut idle).await.starts_with(b"HTTP/1.1 200 "));
    // Ends when the daemon hangs up.
    let _ = timeout(PATIENCE, connection).await.unwrap();
    drop(sender);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_allowed_wait_for_their_turn() {
    let daemon = Daemon::with("[limits]\nconnections = 2\nhandshake-seconds = 2");
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(TcpStream::connect(daemon.address).await.unwrap());
    }
    // Behind silent ones that are let go, two at a time.
    assert_eq!(Client::stranger(&daemon).get("/v1/health/live").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_or_no_http_is_refused() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    let large = format!("GET /v1/health/live HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    for request in [large.as_str(), "nonsense\r\n\r\n", "GET /v1/health/live HTTP/9.9\r\n\r\n"] {
        let mut stream = station.connect().await.unwrap();
        // It may be refused before it is written.
        let _ = stream.write_all(request.as_bytes()).await;
        let said = rest(&mut stream).await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 4") || said.starts_with(b"HTTP/1.1 5"));
    }
    assert_eq!(station.get("/v1/health/ready").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_worked_on_is_answered_before_the_daemon_stops() {
    let mut daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    let mut idle = station.open().await;
    let first = station.request(&Method::GET, "/v1/health/ready").body(Default::default()).unwrap();
    assert_eq!(station.send(&mut idle, first).await.status, 200);
    let mut busy = station.connect().await.unwrap();
    let body = identification(sample(&fixture("125_1"))).to_string();
    let head = format!(
        "POST /v1/identify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    // The head has been read when the daemon asks nothing more of us; then the end begins.
    tokio::time::sleep(Duration::from_millis(300)).await;
    daemon.terminate();
    busy.write_all(body.as_bytes()).await.unwrap();
    let said = String::from_utf8(rest(&mut busy).await).unwrap();
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("not-matched"), "{said:?}");
    assert_eq!(daemon.wait().code(), Some(0), "though a connection stayed open");
    assert!(TcpStream::connect(daemon.address).await.is_err());
}
