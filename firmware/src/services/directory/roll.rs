//! Everybody of the box, as a plan needs them.

use super::super::{Inner, record::parse_subject, subject_of};
use crate::{
    directory::plan::{Known, Person, Roll},
    store::{StoreError, Table},
};

/// Records that are read at a time.
const PAGE: usize = 1000;

impl Inner {
    /// Reads the roll.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn roll(&self) -> Result<Roll, StoreError> {
        let mut roll = Roll::default();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.store.scan(Table::Subjects, after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(roll) };
            after = Some(last.clone());
            for (key, value) in &page {
                let subject = subject_of(key)?;
                let record = parse_subject(subject, value)?;
                let factors = self.factors.of(subject);
                match &factors.followed {
                    Some(link) => {
                        let (groups, account) = (factors.groups.clone(), record.account.unwrap_or_default());
                        let person = Person { name: record.name, groups, account };
                        roll.followed.push(Known { subject, link: link.clone(), person });
                    }
                    None => roll.local.push((subject, record.name)),
                }
            }
        }
    }
}
