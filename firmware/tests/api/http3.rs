//! HTTP/3: the API is the same as over TCP, and whoever is slow, greedy or rude is let go.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use authenteon_tests::http3;
use bytes::Bytes;
use hyper::{Method, Request};
use quinn::{ConnectionError, VarInt};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Answer, Client, Daemon, ask_http3, configure, enrolled, fixture, identification, known, launch, sample,
    verification,
};

/// Longer than any limit that these tests set, shorter than a person waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// What HTTP/3 says to a peer that costs too much (RFC 9114, 8.1).
const EXCESSIVE_LOAD: u32 = 0x107;
/// A frame with a request's head, and its empty length as the largest there is.
const HEADERS: u8 = 0x01;

async fn post(connection: &mut http3::Connection, path: &str, body: &Value) -> Answer {
    ask_http3(connection, &Method::POST, path, Some(body.to_string().into_bytes())).await
}

async fn get(connection: &mut http3::Connection, path: &str) -> Answer {
    ask_http3(connection, &Method::GET, path, None).await
}

/// A head for a POST with a body of JSON, in a frame, by the static table of QPACK and literals.
fn head(path: &str) -> Vec<u8> {
    let literal = |index: u8, value: &str| {
        assert!(value.len() < 127);
        let name = if index < 15 { vec![0x50 | index] } else { vec![0x5F, index - 15] };
        [&name[..], &[value.len() as u8], value.as_bytes()].concat()
    };
    // :method POST (20), :scheme https (23), :authority (0), :path (1), content-type application/json (46)
    let fields =
        [&[0, 0, 0xC0 | 20, 0xC0 | 23][..], &literal(0, "x"), &literal(1, path), &[0xC0 | 46]].concat();
    [&[HEADERS, fields.len() as u8][..], &fields].concat()
}

/// Waits for the end of a connection, and says why it ended.
async fn end(connection: &quinn::Connection) -> ConnectionError {
    timeout(PATIENCE, connection.closed()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http3_the_api_is_the_same_with_the_same_roles() {
    let daemon = Daemon::start();
    let (officer, station) = (Client::named(&daemon, "officer"), Client::named(&daemon, "station"));
    let ada = enrolled(&officer, "125").await;

    let mut nobody = Client::stranger(&daemon).open_http3().await;
    assert_eq!(get(&mut nobody, "/v1/health/live").await.status, 200);
    assert_eq!(get(&mut nobody, "/v1/health/ready").await.status, 401);

    let mut station = station.open_http3().await;
    assert_eq!(get(&mut station, "/v1/health/ready").await.status, 200);
    assert_eq!(get(&mut station, "/v1/subjects").await.status, 403);
    assert_eq!(get(&mut station, "/v1/nothing").await.problem(), "unknown-route");
    let body = |print: &str| verification(&ada, sample(&fixture(print)));
    for (print, decision) in [("125_4", "accept"), ("127_1", "refuse")] {
        let answer = post(&mut station, "/v1/verify", &body(print)).await;
        assert_eq!((answer.status, &answer.body["decision"]), (200, &json!(decision)), "{:?}", answer.body);
    }
    // Side by side on one connection.
    let mut other = station.clone();
    let (first, second) = tokio::join!(
        async { post(&mut station, "/v1/identify", &identification(sample(&fixture("126_4")))).await },
        async { get(&mut other, "/v1/sensors").await },
    );
    assert_eq!((first.status, second.status), (200, 200), "{:?}", first.body);

    let mut officer = officer.open_http3().await;
    let made = post(&mut officer, "/v1/subjects", &json!({ "name": "Grace" })).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    let path = format!("/v1/subjects/{}", made.body["subject_id"].as_str().unwrap());
    assert_eq!(ask_http3(&mut officer, &Method::DELETE, &path, None).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_and_sent_back_over_http3() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    enrolled(&Client::named(&daemon, "officer"), "125").await;
    let mut boss = boss.open_http3().await;
    let body = json!({ "passphrase": "correct horse battery staple", "expires-days": 30 }).to_string();
    let request = Request::post("/v1/system/backup")
        .header("content-type", "application/json")
        .body(Bytes::from(body))
        .unwrap();
    let file = boss.ask(request).await.unwrap();
    assert_eq!(file.status(), 200);
    assert_eq!(file.headers()["content-length"], file.body().len().to_string());
    let sent = ask_http3(&mut boss, &Method::PUT, "/v1/system/restore", Some(file.body().to_vec())).await;
    assert!(sent.status < 300, "{:?}", sent.body);
    let short = Request::put("/v1/system/restore")
        .header("content-type", "application/json")
        .header("content-length", file.body().len() + 1)
        .body(file.body().clone())
        .unwrap();
    assert_eq!(boss.ask(short).await.unwrap().status(), 400, "shorter than it says");
}

#[tokio::test(flavor = "multi_thread")]
async fn http3_is_advertised_on_tcp_unless_it_is_switched_off() {
    for (configuration, on) in [("", true), ("server.http3 = false", false)] {
        let daemon = Daemon::with(configuration);
        let stranger = Client::stranger(&daemon);
        let request = stranger.request(&Method::GET, "/v1/health/live").body(Default::default()).unwrap();
        let answer = stranger.open().await.send_request(request).await.unwrap();
        let said = answer.headers().get("alt-svc").map(|value| value.to_str().unwrap());
        let expected = format!("h3=\":{}\"; ma=86400", daemon.address.port());
        assert_eq!(said, on.then_some(expected.as_str()));
        let socket = std::net::UdpSocket::bind(daemon.address);
        assert_eq!(socket.is_err(), on, "whether the UDP port is taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_udp_port_that_is_taken_is_said_at_the_start_with_what_to_do() {
    // One whose TCP twin is free.
    let (socket, port) = loop {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            break (socket, port);
        }
    };
    let daemon = Daemon::start();
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "");
    let config = folder.path().join("authenteon.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let own = folder.path().join("pki");
    std::fs::write(&config, text.replace(own.to_str().unwrap(), daemon.pki().to_str().unwrap())).unwrap();
    let ended = launch(folder.path()).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    assert!(said.contains(&format!("UDP 127.0.0.1:{port}")) && said.contains("http3 = false"), "{said}");
    drop(socket);
}

#[tokio::test(flavor = "multi_thread")]
async fn quic_speaks_the_post_quantum_key_exchange_and_h3_and_nothing_else() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    let tls = |groups: &[&'static dyn rustls::crypto::SupportedKxGroup]| {
        let provider = rustls::crypto::CryptoProvider {
            kx_groups: groups.to_vec(),
            ..rustls::crypto::aws_lc_rs::default_provider()
        };
        let mut roots = rustls::RootCertStore::empty();
        let pem = std::fs::read(daemon.pki().join("ca.pem")).unwrap();
        roots.add(rustls_pki_types::pem::PemObject::from_pem_slice(&pem).unwrap()).unwrap();
        rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    };
    let hybrid = tls(&[rustls::crypto::aws_lc_rs::kx_group::X25519MLKEM768]);
    let mut connection = http3::Client::new(hybrid).unwrap().connect(daemon.address).await.unwrap();
    assert_eq!(get(&mut connection, "/v1/health/live").await.status, 200);
    for protocols in [&[b"h2".to_vec(), b"http/1.1".to_vec()][..], &[b"hq-interop".to_vec()], &[]] {
        let mut tls = station.tls();
        tls.alpn_protocols = protocols.to_vec();
        let refused = http3::Client::offering(tls).unwrap().shake_hands(daemon.address).await;
        let why = refused.err().unwrap().to_string();
        // The alert no_application_protocol (120), as QUIC carries it.
        assert!(
            why.contains("120") || why.contains("application protocol") || why.contains("0x178"),
            "{why}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_or_half_request_over_http3_is_let_go_and_the_connection_goes_on() {
    let daemon = Daemon::with("[limits]\nrequest-seconds = 1\nidle-seconds = 5");
    let station = Client::named(&daemon, "station");
    let mut connection = station.open_http3().await;
    let quic = connection.quic().clone();
    let began = Instant::now();
    let (mut silent, mut answer) = quic.open_bi().await.unwrap();
    silent.write_all(&head("/v1/verify")[..5]).await.unwrap();
    // Nothing comes of half a head.
    let said = timeout(PATIENCE, answer.read_to_end(1000)).await.unwrap();
    assert!(said.is_err() || said.unwrap().is_empty());
    let (mut trickling, mut answer) = quic.open_bi().await.unwrap();
    trickling.write_all(&[&head("/v1/verify")[..], &[0, 100, b'{']].concat()).await.unwrap();
    let said = timeout(PATIENCE, answer.read_to_end(10_000)).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("too-slow"), "{said:?}");
    assert_eq!(get(&mut connection, "/v1/health/ready").await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(20));
    // Then it is idle, however alive QUIC keeps it.
    assert!(
        matches!(end(&quic).await, ConnectionError::ApplicationClosed(close) if close.error_code == VarInt::from_u32(0x100))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_http3_that_nobody_takes_is_given_up() {
    let daemon = Daemon::with("[limits]\nidle-seconds = 1");
    let mut tls = Client::named(&daemon, "station").tls();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let mut config =
        quinn::ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap()));
    let mut transport = quinn::TransportConfig::default();
    // Less than the answer, which is the API's description.
    transport.stream_receive_window(VarInt::from_u32(1000));
    config.transport_config(Arc::new(transport));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let quic = endpoint.connect_with(config, daemon.address, "127.0.0.1").unwrap().await.unwrap();
    let (mut send, mut deaf) = quic.open_bi().await.unwrap();
    let mut asked = head("/v1/openapi.json");
    // GET (17) in the place of POST.
    asked[4] = 0xC0 | 17;
    send.write_all(&asked).await.unwrap();
    send.finish().unwrap();
    // Its end is an error, whatever of it was there already.
    let ended = timeout(PATIENCE, deaf.received_reset()).await.unwrap();
    assert!(ended.is_err() || ended.unwrap().is_some());
    assert!(deaf.read_to_end(1 << 20).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_never_whole_costs_no_memory() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    let before = daemon.memory();
    let mut poured = Vec::new();
    // A gigabyte is announced: as a head, as something unknown before a head, and between head and body.
    let long = [0xC0_u8, 0, 0, 0, 0x40, 0, 0, 0];
    let starts = [
        [&[HEADERS][..], &long].concat(),
        [&[0x21][..], &long].concat(),
        [&head("/v1/verify")[..], &[0x21], &long].concat(),
    ];
    for start in starts {
        let quic = http3::Client::new(station.tls()).unwrap().shake_hands(daemon.address).await.unwrap();
        for _ in 0..16 {
            let (mut send, receive) = quic.open_bi().await.unwrap();
            let start = start.clone();
            poured.push(tokio::spawn(async move {
                send.write_all(&start).await?;
                let filler = vec![0x55; 64 << 10];
                for _ in 0..32 {
                    send.write_all(&filler).await?;
                }
                drop(receive);
                Ok::<_, quinn::WriteError>(())
            }));
        }
        for poured in poured.drain(..) {
            let ended = timeout(PATIENCE, poured).await.unwrap().unwrap();
            assert!(ended.is_err(), "two megabytes of a frame were taken");
        }
    }
    if let (Some(before), Some(after)) = (before, daemon.peak_memory()) {
        assert!(after < before + (64 << 10), "{before} KiB before, {after} KiB at most");
    }
    assert_eq!(get(&mut station.open_http3().await, "/v1/health/ready").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_heads_and_bodies_over_http3_are_refused_with_their_status() {
    let daemon = Daemon::with("[limits]\nbody-bytes = 65536");
    let mut station = Client::named(&daemon, "station").open_http3().await;
    let large = Request::get("/v1/health/live").header("x", "y".repeat(20_000)).body(Bytes::new()).unwrap();
    // Told the limit, a client of this kind does not even send it.
    match station.ask(large).await {
        Ok(answer) => assert_eq!(answer.status(), 431),
        Err(why) => assert!(why.to_string().contains("eader"), "{why}"),
    }
    let answer = post(&mut station, "/v1/verify", &json!({ "x": "y".repeat(100_000) })).await;
    assert_eq!((answer.status, answer.problem()), (413, "body-too-large"));
    let answer = post(&mut station, "/v1/verify", &json!({ "x": 1 })).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opens_and_resets_requests_is_let_go() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    let mut other = station.open_http3().await;
    for path in ["/v1/verify", "/v1/nothing"] {
        let rude = http3::Client::new(station.tls()).unwrap().shake_hands(daemon.address).await.unwrap();
        for _ in 0..2_000 {
            let opened = timeout(PATIENCE, rude.open_bi()).await.unwrap();
            let Ok((mut send, mut receive)) = opened else { break };
            let _ = send.write_all(&head(path)).await;
            let _ = send.reset(VarInt::from_u32(0x10C));
            let _ = receive.stop(VarInt::from_u32(0x10C));
        }
        assert!(
            matches!(end(&rude).await, ConnectionError::ApplicationClosed(close) if close.error_code == VarInt::from_u32(EXCESSIVE_LOAD))
        );
    }
    assert_eq!(get(&mut other, "/v1/health/ready").await.status, 200, "another connection is none the worse");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_http3_has_so_many_requests_at_a_time_and_no_more() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    for (client, requests) in [(station, 32), (Client::stranger(&daemon), 4)] {
        let quic = http3::Client::new(client.tls()).unwrap().shake_hands(daemon.address).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..requests {
            held.push(timeout(PATIENCE, quic.open_bi()).await.unwrap().unwrap());
        }
        assert!(timeout(Duration::from_millis(300), quic.open_bi()).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_holds_many_connections_shows_that_it_is_there_and_gets_no_more_than_its_share() {
    let daemon = Daemon::logging("authenteon=debug", "[limits]\nconnections-per-address = 2");
    let station = Client::named(&daemon, "station");
    let mut first = station.open_http3().await;
    let mut second = station.open_http3().await;
    assert!(daemon.said().log().contains("has to show that it is there"));
    let refused = http3::Client::new(station.tls()).unwrap().shake_hands(daemon.address).await;
    assert!(refused.is_err());
    // On TCP the same address gets none either, and is hung up on.
    let mut stream = tokio::net::TcpStream::connect(daemon.address).await.unwrap();
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut said)).await.unwrap();
    assert!(said.is_empty());
    for connection in [&mut first, &mut second] {
        assert_eq!(get(connection, "/v1/health/ready").await.status, 200);
    }
    first.quic().close(VarInt::from_u32(0x100), b"");
    let began = Instant::now();
    while http3::Client::new(station.tls()).unwrap().shake_hands(daemon.address).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "a place that was given back is not given again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_http3_that_is_worked_on_is_answered_before_the_daemon_stops() {
    let mut daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    let mut idle = station.open_http3().await;
    assert_eq!(get(&mut idle, "/v1/health/ready").await.status, 200);
    let quic = http3::Client::new(station.tls()).unwrap().shake_hands(daemon.address).await.unwrap();
    let (mut send, mut receive) = quic.open_bi().await.unwrap();
    let body = identification(sample(&fixture("125_1"))).to_string();
    send.write_all(&head("/v1/identify")).await.unwrap();
    // The head has been read when the end begins.
    tokio::time::sleep(Duration::from_millis(300)).await;
    daemon.terminate();
    // A frame of data with a length of four bytes.
    send.write_all(&[&[0][..], &(0x8000_0000 | body.len() as u32).to_be_bytes()].concat()).await.unwrap();
    send.write_all(body.as_bytes()).await.unwrap();
    send.finish().unwrap();
    let said = timeout(PATIENCE, receive.read_to_end(100_000)).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("not-matched"), "{said:?}");
    assert_eq!(daemon.wait().code(), Some(0), "though a connection stayed open");
    let closed = end(idle.quic()).await;
    assert!(matches!(closed, ConnectionError::ApplicationClosed(_)), "{closed:?}");
}
