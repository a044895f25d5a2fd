//! The file that large bodies are kept in: a private one without a name, so that nothing is left after a crash.
//!
//! Owns the space in it. One file for all bodies, because a descriptor for each would run out; space is handed out
//! upwards and given back to the file system as holes, so that there is no allocator to get wrong. Never keeps a byte
//! in memory. Who reads and writes is `bodies.rs`.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::fs::FallocateFlags;
use rustix::io::ReadWriteFlags;

/// A new file is begun after so many bytes: below the largest file of every usual file system (16 TiB on ext4).
const FILE_BYTES: u64 = 1 << 40;
/// Holes are punched by whole pages.
const PAGE_BYTES: u64 = 4096;
/// `pwritev` takes at most 1,024 buffers (`IOV_MAX`).
const BUFFERS_MAX: usize = 1024;

/// Space for bodies.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    growing: Mutex<Growing>,
}

#[derive(Debug)]
struct Growing {
    file: Arc<File>,
    next: u64,
}

/// A part of the file. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Extent {
    file: Arc<File>,
    offset: u64,
    len: u64,
}

impl Disk {
    /// Makes the file at once, so that a folder that cannot be used is known before the first large body.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            growing: Mutex::new(Growing {
                file: Arc::new(tempfile::tempfile_in(folder)?),
                next: 0,
            }),
        })
    }

    /// Space for `len` bytes. They need not all be used.
    pub(super) fn allocate(&self, len: u64) -> io::Result<Extent> {
        let len = len.max(1).next_multiple_of(PAGE_BYTES);
        let mut growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        if growing.next > 0 && growing.next.saturating_add(len) > FILE_BYTES {
            growing.file = Arc::new(tempfile::tempfile_in(&self.folder)?);
            growing.next = 0;
        }
        let offset = growing.next;
        growing.next += len;
        Ok(Extent {
            file: Arc::clone(&growing.file),
            offset,
            len,
        })
    }
}

impl Extent {
    /// How many bytes fit.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Writes frames one after the other from `at` on. Blocks.
    pub(super) fn write(&self, frames: &[Bytes], at: u64) -> io::Result<()> {
        let mut position = self.offset + at;
        for frames in frames.chunks(BUFFERS_MAX) {
            let mut buffers: Vec<IoSlice<'_>> =
                frames.iter().map(|frame| IoSlice::new(frame)).collect();
            let mut rest = &mut buffers[..];
            while !rest.is_empty() {
                match rustix::io::pwritev(&self.file, rest, position) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        position += written as u64;
                        IoSlice::advance_slices(&mut rest, written);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// What of the buffer can be filled from memory, without waiting for a device. `None`: nothing.
    pub(super) fn read_now(&self, buffer: &mut [u8], at: u64) -> Option<usize> {
        let mut buffers = [IoSliceMut::new(buffer)];
        let flags = ReadWriteFlags::NOWAIT;
        match rustix::io::preadv2(&self.file, &mut buffers, self.offset + at, flags) {
            Ok(0) | Err(_) => None, // whatever the reason, the blocking read finds it out
            Ok(read) => Some(read),
        }
    }

    /// Fills the buffer. Blocks.
    pub(super) fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, self.offset + at)
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        // A file system without holes keeps the space until the file goes, which costs room and nothing else.
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let (file, offset, len) = (Arc::clone(&self.file), self.offset, self.len);
        let punch = move || {
            let _ = rustix::fs::fallocate(&*file, flags, offset, len);
        };
        // A hole of gigabytes takes the file system a while.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if len > 1 << 20 => drop(runtime.spawn_blocking(punch)),
            _ => punch(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn frames_are_read_back_as_they_were_written_and_leave_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        let _other = disk.allocate(5000).unwrap();
        let extent = disk.allocate(10).unwrap();
        extent
            .write(
                &[Bytes::from_static(b"abc"), Bytes::from_static(b"defg")],
                2,
            )
            .unwrap();
        let mut read = [0; 7];
        extent.read(&mut read, 2).unwrap();
        assert_eq!(&read, b"abcdefg");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_dropped_extent_gives_its_space_back() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        let extent = disk.allocate(1 << 20).unwrap();
        let file = Arc::clone(&extent.file);
        extent.write(&[vec![7; 1 << 20].into()], 0).unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 >= 1 << 20);
        drop(extent);
        assert!(file.metadata().unwrap().blocks() * 512 < 1 << 16);
    }
}
