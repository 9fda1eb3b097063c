//! Backups that were changed, cut, mixed or sealed with another passphrase.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

const WORDS: &str = "correct horse battery staple";

fn passphrase() -> Passphrase {
    Passphrase::new(WORDS.to_owned()).unwrap()
}

fn header() -> Header {
    let mut header = Header::new(Uuid::new_v4(), Timestamp::from_millis(1_800_000_000_000), 30).unwrap();
    // A key that costs nothing: what is tried here is the file.
    header.passphrase.memory_kib = 8;
    header.passphrase.passes = 1;
    header
}

fn values(count: u32) -> Vec<Value> {
    let value = |n: u32| Value {
        table: if n.is_multiple_of(3) { Table::Audit } else { Table::Fingers },
        key: n.to_be_bytes().repeat(4),
        value: n.to_be_bytes().repeat(1 + (n as usize * 37) % 400),
    };
    (0..count).map(value).collect()
}

fn written(header: &Header, values: &[Value]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), header, &passphrase()).unwrap();
    let mut manifest = Manifest::default();
    for Value { table, key, value } in values {
        manifest.count(*table, key, value);
        writer.put(*table, key, value).unwrap();
    }
    writer.finish(&manifest).unwrap()
}

fn read(file: &[u8], passphrase: &str) -> Result<(Vec<Value>, Manifest), BackupError> {
    let mut reader = Reader::new(Cursor::new(file), passphrase)?;
    let mut values = Vec::new();
    loop {
        match reader.item()? {
            Item::Value(value) => values.push(value),
            Item::End(manifest) => return Ok((values, manifest)),
        }
    }
}

#[test]
fn store_backup_is_read_as_it_was_written_whatever_its_length() {
    for count in [0, 1, 100, 1500] {
        let values = values(count);
        let (found, manifest) = read(&written(&header(), &values), WORDS).unwrap();
        assert_eq!(found, values);
        assert_eq!(manifest.values.values().sum::<u64>(), u64::from(count));
    }
    let large = Value { table: Table::Policy, key: b"large".to_vec(), value: vec![7; 3 * PART] };
    let found = read(&written(&header(), std::slice::from_ref(&large)), WORDS).unwrap().0;
    assert_eq!(found, [large]);
}

#[test]
fn store_backup_shows_nothing_without_its_passphrase_but_its_first_line() {
    let secret = Value { table: Table::Subjects, key: b"Ada Lovelace".to_vec(), value: b"Ada".repeat(20) };
    let header = header();
    let file = written(&header, &[secret]);
    assert!(!file.windows(3).any(|bytes| bytes == b"Ada"));
    assert_eq!(read_header(Cursor::new(&file)).unwrap(), header);
    assert_eq!(read(&file, "another passphrase of some length"), Err(BackupError::Wrong));
}

#[test]
fn store_backup_with_any_bit_flipped_or_any_tail_cut_is_refused() {
    let file = written(&header(), &values(30));
    // All of them, or one in eleven: that is no multiple of a byte.
    let long = std::env::var("AUTHENTEON_LONG").is_ok_and(|long| long == "yes");
    let step = if long { 1 } else { 11 };
    for bit in (0..file.len() * 8).step_by(step) {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&changed, WORDS).is_err(), "bit {bit} of {}", file.len() * 8);
    }
    for length in (0..file.len()).step_by(step) {
        assert!(read(&file[..length], WORDS).is_err(), "{length} bytes");
    }
    assert!(matches!(read(&[&file[..], b"x"].concat(), WORDS), Err(BackupError::Damaged { .. })));
}

#[test]
fn store_backup_parts_that_were_exchanged_left_out_or_taken_from_another_are_refused() {
    let (one, two) = (header(), header());
    let values = values(1500);
    let (first, second) = (written(&one, &values), written(&two, &values));
    let parts = |file: &[u8]| {
        let mut at = file.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let mut parts = vec![file[..at].to_vec()];
        while file[at..at + 4] != END {
            let length = 4 + u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
            parts.push(file[at..at + length].to_vec());
            at += length;
        }
        parts
    };
    let put_together = |parts: &[Vec<u8>]| {
        let mut file = [parts.concat(), END.to_vec()].concat();
        file.extend(Sha256::digest(&file));
        file
    };
    let (good, foreign) = (parts(&first), parts(&second));
    assert!(good.len() > 5, "{} parts", good.len());
    assert_eq!(put_together(&good), first);
    let refused = |parts: &[Vec<u8>]| {
        let why = read(&put_together(parts), WORDS).unwrap_err();
        assert!(matches!(why, BackupError::Damaged { .. } | BackupError::Wrong), "{why}");
    };
    let mut swapped = good.clone();
    swapped.swap(2, 3);
    refused(&swapped);
    let mut short = good.clone();
    short.remove(2);
    refused(&short);
    let mut cut = good.clone();
    cut.pop();
    refused(&cut);
    let mut mixed = good.clone();
    mixed[2] = foreign[2].clone();
    refused(&mixed);
    let mut other_line = good;
    other_line[0] = foreign[0].clone();
    refused(&other_line);
}

#[test]
fn store_backup_of_a_later_version_and_what_is_none_are_told_apart() {
    let file = written(&header(), &[]);
    let text = String::from_utf8_lossy(&file).into_owned();
    let later = text.replacen("\"version\":1", "\"version\":7,\"more\":[]", 1);
    assert_eq!(read(later.as_bytes(), WORDS), Err(BackupError::Newer { version: 7 }));
    for none in [
        &b""[..],
        b"{",
        b"PK\x03\x04 something else",
        b"{\"format\":\"other\",\"version\":1}\n",
        &[b'{'; 9000],
    ] {
        assert_eq!(read(none, WORDS), Err(BackupError::NotABackup), "{none:?}");
    }
    assert!(matches!(read(&file[..200], WORDS), Err(BackupError::Cut { length: 200 })));
}

#[test]
fn a_backup_expires_within_ten_years_or_is_not_taken() {
    let taken = Timestamp::from_millis(1_800_000_000_000);
    for days in [0, Header::MOST_DAYS + 1] {
        assert_eq!(Header::new(Uuid::nil(), taken, days), Err(BackupError::Expiry));
    }
    let header = Header::new(Uuid::nil(), taken, 1).unwrap();
    assert_eq!(header.expires.since(header.taken).as_secs(), 86_400);
}

proptest! {
    #[test]
    fn garbage_is_no_backup_and_ends_nothing(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let file = written(&header(), &[]);
        let line = file.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        prop_assert!(read(&bytes, WORDS).is_err());
        prop_assert!(read(&[&file[..line], &bytes[..]].concat(), WORDS).is_err());
    }
}
