//! What the account may do in an LDAP directory, found by trying, and what gives what is missing.

use super::{Followed, Ldap, marks};
use crate::directory::{DirectoryError, Kind, Rights, wire::Found};

impl Ldap {
    /// Everything that a reading does, and what it would not notice.
    pub(super) async fn tried(&mut self) -> Result<Rights, DirectoryError> {
        let mut session = self.session().await?;
        let mut rights = Rights { deletions: true, ..Rights::default() };
        rights.method = match self.changes(&mut session, None).await {
            Ok(changes) => match changes.followed {
                Followed::Syncrepl { .. } => "syncrepl",
                Followed::Sweep { .. } => "sweep",
            },
            Err(DirectoryError::Right(what)) => {
                rights.advice.push(format!("the account may not {what}: {}", self.grant()));
                "none"
            }
            Err(why) => return Err(why),
        }
        .into();
        match self.groups(&mut session).await {
            Ok(_) => {}
            Err(DirectoryError::Missing(dn)) => {
                rights.advice.push(format!("the group {dn} is not there, or the account may not read it"));
            }
            Err(why) => return Err(why),
        }
        let mut attributes = self.names.all();
        attributes.extend(marks::ATTRIBUTES);
        let found = self.everyone(&mut session, &attributes).await?;
        rights.people = found.len();
        rights.advice.extend(self.missing(&found));
        Ok(rights)
    }

    fn missing(&self, found: &[Found]) -> Vec<String> {
        if found.is_empty() {
            return vec![format!(
                "nobody is found: check `base` and `filter`, and that the account may read there: {}",
                self.grant()
            )];
        }
        let mut advice = Vec::new();
        if found.iter().any(|found| self.names.identify(found).is_none()) {
            advice.push(format!("somebody's {} cannot be read: {}", self.names.id(), self.grant()));
        }
        if found.iter().any(|found| marks::of(found).is_none()) {
            advice.push(format!("somebody's modifyTimestamp cannot be read: {}", self.grant()));
        }
        if self.settings.kind == Kind::Edirectory
            && found.iter().all(|found| found.octets("loginDisabled").is_none())
        {
            advice.push(
                "nobody has loginDisabled: either nobody ever was disabled, or the account may not read it, and then \
                 nobody who is disabled is seen to be"
                    .into(),
            );
        }
        advice
    }

    /// What an administrator does to let the account read.
    fn grant(&self) -> String {
        let (account, base) = (&self.settings.account, &self.base);
        match self.settings.kind {
            Kind::Edirectory => format!(
                "add to {base} with ldapmodify `ACL: 1#subtree#{account}#[Entry Rights]` and `ACL: \
                 3#subtree#{account}#[All Attributes Rights]`"
            ),
            _ => format!(
                "for OpenLDAP `access to dn.subtree=\"{base}\" by dn.exact=\"{account}\" read by * break`"
            ),
        }
    }
}
