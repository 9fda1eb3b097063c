//! Stations, officers, auditors, those who back up, and administrators: added, listed and removed by administrators.

use axum::{Extension, Json, extract::State as Shared, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{At, off_core};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    credential::{clients::Client, stations::ClientName},
    request::{Caller, Role, brief},
    server::{State, connection::PeerCertificate, json::Body, problem::Problem},
};

/// A client to be added.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewStationBody {
    /// For people, and in the certificate: letters, digits, '.', '_' and '-'.
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) name: String,
    /// What it may do.
    #[schema(value_type = String, example = "station")]
    pub(crate) role: Role,
    /// PKCS#10 in PEM: P-256, P-384, Ed25519, or RSA of 2048 bits or more. Only the key in it is used.
    #[schema(max_length = 8192)]
    pub(crate) csr: String,
}

/// A client.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StationBody {
    /// For people.
    pub(crate) name: String,
    /// What it may do.
    #[schema(value_type = String, example = "station")]
    pub(crate) role: Role,
    /// SHA-256 of its certificate, in hex: what it is known by.
    pub(crate) sha256: String,
    /// When its certificate ends, where the box knows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub(crate) expires: Option<Timestamp>,
    /// Whether it has a later certificate, and this one ends when that is used.
    pub(crate) renewed: bool,
}

impl From<Client> for StationBody {
    fn from(client: Client) -> Self {
        let Client { name, role, sha256, expires, renewed } = client;
        Self { name, role, sha256, expires, renewed: renewed.is_some() }
    }
}

/// A client that was added.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddedStationBody {
    /// As it is registered.
    pub(crate) station: StationBody,
    /// Its certificate in PEM.
    pub(crate) certificate: String,
    /// The certificate of the box's authority in PEM: what it trusts.
    pub(crate) ca: String,
}

/// All clients.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StationsBody {
    /// In the order of their registration.
    pub(crate) stations: Vec<StationBody>,
}

/// Adds a station, an officer, an auditor, who takes backups or an administrator, by the key that it holds.
#[utoipa::path(post, path = "/v1/stations", tag = "stations", request_body = NewStationBody,
    responses((status = 201, description = "Added", body = AddedStationBody),
        (status = 400, description = "No name or no body of this form", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is taken", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The certificate request cannot be used", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    body: Body<NewStationBody>,
) -> Result<(StatusCode, Json<AddedStationBody>), Problem> {
    let name =
        ClientName::try_from(body.name.clone()).map_err(|why| Problem::bad_request(why.to_string()))?;
    let (stations, services) = (state.stations.clone(), state.services()?.clone());
    let added = off_core(move || {
        let keep = |client: &Client, certificate: &str| services.client_added(&by, client, certificate);
        services.check_new_name(name.as_str(), None)?;
        stations.add(&name, body.role, &body.csr, keep)
    })
    .await??;
    let station = StationBody::from(added.client);
    // The name is in the audit, and the log has none.
    tracing::info!(client = brief(&station.sha256), role = %station.role, "client added");
    Ok((
        StatusCode::CREATED,
        Json(AddedStationBody { station, certificate: added.certificate, ca: added.authority }),
    ))
}

/// Lists everybody who holds a certificate of this box.
#[utoipa::path(get, path = "/v1/stations", operation_id = "list_stations", tag = "stations",
    responses((status = 200, description = "Everybody", body = StationsBody)))]
pub(crate) async fn list(Shared(state): Shared<State>) -> Json<StationsBody> {
    let stations = state.stations.all().into_iter().map(StationBody::from).collect();
    Json(StationsBody { stations })
}

/// Who renews.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenewBody {
    /// PKCS#10 in PEM, of a new key: P-256, P-384, Ed25519, or RSA of 2048 bits or more. Only the key in it is used.
    #[schema(max_length = 8192)]
    pub(crate) csr: String,
}

/// Gives who asks another certificate, of the same name and role. The one that he asks with ends an hour after, once the
/// new one was used; when the answer was lost, he asks again with the old one.
#[utoipa::path(post, path = "/v1/stations/self/renew", operation_id = "renew_self", tag = "stations", request_body = RenewBody,
    responses((status = 201, description = "Renewed", body = AddedStationBody),
        (status = 422, description = "The certificate request cannot be used", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn renew(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    Extension(peer): Extension<PeerCertificate>,
    body: Body<RenewBody>,
) -> Result<(StatusCode, Json<AddedStationBody>), Problem> {
    // The guard lets nobody else get as far.
    let sha256 = peer.0.ok_or_else(Problem::unauthenticated)?;
    let (stations, services) = (state.stations.clone(), state.services()?.clone());
    let added = off_core(move || {
        let keep = |former: &Client, later: &Client, pem: &str, unheard: Option<&Client>| {
            services.client_renewed(&by, former, later, pem, unheard)
        };
        stations.renew(&sha256, &body.csr, SystemClock.now(), keep)
    })
    .await??;
    let station = StationBody::from(added.client);
    tracing::info!(client = brief(&station.sha256), "certificate renewed");
    Ok((
        StatusCode::CREATED,
        Json(AddedStationBody { station, certificate: added.certificate, ca: added.authority }),
    ))
}

/// What a client is to be called.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameBody {
    /// Letters, digits, '.', '_' and '-'.
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) name: String,
}

/// Calls a client otherwise. Its certificate stays what it is known by; the name in it is nobody's business.
#[utoipa::path(patch, path = "/v1/stations/{name}", tag = "stations", request_body = RenameBody, params(("name" = String, Path, description = "The client's name")),
    responses((status = 200, description = "Renamed", body = StationBody),
        (status = 404, description = "There is no such client", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is taken, or there is a restriction for both", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn rename(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(name): At<String>,
    body: Body<RenameBody>,
) -> Result<Json<StationBody>, Problem> {
    let to = ClientName::try_from(body.name.clone()).map_err(|why| Problem::bad_request(why.to_string()))?;
    let (stations, services) = (state.stations.clone(), state.services()?.clone());
    let renamed = off_core(move || {
        services.check_new_name(to.as_str(), Some(&name))?;
        stations.rename(&name, &to, |client| services.client_renamed(&by, client, to.as_str()))
    })
    .await??;
    Ok(Json(renamed.into()))
}

/// Removes a client: its certificate is nobody's from its next request on.
#[utoipa::path(delete, path = "/v1/stations/{name}", operation_id = "remove_station", tag = "stations", params(("name" = String, Path, description = "The client's name")),
    responses((status = 204, description = "Removed"),
        (status = 404, description = "There is no such client", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The last administrator stays", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(name): At<String>,
) -> Result<StatusCode, Problem> {
    let (stations, services) = (state.stations.clone(), state.services()?.clone());
    off_core(move || {
        stations.remove(&name, SystemClock.now(), |client| services.client_removed(&by, client))
    })
    .await??;
    tracing::info!("client removed");
    Ok(StatusCode::NO_CONTENT)
}
