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
