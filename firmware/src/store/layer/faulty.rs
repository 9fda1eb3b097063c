//! A disk in memory that remembers what was done to it, so that a loss of power can be tried at every moment, with what
//! was not synchronised lost or done in another order; and that can be full.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Layer, LayerFile, folder_of};

/// Files by their paths.
pub(in crate::store) type FileTree = BTreeMap<PathBuf, Vec<u8>>;

/// What was done.
#[derive(Clone, Debug)]
pub(in crate::store) enum Done {
    Create(PathBuf, u64),
    Write(PathBuf, u64, Vec<u8>),
    SetLength(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    RemoveFolder(PathBuf),
    Sync(PathBuf),
    SyncFolder(PathBuf),
}

#[derive(Default)]
struct State {
    files: FileTree,
    done: Vec<Done>,
    /// From this operation on there is no room.
    full_from: Option<usize>,
    /// What asks for room.
    asked: usize,
    syncs_forgotten: bool,
}

/// The disk.
#[derive(Clone, Default)]
pub(in crate::store) struct FaultyLayer {
    state: Arc<Mutex<State>>,
}

struct File {
    layer: FaultyLayer,
    path: PathBuf,
}

impl FaultyLayer {
    /// A disk with these files, all of them durable.
    pub(in crate::store) fn holding(files: FileTree) -> Self {
        let layer = Self::default();
        layer.state().files = files;
        layer
    }

    /// The same, with every fsync taken out.
    pub(in crate::store) fn without_syncs() -> Self {
        let layer = Self::default();
        layer.state().syncs_forgotten = true;
        layer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files as they are.
    pub(in crate::store) fn files(&self) -> FileTree {
        self.state().files.clone()
    }

    /// How much was done so far.
    pub(in crate::store) fn count(&self) -> usize {
        self.state().done.len()
    }

    /// What was done so far.
    pub(in crate::store) fn history(&self) -> Vec<Done> {
        self.state().done.clone()
    }

    /// From the n-th operation that needs room, counted from now, there is none; or there is again.
    pub(in crate::store) fn full_from(&self, n: Option<usize>) {
        let mut state = self.state();
        state.full_from = n.map(|n| state.asked + n);
    }

    fn does(&self, done: Done) {
        let mut state = self.state();
        apply(&mut state.files, &done);
        let sync = matches!(done, Done::Sync(_) | Done::SyncFolder(_));
        if !(sync && state.syncs_forgotten) {
            state.done.push(done);
        }
    }

    /// Whether there is room for one more.
    fn room(&self) -> io::Result<()> {
        let mut state = self.state();
        state.asked += 1;
        let full = state.full_from.is_some_and(|from| state.asked > from);
        if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

fn apply(files: &mut FileTree, done: &Done) {
    match done {
        Done::Create(path, length) => {
            files.insert(path.clone(), vec![0; *length as usize]);
        }
        Done::Write(path, offset, bytes) => {
            // A file whose name was lost takes what is written to it with it.
            if let Some(file) = files.get_mut(path) {
                let (from, to) = (*offset as usize, *offset as usize + bytes.len());
                if file.len() < to {
                    file.resize(to, 0);
                }
                file[from..to].copy_from_slice(bytes);
            }
        }
        Done::SetLength(path, length) => {
            if let Some(file) = files.get_mut(path) {
                file.resize(*length as usize, 0);
            }
        }
        Done::Rename(from, to) => {
            let moved: Vec<PathBuf> = files.keys().filter(|path| path.starts_with(from)).cloned().collect();
            for path in moved {
                let rest = path.strip_prefix(from).unwrap();
                let name = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                let file = files.remove(&path).unwrap();
                files.insert(name, file);
            }
        }
        Done::Remove(path) => {
            files.remove(path);
        }
        Done::RemoveFolder(folder) => files.retain(|path, _| !path.starts_with(folder)),
        Done::Sync(_) | Done::SyncFolder(_) => {}
    }
}

/// What of it may be lost when the power goes after all of it: the places of what was not synchronised.
pub(in crate::store) fn unsynced(history: &[Done]) -> Vec<usize> {
    let is_synced = |at: usize, synced: &dyn Fn(&Done) -> bool| history[at..].iter().any(synced);
    (0..history.len())
        .filter(|at| match &history[*at] {
            Done::Write(path, ..) | Done::SetLength(path, _) => {
                !is_synced(*at, &|done| matches!(done, Done::Sync(synced) if synced == path))
            }
            Done::Create(path, _) | Done::Remove(path) | Done::RemoveFolder(path) | Done::Rename(_, path) => {
                let folder = folder_of(path);
                !is_synced(*at, &|done| matches!(done, Done::SyncFolder(synced) if *synced == folder))
            }
            Done::Sync(_) | Done::SyncFolder(_) => false,
        })
        .collect()
}

/// What a loss of power does with one thing that was not synchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Loss {
    Nothing,
    /// It was never done.
    Dropped(usize),
    /// It was done after everything else.
    Last(usize),
    /// Only the first half of it was done.
    Torn(usize),
}

/// The files after a loss of power.
pub(in crate::store) fn after(history: &[Done], loss: Loss) -> FileTree {
    let mut files = FileTree::new();
    for (at, done) in history.iter().enumerate() {
        match (loss, done) {
            (Loss::Dropped(lost) | Loss::Last(lost), _) if lost == at => {}
            (Loss::Torn(lost), Done::Write(path, offset, bytes)) if lost == at => {
                apply(&mut files, &Done::Write(path.clone(), *offset, bytes[..bytes.len() / 2].to_vec()));
            }
            _ => apply(&mut files, done),
        }
    }
    if let Loss::Last(late) = loss {
        apply(&mut files, &history[late]);
    }
    files
}

impl LayerFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(why) = self.layer.room() {
            // What fitted was written.
            let half = bytes[..bytes.len() / 2].to_vec();
            self.layer.does(Done::Write(self.path.clone(), offset, half));
            return Err(why);
        }
        self.layer.does(Done::Write(self.path.clone(), offset, bytes.to_vec()));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.layer.does(Done::Sync(self.path.clone()));
        Ok(())
    }
}

impl Layer for FaultyLayer {
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let state = self.state();
        let below = state.files.keys().filter_map(|path| path.strip_prefix(folder).ok());
        let mut names: Vec<OsString> = below
            .filter_map(|rest| rest.components().next())
            .map(|name| name.as_os_str().to_owned())
            .collect();
        names.dedup();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.state().files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn LayerFile>> {
        self.room()?;
        self.does(Done::Create(path.to_owned(), length));
        self.does(Done::Sync(path.to_owned()));
        Ok(Box::new(File { layer: self.clone(), path: path.to_owned() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LayerFile>> {
        self.read(path)?;
        Ok(Box::new(File { layer: self.clone(), path: path.to_owned() }))
    }

    fn set_length(&self, path: &Path, length: u64) -> io::Result<()> {
        self.room()?;
        self.does(Done::SetLength(path.to_owned(), length));
        self.does(Done::Sync(path.to_owned()));
        Ok(())
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.does(Done::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.does(Done::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        self.does(Done::RemoveFolder(folder.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.does(Done::SyncFolder(folder.to_owned()));
        Ok(())
    }
}
