//! Whose keys are where: read from all that is true when a store is opened.
//!
//! Invariant: every key that something true is sealed with is marked as used, so that nobody else gets it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::store::{
    Entry, StoreError, Table,
    journal::{KeyRef, Source, Tail},
    pages::Pages,
    record,
    value::{self, Owner},
};

/// Keys that a thread finds before it tells the others.
const AT_A_TIME: usize = 4096;

/// What was found.
pub(super) struct Found {
    pub(super) owners: HashMap<Owner, KeyRef>,
    /// The last record of the audit, sealed.
    pub(super) last_audit: Option<Entry>,
}

/// What a thread finds in the snapshot.
#[derive(Default)]
struct Seen {
    keys: Vec<(Option<Owner>, KeyRef)>,
    last_audit: Option<Entry>,
}

/// Reads it.
///
/// # Errors
/// [`StoreError::Damaged`] of a value whose key there is no page for.
pub(super) fn read(pages: &mut Pages, source: &Source<'_>, tail: &Tail) -> Result<Found, StoreError> {
    let count = pages.count();
    let checked = |table: Table, key: &[u8], at: KeyRef| {
        let there = at.page < count;
        if there { Ok((Owner::of(table, key), at)) } else { Err(record::damaged(table, key)) }
    };
    let owners = HashMap::with_capacity(pages.room());
    let known = Mutex::new((pages, owners));
    let take_in = |keys: &mut Vec<(Option<Owner>, KeyRef)>| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let (pages, owners) = &mut *known;
        for (owner, at) in keys.drain(..) {
            pages.use_key(at);
            owners.extend(owner.map(|owner| (owner, at)));
        }
    };
    let snapshot = source.extent.without_segments();
    let snapshot = Source { place: source.place, chains: source.chains, extent: &snapshot };
    let mut states = snapshot.look_at_all(tail, &Table::ALL, &|seen: &mut Seen, live| {
        let at = value::key_of((live.table, live.key), live.sealed)?;
        seen.keys.push(checked(live.table, live.key, at)?);
        if live.table == Table::Audit && seen.last_audit.as_ref().is_none_or(|(last, _)| *live.key > **last) {
            seen.last_audit = Some((live.key.to_vec(), live.sealed.to_vec()));
        }
        if seen.keys.len() >= AT_A_TIME {
            take_in(&mut seen.keys);
        }
        Ok(())
    })?;
    // Of the segments it was found when they were read.
    let mut of_segments = Vec::new();
    for (table, key, at) in tail.puts() {
        let at = match at {
            Some(at) => at,
            None => match source.of_segments(tail, table, key)? {
                Some(live) => value::key_of((table, key), &live.sealed)?,
                None => return Err(record::damaged(table, key)),
            },
        };
        of_segments.push(checked(table, key, at)?);
    }
    take_in(&mut of_segments);
    states.iter_mut().for_each(|seen| take_in(&mut seen.keys));
    let last = tail.last_put(Table::Audit).map(|key| source.of_segments(tail, Table::Audit, key));
    let last = last.transpose()?.flatten().map(|live| (live.key, live.sealed));
    let last_audit = states.into_iter().filter_map(|seen| seen.last_audit).chain(last).max();
    let (_, owners) = known.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Found { owners, last_audit })
}
