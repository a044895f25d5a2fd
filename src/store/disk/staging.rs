//! Files on their way into the store.
//!
//! Owns `.headwater/tmp`: one folder per publisher, with a locked file in it, so that a dead publisher's
//! left-overs can be told from a live one's. Never makes anything visible: `place.rs` does.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::beneath::{self, FILE_MODE, FOLDER};
use super::listing;
use super::lock::{self, LOCKS, Lock};
use crate::store::{Entry, Sweep};

/// Where the publishers' folders are. In the store, because a rename does not cross file systems; below a name that
/// no key can have.
const STAGING: &str = ".headwater/tmp";

/// The file in a publisher's folder that stays locked as long as the publisher lives.
const ALIVE: &str = "alive";

/// Keeps `sweep` away from a publisher's folder between its creation and its lock.
const GATE: &str = "staging gate";

/// One publisher's folder of temporary files.
#[derive(Debug)]
pub(super) struct Staging {
    folder: OwnedFd,
    parent: OwnedFd,
    name: String,
    /// Locked until this value is dropped or the process dies.
    _alive: OwnedFd,
    next: AtomicU64,
}

impl Staging {
    /// Makes a folder of its own, `None` while somebody else holds the gate.
    pub(super) fn try_new(root: impl AsFd) -> Result<Option<Self>, Errno> {
        let parent = beneath::make_folder(&root, STAGING)?;
        let Some(_gate) = Lock::try_acquire(&root, GATE)? else {
            return Ok(None);
        };
        let name = new_folder(&parent)?;
        let open = || -> Result<(OwnedFd, OwnedFd), Errno> {
            let folder = beneath::open_folder(&parent, &name)?;
            let alive = create(&folder, ALIVE)?;
            // Nobody else keeps it: the folder is new, and who only looks (`Sweep::DryRun`) lets go at once.
            rustix::fs::flock(&alive, FlockOperation::LockExclusive)?;
            Ok((folder, alive))
        };
        let (folder, alive) = open().inspect_err(|_| remove_folder(&parent, &name))?;
        Ok(Some(Self {
            folder,
            parent,
            name,
            _alive: alive,
            next: AtomicU64::new(0),
        }))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        remove_folder(&self.parent, &self.name);
    }
}

/// Numbered after the process, which makes the first try succeed except where machines share the store.
fn new_folder(parent: &OwnedFd) -> Result<String, Errno> {
    let process = rustix::process::getpid();
    for number in 0_u32.. {
        let name = format!("{}-{number}", process.as_raw_nonzero());
        match rustix::fs::mkdirat(parent, name.as_str(), beneath::FOLDER_MODE) {
            Ok(()) => return Ok(name),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EXIST)
}

fn create(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, FILE_MODE)
}

/// Best effort: what stays is found by the next `sweep`.
fn remove_folder(parent: &OwnedFd, name: &str) {
    let _ = rustix::fs::unlinkat(parent, format!("{name}/{ALIVE}"), AtFlags::empty());
    let _ = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
}

/// A file that nobody sees. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Temporary {
    /// For writing.
    pub(super) file: Arc<File>,
    staging: Arc<Staging>,
    name: String,
    is_placed: bool,
}

impl Temporary {
    /// An empty file.
    pub(super) fn new(staging: &Arc<Staging>) -> Result<Self, Errno> {
        let name = staging.next.fetch_add(1, Ordering::Relaxed).to_string();
        let file = create(&staging.folder, &name)?;
        Ok(Self {
            file: Arc::new(File::from(file)),
            staging: Arc::clone(staging),
            name,
            is_placed: false,
        })
    }

    /// The folder it is in, and its name there.
    pub(super) fn place(&self) -> (&OwnedFd, &str) {
        (&self.staging.folder, &self.name)
    }

    /// Its name was taken away: it is in its place now.
    pub(super) fn set_placed(&mut self) {
        self.is_placed = true;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_placed {
            let _ =
                rustix::fs::unlinkat(&self.staging.folder, self.name.as_str(), AtFlags::empty());
        }
    }
}

/// Lists, and with [`Sweep::Remove`] removes, the files of publishers that are dead. `None` while somebody else holds
/// the gate.
pub(super) fn try_sweep(root: &OwnedFd, mode: Sweep) -> Result<Option<Vec<Entry>>, Errno> {
    let parent = match beneath::open_folder(root, STAGING) {
        Err(Errno::NOENT) => return Ok(Some(Vec::new())),
        result => result?,
    };
    // Only looking needs no gate, and must work on a store that cannot be written.
    let _gate = match mode {
        Sweep::DryRun => None,
        Sweep::Remove => match Lock::try_acquire(root, GATE)? {
            Some(gate) => Some(gate),
            None => return Ok(None),
        },
    };
    let mut found = Vec::new();
    for name in listing::folders(&parent)? {
        let folder = beneath::open_folder(&parent, &name)?;
        if is_alive(&folder)? {
            continue;
        }
        for (file, size) in listing::files(&folder)? {
            if mode == Sweep::Remove {
                rustix::fs::unlinkat(&folder, file.as_str(), AtFlags::empty())?;
            }
            if file != ALIVE {
                let key = format!("{STAGING}/{name}/{file}");
                found.push(Entry { key, size });
            }
        }
        if mode == Sweep::Remove {
            rustix::fs::unlinkat(&parent, name.as_str(), AtFlags::REMOVEDIR)?;
        }
    }
    if mode == Sweep::Remove {
        sweep_locks(root)?;
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Some(found))
}

fn is_alive(folder: &OwnedFd) -> Result<bool, Errno> {
    let open = |access| {
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(folder, ALIVE, flags, Mode::empty())
    };
    // NFS wants the right to write for an exclusive lock; a local file system does not, and may not give it.
    let alive = match open(OFlags::RDWR) {
        Err(Errno::ROFS | Errno::ACCESS) => open(OFlags::RDONLY),
        opened => opened,
    };
    match alive {
        Ok(alive) => Ok(!lock::try_flock(&alive)?),
        Err(Errno::NOENT) => Ok(false), // it died between the two steps of its creation or of its end
        Err(errno) => Err(errno),
    }
}

/// Lock files of processes that were killed: locking one and letting go removes it.
fn sweep_locks(root: &OwnedFd) -> Result<(), Errno> {
    let locks = rustix::fs::openat(root, LOCKS, FOLDER | OFlags::CLOEXEC, Mode::empty())?;
    for (name, _size) in listing::files(&locks)? {
        drop(Lock::try_acquire_file(
            rustix::io::fcntl_dupfd_cloexec(&locks, 0)?,
            name,
        )?);
    }
    Ok(())
}
