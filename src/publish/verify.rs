//! Whether what is stored is what was published.
//!
//! Owns what counts as damage. Never repairs, and never stops at the first finding.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Damage, Progress, PublishError, Verified, ingest, records};
use crate::catalog::{Artifact, Pointer, Release};
use crate::model::{ChannelName, Digest, Locator, Product, ReleaseId, Version};
use crate::store::{Key, Store, StoreError};

/// Artifacts that are hashed at one time: a digest keeps one core busy, and two keep the disk busy too.
const AT_ONCE: usize = 2;

/// What is under way and what was found.
struct Verification {
    store: Arc<dyn Store>,
    progress: Arc<dyn Progress>,
    hashing: JoinSet<(u64, Option<Damage>)>,
    found: Verified,
}

/// See [`super::Publisher::verify`].
pub(super) async fn verify(
    store: &Arc<dyn Store>,
    product: Option<&Product>,
    version: Option<&Version>,
    progress: Arc<dyn Progress>,
) -> Result<Verified, PublishError> {
    let ids = chosen(&**store, product, version).await?;
    let mut verification = Verification {
        store: Arc::clone(store),
        progress,
        hashing: JoinSet::new(),
        found: Verified::default(),
    };
    let releases = verification.read_releases(&ids).await?;
    for release in &releases {
        verification.check_artifacts(release).await?;
    }
    while verification.collect_one().await {}
    verification.forgive_the_retired().await?;
    if version.is_none() {
        verification.check_channels(product).await?;
    }
    let mut found = verification.found;
    found.damage.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// The releases to look at: everything that has a folder.
async fn chosen(
    store: &dyn Store,
    product: Option<&Product>,
    version: Option<&Version>,
) -> Result<Vec<ReleaseId>, PublishError> {
    let products = match product {
        Some(product) => vec![product.clone()],
        None => records::products(store, "artifacts/").await?,
    };
    let mut ids = Vec::new();
    for product in products {
        for version in records::versions(store, &product).await? {
            let product = product.clone();
            ids.push(ReleaseId { product, version });
        }
    }
    if let Some(version) = version {
        ids.retain(|id| id.version == *version);
    }
    match (product, version) {
        (Some(product), Some(version)) if ids.is_empty() => {
            let (product, version) = (product.clone(), version.clone());
            Err(PublishError::NoRelease(ReleaseId { product, version }))
        }
        (Some(product), None) if ids.is_empty() => Err(PublishError::NoProduct(product.clone())),
        _ => Ok(ids),
    }
}

impl Verification {
    fn report(&mut self, key: &Key, what: String) {
        let key = key.to_string();
        self.found.damage.push(Damage { key, what });
    }

    async fn readable<T>(
        &mut self,
        key: &Key,
        read: Result<Option<T>, PublishError>,
    ) -> Result<Option<T>, PublishError> {
        readable(&*self.store, key, read, &mut self.found.damage).await
    }

    /// The releases whose artifacts must be there.
    async fn read_releases(&mut self, ids: &[ReleaseId]) -> Result<Vec<Release>, PublishError> {
        let store = Arc::clone(&self.store);
        let mut live = Vec::new();
        for id in ids {
            let document = records::key(&Locator::ReleaseDocument(id.clone()))?;
            let mark = records::key(&Locator::Retirement(id.clone()))?;
            let is_retired = store.stat(&mark).await?.is_some();
            if is_retired {
                let retirement = records::retirement(&*store, id).await;
                self.readable(&mark, retirement).await?;
                if store.stat(&document).await?.is_none() {
                    self.report(
                        &document,
                        "the document of a retired release is missing".into(),
                    );
                }
            }
            let release = records::release(&*store, id).await;
            if let Some((release, _)) = self.readable(&document, release).await? {
                self.found.releases += 1;
                live.extend((!is_retired).then_some(release));
            }
        }
        let artifacts = || live.iter().flat_map(|release| &release.artifacts);
        let bytes = artifacts().map(|artifact| artifact.size).sum();
        self.progress.total(artifacts().count() as u64, bytes);
        Ok(live)
    }

    async fn check_artifacts(&mut self, release: &Release) -> Result<(), PublishError> {
        let id = release.id();
        for artifact in &release.artifacts {
            while self.hashing.len() >= AT_ONCE {
                self.collect_one().await;
            }
            let key = records::artifact_key(&id, &artifact.name)?;
            let (store, progress) = (Arc::clone(&self.store), Arc::clone(&self.progress));
            self.hashing
                .spawn(check_artifact(store, key, artifact.clone(), progress));
        }
        Ok(())
    }

    /// Waits for one artifact; false when none is under way.
    async fn collect_one(&mut self) -> bool {
        match self.hashing.join_next().await {
            None => false,
            Some(Ok((bytes, damage))) => {
                self.found.artifacts += 1;
                self.found.bytes += bytes;
                self.found.damage.extend(damage);
                true
            }
            Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
        }
    }

    /// A release that was retired while its artifacts were looked at has lost them rightly.
    async fn forgive_the_retired(&mut self) -> Result<(), PublishError> {
        for damage in std::mem::take(&mut self.found.damage) {
            if let Some(Locator::Artifact(id, _)) = Locator::from_store_key(&damage.key) {
                let mark = records::key(&Locator::Retirement(id))?;
                if self.store.stat(&mark).await?.is_some() {
                    continue;
                }
            }
            self.found.damage.push(damage);
        }
        Ok(())
    }

    async fn check_channels(&mut self, product: Option<&Product>) -> Result<(), PublishError> {
        let store = Arc::clone(&self.store);
        let products = match product {
            Some(product) => vec![product.clone()],
            None => records::products(&*store, "channels/").await?,
        };
        for product in products {
            for name in records::channel_names(&*store, &product).await? {
                self.check_channel(&product, &name).await?;
            }
        }
        Ok(())
    }

    async fn check_channel(
        &mut self,
        product: &Product,
        name: &ChannelName,
    ) -> Result<(), PublishError> {
        let store = Arc::clone(&self.store);
        let key = records::key(&Locator::Channel(product.clone(), name.clone()))?;
        let read = records::channel(&*store, product, name).await;
        let Some((channel, _)) = self.readable(&key, read).await? else {
            return Ok(());
        };
        let pointers = [
            ("release", Some(&channel.release)),
            ("previous", channel.previous.as_ref()),
        ];
        for (role, pointer) in pointers {
            if let Some(pointer) = pointer
                && let Some(what) = broken(&*store, product, pointer).await?
            {
                self.report(&key, format!("`{role}` names {}: {what}", pointer.version));
            }
        }
        Ok(())
    }
}

/// Passes on what was read, and turns what is wrong with a document into a finding. Only a store that cannot be reached
/// at all ends the look at the rest, and a document of a newer Headwater: that is no damage, and this one's verdict on such
/// a store would be worth nothing.
pub(super) async fn readable<T>(
    store: &dyn Store,
    key: &Key,
    read: Result<Option<T>, PublishError>,
    damage: &mut Vec<Damage>,
) -> Result<Option<T>, PublishError> {
    let (key, what) = match read {
        Err(PublishError::Document { key, source }) => (key, records::in_words(&source)),
        Err(PublishError::Store(error)) => {
            store.probe().await?;
            (key.clone(), in_words(&error))
        }
        other => return other,
    };
    let key = key.to_string();
    damage.push(Damage { key, what });
    Ok(None)
}

/// What is wrong with where a channel points.
async fn broken(
    store: &dyn Store,
    product: &Product,
    pointer: &Pointer,
) -> Result<Option<String>, PublishError> {
    let id = ReleaseId {
        product: product.clone(),
        version: pointer.version.clone(),
    };
    let locator = Locator::ReleaseDocument(id.clone());
    if pointer.url != locator.to_url_path() {
        let (is, should) = (&pointer.url, locator.to_url_path());
        return Ok(Some(format!("its url is `{is}` and should be `{should}`")));
    }
    let mark = records::key(&Locator::Retirement(id))?;
    if store.stat(&mark).await?.is_some() {
        return Ok(Some("that release is retired".into()));
    }
    let key = records::key(&locator)?;
    let document = match store.read(&key, crate::catalog::RELEASE_BYTES_MAX).await {
        Ok(document) => document,
        Err(error) => return Ok(Some(in_words(&error))),
    };
    Ok(match document.map(|document| Digest::of(&document.bytes)) {
        None => Some("there is no such release".into()),
        Some(actual) if actual != pointer.sha256 => {
            let expected = pointer.sha256;
            Some(format!(
                "its document has sha256 {actual}, the channel expects {expected}"
            ))
        }
        Some(_) => None,
    })
}

/// Reads one artifact and says how many bytes that were and what is wrong.
async fn check_artifact(
    store: Arc<dyn Store>,
    key: Key,
    artifact: Artifact,
    progress: Arc<dyn Progress>,
) -> (u64, Option<Damage>) {
    let damaged = |what: String| Damage {
        key: key.to_string(),
        what,
    };
    let blob = match store.open(&key).await {
        Ok(Some(blob)) => blob,
        Ok(None) => return (0, Some(damaged("it is missing".into()))),
        Err(error) => return (0, Some(damaged(in_words(&error)))),
    };
    let size = blob.size;
    match ingest::digest_blob(blob, progress).await {
        Err(error) => (0, Some(damaged(format!("it cannot be read: {error}")))),
        Ok((read, _)) if size != artifact.size || read != size => {
            let published = artifact.size;
            let what = format!("it has {read} bytes, published were {published}");
            (read, Some(damaged(what)))
        }
        Ok((read, actual)) if actual != artifact.sha256 => {
            let published = artifact.sha256;
            let what = format!("it has sha256 {actual}, published was {published}");
            (read, Some(damaged(what)))
        }
        Ok((read, _)) => (read, None),
    }
}

fn in_words(error: &StoreError) -> String {
    format!("{error}: {}", error.source)
}
