//! What accepts are good for: keys by which assertions are verified, certificates of people, and what stations may have of it.
//!
//! Invariant: a certificate is given by the same station's accept of a moment ago, once the directory has said how the person
//! stands now.

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, State as Shared},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{At, health::clock_of, off_core};
use crate::{
    clock::Timestamp,
    credential::{assertion::Audience, users::KeyDigest},
    request::{Caller, RequestId, unhex},
    server::{
        State,
        json::{Body, SMALL},
        problem::Problem,
    },
    services::{
        Grant, GrantError, HandoverError, KeysError, NoCertificate, NotAccepted, NotCertified, OnTrial,
        Purpose, UserAuthorityFacts, Wish,
    },
};

/// Its routes.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/v1/assertions/keys", get(jwks))
        .route("/v1/assertions/keys/rotate", post(rotate))
        .route("/v1/certificates", post(certify).layer(DefaultBodyLimit::max(SMALL)))
        .route("/v1/certificates/authority", get(authority).post(make_authority))
        .route("/v1/stations/{name}/grant", get(read_grant).put(put_grant).delete(delete_grant))
        .layer(DefaultBodyLimit::max(SMALL))
}

/// An assertion that is wanted with an accept.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssertionWishBody {
    /// For whom it is: one of the audiences that the station was granted.
    #[schema(value_type = String, min_length = 1, max_length = 256, example = "https://app.example")]
    pub(crate) audience: Audience,
}

/// A certificate that is wanted after an accept.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateWishBody {
    /// SHA-256 of the key that it is to be of (its SubjectPublicKeyInfo in DER), in hexadecimal. The key stays with the
    /// station; RSA of 2048 bits is what Kerberos servers take.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(crate) key_sha256: String,
}

/// What is wanted, from what a request says.
pub(super) fn wish(
    assertion: Option<AssertionWishBody>,
    certificate: Option<CertificateWishBody>,
) -> Result<Wish, Problem> {
    let key = certificate.map(|wanted| {
        let digest = unhex(&wanted.key_sha256).map(KeyDigest);
        digest.ok_or_else(|| Problem::bad_request("certificate.key_sha256 has 64 hexadecimal digits"))
    });
    Ok(Wish { assertion: assertion.map(|wanted| wanted.audience), certificate: key.transpose()? })
}

impl From<HandoverError> for Problem {
    fn from(why: HandoverError) -> Self {
        let detail = why.to_string();
        match why {
            HandoverError::Audience => Self::new(
                StatusCode::FORBIDDEN,
                "audience-not-granted",
                "The audience is not granted",
                detail,
            ),
            HandoverError::MayNotIssue => Self::new(
                StatusCode::FORBIDDEN,
                "may-not-issue",
                "The station may not have certificates",
                detail,
            ),
            HandoverError::Grace => Self::bad_request(detail),
            HandoverError::Keys(why) => why.into(),
            HandoverError::OnTrial(why) => why.into(),
        }
    }
}

impl From<OnTrial> for Problem {
    fn from(why: OnTrial) -> Self {
        Self::new(StatusCode::CONFLICT, "on-trial", "Not while an update is on trial", why.to_string())
    }
}

impl From<KeysError> for Problem {
    fn from(why: KeysError) -> Self {
        match why {
            KeysError::OnTrial(why) => why.into(),
            KeysError::Store(why) => why.into(),
        }
    }
}

fn unknown(detail: String) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown-client", "There is no such station", detail)
}

impl From<NoCertificate> for Problem {
    fn from(why: NoCertificate) -> Self {
        const TITLE: &str = "No certificate is given";
        let detail = why.to_string();
        let refused = |slug| Self::new(StatusCode::FORBIDDEN, slug, TITLE, detail.clone());
        let conflict = |slug| Self::new(StatusCode::CONFLICT, slug, TITLE, detail.clone());
        match why {
            NoCertificate::Accept(NotAccepted::Unknown) => {
                Self::new(StatusCode::NOT_FOUND, "no-such-accept", TITLE, detail)
            }
            NoCertificate::Accept(NotAccepted::Used) => conflict("accept-used"),
            NoCertificate::Csr(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not-a-csr", TITLE, detail),
            NoCertificate::OtherKey => refused("other-key"),
            NoCertificate::MayNotIssue => refused("may-not-issue"),
            NoCertificate::NoAuthority => conflict("no-user-authority"),
            NoCertificate::Exists => conflict("user-authority-exists"),
            NoCertificate::Unprotected => conflict("unprotected-key"),
            NoCertificate::Clock => conflict("clock-unsynchronised"),
            NoCertificate::Person(NotCertified::State(_)) | NoCertificate::Now(_) => {
                refused("account-disabled")
            }
            NoCertificate::Person(NotCertified::Privileged) => refused("privileged"),
            NoCertificate::Changed => conflict("account-changed"),
            NoCertificate::NoSid => refused("no-sid"),
            NoCertificate::NoPrincipal(_) | NoCertificate::Person(NotCertified::NoPrincipal) => {
                refused("no-principal")
            }
            NoCertificate::Person(_) => refused("not-certified"),
            NoCertificate::NoRealm => conflict("no-realm"),
            NoCertificate::Group => refused("not-in-group"),
            NoCertificate::OnTrial(why) => why.into(),
            NoCertificate::TooMany => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-certificates", TITLE, detail)
            }
            NoCertificate::NotMade(why) => Self::internal(&why),
            NoCertificate::Store(why) => why.into(),
        }
    }
}

impl From<GrantError> for Problem {
    fn from(why: GrantError) -> Self {
        match why {
            GrantError::TooMany => {
                Self::new(StatusCode::CONFLICT, "too-many-grants", "Too much is granted", why.to_string())
            }
            GrantError::Unknown => unknown(why.to_string()),
            GrantError::OnTrial(why) => why.into(),
            GrantError::Store(why) => why.into(),
        }
    }
}

/// The keys by which assertions are verified, as a JSON Web Key Set (RFC 7517).
#[utoipa::path(get, path = "/v1/assertions/keys", operation_id = "assertion_keys", tag = "handover",
    responses((status = 200, description = "The keys: the one that signs, and those that did until a day ago; none before the first assertion", body = serde_json::Value)))]
pub(crate) async fn jwks(Shared(state): Shared<State>) -> Result<Json<serde_json::Value>, Problem> {
    let services = state.services()?.clone();
    Ok(Json(off_core(move || services.assertion_jwks()).await??))
}

/// A key.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyBody {
    /// What it is known by (RFC 7638).
    pub(crate) kid: String,
}

/// Has another key sign assertions from now on; the one before is published for a day more.
#[utoipa::path(post, path = "/v1/assertions/keys/rotate", operation_id = "rotate_assertion_key", tag = "handover",
    responses((status = 200, description = "The new key", body = KeyBody),
        (status = 409, description = "An update is on trial", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn rotate(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
) -> Result<Json<KeyBody>, Problem> {
    let services = state.services()?.clone();
    let kid = off_core(move || services.rotate_assertion_key(&by)).await??;
    Ok(Json(KeyBody { kid }))
}

/// Who asks for a certificate.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertifyBody {
    /// Of the verification or identification that was accepted, and that named the key.
    #[schema(value_type = String, pattern = "^[A-Za-z0-9._-]{1,64}$")]
    pub(crate) request_id: RequestId,
    /// PKCS#10 in PEM, of that key. Only the key in it is used.
    #[schema(max_length = 8192)]
    pub(crate) csr: String,
}

/// A certificate of somebody.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserCertificateBody {
    /// In PEM.
    pub(crate) certificate: String,
    /// Its authority, in PEM.
    pub(crate) authority: String,
    /// The user principal name that it is of.
    pub(crate) upn: String,
    /// The Kerberos principal that it is of: as whom a ticket is asked for.
    #[schema(example = "ada@CORP.EXAMPLE")]
    pub(crate) principal: String,
    /// Its number, in hexadecimal.
    pub(crate) serial: String,
    /// When it is over.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires: Timestamp,
}

/// Gives a certificate for Kerberos (PKINIT) to who was accepted a moment ago: once, within 60 s, to the same station.
#[utoipa::path(post, path = "/v1/certificates", operation_id = "certify", tag = "handover", request_body = CertifyBody,
    responses((status = 201, description = "The certificate", body = UserCertificateBody),
        (status = 404, description = "There was no such accept of this station within 60 s", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The accept was used, or the box gives none now", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The certificate request cannot be used", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The directory cannot be asked how the person stands", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn certify(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    body: Body<CertifyBody>,
) -> Result<(StatusCode, Json<UserCertificateBody>), Problem> {
    let services = state.services()?.clone();
    // Without anybody who tells, it is the machine's clock, which its owner keeps.
    let synchronised = clock_of(&state).is_none_or(|clock| clock.is_synchronised());
    let (due, by, request) = {
        let services = services.clone();
        let request = body.request_id.clone();
        let due = off_core(move || {
            let due = services.certificate_due(&by, &body.request_id, &body.csr, synchronised);
            due.map(|due| (due, by))
        });
        let (due, by) = due.await??;
        (due, by, request)
    };
    // Whoever goes away in between has used the accept.
    let asked = state.following.person(&due.source, due.object).await;
    let (again, of) = (services.clone(), by.clone());
    let made = match asked {
        Ok((mapping, entry)) => {
            let certified = off_core(move || services.certify(&by, &due, entry.as_ref(), &mapping)).await?;
            certified.map_err(Problem::from)
        }
        Err(why) => Err(why.into()),
    };
    if made.is_err() {
        again.give_back(&of, &request, Purpose::Certificate);
    }
    let (made, authority) = made?;
    let body = UserCertificateBody {
        certificate: made.pem,
        authority,
        upn: made.upn,
        principal: made.principal.to_string(),
        serial: made.serial,
        expires: made.expires,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// The authority of people's certificates.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserAuthorityBody {
    /// Its certificate, in PEM.
    pub(crate) certificate: String,
    /// SHA-256 of it in DER, in hexadecimal.
    pub(crate) sha256: String,
}

impl From<UserAuthorityFacts> for UserAuthorityBody {
    fn from(facts: UserAuthorityFacts) -> Self {
        Self { certificate: facts.pem, sha256: facts.sha256 }
    }
}

/// The authority of people's certificates: what directories and Kerberos servers are to trust.
#[utoipa::path(get, path = "/v1/certificates/authority", operation_id = "user_authority", tag = "handover",
    responses((status = 200, description = "The authority", body = UserAuthorityBody),
        (status = 409, description = "There is none", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn authority(Shared(state): Shared<State>) -> Result<Json<UserAuthorityBody>, Problem> {
    let services = state.services()?.clone();
    let facts = off_core(move || services.user_authority()).await??;
    Ok(Json(facts.ok_or(NoCertificate::NoAuthority)?.into()))
}

/// Makes the authority of people's certificates. Whoever has its key is everybody in the directories that trust it: the box is
/// then as much to be guarded as a domain controller.
#[utoipa::path(post, path = "/v1/certificates/authority", operation_id = "make_user_authority", tag = "handover",
    responses((status = 201, description = "Made", body = UserAuthorityBody),
        (status = 409, description = "There is one, or the master key is not protected", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn make_authority(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
) -> Result<(StatusCode, Json<UserAuthorityBody>), Problem> {
    let services = state.services()?.clone();
    let device = crate::credential::authority::device(&state.operation.pki);
    let device = device.map_err(|why| Problem::internal(&why))?;
    let facts = off_core(move || services.make_user_authority(&by, device)).await??;
    Ok((StatusCode::CREATED, Json(facts.into())))
}

fn registered(state: &State, name: &str) -> Result<(), Problem> {
    let there = state.stations.all().iter().any(|client| client.name == name);
    there.then_some(()).ok_or_else(|| unknown(format!("nobody is called {name}")))
}

/// What a station may have beside decisions.
#[utoipa::path(get, path = "/v1/stations/{name}/grant", operation_id = "read_grant", tag = "handover", params(("name" = String, Path, description = "The station's name")),
    responses((status = 200, description = "What it may have", body = Grant),
        (status = 404, description = "There is no such station", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read_grant(
    Shared(state): Shared<State>,
    At(name): At<String>,
) -> Result<Json<Grant>, Problem> {
    registered(&state, &name)?;
    Ok(Json(state.services()?.grant_of(&name)))
}

/// Lets a station have this beside decisions, in place of all of before.
#[utoipa::path(put, path = "/v1/stations/{name}/grant", operation_id = "grant", tag = "handover", request_body = Grant, params(("name" = String, Path, description = "The station's name")),
    responses((status = 204, description = "It may"),
        (status = 404, description = "There is no such station", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Too much is granted, or an update is on trial", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn put_grant(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(name): At<String>,
    body: Body<Grant>,
) -> Result<StatusCode, Problem> {
    let services = state.services()?.clone();
    let (grant, _permit) = body.into_parts();
    off_core(move || services.grant(&by, &name, grant)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes away all that a station may have beside decisions.
#[utoipa::path(delete, path = "/v1/stations/{name}/grant", operation_id = "revoke_grant", tag = "handover", params(("name" = String, Path, description = "The station's name")),
    responses((status = 204, description = "It may not"),
        (status = 404, description = "There is no such station", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "An update is on trial", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_grant(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(name): At<String>,
) -> Result<StatusCode, Problem> {
    let services = state.services()?.clone();
    off_core(move || services.grant(&by, &name, Grant::default())).await??;
    Ok(StatusCode::NO_CONTENT)
}
