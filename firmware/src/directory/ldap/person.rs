//! An entry of eDirectory or of another LDAP directory as a person.
//!
//! Invariant: a person is given only with its identifier. Who cannot log in says so in one of several attributes, as servers
//! differ; one that says so is enough.

use time::{PrimitiveDateTime, macros::format_description};

use crate::directory::{
    Entry, Kind, ObjectId, Settings, Standing,
    filter::{self, same_dn},
    person::Taken,
    roles::Roles,
    wire::Found,
};

pub(super) const PEOPLE: &str = "(objectClass=person)";
/// TRUE: eDirectory, 389 Directory Server and FreeIPA.
const DISABLED: [&str; 2] = ["loginDisabled", "nsAccountLock"];
/// When an administrator locked it for ever (`ppolicy`); another moment is a lockout that ends.
const LOCKED: &str = "pwdAccountLockedTime";
const FOR_EVER: &str = "000001010000Z";
/// eDirectory: whether wrong passwords locked it, and until when; 389 Directory Server: until when.
const BY_INTRUDER: &str = "lockedByIntruder";
const UNTIL: [&str; 2] = ["loginIntruderResetTime", "accountUnlockTime"];
/// eDirectory: a moment; `shadowAccount`: days since 1970.
const ENDS: &str = "loginExpirationTime";
const ENDS_DAY: &str = "shadowExpire";
const IN_GROUPS: &str = "groupMembership";

/// Which attributes are read.
#[derive(Clone, Debug)]
pub(super) struct Names {
    edirectory: bool,
    login: String,
    name: String,
    upn: Option<String>,
}

impl Names {
    pub(super) fn new(settings: &Settings) -> Self {
        let edirectory = settings.kind == Kind::Edirectory;
        let (login, name) = if edirectory { ("cn", "fullName") } else { ("uid", "cn") };
        let attributes = &settings.attributes;
        let or =
            |configured: &Option<String>, own: &str| configured.clone().unwrap_or_else(|| own.to_owned());
        Self {
            edirectory,
            login: or(&attributes.login, login),
            name: or(&attributes.name, name),
            upn: attributes.upn.clone(),
        }
    }

    /// What identifies an object.
    pub(super) fn id(&self) -> &'static str {
        if self.edirectory { "GUID" } else { "entryUUID" }
    }

    pub(super) fn all(&self) -> Vec<&str> {
        let mut names = vec![self.id(), &self.login, &self.name, LOCKED, ENDS, ENDS_DAY];
        names.extend(DISABLED);
        names.extend(UNTIL);
        names.push(BY_INTRUDER);
        names.extend(self.upn.as_deref());
        names.extend(self.edirectory.then_some(IN_GROUPS));
        names
    }

    /// Whether people say themselves in which groups they are.
    pub(super) fn says_its_groups(&self) -> bool {
        self.edirectory
    }

    /// Who an entry is.
    pub(super) fn identify(&self, found: &Found) -> Option<ObjectId> {
        if self.edirectory {
            ObjectId::of_octets(found.octets(self.id())?).ok()
        } else {
            found.text(self.id())?.to_ascii_lowercase().parse().ok()
        }
    }

    /// An identifier as a value in a filter.
    pub(super) fn escaped(&self, id: ObjectId) -> String {
        if self.edirectory { filter::octets(&id.to_octets()) } else { id.to_string() }
    }
}

/// The groups in which an entry says that it is: where they lie, in one spelling.
pub(super) fn says_it_is_in(found: &Found) -> Vec<String> {
    let texts = found.all(IN_GROUPS).iter().filter_map(|value| std::str::from_utf8(value).ok());
    texts.map(same_dn).collect()
}

/// When the account ends, in seconds since 1970; the attribute that cannot be read.
fn end(found: &Found) -> Result<Option<i64>, &'static str> {
    let moment = match found.octets(ENDS) {
        None => None,
        Some(_) => Some(found.text(ENDS).and_then(seconds).ok_or(ENDS)?),
    };
    let day = match found.octets(ENDS_DAY) {
        None => None,
        Some(_) => Some(found.number(ENDS_DAY).ok_or(ENDS_DAY)?),
    };
    // One below nothing is none.
    let day = day.filter(|day| *day >= 0).map(|day| day.saturating_mul(86_400));
    Ok(moment.into_iter().chain(day).min())
}

/// Generalized time in UTC (`20261129213000Z`, with or without a fraction) in seconds since 1970.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let whole = text.split(['.', ',']).next()?;
    let format = format_description!("[year][month][day][hour][minute][second]");
    Some(PrimitiveDateTime::parse(whole, &format).ok()?.assume_utc().unix_timestamp())
}

/// Whether wrong passwords locked it, at this moment. Of `ppolicy` nobody but the server knows how long it lasts: there it is locked
/// until it says no more when it was.
fn locked_out(found: &Found, now: i64) -> bool {
    let mut until = UNTIL.iter().filter_map(|attribute| found.text(attribute)).map(seconds);
    // A moment that cannot be read is none that is over, and 1970 is never.
    let lasts = |until: Option<i64>| until.is_none_or(|until| until > now || until == 0);
    match found.is_true(BY_INTRUDER) {
        true => until.next().is_none_or(lasts),
        false => {
            found.text("accountUnlockTime").map(seconds).is_some_and(lasts) || found.octets(LOCKED).is_some()
        }
    }
}

/// The person that an entry is.
pub(super) fn person(
    found: &Found,
    names: &Names,
    roles: &Roles,
    is_in: impl Fn(&str) -> bool,
    now: i64,
) -> Taken {
    let Some(id) = names.identify(found) else {
        return Taken::nobody(names.id());
    };
    let judged = roles.judge(is_in);
    if !judged.wanted {
        return Taken::Unwanted(id);
    }
    let locked =
        DISABLED.iter().any(|attribute| found.is_true(attribute)) || found.text(LOCKED) == Some(FOR_EVER);
    let end = match end(found) {
        Ok(end) => end,
        // It may be over: what cannot be read lets nobody in anew, and nobody out who is disabled besides.
        Err(attribute) => {
            let why = format!("its {attribute} is malformed");
            return Taken::Unusable { id: Some(id), shut: locked, why };
        }
    };
    let text = |attribute: &str| found.text(attribute).map(str::to_owned);
    Taken::person(
        Entry {
            id,
            dn: found.dn.clone(),
            name: text(&names.name),
            login: text(&names.login),
            upn: names.upn.as_deref().and_then(text),
            sid: None,
            groups: judged.groups,
            standing: Standing::of(locked, end, now),
            locked_out: locked_out(found, now),
            privileged: judged.privileged,
        },
        end,
        found.longest(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(edirectory: bool) -> Names {
        Names { edirectory, login: "uid".into(), name: "cn".into(), upn: None }
    }

    const UUID: &[u8] = b"123e4567-e89b-42d3-a456-426614174000";

    fn standing(attribute: &str, value: &str) -> Standing {
        let found = Found::of("cn=ann", &[("entryUUID", &[UUID]), (attribute, &[value.as_bytes()])]);
        match person(&found, &names(false), &Roles::default(), |_| false, 1_800_000_000) {
            Taken::Person(entry, _) => entry.standing,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_server_says_in_its_own_way_that_somebody_may_not_log_in() {
        assert_eq!(standing("loginDisabled", "FALSE"), Standing::Active);
        for (attribute, value) in [("loginDisabled", "TRUE"), ("nsAccountLock", "true"), (LOCKED, FOR_EVER)] {
            assert_eq!(standing(attribute, value), Standing::Disabled, "{attribute}");
        }
        assert_eq!(standing(LOCKED, "20270101000000Z"), Standing::Active);
        assert_eq!(standing(ENDS, "20260101000000Z"), Standing::Expired);
        assert_eq!(standing(ENDS, "20400101000000Z"), Standing::Active);
        assert_eq!(standing(ENDS_DAY, "1"), Standing::Expired);
        assert_eq!(standing(ENDS_DAY, "-1"), Standing::Active);
        assert_eq!(standing(ENDS_DAY, "0"), Standing::Expired);
        for attribute in [ENDS, ENDS_DAY] {
            let found = Found::of("cn=ann", &[("entryUUID", &[UUID]), (attribute, &[b"nonsense"])]);
            let taken = person(&found, &names(false), &Roles::default(), |_| false, 0);
            assert!(matches!(taken, Taken::Unusable { id: Some(_), .. }), "{taken:?}");
        }
    }

    #[test]
    fn a_lockout_after_wrong_passwords_is_told_from_one_that_has_ended() {
        let locked = |attributes: &[(&str, &str)]| {
            let attributes: Vec<(&str, [&[u8]; 1])> =
                attributes.iter().map(|(name, value)| (*name, [value.as_bytes()])).collect();
            let attributes: Vec<(&str, &[&[u8]])> =
                attributes.iter().map(|(name, values)| (*name, values.as_slice())).collect();
            locked_out(&Found::of("cn=ann", &attributes), 1_800_000_000)
        };
        let (over, to_come) = ("20260101000000Z", "20400101000000Z");
        assert!(!locked(&[]) && !locked(&[(BY_INTRUDER, "FALSE"), (UNTIL[0], to_come)]));
        assert!(locked(&[(BY_INTRUDER, "TRUE")]) && locked(&[(BY_INTRUDER, "TRUE"), (UNTIL[0], to_come)]));
        assert!(!locked(&[(BY_INTRUDER, "TRUE"), (UNTIL[0], over)]));
        assert!(locked(&[(UNTIL[1], to_come)]) && locked(&[(UNTIL[1], "19700101000000Z")]));
        assert!(!locked(&[(UNTIL[1], over)]) && locked(&[(UNTIL[1], "soon")]));
        assert!(locked(&[(LOCKED, over)]), "nobody but the server knows when it ends");
    }

    #[test]
    fn an_identifier_is_read_as_each_kind_has_it() {
        let found = Found::of("cn=ann", &[("entryUUID", &[UUID]), ("GUID", &[&[7; 16]])]);
        let id = names(false).identify(&found).unwrap();
        assert_eq!(names(false).escaped(id).as_bytes(), UUID);
        let id = names(true).identify(&found).unwrap();
        assert_eq!(names(true).escaped(id), "\\07".repeat(16));
        for malformed in [Found::of("cn=ann", &[("GUID", &[b"short"])]), Found::default()] {
            let taken = person(&malformed, &names(true), &Roles::default(), |_| false, 0);
            assert!(matches!(taken, Taken::Unusable { id: None, .. }), "{taken:?}");
        }
    }
}
