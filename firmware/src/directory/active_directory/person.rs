//! An entry of Active Directory as a person.
//!
//! Invariant: a person is given only with what decides whether it may log in; where that cannot be read, it is unusable, and
//! stays as it was.

use crate::directory::{Entry, ObjectId, Settings, Sid, Standing, person::Taken, roles::Roles, wire::Found};

/// The account is disabled (`ADS_UF_ACCOUNTDISABLE`).
const DISABLED: i64 = 2;
/// The account is locked out at this moment (`UF_LOCKOUT`), as the controller works it out: a lockout that has ended says nothing.
const LOCKED_OUT: i64 = 0x10;
const COMPUTED: &str = "msDS-User-Account-Control-Computed";
/// From 1601 to 1970 in seconds.
const EPOCHS: i64 = 11_644_473_600;

/// People, and not the computers that are users too.
pub(super) const PEOPLE: &str = "(&(objectCategory=person)(objectClass=user))";

/// Which attributes are read.
#[derive(Clone, Debug)]
pub(super) struct Names {
    login: String,
    name: String,
    upn: String,
}

impl Names {
    pub(super) fn new(settings: &Settings) -> Self {
        let attributes = &settings.attributes;
        let or =
            |configured: &Option<String>, own: &str| configured.clone().unwrap_or_else(|| own.to_owned());
        Self {
            login: or(&attributes.login, "sAMAccountName"),
            name: or(&attributes.name, "displayName"),
            upn: or(&attributes.upn, "userPrincipalName"),
        }
    }

    pub(super) fn all(&self) -> Vec<&str> {
        let mut names = vec![
            "objectGUID",
            "objectSid",
            "userAccountControl",
            "accountExpires",
            "adminCount",
            "primaryGroupID",
        ];
        names.extend([self.login.as_str(), &self.name, &self.upn]);
        names
    }

    /// Of a few entries, with what a controller works out for each.
    pub(super) fn of_few(&self) -> Vec<&str> {
        let mut names = self.all();
        names.push(COMPUTED);
        names
    }
}

/// Who an entry is.
pub(super) fn id(found: &Found) -> Option<ObjectId> {
    ObjectId::of_active_directory(found.octets("objectGUID")?).ok()
}

/// When the account ends, in seconds since 1970.
pub(super) fn end(found: &Found) -> Option<i64> {
    match found.number("accountExpires") {
        None | Some(0 | i64::MAX) => None,
        Some(ticks) => Some(ticks / 10_000_000 - EPOCHS),
    }
}

/// The person that an entry is; `is_in` says whether somebody of this identifier and primary group is in a group.
pub(super) fn person(
    found: &Found,
    names: &Names,
    roles: &Roles,
    is_in: impl Fn(&str, ObjectId, Option<u32>) -> bool,
    now: i64,
) -> Taken {
    let Some(id) = id(found) else {
        return Taken::nobody("objectGUID");
    };
    let primary = found.number("primaryGroupID").and_then(|number| u32::try_from(number).ok());
    let judged = roles.judge(|group| is_in(group, id, primary));
    if !judged.wanted {
        return Taken::Unwanted(id);
    }
    let Some(control) = found.number("userAccountControl") else {
        let why =
            "its userAccountControl cannot be read: the account needs the right to read account restrictions";
        return Taken::Unusable { id: Some(id), shut: false, why: why.into() };
    };
    let end = end(found);
    let text = |attribute: &str| found.text(attribute).map(str::to_owned);
    Taken::person(
        Entry {
            id,
            dn: found.dn.clone(),
            name: text(&names.name),
            login: text(&names.login),
            upn: text(&names.upn),
            sid: found.octets("objectSid").and_then(Sid::of_octets),
            groups: judged.groups,
            standing: Standing::of(control & DISABLED != 0, end, now),
            locked_out: found.number(COMPUTED).is_some_and(|control| control & LOCKED_OUT != 0),
            privileged: judged.privileged || found.number("adminCount").is_some_and(|count| count > 0),
        },
        end,
        found.longest(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::person::LONGEST_VALUE;

    const GUID: &[u8] = &[7; 16];

    fn read(attributes: &[(&str, &[&[u8]])]) -> Taken {
        let names = Names {
            login: "sAMAccountName".into(),
            name: "displayName".into(),
            upn: "userPrincipalName".into(),
        };
        person(&Found::of("cn=ann", attributes), &names, &Roles::default(), |_, _, _| false, 1_800_000_000)
    }

    fn standing(control: &str, expires: &str) -> Standing {
        let (control, expires) = (control.as_bytes(), expires.as_bytes());
        match read(&[
            ("objectGUID", &[GUID]),
            ("userAccountControl", &[control]),
            ("accountExpires", &[expires]),
        ]) {
            Taken::Person(entry, _) => entry.standing,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_account_is_active_disabled_or_over() {
        assert_eq!(standing("512", "0"), Standing::Active);
        assert_eq!(standing("512", "9223372036854775807"), Standing::Active);
        assert_eq!(standing("514", "0"), Standing::Disabled);
        assert_eq!(standing("66050", "0"), Standing::Disabled);
        // 2026-01-01 and 2040-01-01.
        assert_eq!(standing("512", "134116992000000000"), Standing::Expired);
        assert_eq!(standing("512", "138534624000000000"), Standing::Active);
    }

    #[test]
    fn a_lockout_is_what_the_controller_works_out_and_leaves_the_account_active() {
        let locked = |computed: &[u8]| match read(&[
            ("objectGUID", &[GUID]),
            ("userAccountControl", &[b"512"]),
            (COMPUTED, &[computed]),
        ]) {
            Taken::Person(entry, _) => (entry.locked_out, entry.standing),
            other => panic!("{other:?}"),
        };
        assert_eq!(locked(b"16"), (true, Standing::Active));
        assert_eq!(locked(b"8388608"), (false, Standing::Active), "an old password is no lockout");
    }

    #[test]
    fn what_cannot_be_taken_says_why_and_names_nobody() {
        let unusable = |taken: Taken| match taken {
            Taken::Unusable { id, why, .. } => (id.is_some(), why),
            other => panic!("{other:?}"),
        };
        assert!(!unusable(read(&[("objectGUID", &[b"short"])])).0);
        assert!(!unusable(read(&[])).0);
        let (known, why) = unusable(read(&[("objectGUID", &[GUID]), ("sAMAccountName", &[b"ann"])]));
        assert!(known && why.contains("userAccountControl"));
        let long = vec![b'x'; LONGEST_VALUE + 1];
        let too_long = |control: &[u8]| {
            read(&[("objectGUID", &[GUID]), ("displayName", &[&long]), ("userAccountControl", &[control])])
        };
        assert!(matches!(too_long(b"512"), Taken::Unusable { shut: false, .. }));
        assert!(
            matches!(too_long(b"514"), Taken::Unusable { shut: true, .. }),
            "whatever he wrote, he is disabled"
        );
        let (known, why) = unusable(too_long(b"512"));
        assert!(known && why.contains("displayname") && why.contains("16384"), "{why}");
    }
}
