//! What several themes need: keys, stores, clocks.

use std::sync::Arc;

use bytes::Bytes;
use headwater::model::{ArtifactName, ChannelName, Locator, Product, ReleaseId, Version};
use headwater::store::disk::DirectoryStore;
use headwater::store::{Created, Facts, Key, Store};

pub mod bucket;
pub mod command;
pub mod engineer;
pub mod mount;

/// The key of an artifact of `agent 1.0`.
pub fn artifact_key(name: &str) -> Key {
    let name = ArtifactName::parse(name).unwrap();
    Key::of(&Locator::Artifact(release_id("agent", "1.0"), name)).unwrap()
}

/// The key of a channel of `agent`.
pub fn channel_key(channel: &str) -> Key {
    let product = Product::parse("agent").unwrap();
    let channel = ChannelName::parse(channel).unwrap();
    Key::of(&Locator::Channel(product, channel)).unwrap()
}

/// A release by name.
pub fn release_id(product: &str, version: &str) -> ReleaseId {
    ReleaseId {
        product: Product::parse(product).unwrap(),
        version: Version::parse(version).unwrap(),
    }
}

/// A directory store that removes itself.
pub fn directory_store() -> (tempfile::TempDir, Arc<DirectoryStore>) {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::init(folder.path().join("store")).unwrap();
    (folder, Arc::new(store))
}

/// Uploads an artifact in chunks of `chunk_bytes` and makes it durable.
pub async fn upload(store: &dyn Store, key: &Key, bytes: &[u8], chunk_bytes: usize) -> Created {
    let mut upload = store
        .create(key, &Facts::of_size(bytes.len() as u64))
        .await
        .unwrap();
    for chunk in bytes.chunks(chunk_bytes) {
        upload.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    let created = upload.finish().await.unwrap();
    store.settle(std::slice::from_ref(key)).await.unwrap();
    created
}

/// The bytes under a key.
pub async fn bytes_of(store: &dyn Store, key: &Key) -> Option<Vec<u8>> {
    let document = store.read(key, u64::MAX).await.unwrap();
    document.map(|document| document.bytes.to_vec())
}
