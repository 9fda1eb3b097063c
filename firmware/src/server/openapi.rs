//! The API's description: from the handlers, with the roles of the access table on every operation.
//! `docs/openapi.json` is the same, and a test compares them.

use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{
    access::{Access, ROUTES, credentials},
    api::{
        accounts, adoption, at_rest, audit, backup, claim, decisions, diagnose, directory, factors, fingers,
        handover, health, invitations, lockouts, one_time_codes, policy, rights, sensors, stations, subjects,
        support, system, tokens, upkeep,
    },
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Authenteon",
        description = "Fingerprint authentication on port 3411. Present a client certificate of the box's own authority, or without one a token (Authorization: Bearer) of a sign-in or of automation; x-credentials says which an operation takes. Every error is problem details (RFC 9457). Each operation says under x-roles who may use it, and under x-states in which states of the box it is served; in others it answers 503.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(
        health::live,
        health::state,
        health::ready,
        diagnose::diagnose,
        claim::claim,
        subjects::create,
        subjects::list,
        subjects::read,
        subjects::change,
        subjects::remove,
        rights::export,
        rights::proof,
        fingers::enrol,
        fingers::list,
        fingers::remove,
        audit::read,
        audit::export,
        audit::verify,
        audit::verification,
        audit::anchor,
        audit::key,
        audit::forwarding,
        factors::mark_duress,
        factors::set_pin,
        factors::remove_pin,
        factors::give_recovery_code,
        factors::revoke_recovery_code,
        policy::read_policy,
        policy::read_restriction,
        policy::restrict,
        policy::unrestrict,
        lockouts::list_lockouts,
        lockouts::unlock_subject,
        lockouts::unlock_station,
        lockouts::unlock_sensor,
        stations::add,
        stations::list,
        stations::rename,
        stations::renew,
        stations::remove,
        accounts::add,
        accounts::list,
        accounts::remove,
        accounts::reset,
        accounts::set_up,
        accounts::sign_in,
        accounts::sign_out,
        tokens::add,
        tokens::list,
        tokens::revoke,
        directory::list,
        directory::test,
        directory::sync,
        directory::diff,
        directory::password,
        invitations::invite,
        invitations::list,
        invitations::withdraw,
        invitations::join,
        sensors::list,
        sensors::capture,
        sensors::test,
        adoption::adopt,
        adoption::release,
        adoption::resume,
        at_rest::unlock,
        at_rest::read,
        at_rest::change,
        backup::take_backup,
        backup::erasures,
        backup::receive_backup,
        backup::restore_backup,
        backup::restore_status,
        backup::discard_backup,
        upkeep::read,
        upkeep::task,
        upkeep::verify,
        upkeep::compact,
        upkeep::rotate_keys,
        support::bundle,
        system::status,
        system::upload,
        system::discard,
        system::trial,
        handover::jwks,
        handover::rotate,
        handover::certify,
        handover::authority,
        handover::make_authority,
        handover::read_grant,
        handover::put_grant,
        handover::delete_grant,
        one_time_codes::give,
        decisions::verify,
        decisions::identify,
    )
)]
struct Description;

/// The description as JSON.
#[must_use]
pub fn document() -> Value {
    let mut document = serde_json::to_value(Description::openapi()).unwrap_or_default();
    for (path, method, access) in ROUTES {
        let operation = &mut document["paths"][path][method];
        if operation.is_null() {
            *operation = json!({
                "tags": ["description"],
                "summary": "This description.",
                "operationId": "openapi",
                "responses": { "200": { "description": "OpenAPI 3.1" } },
            });
        }
        if !matches!(access, Access::Public | Access::Open) {
            operation["x-credentials"] = json!(credentials(path, method));
        }
        operation["x-states"] = json!(access.states());
        operation["x-roles"] = match access {
            Access::Public | Access::Open => json!(["public"]),
            Access::Roles(roles) | Access::WhileLocked(roles) | Access::Always(roles) => json!(roles),
        };
        let mut common = vec!["Failed"];
        if operation["parameters"].is_array() {
            common.push("BadRequest");
        }
        if operation["requestBody"]["content"]["application/json"].is_object() {
            common.extend(["BadRequest", "TooLarge", "TooSlow", "MediaType", "TooMany"]);
        }
        if *access != Access::Public {
            common.extend(["Unauthenticated", "Forbidden", "NotNow"]);
        }
        for name in common {
            if let Some((_, status, _)) = COMMON.iter().find(|(n, _, _)| *n == name)
                && operation["responses"][status].is_null()
            {
                operation["responses"][status] = json!({ "$ref": format!("#/components/responses/{name}") });
            }
        }
    }
    for (name, _, description) in COMMON {
        document["components"]["responses"][name] = json!({
            "description": description,
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
    }
    document
}

/// Answers that operations have in common, with their status: those of the guard, and of whatever reads bodies.
const COMMON: [(&str, &str, &str); 9] = [
    ("BadRequest", "400", "A part of the request cannot be read"),
    ("Unauthenticated", "401", "The caller is nobody's that this box knows"),
    ("Forbidden", "403", "Not with the caller's role"),
    ("TooSlow", "408", "The body took too long"),
    ("TooLarge", "413", "The body is too large"),
    ("MediaType", "415", "The body is of another type, or compressed"),
    ("TooMany", "429", "Too many requests of the caller at a time, or too many attempts"),
    ("Failed", "500", "The box failed; why is in its log"),
    ("NotNow", "503", "The box is in another state than x-states names"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_description_is_what_the_code_says() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let now = serde_json::to_string_pretty(&document()).unwrap() + "\n";
        if std::env::var_os("AUTHENTEON_WRITE_OPENAPI").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            before == now,
            "docs/openapi.json is out of date: run this test with AUTHENTEON_WRITE_OPENAPI=1"
        );
    }

    #[test]
    fn every_described_operation_is_in_the_access_table() {
        let document = document();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                assert!(
                    ROUTES.iter().any(|(p, m, _)| p == path && m == method),
                    "{method} {path} has no roles"
                );
            }
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document = document();
        let operations = document["paths"].as_object().unwrap().values();
        let all = operations.flat_map(|methods| methods.as_object().unwrap().values());
        let mut names: Vec<_> = all.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }

    #[test]
    fn what_is_said_to_stand_in_a_path_stands_there_and_all_that_stands_there_is_said() {
        let document = document();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let mut there: Vec<_> = path.split('/').filter_map(|part| part.strip_prefix('{')).collect();
            there.sort_unstable();
            for (method, operation) in operations.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let in_path = parameters.filter(|parameter| parameter["in"] == "path");
                let mut said: Vec<_> =
                    in_path.map(|p| format!("{}}}", p["name"].as_str().unwrap())).collect();
                said.sort_unstable();
                assert_eq!(said, there, "{method} {path}");
            }
        }
    }
}
