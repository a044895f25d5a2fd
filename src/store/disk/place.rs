//! How a file comes into its place, stays there and leaves it.
//!
//! Owns the order of rename and sync. Never writes an object's bytes: they are in a [`Temporary`] already.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::beneath;
use super::staging::Temporary;
use crate::crash;
use crate::store::{Created, Key};

/// How often placing starts again because a `remove` took the empty folder away. Each time is another publisher's
/// progress, so that more than a few in a row means something else is wrong.
const PLACE_ATTEMPTS_MAX: u32 = 100;

/// Up to so many objects are synced one by one; above, the whole file system is, in one go.
///
/// One by one costs a wait for the disk for each (3,000 files of 8 KiB: 1.0 s on a fast virtual disk, 12 s at
/// 4 ms a flush); `syncfs` costs one, but waits for other programs' dirty pages too, which a
/// publish of a few files need not.
const SYNC_EACH_MAX: usize = 32;

/// Gives `temporary` the name `key`, unless the name is taken. Not durable yet.
pub(super) fn place_new(
    root: &OwnedFd,
    mut temporary: Temporary,
    key: &Key,
) -> Result<Created, Errno> {
    let (path, name) = beneath::split(key.as_str());
    for _ in 0..PLACE_ATTEMPTS_MAX {
        let folder = match beneath::make_folder(root, path) {
            Err(Errno::NOENT) => continue, // a `remove` took an empty folder away
            folder => folder?,
        };
        let (from, temporary_name) = temporary.place();
        match rename_new(from, temporary_name, &folder, name) {
            Ok(()) => {
                temporary.set_placed();
                return Ok(Created::New);
            }
            Err(Errno::EXIST) => {
                // An empty folder, left by a publish that died, is not in the way.
                if beneath::open_folder(&folder, name).is_err() {
                    return Ok(Created::Taken);
                }
                remove_empty_tree(&folder, name).map_err(|_in_use| Errno::ISDIR)?;
            }
            Err(Errno::NOENT) => {} // likewise
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::BUSY)
}

/// Gives `temporary` the name `key`, whatever had it. Not durable yet.
pub(super) fn place_over(root: &OwnedFd, mut temporary: Temporary, key: &Key) -> Result<(), Errno> {
    let (path, name) = beneath::split(key.as_str());
    for _ in 0..PLACE_ATTEMPTS_MAX {
        let folder = match beneath::make_folder(root, path) {
            Err(Errno::NOENT) => continue,
            folder => folder?,
        };
        let (from, temporary_name) = temporary.place();
        match rustix::fs::renameat(from, temporary_name, &folder, name) {
            Err(Errno::NOENT) => {}
            result => {
                result?;
                temporary.set_placed();
                return Ok(());
            }
        }
    }
    Err(Errno::BUSY)
}

/// A rename that never replaces.
fn rename_new(from: &OwnedFd, old: &str, to: &OwnedFd, new: &str) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        // A file system (NFS, some FUSE ones) or kernel without it. A link never replaces either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_new(from, old, to, new),
        result => result,
    }
}

fn link_new(from: &OwnedFd, old: &str, to: &OwnedFd, new: &str) -> Result<(), Errno> {
    rustix::fs::linkat(from, old, to, new, AtFlags::empty())?;
    // A second name in the staging folder is litter, not damage: `sweep` finds it.
    let _ = rustix::fs::unlinkat(from, old, AtFlags::empty());
    Ok(())
}

/// Makes these objects, and the way to them, survive a power cut.
pub(super) fn sync_objects(root: &OwnedFd, keys: &[Key]) -> Result<(), Errno> {
    if keys.len() > SYNC_EACH_MAX {
        match rustix::fs::syncfs(root) {
            Err(Errno::NOSYS) => {}
            result => return result,
        }
    }
    for key in keys {
        match beneath::open_file(root, key.as_str())? {
            Some((file, _size)) => rustix::fs::fsync(file)?,
            None => return Err(Errno::NOENT),
        }
    }
    sync_folders(root, keys)
}

/// Syncs the folders of `keys` up to the root: without it a crash can forget a rename. All of them, also those that
/// were there before: another publisher may have made them a moment ago and not come to sync them.
pub(super) fn sync_folders(root: &OwnedFd, keys: &[Key]) -> Result<(), Errno> {
    let mut folders = BTreeSet::new();
    for key in keys {
        let (mut path, _) = beneath::split(key.as_str());
        while folders.insert(path) && !path.is_empty() {
            (path, _) = beneath::split(path);
        }
    }
    for path in folders.into_iter().rev() {
        match beneath::open_folder(root, path) {
            // Removed as empty, and what it was in is synced; or never there.
            Err(errno) if beneath::is_absence(errno) => {}
            folder => match rustix::fs::fsync(folder?) {
                Err(Errno::INVAL) => {} // a file system that has nothing to sync for a folder
                result => result?,
            },
        }
    }
    Ok(())
}

/// Removes objects, and the folders that are empty without them, durably.
pub(super) fn remove_objects(root: &OwnedFd, keys: &[Key]) -> Result<(), Errno> {
    for key in keys {
        let (path, name) = beneath::split(key.as_str());
        let folder = match beneath::open_folder(root, path) {
            Err(errno) if beneath::is_absence(errno) => continue,
            folder => folder?,
        };
        match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
            Err(Errno::NOENT | Errno::ISDIR) => {} // no object
            result => result?,
        }
        crash::point("store.removed-one");
        remove_empty_parents(root, path);
    }
    sync_folders(root, keys)
}

/// Below `artifacts` and `channels`, which a store always has. A folder that is in use again stays: `rmdir` refuses.
fn remove_empty_parents(root: &OwnedFd, mut path: &str) {
    while path.contains('/') {
        let (parent, name) = beneath::split(path);
        let Ok(folder) = beneath::open_folder(root, parent) else {
            return;
        };
        if rustix::fs::unlinkat(&folder, name, AtFlags::REMOVEDIR).is_err() {
            return;
        }
        path = parent;
    }
}

/// Removes a folder that has nothing but such folders in it; refuses at the first file.
fn remove_empty_tree(parent: &OwnedFd, name: &str) -> Result<(), Errno> {
    let mut paths = vec![name.to_owned()];
    let mut at = 0;
    while let Some(path) = paths.get(at).cloned() {
        let folder = beneath::open_folder(parent, &path)?;
        let below = super::listing::folders(folder)?;
        paths.extend(below.into_iter().map(|name| format!("{path}/{name}")));
        at += 1;
    }
    for path in paths.iter().rev() {
        let (above, name) = beneath::split(path);
        let folder = beneath::open_folder(parent, above)?;
        rustix::fs::unlinkat(&folder, name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_for_file_systems_without_noreplace_never_replaces_either() {
        let folder = tempfile::tempdir().unwrap();
        let fd: OwnedFd = std::fs::File::open(folder.path()).unwrap().into();
        std::fs::write(folder.path().join("first"), "1").unwrap();
        std::fs::write(folder.path().join("second"), "2").unwrap();
        link_new(&fd, "first", &fd, "object").unwrap();
        assert_eq!(
            link_new(&fd, "second", &fd, "object").unwrap_err(),
            Errno::EXIST
        );
        assert_eq!(
            std::fs::read_to_string(folder.path().join("object")).unwrap(),
            "1"
        );
        assert!(!folder.path().join("first").exists());
    }
}
