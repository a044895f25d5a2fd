//! What is in a folder of the store.
//!
//! Owns the walk. Never follows a link, never lists what is not a regular file or a folder, and skips names that are
//! not UTF-8: no key has one.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use super::beneath;
use crate::store::Entry;

/// One name in a folder.
enum Item {
    File(String, u64),
    Folder(String),
}

/// The names of the folders in a folder, unsorted.
pub(super) fn folders(folder: impl AsFd) -> Result<Vec<String>, Errno> {
    Ok(items(folder)?
        .into_iter()
        .filter_map(|item| match item {
            Item::Folder(name) => Some(name),
            Item::File(..) => None,
        })
        .collect())
}

/// The names and sizes of the regular files in a folder, unsorted.
pub(super) fn files(folder: impl AsFd) -> Result<Vec<(String, u64)>, Errno> {
    Ok(items(folder)?
        .into_iter()
        .filter_map(|item| match item {
            Item::File(name, size) => Some((name, size)),
            Item::Folder(_) => None,
        })
        .collect())
}

/// Every regular file below the folder `prefix`, which ends in `/`, sorted by key.
pub(super) fn tree(root: &OwnedFd, prefix: &str) -> Result<Vec<Entry>, Errno> {
    let mut found = Vec::new();
    let mut waiting = vec![prefix.to_owned()];
    while let Some(prefix) = waiting.pop() {
        let folder = match beneath::open_folder(root, prefix.trim_end_matches('/')) {
            Err(errno) if beneath::is_absence(errno) => continue, // removed since it was listed
            result => result?,
        };
        for item in items(folder)? {
            match item {
                Item::File(name, size) => found.push(Entry {
                    key: format!("{prefix}{name}"),
                    size,
                }),
                Item::Folder(name) => waiting.push(format!("{prefix}{name}/")),
            }
        }
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

fn items(folder: impl AsFd) -> Result<Vec<Item>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if matches!(name, "." | "..") {
            continue;
        }
        // A file's size is wanted too, so that the type in the entry (which not all file systems fill in) saves
        // nothing except for folders.
        if entry.file_type() == FileType::Directory {
            found.push(Item::Folder(name.to_owned()));
            continue;
        }
        let stat = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue, // removed since it was listed
            result => result?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                found.push(Item::File(name.to_owned(), stat.st_size.cast_unsigned()));
            }
            FileType::Directory => found.push(Item::Folder(name.to_owned())),
            _ => {}
        }
    }
    Ok(found)
}
