//! Invitations: an administrator makes a code, and a machine that holds it gets a certificate for its own key, once.

use std::time::Duration;

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, State as Shared},
    http::StatusCode,
    routing::{delete, post},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{At, off_core, parsed};
use crate::{
    clock::Timestamp,
    credential::{
        csr,
        invitation::{self, Ticket},
        stations::{ClientName, StationError},
    },
    request::{Caller, Role, brief},
    server::{
        State,
        connection::PeerAddress,
        json::{Body, SMALL, Small},
        problem::Problem,
    },
    services::{Admission, Invitation, InvitationError, StoreError},
};

/// How long an invitation is good when nobody says.
const HOURS: u32 = 24;

/// The routes of invitations, with small bodies.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/v1/invitations", post(invite).get(list))
        .route("/v1/invitations/{id}", delete(withdraw))
        .route("/v1/join", post(join))
        .layer(DefaultBodyLimit::max(SMALL))
}

/// Who is to come.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvitationBody {
    /// What it is to be called: letters, digits, '.', '_' and '-'.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What it may do.
    #[schema(value_type = String, example = "station")]
    role: Role,
    /// How long the code is good, in minutes: up to 30 days, 24 hours when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 43200)]
    expires_minutes: Option<u32>,
}

/// An invitation.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationBody {
    /// What it is called.
    #[schema(example = "01020304")]
    id: String,
    /// What who comes is called.
    name: String,
    /// What he may do.
    #[schema(value_type = String, example = "station")]
    role: Role,
    /// Who made it.
    by: String,
    /// When.
    #[schema(value_type = String)]
    made: Timestamp,
    /// When it ends.
    #[schema(value_type = String)]
    expires: Timestamp,
    /// When somebody came with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    used: Option<Timestamp>,
}

impl From<Invitation> for InvitationBody {
    fn from(invitation: Invitation) -> Self {
        let Invitation { id, name, role, by, made, expires, used } = invitation;
        Self { id: id.to_string(), name, role, by, made, expires, used }
    }
}

/// An invitation that was made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeInvitationBody {
    /// As it is listed.
    invitation: InvitationBody,
    /// The code, which is told here and never again: SHA-256 of the authority, name, role, end and a secret. Letters
    /// and digits that fit the alphanumeric mode of a QR code.
    code: String,
}

/// All invitations.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationsBody {
    /// In the order in which they were made.
    invitations: Vec<InvitationBody>,
}

/// Makes a code for one machine or person, who comes with a key of his own.
#[utoipa::path(post, path = "/v1/invitations", operation_id = "invite", tag = "stations", request_body = NewInvitationBody,
    responses((status = 201, description = "Made; the code is told once", body = MadeInvitationBody),
        (status = 409, description = "The name is taken, or there are too many", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It would not last so long", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn invite(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    body: Body<NewInvitationBody>,
) -> Result<(StatusCode, Json<MadeInvitationBody>), Problem> {
    let name =
        ClientName::try_from(body.name.clone()).map_err(|why| Problem::bad_request(why.to_string()))?;
    let lives = Duration::from_secs(60 * u64::from(body.expires_minutes.unwrap_or(HOURS * 60)));
    let (stations, services) = (state.stations.clone(), state.services()?.clone());
    let made = off_core(move || {
        let authority = stations.authority_sha256()?;
        let (invitation, ticket) = services.invite(&by, &name, body.role, lives)?;
        let code = invitation::code(&ticket, &authority, body.role, &name, invitation.expires);
        Ok::<_, Problem>(MadeInvitationBody { invitation: invitation.into(), code })
    })
    .await??;
    tracing::info!(invitation = made.invitation.id, role = %made.invitation.role, "invitation made");
    Ok((StatusCode::CREATED, Json(made)))
}

/// Lists the invitations that are not over, used ones too. No code is told again.
#[utoipa::path(get, path = "/v1/invitations", operation_id = "list_invitations", tag = "stations",
    responses((status = 200, description = "All", body = InvitationsBody)))]
pub(crate) async fn list(Shared(state): Shared<State>) -> Result<Json<InvitationsBody>, Problem> {
    let all = state.services()?.invitations();
    Ok(Json(InvitationsBody { invitations: all.into_iter().map(InvitationBody::from).collect() }))
}

/// Withdraws an invitation: its code is worth nothing any more. Who came with it stays.
#[utoipa::path(delete, path = "/v1/invitations/{id}", operation_id = "withdraw_invitation", tag = "stations", params(("id" = String, Path, description = "The invitation's id")),
    responses((status = 204, description = "Withdrawn"),
        (status = 404, description = "There is no such invitation", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn withdraw(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(id): At<String>,
) -> Result<StatusCode, Problem> {
    let (id, services) = (parsed(&id)?, state.services()?.clone());
    off_core(move || services.withdraw(&by, id)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Who comes.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinBody {
    /// The first 32 symbols of the code after `AU1`. Never sent before the box has shown the authority whose SHA-256 is
    /// in the code.
    #[schema(max_length = 64)]
    ticket: String,
    /// PKCS#10 in PEM: P-256, P-384, Ed25519, or RSA of 2048 bits or more. Only the key in it is used.
    #[schema(max_length = 8192)]
    csr: String,
}

/// What who comes gets.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinedBody {
    /// What it is called.
    name: String,
    /// What it may do.
    #[schema(value_type = String, example = "station")]
    role: Role,
    /// SHA-256 of its certificate, in hex: what it is known by.
    sha256: String,
    /// Its certificate in PEM.
    certificate: String,
    /// The certificate of the box's authority in PEM: what it trusts.
    ca: String,
    /// The box's id: whatever its address, its certificate has the DNS name `ID.box.authenteon.invalid`.
    #[schema(value_type = String)]
    device_id: Uuid,
}

/// Gives whoever holds the code of an invitation a certificate for his key, once. The same code with the same key gets
/// the same answer again.
#[utoipa::path(post, path = "/v1/join", tag = "stations", request_body = JoinBody,
    responses((status = 200, description = "Welcome", body = JoinedBody),
        (status = 403, description = "The code is not right, or over", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The code was used, or the name was taken meanwhile", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The certificate request cannot be used; the code stays good", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn join(
    Shared(state): Shared<State>,
    Extension(PeerAddress(from)): Extension<PeerAddress>,
    Small(body): Small<JoinBody>,
) -> Result<Json<JoinedBody>, Problem> {
    let ticket = Ticket::parse(&body.ticket).ok_or(InvitationError::Wrong)?;
    let (stations, services) = (state.stations.clone(), state.services()?.clone());
    let joined = off_core(move || {
        let key = csr::proven_key(&body.csr).map_err(StationError::from)?.sha256;
        let (client, certificate, ca) = match services.admit(&ticket, &key)? {
            Admission::Again(client, certificate) => (client, certificate, stations.authority()?),
            Admission::New(name, role) => {
                let keep =
                    |client: &_, pem: &str| services.client_joined(Some(from), &ticket, &key, client, pem);
                let added = stations.add(&name, role, &body.csr, keep).map_err(|why| match why {
                    StationError::Store(StoreError::Superseded) => {
                        services.admit(&ticket, &key).err().map_or_else(|| why.into(), Problem::from)
                    }
                    why => why.into(),
                })?;
                tracing::info!(client = brief(&added.client.sha256), role = %added.client.role, "client joined");
                (added.client, added.certificate, added.authority)
            }
        };
        Ok::<_, Problem>(JoinedBody {
            name: client.name,
            role: client.role,
            sha256: client.sha256,
            certificate,
            ca,
            device_id: stations.device()?,
        })
    });
    Ok(Json(joined.await??))
}
