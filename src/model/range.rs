//! A part of an object: offset and length.
//!
//! "First and last byte" exist only where the wire is parsed or printed, in `http/range.rs`.

/// A part of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ByteRange {
    /// The position of the first byte.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

impl ByteRange {
    /// The part of `len` bytes from `offset` on.
    #[must_use]
    pub fn new(offset: u64, len: u64) -> Self {
        Self { offset, len }
    }

    /// All of an object of `len` bytes.
    #[must_use]
    pub fn whole(len: u64) -> Self {
        Self { offset: 0, len }
    }

    /// The position after the last byte.
    #[must_use]
    pub fn end(self) -> u64 {
        self.offset + self.len
    }
}
