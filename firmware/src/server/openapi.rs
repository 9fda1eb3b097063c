//! The API's description: from the handlers, with the roles of the access table on every operation.
//! `docs/openapi.json` is the same, and a test compares them.

use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{
    access::{Access, ROUTES},
    api::{
        adoption, at_rest, audit, backup, claim, decisions, diagnose, fingers, health, rights, sensors,
        stations, subjects, support, system, upkeep,
    },
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Authenteon",
        description = "Fingerprint authentication on port 3411. Present a client certificate of the box's own authority; every error is problem details (RFC 9457). Each operation says under x-roles who may use it, and under x-states in which states of the box it is served; in others it answers 503.",
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
        stations::add,
        stations::list,
        stations::remove,
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
        operation["x-states"] = json!(access.states());
        operation["x-roles"] = match access {
            Access::Public => json!(["public"]),
            Access::Roles(roles) | Access::WhileLocked(roles) | Access::Always(roles) => json!(roles),
        };
    }
    document
}

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
}
