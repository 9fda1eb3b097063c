//! What a store needs from time to time, while it serves: snapshots of the journal, an index without dead weight, a
//! look at every value, other keys.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{error, info, warn};

use super::{Core, DiskStore, indexing::Indexing};
use crate::store::{
    Extent, KeyError, Stats, StoreError, Table, Tell, Upkeep, Verified,
    index::closed,
    io_error,
    journal::{KeyRef, Live},
    value::{self, Owner},
};

/// Bytes that stay free beside a snapshot that is being made.
const SPARE: u64 = 24 << 20;
/// People who get another key in one change.
const TOGETHER: usize = 100;
/// Bytes of values that are sealed anew in one change.
const AT_A_TIME: usize = 1 << 20;
/// Values after which it is told how many were verified.
const TOLD_EVERY: u64 = 4096;
/// Differences between journal and index that are looked at again.
const DIFFERENCES: usize = 10_000;

impl DiskStore {
    /// After a commit: the journal is made shorter when that is worth while.
    pub(super) fn compact_if_worth_while(&self) {
        let core = &self.core;
        let (snapshot, tail, _) = core.ledger().bytes();
        if tail <= core.worth_while.max(snapshot) || core.compacting.swap(true, Ordering::SeqCst) {
            return;
        }
        let started = self.spawn("snapshot", |core| {
            if let Err(why) = core.take_snapshot(&|_| {}) {
                warn!(%why, "the journal is not made shorter; it is tried again later");
            }
            core.compacting.store(false, Ordering::SeqCst);
        });
        if let Err(why) = started {
            error!(%why, "nobody makes the journal shorter");
            core.compacting.store(false, Ordering::SeqCst);
        }
    }

    /// Goes on with a rotation of keys that was cut.
    pub(super) fn go_on_rotating(&self) {
        let rotating = self.core.keys.lock().unwrap_or_else(PoisonError::into_inner).earlier().is_some();
        if !rotating {
            return;
        }
        info!("going on with the rotation of keys");
        let started = self.spawn("rotation", |core| {
            while !core.ends() && core.progress().is_some() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            if let Err(why) = core.rotate(&|_, _| {}) {
                error!(%why, "keys are not rotated: the next start goes on");
            }
        });
        if let Err(why) = started {
            error!(%why, "keys are not rotated: the next start goes on");
        }
    }
}

impl Core {
    /// Makes a snapshot of the journal, which takes the place of what it was made from.
    fn take_snapshot(&self, told: &(dyn Fn(u64) + Sync)) -> Result<(), StoreError> {
        let began = std::time::Instant::now();
        let files = {
            let _files = self.files.read().unwrap_or_else(PoisonError::into_inner);
            let begun = {
                let mut ledger = self.ledger();
                let (snapshot, tail, _) = ledger.bytes();
                let free = self.space.free().map_err(|why| io_error(&why))?;
                if free < snapshot + tail + SPARE {
                    return Err(StoreError::Full);
                }
                ledger.begin_snapshot()?
            };
            let stops = |count| told(count);
            begun.make(&stops)?
        };
        let _alone = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let mut ledger = self.ledger();
        ledger.adopt_snapshot(files)?;
        let (snapshot, tail, _) = ledger.bytes();
        info!(snapshot, tail, milliseconds = began.elapsed().as_millis() as u64, "made the journal shorter");
        Ok(())
    }

    /// Waits for nobody: one who makes the journal shorter is enough.
    fn take_snapshot_alone(&self, told: &(dyn Fn(u64) + Sync)) -> Result<(), StoreError> {
        while self.compacting.swap(true, Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let done = self.take_snapshot(told);
        self.compacting.store(false, Ordering::SeqCst);
        done
    }

    /// What is there of some people.
    pub(super) fn of_people(&self, people: &[Owner]) -> Result<Vec<Live>, StoreError> {
        let indexing = self.indexing();
        let trees = indexing.trees()?;
        let mut rest = Vec::new();
        for owner in people {
            for table in Table::ALL.into_iter().filter(|table| table.is_of_people()) {
                for entry in trees.with_prefix(table, owner.prefix())? {
                    let (key, sealed) = entry?;
                    if Owner::of(table, &key) == Some(*owner) {
                        rest.push(Live { table, key, sealed });
                    }
                }
            }
        }
        Ok(rest)
    }

    /// Other keys for everything: the domain's, everybody's, the box's own. Whatever was read of the disk before opens
    /// nothing that is written after.
    fn rotate(&self, tell: Tell<'_>) -> Result<(), KeyError> {
        let domain = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            if keys.earlier().is_none() {
                keys.begin_rotation()?;
            }
            keys.domain()
        };
        self.ledger().use_domain(&domain)?;
        self.index.use_domain(&domain);
        let people = self.ledger().everybody();
        let all = people.len() as u64 + 1;
        for (index, some) in people.chunks(TOGETHER).enumerate() {
            if self.ends() {
                return Err(being_closed().into());
            }
            let mut ledger = self.ledger();
            let still: Vec<Owner> = some.iter().filter(|owner| ledger.knows(owner)).copied().collect();
            let rest = self.of_people(&still)?;
            for (people, rest) in portions(&still, rest) {
                let staged = ledger.stage_rekeying(people, &rest)?;
                self.write_and_index(&mut ledger, &[staged])?;
            }
            drop(ledger);
            tell(((index * TOGETHER) as u64).min(all), all);
        }
        let before = self.ledger().change_own_key()?;
        self.seal_own_anew(before)?;
        self.ledger().forget(before)?;
        self.take_snapshot_alone(&|_| {})?;
        self.ledger().forget_earlier_chain();
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).end_rotation()?;
        tell(all, all);
        info!("keys were rotated");
        Ok(())
    }

    /// Seals what is no person's with the present key.
    fn seal_own_anew(&self, before: KeyRef) -> Result<(), StoreError> {
        let own: Vec<Table> = Table::ALL.into_iter().filter(|table| !table.is_of_people()).collect();
        for table in own {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let mut ledger = self.ledger();
                let mut old = Vec::new();
                let mut bytes = 0;
                let mut ended = true;
                {
                    let indexing = self.indexing();
                    let from = after.take();
                    for entry in indexing.trees()?.scan(table, from.as_deref())? {
                        let (key, sealed) = entry?;
                        after = Some(key.clone());
                        if value::key_of((table, &key), &sealed)? == before {
                            bytes += sealed.len() + key.len();
                            old.push(Live { table, key, sealed });
                        }
                        if bytes >= AT_A_TIME {
                            ended = false;
                            break;
                        }
                    }
                }
                if !old.is_empty() {
                    let staged = ledger.stage_own(&old)?;
                    self.write_and_index(&mut ledger, &[staged])?;
                }
                if ended {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn being_closed() -> StoreError {
    StoreError::Io("the store is being closed".to_owned())
}

/// People with what is there of them, in portions of some bytes.
fn portions(people: &[Owner], rest: Vec<Live>) -> Vec<(Vec<Owner>, Vec<Live>)> {
    let mut portions: Vec<(Vec<Owner>, Vec<Live>)> = Vec::new();
    let mut bytes = AT_A_TIME;
    let mut by_owner: std::collections::BTreeMap<Owner, Vec<Live>> =
        people.iter().map(|owner| (*owner, Vec::new())).collect();
    for live in rest {
        if let Some(of) = Owner::of(live.table, &live.key).and_then(|owner| by_owner.get_mut(&owner)) {
            of.push(live);
        }
    }
    for (owner, lives) in by_owner {
        if bytes >= AT_A_TIME {
            portions.push(Default::default());
            bytes = 0;
        }
        bytes += lives.iter().map(|live| live.sealed.len() + live.key.len()).sum::<usize>();
        if let Some((people, all)) = portions.last_mut() {
            people.push(owner);
            all.extend(lives);
        }
    }
    portions
}

impl Upkeep for DiskStore {
    fn extent(&self) -> Extent {
        let (people, (snapshot, journal, keys)) = {
            let ledger = self.core.ledger();
            (ledger.people() as u64, ledger.bytes())
        };
        Extent { people, snapshot, journal, keys, index: self.core.index.bytes() }
    }

    fn stats(&self) -> Result<Stats, StoreError> {
        let core = &self.core;
        let counts = Mutex::new([0_u64; Table::ALL.len()]);
        let bytes_of_values = AtomicU64::new(0);
        core.look_at_live(&Table::ALL, &|_, (): &mut (), live| {
            counts.lock().unwrap_or_else(PoisonError::into_inner)[live.table.place()] += 1;
            let bytes = live.key.len() + live.sealed.len();
            bytes_of_values.fetch_add(bytes as u64, Ordering::Relaxed);
            Ok(())
        })?;
        let counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ledger = core.ledger();
        let (snapshot, tail, keys) = ledger.bytes();
        Ok(Stats {
            sequence: ledger.position().0,
            people: ledger.people() as u64,
            values: Table::ALL.into_iter().zip(counts).collect(),
            value_bytes: bytes_of_values.into_inner(),
            snapshot_bytes: snapshot,
            journal_bytes: tail,
            key_bytes: keys,
            index_bytes: core.index.bytes(),
            free_bytes: core.space.free().map_err(|why| io_error(&why))?,
            indexed: core.progress().is_none(),
        })
    }

    fn verify(&self, tell: Tell<'_>) -> Result<Verified, StoreError> {
        let core = &self.core;
        let about = core.pages.read().unwrap_or_else(PoisonError::into_inner).in_use() * 2;
        let count = AtomicU64::new(0);
        let differences = Mutex::new(BTreeSet::new());
        core.look_at_live(&Table::ALL, &|reader, opened: &mut Vec<u8>, live| {
            if core.ends() {
                return Err(being_closed());
            }
            let done = count.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(TOLD_EVERY) {
                tell(done, about.max(done));
            }
            if core.open_live(reader, live, opened)?
                && let Indexing::Ready(trees) = &*core.indexing()
                && trees.get(live.table, live.key)?.as_deref() != Some(live.sealed)
            {
                let mut differences = differences.lock().unwrap_or_else(PoisonError::into_inner);
                if differences.len() < DIFFERENCES {
                    differences.insert((live.table, live.key.to_vec()));
                }
            }
            Ok(())
        })?;
        let done = count.load(Ordering::Relaxed);
        tell(done, about.max(done));
        let differences = differences.into_inner().unwrap_or_else(PoisonError::into_inner);
        let wrong = if differences.is_empty() { 0 } else { core.compare_again(&differences)? };
        if wrong > 0 {
            warn!(wrong, "the index does not say what the journal says: it is made anew");
            core.give_up_index();
            self.look_after(&Ok(()));
        }
        Ok(Verified { values: count.into_inner(), index_differences: wrong })
    }

    fn compact(&self, tell: Tell<'_>) -> Result<(), StoreError> {
        let core = &self.core;
        let about = core.pages.read().unwrap_or_else(PoisonError::into_inner).in_use() * 2;
        core.indexing().trees()?;
        core.take_snapshot_alone(&|done| tell(done, about.max(done)))?;
        // Whoever asks meanwhile is told that the index is being made.
        let before = {
            let _ledger = core.ledger();
            std::mem::replace(&mut *core.indexing_mut(), Indexing::begun())
        };
        drop(before);
        closed(core.index.folder()).map_err(|why| io_error(&why))?;
        let made = core.make_index();
        if made.is_err() {
            core.give_up_index();
            self.look_after(&Ok(()));
        }
        made
    }

    fn rotate_keys(&self, tell: Tell<'_>) -> Result<(), KeyError> {
        self.core.indexing().trees()?;
        self.core.rotate(tell)
    }

    fn stop(&self) {
        self.core.ending.store(true, Ordering::SeqCst);
    }
}

impl Core {
    /// How many of these values are different in journal and index, while nobody writes.
    fn compare_again(&self, keys: &BTreeSet<(Table, Vec<u8>)>) -> Result<u64, StoreError> {
        let _files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let ledger = self.ledger();
        let reader = ledger.reader();
        let found = Mutex::new(std::collections::BTreeMap::new());
        reader.sealed(&Table::ALL, &|page| {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.extend(
                page.into_iter()
                    .map(|live| ((live.table, live.key), live.sealed))
                    .filter(|(k, _)| keys.contains(k)),
            );
            Ok(())
        })?;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let indexing = self.indexing();
        let Indexing::Ready(trees) = &*indexing else { return Ok(0) };
        let mut wrong = 0;
        for (table, key) in keys {
            let indexed = trees.get(*table, key)?;
            wrong += u64::from(indexed.as_ref() != found.get(&(*table, key.clone())));
        }
        Ok(wrong)
    }
}
