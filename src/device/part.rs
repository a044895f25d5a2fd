//! The artifact on this machine: the partial file, and the finished one that it becomes.
//!
//! Owns the names of both, the lock that keeps a second download out, and the rule that nothing reaches the final
//! name before every digest matched. Never speaks to the network; all of it blocks, `download.rs` calls it from a
//! blocking thread.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::error::DeviceError;
use crate::catalog::Artifact;
use crate::model::{ArtifactName, ByteRange, Digest, Digester, PIECE_BYTES};

/// The longest file name of the file systems that devices have.
const FILE_NAME_BYTES_MAX: usize = 255;

/// Large enough that a read costs nothing beside its hash, small enough for a device.
const READ_BYTES: usize = 256 * 1024;

/// A download that is not finished. Holds a lock on its file until it is dropped.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    path: PathBuf,
    target: PathBuf,
    layout: Layout,
    /// Of everything in the file.
    whole: Digester,
    /// Of the piece that is being filled.
    piece: Digester,
    len: u64,
    /// The state at the end of the last piece whose digest matched; a bad piece falls back to it.
    sealed: Sealed,
}

#[derive(Clone, Debug, Default)]
struct Sealed {
    whole: Digester,
    len: u64,
}

/// A piece whose digest does not match. Its bytes are gone from the partial file.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadPiece {
    pub(super) range: ByteRange,
    pub(super) expected: Digest,
    pub(super) actual: Digest,
}

impl Part {
    /// Opens the partial download of `artifact` in `output`, or starts one, and verifies what it holds: of a piece
    /// that does not match nothing is kept, nor of those behind it.
    pub(super) fn open(output: &Path, artifact: &Artifact) -> Result<Self, DeviceError> {
        let path = output.join(part_name(&artifact.name, artifact.sha256));
        let file = open_locked(&path)?;
        let mut part = Self {
            file,
            path,
            target: target(output, &artifact.name),
            layout: Layout::of(artifact),
            whole: Digester::new(),
            piece: Digester::new(),
            len: 0,
            sealed: Sealed::default(),
        };
        part.resume()?;
        Ok(part)
    }

    fn resume(&mut self) -> Result<(), DeviceError> {
        let on_disk = self.io("inspect", |part| part.file.metadata())?.len();
        let size = self.layout.size;
        if on_disk > size {
            self.io("truncate", |part| part.file.set_len(size))?;
        }
        let mut buffer = vec![0; READ_BYTES];
        while self.len < on_disk.min(size) {
            let got = self.io("read", |part| part.file.read_at(&mut buffer, part.len))?;
            if got == 0 || self.account(&buffer[..got])?.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// How many bytes are here. All pieces but the last are verified.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Appends bytes; stops at a piece that does not match. The caller never appends past the artifact's size.
    pub(super) fn append(&mut self, chunks: &[Bytes]) -> Result<Option<BadPiece>, DeviceError> {
        for chunk in chunks {
            self.io("write", |part| part.file.write_all_at(chunk, part.len))?;
            let bad = self.account(chunk)?;
            if bad.is_some() {
                return Ok(bad);
            }
        }
        Ok(None)
    }

    /// Counts bytes that are in the file, and seals each piece that they complete.
    fn account(&mut self, mut bytes: &[u8]) -> Result<Option<BadPiece>, DeviceError> {
        while !bytes.is_empty() {
            let (range, expected) = self.layout.piece_at(self.len);
            let room = usize::try_from(range.end() - self.len).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.whole.update(now);
            self.piece.update(now);
            self.len += now.len() as u64;
            bytes = later;
            if self.len < range.end() {
                continue;
            }
            let actual = std::mem::take(&mut self.piece).finish();
            if actual != expected {
                let sealed = self.sealed.clone();
                self.fall_back(sealed)?;
                return Ok(Some(BadPiece {
                    range,
                    expected,
                    actual,
                }));
            }
            self.sealed = Sealed {
                whole: self.whole.clone(),
                len: self.len,
            };
        }
        Ok(None)
    }

    /// Forgets everything that arrived.
    pub(super) fn restart(&mut self) -> Result<(), DeviceError> {
        self.fall_back(Sealed::default())
    }

    fn fall_back(&mut self, sealed: Sealed) -> Result<(), DeviceError> {
        self.len = sealed.len;
        self.whole = sealed.whole.clone();
        self.piece = Digester::new();
        self.sealed = sealed;
        self.io("truncate", |part| part.file.set_len(part.len))
    }

    /// Makes the complete artifact durable and then visible under its own name. A digest that does not match gives
    /// back the one that was found, and leaves nothing to resume.
    pub(super) fn finish(&mut self) -> Result<Result<PathBuf, Digest>, DeviceError> {
        let actual = self.whole.clone().finish();
        if actual != self.layout.sha256 {
            self.io("remove", |part| fs::remove_file(&part.path))?;
            return Ok(Err(actual));
        }
        self.io("sync", |part| part.file.sync_all())?;
        #[expect(
            clippy::disallowed_methods,
            reason = "replacing the version before is what an update does; the store's verbs are for stores"
        )]
        let renamed = fs::rename(&self.path, &self.target);
        renamed.map_err(|error| DeviceError::local("replace", &self.target, error))?;
        // The directory too: without it a crash can forget the rename.
        let folder = self.target.parent().unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| DeviceError::local("sync", folder, error))?;
        Ok(Ok(self.target.clone()))
    }

    fn io<T>(
        &mut self,
        action: &'static str,
        step: impl FnOnce(&Self) -> io::Result<T>,
    ) -> Result<T, DeviceError> {
        step(self).map_err(|error| DeviceError::local(action, &self.path, error))
    }
}

/// Which digest belongs to which bytes.
#[derive(Debug)]
struct Layout {
    size: u64,
    sha256: Digest,
    pieces: Vec<Digest>,
}

impl Layout {
    fn of(artifact: &Artifact) -> Self {
        Self {
            size: artifact.size,
            sha256: artifact.sha256,
            pieces: artifact.pieces.sha256.clone(),
        }
    }

    /// The piece that the byte at `position` belongs to.
    fn piece_at(&self, position: u64) -> (ByteRange, Digest) {
        let at = position / PIECE_BYTES;
        let offset = at * PIECE_BYTES;
        let len = PIECE_BYTES.min(self.size.saturating_sub(offset));
        // Release documents are checked when they are read: there is a digest for every piece.
        let digest = usize::try_from(at).ok().and_then(|at| self.pieces.get(at));
        (ByteRange::new(offset, len), *digest.unwrap_or(&self.sha256))
    }
}

/// Where the artifact ends up: the last segment of its name.
pub(super) fn target(output: &Path, name: &ArtifactName) -> PathBuf {
    output.join(base_name(name))
}

/// Whether the artifact is in place: a regular file with its digest.
pub(super) fn is_in_place(target: &Path, artifact: &Artifact) -> Result<bool, DeviceError> {
    let found = match fs::symlink_metadata(target) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(DeviceError::local("inspect", target, error)),
    };
    if found.is_dir() {
        let error = io::Error::from(io::ErrorKind::IsADirectory);
        return Err(DeviceError::local("replace", target, error));
    }
    // A link is replaced, not followed: what it points at may change without us.
    if !found.is_file() || found.len() != artifact.size {
        return Ok(false);
    }
    let digest = digest_of(target).map_err(|error| DeviceError::local("read", target, error))?;
    Ok(digest == artifact.sha256)
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut digester = Digester::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digester.finish()),
            got => digester.update(&buffer[..got]),
        }
    }
}

/// Creates the folder of the artifact and removes what is left in it of other versions of the same artifact, unless
/// somebody is downloading it: a device that never finishes a version must not fill its disk with them.
pub(super) fn prepare(output: &Path, artifact: &Artifact) -> Result<(), DeviceError> {
    fs::create_dir_all(output).map_err(|error| DeviceError::local("create", output, error))?;
    let ours = part_name(&artifact.name, artifact.sha256);
    let stem = part_stem(&artifact.name);
    let entries = fs::read_dir(output).map_err(|e| DeviceError::local("list", output, e))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| *name != ours) else {
            continue;
        };
        if is_part_of(name, &stem) {
            // Litter is no reason to fail: the one who holds it, or who owns the folder, takes care of it.
            if let Ok(_lock) = open_locked(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
    Ok(())
}

fn is_part_of(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem)
        .and_then(|rest| rest.strip_suffix(PART_SUFFIX))
        .is_some_and(|hex| hex.len() == PART_HEX && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

const PART_SUFFIX: &str = ".part";

/// 64 bits of the digest: enough to tell the versions of one artifact apart; the digests decide about the bytes.
const PART_HEX: usize = 16;

/// `.{name}.{digest}.part`: hidden, beside the target so that a rename suffices, and named for the bytes, so that
/// an earlier download of the very same artifact is found again without any record.
fn part_name(name: &ArtifactName, sha256: Digest) -> String {
    let hex = &sha256.to_hex()[..PART_HEX];
    format!("{}{hex}{PART_SUFFIX}", part_stem(name))
}

/// `.{name}.`, shortened where the whole would be too long for a file name.
fn part_stem(name: &ArtifactName) -> String {
    let base = base_name(name);
    let room = FILE_NAME_BYTES_MAX - "..".len() - PART_HEX - PART_SUFFIX.len();
    let mut cut = base.len().min(room);
    while !base.is_char_boundary(cut) {
        cut -= 1;
    }
    format!(".{}.", &base[..cut])
}

fn base_name(name: &ArtifactName) -> &str {
    name.as_str().rsplit('/').next().unwrap_or_default()
}

/// How long a taken lock is waited for. A download that was broken off in this very process may still be at its last
/// write; one of another process takes minutes, and whoever meets it is refused.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked at meanwhile.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Opens or creates a file and locks it. The lock dies with the process; whoever finds it taken for long is refused
/// rather than kept waiting, so that timers do not pile up behind a slow download. Blocks.
fn open_locked(path: &Path) -> Result<File, DeviceError> {
    let mut waited = Duration::ZERO;
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // A link could lead the bytes to any file that this user may write.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(|error| DeviceError::local("create", path, error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) if waited < LOCK_PATIENCE => {
                std::thread::sleep(LOCK_PAUSE);
                waited += LOCK_PAUSE;
                continue;
            }
            Err(Errno::WOULDBLOCK) => {
                return Err(DeviceError::Busy {
                    path: path.to_owned(),
                });
            }
            Err(error) => return Err(DeviceError::local("lock", path, error)),
        }
        let opened = file
            .metadata()
            .map_err(|error| DeviceError::local("inspect", path, error))?;
        if !opened.is_file() {
            let error = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(DeviceError::local("write", path, error));
        }
        // Between the open and the lock another download may have finished and renamed this very file: it is no
        // longer ours to write to.
        match fs::symlink_metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (opened.dev(), opened.ino()) => {
                return Ok(file);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(DeviceError::local("inspect", path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pieces and a bit.
    fn bytes() -> Vec<u8> {
        let len = usize::try_from(PIECE_BYTES * 2 + 1000).unwrap();
        (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    fn artifact(name: &str, bytes: &[u8]) -> Artifact {
        let piece = usize::try_from(PIECE_BYTES).unwrap();
        Artifact {
            name: ArtifactName::parse(name).unwrap(),
            size: bytes.len() as u64,
            sha256: Digest::of(bytes),
            content_type: "application/octet-stream".into(),
            platform: None,
            pieces: crate::catalog::Pieces {
                size: PIECE_BYTES,
                sha256: bytes.chunks(piece).map(Digest::of).collect(),
            },
        }
    }

    fn left_behind(folder: &Path, artifact: &Artifact, bytes: &[u8]) {
        fs::write(
            folder.join(part_name(&artifact.name, artifact.sha256)),
            bytes,
        )
        .unwrap();
    }

    #[test]
    fn a_partial_file_is_taken_up_where_it_ends() {
        let (folder, bytes) = (tempfile::tempdir().unwrap(), bytes());
        let artifact = artifact("a", &bytes);
        left_behind(folder.path(), &artifact, &bytes[..5_000_000]);
        let mut part = Part::open(folder.path(), &artifact).unwrap();
        assert_eq!(part.len(), 5_000_000);
        let rest = Bytes::copy_from_slice(&bytes[5_000_000..]);
        assert!(part.append(&[rest]).unwrap().is_none());
        let path = part.finish().unwrap().unwrap();
        assert_eq!(fs::read(path).unwrap(), bytes);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_bad_piece_on_disk_is_dropped_with_everything_behind_it() {
        let (folder, bytes) = (tempfile::tempdir().unwrap(), bytes());
        let artifact = artifact("a", &bytes);
        let mut damaged = bytes.clone();
        damaged[5_000_000] ^= 1;
        left_behind(folder.path(), &artifact, &damaged);
        assert_eq!(
            Part::open(folder.path(), &artifact).unwrap().len(),
            PIECE_BYTES
        );
    }

    #[test]
    fn a_partial_file_that_is_too_long_keeps_its_good_pieces() {
        let (folder, bytes) = (tempfile::tempdir().unwrap(), bytes());
        let artifact = artifact("a", &bytes);
        left_behind(
            folder.path(),
            &artifact,
            &[bytes.clone(), vec![7; 99]].concat(),
        );
        let mut part = Part::open(folder.path(), &artifact).unwrap();
        assert_eq!(part.len(), artifact.size);
        assert_eq!(fs::read(part.finish().unwrap().unwrap()).unwrap(), bytes);
    }

    #[test]
    fn a_bad_piece_in_the_stream_falls_back_to_the_end_of_the_good_one_before_it() {
        let (folder, bytes) = (tempfile::tempdir().unwrap(), bytes());
        let artifact = artifact("a", &bytes);
        let mut damaged = bytes.clone();
        damaged[5_000_000] ^= 1;
        let mut part = Part::open(folder.path(), &artifact).unwrap();
        let bad = part.append(&[Bytes::from(damaged)]).unwrap().unwrap();
        assert_eq!(bad.range, ByteRange::new(PIECE_BYTES, PIECE_BYTES));
        assert_eq!(part.len(), PIECE_BYTES);
        let at = usize::try_from(PIECE_BYTES).unwrap();
        let again = Bytes::copy_from_slice(&bytes[at..]);
        assert!(part.append(&[again]).unwrap().is_none());
        assert_eq!(fs::read(part.finish().unwrap().unwrap()).unwrap(), bytes);
    }

    #[test]
    fn pieces_that_fit_do_not_excuse_a_whole_that_does_not() {
        let (folder, bytes) = (tempfile::tempdir().unwrap(), bytes());
        let mut artifact = artifact("a", &bytes);
        artifact.sha256 = Digest::of(b"something else");
        let mut part = Part::open(folder.path(), &artifact).unwrap();
        assert!(
            part.append(&[Bytes::from(bytes.clone())])
                .unwrap()
                .is_none()
        );
        assert_eq!(part.finish().unwrap(), Err(Digest::of(&bytes)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_second_download_of_the_same_artifact_is_refused_while_the_first_lives() {
        let folder = tempfile::tempdir().unwrap();
        let artifact = artifact("a", b"abc");
        let first = Part::open(folder.path(), &artifact).unwrap();
        let refusal = Part::open(folder.path(), &artifact).unwrap_err();
        assert!(matches!(refusal, DeviceError::Busy { .. }), "{refusal}");
        drop(first);
        Part::open(folder.path(), &artifact).unwrap();
    }

    #[test]
    fn partial_files_of_other_versions_go_unless_somebody_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let (old, older, new) = (
            artifact("x/a", b"1"),
            artifact("a", b"2"),
            artifact("a", b"3"),
        );
        left_behind(folder.path(), &old, b"");
        let held = Part::open(folder.path(), &older).unwrap();
        let foreign = [
            ".a.b.part",
            "a",
            ".a.0123456789abcdeX.part",
            ".b.0123456789abcdef.part",
        ];
        for name in foreign {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        prepare(folder.path(), &new).unwrap();
        let left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(
            !left.contains(&part_name(&old.name, old.sha256)),
            "{left:?}"
        );
        assert!(
            left.contains(&part_name(&older.name, older.sha256)),
            "{left:?}"
        );
        assert!(
            foreign
                .iter()
                .all(|name| left.contains(&(*name).to_owned())),
            "{left:?}"
        );
        drop(held);
    }

    #[test]
    fn a_link_is_never_written_through_nor_taken_for_the_artifact() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let artifact = artifact("a", b"abc");
        let victim = elsewhere.path().join("victim");
        fs::write(&victim, b"abc").unwrap();
        let name = part_name(&artifact.name, artifact.sha256);
        std::os::unix::fs::symlink(&victim, folder.path().join(name)).unwrap();
        assert!(Part::open(folder.path(), &artifact).is_err());
        let target = folder.path().join("a");
        std::os::unix::fs::symlink(&victim, &target).unwrap();
        assert!(!is_in_place(&target, &artifact).unwrap());
        assert_eq!(fs::read(victim).unwrap(), b"abc");
    }

    #[test]
    fn the_longest_artifact_name_has_a_partial_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let artifact = artifact(&format!("{}x", "ä".repeat(127)), b"abc");
        let mut part = Part::open(folder.path(), &artifact).unwrap();
        part.append(&[Bytes::from_static(b"abc")]).unwrap();
        assert!(part.finish().unwrap().unwrap().is_file());
    }

    #[test]
    fn a_lock_that_is_soon_free_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let artifact = artifact("a", b"abc");
        let held = Part::open(folder.path(), &artifact).unwrap();
        std::thread::scope(|scope| {
            let second =
                scope.spawn(|| Part::open(folder.path(), &artifact).map(|part| part.len()));
            std::thread::sleep(LOCK_PAUSE * 3);
            drop(held);
            assert_eq!(second.join().unwrap().unwrap(), 0);
        });
    }
}
