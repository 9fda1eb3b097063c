//! Errors as problem details (RFC 9457): what went wrong and what to do, never why inside.

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tracing::error;
use utoipa::ToSchema;

use crate::{
    claim::ClaimError,
    credential::{clients::ClientsError, stations::StationError},
    enrol::EnrolError,
    lock::UnlockError,
    reader::Standing,
    sample::SampleError,
    sensors::CaptureError,
    server::access::{DEGRADED, FAILED},
    services::{
        AccountError, ChangeError, DecideError, InvitationError, KeyError, NoPassphrase, NoPassword,
        OpenError, StoreError, SubjectError, TokenError,
    },
};

/// A problem as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Problem {
    /// What kind it is: `urn:authenteon:problem:` and a word.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The kind in words.
    pub(crate) title: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What it is this time, and what to do.
    pub(crate) detail: String,
    /// Which request it was: the id in `x-request-id`, which the log has too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "urn:authenteon:request:3f0c9a5e0f5b4c0c8f5d6a0f3b9d7e21")]
    pub(crate) instance: Option<String>,
}

impl Problem {
    /// A problem of a kind.
    pub(crate) fn new(status: StatusCode, slug: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:authenteon:problem:{slug}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            instance: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read", detail)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let detail = format!("a request's body has at most {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large", detail)
    }

    pub(crate) fn unauthenticated() -> Self {
        let detail = "present a client certificate that this box has registered (authenteonctl station join), or without one a token \
                      (authenteonctl login)";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Who are you?", detail)
    }

    pub(crate) fn unprovisioned() -> Self {
        let detail = "nobody has claimed this box: read the code on its console (or take the one of its \
                      provision.toml) and use authenteonctl claim";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unprovisioned", "The box is not claimed yet", detail)
    }

    pub(crate) fn locked() -> Self {
        let detail = "what it stores is encrypted, and it waits for the passphrase since its last start: an \
                      administrator gives it with authenteonctl unlock";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "locked", "The box is locked", detail)
    }

    pub(crate) fn failed(why: &OpenError) -> Self {
        let detail = format!("{why}. After that, start the daemon again");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, FAILED, "What the box stores cannot be served", detail)
    }

    /// A loop that the box rests on does not turn any more.
    pub(crate) fn hangs(loops: &[&str]) -> Self {
        let detail = format!("{} hangs: restart the box", loops.join(" and "));
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "hangs", "The box hangs", detail)
    }

    /// Strangers at one address tried too often.
    pub(crate) fn too_many_attempts(wait: std::time::Duration) -> Self {
        let detail = format!("too many attempts from this address: wait {} seconds", wait.as_secs() + 1);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "Too many attempts", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not with this role", detail)
    }

    pub(crate) fn unknown_subject() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown-subject",
            "There is no such subject",
            "it may have been deleted",
        )
    }

    /// The same problem, of this request.
    pub(crate) fn of_instance(mut self, instance: String) -> Self {
        self.instance = Some(instance);
        self
    }

    /// The same problem, about one of several samples.
    pub(crate) fn of_sample(mut self, index: usize) -> Self {
        self.detail = format!("sample {index}: {}", self.detail);
        self
    }

    /// The store or the machine failed: the log has why.
    pub(crate) fn internal(why: &dyn std::fmt::Display) -> Self {
        error!(%why, "request failed");
        let detail = "the box could not do it; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The box failed", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // Whoever knows which request it was can say so.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(why: StoreError) -> Self {
        match why {
            StoreError::Full => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "store-full", "The disk is full", why.to_string())
            }
            StoreError::Degraded { .. } => {
                let title = "The store is being checked or rebuilt";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, DEGRADED, title, why.to_string())
            }
            StoreError::Tpm(ref no) if no.is_absence() => {
                Self::new(StatusCode::CONFLICT, "no-tpm", "The box has no TPM to use", no.to_string())
            }
            StoreError::Tpm(no) => {
                let title = "The TPM does not do it";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "tpm-failed", title, no.to_string())
            }
            other => Self::internal(&other),
        }
    }
}

impl From<NoPassphrase> for Problem {
    fn from(why: NoPassphrase) -> Self {
        let title = "The passphrase cannot be used";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "passphrase-too-short", title, why.to_string())
    }
}

impl From<KeyError> for Problem {
    fn from(why: KeyError) -> Self {
        let detail = why.to_string();
        let is = |status, slug, title| Self::new(status, slug, title, detail.clone());
        match why {
            KeyError::Wrong => is(StatusCode::FORBIDDEN, "wrong-passphrase", "The passphrase is not right"),
            KeyError::Missing => {
                is(StatusCode::UNPROCESSABLE_ENTITY, "passphrase-missing", "The passphrase is missing")
            }
            KeyError::NotEncrypted => is(StatusCode::CONFLICT, "not-encrypted", "Nothing is encrypted yet"),
            KeyError::Store(why) => why.into(),
        }
    }
}

impl From<UnlockError> for Problem {
    fn from(why: UnlockError) -> Self {
        let detail = why.to_string();
        match why {
            UnlockError::NotLocked => {
                Self::new(StatusCode::CONFLICT, "not-locked", "The box is not locked", detail)
            }
            UnlockError::Wait(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "Too many attempts", detail)
            }
            UnlockError::Key(why) => why.into(),
            UnlockError::Open(why) => Self::internal(&why),
        }
    }
}

impl From<SubjectError> for Problem {
    fn from(why: SubjectError) -> Self {
        match why {
            SubjectError::Unknown => Self::unknown_subject(),
            SubjectError::Store(why) => why.into(),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(why: ChangeError) -> Self {
        match why {
            ChangeError::Followed(_) => {
                let title = "The subject is followed in a directory";
                Self::new(StatusCode::CONFLICT, "followed", title, why.to_string())
            }
            ChangeError::Subject(why) => why.into(),
        }
    }
}

impl From<ClaimError> for Problem {
    fn from(why: ClaimError) -> Self {
        let detail = why.to_string();
        let is = |status, slug, title| Self::new(status, slug, title, detail.clone());
        match why {
            ClaimError::Claimed => is(StatusCode::CONFLICT, "claimed", "The box is claimed already"),
            ClaimError::Wrong { .. } | ClaimError::Replaced | ClaimError::Mistyped => {
                is(StatusCode::FORBIDDEN, "wrong-code", "The code is not right")
            }
            ClaimError::Locked(_) => is(StatusCode::TOO_MANY_REQUESTS, "claim-locked", "Claiming is locked"),
            ClaimError::TooMany(_) => {
                is(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "Too many attempts")
            }
            ClaimError::Csr(_) => {
                is(StatusCode::UNPROCESSABLE_ENTITY, "not-a-csr", "The certificate request cannot be used")
            }
            ClaimError::Authority(why) => Self::internal(&why),
            ClaimError::Clients(why) => Self::internal(&why),
            why @ ClaimError::Record(_) => Self::internal(&why),
        }
    }
}

impl From<StationError> for Problem {
    fn from(why: StationError) -> Self {
        let detail = why.to_string();
        let is = |status, slug, title| Self::new(status, slug, title, detail.clone());
        match why {
            StationError::Csr(_) => {
                is(StatusCode::UNPROCESSABLE_ENTITY, "not-a-csr", "The certificate request cannot be used")
            }
            StationError::Clients(ClientsError::Exists(_)) => {
                is(StatusCode::CONFLICT, "name-taken", "The name is taken")
            }
            StationError::Clients(ClientsError::Unknown(_)) => {
                is(StatusCode::NOT_FOUND, "unknown-client", "There is no such client")
            }
            StationError::Restricted(_) => {
                is(StatusCode::CONFLICT, "name-restricted", "There is a restriction for that name")
            }
            StationError::LastAdministrator => {
                is(StatusCode::CONFLICT, "last-administrator", "The last administrator stays")
            }
            StationError::OnTrial => is(StatusCode::CONFLICT, "on-trial", "Not while an update is on trial"),
            StationError::Store(why) => why.into(),
            why @ (StationError::Clients(_) | StationError::Authority(_)) => Self::internal(&why),
        }
    }
}

impl From<InvitationError> for Problem {
    fn from(why: InvitationError) -> Self {
        let detail = why.to_string();
        let is = |status, slug, title| Self::new(status, slug, title, detail.clone());
        match why {
            InvitationError::Wrong | InvitationError::Over => {
                is(StatusCode::FORBIDDEN, "wrong-code", "The code is not right")
            }
            InvitationError::Used(_) => is(StatusCode::CONFLICT, "code-used", "The code was used"),
            InvitationError::Unknown => {
                is(StatusCode::NOT_FOUND, "unknown-invitation", "There is no such invitation")
            }
            InvitationError::NameTaken(_) => is(StatusCode::CONFLICT, "name-taken", "The name is taken"),
            InvitationError::TooMany => {
                is(StatusCode::CONFLICT, "too-many-invitations", "There are too many invitations")
            }
            InvitationError::Lifetime => {
                is(StatusCode::UNPROCESSABLE_ENTITY, "bad-expiry", "It would not last so long")
            }
            InvitationError::Randomness => Self::internal(&why),
            InvitationError::Store(why) => why.into(),
        }
    }
}

impl From<AccountError> for Problem {
    fn from(why: AccountError) -> Self {
        let detail = why.to_string();
        let is = |status, slug, title| Self::new(status, slug, title, detail.clone());
        match why {
            AccountError::Refused => is(StatusCode::UNAUTHORIZED, "not-signed-in", "Nobody signed in"),
            AccountError::Wait(_) => {
                is(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "Too many attempts")
            }
            AccountError::Unknown => is(StatusCode::NOT_FOUND, "unknown-account", "There is no such account"),
            AccountError::NameTaken(_) => is(StatusCode::CONFLICT, "name-taken", "The name is taken"),
            AccountError::LastAdministrator => {
                is(StatusCode::CONFLICT, "last-administrator", "The last administrator stays")
            }
            AccountError::TooMany => {
                is(StatusCode::CONFLICT, "too-many-accounts", "There are too many accounts")
            }
            AccountError::Randomness => Self::internal(&why),
            AccountError::Store(why) => why.into(),
        }
    }
}

impl From<NoPassword> for Problem {
    fn from(why: NoPassword) -> Self {
        let title = "The password cannot be used";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "password-too-short", title, why.to_string())
    }
}

impl From<TokenError> for Problem {
    fn from(why: TokenError) -> Self {
        let detail = why.to_string();
        let is = |status, slug, title| Self::new(status, slug, title, detail.clone());
        match why {
            TokenError::Unknown => is(StatusCode::NOT_FOUND, "unknown-token", "There is no such token"),
            TokenError::NameTaken(_) | TokenError::ClientNamed(_) => {
                is(StatusCode::CONFLICT, "name-taken", "The name is taken")
            }
            TokenError::TooMany => is(StatusCode::CONFLICT, "too-many-tokens", "There are too many tokens"),
            TokenError::Lifetime => {
                is(StatusCode::UNPROCESSABLE_ENTITY, "bad-expiry", "It would not last so long")
            }
            TokenError::Randomness => Self::internal(&why),
            TokenError::Store(why) => why.into(),
        }
    }
}

impl From<SampleError> for Problem {
    fn from(why: SampleError) -> Self {
        let slug = match &why {
            SampleError::Decode(_) => "not-an-image",
            SampleError::Frame(_) | SampleError::Image(_) => "not-a-frame",
            SampleError::Extract(_) => "no-template",
            SampleError::Template(_) | SampleError::Record(_) | SampleError::Impressions { .. } => {
                "not-a-template"
            }
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, slug, "The sample cannot be used", why.to_string())
    }
}

impl From<CaptureError> for Problem {
    fn from(why: CaptureError) -> Self {
        let (status, slug, title) = match &why {
            CaptureError::Unknown => (StatusCode::NOT_FOUND, "unknown-sensor", "There is no such reader"),
            CaptureError::NotAdopted(Standing::Moved) => {
                (StatusCode::CONFLICT, "sensor-moved", "The reader was moved or exchanged")
            }
            CaptureError::NotAdopted(Standing::Suspended) => {
                (StatusCode::CONFLICT, "sensor-suspended", "The reader is suspended")
            }
            CaptureError::NotAdopted(_) => {
                (StatusCode::CONFLICT, "sensor-not-adopted", "The reader is not adopted")
            }
            CaptureError::Absent => {
                (StatusCode::SERVICE_UNAVAILABLE, "sensor-absent", "The reader is not there")
            }
            CaptureError::Busy => (StatusCode::CONFLICT, "sensor-busy", "The reader is in use"),
            CaptureError::TimedOut => (StatusCode::REQUEST_TIMEOUT, "sensor-timeout", "No finger in time"),
            CaptureError::Removed => {
                (StatusCode::SERVICE_UNAVAILABLE, "sensor-removed", "The reader was removed")
            }
            CaptureError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping", "The box is stopping"),
            CaptureError::Failed(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "sensor-failed", "The reader failed")
            }
        };
        Self::new(status, slug, title, why.to_string())
    }
}

impl From<DecideError> for Problem {
    fn from(why: DecideError) -> Self {
        match why {
            DecideError::RequestIdReused => Self::new(
                StatusCode::CONFLICT,
                "request-id-reused",
                "The request_id was used before",
                why.to_string(),
            ),
            DecideError::Sample(why) => why.into(),
            DecideError::Store(why) => why.into(),
            DecideError::Handover(why) => why.into(),
        }
    }
}

impl From<EnrolError> for Problem {
    fn from(why: EnrolError) -> Self {
        let detail = why.to_string();
        let unprocessable =
            |slug, title| Self::new(StatusCode::UNPROCESSABLE_ENTITY, slug, title, detail.clone());
        let conflict = |slug, title| Self::new(StatusCode::CONFLICT, slug, title, detail.clone());
        match why {
            EnrolError::UnknownSubject => Self::unknown_subject(),
            EnrolError::UnknownFinger => {
                Self::new(StatusCode::NOT_FOUND, "unknown-finger", "This finger is not enrolled", detail)
            }
            EnrolError::AlreadyEnrolled => conflict("already-enrolled", "This finger is enrolled already"),
            EnrolError::DuplicateFinger => conflict("duplicate-finger", "This finger is somebody else's"),
            EnrolError::SampleCount { .. } => unprocessable("sample-count", "The number of samples is wrong"),
            EnrolError::Quality { .. } => unprocessable("low-quality", "A sample's quality is too low"),
            EnrolError::Inconsistent { .. } => {
                unprocessable("inconsistent-samples", "The samples do not resemble each other")
            }
            EnrolError::Sample { index, why } => Self::from(why).of_sample(index),
            EnrolError::Store(why) => why.into(),
        }
    }
}
