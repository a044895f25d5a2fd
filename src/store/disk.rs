//! The directory store: objects are files whose path below the root is their key.
//!
//! Owns what a directory must be to be a store, and moves the blocking work off the threads that serve. The root is
//! opened anew for every step, so that a store that is unmounted, mounted again or replaced is noticed; a step never
//! mixes two roots. Files on their way in, and locks, live in `.headwater/`, which no key can name.
//!
//! Read next: `disk/beneath.rs` for how a key becomes a file, `disk/place.rs` for the order of rename and sync.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{
    Blob, Content, Created, Document, Entry, Facts, Key, Reservation, Store, StoreError, Swapped,
    Sweep, Tag, Upload, tag_of,
};
use crate::crash;

mod beneath;
mod listing;
mod lock;
mod place;
mod staging;
mod upload;

use lock::Lock;
use staging::{Staging, Temporary};

/// The folders that make a directory a store.
const FOLDERS: [&str; 2] = ["artifacts", "channels"];

/// How long to wait before a held lock is asked for again. Swaps and the staging gate are held for one sync.
const LOCK_INTERVAL: Duration = Duration::from_millis(2);

/// A store in a directory. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct DirectoryStore {
    directory: Arc<Directory>,
}

/// The blocking side of a [`DirectoryStore`].
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// Made by the first write, so that a store that is only read needs no right to write.
    staging: Mutex<Option<Arc<Staging>>>,
}

impl DirectoryStore {
    /// Opens a directory that is a store already.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = root.as_ref();
        let fail = |source| StoreError::new("open the store", path.display(), source);
        // The absolute path: a process may change its directory.
        let directory = Directory::at(path.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => fail(no_store(path, "there is no such directory")),
            _ => fail(error),
        })?);
        directory.check().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                fail(no_store(path, &error.to_string()))
            }
            _ => fail(error),
        })?;
        Ok(Self::over(directory))
    }

    /// Makes a directory a store, or opens it if it is one.
    pub fn init(root: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = root.as_ref();
        let fail = |source| StoreError::new("create the store", path.display(), source);
        std::fs::create_dir_all(path).map_err(fail)?;
        let directory = Directory::at(path.canonicalize().map_err(fail)?);
        let make = || -> Result<(), Errno> {
            let root = directory.root()?;
            for folder in FOLDERS {
                rustix::fs::fsync(beneath::make_folder(&root, folder)?)?;
            }
            rustix::fs::fsync(&root)
        };
        make().map_err(|errno| fail(errno.into()))?;
        Ok(Self::over(directory))
    }

    fn over(directory: Directory) -> Self {
        Self {
            directory: Arc::new(directory),
        }
    }

    /// The directory, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory.path
    }

    /// Runs blocking work on the runtime's threads for that.
    async fn blocking<T, F>(
        &self,
        action: &'static str,
        subject: &str,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Directory) -> io::Result<T> + Send + 'static,
    {
        let directory = Arc::clone(&self.directory);
        let result = run_blocking(move || work(&directory)).await;
        result.map_err(|source| self.directory.error(action, subject, source))
    }

    /// Asks until nobody else holds what `attempt` wants.
    async fn insist<T, F>(
        &self,
        action: &'static str,
        subject: &str,
        attempt: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Directory) -> io::Result<Option<T>> + Clone + Send + 'static,
    {
        loop {
            if let Some(got) = self.blocking(action, subject, attempt.clone()).await? {
                return Ok(got);
            }
            tokio::time::sleep(LOCK_INTERVAL).await;
        }
    }

    /// This publisher's folder of temporary files.
    async fn staging(&self) -> Result<Arc<Staging>, StoreError> {
        self.insist("write to the store", "", Directory::try_staging)
            .await
    }
}

fn no_store(path: &Path, why: &str) -> io::Error {
    let hint = format!(
        "{why}; `headwater init --store {}` makes it a store",
        path.display()
    );
    io::Error::new(io::ErrorKind::NotFound, hint)
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Err(cancelled) => Err(io::Error::new(io::ErrorKind::Interrupted, cancelled)), // the runtime ends
    }
}

impl Directory {
    fn at(path: PathBuf) -> Self {
        Self {
            path,
            staging: Mutex::new(None),
        }
    }

    fn error(&self, action: &'static str, subject: &str, source: io::Error) -> StoreError {
        if subject.is_empty() {
            return StoreError::new(action, self.path.display(), source);
        }
        StoreError::new(action, self.path.join(subject).display(), source)
    }

    fn root(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.path, flags, Mode::empty())
    }

    /// Whether the directory is there, can be read and is a store.
    fn check(&self) -> io::Result<()> {
        let root = self.root()?;
        for folder in FOLDERS {
            match beneath::open_folder(&root, folder) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                    let why = format!("there is no `{folder}` folder in it");
                    return Err(io::Error::new(io::ErrorKind::NotFound, why));
                }
                result => drop(result?),
            }
        }
        Ok(())
    }

    /// `found`, unless it is nothing because the whole store is gone: an unmounted disk must not turn into 404s.
    fn unless_gone<T>(&self, found: Option<T>) -> io::Result<Option<T>> {
        if found.is_none() {
            self.check()?;
        }
        Ok(found)
    }

    fn read(&self, key: &Key, size_max: u64) -> io::Result<Option<Document>> {
        let found = beneath::open_file(self.root()?, key.as_str())?;
        let Some((file, size)) = self.unless_gone(found)? else {
            return Ok(None);
        };
        let too_large = || {
            let why = format!("it has more than the {size_max} bytes that are allowed");
            io::Error::new(io::ErrorKind::FileTooLarge, why)
        };
        if size > size_max {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
        file.take(size_max.saturating_add(1))
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > size_max {
            return Err(too_large()); // it grew since
        }
        let tag = tag_of(&bytes);
        Ok(Some(Document {
            bytes: bytes.into(),
            tag,
        }))
    }

    /// `None` while another publisher starts or sweeps.
    fn try_staging(&self) -> io::Result<Option<Arc<Staging>>> {
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        if staging.is_none() {
            *staging = Staging::try_new(self.root()?)?.map(Arc::new);
        }
        Ok(staging.clone())
    }

    /// A temporary file with these bytes, durable, without a name yet.
    fn stage(staging: &Arc<Staging>, bytes: &[u8]) -> io::Result<Temporary> {
        let temporary = Temporary::new(staging)?;
        upload::write_all(&temporary.file, bytes)?;
        crash::point("store.document-written");
        rustix::fs::fsync(&temporary.file)?;
        Ok(temporary)
    }

    fn put_new(&self, staging: &Arc<Staging>, key: &Key, bytes: &[u8]) -> io::Result<Created> {
        let root = self.root()?;
        let temporary = Self::stage(staging, bytes)?;
        crash::point("store.document-staged");
        let created = place::place_new(&root, temporary, key)?;
        crash::point("store.document-placed");
        // Also when it was taken: whoever is told "it is there" builds on it.
        place::sync_folders(&root, std::slice::from_ref(key))?;
        Ok(created)
    }

    fn swap(
        &self,
        staging: &Arc<Staging>,
        key: &Key,
        expected: Option<&Tag>,
        bytes: &[u8],
    ) -> io::Result<Swapped> {
        let current = self.read(key, u64::MAX)?;
        if current.map(|document| document.tag).as_ref() != expected {
            return Ok(Swapped::Lost);
        }
        let root = self.root()?;
        let temporary = Self::stage(staging, bytes)?;
        crash::point("store.document-staged");
        if expected.is_some() {
            place::place_over(&root, temporary, key)?;
        } else if place::place_new(&root, temporary, key)? == Created::Taken {
            return Ok(Swapped::Lost); // by something that is no object, or by a program without locks
        }
        crash::point("store.document-placed");
        place::sync_folders(&root, std::slice::from_ref(key))?;
        Ok(Swapped::Done)
    }
}

/// A prefix whose segments lead downwards and not into `.headwater`.
fn is_legal_prefix(prefix: &str) -> bool {
    let folders = prefix.strip_suffix('/').unwrap_or_default();
    FOLDERS.contains(&folders.split('/').next().unwrap_or_default())
        && folders.split('/').all(|s| !matches!(s, "" | "." | ".."))
}

#[async_trait]
impl Store for DirectoryStore {
    fn describe(&self) -> String {
        self.directory.path.display().to_string()
    }

    async fn stat(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        let path = key.clone();
        self.blocking("look at", key.as_str(), move |directory| {
            let found = beneath::stat_file(directory.root()?, path.as_str())?;
            directory.unless_gone(found)
        })
        .await
    }

    async fn open(&self, key: &Key) -> Result<Option<Blob>, StoreError> {
        let path = key.clone();
        self.blocking("open", key.as_str(), move |directory| {
            let found = beneath::open_file(directory.root()?, path.as_str())?;
            let found = directory.unless_gone(found)?;
            Ok(found.map(|(file, size)| Blob {
                content: Content::File(Arc::new(file)),
                size,
            }))
        })
        .await
    }

    async fn read(&self, key: &Key, size_max: u64) -> Result<Option<Document>, StoreError> {
        let path = key.clone();
        self.blocking("read", key.as_str(), move |directory| {
            directory.read(&path, size_max)
        })
        .await
    }

    async fn create(&self, key: &Key, facts: &Facts) -> Result<Box<dyn Upload>, StoreError> {
        let staging = self.staging().await?;
        let upload = upload::DirectoryUpload::new(self.clone(), staging, key.clone(), facts.size);
        Ok(Box::new(upload))
    }

    async fn settle(&self, keys: &[Key]) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        self.blocking("sync", "", move |directory| {
            Ok(place::sync_objects(&directory.root()?, &keys)?)
        })
        .await
    }

    async fn put_new(&self, key: &Key, bytes: Bytes) -> Result<Created, StoreError> {
        let staging = self.staging().await?;
        let path = key.clone();
        self.blocking("create", key.as_str(), move |directory| {
            directory.put_new(&staging, &path, &bytes)
        })
        .await
    }

    async fn swap(
        &self,
        key: &Key,
        expected: Option<&Tag>,
        bytes: Bytes,
    ) -> Result<Swapped, StoreError> {
        let staging = self.staging().await?;
        let scope = format!("swap {key}");
        let _lock = self
            .insist("lock", key.as_str(), move |directory| {
                Ok(Lock::try_acquire(directory.root()?, &scope)?)
            })
            .await?;
        let (path, expected) = (key.clone(), expected.cloned());
        self.blocking("replace", key.as_str(), move |directory| {
            directory.swap(&staging, &path, expected.as_ref(), &bytes)
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        if !is_legal_prefix(prefix) {
            return Ok(Vec::new());
        }
        let path = prefix.to_owned();
        self.blocking("list", prefix, move |directory| {
            directory.check()?;
            Ok(listing::tree(&directory.root()?, &path)?)
        })
        .await
    }

    async fn list_folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        if !is_legal_prefix(prefix) {
            return Ok(Vec::new());
        }
        let path = prefix.trim_end_matches('/').to_owned();
        self.blocking("list", prefix, move |directory| {
            directory.check()?;
            let mut names = match beneath::open_folder(directory.root()?, &path) {
                Err(errno) if beneath::is_absence(errno) => Vec::new(),
                folder => listing::folders(folder?)?,
            };
            names.sort();
            Ok(names)
        })
        .await
    }

    async fn remove(&self, keys: &[Key]) -> Result<(), StoreError> {
        let subject = keys.first().map_or("", Key::as_str).to_owned();
        let keys = keys.to_vec();
        self.blocking("remove", &subject, move |directory| {
            Ok(place::remove_objects(&directory.root()?, &keys)?)
        })
        .await
    }

    async fn try_reserve(&self, scope: &str) -> Result<Option<Box<dyn Reservation>>, StoreError> {
        let name = scope.to_owned();
        let lock = self
            .blocking("reserve", scope, move |directory| {
                Ok(Lock::try_acquire(
                    directory.root()?,
                    &format!("reserve {name}"),
                )?)
            })
            .await?;
        Ok(lock.map(|lock| Box::new(lock) as Box<dyn Reservation>))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.blocking("read", "", Directory::check).await
    }

    async fn sweep(&self, mode: Sweep) -> Result<Vec<Entry>, StoreError> {
        self.insist("sweep", "", move |directory| {
            Ok(staging::try_sweep(&directory.root()?, mode)?)
        })
        .await
    }
}
