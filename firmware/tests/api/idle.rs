//! Thousands of clients that have asked once and stay, with `tests/run --long` ten thousand: each costs little, and nobody
//! notices them.

use std::time::{Duration, Instant};

use authenteon_tests::http3;
use bytes::Bytes;
use hyper::{Method, Request};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Client, Daemon};

const TCP: usize = 10_000;
const QUIC: usize = 1_000;
/// Unless all are asked for, one of so many.
const ONE_OF: usize = 4;
/// Descriptors that this program needs beside its connections.
const OTHERS: u64 = 300;
/// Memory of an idle connection, in bytes: above it something is kept that nobody needs.
const MOST: usize = 100 << 10;
/// Handshakes at a time.
const TOGETHER: usize = 16;

/// Raises the limit of descriptors as far as it goes, and says how far that is.
fn descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // What is there is there.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Opens connections, a few at a time, and keeps them.
async fn hold<T: Send + 'static>(
    count: usize,
    open: impl Fn() -> std::pin::Pin<Box<dyn Future<Output = T> + Send>>,
) -> Vec<T> {
    let mut held = Vec::new();
    while held.len() < count {
        let opening: Vec<_> = (0..TOGETHER.min(count - held.len())).map(|_| tokio::spawn(open())).collect();
        for opened in opening {
            held.push(opened.await.unwrap());
        }
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_cost_little_and_nobody_waits_for_them() {
    let one_of = if std::env::var("AUTHENTEON_LONG").is_ok_and(|long| long == "yes") { 1 } else { ONE_OF };
    let (tcp_count, quic_count) = (TCP / one_of, QUIC / one_of);
    let there = descriptors();
    if there < tcp_count as u64 + OTHERS {
        println!(
            "skipped: this program may open {there} descriptors, which is too few for {tcp_count} connections"
        );
        return;
    }
    let daemon = Daemon::with(
        "[limits]\nconnections = 11000\nconnections-per-address = 12000\nhandshake-seconds = 60\n\
         request-seconds = 600\nidle-seconds = 600",
    );
    let station = Client::named(&daemon, "station");
    let Some(before) = daemon.memory() else {
        println!("skipped: no /proc to read the memory from");
        return;
    };
    let began = Instant::now();
    let opened = station.clone();
    let mut tcp = hold(tcp_count, move || {
        let station = opened.clone();
        Box::pin(async move {
            let mut sender = station.open().await;
            let request = station.request(&Method::GET, "/v1/health/live").body(Default::default()).unwrap();
            assert_eq!(station.send(&mut sender, request).await.status, 200);
            sender
        })
    })
    .await;
    let (with_tcp, took) = (daemon.memory().unwrap(), began.elapsed());
    let each = (with_tcp.saturating_sub(before) << 10) as usize / tcp_count;
    println!("{tcp_count} idle connections of TCP in {:.1} s: {} KiB each", took.as_secs_f64(), each >> 10);
    assert!(each < MOST, "{each} bytes");

    // They share a socket, as the box does on its side.
    let client = http3::Client::new(station.tls()).unwrap();
    let address = station.address();
    let _quic = hold(quic_count, move || {
        let client = client.clone();
        Box::pin(async move {
            let mut connection = client.connect(address).await.unwrap();
            let request = Request::get("/v1/health/live").body(Bytes::new()).unwrap();
            assert_eq!(connection.ask(request).await.unwrap().status(), 200);
            connection
        })
    })
    .await;
    let with_quic = daemon.memory().unwrap();
    let each = (with_quic.saturating_sub(with_tcp) << 10) as usize / quic_count;
    println!("{quic_count} idle connections of QUIC: {} KiB each", each >> 10);
    assert!(each < MOST, "{each} bytes");

    let began = Instant::now();
    assert_eq!(station.get("/v1/health/ready").await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(5));
    let request = station.request(&Method::GET, "/v1/health/ready").body(Default::default()).unwrap();
    assert_eq!(station.send(&mut tcp[0], request).await.status, 200, "the first is served still");
}
