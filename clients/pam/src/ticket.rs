//! A ticket cache on its way from the agent to the person's session.
//!
//! It is taken from the agent's file with the accept, waits in a folder of root until the program establishes credentials (in
//! another process, where it is `sshd`), and becomes a file of the person's own.
//!
//! Invariant: of the agent's files alone one is taken, so that an agent that was taken over hands out nothing that it does not
//! have; who waits is told by name to whoever fetches, and is given to nobody else; and no file is ever written that was there
//! before.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use authenteon_agent_protocol::Login;
use nix::fcntl::OFlag;

/// Where tickets wait for their session.
pub(crate) const WAITING: &str = "/run/authenteon-pam";
/// Where sessions have theirs: where NFS (`rpc.gssd`) looks for them, too.
pub(crate) const SESSIONS: &str = "/tmp";
/// A ticket that nobody fetched in so long is fetched by nobody.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// Bytes of a cache at most: tickets that say much of their person have some ten thousand.
const LARGEST: u64 = 256 << 10;
/// Its owner may read and write it, and nobody else.
const OWN: u32 = 0o600;

/// A ticket cache in memory.
#[derive(PartialEq, Eq)]
pub(crate) struct Cache(Vec<u8>);

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

/// Takes the file of an agent that is this user.
///
/// # Errors
/// Why not.
pub(crate) fn take(path: &Path, agent: u32) -> Result<Cache, String> {
    let failed = |why: io::Error| format!("the agent's ticket cannot be read: {why}");
    // No link is followed, and nothing that is no file is waited for.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(failed)?;
    let opened = file.metadata().map_err(failed)?;
    if !opened.is_file() {
        return Err("the agent's ticket is no file".to_owned());
    }
    if opened.uid() != agent || opened.mode() & 0o077 != 0 || opened.nlink() != 1 {
        return Err("the agent's ticket is not its own alone".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.is_empty() || bytes.len() as u64 > LARGEST {
        return Err("the agent's ticket is none".to_owned());
    }
    Ok(Cache(bytes))
}

/// Has somebody's ticket wait: the name under which it is fetched.
///
/// # Errors
/// Why not.
pub(crate) fn wait(folder: &Path, login: &Login, cache: &Cache) -> Result<String, String> {
    let failed = |why: io::Error| format!("a ticket cannot wait in {}: {why}", folder.display());
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(why) if why.kind() != io::ErrorKind::AlreadyExists => return Err(failed(why)),
        _ => {}
    }
    let found = fs::symlink_metadata(folder).map_err(failed)?;
    if !found.is_dir() || found.uid() != nix::unistd::geteuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(failed(io::Error::other("others can look into it")));
    }
    forget(folder);
    let name = random().map_err(failed)?;
    let mut file = create(&folder.join(&name)).map_err(failed)?;
    file.write_all(format!("{login}\n").as_bytes())
        .and_then(|()| file.write_all(&cache.0))
        .map_err(failed)?;
    Ok(name)
}

/// Removes what nobody fetched.
fn forget(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|data| data.modified()).ok();
        let age = written.and_then(|written| written.elapsed().ok());
        if age.is_some_and(|age| age > FORGOTTEN) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Fetches the ticket that waits under a name, if it is this person's. It waits no longer in any case.
///
/// # Errors
/// Why not.
pub(crate) fn fetch(folder: &Path, name: &str, login: &Login) -> Result<Cache, String> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return Err("no ticket waits under such a name".to_owned());
    }
    let path = folder.join(name);
    let read = fs::read(&path);
    let _ = fs::remove_file(&path);
    let read = read.map_err(|why| format!("no ticket waits: {why}"))?;
    let end = read.iter().position(|byte| *byte == b'\n').ok_or("what waits is no ticket")?;
    let (whose, cache) = read.split_at(end);
    if whose != login.as_str().as_bytes() {
        return Err("the ticket that waits is somebody else's".to_owned());
    }
    Ok(Cache(cache.get(1..).unwrap_or_default().to_vec()))
}

/// Makes a ticket the file of who has these numbers: where it lies then.
///
/// # Errors
/// Why not.
pub(crate) fn place(folder: &Path, (uid, gid): (u32, u32), cache: &Cache) -> Result<PathBuf, String> {
    let failed = |why: io::Error| format!("a ticket cannot be put into {}: {why}", folder.display());
    let random = random().map_err(failed)?;
    let path = folder.join(format!("krb5cc_{uid}_{}", random.replace('-', "")));
    let mut file = create(&path).map_err(failed)?;
    // Until it is whole it is root's.
    let written = file.write_all(&cache.0).and_then(|()| fchown(&file, Some(uid), Some(gid)));
    if let Err(why) = written {
        let _ = fs::remove_file(&path);
        return Err(failed(why));
    }
    Ok(path)
}

/// Takes a ticket away that was placed. Whatever else is in its place is not followed.
pub(crate) fn remove(path: &Path) {
    // The person may have destroyed it himself.
    let _ = fs::remove_file(path);
}

/// A file of our own that was not there before, whatever the umask is.
fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(OWN).open(path)?;
    file.set_permissions(Permissions::from_mode(OWN))?;
    Ok(file)
}

fn random() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned())
}

#[cfg(test)]
mod tests;
