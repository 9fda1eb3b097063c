//! The beginning of the audit is cut off when its records were kept long enough, some at a time: a start that the box
//! signs says behind which record what remains begins, so that it verifies from there.
//!
//! Invariant: start and deletion are one change with its record; nothing is cut that does not verify, and the last record
//! stays.

use super::{AuditError, Inner, read};
use crate::{
    audit::{Event, Head, Purpose, place},
    clock::Timestamp,
    services::this_box,
    store::{Change, Table},
};

/// Records that are deleted in one change.
const TOGETHER: usize = 500;

impl Inner {
    /// Deletes every record from before that moment up to the first that is not, or that one of the destinations has not
    /// confirmed; gives the last one that was deleted, zero when none was.
    pub(super) fn cut_audit(&self, before: Timestamp, destinations: &[String]) -> Result<u64, AuditError> {
        let mut through = 0;
        // The records of the cutting itself are not cut, whatever the clock says.
        let head = Head::of(self.store.as_ref())?.number();
        let last = head.min(self.forwarded(destinations)?.saturating_add(1));
        while let Some(cut) = self.cut_some(before, last)? {
            through = cut;
        }
        Ok(through)
    }

    fn cut_some(&self, before: Timestamp, last: u64) -> Result<Option<u64>, AuditError> {
        // Whoever reads the audit may be slow: it is tried again later, and nobody else waits for it.
        let Ok(_cut) = self.auditing.uncut.try_write() else { return Ok(None) };
        let device = self.auditing.device.get().ok_or(AuditError::NoKey)?;
        let (store, own) = (self.store.as_ref(), self.store.id());
        let mut head = Head::start_of(store, own)?;
        let mut changes = Vec::new();
        for (key, bytes) in store.scan(Table::Audit, None, TOGETHER)? {
            let next = head.follow(&key, &bytes)?;
            let at = read(&bytes, next.number())?.1["at"].as_str().and_then(super::moment);
            if next.number() >= last || at.is_none_or(|at| at >= before) {
                break;
            }
            changes.push(Change::Delete { table: Table::Audit, key });
            head = next;
        }
        if changes.is_empty() {
            return Ok(None);
        }
        // Signed heads of what is gone say nothing any more.
        for (key, _) in store.scan(Table::Heads, Some(&place(own, 0)), TOGETHER)? {
            if key > place(own, head.number()) {
                break;
            }
            changes.push(Change::Delete { table: Table::Heads, key });
        }
        changes.push(device.sign(Purpose::Start, own, &head, self.clock.now(), None).change()?);
        let event = Event::AuditCut { through: head.number() };
        Self::commit(self, &this_box(), &changes, &event)?;
        Ok(Some(head.number()))
    }
}
