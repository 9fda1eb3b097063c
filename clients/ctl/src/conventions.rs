//! What holds for every command, whoever adds one: asked of the command line and of the API's description.

use std::collections::BTreeSet;

use clap::{Arg, Command, CommandFactory};
use serde_json::Value;

use crate::args::Args;

/// Which command does what the API offers. A new operation gets a line here, and the command in it.
const COMMANDS: &[(&str, &str)] = &[
    ("GET /v1/health/live", "health"),
    ("GET /v1/health/ready", "health"),
    ("GET /v1/health/state", "health"),
    ("GET /v1/health/diagnose", "diagnose"),
    ("GET /v1/system/support-bundle", "support-bundle"),
    ("GET /v1/openapi.json", "openapi"),
    ("POST /v1/system/claim", "claim"),
    ("POST /v1/system/unlock", "unlock"),
    ("GET /v1/system/at-rest", "at-rest show"),
    ("PUT /v1/system/at-rest", "at-rest passphrase"),
    ("POST /v1/system/backup", "backup"),
    ("GET /v1/system/erasures", "backup"),
    ("PUT /v1/system/restore", "restore"),
    ("POST /v1/system/restore", "restore"),
    ("GET /v1/system/restore", "restore"),
    ("DELETE /v1/system/restore", "restore"),
    ("GET /v1/system/store", "db stats"),
    ("GET /v1/system/store/task", "db stats"),
    ("POST /v1/system/store/verify", "db verify"),
    ("POST /v1/system/store/compact", "db compact"),
    ("POST /v1/system/store/rotate-keys", "db rotate-keys"),
    ("GET /v1/system/update", "update status"),
    ("POST /v1/system/update", "update apply"),
    ("POST /v1/system/update/trial", "update trial"),
    ("DELETE /v1/system/update", "update discard"),
    ("GET /v1/stations", "station list"),
    ("POST /v1/stations", "station add"),
    ("DELETE /v1/stations/{name}", "station remove"),
    ("PATCH /v1/stations/{name}", "station rename"),
    ("POST /v1/stations/self/renew", "station renew"),
    ("POST /v1/invitations", "station invite"),
    ("GET /v1/invitations", "station invitations"),
    ("DELETE /v1/invitations/{id}", "station withdraw"),
    ("POST /v1/join", "station join"),
    ("POST /v1/accounts", "account add"),
    ("GET /v1/accounts", "account list"),
    ("POST /v1/accounts/{name}/reset", "account reset"),
    ("DELETE /v1/accounts/{name}", "account remove"),
    ("POST /v1/sessions", "login"),
    ("POST /v1/sessions/setup", "login"),
    ("DELETE /v1/sessions/self", "logout"),
    ("POST /v1/tokens", "token add"),
    ("GET /v1/tokens", "token list"),
    ("DELETE /v1/tokens/{name}", "token remove"),
    ("GET /v1/subjects", "subject list"),
    ("POST /v1/subjects", "subject create"),
    ("GET /v1/subjects/{id}", "subject show"),
    ("DELETE /v1/subjects/{id}", "subject delete"),
    ("GET /v1/subjects/{id}/fingers", "finger list"),
    ("POST /v1/subjects/{id}/fingers", "finger enrol"),
    ("DELETE /v1/subjects/{id}/fingers/{position}", "finger delete"),
    ("GET /v1/subjects/{id}/export", "subject export"),
    ("GET /v1/system/erasures/{id}", "subject erase"),
    ("GET /v1/audit", "audit tail"),
    ("GET /v1/audit/verify", "audit verify"),
    ("POST /v1/audit/verify", "audit verify"),
    ("GET /v1/audit/export", "audit export"),
    ("GET /v1/audit/anchor", "audit anchor"),
    ("GET /v1/audit/key", "audit key"),
    ("GET /v1/audit/forwarding", "audit forwarding"),
    ("GET /v1/sensors", "sensor list"),
    ("POST /v1/sensors/{id}/capture", "sensor capture"),
    ("POST /v1/sensors/{id}/test", "sensor test"),
    ("POST /v1/sensors/{id}/adopt", "sensor adopt"),
    ("DELETE /v1/sensors/{id}/adopt", "sensor release"),
    ("POST /v1/sensors/{id}/resume", "sensor resume"),
    ("PATCH /v1/subjects/{id}", "subject groups"),
    ("PUT /v1/subjects/{id}/fingers/{position}/duress", "finger duress"),
    ("PUT /v1/subjects/{id}/pin", "subject pin"),
    ("DELETE /v1/subjects/{id}/pin", "subject pin"),
    ("POST /v1/subjects/{id}/recovery-code", "subject recovery-code"),
    ("DELETE /v1/subjects/{id}/recovery-code", "subject recovery-code"),
    ("GET /v1/policy", "policy show"),
    ("GET /v1/policy/{kind}/{name}", "policy show"),
    ("PUT /v1/policy/{kind}/{name}", "policy set"),
    ("DELETE /v1/policy/{kind}/{name}", "policy remove"),
    ("GET /v1/lockouts", "lockout list"),
    ("DELETE /v1/subjects/{id}/lockout", "subject unlock"),
    ("DELETE /v1/stations/{name}/lockout", "lockout clear"),
    ("DELETE /v1/sensors/{id}/lockout", "lockout clear"),
    ("GET /v1/directory", "directory status"),
    ("POST /v1/directory/{name}/test", "directory test"),
    ("POST /v1/directory/{name}/sync", "directory sync"),
    ("GET /v1/directory/{name}/diff", "directory diff"),
    ("PUT /v1/directory/{name}/password", "directory password"),
    ("GET /v1/assertions/keys", "assertion keys"),
    ("POST /v1/assertions/keys/rotate", "assertion rotate"),
    ("GET /v1/certificates/authority", "certificate authority"),
    ("POST /v1/certificates/authority", "certificate create-authority"),
    ("POST /v1/certificates", "login"),
    ("GET /v1/stations/{name}/grant", "station grant"),
    ("PUT /v1/stations/{name}/grant", "station grant"),
    ("DELETE /v1/stations/{name}/grant", "station grant"),
    ("POST /v1/one-time-codes", "verify"),
    ("POST /v1/verify", "verify"),
    ("POST /v1/identify", "identify"),
];

/// Arguments that are called like a secret and are none: command, argument, and why.
const NO_SECRETS: &[(&str, &str, &str)] =
    &[("claim", "code", "spent by this very command; the console shows it in the whole command line")];

/// Every command that can be run, by its words.
fn leaves(command: &Command, words: &str, found: &mut Vec<(String, Command)>) {
    let mut subs = command.get_subcommands().peekable();
    if subs.peek().is_none() {
        found.push((words.to_owned(), command.clone()));
    }
    for sub in subs.filter(|sub| sub.get_name() != "help") {
        leaves(sub, format!("{words} {}", sub.get_name()).trim(), found);
    }
}

fn commands() -> Vec<(String, Command)> {
    let mut root = Args::command();
    root.build();
    let mut found = Vec::new();
    leaves(&root, "", &mut found);
    assert!(found.len() > 30, "{found:?}");
    found
}

fn takes_a_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

#[test]
fn every_command_can_answer_in_json_and_be_told_how_long_to_wait() {
    for (words, command) in commands() {
        for name in ["json", "timeout", "profile"] {
            let there = command.get_arguments().any(|argument| argument.get_long() == Some(name));
            assert!(there, "authenteonctl {words} does not take --{name}: it is to be a global argument");
        }
    }
}

#[test]
fn no_secret_is_an_argument() {
    let secret = ["password", "passphrase", "secret", "token", "pin", "code", "totp", "otp", "puk"];
    for (words, command) in commands() {
        for argument in command.get_arguments().filter(|argument| takes_a_value(argument)) {
            let name = argument.get_id().as_str();
            let parts: BTreeSet<&str> = name.split(['_', '-']).collect();
            if !secret.iter().any(|secret| parts.contains(secret)) {
                continue;
            }
            let allowed = NO_SECRETS
                .iter()
                .any(|(command, argument, _)| (*command, *argument) == (words.as_str(), name));
            let value = argument.get_value_names().and_then(|names| names.first());
            let a_file = value.is_some_and(|value| value.as_str() == "FILE");
            assert!(
                allowed || a_file,
                "authenteonctl {words} takes {name} as an argument, which every list of processes shows: take a FILE \
                 (with - for standard input) or ask for it"
            );
        }
    }
}

#[test]
fn what_destroys_asks_and_can_be_told_not_to() {
    let destroys = ["remove", "delete", "release", "restore", "revoke", "erase", "reset"];
    for (words, command) in commands() {
        let last = words.rsplit(' ').next().unwrap_or_default();
        if destroys.contains(&last) {
            let yes = command.get_arguments().any(|argument| argument.get_long() == Some("yes"));
            assert!(
                yes,
                "authenteonctl {words} destroys something and takes no --yes: ask with commands::confirm"
            );
        }
    }
}

#[test]
fn every_operation_of_the_api_has_a_command() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let known: BTreeSet<String> = commands().into_iter().map(|(words, _)| words).collect();
    let mut offered = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            offered.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let mut missing: Vec<&String> = offered.iter().collect();
    missing.retain(|operation| !COMMANDS.iter().any(|(known, _)| known == operation));
    assert!(
        missing.is_empty(),
        "no command for {missing:?}: add one to authenteonctl (clients/ctl/src/args.rs and commands/), and a line \
         with it to COMMANDS in clients/ctl/src/conventions.rs"
    );
    for (operation, command) in COMMANDS {
        assert!(
            offered.contains(*operation),
            "{operation} is gone from docs/openapi.json: take its line out of COMMANDS"
        );
        assert!(
            known.contains(*command),
            "authenteonctl {command}, which COMMANDS has for {operation}, is no command"
        );
    }
}
