//! The beginning of the audit is cut off when its records were kept long enough, some at a time: a start that the box
//! signs says behind which record what remains begins, so that it verifies from there.
//!
//! Invariant: start and deletion are one change with its record; nothing is cut that does not verify, from a start that this
//! box signed and with every head that it keeps, and the last record stays.

use tracing::warn;
use uuid::Uuid;

use super::{AuditError, Inner, read};
use crate::{
    audit::{ChainError, Event, Head, Kept, Purpose, Signed, kept_in, place},
    clock::Timestamp,
    services::this_box,
    store::{Change, Table},
};

/// Records that are deleted in one change.
const TOGETHER: usize = 500;

impl Inner {
    /// Deletes every record from before that moment up to the first that is not, or that one of the destinations has not
    /// confirmed; gives the last one that was deleted, zero when none was. So it does with what is kept of other boxes'.
    pub(super) fn cut_audit(&self, before: Timestamp, destinations: &[String]) -> Result<u64, AuditError> {
        // The records of the cutting itself are not cut, whatever the clock says.
        let head = Head::of(self.store.as_ref())?.number();
        let confirmed = self.forwarded(destinations)?.saturating_add(1);
        for of in self.archives()? {
            self.cut_one(of, before, self.last_archived(of)?)?;
        }
        self.cut_one(self.store.id(), before, head.min(confirmed))
    }

    fn cut_one(&self, of: Uuid, before: Timestamp, last: u64) -> Result<u64, AuditError> {
        let mut through = 0;
        while let Some(cut) = self.cut_some(of, before, last)? {
            through = cut;
        }
        Ok(through)
    }

    /// Deletes some of the records of a store before `last`.
    fn cut_some(&self, of: Uuid, before: Timestamp, last: u64) -> Result<Option<u64>, AuditError> {
        // Whoever reads the audit may be slow: it is tried again later, and nobody else waits for it.
        let Ok(_cut) = self.auditing.uncut.try_write() else { return Ok(None) };
        let device = self.auditing.device().ok_or(AuditError::NoKey)?;
        let store = self.store.as_ref();
        let (table, prefix) = kept_in(store, of);
        let mut head = self.true_start(of)?;
        let heads = Signed::heads_after(store, of, 0, TOGETHER)?;
        let mut changes = Vec::new();
        let after = Some(prefix.as_slice()).filter(|prefix| !prefix.is_empty());
        for (key, bytes) in store.scan(table, after, TOGETHER)? {
            let Some(number) = key.strip_prefix(prefix.as_slice()) else { break };
            let next = head.follow(number, &bytes)?;
            let at = read(&bytes, next.number())?.1["at"].as_str().and_then(super::moment);
            if next.number() >= last || at.is_none_or(|at| at >= before) {
                if let Some(at) = at.filter(|at| next.number() < last && *at > self.clock.now()) {
                    let number = next.number();
                    warn!(number, %at, "a record has a stamp from the future: none after it is deleted before then");
                }
                break;
            }
            changes.push(Change::Delete { table, key });
            if heads.iter().any(|kept| kept.under == next.number() && !kept.fits(&next, of)) {
                return Err(broken(next.number(), "it is another one than was signed"));
            }
            head = next;
        }
        if changes.is_empty() {
            return Ok(None);
        }
        // Signed heads of what is gone say nothing any more.
        for Kept { under, .. } in heads.iter().take_while(|kept| kept.under <= head.number()) {
            changes.push(Change::Delete { table: Table::Heads, key: place(of, *under) });
        }
        changes.push(device.sign(Purpose::Start, of, &head, self.clock.now(), None).change()?);
        let other = Some(of).filter(|of| *of != store.id());
        let event = Event::AuditCut { through: head.number(), store: other };
        Self::commit(self, &this_box(), &changes, &event)?;
        Ok(Some(head.number()))
    }

    /// Where the chain of a store begins. A start that nobody signed, or another key than this box has, may have been put there
    /// by whoever took the beginning off: the box does not sign over it.
    fn true_start(&self, of: Uuid) -> Result<Head, AuditError> {
        let store = self.store.as_ref();
        if let Some(start) = Signed::start_of(store, of)? {
            // What another box signed of its own audit came with its backup.
            let own = of == store.id();
            if !start.is_of(Purpose::Start, of) || (own && self.is_of_another_key(&start)) {
                return Err(broken(start.number, "this box did not sign the start behind it"));
            }
        }
        Ok(Head::start_of(store, of)?)
    }
}

fn broken(number: u64, reason: &'static str) -> AuditError {
    AuditError::Chain(ChainError::Broken { number, reason })
}
