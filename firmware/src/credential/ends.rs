//! When the box's own certificates end: what a person has to know before they do.

use std::{fs, path::Path};

use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::clock::Timestamp;

/// What is looked at, by the name it has in health and metrics, and its file.
const CERTIFICATES: [(&str, &str); 2] = [("authority", "ca.pem"), ("server", "server.pem")];

/// A certificate of the box, and its end; `None` when it cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateEnd {
    /// Which.
    pub name: &'static str,
    /// When it ends.
    pub end: Option<Timestamp>,
}

/// The certificates that lie in the authority's folder.
#[must_use]
pub fn certificate_ends(pki: &Path) -> Vec<CertificateEnd> {
    CERTIFICATES.iter().map(|(name, file)| CertificateEnd { name, end: end(&pki.join(file)) }).collect()
}

fn end(path: &Path) -> Option<Timestamp> {
    let pem = fs::read(path).ok()?;
    let leaf = CertificateDer::from_pem_slice(&pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&leaf).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    Some(Timestamp::from_millis(seconds.saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        credential::authority::Authority,
    };

    #[test]
    fn the_ends_are_those_of_the_certificates_and_what_cannot_be_read_has_none() {
        let folder = tempfile::tempdir().unwrap();
        Authority::init(folder.path(), &["localhost".to_owned()]).unwrap();
        let ends = certificate_ends(folder.path());
        let days = |index: usize| {
            let end: Timestamp = ends[index].end.unwrap();
            end.since(SystemClock.now()).as_secs() / 86_400
        };
        assert_eq!((ends[0].name, ends[1].name), ("authority", "server"));
        assert!((3600..=3650).contains(&days(0)), "{ends:?}");
        assert!((390..=397).contains(&days(1)), "{ends:?}");
        fs::write(folder.path().join("server.pem"), "no certificate").unwrap();
        assert_eq!(certificate_ends(folder.path())[1].end, None);
    }
}
