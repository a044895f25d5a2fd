//! From paths to what will be published: which files, under which names.
//!
//! Owns what may be an input. Never reads a file's bytes, never looks at the store.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::PublishError;
use crate::model::ArtifactName;

/// One file to publish.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it will be called.
    pub(super) name: ArtifactName,
    /// What it was when it was scanned.
    pub(super) stamp: Stamp,
}

/// What changes when a file is written to or replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    /// In bytes.
    pub(super) size: u64,
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// What is different about `now`.
    pub(super) fn difference(&self, now: &Self) -> Option<&'static str> {
        if (self.device, self.inode) != (now.device, now.inode) {
            Some("another file has its name now")
        } else if self.size != now.size {
            Some("its size is another now")
        } else if self.modified != now.modified {
            Some("it was written to")
        } else {
            None
        }
    }
}

/// Finds the files, sorted by artifact name: a file goes by its base name, a folder's files by their path below it.
pub(super) fn scan(paths: &[PathBuf]) -> Result<Vec<Input>, PublishError> {
    let mut found = Found::default();
    for path in paths {
        let metadata = metadata(path)?;
        if metadata.is_dir() {
            scan_folder(path, &mut found)?;
        } else {
            let base = path.file_name().unwrap_or(path.as_os_str());
            found.add(path.clone(), Path::new(base), &metadata)?;
        }
    }
    if found.inputs.is_empty() {
        return Err(PublishError::NoFiles);
    }
    refuse_files_that_are_folders(&found.inputs)?;
    Ok(found.inputs.into_values().collect())
}

/// What was found up to now.
#[derive(Default)]
struct Found {
    inputs: BTreeMap<ArtifactName, Input>,
}

impl Found {
    fn add(&mut self, path: PathBuf, name: &Path, metadata: &Metadata) -> Result<(), PublishError> {
        if let Some(what) = unfit(metadata) {
            return Err(PublishError::UnfitInput { path, what });
        }
        let Some(name) = name.to_str() else {
            return Err(PublishError::InputNotUtf8 { path });
        };
        let name = match ArtifactName::parse(name) {
            Ok(name) => name,
            Err(source) => return Err(PublishError::InputName { path, source }),
        };
        if let Some(first) = self.inputs.get(&name) {
            let first = first.path.clone();
            let second = path;
            return Err(PublishError::DuplicateName {
                name,
                first,
                second,
            });
        }
        let stamp = Stamp::of(metadata);
        self.inputs
            .insert(name.clone(), Input { path, name, stamp });
        Ok(())
    }
}

fn scan_folder(top: &Path, found: &mut Found) -> Result<(), PublishError> {
    let mut waiting = vec![top.to_owned()];
    while let Some(folder) = waiting.pop() {
        let fail = |source| PublishError::Input {
            path: folder.clone(),
            source,
        };
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let metadata = metadata(&path)?;
            if metadata.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(top).unwrap_or(&path).to_owned();
                found.add(path, &name, &metadata)?;
            }
        }
    }
    Ok(())
}

fn metadata(path: &Path) -> Result<Metadata, PublishError> {
    std::fs::symlink_metadata(path).map_err(|source| PublishError::Input {
        path: path.to_owned(),
        source,
    })
}

/// Why this can be no artifact. A link would publish bytes that nobody pointed at, or point out of the tree.
fn unfit(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        None
    } else if kind.is_symlink() {
        Some("a symbolic link")
    } else if kind.is_fifo() {
        Some("a FIFO")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

fn refuse_files_that_are_folders(
    inputs: &BTreeMap<ArtifactName, Input>,
) -> Result<(), PublishError> {
    for below in inputs.keys() {
        for (at, _) in below.as_str().match_indices('/') {
            if let Ok(folder) = ArtifactName::parse(&below.as_str()[..at])
                && inputs.contains_key(&folder)
            {
                let (name, below) = (folder, below.clone());
                return Err(PublishError::FileAndFolder { name, below });
            }
        }
    }
    Ok(())
}
