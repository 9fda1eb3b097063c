//! Certificates on both transports: whose are let in, and how the server's own is replaced while it serves.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use authenteon::credential::authority::Authority;
use authenteon_tests::http3;
use hyper::Method;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::support::{Client, Daemon, ask_http3, known};

const PATIENCE: Duration = Duration::from_secs(30);
const ASKED: &str = "/v1/health/ready";

/// The status over TCP and over QUIC; `None` where the certificate does not get through the handshake.
async fn served(client: &Client) -> [Option<u16>; 2] {
    let over_tcp = async {
        let mut stream = client.connect().await.ok()?;
        let request = format!("GET {ASKED} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut said = vec![0; 64];
        // In TLS 1.3 the client learns of a refusal with its first reading.
        let length = stream.read(&mut said).await.ok()?;
        String::from_utf8_lossy(&said[..length]).split(' ').nth(1)?.parse().ok()
    };
    let over_quic = async {
        let mut connection =
            http3::Client::new(client.tls()).unwrap().connect(client.address()).await.ok()?;
        let request = hyper::Request::get(ASKED).body(Default::default()).unwrap();
        connection.ask(request).await.ok().map(|answer| answer.status().as_u16())
    };
    [timeout(PATIENCE, over_tcp).await.unwrap(), timeout(PATIENCE, over_quic).await.unwrap()]
}

/// What a client's certificate may say.
fn claims(name: &str) -> CertificateParams {
    let mut claims = CertificateParams::default();
    claims.distinguished_name.push(DnType::CommonName, name);
    claims.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    claims
}

/// A client with a certificate that this issuer signed, or itself.
fn client(daemon: &Daemon, claims: &CertificateParams, issuer: Option<&Issuer<'_, KeyPair>>) -> Client {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key_file) = (folder.path().join("c.pem"), folder.path().join("c.key"));
    let key = KeyPair::generate().unwrap();
    let signed = match issuer {
        Some(issuer) => claims.signed_by(&key, issuer),
        None => claims.self_signed(&key),
    };
    fs::write(&certificate, signed.unwrap().pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    Client::with(daemon.address, &daemon.pki(), Some((&certificate, &key_file)))
}

/// The box's own issuer of clients.
fn own(pki: &Path) -> Issuer<'static, KeyPair> {
    issuer(pki, "station-ca")
}

/// One of the box's own issuers, by the name of its files.
fn issuer(pki: &Path, name: &str) -> Issuer<'static, KeyPair> {
    let file = |end: &str| fs::read_to_string(pki.join(format!("{name}.{end}"))).unwrap();
    Issuer::from_ca_cert_pem(&file("pem"), KeyPair::from_pem(&file("key")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_registered_certificate_of_this_box_is_somebody_on_tcp_and_on_quic() {
    let daemon = Daemon::start();
    let own = own(&daemon.pki());
    assert_eq!(served(&Client::named(&daemon, "station")).await, [Some(200); 2]);
    assert_eq!(served(&Client::stranger(&daemon)).await, [Some(401); 2]);

    assert_eq!(served(&client(&daemon, &claims("station"), None)).await, [None; 2], "self-signed");
    let mut false_authority = claims("authority");
    false_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let foreign = Issuer::new(false_authority, KeyPair::generate().unwrap());
    assert_eq!(served(&client(&daemon, &claims("station"), Some(&foreign))).await, [None; 2], "foreign");
    let mut expired = claims("station");
    (expired.not_before, expired.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    assert_eq!(served(&client(&daemon, &expired, Some(&own))).await, [None; 2], "expired");
    let mut early = claims("station");
    (early.not_before, early.not_after) = (date_time_ymd(2200, 1, 1), date_time_ymd(2201, 1, 1));
    assert_eq!(served(&client(&daemon, &early, Some(&own))).await, [None; 2], "not valid yet");
    let mut server = claims("station");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(served(&client(&daemon, &server, Some(&own))).await, [None; 2], "a server's");
    for name in ["ca", "server-ca"] {
        let other = issuer(&daemon.pki(), name);
        assert_eq!(served(&client(&daemon, &claims("station"), Some(&other))).await, [None; 2], "{name}");
    }
    let [certificate, key] = ["server.pem", "server.key"].map(|name| daemon.pki().join(name));
    let leaf = Client::with(daemon.address, &daemon.pki(), Some((&certificate, &key)));
    assert_eq!(served(&leaf).await, [None; 2], "the server's own");
    // Of this very box, with the name of a station, and not that station's.
    assert_eq!(served(&client(&daemon, &claims("station"), Some(&own))).await, [Some(401); 2], "namesake");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_is_revoked_is_nobody_at_once_on_connections_that_it_holds() {
    let daemon = Daemon::start();
    let boss = known(&daemon, "boss", "administrator").await;
    let station = Client::named(&daemon, "station");
    let (mut kept, mut kept_quic) = (station.open().await, station.open_http3().await);
    assert_eq!(served(&station).await, [Some(200); 2]);
    let revoked = boss.ask(&Method::DELETE, "/v1/stations/station", None).await;
    assert_eq!(revoked.status, 204, "{:?}", revoked.body);
    assert_eq!(served(&station).await, [Some(401); 2]);
    let request = station.request(&Method::GET, ASKED).body(Default::default()).unwrap();
    assert_eq!(station.send(&mut kept, request).await.status, 401);
    assert_eq!(ask_http3(&mut kept_quic, &Method::GET, ASKED, None).await.status, 401);
}

/// The server's certificate in a new handshake on TCP and on QUIC.
async fn shown(client: &Client) -> [CertificateDer<'static>; 2] {
    let tcp = client.connect().await.unwrap().get_ref().1.peer_certificates().unwrap()[0].clone();
    let quic = http3::Client::new(client.tls()).unwrap().shake_hands(client.address()).await.unwrap();
    let chain = quic.peer_identity().unwrap().downcast::<Vec<CertificateDer<'static>>>().unwrap();
    [tcp, chain[0].clone().into_owned()]
}

async fn logged(daemon: &Daemon, text: &str) {
    let began = Instant::now();
    while !daemon.said().log().contains(text) {
        assert!(began.elapsed() < PATIENCE, "{text:?} is not in the log");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_certificate_is_shown_to_new_connections_and_closes_no_old_one() {
    let daemon = Daemon::start();
    let station = Client::named(&daemon, "station");
    let (mut kept, mut kept_quic) = (station.open().await, station.open_http3().await);
    let before = shown(&station).await;
    assert_eq!(before[0], before[1]);

    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "elsewhere.example".to_owned()];
    Authority::open(&daemon.pki()).unwrap().issue_server(&names).unwrap();
    assert_eq!(shown(&station).await, before, "nobody said so yet");
    daemon.hang_up();
    logged(&daemon, "certificate read again").await;
    let after = shown(&station).await;
    assert!(after[0] != before[0] && after[0] == after[1]);

    fs::write(daemon.pki().join("server.pem"), "-----BEGIN CERTIFICATE-----\nnonsense").unwrap();
    daemon.hang_up();
    logged(&daemon, "the old one stays").await;
    assert_eq!(shown(&station).await, after);

    let request = station.request(&Method::GET, ASKED).body(Default::default()).unwrap();
    assert_eq!(station.send(&mut kept, request).await.status, 200);
    assert_eq!(ask_http3(&mut kept_quic, &Method::GET, ASKED, None).await.status, 200);
    assert!(kept_quic.quic().close_reason().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_the_box_by_its_id_finds_it_at_another_address() {
    let mut daemon = Daemon::unclaimed(None);
    let id = fs::read_to_string(daemon.pki().join("device-id")).unwrap();
    let name = format!("{}.box.authenteon.invalid", id.trim());
    let live = async |client: &Client| {
        client.connect().await?;
        Ok::<_, std::io::Error>(client.get("/v1/health/live").await.status)
    };
    assert_eq!(live(&Client::stranger(&daemon)).await.unwrap(), 200);
    daemon.terminate();
    assert!(daemon.wait().success());
    let config = fs::read_to_string(daemon.config()).unwrap().replace("127.0.0.1:0", "127.0.0.2:0");
    fs::write(daemon.config(), config).unwrap();
    daemon.start_again();
    let moved = Client::stranger(&daemon);
    assert_eq!(moved.address().ip().to_string(), "127.0.0.2");
    assert!(live(&moved).await.is_err(), "its certificate does not name this address");
    assert_eq!(live(&moved.expecting(&name)).await.unwrap(), 200);
    let other = "11111111-1111-4111-8111-111111111111.box.authenteon.invalid";
    assert!(live(&moved.expecting(other)).await.is_err(), "another box");
}

/// A box that shows this certificate, to whom a client with the box's authority connects.
async fn shakes_hands(pki: &Path, certificate: &Path, key: &Path) -> bool {
    use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // Whether the client goes on is for it to say.
        let _ = acceptor.accept(stream).await;
    });
    let shaken = Client::with(address, pki, None).connect().await.is_ok();
    serving.await.unwrap();
    shaken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_s_certificate_is_not_believed_to_be_a_box_s() {
    let daemon = Daemon::start();
    let pki = daemon.pki();
    assert!(shakes_hands(&pki, &pki.join("server.pem"), &pki.join("server.key")).await);
    assert!(!shakes_hands(&pki, &pki.join("station.pem"), &pki.join("station.key")).await);
    // Though it says that it were one, and sends its issuer along: that one certifies clients.
    let mut lie = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    lie.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let (chain, private) = (pki.join("lie.pem"), pki.join("lie.key"));
    let issuer_pem = fs::read_to_string(pki.join("station-ca.pem")).unwrap();
    fs::write(&chain, lie.signed_by(&key, &own(&pki)).unwrap().pem() + &issuer_pem).unwrap();
    fs::write(&private, key.serialize_pem()).unwrap();
    assert!(!shakes_hands(&pki, &chain, &private).await);
}
