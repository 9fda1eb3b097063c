//! Tokens of automation: made, listed and revoked by administrators.

use std::time::Duration;

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, State as Shared},
    http::StatusCode,
    routing::{delete, post},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{At, off_core};
use crate::{
    clock::Timestamp,
    credential::stations::ClientName,
    request::{Caller, Role},
    server::{
        State,
        access::is_scope_of,
        json::{Body, SMALL},
        problem::Problem,
    },
    services::Token,
};

/// Scopes of one token.
const SCOPES: usize = 32;
const DAY: Duration = Duration::from_secs(86_400);

/// The routes of tokens, with small bodies.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/v1/tokens", post(add).get(list))
        .route("/v1/tokens/{name}", delete(revoke))
        .layer(DefaultBodyLimit::max(SMALL))
}

/// A token to be made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTokenBody {
    /// What it is called: letters, digits, '.', '_' and '-'.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What it may do.
    #[schema(value_type = String, example = "backup")]
    role: Role,
    /// For how many days.
    #[schema(minimum = 1, maximum = 366)]
    expires_days: u32,
    /// What of that it is good for: an operation as in this description (`GET /v1/subjects`), or the beginning of
    /// paths (`/v1/subjects`). All that the role may, when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 32)]
    scopes: Vec<String>,
}

/// A token. When it was used last is in the audit, by what it did.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenBody {
    /// What it is called.
    name: String,
    /// What it may do.
    #[schema(value_type = String, example = "backup")]
    role: Role,
    /// What of that it is good for; all, when there are none.
    scopes: Vec<String>,
    /// Who made it.
    by: String,
    /// When.
    #[schema(value_type = String)]
    made: Timestamp,
    /// When it ends.
    #[schema(value_type = String)]
    expires: Timestamp,
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        let Token { name, role, scopes, by, made, expires } = token;
        Self { name, role, scopes, by, made, expires }
    }
}

/// A token that was made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MadeTokenBody {
    /// As it is listed.
    token: TokenBody,
    /// To be shown as `Authorization: Bearer` on connections without a client certificate. Told here and never again.
    secret: String,
}

/// All tokens.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokensBody {
    /// In the order in which they were made.
    tokens: Vec<TokenBody>,
}

/// Makes a token for a program. It makes no other credentials, whatever its role.
#[utoipa::path(post, path = "/v1/tokens", operation_id = "make_token", tag = "tokens", request_body = NewTokenBody,
    responses((status = 201, description = "Made; it is told once", body = MadeTokenBody),
        (status = 409, description = "The name is taken, or there are too many", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It would not last so long, or a scope is nothing that the role may", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    body: Body<NewTokenBody>,
) -> Result<(StatusCode, Json<MadeTokenBody>), Problem> {
    let name =
        ClientName::try_from(body.name.clone()).map_err(|why| Problem::bad_request(why.to_string()))?;
    let refused = |detail: String| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-scope", "The scope is none", detail)
    };
    if body.scopes.len() > SCOPES {
        return Err(refused(format!("a token has at most {SCOPES} scopes")));
    }
    if let Some(bad) = body.scopes.iter().find(|scope| !is_scope_of(scope, body.role)) {
        let shown: String = bad.chars().take(80).collect();
        return Err(refused(format!("{shown:?} is no operation that a token of the role {} may", body.role)));
    }
    let services = state.services()?.clone();
    let (scopes, role, lives) = (body.scopes.clone(), body.role, DAY * body.expires_days);
    let (token, secret) = off_core(move || services.make_token(&by, &name, role, scopes, lives)).await??;
    Ok((StatusCode::CREATED, Json(MadeTokenBody { token: token.into(), secret: secret.to_string() })))
}

/// Lists the tokens that are not over.
#[utoipa::path(get, path = "/v1/tokens", operation_id = "list_tokens", tag = "tokens",
    responses((status = 200, description = "All", body = TokensBody)))]
pub(crate) async fn list(Shared(state): Shared<State>) -> Result<Json<TokensBody>, Problem> {
    let tokens = state.services()?.tokens().into_iter().map(TokenBody::from).collect();
    Ok(Json(TokensBody { tokens }))
}

/// Revokes a token: it is nobody's from its next request on.
#[utoipa::path(delete, path = "/v1/tokens/{name}", operation_id = "revoke_token", tag = "tokens", params(("name" = String, Path, description = "The token's name")),
    responses((status = 204, description = "Revoked"),
        (status = 404, description = "There is no such token", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke(
    Shared(state): Shared<State>,
    Extension(by): Extension<Caller>,
    At(name): At<String>,
) -> Result<StatusCode, Problem> {
    let services = state.services()?.clone();
    off_core(move || services.revoke_token(&by, &name)).await??;
    Ok(StatusCode::NO_CONTENT)
}
