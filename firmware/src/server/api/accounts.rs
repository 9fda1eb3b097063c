//! Accounts of people, and their sessions: password and code for a token that ends by itself.

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, State as Shared},
    http::{HeaderMap, StatusCode},
    routing::{delete, post},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{At, off_core};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    credential::stations::ClientName,
    request::{Caller, Role},
    server::{
        State,
        access::bearer,
        connection::PeerAddress,
        json::{Body, SMALL, Small},
        problem::Problem,
    },
    services::{Account, Password},
};

/// The routes of accounts and sessions, with small bodies.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/v1/accounts", post(add).get(list))
        .route("/v1/accounts/{name}", delete(remove))
        .route("/v1/accounts/{name}/reset", post(reset))
        .route("/v1/sessions", post(sign_in))
        .route("/v1/sessions/setup", post(set_up))
        .route("/v1/sessions/self", delete(sign_out))
        .layer(DefaultBodyLimit::max(SMALL))
}

/// An account to be made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAccountBody {
    /// What its holder signs in as: letters, digits, '.', '_' and '-'.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What it may do.
    #[schema(value_type = String, example = "administrator")]
    role: Role,
}

/// An account.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountBody {
    /// What its holder signs in as.
    name: String,
    /// What it may do.
    #[schema(value_type = String, example = "administrator")]
    role: Role,
    /// Who made it.
    by: String,
    /// When.
    #[schema(value_type = String)]
    made: Timestamp,
    /// Whether its holder has chosen a password and shown a code.
    ready: bool,
}

impl From<Account> for AccountBody {
    fn from(account: Account) -> Self {
        let Account { name, role, by, made, ready } = account;
        Self { name, role, by, made, ready }
    }
}

/// An account that was made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeAccountBody {
    /// As it is listed.
    account: AccountBody,
    /// Its first password, which is told here and never again: good for 72 hours, to choose another with.
    password: String,
}

/// Another first password.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetBody {
    /// Told here and never again.
    password: String,
}

/// All accounts.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountsBody {
    /// By name.
    accounts: Vec<AccountBody>,
}

/// Makes an account for somebody who signs in with a password and a code.
#[utoipa::path(post, path = "/v1/accounts", operation_id = "add_account", tag = "accounts", request_body = NewAccountBody,
    responses((status = 201, description = "Made; the first password is told once", body = MadeAccountBody),
        (status = 409, description = "The name is taken, or there are too many", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    body: Body<NewAccountBody>,
) -> Result<(StatusCode, Json<MadeAccountBody>), Problem> {
    let name =
        ClientName::try_from(body.name.clone()).map_err(|why| Problem::bad_request(why.to_string()))?;
    let services = state.services()?.clone();
    let (account, password) = off_core(move || services.add_account(&by, &name, body.role)).await??;
    Ok((
        StatusCode::CREATED,
        Json(MadeAccountBody { account: account.into(), password: password.to_string() }),
    ))
}

/// Lists all accounts.
#[utoipa::path(get, path = "/v1/accounts", operation_id = "list_accounts", tag = "accounts",
    responses((status = 200, description = "All", body = AccountsBody)))]
pub(crate) async fn list(Shared(state): Shared<State>) -> Result<Json<AccountsBody>, Problem> {
    let accounts = state.services()?.accounts().into_iter().map(AccountBody::from).collect();
    Ok(Json(AccountsBody { accounts }))
}

/// Removes an account; its sessions end at once.
#[utoipa::path(delete, path = "/v1/accounts/{name}", operation_id = "remove_account", tag = "accounts", params(("name" = String, Path, description = "The account's name")),
    responses((status = 204, description = "Removed"),
        (status = 404, description = "There is no such account", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The last administrator stays", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(name): At<String>,
) -> Result<StatusCode, Problem> {
    let (services, certified) = (state.services()?.clone(), state.stations.administered(SystemClock.now()));
    off_core(move || services.remove_account(&by, &name, certified)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes password and codes of an account away, whose sessions end at once, and gives it another first password.
#[utoipa::path(post, path = "/v1/accounts/{name}/reset", operation_id = "reset_account", tag = "accounts", params(("name" = String, Path, description = "The account's name")),
    responses((status = 200, description = "The first password is told once", body = ResetBody),
        (status = 404, description = "There is no such account", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn reset(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(name): At<String>,
) -> Result<Json<ResetBody>, Problem> {
    let services = state.services()?.clone();
    let password = off_core(move || services.reset_account(&by, &name)).await??;
    Ok(Json(ResetBody { password: password.to_string() }))
}

/// Who signs in for the first time.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetUpBody {
    /// The account.
    #[schema(max_length = 64)]
    account: String,
    /// The password that the administrator passed on.
    #[schema(max_length = 64)]
    first_password: String,
    /// The one to be: 12 characters or more.
    #[schema(min_length = 12, max_length = 1024)]
    password: String,
}

/// What an app makes codes of.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretBody {
    /// To be typed, in base 32. Told here and never again.
    secret: String,
    /// The same for a QR code. Six digits, 30 seconds, SHA-1: what every app does.
    otpauth: String,
}

/// Chooses the password of an account with its first one, and gives the secret of its codes. It is set up with the first
/// sign-in by both; until then this can be repeated.
#[utoipa::path(post, path = "/v1/sessions/setup", operation_id = "set_up_account", tag = "accounts", request_body = SetUpBody,
    responses((status = 200, description = "Put it into an app, and sign in", body = SecretBody),
        (status = 401, description = "Not this account, or not its first password", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The password is too short", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_up(
    Shared(state): Shared<State>,
    Extension(PeerAddress(from)): Extension<PeerAddress>,
    Small(body): Small<SetUpBody>,
) -> Result<Json<SecretBody>, Problem> {
    let services = state.services()?.clone();
    // Holds its place among the bodies of strangers until it is done: so many work at a time.
    let (body, place) = body.into_parts();
    let (first, own) = (Password::typed(body.first_password), Password::chosen(body.password)?);
    let set_up = off_core(move || {
        let set_up = services.set_up(Some(from), &body.account, &first, &own);
        drop(place);
        set_up
    })
    .await??;
    Ok(Json(SecretBody { secret: set_up.secret.to_string(), otpauth: set_up.uri.to_string() }))
}

/// Who signs in.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInBody {
    /// The account.
    #[schema(max_length = 64)]
    account: String,
    /// Its password.
    #[schema(max_length = 1024)]
    password: String,
    /// The six digits of its app.
    #[schema(max_length = 6)]
    code: String,
}

/// A session.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionBody {
    /// To be shown as `Authorization: Bearer` on connections without a client certificate. Told here and never again.
    token: String,
    /// What it may do.
    #[schema(value_type = String, example = "administrator")]
    role: Role,
    /// Seconds after the last request at which it ends.
    idle_seconds: u64,
    /// Seconds after now at which it ends in any case.
    longest_seconds: u64,
}

/// Signs in with password and code. What was wrong is not told.
#[utoipa::path(post, path = "/v1/sessions", operation_id = "sign_in", tag = "accounts", request_body = SignInBody,
    responses((status = 201, description = "A session", body = SessionBody),
        (status = 401, description = "Account, password or code is not right", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn sign_in(
    Shared(state): Shared<State>,
    Extension(PeerAddress(from)): Extension<PeerAddress>,
    Small(body): Small<SignInBody>,
) -> Result<(StatusCode, Json<SessionBody>), Problem> {
    let services = state.services()?.clone();
    let (body, place) = body.into_parts();
    let password = Password::typed(body.password);
    let signed = off_core(move || {
        let signed = services.sign_in(Some(from), &body.account, &password, &body.code);
        drop(place);
        signed
    })
    .await??;
    let body = SessionBody {
        token: signed.token.to_string(),
        role: signed.role,
        idle_seconds: signed.idle.as_secs(),
        longest_seconds: signed.longest.as_secs(),
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Signs out: the session ends at once.
#[utoipa::path(delete, path = "/v1/sessions/self", operation_id = "sign_out", tag = "accounts",
    responses((status = 204, description = "Signed out")))]
pub(crate) async fn sign_out(
    Shared(state): Shared<State>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    if let Some(token) = bearer(&headers) {
        state.services()?.sign_out(token);
    }
    Ok(StatusCode::NO_CONTENT)
}
