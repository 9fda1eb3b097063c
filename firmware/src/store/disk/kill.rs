//! Killed in the middle of its work, again and again: every acknowledged change is there, and no half of another.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::tests::{everything, put};
use crate::store::{Change, DiskStore, Store, Table};

/// In the environment of who is killed: the store, and the first number to write.
const STORE: &str = "AUTHENTEON_KILLED_STORE";
const FROM: &str = "AUTHENTEON_KILLED_FROM";
const WRITERS: u8 = 4;

fn key(writer: u8, number: u32) -> Vec<u8> {
    let mut key = vec![writer; 16];
    key[8..12].copy_from_slice(&number.to_be_bytes());
    key
}

/// Three values that belong together; every fifth takes away what the one before has put.
fn changes(writer: u8, number: u32) -> Vec<Change> {
    let id = key(writer, number);
    let finger = [&id[..], &[1]].concat();
    let mut changes = vec![
        put(Table::Subjects, &id, b"Ada"),
        put(Table::Fingers, &finger, &vec![writer; 400]),
        put(Table::Audit, &[&[writer][..], &number.to_be_bytes()].concat(), b"enrolled"),
    ];
    if number % 5 == 4 {
        let before = key(writer, number - 1);
        let finger = [&before[..], &[1]].concat();
        changes.push(Change::Delete { table: Table::Subjects, key: before });
        changes.push(Change::Delete { table: Table::Fingers, key: finger });
    }
    changes
}

/// Not a test of its own: what the other one kills. It writes until then, and says what was acknowledged.
#[test]
fn store_child_that_is_killed() {
    let (Some(store), Ok(from)) = (env::var_os(STORE), env::var(FROM)) else { return };
    let store = DiskStore::open(&PathBuf::from(store)).unwrap();
    store.wait_until_indexed();
    let from: Vec<u32> = from.split(',').map(|number| number.parse().unwrap()).collect();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, first) = (&store, from[usize::from(writer)]);
            scope.spawn(move || {
                for number in first.. {
                    store.commit(&changes(writer, number)).unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "\nacknowledged {writer} {number}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

#[test]
fn store_killed_while_four_write_has_every_acknowledged_change_and_no_half_of_another() {
    let rounds = if env::var("AUTHENTEON_LONG").is_ok_and(|long| long == "yes") { 200 } else { 6 };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let mut next = [0_u32; WRITERS as usize];
    let mut acknowledged_in_all = 0;
    for round in 0..rounds {
        let from: Vec<String> = next.iter().map(ToString::to_string).collect();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["store::disk::kill::store_child_that_is_killed", "--exact", "--nocapture"])
            .env(STORE, &path)
            .env(FROM, from.join(","))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let after = random.next_u32() % 60;
        let pause = Duration::from_micros(u64::from(random.next_u32() % 3000));
        let mut acknowledged = next.map(|number| number.checked_sub(1));
        let mut seen = 0;
        for line in out.lines() {
            let line = line.unwrap();
            let Some(rest) = line.strip_prefix("acknowledged ") else { continue };
            let (writer, number) = rest.split_once(' ').unwrap();
            acknowledged[writer.parse::<usize>().unwrap()] = Some(number.parse().unwrap());
            seen += 1;
            if seen == after + 1 {
                thread::sleep(pause);
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        acknowledged_in_all += seen;
        let store = DiskStore::open(&path).unwrap();
        let found = everything(&store).unwrap();
        for writer in 0..WRITERS {
            let audit: Vec<u32> = found
                .keys()
                .filter(|(table, key)| *table == Table::Audit && key[0] == writer)
                .map(|(_, key)| u32::from_be_bytes(key[1..].try_into().unwrap()))
                .collect();
            let last = audit.last().copied();
            assert!(audit.iter().copied().eq(0..last.map_or(0, |last| last + 1)), "round {round}: a gap");
            assert!(
                last >= acknowledged[usize::from(writer)],
                "round {round}: an acknowledged change is lost"
            );
            let mut expected = BTreeMap::new();
            for change in audit.iter().flat_map(|number| changes(writer, *number)) {
                let at = (change.table(), change.key().to_vec());
                match change {
                    Change::Put { value, .. } => expected.insert(at, value),
                    Change::Delete { .. } => expected.remove(&at),
                };
            }
            let of_writer: BTreeMap<_, _> = found
                .iter()
                .filter(|((_, key), _)| key[0] == writer)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            assert!(of_writer == expected, "round {round}: half a change");
            next[usize::from(writer)] = last.map_or(0, |last| last + 1);
        }
    }
    println!("{rounds} kills, {acknowledged_in_all} changes acknowledged, none lost");
    assert!(acknowledged_in_all > rounds * 2);
}
