//! An artifact in a file of this machine: its mapping, which of its pieces were verified, what is in memory.
//!
//! Owns the looks at the file around each write. Never touches a mapped byte and never waits, but in what it leaves
//! to readers.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, ReadWriteFlags};
use tokio::sync::OnceCell;

use super::{Gate, piece_index, piece_range};
use crate::model::{ByteRange, Digest, Digester};
use crate::server::damage::Damage;
use crate::server::readers::{READ_BYTES, Readers};
use crate::store::{Key, Mapping};

/// A file, open and mapped.
#[derive(Debug)]
pub struct Mapped {
    mapping: Mapping,
    pieces: Box<[Piece]>,
    file: OpenFile,
    is_damaged: AtomicBool,
}

#[derive(Debug)]
struct Piece {
    expected: Digest,
    /// Set once the piece was hashed: whether it is what was published.
    is_good: OnceCell<bool>,
}

/// A file, and how it was when it was opened.
#[derive(Debug)]
pub struct OpenFile {
    file: Arc<File>,
    opened: Stamp,
}

/// What of a file changes when somebody writes to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// As the file is now, and how many names it has.
    fn of(file: &File) -> io::Result<(Self, u64)> {
        let metadata = file.metadata()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok((
            Self {
                size: metadata.len(),
                modified,
            },
            metadata.nlink(),
        ))
    }
}

impl OpenFile {
    /// As it is now.
    pub fn new(file: Arc<File>) -> io::Result<Self> {
        let (opened, _links) = Stamp::of(&file)?;
        Ok(Self { file, opened })
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.opened.size
    }

    /// Whether the file is unwritten since it was opened.
    pub fn is_unchanged(&self) -> bool {
        Stamp::of(&self.file).is_ok_and(|(stamp, _)| stamp == self.opened)
    }

    /// Whether it also still has a name.
    pub fn is_current(&self) -> bool {
        Stamp::of(&self.file).is_ok_and(|(stamp, links)| stamp == self.opened && links > 0)
    }

    /// Reads a small file whole. Blocks: call it on a reader's thread.
    pub fn read(&self) -> Result<Vec<u8>, Damage> {
        let mut bytes = vec![0; usize::try_from(self.size()).unwrap_or_default()];
        let read = self.file.read_exact_at(&mut bytes, 0);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Damage::Changed,
            _ => Damage::Unreadable(error),
        })?;
        Ok(bytes)
    }
}

/// The file is no longer what was opened.
struct Changed;

impl Mapped {
    /// Maps all of a file.
    pub fn new(file: OpenFile, pieces: &[Digest]) -> io::Result<Self> {
        let mapping = Mapping::new(&file.file, file.size())?;
        let pieces = pieces.iter().map(|expected| Piece {
            expected: *expected,
            is_good: OnceCell::new(),
        });
        Ok(Self {
            mapping,
            pieces: pieces.collect(),
            file,
            is_damaged: AtomicBool::new(false),
        })
    }

    /// A part of the mapping. Hand it to the kernel; never read it.
    #[must_use]
    pub fn part(&self, range: ByteRange) -> &[u8] {
        self.mapping.part(range)
    }

    /// Whether the file is still the one under its key, unwritten, and undamaged as far as is known.
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.is_damaged.load(Ordering::Relaxed) && self.file.is_current()
    }

    /// Whether the open file, under its key or not, is unwritten and undamaged as far as is known.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        !self.is_damaged.load(Ordering::Relaxed) && self.is_unchanged()
    }

    /// Whether the file still has everything that was just handed to the kernel, unwritten since it was opened.
    ///
    /// A cut file's last page reads as zeros up to its end, so that looking only before a write is not enough.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.file.is_unchanged()
    }

    /// What stands between `position` and the socket, for up to `wanted` bytes, which is at least one. Never waits for
    /// the disk.
    #[must_use]
    pub fn gate(&self, position: u64, wanted: u64) -> Gate {
        let index = piece_index(position);
        if let Some(piece) = self.pieces.get(index) {
            match piece.is_good.get() {
                Some(true) => {}
                Some(false) => return Gate::Changed,
                None => return Gate::Prepare(index),
            }
        }
        let end = (position + wanted).min(piece_range(index, self.file.size()).end());
        // Both ends: a piece that was read in order leaves memory from its start.
        let is_resident = self.is_resident(end - 1).and_then(|is_last| {
            Ok(is_last && (end - 1 == position || self.is_resident(position)?))
        });
        match is_resident {
            Ok(true) if self.is_unchanged() => Gate::Open(end - position),
            Ok(false) => Gate::Prepare(index),
            Ok(true) | Err(Changed) => Gate::Changed,
        }
    }

    /// Whether the piece should be read before it is needed.
    #[must_use]
    pub fn wants_read_ahead(&self, index: usize) -> bool {
        let range = piece_range(index, self.file.size());
        let is_unverified = self
            .pieces
            .get(index)
            .is_some_and(|piece| piece.is_good.get().is_none());
        range.len > 0 && (is_unverified || !self.is_resident(range.end() - 1).unwrap_or(true))
    }

    /// Asks the page cache for one byte, without waiting: is it there, and does the file still reach that far?
    fn is_resident(&self, position: u64) -> Result<bool, Changed> {
        let mut byte = [0];
        let mut buffers = [IoSliceMut::new(&mut byte)];
        match rustix::io::preadv2(
            &self.file.file,
            &mut buffers,
            position,
            ReadWriteFlags::NOWAIT,
        ) {
            Ok(0) => Err(Changed),
            Ok(_) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            // A file system that cannot tell (some network ones): only the size is checked.
            Err(_) if self.is_unchanged() => Ok(true),
            Err(_) => Err(Changed),
        }
    }

    /// Has a reader read the piece into memory and, the first time, verify it.
    pub async fn read_and_verify(
        self: Arc<Self>,
        key: Key,
        index: usize,
        readers: Readers,
    ) -> Result<(), Damage> {
        let Some(piece) = self.pieces.get(index) else {
            return Ok(());
        };
        let was_known = piece.is_good.get().is_some();
        let (me, expected) = (Arc::clone(&self), piece.expected);
        let hash = || readers.run(move || me.read_piece(index, Some(&expected)));
        if !*piece.is_good.get_or_try_init(hash).await? {
            let damage = Damage::Altered(piece_range(index, self.file.size()));
            if !self.is_damaged.swap(true, Ordering::Relaxed) {
                tracing::error!(%key, "damaged artifact `{key}`: {damage}");
            }
            return Err(damage);
        }
        if was_known {
            // Verified before, but no longer in memory.
            let me = Arc::clone(&self);
            readers.run(move || me.read_piece(index, None)).await?;
        }
        Ok(())
    }

    /// Reads the piece into memory and, the first time, verifies it. Blocks: call it on a reader's thread.
    fn read_piece(&self, index: usize, expected: Option<&Digest>) -> Result<bool, Damage> {
        let range = piece_range(index, self.file.size());
        let mut digester = Digester::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut position = range.offset;
        while position < range.end() {
            let wanted = usize::try_from(range.end() - position)
                .unwrap_or(usize::MAX)
                .min(READ_BYTES);
            match self.file.file.read_at(&mut buffer[..wanted], position) {
                Ok(0) => return Err(Damage::Changed),
                Ok(read) => {
                    if expected.is_some() {
                        digester.update(&buffer[..read]);
                    }
                    position += read as u64;
                    // A serving thread that became runnable meanwhile goes first: a niceness alone is looked at only
                    // when the time slice ends, milliseconds later.
                    std::thread::yield_now();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Damage::Unreadable(error)),
            }
        }
        Ok(expected.is_none_or(|expected| digester.finish() == *expected))
    }
}
