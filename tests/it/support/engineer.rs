//! A release engineer in process: a store of one's own, a publisher, files to publish.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use headwater::model::{ArtifactName, ChannelName, Product};
use headwater::publish::{
    Mode, Moved, Progress, PublishError, PublishRequest, Published, Publisher, Silent,
};
use headwater::store::disk::DirectoryStore;
use jiff::Timestamp;

use super::release_id;

/// A store, a publisher to it and a folder for inputs. All of it removes itself.
pub struct Engineer {
    pub store: Arc<DirectoryStore>,
    pub publisher: Publisher,
    folder: tempfile::TempDir,
    next_input: AtomicU64,
}

impl Engineer {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(DirectoryStore::init(folder.path().join("store")).unwrap());
        Self {
            publisher: publisher_to(Arc::clone(&store)),
            store,
            folder,
            next_input: AtomicU64::new(0),
        }
    }

    /// A new folder with these files.
    pub fn files(&self, files: &[(&str, &[u8])]) -> PathBuf {
        let number = self.next_input.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.path().join(format!("input-{number}"));
        std::fs::create_dir(&folder).unwrap();
        for (name, bytes) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        folder
    }

    /// Publishes these files.
    pub async fn publish(
        &self,
        product: &str,
        version: &str,
        files: &[(&str, &[u8])],
    ) -> Result<Published, PublishError> {
        let folder = self.files(files);
        let request = request(product, version, &[&folder]);
        self.publisher.publish(request, Arc::new(Silent)).await
    }

    pub async fn promote(
        &self,
        product: &str,
        version: &str,
        to: &str,
    ) -> Result<Moved, PublishError> {
        let channel = ChannelName::parse(to).unwrap();
        self.publisher
            .promote(&release_id(product, version), &channel, None)
            .await
    }

    pub async fn rollback(&self, product: &str, channel: &str) -> Result<Moved, PublishError> {
        let (product, channel) = (
            Product::parse(product).unwrap(),
            ChannelName::parse(channel).unwrap(),
        );
        self.publisher.rollback(&product, &channel, None).await
    }

    pub async fn retire(&self, product: &str, version: &str) -> Result<(), PublishError> {
        let id = release_id(product, version);
        self.publisher.retire(&id, "a test".into()).await.map(drop)
    }

    /// What a verification of everything finds.
    pub async fn damage(&self) -> Vec<(String, String)> {
        let found = self
            .publisher
            .verify(None, None, Arc::new(Silent))
            .await
            .unwrap();
        found
            .damage
            .into_iter()
            .map(|damage| (damage.key, damage.what))
            .collect()
    }

    /// A file in the store.
    pub fn stored(&self, key: &str) -> PathBuf {
        self.store.path().join(key)
    }
}

/// What to publish, without any of the options.
pub fn request(product: &str, version: &str, paths: &[&Path]) -> PublishRequest {
    PublishRequest {
        id: release_id(product, version),
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        platforms: Vec::new(),
        notes: None,
        mode: Mode::Commit,
    }
}

/// A publisher whose clock moves on by a second each time it is read.
pub fn publisher_to(store: Arc<DirectoryStore>) -> Publisher {
    let second = AtomicI64::new(1_700_000_000);
    let clock = move || Timestamp::from_second(second.fetch_add(1, Ordering::Relaxed)).unwrap();
    Publisher::new(store, Arc::new(clock))
}

/// Counts what it is told.
#[derive(Default)]
pub struct Counter {
    pub files: AtomicU64,
    pub bytes: AtomicU64,
    pub advanced: AtomicU64,
}

impl Progress for Counter {
    fn total(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64) {
        self.advanced.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Every file below a folder with its bytes, by path.
pub fn tree(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The name of an artifact.
pub fn artifact(name: &str) -> ArtifactName {
    ArtifactName::parse(name).unwrap()
}
