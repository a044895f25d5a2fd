//! The files that large bodies are kept in: private ones without a name, so that nothing is left after a crash.
//!
//! Owns the space in them. The large ones have a file each, which the kernel sends by itself (`sent.rs`), as long as there
//! are not too many. All others share one file, because a descriptor for each would run out; space in it is handed out
//! upwards and given back to the file system as holes, so that there is no allocator to get wrong. Never keeps a byte in
//! memory. Who reads and writes is `bodies.rs`.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::fs::FallocateFlags;
use rustix::io::ReadWriteFlags;

use super::sent::{SENT_FILES_MAX, SentFile, SentFiles};

/// A new file is begun after so many bytes: below the largest file of every usual file system (16 TiB on ext4).
const FILE_BYTES: u64 = 1 << 40;
/// What is larger has a file of its own. Below that a copy is cheap; and a body of unknown length begins with this.
const SHARED_BYTES_MAX: u64 = 1 << 20;
/// How far apart pages are looked at for being in memory, and how much is read at a time to bring them there. The kernel
/// reads and forgets files in such steps.
const PROBE_BYTES: u64 = 64 << 10;
/// Holes are punched by whole pages.
const PAGE_BYTES: u64 = 4096;
/// `pwritev` takes at most 1,024 buffers (`IOV_MAX`).
const BUFFERS_MAX: usize = 1024;
/// What tmpfs says that it is (statfs(2)): the folder for temporary files of many systems.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Space for bodies.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    /// There is no device to wait for.
    is_memory: bool,
    growing: Mutex<Growing>,
    sent: Arc<SentFiles>,
}

#[derive(Debug)]
struct Growing {
    file: Arc<File>,
    next: u64,
}

/// A part of a file. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Extent {
    file: Arc<File>,
    is_memory: bool,
    offset: u64,
    len: u64,
    /// It is a file of its own.
    sent: Option<SentFile>,
}

impl Disk {
    /// Makes the file at once, so that a folder that cannot be used is known before the first large body.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        let kind = rustix::fs::fstatfs(&file)?.f_type;
        Ok(Self {
            folder: folder.to_owned(),
            is_memory: u64::try_from(kind) == Ok(TMPFS_MAGIC),
            growing: Mutex::new(Growing {
                file: Arc::new(file),
                next: 0,
            }),
            sent: Arc::new(SentFiles::new(SENT_FILES_MAX)),
        })
    }

    /// The files that the kernel sends by itself.
    pub(super) fn sent(&self) -> &Arc<SentFiles> {
        &self.sent
    }

    /// Space for `len` bytes. They need not all be used.
    pub(super) fn allocate(&self, len: u64) -> io::Result<Extent> {
        let len = len.max(1).next_multiple_of(PAGE_BYTES);
        if len > SHARED_BYTES_MAX
            && !self.sent.is_full()
            && let Ok(extent) = self.own_file(len)
        {
            return Ok(extent); // else as if it were small: there may be no descriptor left
        }
        let mut growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        if growing.next > 0 && growing.next.saturating_add(len) > FILE_BYTES {
            growing.file = Arc::new(tempfile::tempfile_in(&self.folder)?);
            growing.next = 0;
        }
        let offset = growing.next;
        growing.next += len;
        Ok(Extent {
            file: Arc::clone(&growing.file),
            is_memory: self.is_memory,
            offset,
            len,
            sent: None,
        })
    }

    fn own_file(&self, len: u64) -> io::Result<Extent> {
        let file = Arc::new(tempfile::tempfile_in(&self.folder)?);
        let sent = self.sent.add(&file, len)?;
        Ok(Extent {
            file,
            is_memory: self.is_memory,
            offset: 0,
            len,
            sent: Some(sent),
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

    /// What stands for these bytes when they are sent to a socket, if the kernel can do that by itself. Not to be read.
    pub(super) fn part(&self, at: u64, len: u64) -> Option<Bytes> {
        Some(self.sent.as_ref()?.part(at, len))
    }

    /// Whether these bytes are in memory, as far as a few looks can tell.
    pub(super) fn is_in_memory(&self, at: u64, len: u64) -> bool {
        let places = (at..at + len).step_by(usize::try_from(PROBE_BYTES).unwrap_or(1));
        let mut byte = [0];
        places
            .chain([at + len - 1])
            .all(|at| self.read_now(&mut byte, at).is_some())
    }

    /// Brings these bytes into memory. Blocks.
    pub(super) fn load(&self, at: u64, len: u64) -> io::Result<()> {
        let mut buffer = vec![0; usize::try_from(len.min(PROBE_BYTES)).unwrap_or(0)];
        let mut rest = at..at + len;
        while rest.start < rest.end {
            let step = (rest.end - rest.start).min(PROBE_BYTES);
            let buffer = &mut buffer[..usize::try_from(step).unwrap_or(0)];
            self.read(buffer, rest.start)?;
            rest.start += step;
        }
        Ok(())
    }

    /// What of the buffer can be filled from memory, without waiting for a device. `None`: nothing.
    pub(super) fn read_now(&self, buffer: &mut [u8], at: u64) -> Option<usize> {
        let mut buffers = [IoSliceMut::new(buffer)];
        let flags = if self.is_memory {
            ReadWriteFlags::empty() // tmpfs refuses the question, and never waits but for what was swapped out
        } else {
            ReadWriteFlags::NOWAIT
        };
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
        let (file, offset, len) = (Arc::clone(&self.file), self.offset, self.len);
        let own = self.sent.take();
        let give_back = move || {
            if own.is_some() {
                // Never a hole: sockets may hold pages of it that are still to be sent, and of a page that a hole takes
                // only a part of, that part becomes zeros. The space is free when the file is.
                return drop((own, file));
            }
            // A file system without holes keeps the space until the file goes, which costs room and nothing else.
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = rustix::fs::fallocate(&*file, flags, offset, len);
        };
        // Gigabytes take the file system a while.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if len > SHARED_BYTES_MAX => drop(runtime.spawn_blocking(give_back)),
            _ => give_back(),
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
    fn only_large_bodies_have_a_file_of_their_own_and_only_so_many() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk {
            sent: Arc::new(SentFiles::new(3)),
            ..Disk::new(folder.path()).unwrap()
        };
        let small = disk.allocate(SHARED_BYTES_MAX).unwrap();
        assert!(small.part(0, 1).is_none());
        let large: Vec<_> = (0..3)
            .map(|_| disk.allocate(SHARED_BYTES_MAX + 1).unwrap())
            .collect();
        assert!(large.iter().all(|extent| extent.part(0, 1).is_some()));
        let one_more = disk.allocate(SHARED_BYTES_MAX + 1).unwrap();
        assert!(one_more.part(0, 1).is_none());
        drop(large);
        let again = disk.allocate(SHARED_BYTES_MAX + 1).unwrap();
        assert!(again.part(0, 1).is_some());
        for extent in [&one_more, &again] {
            extent.write(&[vec![7; 100_000].into()], 1000).unwrap();
            assert!(extent.is_in_memory(1000, 100_000));
            extent.load(1000, 100_000).unwrap();
            assert!(
                extent.load(1000, 200_000).is_err(),
                "beyond what is written"
            );
        }
    }

    #[test]
    fn in_a_file_system_in_memory_everything_is_in_memory() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        for len in [SHARED_BYTES_MAX, SHARED_BYTES_MAX + 1] {
            let extent = disk.allocate(len).unwrap();
            extent.write(&[vec![7; 100_000].into()], 0).unwrap();
            assert!(extent.is_in_memory(0, 100_000));
            let mut read = [0; 1000];
            assert_eq!(extent.read_now(&mut read, 99_500), Some(500));
            assert_eq!(extent.read_now(&mut read, 100_000), None);
        }
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
