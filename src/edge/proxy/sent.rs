//! Files that the kernel sends by itself: from its page cache to the socket, without a copy.
//!
//! Owns which address stands for which byte of which file. A body hands hyper a part of a mapping, of which nobody ever
//! reads a byte; the socket (`stall.rs`) finds the file by the address and calls `sendfile`. An address that is not found
//! any more is as good: the kernel copies what is mapped there. Never opens a file. Read next: `disk.rs`.
//!
//! The two dangers of a mapping (`server/transmit.rs`) are met like this. The file has no name and is only ever written
//! by the edge, never cut, so that no page of it can be missing; and `body.rs` hands out no part before it is in memory.
//! The danger of `sendfile`, that what waits in a socket changes after it was sent, is met by `disk.rs`: no byte of such a
//! file is written twice, and no hole is punched into it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::bodies::lock;
use crate::model::ByteRange;
use crate::store::Mapping;

/// Files that are sent like this at a time: each is a descriptor and a mapping.
pub const SENT_FILES_MAX: usize = 1024;

/// Below this a copy costs no more than the call.
const SENT_BYTES_MIN: usize = 16 << 10;

/// The files that are sent.
#[derive(Debug)]
pub(super) struct SentFiles {
    max: usize,
    /// By the address at which they begin.
    mapped: Mutex<BTreeMap<usize, (Mapping, Arc<File>)>>,
}

/// One of them, as long as this lives.
#[derive(Debug)]
pub(super) struct SentFile {
    files: Arc<SentFiles>,
    mapping: Mapping,
}

impl SentFiles {
    /// At most `max` of them.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            mapped: Mutex::default(),
        }
    }

    /// Whether there may be no more.
    pub(super) fn is_full(&self) -> bool {
        lock(&self.mapped).len() >= self.max
    }

    /// From here on the first `len` bytes of `file` have addresses. They need not be written yet.
    pub(super) fn add(self: &Arc<Self>, file: &Arc<File>, len: u64) -> io::Result<SentFile> {
        let mapping = Mapping::new(file, len)?;
        let entry = (mapping.clone(), Arc::clone(file));
        lock(&self.mapped).insert(mapping.address(), entry);
        Ok(SentFile {
            files: Arc::clone(self),
            mapping,
        })
    }

    /// The file and the position in it that a buffer stands for, when it is worth to be sent by the kernel.
    pub(super) fn find(&self, buffer: &[u8]) -> Option<(Arc<File>, u64)> {
        if buffer.len() < SENT_BYTES_MIN {
            return None;
        }
        let mapped = lock(&self.mapped);
        let (_, (mapping, file)) = mapped.range(..=buffer.as_ptr().addr()).next_back()?;
        let position = mapping.position_of(buffer.as_ptr())?;
        Some((Arc::clone(file), position))
    }
}

impl SentFile {
    /// What stands for a part of the file. Hand it to the kernel; never read it.
    pub(super) fn part(&self, at: u64, len: u64) -> Bytes {
        self.mapping.slice(ByteRange { offset: at, len })
    }
}

impl Drop for SentFile {
    fn drop(&mut self) {
        // Before it is unmapped: what is mapped at these addresses next is not this file.
        let entry = lock(&self.files.mapped).remove(&self.mapping.address());
        drop(entry);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn an_address_is_found_as_long_as_its_file_is_sent() {
        let files = Arc::new(SentFiles::new(2));
        let new = |byte: u8| {
            let file = Arc::new(tempfile::tempfile().unwrap());
            file.write_all_at(&vec![byte; 100_000], 0).unwrap();
            let sent = files.add(&file, 100_000).unwrap();
            (file, sent)
        };
        let ((one, sent_one), (other, sent_other)) = (new(1), new(2));
        for (file, sent) in [(&one, &sent_one), (&other, &sent_other)] {
            let part = sent.part(30_000, 50_000);
            let (found, position) = files.find(&part).unwrap();
            assert!(Arc::ptr_eq(&found, file));
            assert_eq!(position, 30_000);
            assert!(files.find(&part.slice(..SENT_BYTES_MIN - 1)).is_none());
        }
        assert!(files.find(&vec![0; 1 << 20]).is_none(), "memory");
        let part = sent_one.part(0, 100_000);
        drop(sent_one);
        assert!(files.find(&part).is_none());
        assert!(files.find(&sent_other.part(0, 100_000)).is_some());
    }
}
