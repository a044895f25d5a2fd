//! What the store says about releases and channels.
//!
//! Owns reading: key, document, meaning. Never writes.

use bytes::Bytes;

use super::{Damage, Listed, Listing, PublishError, Retirement, verify};
use crate::catalog::{
    CHANNEL_BYTES_MAX, Channel, DocumentError, RELEASE_BYTES_MAX, RETIREMENT_BYTES_MAX, Release,
};
use crate::model::{ArtifactName, ChannelName, Locator, Product, ReleaseId, Version, version};
use crate::store::{Key, Store, Tag};

/// The key of a locator that has one.
pub(super) fn key(locator: &Locator) -> Result<Key, PublishError> {
    Key::of(locator).ok_or_else(|| {
        // Only redirects and probes have none, and nothing here makes those.
        let source = std::io::Error::from(std::io::ErrorKind::InvalidInput);
        crate::store::StoreError::new("store", locator, source).into()
    })
}

pub(super) fn artifact_key(id: &ReleaseId, name: &ArtifactName) -> Result<Key, PublishError> {
    key(&Locator::Artifact(id.clone(), name.clone()))
}

/// Where everything of a release is.
pub(super) fn prefix(id: &ReleaseId) -> String {
    format!("artifacts/{}/{}/", id.product, id.version)
}

/// A committed release and the bytes of its document, `None` when it is not committed.
pub(super) async fn release(
    store: &dyn Store,
    id: &ReleaseId,
) -> Result<Option<(Release, Bytes)>, PublishError> {
    let key = key(&Locator::ReleaseDocument(id.clone()))?;
    let Some(document) = store.read(&key, RELEASE_BYTES_MAX).await? else {
        return Ok(None);
    };
    match Release::from_json(id, &document.bytes) {
        Ok(release) => Ok(Some((release, document.bytes))),
        Err(source) => Err(PublishError::unusable(key, source)),
    }
}

pub(super) async fn retirement(
    store: &dyn Store,
    id: &ReleaseId,
) -> Result<Option<Retirement>, PublishError> {
    let key = key(&Locator::Retirement(id.clone()))?;
    let Some(document) = store.read(&key, RETIREMENT_BYTES_MAX).await? else {
        return Ok(None);
    };
    match Retirement::from_json(&document.bytes) {
        Ok(retirement) => Ok(Some(retirement)),
        Err(source) => Err(PublishError::unusable(key, source)),
    }
}

/// A release that can be installed: committed, not retired.
pub(super) async fn live_release(
    store: &dyn Store,
    id: &ReleaseId,
) -> Result<(Release, Bytes), PublishError> {
    refuse_retired(store, id).await?;
    let found = release(store, id).await?;
    found.ok_or_else(|| PublishError::NoRelease(id.clone()))
}

pub(super) async fn refuse_retired(store: &dyn Store, id: &ReleaseId) -> Result<(), PublishError> {
    match retirement(store, id).await? {
        None => Ok(()),
        Some(Retirement {
            retired_at, reason, ..
        }) => Err(PublishError::Retired {
            id: id.clone(),
            retired_at,
            reason,
        }),
    }
}

/// A channel and the tag of its document, `None` when it never pointed anywhere.
pub(super) async fn channel(
    store: &dyn Store,
    product: &Product,
    name: &ChannelName,
) -> Result<Option<(Channel, Tag)>, PublishError> {
    let key = key(&Locator::Channel(product.clone(), name.clone()))?;
    let Some(document) = store.read(&key, CHANNEL_BYTES_MAX).await? else {
        return Ok(None);
    };
    match Channel::from_json(product, name, &document.bytes) {
        Ok(channel) => Ok(Some((channel, document.tag))),
        Err(source) => Err(PublishError::unusable(key, source)),
    }
}

/// The products that have a folder there, in order.
pub(super) async fn products(
    store: &dyn Store,
    prefix: &str,
) -> Result<Vec<Product>, PublishError> {
    let folders = store.list_folders(prefix).await?;
    Ok(folders
        .iter()
        .filter_map(|name| Product::parse(name).ok())
        .collect())
}

/// The versions of a product that have a folder, committed or not.
pub(super) async fn versions(
    store: &dyn Store,
    product: &Product,
) -> Result<Vec<Version>, PublishError> {
    let folders = store.list_folders(&format!("artifacts/{product}/")).await?;
    Ok(folders
        .iter()
        .filter_map(|name| Version::parse(name).ok())
        .collect())
}

/// The names of a product's channels, in order.
pub(super) async fn channel_names(
    store: &dyn Store,
    product: &Product,
) -> Result<Vec<ChannelName>, PublishError> {
    let entries = store.list(&format!("channels/{product}/")).await?;
    let name = |key: &str| match Locator::from_store_key(key) {
        Some(Locator::Channel(_, name)) => Some(name),
        _ => None,
    };
    Ok(entries
        .iter()
        .filter_map(|entry| name(&entry.key))
        .collect())
}

/// A product's channels, all of them: what may go depends on each.
pub(super) async fn channels_of(
    store: &dyn Store,
    product: &Product,
) -> Result<Vec<Channel>, PublishError> {
    let mut found = Vec::new();
    for name in channel_names(store, product).await? {
        found.extend(
            channel(store, product, &name)
                .await?
                .map(|(channel, _)| channel),
        );
    }
    Ok(found)
}

/// A product's channels that can be read; the others become damage.
pub(super) async fn readable_channels_of(
    store: &dyn Store,
    product: &Product,
    damage: &mut Vec<Damage>,
) -> Result<Vec<Channel>, PublishError> {
    let mut found = Vec::new();
    for name in channel_names(store, product).await? {
        let key = key(&Locator::Channel(product.clone(), name.clone()))?;
        let read = channel(store, product, &name).await;
        let channel = verify::readable(store, &key, read, damage).await?;
        found.extend(channel.map(|(channel, _)| channel));
    }
    Ok(found)
}

/// See [`super::Publisher::channels`].
pub(super) async fn channels(
    store: &dyn Store,
    product: Option<&Product>,
) -> Result<Listing<Channel>, PublishError> {
    let mut damage = Vec::new();
    let mut found = Vec::new();
    if let Some(product) = product {
        found = readable_channels_of(store, product, &mut damage).await?;
        let is_empty = found.is_empty() && damage.is_empty();
        if is_empty && versions(store, product).await?.is_empty() {
            return Err(PublishError::NoProduct(product.clone()));
        }
        return Ok(Listing { found, damage });
    }
    for product in products(store, "channels/").await? {
        found.extend(readable_channels_of(store, &product, &mut damage).await?);
    }
    Ok(Listing { found, damage })
}

/// See [`super::Publisher::releases`].
pub(super) async fn releases(
    store: &dyn Store,
    product: Option<&Product>,
) -> Result<Listing<Listed>, PublishError> {
    let mut damage = Vec::new();
    let mut found = Vec::new();
    if let Some(product) = product {
        let channels = readable_channels_of(store, product, &mut damage).await?;
        found = releases_of(store, product, &channels, &mut damage).await?;
        if found.is_empty() && damage.is_empty() {
            return Err(PublishError::NoProduct(product.clone()));
        }
        return Ok(Listing { found, damage });
    }
    for product in products(store, "artifacts/").await? {
        let channels = readable_channels_of(store, &product, &mut damage).await?;
        found.extend(releases_of(store, &product, &channels, &mut damage).await?);
    }
    Ok(Listing { found, damage })
}

/// The releases of a product whose documents can be read, oldest first; the other documents become damage.
pub(super) async fn releases_of(
    store: &dyn Store,
    product: &Product,
    channels: &[Channel],
    damage: &mut Vec<Damage>,
) -> Result<Vec<Listed>, PublishError> {
    let mut found = Vec::new();
    for version in versions(store, product).await? {
        let product = product.clone();
        let id = ReleaseId { product, version };
        let before = damage.len();
        let mark = key(&Locator::Retirement(id.clone()))?;
        let read = retirement(store, &id).await;
        let retired = verify::readable(store, &mark, read, damage).await?;
        let document = key(&Locator::ReleaseDocument(id.clone()))?;
        let read = release(store, &id).await;
        let release = verify::readable(store, &document, read, damage).await?;
        // One whose retirement cannot be read is neither live nor retired.
        if let Some((release, _)) = release
            && damage.len() == before
        {
            found.push(listed(release, retired, channels));
        }
    }
    found.sort_by(|a, b| {
        let (a, b) = (&a.release, &b.release);
        version::compare((&a.version, a.published_at), (&b.version, b.published_at))
    });
    Ok(found)
}

fn listed(release: Release, retired: Option<Retirement>, channels: &[Channel]) -> Listed {
    let named = channels
        .iter()
        .filter(|channel| channel.release.version == release.version);
    let channels = named.map(|channel| channel.channel.clone()).collect();
    Listed {
        release,
        retired,
        channels,
    }
}

/// See [`super::Publisher::show`].
pub(super) async fn show(
    store: &dyn Store,
    id: &ReleaseId,
) -> Result<(Listed, Bytes), PublishError> {
    let Some((release, bytes)) = release(store, id).await? else {
        return Err(PublishError::NoRelease(id.clone()));
    };
    let channels = channels_of(store, &id.product).await?;
    let retired = retirement(store, id).await?;
    Ok((listed(release, retired, &channels), bytes))
}

/// Refuses a release of which an artifact is not there in the size that was published.
pub(super) async fn refuse_incomplete(
    store: &dyn Store,
    release: &Release,
) -> Result<(), PublishError> {
    match missing(store, release).await? {
        None => Ok(()),
        Some(what) => Err(PublishError::Damaged {
            id: release.id(),
            what,
        }),
    }
}

/// The first artifact of a release that is not there in the size that was published, in words.
async fn missing(store: &dyn Store, release: &Release) -> Result<Option<String>, PublishError> {
    let prefix = prefix(&release.id());
    let entries = store.list(&prefix).await?;
    for artifact in &release.artifacts {
        let key = format!("{prefix}{}", artifact.name);
        match entries.binary_search_by(|entry| entry.key.as_str().cmp(&key)) {
            Err(_) => return Ok(Some(format!("`{key}` is missing"))),
            Ok(at) if entries[at].size != artifact.size => {
                let (is, was) = (entries[at].size, artifact.size);
                return Ok(Some(format!(
                    "`{key}` has {is} bytes, published were {was}"
                )));
            }
            Ok(_) => {}
        }
    }
    Ok(None)
}

/// What is wrong with a document, for a report that names its key already.
pub(super) fn in_words(error: &DocumentError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
