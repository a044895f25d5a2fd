//! Opening what is below a store's root, and nothing else.
//!
//! Owns how a key becomes a descriptor: no link is followed below the root, nothing above it is reached, nothing
//! blocks. Never writes a byte; folders are made here because finding and making them is one walk.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// World-readable, so that another static server can stand in for the origin; the umask takes its part away.
pub(super) const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
/// Writable for the group where the umask lets it: several release engineers may share a store.
pub(super) const FOLDER_MODE: Mode = Mode::from_raw_mode(0o775);

/// A folder that can be listed and synced.
pub(super) const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// A file for reading. `NONBLOCK`: a FIFO in the tree must not stop the thread that looks at it.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Opens the folder `path`, or `root` itself for the empty path.
pub(super) fn open_folder(root: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    open(root, if path.is_empty() { "." } else { path }, FOLDER)
}

/// Opens the regular file `path` with its size, `None` when there is none: nothing, a folder, a link, a FIFO, or a
/// name that no file system can hold.
pub(super) fn open_file(root: impl AsFd, path: &str) -> Result<Option<(File, u64)>, Errno> {
    match open(root, path, READ) {
        Ok(file) => Ok(regular_size(&file)?.map(|size| (file.into(), size))),
        Err(errno) if is_absence(errno) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The size of the regular file `path`, without opening it for reading.
pub(super) fn stat_file(root: impl AsFd, path: &str) -> Result<Option<u64>, Errno> {
    match open(root, path, OFlags::PATH) {
        Ok(file) => regular_size(&file),
        Err(errno) if is_absence(errno) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn regular_size(file: &OwnedFd) -> Result<Option<u64>, Errno> {
    let stat = rustix::fs::fstat(file)?;
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(is_regular.then_some(stat.st_size.cast_unsigned()))
}

/// Whether an error means that no object is there, and not that the store is in trouble.
pub(super) fn is_absence(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT      // nothing there
            | Errno::NOTDIR   // a file where a folder would have to be
            | Errno::ISDIR    // a folder
            | Errno::LOOP     // a link
            | Errno::XDEV     // a link out of the store
            | Errno::NXIO     // a socket
            | Errno::NAMETOOLONG
    )
}

/// Opens `path` below `root`, in one step where the kernel has one.
fn open(root: impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    const BENEATH: ResolveFlags = ResolveFlags::BENEATH
        .union(ResolveFlags::NO_SYMLINKS)
        .union(ResolveFlags::NO_MAGICLINKS);
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    loop {
        match rustix::fs::openat2(&root, path, flags, Mode::empty(), BENEATH) {
            Err(Errno::INTR | Errno::AGAIN) => {} // a rename went on meanwhile: openat2(2), EAGAIN
            // Before Linux 5.6, and in sandboxes that do not know the call.
            Err(Errno::NOSYS | Errno::PERM) => return walk(root, path, flags),
            result => return result,
        }
    }
}

/// The same, segment by segment.
fn walk(root: impl AsFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    const STEP: OFlags = OFlags::PATH
        .union(OFlags::DIRECTORY)
        .union(OFlags::NOFOLLOW)
        .union(OFlags::CLOEXEC);
    let (folders, last) = path.rsplit_once('/').unwrap_or((".", path));
    let mut folder = rustix::fs::openat(root, ".", STEP, Mode::empty())?;
    for segment in folders.split('/') {
        folder = rustix::fs::openat(&folder, segment, STEP, Mode::empty())?;
    }
    rustix::fs::openat(&folder, last, flags, Mode::empty())
}

/// Opens the folder `path`, making what is missing of it.
pub(super) fn make_folder(root: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    match open_folder(&root, path) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let step = FOLDER | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = open_folder(root, "")?;
    for segment in path.split('/') {
        folder = loop {
            match rustix::fs::openat(&folder, segment, step, Mode::empty()) {
                Err(Errno::NOENT) => match rustix::fs::mkdirat(&folder, segment, FOLDER_MODE) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                },
                result => break result?,
            }
        };
    }
    Ok(folder)
}

/// The folder and the name of a key or path.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, OwnedFd) {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("store/a/b")).unwrap();
        std::fs::write(tree.path().join("secret"), "s").unwrap();
        std::fs::write(tree.path().join("store/a/b/file"), "bytes").unwrap();
        symlink("b", tree.path().join("store/a/link")).unwrap();
        symlink("../../secret", tree.path().join("store/a/out")).unwrap();
        let root = File::open(tree.path().join("store")).unwrap().into();
        (tree, root)
    }

    #[test]
    fn one_step_and_the_walk_agree_on_what_is_there() {
        let (_tree, root) = tree();
        let flags = READ | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        for (path, is_there) in [
            ("a/b/file", true),
            ("a/link/file", false),
            ("a/link", false),
            ("a/out", false),
            ("a/b/none", false),
            ("a/b/file/below", false),
        ] {
            assert_eq!(open(&root, path, flags).is_ok(), is_there, "{path}");
            assert_eq!(walk(&root, path, flags).is_ok(), is_there, "{path}");
        }
    }

    #[test]
    fn nothing_above_the_root_is_reached() {
        let (_tree, root) = tree();
        assert!(open(&root, "../secret", READ).is_err());
        assert!(open(&root, "/etc/passwd", READ).is_err());
    }

    #[test]
    fn a_fifo_is_no_object_and_does_not_block() {
        let (tree, root) = tree();
        let fifo = tree.path().join("store/fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
        assert!(open_file(&root, "fifo").unwrap().is_none());
        assert_eq!(stat_file(&root, "fifo").unwrap(), None);
    }
}
