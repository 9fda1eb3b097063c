//! The file of a backup, format 1.
//!
//! One line of JSON in clear ([`Header`]); then parts, each the length of what is sealed (u32, big-endian) and that:
//! nonce, up to 64 KiB under AES-256-GCM-SIV (RFC 8452), tag, with the line's SHA-256, the part's number and whether it
//! is the last authenticated beside it; then a length of zero and the SHA-256 of everything before, for whoever copies
//! the file without its passphrase. What is sealed is a run of values: table (u8), length of the key (u16), key, length
//! of the value (u32), value; after the last comes table 0, with a length (u32) and the [`Manifest`] as JSON.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{BackupError, CONTEXT, Manifest};
use crate::{
    clock::Timestamp,
    store::{Derivation, Passphrase, SealingKey, Table, Value},
};

const FORMAT: &str = "authenteon-backup";
/// What this version writes. It reads this one and, as there come more, the two before.
const VERSION: u32 = 1;
/// Bytes of the first line.
const LONGEST_HEADER: usize = 4096;
/// Bytes of a part, before it is sealed.
const PART: usize = 64 << 10;
/// What sealing adds.
const SEALED: usize = 12 + 16;
/// Bytes of a value: no service stores as many.
const LARGEST_VALUE: u32 = 16 << 20;
/// After the last part.
const END: [u8; 4] = [0; 4];

/// The first line of a backup: what can be known without its passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Header {
    format: String,
    version: u32,
    /// The store that it is of.
    pub store: Uuid,
    /// When it was begun.
    pub taken: Timestamp,
    /// From when on it is to be destroyed.
    pub expires: Timestamp,
    passphrase: Derivation,
}

/// Its version alone, whatever else a later one says.
#[derive(Deserialize)]
struct Versioned {
    format: String,
    version: u32,
}

impl Header {
    /// Days after which a backup can expire.
    pub const MOST_DAYS: u32 = 3650;
    /// And does when nobody says.
    pub const DAYS: u32 = 90;

    /// That of a backup taken now.
    ///
    /// # Errors
    /// [`BackupError::Expiry`] of days that are none; without randomness.
    pub fn new(store: Uuid, taken: Timestamp, days: u32) -> Result<Self, BackupError> {
        if !(1..=Self::MOST_DAYS).contains(&days) {
            return Err(BackupError::Expiry);
        }
        let expires = Timestamp::from_millis(taken.millis() + u64::from(days) * 86_400_000);
        let passphrase = Derivation::fresh()?;
        Ok(Self { format: FORMAT.to_owned(), version: VERSION, store, taken, expires, passphrase })
    }
}

fn io_error(why: &io::Error) -> BackupError {
    BackupError::Io(why.to_string())
}

/// What is authenticated with a part.
fn context(header: &[u8; 32], number: u64, last: bool) -> Vec<u8> {
    [CONTEXT, header, &number.to_be_bytes(), &[u8::from(last)]].concat()
}

/// Writes a backup.
pub struct Writer<W> {
    out: W,
    key: SealingKey,
    header: [u8; 32],
    sum: Sha256,
    parts: u64,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins one; takes a moment, for the passphrase.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn new(mut out: W, header: &Header, passphrase: &Passphrase) -> Result<Self, BackupError> {
        let key = header.passphrase.key(passphrase.as_str()).ok_or(BackupError::Wrong)?;
        let mut line = serde_json::to_vec(header).map_err(|why| BackupError::Io(why.to_string()))?;
        line.push(b'\n');
        out.write_all(&line).map_err(|why| io_error(&why))?;
        let sum = Sha256::new_with_prefix(&line);
        Ok(Self { out, key, header: Sha256::digest(&line).into(), sum, parts: 0, buffer: Vec::new() })
    }

    /// Writes a value.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), BackupError> {
        let too_long = |_| BackupError::Contents { place: table.name().to_owned() };
        self.buffer.push(table.code());
        self.buffer.extend(u16::try_from(key.len()).map_err(too_long)?.to_be_bytes());
        self.buffer.extend(key);
        self.buffer.extend(u32::try_from(value.len()).map_err(too_long)?.to_be_bytes());
        self.buffer.extend(value);
        // One part more always follows: the last one is made by `finish`.
        while self.buffer.len() > PART {
            let rest = self.buffer.split_off(PART);
            let part = std::mem::replace(&mut self.buffer, rest);
            self.part(&part, false)?;
        }
        Ok(())
    }

    /// Ends it. The file is worth nothing before.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn finish(mut self, manifest: &Manifest) -> Result<W, BackupError> {
        let text = serde_json::to_vec(manifest).map_err(|why| BackupError::Io(why.to_string()))?;
        self.buffer.push(0);
        self.buffer.extend((text.len() as u32).to_be_bytes());
        self.buffer.extend(text);
        let rest = std::mem::take(&mut self.buffer);
        let count = rest.len().div_ceil(PART);
        for (index, part) in rest.chunks(PART).enumerate() {
            self.part(part, index + 1 == count)?;
        }
        self.write(&END)?;
        let sum = self.sum.clone().finalize();
        self.write(&sum)?;
        self.out.flush().map_err(|why| io_error(&why))?;
        Ok(self.out)
    }

    fn part(&mut self, text: &[u8], last: bool) -> Result<(), BackupError> {
        let sealed = self.key.seal(&[], &context(&self.header, self.parts, last), text);
        let sealed = sealed.map_err(|why| io_error(&why))?;
        self.parts += 1;
        self.write(&(sealed.len() as u32).to_be_bytes())?;
        self.write(&sealed)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.sum.update(bytes);
        self.out.write_all(bytes).map_err(|why| io_error(&why))
    }
}

/// Something in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A value.
    Value(Value),
    /// After the last value. The file was whole.
    End(Manifest),
}

/// Reads a backup.
pub struct Reader<R> {
    /// Its first line.
    pub header: Header,
    source: Counted<R>,
    key: SealingKey,
    digest: [u8; 32],
    sum: Sha256,
    parts: u64,
    text: Vec<u8>,
    at: usize,
    last: bool,
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Counted<R> {
    fn exactly(&mut self, buffer: &mut [u8]) -> Result<(), BackupError> {
        match self.inner.read_exact(buffer) {
            Ok(()) => {
                self.read += buffer.len() as u64;
                Ok(())
            }
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => {
                Err(BackupError::Cut { length: self.read })
            }
            Err(why) => Err(io_error(&why)),
        }
    }
}

/// The first line of a backup, and its bytes.
fn header_line<R: Read>(source: &mut Counted<R>) -> Result<(Header, Vec<u8>), BackupError> {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        match source.exactly(&mut byte) {
            Err(BackupError::Cut { length }) if length < FORMAT.len() as u64 => {
                return Err(BackupError::NotABackup);
            }
            read => read?,
        }
        line.extend(byte);
        let first = line.len() == 1 && line != b"{";
        if first || line.len() > LONGEST_HEADER {
            return Err(BackupError::NotABackup);
        }
    }
    let versioned: Versioned = serde_json::from_slice(&line).map_err(|_| BackupError::NotABackup)?;
    match (versioned.format.as_str(), versioned.version) {
        (FORMAT, VERSION) => {}
        (FORMAT, version) if version > VERSION => return Err(BackupError::Newer { version }),
        _ => return Err(BackupError::NotABackup),
    }
    let header = serde_json::from_slice(&line).map_err(|_| BackupError::NotABackup)?;
    Ok((header, line))
}

/// What the first line of a backup says, without its passphrase.
///
/// # Errors
/// [`BackupError`].
pub fn read_header(source: impl Read) -> Result<Header, BackupError> {
    header_line(&mut Counted { inner: source, read: 0 }).map(|(header, _)| header)
}

impl<R: Read> Reader<R> {
    /// Begins to read one; takes a moment, for the passphrase.
    ///
    /// # Errors
    /// [`BackupError`]; [`BackupError::Wrong`] of another passphrase.
    pub fn new(source: R, passphrase: &str) -> Result<Self, BackupError> {
        let mut source = Counted { inner: source, read: 0 };
        let (header, line) = header_line(&mut source)?;
        let key = header.passphrase.key(passphrase).ok_or(BackupError::Wrong)?;
        let (digest, sum) = (Sha256::digest(&line).into(), Sha256::new_with_prefix(&line));
        let mut reader =
            Self { header, source, key, digest, sum, parts: 0, text: Vec::new(), at: 0, last: false };
        reader.more()?;
        Ok(reader)
    }

    /// Bytes that were read.
    pub fn position(&self) -> u64 {
        self.source.read
    }

    /// The next thing in it; nothing may be read after the end.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn item(&mut self) -> Result<Item, BackupError> {
        let [code] = self.take()?;
        let foreign = |at| BackupError::Damaged { at };
        if code == 0 {
            let length = u32::from_be_bytes(self.take()?);
            let text = self.bytes(length)?;
            let manifest = serde_json::from_slice(&text).map_err(|_| foreign(self.source.read))?;
            return self.end().map(|()| Item::End(manifest));
        }
        let table =
            Table::of(code).ok_or_else(|| BackupError::Contents { place: format!("table {code}") })?;
        let length = u16::from_be_bytes(self.take()?);
        let key = self.bytes(length.into())?;
        let length = u32::from_be_bytes(self.take()?);
        let value = self.bytes(length)?;
        Ok(Item::Value(Value { table, key, value }))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn bytes(&mut self, length: u32) -> Result<Vec<u8>, BackupError> {
        if length > LARGEST_VALUE {
            return Err(BackupError::Damaged { at: self.source.read });
        }
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, mut to: &mut [u8]) -> Result<(), BackupError> {
        while !to.is_empty() {
            if self.at == self.text.len() {
                if self.last {
                    return Err(BackupError::Damaged { at: self.source.read });
                }
                self.more()?;
            }
            let rest = self.text.get(self.at..).unwrap_or_default();
            let count = rest.len().min(to.len());
            let (now, later) = to.split_at_mut(count);
            now.copy_from_slice(rest.get(..count).unwrap_or_default());
            self.at += count;
            to = later;
        }
        Ok(())
    }

    /// Reads and opens the next part.
    fn more(&mut self) -> Result<(), BackupError> {
        let at = self.source.read;
        let mut length = [0; 4];
        self.read(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if !(SEALED + 1..=SEALED + PART).contains(&length) {
            return Err(BackupError::Damaged { at });
        }
        let mut sealed = vec![0; length];
        self.read(&mut sealed)?;
        let open = |last| self.key.open(&context(&self.digest, self.parts, last), &sealed);
        (self.text, self.last) = match (open(false), open(true)) {
            (Some(text), _) => (text, false),
            (None, Some(text)) => (text, true),
            // The first part is where another passphrase is told.
            (None, None) if self.parts == 0 => return Err(BackupError::Wrong),
            (None, None) => return Err(BackupError::Damaged { at }),
        };
        self.at = 0;
        self.parts += 1;
        Ok(())
    }

    fn read(&mut self, to: &mut [u8]) -> Result<(), BackupError> {
        self.source.exactly(to)?;
        self.sum.update(&*to);
        Ok(())
    }

    /// Sees that nothing is left and nothing is missing.
    fn end(&mut self) -> Result<(), BackupError> {
        let damaged = BackupError::Damaged { at: self.source.read };
        if !self.last || self.at != self.text.len() {
            return Err(damaged);
        }
        let mut end = END;
        self.read(&mut end)?;
        let sum = self.sum.clone().finalize();
        let mut found = [0; 32];
        self.source.exactly(&mut found)?;
        let mut more = [0];
        let rest = self.source.inner.read(&mut more).map_err(|why| io_error(&why))?;
        if end == END && found == *sum && rest == 0 { Ok(()) } else { Err(damaged) }
    }
}

#[cfg(test)]
mod tests;
