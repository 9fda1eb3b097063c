//! Trust in a box that nobody has seen before: its authority is the one whose SHA-256 a person read off
//! the box's own console.
//!
//! Invariant: the handshake ends well only with a server whose certificate that authority signed for
//! servers; so nothing is sent to anybody else. The name in the certificate is not compared: the authority
//! certifies one server, the box, and the box may not have known its address when it did.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use authenteon_box::{BoxError, Client, Fingerprint, Server};
use rcgen::KeyPair;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::error::CtlError;

/// Accepts one authority.
#[derive(Debug)]
pub(crate) struct Pinned {
    expected: Fingerprint,
    provider: Arc<CryptoProvider>,
    /// The authority, once it was shown.
    seen: Mutex<Option<CertificateDer<'static>>>,
}

impl Pinned {
    /// For the authority with this SHA-256.
    pub(crate) fn new(expected: Fingerprint) -> Arc<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Arc::new(Self { expected, provider, seen: Mutex::default() })
    }

    /// For this authority, in PEM.
    pub(crate) fn of(pem: &str) -> Result<Arc<Self>, CtlError> {
        let authority = CertificateDer::from_pem_slice(pem.as_bytes());
        let authority = authority.map_err(|error| CtlError::Answer(error.to_string()))?;
        Ok(Self::new(Fingerprint::of(&authority)))
    }

    /// Connects to a box of this authority, without a certificate of ours. Nothing is sent to another one.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        server: &Server,
        limit: Duration,
    ) -> Result<Client, CtlError> {
        let connected = Client::connect(server.clone(), self.config(None)?, limit).await;
        connected.map_err(|error| match error {
            BoxError::Untrusted { server, reason } if self.authority().is_none() => {
                CtlError::WrongAuthority { server, expected: self.expected.to_string(), reason }
            }
            other => other.into(),
        })
    }

    /// Connects with a certificate of ours.
    pub(crate) async fn connect_as(
        self: &Arc<Self>,
        server: &Server,
        limit: Duration,
        certificate: &str,
        pair: &KeyPair,
    ) -> Result<Client, CtlError> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| CtlError::Answer(error.to_string()))?;
        let key = PrivateKeyDer::try_from(pair.serialize_der())
            .map_err(|error| CtlError::System(error.to_owned()))?;
        Ok(Client::connect(server.clone(), self.config(Some((certificate, key)))?, limit).await?)
    }

    fn config(
        self: &Arc<Self>,
        own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> Result<Arc<ClientConfig>, CtlError> {
        let failed = |error: Error| CtlError::System(error.to_string());
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(self.clone());
        let mut config = match own {
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate], key).map_err(failed)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Whether the box has answered with its own authority and a certificate of our key.
    pub(crate) fn check(&self, authority: &str, certificate: &str, pair: &KeyPair) -> Result<(), CtlError> {
        let senseless = |reason: &dyn std::fmt::Display| CtlError::Answer(reason.to_string());
        let read =
            |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| senseless(&error));
        if !self.is_expected(&read(authority)?) {
            return Err(senseless(&"the authority in it is not the one that vouches for the box"));
        }
        let key = PrivateKeyDer::try_from(pair.serialize_der()).map_err(|error| senseless(&error))?;
        let keys = CertifiedKey::from_der(vec![read(certificate)?], key, &self.provider);
        keys.map(drop).map_err(|error| senseless(&error))
    }

    /// The authority that the box has shown, if it is the one expected.
    fn authority(&self) -> Option<CertificateDer<'static>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this certificate is the authority expected.
    fn is_expected(&self, certificate: &CertificateDer<'_>) -> bool {
        Fingerprint::of(certificate) == self.expected
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = chain.iter().find(|certificate| self.is_expected(certificate));
        let authority = authority.ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let server = ParsedCertificate::try_from(server)?;
        verify_server_cert_signed_by_trust_anchor(&server, &roots, chain, now, self.algorithms().all)?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(authority.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // TLS 1.3 is all that we offer.
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}
