//! The ledger on a disk that loses power: at every moment, with each thing that was not synchronised lost, torn or done
//! last, it opens to what was acknowledged, and at most to whole later changes in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use uuid::Uuid;

use super::{
    Change, StoreError, Table,
    journal::{Live, Place, Sizes},
    layer::faulty::{Done, FaultyLayer, FileTree, Loss, after, unsynced},
    ledger::{Applied, Given, Ledger, Staged},
    sealed::{DomainKey, SealingKey},
    value::{self, Owner},
};

const SIZES: Sizes = Sizes { segment: 1400, part: 900, snapshot: 0 };

type At = (Table, Vec<u8>);
type Values = BTreeMap<At, Vec<u8>>;

fn domain() -> Arc<DomainKey> {
    let key = SealingKey::new(zeroize::Zeroizing::new([5; 32])).unwrap();
    Arc::new(DomainKey { store: Uuid::from_bytes([7; 16]), key })
}

fn keys() -> PathBuf {
    Path::new("/store/keys/pages").to_owned()
}

fn place(layer: &FaultyLayer) -> Place {
    Place {
        layer: Arc::new(layer.clone()),
        folder: Path::new("/store/journal").to_owned(),
        appliance: domain().store,
        sizes: SIZES,
    }
}

fn open(files: FileTree) -> Result<(Ledger, FaultyLayer), StoreError> {
    let layer = FaultyLayer::holding(files);
    Ok((Ledger::open(place(&layer), &keys(), domain(), None)?, layer))
}

fn live(ledger: &Ledger) -> Result<Values, StoreError> {
    let found = Mutex::new(BTreeMap::new());
    ledger.reader().sealed(&Table::ALL, &|page| {
        found.lock().unwrap().extend(page.into_iter().map(|live| ((live.table, live.key), live.sealed)));
        Ok(())
    })?;
    Ok(found.into_inner().unwrap())
}

fn values(ledger: &Ledger) -> Result<Values, StoreError> {
    let sealed = live(ledger)?;
    sealed
        .into_iter()
        .map(|((table, key), sealed)| {
            let value = value::open(&ledger.pages(), domain().store, (table, &key), &sealed)?;
            Ok(((table, key), value))
        })
        .collect()
}

/// What was done with a store, and what is true after each change.
struct Story {
    layer: FaultyLayer,
    ledger: Ledger,
    index: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// After which change what is true.
    states: Vec<Values>,
    /// After so many operations so many changes are acknowledged.
    acknowledged: Vec<(usize, u64)>,
    /// Templates that were erased, sealed, and the change that erased them.
    erased: Vec<(At, Vec<u8>, u64)>,
}

fn put(table: Table, key: &[u8], value: &str) -> Change {
    Change::Put { table, key: key.to_vec(), value: value.as_bytes().to_vec() }
}

fn delete(table: Table, key: &[u8]) -> Change {
    Change::Delete { table, key: key.to_vec() }
}

fn person(n: u8) -> [u8; 16] {
    [n; 16]
}

fn finger(n: u8, position: u8) -> Vec<u8> {
    [&[n; 16][..], &[position]].concat()
}

impl Story {
    fn begin(layer: FaultyLayer) -> Self {
        let ledger = Ledger::create(place(&layer), &keys(), domain()).unwrap();
        let acknowledged = vec![(layer.count(), 0)];
        Self {
            layer,
            ledger,
            index: BTreeMap::new(),
            states: vec![Values::new()],
            acknowledged,
            erased: Vec::new(),
        }
    }

    fn stage(&self, changes: &[Change], given: &mut Given) -> Result<Staged, StoreError> {
        let erases = changes.iter().any(super::erases);
        if !erases {
            return self.ledger.stage(changes, given);
        }
        let owners: Vec<_> = changes.iter().map(|change| Owner::of(change.table(), change.key())).collect();
        let rest: Vec<Live> = self
            .index
            .iter()
            .filter(|((table, key), _)| {
                Owner::of(*table, key).is_some_and(|owner| owners.contains(&Some(owner)))
            })
            .map(|((table, key), sealed)| Live { table: *table, key: key.clone(), sealed: sealed.clone() })
            .collect();
        self.ledger.stage_removal(changes, &rest)
    }

    /// Commits changes as one group.
    fn commit(&mut self, group: &[Vec<Change>]) -> Result<(), StoreError> {
        let mut given = Given::new();
        let mut staged = Vec::new();
        for changes in group {
            staged.push(self.stage(changes, &mut given)?);
        }
        let last = self.ledger.write(&staged)?;
        let settled = self.ledger.settle();
        for (changes, staged) in group.iter().zip(&staged) {
            let mut state = self.states.last().unwrap().clone();
            for change in changes {
                let at = (change.table(), change.key().to_vec());
                match change {
                    Change::Put { value, .. } => state.insert(at, value.clone()),
                    Change::Delete { .. } => {
                        if let Some(sealed) = self.index.get(&at) {
                            self.erased.push((at.clone(), sealed.clone(), last));
                        }
                        state.remove(&at)
                    }
                };
            }
            self.states.push(state);
            for applied in &staged.applied {
                match applied {
                    Applied::Put(table, key, sealed) => {
                        self.index.insert((*table, key.clone()), sealed.clone())
                    }
                    Applied::Delete(table, key) => self.index.remove(&(*table, key.clone())),
                };
            }
        }
        // A rotation writes an empty change at times.
        while (self.states.len() as u64) <= last {
            let state = self.states[self.states.len() - 1].clone();
            self.states.push(state);
        }
        settled?;
        self.acknowledged.push((self.layer.count(), last));
        Ok(())
    }

    fn snapshot(&mut self) -> Result<(), StoreError> {
        let begun = self.ledger.begin_snapshot()?;
        let last = self.ledger.position().0;
        while (self.states.len() as u64) <= last {
            let state = self.states[self.states.len() - 1].clone();
            self.states.push(state);
        }
        let files = begun.make(&|_| {})?;
        self.ledger.adopt_snapshot(files)
    }
}

/// People come, change and go, in groups and alone; the journal is rotated and made shorter.
fn live_through(story: &mut Story, rounds: u8) -> Result<(), StoreError> {
    for n in 0..rounds {
        let audit = |k: u8| put(Table::Audit, &[n, k], &format!("record {n} {k} of what was decided"));
        story.commit(&[vec![put(Table::Subjects, &person(n), "Ada"), audit(0)]])?;
        story.commit(&[vec![
            put(Table::Fingers, &finger(n, 1), &format!("template of {n}, first finger")),
            put(Table::Fingers, &finger(n, 2), &format!("template of {n}, second finger")),
            audit(1),
        ]])?;
        story.commit(&[
            vec![audit(2)],
            vec![audit(3)],
            vec![put(Table::Subjects, &person(n), "Ada L."), audit(4)],
        ])?;
        if n % 2 == 1 {
            story.commit(&[vec![delete(Table::Fingers, &finger(n, 1)), audit(5)]])?;
        }
        if n % 3 == 2 {
            let gone = n - 1;
            story.commit(&[vec![
                delete(Table::Subjects, &person(gone)),
                delete(Table::Fingers, &finger(gone, 1)),
                delete(Table::Fingers, &finger(gone, 2)),
                audit(6),
            ]])?;
        }
        if n % 3 == 1 {
            story.snapshot()?;
        }
    }
    Ok(())
}

/// Opens what a loss of power left. Gives why it is not what it should be.
fn check(story: &Story, history: &[Done], loss: Loss) -> Result<(), String> {
    let acknowledged =
        story.acknowledged.iter().rev().find(|(count, _)| *count <= history.len()).map(|(_, n)| *n);
    // Before the store was made there is nothing to open.
    let Some(acknowledged) = acknowledged else { return Ok(()) };
    let (mut ledger, layer) = open(after(history, loss)).map_err(|why| format!("it does not open: {why}"))?;
    let (found, _) = ledger.position();
    if found < acknowledged {
        return Err(format!("{found} changes where {acknowledged} were acknowledged"));
    }
    let state = story.states.get(found as usize).ok_or("more than was ever written")?;
    let values_found = values(&ledger).map_err(|why| format!("values do not open: {why}"))?;
    if values_found != *state {
        return Err(format!("after {found} changes it is not what was written"));
    }
    for (at, sealed, change) in &story.erased {
        let opens = value::open(&ledger.pages(), domain().store, (at.0, &at.1), sealed).is_ok();
        if *change <= found && opens {
            return Err(format!("what change {change} erased can be opened"));
        }
    }
    check_keys(&ledger)?;
    // And it goes on from there.
    let staged = ledger
        .stage(&[put(Table::Audit, b"later", "later")], &mut Given::new())
        .map_err(|w| w.to_string())?;
    ledger.write(&[staged]).map_err(|why| format!("it is not written on: {why}"))?;
    drop(ledger);
    let (again, _) = open(layer.files()).map_err(|why| format!("it does not open again: {why}"))?;
    let mut expected = state.clone();
    expected.insert((Table::Audit, b"later".to_vec()), b"later".to_vec());
    match values(&again) {
        Ok(found) if found == expected => Ok(()),
        Ok(_) => Err("what was written on is not there".to_owned()),
        Err(why) => Err(format!("values do not open again: {why}")),
    }
}

/// Who has which key, and what the last record of the audit is, is what the values say.
fn check_keys(ledger: &Ledger) -> Result<(), String> {
    let fails = |why: StoreError| why.to_string();
    let (mut owners, mut used, mut last) = (BTreeSet::new(), BTreeSet::new(), None);
    for ((table, key), sealed) in live(ledger).map_err(fails)? {
        let at = value::key_of((table, &key), &sealed).map_err(fails)?;
        used.insert(at);
        let owner = Owner::of(table, &key);
        if owner.is_some() && !ledger.still_used(table, &key, at) {
            return Err(format!("somebody of {} has another key than a value is sealed with", table.name()));
        }
        owners.extend(owner);
        if table == Table::Audit {
            last = last.max(Some(key));
        }
    }
    if ledger.everybody().into_iter().collect::<BTreeSet<_>>() != owners {
        return Err("others have keys than those of whom there is something".to_owned());
    }
    if ledger.last_audit().map_err(fails)?.map(|(key, _)| key) != last {
        return Err("another record of the audit is taken for the last".to_owned());
    }
    let new = ledger.stage(&[put(Table::Subjects, b"somebody who is new", "new")], &mut Given::new());
    let new = new.map_err(fails)?;
    ledger.put_back(&new);
    for change in &new.applied {
        if let Applied::Put(table, key, sealed) = change {
            let at = value::key_of((*table, key), sealed).map_err(fails)?;
            if used.contains(&at) {
                return Err("somebody who is new gets a key that is used".to_owned());
            }
        }
    }
    Ok(())
}

/// Every loss of power; the first that does harm, and how many were tried.
fn cut_everywhere(story: &Story, sampled: impl Fn(usize) -> bool) -> (usize, Option<String>) {
    let history = story.layer.history();
    let mut tried = 0;
    for length in 0..=history.len() {
        let done = &history[..length];
        let lost = unsynced(done);
        let losses = [Loss::Nothing]
            .into_iter()
            .chain(lost.iter().flat_map(|at| [Loss::Dropped(*at), Loss::Last(*at), Loss::Torn(*at)]));
        for loss in losses {
            tried += 1;
            if !sampled(tried) {
                continue;
            }
            if let Err(why) = check(story, done, loss) {
                return (tried, Some(format!("power lost after {length} operations, {loss:?}: {why}")));
            }
        }
    }
    (tried, None)
}

fn long() -> bool {
    std::env::var("AUTHENTEON_LONG").is_ok_and(|long| long == "yes")
}

#[test]
fn store_opens_to_what_was_acknowledged_after_a_loss_of_power_at_every_moment() {
    let mut story = Story::begin(FaultyLayer::default());
    live_through(&mut story, 6).unwrap();
    assert!(story.erased.len() >= 6 && story.states.len() > 30);
    let every = if long() { 1 } else { 7 };
    let (tried, harm) = cut_everywhere(&story, |n| n % every == 0);
    println!("{tried} losses of power, one in {every} tried");
    assert_eq!(harm, None);
    assert!(tried > 1000, "{tried}");
}

#[test]
fn store_with_the_fsync_taken_out_loses_what_was_acknowledged_and_this_check_sees_it() {
    let mut story = Story::begin(FaultyLayer::without_syncs());
    live_through(&mut story, 2).unwrap();
    let (_, harm) = cut_everywhere(&story, |_| true);
    let harm = harm.expect("nothing rests on fsync");
    println!("{harm}");
}

#[test]
fn store_on_a_disk_that_is_full_at_any_write_refuses_the_change_and_goes_on_with_room() {
    for at in 0.. {
        let layer = FaultyLayer::default();
        let mut story = Story::begin(layer.clone());
        live_through(&mut story, 2).unwrap();
        layer.full_from(Some(at));
        let refused = live_through_from(&mut story, 2, 5);
        layer.full_from(None);
        let Err(why) = refused else {
            assert!(at > 20, "only {at} operations need room");
            break;
        };
        assert_eq!(why, StoreError::Full, "operation {at}");
        // With room again the same process goes on; what was written and not acknowledged is whole.
        story.commit(&[vec![put(Table::Audit, b"room", "again")]]).unwrap();
        let expected = story.states.last().unwrap().clone();
        assert_eq!(values(&story.ledger).unwrap(), expected, "operation {at}");
        // And so does the next one.
        let (ledger, _) = open(layer.files()).unwrap();
        assert_eq!(values(&ledger).unwrap(), expected, "operation {at}");
    }
}

fn live_through_from(story: &mut Story, from: u8, to: u8) -> Result<(), StoreError> {
    for n in from..to {
        story.commit(&[vec![put(Table::Subjects, &person(n), "Bob"), put(Table::Audit, &[n, 0], "made")]])?;
        story.commit(&[vec![
            put(Table::Fingers, &finger(n, 1), "template"),
            put(Table::Audit, &[n, 1], "enrolled"),
        ]])?;
        story.snapshot()?;
        story
            .commit(&[vec![delete(Table::Fingers, &finger(n, 1)), put(Table::Audit, &[n, 2], "removed")]])?;
    }
    Ok(())
}
