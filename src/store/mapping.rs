//! A file mapped for reading.
//!
//! The one file with `unsafe` in it. Owns the mapping; never touches a mapped byte
//! itself, and no code of this crate may: a byte that the file no longer has raises SIGBUS when the program
//! touches it, but only EFAULT when the kernel reads it inside `writev`. See `server/transmit.rs`.

use std::fs::File;
use std::{fmt, io};

use memmap2::Mmap;

use crate::model::ByteRange;

/// The bytes of a file as addresses, until it is dropped.
pub struct Mapping {
    /// `None`: an empty file, which mmap(2) refuses.
    map: Option<Mmap>,
}

/// Never the bytes: printing one would read it.
impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("len", &self.map.as_ref().map_or(0, |map| map.len()))
            .finish()
    }
}

impl Mapping {
    /// Maps the first `len` bytes of `file`.
    #[expect(unsafe_code, reason = "a file mapping has no safe constructor")]
    pub fn new(file: &File, len: u64) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self { map: None });
        }
        let size =
            usize::try_from(len).map_err(|_wider| io::Error::from(io::ErrorKind::FileTooLarge))?;
        // SAFETY: what makes a mapping unsafe is that the file may change or shrink under a `&[u8]`. Nothing in this
        // crate reads through this slice: its address is handed to the kernel, which checks every page itself and
        // answers EFAULT, and `server/wire.rs` compares the file's size after each such call, `server/artifact/` before.
        let map = unsafe { memmap2::MmapOptions::new().len(size).map(file)? };
        Ok(Self { map: Some(map) })
    }

    /// A part of the mapping. Hand it to the kernel; never read it.
    ///
    /// # Panics
    /// When `range` is not inside the mapping, which the plan excludes.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "positions inside a mapping fit the address space"
    )]
    pub fn part(&self, range: ByteRange) -> &[u8] {
        let all = self.map.as_deref().unwrap_or_default();
        &all[range.offset as usize..range.end() as usize]
    }
}
