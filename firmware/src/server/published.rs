//! The authority of people's certificates and its list of revoked ones, in clear, where those who look at certificates fetch
//! them: Windows fetches no list over TLS. Off unless the configuration says where.
//!
//! Invariant: these two files and nothing else; the list is signed once in a while, however often it is fetched.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::StatusCode;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio::net::TcpListener;
use tracing::warn;

use super::{
    State,
    clear::{self, Answer, given, said},
};
use crate::services::{NoCertificate, Services};

/// Their names.
const AUTHORITY: &str = "/authenteon-users.crt";
const LIST: &str = "/authenteon-users.crl";
/// The list is signed anew after so long; it is good for days.
const FRESH: Duration = Duration::from_secs(3600);

/// The list, and when it was signed.
type Signed = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

/// Answers for ever.
pub(super) async fn serve(listener: TcpListener, state: State) {
    let signed = Signed::default();
    clear::serve(listener, "revoked certificates", move |path| {
        let (state, signed) = (state.clone(), Arc::clone(&signed));
        async move {
            if path != AUTHORITY && path != LIST {
                return None;
            }
            let Ok(services) = state.services().cloned() else {
                return Some(said(StatusCode::SERVICE_UNAVAILABLE, "the box is locked\n"));
            };
            let answer = tokio::task::spawn_blocking(move || published(&services, &path, &signed));
            Some(answer.await.unwrap_or_else(|why| failed(&why)))
        }
    })
    .await;
}

fn published(services: &Services, path: &str, signed: &Signed) -> Answer {
    let found = if path == AUTHORITY { authority(services) } else { list(services, signed) };
    match found {
        Ok(Some((kind, content))) => given(StatusCode::OK, kind, content),
        Ok(None) | Err(NoCertificate::NoAuthority) => {
            said(StatusCode::NOT_FOUND, "the box has no authority for people's certificates\n")
        }
        Err(why) => failed(&why),
    }
}

type Found = Result<Option<(&'static str, Vec<u8>)>, NoCertificate>;

fn authority(services: &Services) -> Found {
    let der = services
        .user_authority()?
        .and_then(|facts| CertificateDer::from_pem_slice(facts.pem.as_bytes()).ok());
    Ok(der.map(|der| ("application/pkix-cert", der.to_vec())))
}

fn list(services: &Services, signed: &Signed) -> Found {
    const KIND: &str = "application/pkix-crl";
    let mut signed = signed.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, list)) = signed.as_ref()
        && at.elapsed() < FRESH
    {
        return Ok(Some((KIND, list.clone())));
    }
    let list = services.revoked_user_certificates()?;
    *signed = Some((Instant::now(), list.clone()));
    Ok(Some((KIND, list)))
}

fn failed(why: &dyn std::fmt::Display) -> Answer {
    warn!(%why, "nothing is published");
    said(StatusCode::INTERNAL_SERVER_ERROR, "not now; the log says why\n")
}
