//! Everybody of the box, as a plan needs them.

use tracing::error;

use super::super::{Inner, SubjectRecord, record::parse_subject, subject_of};
use crate::{
    directory::plan::{Known, Person, Roll},
    store::{StoreError, Table},
    subject::SubjectId,
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
        self.each_record(|subject, record| {
            let factors = self.factors.of(subject);
            match &factors.followed {
                Some(link) => {
                    let (groups, account) = (factors.groups.clone(), record.account.unwrap_or_default());
                    let person = Person { name: record.name, groups, account };
                    roll.followed.push(Known { subject, link: link.clone(), person });
                }
                None => roll.local.push((subject, record.name)),
            }
        })?;
        Ok(roll)
    }

    /// Looks at the record of everybody. One that cannot be read is logged and left out: it is not to keep a directory from
    /// shutting others out, nor others from their names.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(in crate::services) fn each_record(
        &self,
        mut look: impl FnMut(SubjectId, SubjectRecord),
    ) -> Result<(), StoreError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.store.scan(Table::Subjects, after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, value) in &page {
                let read = subject_of(key).and_then(|subject| Ok((subject, parse_subject(subject, value)?)));
                match read {
                    Ok((subject, record)) => look(subject, record),
                    Err(why) => error!(%why, "a person's record is left out: restore it from a backup"),
                }
            }
        }
    }
}
