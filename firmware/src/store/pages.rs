//! Key pages: the keys of values, a hundred and twenty to a page, each page under a key of its own.
//!
//! A page is a file of two blocks of 4096 bytes that say the same. A block: magic, version, number of the page,
//! generation, the journal's last sequence number then (all big-endian), the page's own key sealed with the
//! domain key, the keys sealed with the page's own, checksum. A page that changes gets another key of its own and
//! the next generation, in one block and then in the other, each made durable before the next step.
//!
//! Invariant: at every moment one block is whole; once [`Pages::forget`] has returned, no file holds the keys that
//! were forgotten, nor the key of the page that they were under. No key is ever in the journal.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::warn;
use zeroize::Zeroizing;

use super::{
    StoreError,
    crc::{Fit, checksum, mend},
    files, io_error,
    journal::KeyRef,
    layer::{SharedLayer, overwrite},
    sealed::{DomainKey, KEY, SealingKey},
};

/// Keys of a page.
const KEYS: usize = 120;
/// Bytes of a block: what a file system writes in one piece.
const BLOCK: usize = 4096;
const MAGIC: [u8; 4] = *b"\xA7KP3";
const VERSION: u32 = 1;
/// Before what is sealed.
const HEAD: usize = 28;
/// What sealing adds: a nonce and a tag.
const SEALED: usize = 12 + 16;
const OWN_KEY: usize = KEY + SEALED;
const BODY: usize = KEYS * KEY + SEALED;
const LENGTH: usize = HEAD + OWN_KEY + BODY;

/// A page that was read.
struct Page {
    generation: u64,
    keys: Zeroizing<Vec<[u8; KEY]>>,
    /// Bits of the keys that something is sealed with.
    used: u128,
}

/// All pages of a store.
pub(super) struct Pages {
    layer: SharedLayer,
    folder: PathBuf,
    domain: Arc<DomainKey>,
    pages: Vec<Page>,
    /// Where to look for a key that nothing is sealed with.
    look: usize,
}

/// What is authenticated with what is sealed of a page.
fn context(domain: &DomainKey, what: &[u8], number: u32, generation: u64) -> Vec<u8> {
    let mut context = b"authenteon key page ".to_vec();
    context.extend(what);
    context.extend(domain.store.as_bytes());
    context.extend(number.to_be_bytes());
    context.extend(generation.to_be_bytes());
    context
}

fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08x}"))
}

/// A block as it is written.
fn write(
    domain: &DomainKey,
    number: u32,
    generation: u64,
    sequence: u64,
    keys: &[[u8; KEY]],
) -> Result<Vec<u8>, StoreError> {
    let fails = |why: io::Error| io_error(&why);
    let own = SealingKey::random()?;
    let mut block = Vec::with_capacity(BLOCK);
    block.extend(MAGIC);
    block.extend(VERSION.to_be_bytes());
    block.extend(number.to_be_bytes());
    block.extend(generation.to_be_bytes());
    block.extend(sequence.to_be_bytes());
    let sealed = domain.key.seal(&[], &context(domain, b"key", number, generation), own.bytes());
    block.extend(sealed.map_err(fails)?);
    let text = Zeroizing::new(keys.concat());
    block.extend(own.seal(&[], &context(domain, b"body", number, generation), &text).map_err(fails)?);
    block.extend(checksum(&block).to_be_bytes());
    block.resize(BLOCK, 0);
    Ok(block)
}

/// What a block says, before it is opened.
struct Block<'a> {
    generation: u64,
    sequence: u64,
    own: &'a [u8],
    body: &'a [u8],
}

/// Reads a block, putting a single wrong bit right; `None` when it is none.
fn parse(bytes: &mut [u8], number: u32) -> Result<Option<Block<'_>>, StoreError> {
    let Some((text, rest)) = bytes.split_at_mut_checked(LENGTH) else { return Ok(None) };
    let Some(mut sum) = rest.first_chunk().map(|sum| u32::from_be_bytes(*sum)) else { return Ok(None) };
    if mend(text, &mut sum) == Fit::Broken {
        return Ok(None);
    }
    let text: &[u8] = text;
    let word =
        |at: usize| text.get(at..).and_then(|rest| rest.first_chunk()).map(|word| u32::from_be_bytes(*word));
    let long =
        |at: usize| text.get(at..).and_then(|rest| rest.first_chunk()).map(|long| u64::from_be_bytes(*long));
    if !text.starts_with(&MAGIC) || word(8) != Some(number) {
        return Ok(None);
    }
    match word(4) {
        Some(VERSION) => {}
        Some(version) if version > VERSION => return Err(StoreError::Newer { version }),
        _ => return Ok(None),
    }
    let (Some(generation), Some(sequence)) = (long(12), long(20)) else { return Ok(None) };
    let (own, body) = (&text[HEAD..HEAD + OWN_KEY], &text[HEAD + OWN_KEY..]);
    Ok(Some(Block { generation, sequence, own, body }))
}

fn open(domain: &DomainKey, number: u32, block: &Block<'_>) -> Option<Zeroizing<Vec<[u8; KEY]>>> {
    let own =
        domain.key.open(&context(domain, b"key", number, block.generation), block.own).map(Zeroizing::new)?;
    let own = SealingKey::new(Zeroizing::new(<[u8; KEY]>::try_from(own.as_slice()).ok()?)).ok()?;
    let body =
        own.open(&context(domain, b"body", number, block.generation), block.body).map(Zeroizing::new)?;
    let (keys, rest) = body.as_chunks::<KEY>();
    (rest.is_empty() && keys.len() == KEYS).then(|| Zeroizing::new(keys.to_vec()))
}

fn fresh(count: usize) -> Result<Zeroizing<Vec<[u8; KEY]>>, StoreError> {
    let mut keys = Zeroizing::new(Vec::with_capacity(count));
    for _ in 0..count {
        keys.push(files::random().map_err(|why| io_error(&why))?);
    }
    Ok(keys)
}

impl Pages {
    /// The pages of a new store: one, whose first key is taken for what is no person's.
    pub(super) fn create(
        layer: SharedLayer,
        folder: &Path,
        domain: Arc<DomainKey>,
    ) -> Result<Self, StoreError> {
        layer.remove_folder(folder).map_err(|why| io_error(&why))?;
        layer.create_folder(folder).map_err(|why| io_error(&why))?;
        let mut pages = Self { layer, folder: folder.to_owned(), domain, pages: Vec::new(), look: 0 };
        pages.add(0)?;
        pages.use_key(pages.for_the_box());
        Ok(pages)
    }

    /// Reads the pages of a store, each opened with one of the domain keys. Gives the highest sequence number that
    /// one of them knows of, too.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] of a page without a block that can be opened.
    pub(super) fn read(
        layer: SharedLayer,
        folder: &Path,
        domain: Arc<DomainKey>,
        earlier: Option<&DomainKey>,
    ) -> Result<(Self, u64), StoreError> {
        let names = layer.list(folder).map_err(|why| io_error(&why))?;
        let mut pages = Self { layer, folder: folder.to_owned(), domain, pages: Vec::new(), look: 0 };
        let mut known = 0;
        for number in (0..).take(names.len()) {
            let path = path(folder, number);
            let (page, sequence) = match pages.read_page(&path, number, earlier) {
                // It was being made when the power went. If values need it after all, they say so.
                Err(StoreError::Damaged { .. }) if number > 0 && number as usize + 1 == names.len() => break,
                read => read?,
            };
            known = known.max(sequence);
            pages.pages.push(page);
        }
        if pages.pages.is_empty() {
            return Err(damaged(&path(folder, 0)));
        }
        pages.use_key(pages.for_the_box());
        Ok((pages, known))
    }

    fn read_page(
        &self,
        path: &Path,
        number: u32,
        earlier: Option<&DomainKey>,
    ) -> Result<(Page, u64), StoreError> {
        let fails = |why: io::Error| io_error(&why);
        let original = self.layer.read(path).map_err(|_| damaged(path))?;
        let mut bytes = original.clone();
        bytes.resize(2 * BLOCK, 0);
        let (first, second) = bytes.split_at_mut(BLOCK);
        let blocks = [parse(first, number)?, parse(second, number)?];
        let opened = blocks.iter().flatten().filter_map(|block| {
            let domains = [Some(self.domain.as_ref()), earlier];
            let keys = domains.into_iter().flatten().find_map(|domain| open(domain, number, block))?;
            Some((block.generation, block.sequence, keys))
        });
        let (generation, sequence, keys) =
            opened.max_by_key(|(generation, ..)| *generation).ok_or_else(|| damaged(path))?;
        if original.len() < 2 * BLOCK {
            self.layer.set_length(path, 2 * BLOCK as u64).map_err(fails)?;
        }
        // The two say the same, or one is made anew: of an earlier generation, damaged, or not finished.
        let newest = blocks.iter().flatten().position(|block| block.generation == generation).unwrap_or(0);
        let from = match blocks {
            [Some(_), _] if newest == 0 => 0,
            [None, Some(_)] | [Some(_), _] => 1,
            _ => return Err(damaged(path)),
        };
        let whole = bytes.get(from * BLOCK..(from + 1) * BLOCK).unwrap_or_default().to_vec();
        for (at, there) in original.chunks(BLOCK).chain([&[][..], &[]]).take(2).enumerate() {
            if there != whole {
                if there.iter().any(|byte| *byte != 0) {
                    warn!(page = number, "a block of keys was put right from the other one");
                }
                overwrite(self.layer.as_ref(), path, (at * BLOCK) as u64, &whole).map_err(fails)?;
            }
        }
        Ok((Page { generation, keys, used: 0 }, sequence))
    }

    /// The key of what is no person's.
    pub(super) fn for_the_box(&self) -> KeyRef {
        KeyRef { page: 0, slot: 0 }
    }

    /// A key.
    pub(super) fn key(&self, at: KeyRef) -> Option<SealingKey> {
        let key = self.pages.get(at.page as usize)?.keys.get(usize::from(at.slot))?;
        SealingKey::new(Zeroizing::new(*key)).ok()
    }

    /// Something is sealed with a key.
    pub(super) fn use_key(&mut self, at: KeyRef) {
        if let Some(page) = self.pages.get_mut(at.page as usize) {
            page.used |= 1_u128.checked_shl(at.slot.into()).unwrap_or(0);
        }
    }

    /// How many keys something is sealed with.
    pub(super) fn in_use(&self) -> u64 {
        self.pages.iter().map(|page| u64::from(page.used.count_ones())).sum()
    }

    /// How many pages there are.
    pub(super) fn count(&self) -> u32 {
        // Each takes kilobytes of the disk.
        self.pages.len() as u32
    }

    /// How many keys they have.
    pub(super) fn room(&self) -> usize {
        self.pages.len() * KEYS
    }

    /// Bytes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.pages.len() as u64 * 2 * BLOCK as u64
    }

    /// A key that nothing is sealed with, durable. `sequence` is the journal's last.
    pub(super) fn take(&mut self, sequence: u64) -> Result<KeyRef, StoreError> {
        loop {
            while let Some(page) = self.pages.get_mut(self.look) {
                let free = (!page.used).trailing_zeros();
                if (free as usize) < KEYS {
                    page.used |= 1 << free;
                    return Ok(KeyRef { page: self.look as u32, slot: free as u8 });
                }
                self.look += 1;
            }
            self.add(sequence)?;
        }
    }

    /// Gives back a key that nothing was sealed with after all.
    pub(super) fn put_back(&mut self, at: KeyRef) {
        if let Some(page) = self.pages.get_mut(at.page as usize) {
            page.used &= !1_u128.checked_shl(at.slot.into()).unwrap_or(0);
            self.look = self.look.min(at.page as usize);
        }
    }

    fn add(&mut self, sequence: u64) -> Result<(), StoreError> {
        let number = self.count();
        let keys = fresh(KEYS)?;
        let block = write(&self.domain, number, 1, sequence, &keys)?;
        let path = path(&self.folder, number);
        let made = self.layer.create(&path, 2 * BLOCK as u64).and_then(|mut file| {
            file.write_at(0, &[block.as_slice(), &block].concat())?;
            file.sync()?;
            self.layer.sync_folder(&self.folder)
        });
        if let Err(why) = made {
            let _ = self.layer.remove(&path);
            return Err(io_error(&why));
        }
        self.pages.push(Page { generation: 1, keys, used: 0 });
        Ok(())
    }

    /// The generation of a page.
    pub(super) fn generation(&self, page: u32) -> Option<u64> {
        self.pages.get(page as usize).map(|page| page.generation)
    }

    /// Destroys keys: their pages get others in their places. `sequence` is the journal's last.
    ///
    /// # Errors
    /// [`StoreError`]; then it has to be done again.
    pub(super) fn forget(&mut self, forgotten: &[KeyRef], sequence: u64) -> Result<(), StoreError> {
        let mut forgotten = forgotten.to_vec();
        forgotten.sort_unstable();
        for of_page in forgotten.chunk_by(|a, b| a.page == b.page) {
            let Some(number) = of_page.first().map(|key| key.page) else { continue };
            let Some(page) = self.pages.get(number as usize) else { continue };
            let mut keys = Zeroizing::new(page.keys.to_vec());
            for key in of_page {
                if let Some(place) = keys.get_mut(usize::from(key.slot)) {
                    *place = files::random().map_err(|why| io_error(&why))?;
                }
            }
            self.rewrite(number, keys, sequence)?;
            for key in of_page {
                self.put_back(*key);
            }
        }
        Ok(())
    }

    /// Writes a page under another key of its own.
    fn rewrite(
        &mut self,
        number: u32,
        keys: Zeroizing<Vec<[u8; KEY]>>,
        sequence: u64,
    ) -> Result<(), StoreError> {
        let Some(page) = self.pages.get_mut(number as usize) else { return Ok(()) };
        let generation = page.generation + 1;
        let block = write(&self.domain, number, generation, sequence, &keys)?;
        let path = path(&self.folder, number);
        for at in [0, BLOCK as u64] {
            overwrite(self.layer.as_ref(), &path, at, &block).map_err(|why| io_error(&why))?;
        }
        (page.generation, page.keys) = (generation, keys);
        Ok(())
    }

    /// Puts every page under another domain key.
    pub(super) fn use_domain(&mut self, domain: Arc<DomainKey>, sequence: u64) -> Result<(), StoreError> {
        self.domain = domain;
        for number in 0..self.count() {
            let keys = self.pages.get(number as usize).map(|page| Zeroizing::new(page.keys.to_vec()));
            self.rewrite(number, keys.unwrap_or_default(), sequence)?;
        }
        Ok(())
    }
}

fn damaged(path: &Path) -> StoreError {
    StoreError::Damaged { place: format!("{}, the keys of a hundred people", path.display()) }
}
