//! Locks that die with their process: `flock` on a file named after what is locked.
//!
//! Owns the lock files in `.headwater/locks`. Never waits: who wants to wait asks again.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::beneath;
use crate::model::Digest;
use crate::store::Reservation;

/// Where the lock files are.
pub(super) const LOCKS: &str = ".headwater/locks";

/// Opens or makes a lock file. The mode lets a group share a store whose umask says so.
const LOCK_FILE: OFlags = OFlags::RDWR
    .union(OFlags::CREATE)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const LOCK_MODE: Mode = Mode::from_raw_mode(0o664);

/// A held lock.
#[derive(Debug)]
pub(super) struct Lock {
    /// Invariant: locked, and the file that `name` names in `folder`.
    file: OwnedFd,
    folder: OwnedFd,
    name: String,
}

impl Reservation for Lock {}

impl Lock {
    /// Locks `scope`, or says `None` when somebody else holds it.
    pub(super) fn try_acquire(root: impl AsFd, scope: &str) -> Result<Option<Self>, Errno> {
        let folder = beneath::make_folder(root, LOCKS)?;
        // A digest, because a scope may be longer than a file name and contains `/`.
        Self::try_acquire_file(folder, Digest::of(scope.as_bytes()).to_hex())
    }

    /// Locks the file `name`, for `sweep`, which knows no scopes.
    pub(super) fn try_acquire_file(folder: OwnedFd, name: String) -> Result<Option<Self>, Errno> {
        loop {
            let file = rustix::fs::openat(&folder, name.as_str(), LOCK_FILE, LOCK_MODE)?;
            if !try_flock(&file)? {
                return Ok(None);
            }
            // The holder before removed its file while we waited to lock it: what we hold is then a file that
            // nobody else can find any more.
            if is_named(&folder, &name, &file)? {
                return Ok(Some(Self { file, folder, name }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held, see `try_acquire`. A file that stays is no harm: it is found and used again.
        let _ = rustix::fs::unlinkat(&self.folder, self.name.as_str(), AtFlags::empty());
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// Locks an open file; false when somebody else has it.
pub(super) fn try_flock(file: &OwnedFd) -> Result<bool, Errno> {
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn is_named(folder: &OwnedFd, name: &str, file: &OwnedFd) -> Result<bool, Errno> {
    let held = rustix::fs::fstat(file)?;
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn root() -> (tempfile::TempDir, OwnedFd) {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::File::open(folder.path()).unwrap().into();
        (folder, root)
    }

    #[test]
    fn a_scope_is_held_by_one_and_free_again_afterwards() {
        let (folder, root) = root();
        let held = Lock::try_acquire(&root, "a").unwrap().unwrap();
        assert!(Lock::try_acquire(&root, "a").unwrap().is_none());
        assert!(Lock::try_acquire(&root, "b").unwrap().is_some());
        drop(held);
        assert!(Lock::try_acquire(&root, "a").unwrap().is_some());
        assert_eq!(
            std::fs::read_dir(folder.path().join(LOCKS))
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn removing_lock_files_never_lets_two_in() {
        let (_folder, root) = root();
        let inside = AtomicU32::new(0);
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..500 {
                        if let Some(_held) = Lock::try_acquire(&root, "a").unwrap() {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
    }
}
