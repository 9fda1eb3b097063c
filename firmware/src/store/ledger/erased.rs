//! After the end of a journal was given up: people who were erased there.
//!
//! Invariant: an erasure that is given up brings nobody back. The key went before the erasure was acknowledged, so what
//! the journal says of the person again opens for nobody; it is taken out once more, and everybody else is served.

use std::sync::{Mutex, PoisonError};

use tracing::warn;

use super::{Ledger, Staged, staging};
use crate::store::{StoreError, Table, value::Owner};

/// Values that are taken out in one change.
const AT_A_TIME: usize = 1000;

impl Ledger {
    /// Takes out what is there of people whose keys are gone.
    pub(super) fn take_out_erased(&mut self) -> Result<(), StoreError> {
        let people: Vec<Table> = Table::ALL.into_iter().filter(|table| table.is_of_people()).collect();
        let found = Mutex::new(Vec::new());
        let reader = self.reader();
        reader.sealed(&people, &|page| {
            // What is read here is chained, so it is what was written: only its key is another one.
            let closed = page.into_iter().filter(|live| reader.open(live).is_err());
            let closed: Vec<_> = closed.map(|live| (live.table, live.key)).collect();
            found.lock().unwrap_or_else(PoisonError::into_inner).extend(closed);
            Ok(())
        })?;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        for some in found.chunks(AT_A_TIME) {
            let mut staged = Staged::default();
            for (table, key) in some {
                staging::delete(&mut staged, *table, key)?;
                staged.gone.extend(Owner::of(*table, key));
            }
            self.write(&[staged])?;
        }
        if !found.is_empty() {
            warn!(values = found.len(), "who was erased in what is given up stays erased");
        }
        Ok(())
    }
}
