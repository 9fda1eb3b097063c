//! The self-test of a version on trial: what must work before it is kept.
//!
//! Invariant: the agent is asked to commit only after the store is open, the readers' layer runs,
//! and port 3411 has answered over TLS with the certificate that the box serves.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request as HttpRequest, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tracing::{error, info};

use crate::update::{link::Link, protocol::Request};

/// Seconds that the agent gets to start.
const AGENT_STARTS: u32 = 30;
/// The box gets this long to answer itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a version is not kept.
#[derive(Debug, thiserror::Error)]
enum SelfTestError {
    #[error("certificate: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("request: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it did not answer in time")]
    Late,
}

/// If this version is on trial: tests it, and asks the agent to keep it. Whoever calls has the store
/// open and the readers' layer started; the agent goes back by itself when nothing is asked. Gives whether it was
/// on trial and is kept.
pub(super) async fn run(link: Link, address: SocketAddr, pki: std::path::PathBuf) -> bool {
    let ask = |request: Request| {
        let link = link.clone();
        tokio::task::spawn_blocking(move || link.ask(&request, &mut |_| {}))
    };
    let mut status = ask(Request::Status {}).await;
    // Daemon and agent start at the same moment.
    for _ in 0..AGENT_STARTS {
        if matches!(status, Ok(Ok(_))) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        status = ask(Request::Status {}).await;
    }
    match status {
        Ok(Ok(status)) if status.trial => {}
        Ok(Ok(_)) => return false,
        Ok(Err(why)) => {
            error!(%why, "the update agent does not say whether this is a trial");
            return false;
        }
        Err(why) => {
            error!(%why, "the update agent was not asked");
            return false;
        }
    }
    if let Err(why) = answers(address, &pki).await {
        error!(%why, "self-test failed: this version is not kept");
        return false;
    }
    match ask(Request::Commit {}).await {
        Ok(Ok(status)) => {
            info!(version = %status.version, "self-test passed: this version is kept");
            true
        }
        Ok(Err(why)) => {
            error!(%why, "self-test passed, and the agent did not keep this version");
            false
        }
        Err(why) => {
            error!(%why, "the update agent was not asked");
            false
        }
    }
}

/// Whether our own port answers a real request with our own certificate.
async fn answers(address: SocketAddr, pki: &Path) -> Result<(), SelfTestError> {
    let certificate = CertificateDer::from_pem_file(pki.join("server.pem"))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let ours = Arc::new(Ours { certificate, provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(ours)
        .with_no_client_auth();
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let exchange = async {
        let stream = TcpStream::connect((ip, address.port())).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::from(ip), stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request = HttpRequest::get("/v1/health/live").header(header::HOST, "localhost");
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        driver.abort();
        if status == StatusCode::OK { Ok(()) } else { Err(SelfTestError::Status(status)) }
    };
    timeout(PATIENCE, exchange).await.map_err(|_| SelfTestError::Late)?
}

/// Trusts one certificate, the box's own, under whatever name: the box asks itself, not a name.
#[derive(Debug)]
struct Ours {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Ours {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("somebody else's certificate".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
