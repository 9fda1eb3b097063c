//! Who may use which route: one table, from which the guard and the API's description both come.

use std::sync::PoisonError;

use axum::{
    Extension,
    extract::{Request, State as Shared},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{State, connection::PeerCertificate, problem::Problem};
use crate::request::{Caller, Role};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody, without a certificate too, and before the box is claimed.
    Public,
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
            Self::Roles(_) => &[OPERATIONAL, DEGRADED],
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
    ("/v1/stations", "get", AUDITOR),
    ("/v1/stations", "post", ADMINISTRATOR),
    ("/v1/stations/{name}", "delete", ADMINISTRATOR),
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
    ("/v1/verify", "post", STATION),
    ("/v1/identify", "post", STATION),
];

/// Lets through who may, with the [`Caller`] in the request; everybody else gets a problem.
pub(crate) async fn guard(
    Shared(state): Shared<State>,
    Extension(peer): Extension<PeerCertificate>,
    path: Option<axum::extract::MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = peer
        .0
        .and_then(|sha256| state.clients.read().unwrap_or_else(PoisonError::into_inner).caller(&sha256));
    let path = path.as_ref().map_or("", |p| p.as_str());
    let method = request.method().as_str().to_ascii_lowercase();
    let on_path = || ROUTES.iter().filter(|(p, _, _)| *p == path);
    // HEAD is GET without its body.
    let method = if method == "head" { "get" } else { method.as_str() };
    let access = on_path().find(|(_, m, _)| *m == method).map(|(_, _, access)| *access);
    match (access, caller) {
        (Some(Access::Public), _) => next.run(request).await,
        // Whoever calls: a registration that was made before the claim is worth nothing.
        _ if state.unprovisioned() => Problem::unprovisioned().into_response(),
        // Also for what does not exist: a stranger learns nothing of the routes.
        (_, None) => Problem::unauthenticated().into_response(),
        (Some(Access::Roles(roles) | Access::WhileLocked(roles) | Access::Always(roles)), Some(caller))
            if !roles.contains(&caller.role) =>
        {
            let allowed: Vec<String> = roles.iter().map(ToString::to_string).collect();
            let detail = format!(
                "this route is for {}; your certificate is a {}'s",
                allowed.join(" and "),
                caller.role
            );
            Problem::forbidden(detail).into_response()
        }
        (Some(access), Some(_))
            if state.lock.services().is_none() && !access.states().contains(&state.standing()) =>
        {
            state.unserved().into_response()
        }
        (_, Some(caller)) => {
            request.extensions_mut().insert::<Caller>(caller);
            next.run(request).await
        }
    }
}
