//! The folder in which blocks outlive the process.
//!
//! Owns who may use it, one process at a time, and its layout. Never reads a block: the cache does, and `blocks.rs`
//! verifies what it finds.
//!
//! ```text
//! lock                          held while a process uses the folder
//! blocks-{bytes}x{count}/       so many files of so many bytes, in which the cache keeps blocks
//! ```

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, statvfs};
use rustix::io::Errno;

use crate::model::PIECE_BYTES;

/// Before the name of what the cache may remove when its layout changed.
const PREFIX: &str = "blocks-";

/// What a block takes on disk: its bytes, a page for its name and length, a page of an index.
const STORED_BYTES: u64 = PIECE_BYTES + 2 * PAGE_BYTES;

const PAGE_BYTES: u64 = 4096;

/// The unit of `st_blocks`, whatever the disk's.
const SECTOR_BYTES: u64 = 512;

/// Files that the blocks are spread over. One is overwritten at a time: with 256, what is lost then is little; and so
/// many descriptors are free, because artifacts in a bucket need none.
const SEGMENTS: u64 = 256;

/// Blocks in one file at the least: in a small cache, files that are not smaller.
const SEGMENT_BLOCKS_MIN: u64 = 2;

/// Blocks in one file at the most: the cache counts bytes in a file with 32 bits.
const SEGMENT_BLOCKS_MAX: u64 = 1000;

/// How the blocks are spread over files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Bytes of one file.
    pub segment_bytes: usize,
    /// How many files.
    pub segments: usize,
}

impl Geometry {
    /// For `disk_bytes` altogether.
    #[must_use]
    pub fn of(disk_bytes: u64) -> Self {
        let blocks = disk_bytes / STORED_BYTES / SEGMENTS;
        let blocks = blocks.clamp(SEGMENT_BLOCKS_MIN, SEGMENT_BLOCKS_MAX);
        let segment_bytes = blocks * STORED_BYTES + PAGE_BYTES;
        let segments = (disk_bytes / segment_bytes).max(1);
        Self {
            segment_bytes: usize::try_from(segment_bytes).unwrap_or(usize::MAX),
            segments: usize::try_from(segments).unwrap_or(usize::MAX),
        }
    }

    /// Of all files.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.segment_bytes * self.segments
    }
}

/// A folder that is ours until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    geometry: Geometry,
    /// Locked. The lock goes with the descriptor, also when the process is killed.
    _lock: File,
}

impl Folder {
    /// Makes the folder, unless it is there, and takes it for this process. Blocks that were kept in another layout are
    /// removed: the budget is for all of them.
    pub fn open(path: &Path, geometry: Geometry) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let why = "another process uses it; give each process a folder of its own";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
            }
            Err(errno) => return Err(errno.into()),
        }
        let folder = Self {
            path: path.to_owned(),
            geometry,
            _lock: lock,
        };
        let current = folder.blocks();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let is_ours = entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(PREFIX.as_bytes());
            if is_ours && entry.path() != current {
                remove(&entry.path())?;
            }
        }
        Ok(folder)
    }

    /// Where the cache keeps its files.
    #[must_use]
    pub fn blocks(&self) -> PathBuf {
        let Geometry {
            segment_bytes,
            segments,
        } = self.geometry;
        self.path
            .join(format!("{PREFIX}{segment_bytes}x{segments}"))
    }

    /// How they are laid out.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Takes the room for all blocks, once their files are there: a write that fails because others have filled the
    /// disk brings the cache down.
    pub fn reserve(&self) -> io::Result<()> {
        let mut files = Vec::new();
        let mut missing = 0;
        for entry in fs::read_dir(self.blocks())? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                missing += metadata
                    .len()
                    .saturating_sub(metadata.blocks() * SECTOR_BYTES);
                files.push((entry.path(), metadata.len()));
            }
        }
        // First: a file system takes what it has before it refuses.
        let room = statvfs(&self.path)?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        if missing > free {
            let why = format!(
                "its file system has {free} bytes free, and {missing} are missing; free some, or lower `cache.disk_bytes`"
            );
            return Err(io::Error::new(io::ErrorKind::StorageFull, why));
        }
        for (path, len) in files.into_iter().filter(|(_, len)| *len > 0) {
            let file = OpenOptions::new().write(true).open(path)?;
            match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, len) {
                // Some network and copy-on-write file systems promise no room.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Removes every block.
    pub fn empty(&self) -> io::Result<()> {
        remove(&self.blocks())
    }
}

/// Whatever it is: somebody may have put a file where a folder was.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn a_layout_never_takes_more_than_the_budget() {
        for disk_bytes in [16 * MIB, 64 * MIB, 8192 * MIB, 1024 * 1024 * MIB, 1 << 44] {
            let geometry = Geometry::of(disk_bytes);
            assert!(geometry.bytes() as u64 <= disk_bytes, "{geometry:?}");
            assert!(geometry.bytes() as u64 > disk_bytes / 2, "{geometry:?}");
            assert!(
                u32::try_from(geometry.segment_bytes).is_ok(),
                "{geometry:?}"
            );
        }
        assert!(Geometry::of(8192 * MIB).segments < 300);
    }

    #[test]
    fn room_is_taken_before_the_first_block_comes() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path(), Geometry::of(16 * MIB)).unwrap();
        fs::create_dir(folder.blocks()).unwrap();
        let file = File::create(folder.blocks().join("0")).unwrap();
        file.set_len(MIB).unwrap();
        folder.reserve().unwrap();
        let taken = file.metadata().unwrap();
        assert_eq!(taken.len(), MIB);
        assert!(taken.blocks() * SECTOR_BYTES >= MIB, "{taken:?}");
    }

    #[test]
    fn a_disk_without_the_room_is_refused_and_not_filled() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path(), Geometry::of(16 * MIB)).unwrap();
        fs::create_dir(folder.blocks()).unwrap();
        for name in 0..16 {
            let file = File::create(folder.blocks().join(name.to_string())).unwrap();
            file.set_len(1 << 43).unwrap(); // 8 TiB each, of which no file system of a test has 128
        }
        let refused = folder.reserve().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(
            refused.to_string().contains("`cache.disk_bytes`"),
            "{refused}"
        );
        for entry in fs::read_dir(folder.blocks()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().blocks(), 0);
        }
    }

    #[test]
    fn a_folder_belongs_to_one_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let geometry = Geometry::of(64 * MIB);
        let first = Folder::open(root.path(), geometry).unwrap();
        let refused = Folder::open(root.path(), geometry).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        drop(first);
        Folder::open(root.path(), geometry).unwrap();
    }

    #[test]
    fn another_layout_takes_the_place_of_the_last_one_and_of_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let first = Folder::open(root.path(), Geometry::of(64 * MIB)).unwrap();
        fs::create_dir(first.blocks()).unwrap();
        fs::write(root.path().join("notes"), "ours").unwrap();
        drop(first);
        let second = Folder::open(root.path(), Geometry::of(128 * MIB)).unwrap();
        fs::create_dir(second.blocks()).unwrap();
        let mut names: Vec<_> = fs::read_dir(root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let ours = second.blocks().file_name().unwrap().to_owned();
        assert_eq!(names, [ours.to_str().unwrap(), "lock", "notes"]);
    }
}
