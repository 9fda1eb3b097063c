//! Which objects changed: by DirSync ([MS-ADTS] 3.1.1.3.4.1.3), or by their update sequence numbers.
//!
//! Neither is asked what changed: the people are read anew, whole. So an answer that has only the changed attributes, and one
//! that says the same twice, are equally good.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ldap3::{Scope, controls::RawControl};
use serde::{Deserialize, Serialize};

use super::{
    person,
    root::{Controller, DIRSYNC, Root},
};
use crate::directory::{
    DirectoryError, ObjectId, Settings,
    wire::{
        Connection, Found, Question,
        ber::{self, Malformed, Reader, tag},
        refusal::is_passing,
    },
};

/// Deleted objects are shown.
pub(super) const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
const BOTH: &str = "(|(objectClass=user)(objectClass=group))";
const OBJECT_SECURITY: i64 = 1;
/// `LDAP_DIRSYNC_INCREMENTAL_VALUES`, as the signed number that the control has.
const INCREMENTAL_VALUES: i64 = -0x8000_0000;
/// Octets that one round should have.
const ROUND: i64 = 1 << 20;
const MOST_ROUNDS: usize = 100_000;
/// Only these are told of as changed, with `objectGUID`, which always comes.
const WATCHED: [&str; 10] = [
    "name",
    "parentGUID",
    "isDeleted",
    "member",
    "userAccountControl",
    "accountExpires",
    "adminCount",
    "primaryGroupID",
    "sAMAccountName",
    "userPrincipalName",
];

/// How far changes were followed, as the cursor has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "by")]
pub(super) enum Followed {
    /// By DirSync: flags 0 or not, and its cookie in Base64.
    Dirsync { all: bool, cookie: String },
    /// By the number that the controller had.
    Usn,
}

/// What has changed.
#[derive(Debug)]
pub(super) enum Changed {
    /// That is not known: everything may have.
    Unknown,
    /// These objects, people and groups and others.
    These(BTreeSet<ObjectId>),
}

/// What DirSync says after a cookie; from nothing, when there is none.
pub(super) async fn by_dirsync(
    connection: &mut Connection,
    root: &Root,
    settings: &Settings,
    cookie: Option<&str>,
) -> Result<(Changed, Followed), DirectoryError> {
    if let Some(cookie) = cookie.map(decoded).filter(|cookie| !cookie.is_empty()) {
        match rounds(connection, root, settings, cookie).await? {
            Ok((changed, followed)) => return Ok((Changed::These(changed), followed)),
            // Whatever it has against the cookie: without one it has to be content.
            Err(_) => {
                tracing::warn!(directory = %settings.name, "the cookie was refused: everybody is read anew");
            }
        }
    }
    match rounds(connection, root, settings, Vec::new()).await? {
        Ok((_, followed)) => Ok((Changed::Unknown, followed)),
        Err(why) => Err(why),
    }
}

fn decoded(cookie: &str) -> Vec<u8> {
    STANDARD.decode(cookie).unwrap_or_default()
}

type Rounds = Result<(BTreeSet<ObjectId>, Followed), DirectoryError>;

/// All rounds after a cookie. The inner error is what may be the cookie's fault.
async fn rounds(
    connection: &mut Connection,
    root: &Root,
    settings: &Settings,
    mut cookie: Vec<u8>,
) -> Result<Rounds, DirectoryError> {
    let watched = watched(settings);
    let attributes: Vec<&str> = watched.iter().map(String::as_str).collect();
    let begun_with = !cookie.is_empty();
    let doing = right(settings, &root.domain);
    let mut changed = BTreeSet::new();
    for _ in 0..MOST_ROUNDS {
        let question = Question {
            base: &root.domain,
            scope: Scope::Subtree,
            filter: BOTH,
            attributes: &attributes,
            controls: vec![control(settings.replication_right, &cookie)],
            doing: &doing,
        };
        let answer = connection.ask(&question).await?;
        if let Some(refusal) = answer.result.refusal(&question) {
            return if begun_with && !is_passing(answer.result.code) {
                Ok(Err(refusal))
            } else {
                Err(refusal)
            };
        }
        for found in &answer.found {
            changed.insert(identified(found)?);
        }
        let value = answer.result.control(DIRSYNC).ok_or_else(malformed)?;
        let (more, next) = response(value).map_err(|_| malformed())?;
        if !more {
            let followed =
                Followed::Dirsync { all: settings.replication_right, cookie: STANDARD.encode(next) };
            return Ok(Ok((changed, followed)));
        }
        if next == cookie {
            return Err(DirectoryError::Protocol(
                "DirSync says that there is more, and does not go on".into(),
            ));
        }
        cookie = next;
    }
    Err(DirectoryError::Partial(format!("DirSync has more than {MOST_ROUNDS} rounds")))
}

/// What of the settings is to be told of as changed, too.
fn watched(settings: &Settings) -> Vec<String> {
    let mut watched: Vec<String> = WATCHED.map(str::to_owned).into();
    let own = &settings.attributes;
    watched.push(own.name.clone().unwrap_or_else(|| "displayName".into()));
    watched.extend([&own.login, &own.upn].into_iter().flatten().cloned());
    watched.extend(crate::directory::filter::attributes(settings.filter.as_deref().unwrap_or_default()));
    watched.sort_by_key(|name| name.to_ascii_lowercase());
    watched.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    watched
}

fn malformed() -> DirectoryError {
    DirectoryError::Protocol("DirSync's answer has no cookie that can be read".into())
}

fn identified(found: &Found) -> Result<ObjectId, DirectoryError> {
    let unknown = || DirectoryError::Protocol("a changed object has no objectGUID that can be read".into());
    person::id(found).ok_or_else(unknown)
}

/// Completes "the account may not …" with the command that gives it.
fn right(settings: &Settings, domain: &str) -> String {
    if settings.replication_right {
        format!(
            "replicate directory changes, which `replication-right` says it may: `dsacls \"{domain}\" /G \
             \"ACCOUNT:CA;Replicating Directory Changes\"`, for Samba `samba-tool dsacl set --objectdn=\"{domain}\" \
             --sddl=\"(OA;;CR;1131f6aa-9c07-11d1-f79f-00c04fc2dcd2;;SID)\"`; or leave `replication-right` out"
        )
    } else {
        "read the domain's changes".into()
    }
}

fn control(all: bool, cookie: &[u8]) -> RawControl {
    let flags = INCREMENTAL_VALUES + if all { 0 } else { OBJECT_SECURITY };
    let parts = [ber::of_integer(flags), ber::of_integer(ROUND), ber::element(tag::OCTETS, cookie)];
    RawControl { ctype: DIRSYNC.into(), crit: true, val: Some(ber::sequence(&parts)) }
}

fn response(value: &[u8]) -> Result<(bool, Vec<u8>), Malformed> {
    let mut inside = Reader::new(Reader::new(value).required(tag::SEQUENCE)?);
    let more = ber::integer(inside.required(tag::INTEGER)?)?;
    inside.required(tag::INTEGER)?;
    Ok((more != 0, inside.required(tag::OCTETS)?.to_vec()))
}

/// What has a higher number than the controller had.
pub(super) async fn by_usn(
    connection: &mut Connection,
    root: &Root,
    since: Option<&Controller>,
) -> Result<(Changed, Followed), DirectoryError> {
    let Some(since) = since.filter(|since| root.controller.goes_on_from(since)) else {
        return Ok((Changed::Unknown, Followed::Usn));
    };
    let question = Question {
        base: &root.domain,
        scope: Scope::Subtree,
        filter: &format!("(&(uSNChanged>={}){BOTH})", since.usn.saturating_add(1)),
        attributes: &["objectGUID"],
        controls: vec![RawControl { ctype: SHOW_DELETED.into(), crit: true, val: None }],
        doing: "read the domain's changes",
    };
    let answer = connection.all(&question).await?;
    let changed = answer.found.iter().map(identified).collect::<Result<_, _>>()?;
    Ok((Changed::These(changed), Followed::Usn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_is_as_the_specification_has_it() {
        let value = control(false, b"cookie").val.unwrap();
        let mut inside = Reader::new(Reader::new(&value).required(tag::SEQUENCE).unwrap());
        let flags = ber::integer(inside.required(tag::INTEGER).unwrap()).unwrap();
        assert_eq!(flags as u32, 0x8000_0001);
        let flags = control(true, b"").val.unwrap();
        assert_eq!(flags[..8], [0x30, 13, 2, 4, 0x80, 0, 0, 0]);
    }

    #[test]
    fn a_response_is_read_or_refused() {
        let value =
            ber::sequence(&[ber::of_integer(1), ber::of_integer(0), ber::element(tag::OCTETS, b"next")]);
        assert_eq!(response(&value), Ok((true, b"next".to_vec())));
        assert!(response(&value[..value.len() - 1]).is_err());
        assert!(response(b"").is_err());
    }
}
