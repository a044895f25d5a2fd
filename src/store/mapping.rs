//! A file mapped for reading.
//!
//! The one file with `unsafe` in it. Owns the mapping; never touches a mapped byte
//! itself, and no code of this crate may: a byte that the file no longer has raises SIGBUS when the program
//! touches it, but only EFAULT when the kernel reads it inside `writev`. See `server/transmit.rs` and
//! `edge/proxy/sent.rs`.

use std::fs::File;
use std::{fmt, io};

use bytes::Bytes;
use memmap2::Mmap;

use crate::model::ByteRange;

/// The bytes of a file as addresses. Cloning is cheap; the last clone unmaps.
#[derive(Clone)]
pub struct Mapping {
    bytes: Bytes,
}

/// Never the bytes: printing one would read it.
impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("len", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Gives `Bytes` an owner that unmaps when the last slice is dropped.
struct Owner(Mmap);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Mapping {
    /// Maps the first `len` bytes of `file`.
    #[expect(unsafe_code, reason = "a file mapping has no safe constructor")]
    pub fn new(file: &File, len: u64) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self {
                bytes: Bytes::new(),
            }); // mmap(2) refuses an empty mapping
        }
        let size =
            usize::try_from(len).map_err(|_wider| io::Error::from(io::ErrorKind::FileTooLarge))?;
        // SAFETY: what makes a mapping unsafe is that the file may change or shrink under a `&[u8]`. Nothing in this
        // crate reads through this slice: its address is handed to the kernel, which checks every page itself and
        // answers EFAULT, and `server/wire.rs` compares the file's size after each such call, `server/artifact/` before.
        // The edge maps files without a name, which nobody but itself could change (`edge/proxy/sent.rs`).
        let map = unsafe { memmap2::MmapOptions::new().len(size).map(file)? };
        Ok(Self {
            bytes: Bytes::from_owner(Owner(map)),
        })
    }

    /// A part of the mapping as a body frame. Hand it to the kernel; never read it.
    ///
    /// # Panics
    /// When `range` is not inside the mapping, which the plan excludes.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "positions inside a mapping fit the address space"
    )]
    pub fn slice(&self, range: ByteRange) -> Bytes {
        self.bytes
            .slice(range.offset as usize..range.end() as usize)
    }

    /// The same as an address that lives no longer than the mapping.
    ///
    /// # Panics
    /// When `range` is not inside the mapping, which the plan excludes.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "positions inside a mapping fit the address space"
    )]
    pub fn part(&self, range: ByteRange) -> &[u8] {
        &self.bytes[range.offset as usize..range.end() as usize]
    }

    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> usize {
        self.bytes.as_ptr().addr()
    }

    /// The position in the file that `address` maps, `None` when it is not an address of this mapping.
    #[must_use]
    pub fn position_of(&self, address: *const u8) -> Option<u64> {
        let offset = address.addr().checked_sub(self.bytes.as_ptr().addr())?;
        (offset < self.bytes.len()).then_some(offset as u64)
    }
}
