//! What the account may do in a domain, found by trying, and the commands that give what is missing.

use ldap3::{Scope, controls::RawControl};

use super::{
    ActiveDirectory, Session,
    changes::{Followed, SHOW_DELETED},
};
use crate::directory::{
    DirectoryError, Rights,
    wire::{Found, Question},
};

/// People of whom it is looked whether all can be read.
const SAMPLE: usize = 50;

impl ActiveDirectory {
    /// Everything that a reading does, and what it would not notice.
    pub(super) async fn tried(&mut self) -> Result<Rights, DirectoryError> {
        let mut session = self.session().await?;
        let (_, followed) = self.changed(&mut session, None).await?;
        let mut rights = Rights {
            method: match followed {
                Followed::Dirsync { all: true, .. } => "dirsync",
                Followed::Dirsync { all: false, .. } => "dirsync-object-security",
                Followed::Usn => "usn",
            }
            .into(),
            deletions: deleted_are_seen(&mut session).await?,
            ..Rights::default()
        };
        let domain = session.root.domain.clone();
        if !rights.deletions {
            rights.advice.push(format!(
                "deletions are found by the daily sweep only, as the account may not list deleted objects: `dsacls \
                 \"CN=Deleted Objects,{domain}\" /takeownership`, then `dsacls \"CN=Deleted Objects,{domain}\" /G \
                 \"ACCOUNT:LCRP\"`; for Samba see docs/directory/servers.md"
            ));
        }
        match self.read_groups(&mut session).await {
            Ok(_) => {}
            Err(DirectoryError::Missing(dn)) => {
                rights.advice.push(format!("the group {dn} is not there, or the account may not read it"));
            }
            Err(why) => return Err(why),
        }
        let found = self.everyone(&mut session, &self.names.all()).await?;
        rights.people = found.len();
        rights.advice.extend(missing(&found, &session.base));
        Ok(rights)
    }
}

async fn deleted_are_seen(session: &mut Session) -> Result<bool, DirectoryError> {
    let question = Question {
        base: &format!("CN=Deleted Objects,{}", session.root.domain),
        scope: Scope::Base,
        filter: "(objectClass=*)",
        attributes: &["objectClass"],
        controls: vec![RawControl { ctype: SHOW_DELETED.into(), crit: true, val: None }],
        doing: "list deleted objects",
    };
    match session.connection.entry(&question).await {
        // Samba shows that it is there to those who may not look into it, but not what it is.
        Ok(found) => Ok(found.is_some_and(|found| found.octets("objectClass").is_some())),
        Err(DirectoryError::Right(_)) => Ok(false),
        Err(why) => Err(why),
    }
}

/// What nobody has of whom is read, though everybody has it.
fn missing(found: &[Found], base: &str) -> Vec<String> {
    if found.is_empty() {
        return vec![format!(
            "nobody is found: check `base` and `filter`, and that the account may list and read there: `dsacls \
             \"{base}\" /I:T /G \"ACCOUNT:LCRP\"`"
        )];
    }
    let sample = &found[..found.len().min(SAMPLE)];
    let nobody_has = |attribute: &&str| sample.iter().all(|found| found.octets(attribute).is_none());
    ["objectGUID", "objectSid", "userAccountControl", "sAMAccountName"]
        .iter()
        .copied()
        .filter(nobody_has)
        .map(|attribute| {
            format!(
                "the account may not read {attribute}: `dsacls \"{base}\" /I:S /G \"ACCOUNT:RP;{attribute};user\"`{}",
                if attribute == "userAccountControl" { "; without it nobody can be taken" } else { "" }
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_is_a_right_that_is_missing() {
        let all: &[(&str, &[&[u8]])] = &[
            ("objectGUID", &[b"1"]),
            ("objectSid", &[b"1"]),
            ("userAccountControl", &[b"512"]),
            ("sAMAccountName", &[b"ann"]),
        ];
        assert!(missing(&[Found::of("cn=ann", all)], "dc=corp").is_empty());
        let advice = missing(&[Found::of("cn=ann", &all[..2])], "dc=corp");
        assert_eq!(advice.len(), 2, "{advice:?}");
        assert!(advice[0].contains("RP;userAccountControl;user"));
        assert!(missing(&[], "dc=corp")[0].contains("nobody is found"));
    }
}
