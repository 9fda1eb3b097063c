//! Who may use which route: one table, from which the guard and the API's description both come.

use std::sync::PoisonError;

use axum::{
    Extension,
    extract::{Request, State as Shared},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};

use serde::Serialize;

use super::{
    State,
    connection::{PeerAddress, PeerCertificate},
    problem::Problem,
};
use crate::{
    clock::{Clock, SystemClock},
    request::{Caller, Role},
    services::Bearer,
};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody, without a certificate too, and before the box is claimed.
    Public,
    /// Everybody, without a certificate too, who proves otherwise that he may; while the store is open.
    Open,
    /// Registered clients of these roles.
    Roles(&'static [Role]),
    /// Registered clients of these roles, while the box is locked too.
    WhileLocked(&'static [Role]),
    /// Registered clients of these roles, in every state but before the claim.
    Always(&'static [Role]),
}

/// Any registered client.
pub(crate) const ANYBODY: Access = Access::Roles(&Role::ALL);
/// Who sees the readers.
pub(crate) const AT_READERS: Access = Access::Roles(&[Role::Administrator, Role::Officer, Role::Station]);
/// Who gives and takes certificates.
pub(crate) const ADMINISTRATOR: Access = Access::Roles(&[Role::Administrator]);
/// Keepers of subjects.
pub(crate) const OFFICER: Access = Access::Roles(&[Role::Administrator, Role::Officer]);
/// Who is asked whether somebody was erased.
pub(crate) const PROOF: Access = Access::Roles(&[Role::Administrator, Role::Officer, Role::Auditor]);
/// Who reads what was done, and who may do what.
pub(crate) const AUDITOR: Access = Access::Roles(&[Role::Administrator, Role::Auditor]);
/// Who takes backups and has the box try whether it can open them; to restore one takes an administrator.
pub(crate) const BACKUP: Access = Access::Roles(&[Role::Administrator, Role::Backup]);
/// Who knows the passphrase.
pub(crate) const UNLOCK: Access = Access::WhileLocked(&[Role::Administrator]);
/// Who looks what is wrong.
pub(crate) const LOOK: Access = Access::Always(&[Role::Administrator]);
/// Who may change the box's own software.
pub(crate) const UPDATERS: Access = ADMINISTRATOR;
/// Who asks for decisions.
pub(crate) const STATION: Access = Access::Roles(&[Role::Station]);

impl Access {
    /// The states of the box in which such a route is served; in the others it answers 503.
    pub(crate) fn states(self) -> &'static [&'static str] {
        match self {
            Self::Public => &[UNPROVISIONED, LOCKED, OPERATIONAL, DEGRADED, FAILED],
            Self::Open | Self::Roles(_) => &[OPERATIONAL, DEGRADED],
            Self::WhileLocked(_) => &[LOCKED, OPERATIONAL, DEGRADED],
            Self::Always(_) => &[LOCKED, OPERATIONAL, DEGRADED, FAILED],
        }
    }
}

/// The box is nobody's yet.
pub(crate) const UNPROVISIONED: &str = "unprovisioned";
/// What is stored waits for its passphrase.
pub(crate) const LOCKED: &str = "locked";
/// The box does its work.
pub(crate) const OPERATIONAL: &str = "operational";
/// It verifies and identifies; who is enrolled can be neither listed nor changed until its store is checked or rebuilt.
pub(crate) const DEGRADED: &str = "degraded";

/// What is stored is damaged, or of another program: nothing of it is served.
pub(crate) const FAILED: &str = "failed";

/// Every path and method, and who may use it.
pub(crate) const ROUTES: &[(&str, &str, Access)] = &[
    ("/v1/health/live", "get", Access::Public),
    ("/v1/openapi.json", "get", Access::Public),
    ("/v1/system/claim", "post", Access::Public),
    ("/v1/health/state", "get", Access::Public),
    ("/v1/health/ready", "get", ANYBODY),
    ("/v1/health/diagnose", "get", LOOK),
    ("/v1/subjects", "get", OFFICER),
    ("/v1/subjects", "post", OFFICER),
    ("/v1/subjects/{id}", "get", OFFICER),
    ("/v1/subjects/{id}", "patch", OFFICER),
    ("/v1/subjects/{id}", "delete", OFFICER),
    ("/v1/subjects/{id}/export", "get", ADMINISTRATOR),
    ("/v1/subjects/{id}/fingers", "get", OFFICER),
    ("/v1/subjects/{id}/fingers", "post", OFFICER),
    ("/v1/subjects/{id}/fingers/{position}", "delete", OFFICER),
    ("/v1/audit", "get", AUDITOR),
    ("/v1/audit/export", "get", AUDITOR),
    ("/v1/audit/verify", "get", AUDITOR),
    ("/v1/audit/verify", "post", AUDITOR),
    ("/v1/audit/anchor", "get", AUDITOR),
    ("/v1/audit/key", "get", AUDITOR),
    ("/v1/audit/forwarding", "get", AUDITOR),
    ("/v1/subjects/{id}/fingers/{position}/duress", "put", OFFICER),
    ("/v1/subjects/{id}/pin", "put", OFFICER),
    ("/v1/subjects/{id}/pin", "delete", OFFICER),
    ("/v1/subjects/{id}/recovery-code", "post", OFFICER),
    ("/v1/subjects/{id}/recovery-code", "delete", OFFICER),
    ("/v1/policy", "get", ADMINISTRATOR),
    ("/v1/policy/{kind}/{name}", "get", ADMINISTRATOR),
    ("/v1/policy/{kind}/{name}", "put", ADMINISTRATOR),
    ("/v1/policy/{kind}/{name}", "delete", ADMINISTRATOR),
    ("/v1/lockouts", "get", OFFICER),
    ("/v1/subjects/{id}/lockout", "delete", OFFICER),
    ("/v1/stations/{name}/lockout", "delete", ADMINISTRATOR),
    ("/v1/sensors/{id}/lockout", "delete", ADMINISTRATOR),
    ("/v1/stations", "get", AUDITOR),
    ("/v1/stations", "post", ADMINISTRATOR),
    ("/v1/stations/{name}", "patch", ADMINISTRATOR),
    ("/v1/stations/{name}", "delete", ADMINISTRATOR),
    ("/v1/stations/self/renew", "post", ANYBODY),
    ("/v1/accounts", "get", AUDITOR),
    ("/v1/accounts", "post", ADMINISTRATOR),
    ("/v1/accounts/{name}", "delete", ADMINISTRATOR),
    ("/v1/accounts/{name}/reset", "post", ADMINISTRATOR),
    ("/v1/sessions", "post", Access::Open),
    ("/v1/sessions/setup", "post", Access::Open),
    ("/v1/sessions/self", "delete", ANYBODY),
    ("/v1/tokens", "get", AUDITOR),
    ("/v1/tokens", "post", ADMINISTRATOR),
    ("/v1/tokens/{name}", "delete", ADMINISTRATOR),
    ("/v1/assertions/keys", "get", Access::Open),
    ("/v1/assertions/keys/rotate", "post", ADMINISTRATOR),
    ("/v1/certificates", "post", STATION),
    ("/v1/certificates/authority", "get", ANYBODY),
    ("/v1/certificates/authority", "post", ADMINISTRATOR),
    ("/v1/stations/{name}/grant", "get", AUDITOR),
    ("/v1/stations/{name}/grant", "put", ADMINISTRATOR),
    ("/v1/stations/{name}/grant", "delete", ADMINISTRATOR),
    ("/v1/directory", "get", OFFICER),
    ("/v1/directory/{name}/test", "post", ADMINISTRATOR),
    ("/v1/directory/{name}/sync", "post", ADMINISTRATOR),
    ("/v1/directory/{name}/diff", "get", ADMINISTRATOR),
    ("/v1/directory/{name}/password", "put", ADMINISTRATOR),
    ("/v1/invitations", "get", ADMINISTRATOR),
    ("/v1/invitations", "post", ADMINISTRATOR),
    ("/v1/invitations/{id}", "delete", ADMINISTRATOR),
    ("/v1/join", "post", Access::Open),
    ("/v1/sensors", "get", AT_READERS),
    ("/v1/sensors/{id}/capture", "post", AT_READERS),
    ("/v1/sensors/{id}/test", "post", OFFICER),
    ("/v1/system/support-bundle", "get", LOOK),
    ("/v1/sensors/{id}/adopt", "post", ADMINISTRATOR),
    ("/v1/sensors/{id}/adopt", "delete", ADMINISTRATOR),
    ("/v1/sensors/{id}/resume", "post", ADMINISTRATOR),
    ("/v1/system/unlock", "post", UNLOCK),
    ("/v1/system/at-rest", "get", ADMINISTRATOR),
    ("/v1/system/at-rest", "put", ADMINISTRATOR),
    ("/v1/system/backup", "post", BACKUP),
    ("/v1/system/erasures", "get", BACKUP),
    ("/v1/system/erasures/{id}", "get", PROOF),
    ("/v1/system/restore", "put", BACKUP),
    ("/v1/system/restore", "post", BACKUP),
    ("/v1/system/restore", "get", BACKUP),
    ("/v1/system/restore", "delete", BACKUP),
    ("/v1/system/store", "get", ADMINISTRATOR),
    ("/v1/system/store/task", "get", ADMINISTRATOR),
    ("/v1/system/store/verify", "post", ADMINISTRATOR),
    ("/v1/system/store/compact", "post", ADMINISTRATOR),
    ("/v1/system/store/rotate-keys", "post", ADMINISTRATOR),
    ("/v1/system/update", "get", UPDATERS),
    ("/v1/system/update", "post", UPDATERS),
    ("/v1/system/update", "delete", UPDATERS),
    ("/v1/system/update/trial", "post", UPDATERS),
    ("/v1/one-time-codes", "post", STATION),
    ("/v1/verify", "post", STATION),
    ("/v1/identify", "post", STATION),
];

/// By what somebody is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Credential {
    /// A certificate of the box's own authority, which is registered.
    Certificate,
    /// A sign-in with password and code.
    Session,
    /// A token of automation.
    Token,
}

/// What a route takes from those whose role may use it.
pub(crate) fn credentials(path: &str, method: &str) -> &'static [Credential] {
    use Credential::{Certificate, Session, Token};
    let under = |roots: &[&str]| roots.iter().any(|root| begins(path, root));
    match (path, method) {
        ("/v1/sessions/self", _) => &[Session],
        // What is renewed is the certificate; a locked box knows nobody else.
        ("/v1/stations/self/renew" | "/v1/system/unlock", _) => &[Certificate],
        // Who holds a token makes nobody else one, and cannot lock the others out.
        (_, "get") => &[Certificate, Session, Token],
        _ if under(&[
            "/v1/stations",
            "/v1/invitations",
            "/v1/accounts",
            "/v1/tokens",
            "/v1/system/at-rest",
        ]) =>
        {
            &[Certificate, Session]
        }
        _ => &[Certificate, Session, Token],
    }
}

/// Whether a path is this one, or lies under it.
fn begins(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a token with this scope may use an operation, if its role may.
fn allows(scope: &str, path: &str, method: &str) -> bool {
    match scope.split_once(' ') {
        Some((only, exact)) => only.eq_ignore_ascii_case(method) && exact == path,
        // Of one that is empty, everything would be under it.
        None => !scope.is_empty() && begins(path, scope),
    }
}

/// Whether this is a scope that says something for a token of this role.
pub(crate) fn is_scope_of(scope: &str, role: Role) -> bool {
    ROUTES.iter().any(|(path, method, access)| {
        let may = match access {
            Access::Public | Access::Open => false,
            Access::Roles(roles) | Access::WhileLocked(roles) | Access::Always(roles) => {
                roles.contains(&role)
            }
        };
        may && credentials(path, method).contains(&Credential::Token) && allows(scope, path, method)
    })
}

/// The token in the headers of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// Who asks, by what, and what his token is good for.
struct Known {
    caller: Caller,
    by: Credential,
    scopes: Vec<String>,
}

impl Known {
    /// By the certificate; a token is looked at on connections without one.
    fn of(state: &State, peer: PeerCertificate, headers: &HeaderMap) -> Option<Self> {
        if let Some(sha256) = peer.0 {
            let clients = state.clients.read().unwrap_or_else(PoisonError::into_inner);
            let caller = clients.caller(&sha256, SystemClock.now())?;
            state.stations.used(&sha256);
            return Some(Self { caller, by: Credential::Certificate, scopes: Vec::new() });
        }
        Some(match state.lock.services()?.bearer(bearer(headers)?)? {
            Bearer::Session(caller) => Self { caller, by: Credential::Session, scopes: Vec::new() },
            Bearer::Token(caller, scopes) => Self { caller, by: Credential::Token, scopes },
        })
    }

    /// Why he may not use an operation, if he may not.
    fn refused(&self, roles: &[Role], path: &str, method: &str) -> Option<Problem> {
        let Self { caller, by, scopes } = self;
        if !roles.contains(&caller.role) {
            let allowed: Vec<String> = roles.iter().map(ToString::to_string).collect();
            let detail =
                format!("this route is for {}; you are known as {}", allowed.join(" and "), caller.role);
            return Some(Problem::forbidden(detail));
        }
        if !credentials(path, method).contains(by) {
            let detail = match by {
                Credential::Token => "no token may use this route: sign in, or use a certificate",
                Credential::Certificate => "this route is for who signed in with a password",
                Credential::Session => "this route takes a certificate",
            };
            return Some(Problem::forbidden(detail));
        }
        let within = scopes.is_empty() || scopes.iter().any(|scope| allows(scope, path, method));
        (!within).then(|| Problem::forbidden("this operation is in no scope of your token"))
    }
}

/// Lets through who may, with the [`Caller`] in the request; everybody else gets a problem.
pub(crate) async fn guard(
    Shared(state): Shared<State>,
    Extension(peer): Extension<PeerCertificate>,
    Extension(PeerAddress(from)): Extension<PeerAddress>,
    path: Option<axum::extract::MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let known = Known::of(&state, peer, request.headers());
    let path = path.as_ref().map_or("", |p| p.as_str());
    let method = request.method().as_str().to_ascii_lowercase();
    let on_path = || ROUTES.iter().filter(|(p, _, _)| *p == path);
    // HEAD is GET without its body.
    let method = if method == "head" { "get" } else { method.as_str() };
    let access = on_path().find(|(_, m, _)| *m == method).map(|(_, _, access)| *access);
    match (access, known) {
        (Some(Access::Public), _) => next.run(request).await,
        // Whoever calls: a registration that was made before the claim is worth nothing.
        _ if state.unprovisioned() => Problem::unprovisioned().into_response(),
        (Some(Access::Open), _) if state.lock.services().is_none() => state.unserved().into_response(),
        (Some(Access::Open), _) => next.run(request).await,
        // Also for what does not exist: a stranger learns nothing of the routes.
        (_, None) => Problem::unauthenticated().into_response(),
        (Some(Access::Roles(roles) | Access::WhileLocked(roles) | Access::Always(roles)), Some(known))
            if let Some(refused) = known.refused(roles, path, method) =>
        {
            refused.into_response()
        }
        (Some(access), Some(_))
            if state.lock.services().is_none() && !access.states().contains(&state.standing()) =>
        {
            state.unserved().into_response()
        }
        (_, Some(known)) => {
            request.extensions_mut().insert::<Caller>(known.caller.at(Some(from)));
            next.run(request).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_an_operation_or_the_beginning_of_paths_that_the_role_may() {
        for (scope, role, good) in [
            ("POST /v1/system/backup", Role::Backup, true),
            ("post /v1/system/backup", Role::Backup, true),
            ("/v1/system", Role::Backup, true),
            ("/v1/sys", Role::Backup, false),
            ("/v1/subjects", Role::Backup, false),
            ("GET /v1/subjects/{id}", Role::Officer, true),
            ("GET /v1/verify", Role::Station, false),
            ("/v1/verify", Role::Station, true),
            ("POST /v1/tokens", Role::Administrator, false),
            ("GET /v1/tokens", Role::Administrator, true),
            ("", Role::Administrator, false),
            ("/v1/join", Role::Administrator, false),
        ] {
            assert_eq!(is_scope_of(scope, role), good, "{scope} {role}");
        }
    }

    #[test]
    fn a_token_makes_no_credentials_and_no_credential_is_left_out() {
        for (path, method, access) in ROUTES {
            let taken = credentials(path, method);
            assert!(!taken.is_empty());
            let makes = ["stations", "invitations", "accounts", "tokens"];
            if *method != "get" && makes.iter().any(|part| path.contains(part)) && *access != Access::Open {
                assert!(!taken.contains(&Credential::Token), "{method} {path}");
            }
        }
    }

    #[test]
    fn a_bearer_is_read_in_either_case_and_nothing_else_is_one() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, text.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!((of("Bearer aut_x"), of("bearer aut_x")), (Some("aut_x".into()), Some("aut_x".into())));
        for bad in ["", "Bearer", "Bearer ", "Basic aut_x", "aut_x"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
