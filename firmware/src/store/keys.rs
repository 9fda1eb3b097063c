//! The keys of a store at rest: its values are sealed with the domain key, which lies in `keys/domain.json`
//! wrapped by a master key. The master key lies in a file, comes of a passphrase (argon2id, RFC 9106), or is sealed
//! by the machine's TPM.
//!
//! Invariant: the domain key is on no disk in clear, and another master key takes the place of the one before
//! in one step: at every moment exactly one of them opens the store, and a file that does not is removed.

mod place;

pub(super) use self::place::Place;

use self::place::{VERSION, Wrapped, Wrapping};
use std::{path::PathBuf, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    StoreError, files, io_error,
    passphrase::{Derivation, Passphrase},
    sealed::{DomainKey, KEY, SealingKey},
    tpm::TpmError,
};

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

impl Master {
    /// Whether the disk alone does not open what is stored.
    pub(super) fn hides_the_key(&self) -> bool {
        !matches!(self, Self::File)
    }
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

/// What is authenticated with a wrapped domain key: whose it is, and how it is wrapped.
fn context(store: Uuid, wrapping: &Wrapping) -> Result<Vec<u8>, StoreError> {
    let mut context = b"authenteon domain key".to_vec();
    context.extend(store.as_bytes());
    context.extend(serde_json::to_vec(wrapping).map_err(|why| StoreError::Io(why.to_string()))?);
    Ok(context)
}

/// The keys of a store that is open.
pub(super) struct Keys {
    place: Place,
    wrapped: Wrapped,
    master: SealingKey,
    domain: Arc<DomainKey>,
    /// The domain key before, while keys are rotated.
    earlier: Option<Arc<DomainKey>>,
    /// Nothing was sealed with them yet.
    new: bool,
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
        let domain = Arc::new(DomainKey { store: Uuid::new_v4(), key: SealingKey::random()? });
        files::private_folder(&place.folder).map_err(|why| io_error(&why))?;
        let (wrapped, master) = wrap(&place, &domain, None, 0, &Master::File)?;
        Ok(Self { place, wrapped, master, domain, earlier: None, new: true })
    }

    /// The same keys for a store that takes the place of the one that they are of.
    pub(super) fn adopt(self, place: Place) -> Result<Self, StoreError> {
        files::private_folder(&place.folder).map_err(|why| io_error(&why))?;
        let place = place.with_tpm(self.place.tpm.clone());
        if matches!(self.wrapped.master, Wrapping::File {}) {
            place.write_master(&self.master)?;
        }
        place.write(&self.wrapped)?;
        Ok(Self { place, new: true, ..self })
    }

    /// The keys of a store that has some.
    pub(super) fn find(place: Place) -> Result<Found, StoreError> {
        let wrapped = place.wrapped()?;
        match &wrapped.master {
            Wrapping::Passphrase(_) => {
                // One that was to go when the power went.
                place.shred_master()?;
                Ok(Found::Locked(Locked { place, wrapped }))
            }
            Wrapping::Tpm(sealed) => {
                place.shred_master()?;
                let master = SealingKey::new(place.tpm.unseal(sealed)?)?;
                let keys = Self::unwrapped(&place, &wrapped, master)?;
                Ok(Found::Open(keys.ok_or(StoreError::from(TpmError::Damaged))?))
            }
            Wrapping::File {} => {
                place.check_masters()?;
                let mut last = None;
                for path in place.masters() {
                    match place.master_key(&path) {
                        Ok(master) => {
                            if let Some(keys) = Self::unwrapped(&place, &wrapped, master)? {
                                keys.place.write_master(&keys.master)?;
                                return Ok(Found::Open(keys));
                            }
                            let why = "it is the key of another store, or damaged: restore it".to_owned();
                            last.get_or_insert(StoreError::MasterKey { path, why });
                        }
                        Err(why) => {
                            last.get_or_insert(why);
                        }
                    }
                }
                Err(last.unwrap_or(StoreError::Locked))
            }
        }
    }

    /// The keys that a master key opens, if it is theirs; file and copy say the same from then on.
    fn unwrapped(place: &Place, wrapped: &Wrapped, master: SealingKey) -> Result<Option<Self>, StoreError> {
        let Some(domain) = unwrap(place, wrapped, &wrapped.domain, &master)? else { return Ok(None) };
        let earlier =
            wrapped.previous.as_ref().map(|sealed| unwrap(place, wrapped, sealed, &master)).transpose()?;
        let wrapped = if wrapped.check.is_empty() {
            let mut checked = Wrapped { generation: 1, ..wrapped.clone() };
            checked.check = checked.sum()?;
            checked
        } else {
            wrapped.clone()
        };
        place.write(&wrapped)?;
        Ok(Some(Self {
            place: place.clone(),
            wrapped,
            master,
            domain: Arc::new(domain),
            earlier: earlier.flatten().map(Arc::new),
            new: false,
        }))
    }

    pub(super) fn domain(&self) -> Arc<DomainKey> {
        Arc::clone(&self.domain)
    }

    /// The domain key before, while keys are rotated.
    pub(super) fn earlier(&self) -> Option<Arc<DomainKey>> {
        self.earlier.clone()
    }

    /// Where the pages of keys lie.
    pub(super) fn pages(&self) -> PathBuf {
        self.place.pages()
    }

    /// Whether nothing was sealed with them yet.
    pub(super) fn are_new(&self) -> bool {
        self.new
    }

    pub(super) fn at_rest(&self) -> AtRest {
        match self.wrapped.master {
            Wrapping::File {} => AtRest::KeyFile,
            Wrapping::Passphrase(_) => AtRest::Passphrase,
            Wrapping::Tpm(_) => AtRest::Tpm,
        }
    }

    /// Wraps the domain key anew. Whoever replaces a passphrase knows it.
    pub(super) fn change(&mut self, current: Option<&str>, master: &Master) -> Result<(), KeyError> {
        if let Wrapping::Passphrase(derivation) = &self.wrapped.master {
            let key = derivation.key(current.ok_or(KeyError::Missing)?);
            let opened = key.map(|key| unwrap(&self.place, &self.wrapped, &self.wrapped.domain, &key));
            opened.transpose()?.flatten().ok_or(KeyError::Wrong)?;
        } else if matches!((&self.wrapped.master, master), (Wrapping::File {}, Master::File)) {
            return Ok(());
        }
        let generation = self.wrapped.generation;
        (self.wrapped, self.master) =
            wrap(&self.place, &self.domain, self.earlier.as_deref(), generation, master)?;
        if master.hides_the_key() {
            self.place.shred_master()?;
        }
        Ok(())
    }

    /// There is another domain key from now on, and the one before until [`Self::end_rotation`].
    pub(super) fn begin_rotation(&mut self) -> Result<(), StoreError> {
        let domain = Arc::new(DomainKey { store: self.domain.store, key: SealingKey::random()? });
        let earlier = Arc::clone(&self.domain);
        self.seal_with_master(&domain, Some(&earlier))?;
        (self.domain, self.earlier) = (domain, Some(earlier));
        Ok(())
    }

    /// Nothing is sealed with the domain key before any more.
    pub(super) fn end_rotation(&mut self) -> Result<(), StoreError> {
        let domain = Arc::clone(&self.domain);
        self.seal_with_master(&domain, None)?;
        self.earlier = None;
        Ok(())
    }

    /// Wraps domain keys with the master key that there is.
    fn seal_with_master(
        &mut self,
        domain: &DomainKey,
        earlier: Option<&DomainKey>,
    ) -> Result<(), StoreError> {
        let wrapping = self.wrapped.master.clone();
        let wrapped = sealed(domain, earlier, wrapping, &self.master, self.wrapped.generation)?;
        self.place.write(&wrapped)?;
        self.wrapped = wrapped;
        Ok(())
    }
}

impl Locked {
    /// The keys that a passphrase opens.
    pub(super) fn unlock(&self, passphrase: &str) -> Result<Keys, KeyError> {
        let Wrapping::Passphrase(derivation) = &self.wrapped.master else {
            return Err(KeyError::Wrong);
        };
        let master = derivation.key(passphrase).ok_or(KeyError::Wrong)?;
        Keys::unwrapped(&self.place, &self.wrapped, master)?.ok_or(KeyError::Wrong)
    }
}

/// Wraps domain keys and makes that durable, a new master key first. Gives the master key too.
fn wrap(
    place: &Place,
    domain: &DomainKey,
    earlier: Option<&DomainKey>,
    generation: u64,
    master: &Master,
) -> Result<(Wrapped, SealingKey), StoreError> {
    let (wrapping, key) = match master {
        Master::File => {
            let key = SealingKey::random()?;
            place.write_master(&key)?;
            (Wrapping::File {}, key)
        }
        Master::Passphrase(passphrase) => {
            let derivation = Derivation::fresh()?;
            let key = derivation.key(passphrase.as_str());
            let key = key.ok_or_else(|| StoreError::Io("no key comes of the passphrase".to_owned()))?;
            (Wrapping::Passphrase(derivation), key)
        }
        Master::Tpm => {
            let key = SealingKey::random()?;
            (Wrapping::Tpm(place.tpm.seal(key.bytes())?), key)
        }
    };
    let wrapped = sealed(domain, earlier, wrapping, &key, generation)?;
    place.write(&wrapped)?;
    Ok((wrapped, key))
}

/// Domain keys sealed with a master key.
fn sealed(
    domain: &DomainKey,
    earlier: Option<&DomainKey>,
    wrapping: Wrapping,
    key: &SealingKey,
    generation: u64,
) -> Result<Wrapped, StoreError> {
    let context = context(domain.store, &wrapping)?;
    let seal = |domain: &DomainKey| {
        let sealed = key.seal(&[], &context, domain.key.bytes()).map_err(|why| io_error(&why))?;
        Ok::<_, StoreError>(STANDARD.encode(sealed))
    };
    let mut wrapped = Wrapped {
        version: VERSION,
        store: domain.store,
        domain: seal(domain)?,
        previous: earlier.map(seal).transpose()?,
        master: wrapping,
        generation: generation + 1,
        check: String::new(),
    };
    wrapped.check = wrapped.sum()?;
    Ok(wrapped)
}

/// A domain key, if `master` is what it is wrapped by.
fn unwrap(
    place: &Place,
    wrapped: &Wrapped,
    sealed: &str,
    master: &SealingKey,
) -> Result<Option<DomainKey>, StoreError> {
    let damaged = || StoreError::Damaged { place: place.domain().display().to_string() };
    let sealed = STANDARD.decode(sealed).map_err(|_| damaged())?;
    let opened = master.open(&context(wrapped.store, &wrapped.master)?, &sealed).map(Zeroizing::new);
    let Some(bytes) = opened else { return Ok(None) };
    let bytes = <[u8; KEY]>::try_from(bytes.as_slice()).map_err(|_| damaged())?;
    Ok(Some(DomainKey { store: wrapped.store, key: SealingKey::new(Zeroizing::new(bytes))? }))
}

#[cfg(test)]
mod tests {
    use super::place::COPY;
    use super::*;
    use crate::store::Table;
    use std::{fs, os::unix::fs::PermissionsExt};

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
        let both = |bytes: &[u8]| {
            place.masters().iter().for_each(|path| files::replace(path, bytes, 0o400).unwrap());
        };
        both(&[7; KEY]);
        assert!(why(&place).contains("another store"), "{}", why(&place));
        both(&[7; KEY - 1]);
        assert!(why(&place).contains("32 bytes"), "{}", why(&place));
        place.masters().iter().for_each(|path| files::remove(path).unwrap());
        assert!(why(&place).contains("master"), "{}", why(&place));
    }

    #[test]
    fn a_damaged_key_file_is_made_anew_from_its_copy_and_the_other_way_round() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path(), None);
        let keys = Keys::create(place.clone()).unwrap();
        let sealed = keys.domain().seal(Table::Fingers, b"k", b"value").unwrap();
        let domain = place.domain();
        let files = [domain.clone(), files::beside(&domain, COPY)].into_iter().chain(place.masters());
        for path in files {
            let good = fs::read(&path).unwrap();
            for bit in [0, 77, good.len() * 8 - 1] {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                files::replace(&path, &bad, 0o400).unwrap();
                assert!(open(&place).domain().open(Table::Fingers, b"k", &sealed).is_ok(), "{path:?} {bit}");
                assert_eq!(fs::read(&path).unwrap(), good, "{path:?} {bit}");
            }
        }
    }

    #[test]
    fn a_domain_key_is_rotated_and_the_one_before_opens_until_that_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path(), None);
        let mut keys = Keys::create(place.clone()).unwrap();
        let before = keys.domain().key.bytes().to_vec();
        keys.begin_rotation().unwrap();
        let keys_found = open(&place);
        assert_eq!(keys_found.earlier().unwrap().key.bytes()[..], before);
        assert_eq!(keys_found.domain().key.bytes(), keys.domain().key.bytes());
        assert_ne!(keys_found.domain().key.bytes()[..], before);
        // Another master key meanwhile wraps both.
        keys.change(None, &passphrase(RIGHT)).unwrap();
        let mut keys = locked(&place).unlock(RIGHT).unwrap();
        assert_eq!(keys.earlier().unwrap().key.bytes()[..], before);
        keys.end_rotation().unwrap();
        assert!(locked(&place).unlock(RIGHT).unwrap().earlier().is_none());
    }

    #[test]
    fn a_domain_file_that_is_damaged_or_asks_too_much_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path(), None);
        let mut keys = Keys::create(place.clone()).unwrap();
        keys.change(None, &passphrase(RIGHT)).unwrap();
        let good = fs::read_to_string(place.domain()).unwrap();
        let both = |text: &str| {
            let path = place.domain();
            [files::beside(&path, COPY), path].iter().for_each(|path| fs::write(path, text).unwrap());
        };
        for (from, to) in [
            ("\"memory-kib\":65536", "\"memory-kib\":4294967295"),
            ("\"memory-kib\":65536", "\"memory-kib\":32768"),
            ("\"passes\":3", "\"passes\":4000000000"),
            ("\"salt\":\"", "\"salt\":\"AA"),
        ] {
            let changed = good.replace(from, to);
            assert_ne!(changed, good);
            // Of somebody who also knows how the file is checked.
            let mut changed: Wrapped = serde_json::from_str(&changed).unwrap();
            changed.check = changed.sum().unwrap();
            let changed = serde_json::to_string(&changed).unwrap();
            both(&changed);
            assert_eq!(locked(&place).unlock(RIGHT).err(), Some(KeyError::Wrong), "{to}");
        }
        for (text, newer) in [
            (good[..good.len() / 2].to_owned(), false),
            (" ".repeat(5000), false),
            (good.replace("\"version\":1", "\"version\":9"), true),
        ] {
            both(&text);
            let why = Keys::find(place.clone()).err().unwrap();
            assert_eq!(matches!(why, StoreError::Newer { version: 9 }), newer, "{why}");
        }
    }
}
