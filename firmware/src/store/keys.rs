//! The keys of a store at rest: its values are sealed with the domain key, which lies in `keys/domain.json`
//! wrapped by a master key. The master key lies in a file, comes of a passphrase (argon2id, RFC 9106), or is sealed
//! by the machine's TPM.
//!
//! Invariant: the domain key is on no disk in clear, and another master key takes the place of the one before
//! in one step: at every moment exactly one of them opens the store, and a file that does not is removed.

use std::{
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    StoreError, files, io_error,
    sealed::{DomainKey, KEY, SealingKey},
    tpm::{Sealed, Tpm, TpmError},
};

/// Below the store's folder.
const FOLDER: &str = "keys";
const DOMAIN: &str = "domain.json";
const MASTER: &str = "master";
const VERSION: u32 = 1;
/// Bytes of `domain.json`.
const LONGEST: u64 = 4096;
/// Characters of a passphrase: what is on a stolen card can be tried for years.
const SHORTEST_PASSPHRASE: usize = 12;
const LONGEST_PASSPHRASE: usize = 1024;
const SALT: usize = 16;
/// RFC 9106, section 4: the second recommended choice, with one lane. About a second on a Pi 4.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
/// What `domain.json` may ask of this machine.
const MOST_MEMORY_KIB: u32 = 256 << 10;
const MOST_PASSES: u32 = 16;

/// How what is stored is protected from whoever takes the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtRest {
    /// Not at all.
    NotEncrypted,
    /// Encrypted; the key lies in a file. On the same disk that hides nothing from who takes the disk.
    KeyFile,
    /// Encrypted; the key comes of a passphrase that is asked for at every start.
    Passphrase,
    /// Encrypted; the key is sealed by the machine's TPM. The disk alone is worth nothing.
    Tpm,
}

/// A passphrase. It is never shown.
pub struct Passphrase(Zeroizing<String>);

/// Why a text is no passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a passphrase has {SHORTEST_PASSPHRASE} to {LONGEST_PASSPHRASE} characters: four or five words, say")]
pub struct NoPassphrase;

impl Passphrase {
    /// A passphrase to be chosen.
    ///
    /// # Errors
    /// [`NoPassphrase`] when it is too short, or too long.
    pub fn new(text: String) -> Result<Self, NoPassphrase> {
        let text = Zeroizing::new(text);
        let characters = text.chars().count();
        let fits = (SHORTEST_PASSPHRASE..=LONGEST_PASSPHRASE).contains(&characters);
        if fits { Ok(Self(text)) } else { Err(NoPassphrase) }
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Passphrase")
    }
}

/// What is to wrap the domain key.
#[derive(Debug)]
pub enum Master {
    /// A new key in a file.
    File,
    /// What comes of this.
    Passphrase(Passphrase),
    /// A new key that the TPM seals.
    Tpm,
}

/// Why a key was not given or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is another one.
    #[error("this is not the passphrase")]
    Wrong,
    /// The present one is needed.
    #[error("the present passphrase is needed to choose another")]
    Missing,
    /// Nothing is encrypted here.
    #[error(
        "the store has the format of the version before, without encryption: it gets its keys when the update is \
         kept"
    )]
    NotEncrypted,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// `keys/domain.json`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Wrapped {
    version: u32,
    /// The store's own id: what is sealed for another store does not open in this one.
    store: Uuid,
    master: Wrapping,
    /// The domain key, sealed with the master key, in base64.
    domain: String,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
enum Wrapping {
    File {},
    Passphrase { salt: String, memory_kib: u32, passes: u32 },
    Tpm(Sealed),
}

/// Where keys lie.
#[derive(Clone, Debug)]
pub(super) struct Place {
    folder: PathBuf,
    master: PathBuf,
    tpm: Tpm,
}

impl Place {
    /// Of the store in a folder; `master` is the file of the master key when it is to lie elsewhere.
    pub(super) fn of(store: &Path, master: Option<&Path>) -> Self {
        let folder = store.join(FOLDER);
        let master = master.map_or_else(|| folder.join(MASTER), Path::to_owned);
        Self { folder, master, tpm: Tpm::default() }
    }

    /// With the TPM that seals the master key, when it is to.
    pub(super) fn with_tpm(self, tpm: Tpm) -> Self {
        Self { tpm, ..self }
    }

    fn domain(&self) -> PathBuf {
        self.folder.join(DOMAIN)
    }

    fn wrapped(&self) -> Result<Wrapped, StoreError> {
        let path = self.domain();
        let damaged = || StoreError::Damaged { place: path.display().to_string() };
        if fs::metadata(&path).map_err(|why| io_error(&why))?.len() > LONGEST {
            return Err(damaged());
        }
        let text = fs::read_to_string(&path).map_err(|why| io_error(&why))?;
        let wrapped: Wrapped = serde_json::from_str(&text).map_err(|_| damaged())?;
        match wrapped.version {
            0 => Err(damaged()),
            VERSION => Ok(wrapped),
            version => Err(StoreError::Newer { version }),
        }
    }

    /// The master key in its file.
    fn master_key(&self) -> Result<SealingKey, StoreError> {
        let fails = |why: String| StoreError::MasterKey { path: self.master.clone(), why };
        let about = fs::metadata(&self.master).map_err(|why| fails(why.to_string()))?;
        if about.permissions().mode() & 0o077 != 0 {
            return Err(fails("others may read it: chmod 400".to_owned()));
        }
        let bytes = Zeroizing::new(fs::read(&self.master).map_err(|why| fails(why.to_string()))?);
        let key = <[u8; KEY]>::try_from(bytes.as_slice());
        SealingKey::new(Zeroizing::new(key.map_err(|_| fails(format!("it has not {KEY} bytes")))?))
    }
}

/// What is authenticated with a wrapped domain key: whose it is, and how it is wrapped.
fn context(store: Uuid, wrapping: &Wrapping) -> Result<Vec<u8>, StoreError> {
    let mut context = b"authenteon domain key".to_vec();
    context.extend(store.as_bytes());
    context.extend(serde_json::to_vec(wrapping).map_err(|why| StoreError::Io(why.to_string()))?);
    Ok(context)
}

/// The master key that comes of a passphrase.
fn derive(passphrase: &str, salt: &str, memory_kib: u32, passes: u32) -> Option<SealingKey> {
    let sane = (8..=MOST_MEMORY_KIB).contains(&memory_kib) && (1..=MOST_PASSES).contains(&passes);
    let salt = STANDARD.decode(salt).ok().filter(|salt| sane && salt.len() == SALT)?;
    let parameters = Params::new(memory_kib, passes, 1, Some(KEY)).ok()?;
    let mut key = Zeroizing::new([0; KEY]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    argon.hash_password_into(passphrase.as_bytes(), &salt, key.as_mut_slice()).ok()?;
    SealingKey::new(key).ok()
}

/// The keys of a store that is open.
pub(super) struct Keys {
    place: Place,
    wrapped: Wrapped,
    domain: Arc<DomainKey>,
}

/// The keys of a store as they are found.
pub(super) enum Found {
    /// They are here.
    Open(Keys),
    /// They wait for a passphrase.
    Locked(Locked),
}

/// Keys that wait for their passphrase.
pub(super) struct Locked {
    place: Place,
    wrapped: Wrapped,
}

impl Keys {
    /// New keys for a new store. Those that a cut of the power left there are worth nothing: no value was sealed.
    pub(super) fn create(place: Place) -> Result<Self, StoreError> {
        let domain = DomainKey { store: Uuid::new_v4(), key: SealingKey::random()? };
        files::private_folder(&place.folder).map_err(|why| io_error(&why))?;
        let wrapped = wrap(&place, &domain, &Master::File)?;
        Ok(Self { place, wrapped, domain: Arc::new(domain) })
    }

    /// The keys of a store that has some.
    pub(super) fn find(place: Place) -> Result<Found, StoreError> {
        let wrapped = place.wrapped()?;
        match &wrapped.master {
            Wrapping::Passphrase { .. } => {
                // One that was to go when the power went.
                files::shred(&place.master).map_err(|why| io_error(&why))?;
                Ok(Found::Locked(Locked { place, wrapped }))
            }
            Wrapping::Tpm(sealed) => {
                files::shred(&place.master).map_err(|why| io_error(&why))?;
                let master = SealingKey::new(place.tpm.unseal(sealed)?)?;
                let domain = unwrap(&place, &wrapped, &master)?.ok_or(TpmError::Damaged);
                let domain = Arc::new(domain.map_err(StoreError::from)?);
                Ok(Found::Open(Self { place, wrapped, domain }))
            }
            Wrapping::File {} => {
                let master = place.master_key()?;
                let domain = unwrap(&place, &wrapped, &master)?.ok_or_else(|| StoreError::MasterKey {
                    path: place.master.clone(),
                    why: "it is the key of another store, or damaged: restore it".to_owned(),
                })?;
                Ok(Found::Open(Self { place, wrapped, domain: Arc::new(domain) }))
            }
        }
    }

    pub(super) fn domain(&self) -> Arc<DomainKey> {
        Arc::clone(&self.domain)
    }

    pub(super) fn at_rest(&self) -> AtRest {
        match self.wrapped.master {
            Wrapping::File {} => AtRest::KeyFile,
            Wrapping::Passphrase { .. } => AtRest::Passphrase,
            Wrapping::Tpm(_) => AtRest::Tpm,
        }
    }

    /// Wraps the domain key anew. Whoever replaces a passphrase knows it.
    pub(super) fn change(&mut self, current: Option<&str>, master: &Master) -> Result<(), KeyError> {
        if let Wrapping::Passphrase { salt, memory_kib, passes } = &self.wrapped.master {
            let key = derive(current.ok_or(KeyError::Missing)?, salt, *memory_kib, *passes);
            let opened = key.map(|key| unwrap(&self.place, &self.wrapped, &key)).transpose()?.flatten();
            opened.ok_or(KeyError::Wrong)?;
        } else if matches!((&self.wrapped.master, master), (Wrapping::File {}, Master::File)) {
            return Ok(());
        }
        self.wrapped = wrap(&self.place, &self.domain, master)?;
        if !matches!(master, Master::File) {
            files::shred(&self.place.master).map_err(|why| io_error(&why))?;
        }
        Ok(())
    }
}

impl Locked {
    /// The keys that a passphrase opens.
    pub(super) fn unlock(&self, passphrase: &str) -> Result<Keys, KeyError> {
        let Wrapping::Passphrase { salt, memory_kib, passes } = &self.wrapped.master else {
            return Err(KeyError::Wrong);
        };
        let master = derive(passphrase, salt, *memory_kib, *passes).ok_or(KeyError::Wrong)?;
        let domain = unwrap(&self.place, &self.wrapped, &master)?.ok_or(KeyError::Wrong)?;
        Ok(Keys { place: self.place.clone(), wrapped: self.wrapped.clone(), domain: Arc::new(domain) })
    }
}

/// Wraps a domain key and makes that durable, a new master key first.
fn wrap(place: &Place, domain: &DomainKey, master: &Master) -> Result<Wrapped, StoreError> {
    let fails = |why: io::Error| io_error(&why);
    let (wrapping, key) = match master {
        Master::File => {
            let key = SealingKey::random()?;
            files::replace(&place.master, key.bytes(), 0o400).map_err(fails)?;
            (Wrapping::File {}, key)
        }
        Master::Passphrase(passphrase) => {
            let salt = STANDARD.encode(files::random::<SALT>().map_err(fails)?);
            let key = derive(&passphrase.0, &salt, MEMORY_KIB, PASSES);
            let key = key.ok_or_else(|| StoreError::Io("no key comes of the passphrase".to_owned()))?;
            (Wrapping::Passphrase { salt, memory_kib: MEMORY_KIB, passes: PASSES }, key)
        }
        Master::Tpm => {
            let key = SealingKey::random()?;
            (Wrapping::Tpm(place.tpm.seal(key.bytes())?), key)
        }
    };
    let sealed = key.seal(&[], &context(domain.store, &wrapping)?, domain.key.bytes()).map_err(fails)?;
    let wrapped =
        Wrapped { version: VERSION, store: domain.store, master: wrapping, domain: STANDARD.encode(sealed) };
    let text = serde_json::to_vec(&wrapped).map_err(|why| StoreError::Io(why.to_string()))?;
    files::replace(&place.domain(), &text, 0o600).map_err(fails)?;
    Ok(wrapped)
}

/// The domain key, if `master` is what it is wrapped by.
fn unwrap(place: &Place, wrapped: &Wrapped, master: &SealingKey) -> Result<Option<DomainKey>, StoreError> {
    let damaged = || StoreError::Damaged { place: place.domain().display().to_string() };
    let sealed = STANDARD.decode(&wrapped.domain).map_err(|_| damaged())?;
    let opened = master.open(&context(wrapped.store, &wrapped.master)?, &sealed).map(Zeroizing::new);
    let Some(bytes) = opened else { return Ok(None) };
    let bytes = <[u8; KEY]>::try_from(bytes.as_slice()).map_err(|_| damaged())?;
    Ok(Some(DomainKey { store: wrapped.store, key: SealingKey::new(Zeroizing::new(bytes))? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Table;

    const RIGHT: &str = "correct horse battery staple";

    fn passphrase(text: &str) -> Master {
        Master::Passphrase(Passphrase::new(text.to_owned()).unwrap())
    }

    fn locked(place: &Place) -> Locked {
        match Keys::find(place.clone()).unwrap() {
            Found::Locked(locked) => locked,
            Found::Open(_) => panic!("not locked"),
        }
    }

    fn open(place: &Place) -> Keys {
        match Keys::find(place.clone()).unwrap() {
            Found::Open(keys) => keys,
            Found::Locked(_) => panic!("locked"),
        }
    }

    #[test]
    fn the_same_values_open_under_every_master_key_and_none_without() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path(), None);
        let mut keys = Keys::create(place.clone()).unwrap();
        let sealed = keys.domain().seal(Table::Fingers, b"k", b"value").unwrap();
        let opens = |keys: &Keys| keys.domain().open(Table::Fingers, b"k", &sealed).unwrap() == b"value";
        assert_eq!(keys.at_rest(), AtRest::KeyFile);
        assert!(opens(&open(&place)));

        keys.change(None, &passphrase(RIGHT)).unwrap();
        assert_eq!(keys.at_rest(), AtRest::Passphrase);
        assert!(!place.master.exists());
        assert_eq!(locked(&place).unlock("correct horse battery stable").err(), Some(KeyError::Wrong));
        let mut keys = locked(&place).unlock(RIGHT).unwrap();
        assert!(opens(&keys));

        assert_eq!(keys.change(None, &Master::File), Err(KeyError::Missing));
        assert_eq!(
            keys.change(Some("wrong"), &passphrase("another one of some length")),
            Err(KeyError::Wrong)
        );
        assert!(opens(&locked(&place).unlock(RIGHT).unwrap()));
        keys.change(Some(RIGHT), &Master::File).unwrap();
        assert!(opens(&open(&place)));
    }

    #[test]
    fn a_master_key_that_was_to_go_when_the_power_went_is_gone_after_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path(), None);
        let mut keys = Keys::create(place.clone()).unwrap();
        let master = fs::read(&place.master).unwrap();
        keys.change(None, &passphrase(RIGHT)).unwrap();
        fs::write(&place.master, master).unwrap();
        locked(&place).unlock(RIGHT).unwrap();
        assert!(!place.master.exists());
    }

    #[test]
    fn a_master_key_that_others_may_read_or_that_is_another_s_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path(), None);
        Keys::create(place.clone()).unwrap();
        let why = |place: &Place| Keys::find(place.clone()).err().unwrap().to_string();
        fs::set_permissions(&place.master, fs::Permissions::from_mode(0o440)).unwrap();
        assert!(why(&place).contains("chmod 400"), "{}", why(&place));
        files::replace(&place.master, &[7; KEY], 0o400).unwrap();
        assert!(why(&place).contains("another store"), "{}", why(&place));
        files::replace(&place.master, &[7; KEY - 1], 0o400).unwrap();
        assert!(why(&place).contains("32 bytes"), "{}", why(&place));
        files::remove(&place.master).unwrap();
        assert!(why(&place).contains("master"), "{}", why(&place));
    }

    #[test]
    fn a_domain_file_that_is_damaged_or_asks_too_much_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path(), None);
        let mut keys = Keys::create(place.clone()).unwrap();
        keys.change(None, &passphrase(RIGHT)).unwrap();
        let good = fs::read_to_string(place.domain()).unwrap();
        for (from, to) in [
            ("\"memory-kib\":65536", "\"memory-kib\":4294967295"),
            ("\"memory-kib\":65536", "\"memory-kib\":32768"),
            ("\"passes\":3", "\"passes\":4000000000"),
            ("\"salt\":\"", "\"salt\":\"AA"),
        ] {
            let changed = good.replace(from, to);
            assert_ne!(changed, good);
            fs::write(place.domain(), changed).unwrap();
            assert_eq!(locked(&place).unlock(RIGHT).err(), Some(KeyError::Wrong), "{to}");
        }
        for (text, newer) in [
            (good[..good.len() / 2].to_owned(), false),
            (" ".repeat(5000), false),
            (good.replace("\"version\":1", "\"version\":9"), true),
        ] {
            fs::write(place.domain(), text).unwrap();
            let why = Keys::find(place.clone()).err().unwrap();
            assert_eq!(matches!(why, StoreError::Newer { version: 9 }), newer, "{why}");
        }
    }

    #[test]
    fn a_passphrase_is_neither_short_nor_shown() {
        assert_eq!(Passphrase::new("short".to_owned()).err(), Some(NoPassphrase));
        assert_eq!(Passphrase::new("x".repeat(1025)).err(), Some(NoPassphrase));
        let shown = format!("{:?}", passphrase(RIGHT));
        assert!(!shown.contains("horse"), "{shown}");
    }
}
