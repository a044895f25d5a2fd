//! What the store says that its URLs answer with: for whoever compares that with the answers.
//!
//! Owns which documents those are, and that they are known by their very bytes. Never writes, and never reads an artifact.

use super::{
    Damage, Inventory, PublishError, Stated, StatedChannel, StatedRelease, records, verify,
};
use crate::catalog::{CHANNEL_BYTES_MAX, Channel, DocumentError};
use crate::model::{ChannelName, Digest, Locator, Product, ReleaseId};
use crate::store::Store;

impl Stated {
    fn of(bytes: &[u8]) -> Self {
        Self {
            size: bytes.len() as u64,
            sha256: Digest::of(bytes),
        }
    }
}

/// See [`super::Publisher::inventory`].
pub(super) async fn inventory(
    store: &dyn Store,
    product: Option<&Product>,
) -> Result<Inventory, PublishError> {
    let products = match product {
        Some(product) => vec![product.clone()],
        None => records::products(store, "artifacts/").await?,
    };
    let mut found = Inventory::default();
    for product in products {
        // Channels first: a release that is promoted meanwhile is there when releases are read, and one that a
        // channel names cannot be retired.
        for name in records::channel_names(store, &product).await? {
            let channel = stated_channel(store, &product, &name, &mut found.damage).await?;
            found.channels.extend(channel);
        }
        for version in records::versions(store, &product).await? {
            let product = product.clone();
            let id = ReleaseId { product, version };
            let release = stated_release(store, &id, &mut found.damage).await?;
            found.releases.extend(release);
        }
    }
    match product {
        Some(product)
            if found.channels.is_empty()
                && found.releases.is_empty()
                && found.damage.is_empty() =>
        {
            Err(PublishError::NoProduct(product.clone()))
        }
        _ => Ok(found),
    }
}

async fn stated_channel(
    store: &dyn Store,
    product: &Product,
    name: &ChannelName,
    damage: &mut Vec<Damage>,
) -> Result<Option<StatedChannel>, PublishError> {
    let key = records::key(&Locator::Channel(product.clone(), name.clone()))?;
    let read = store.read(&key, CHANNEL_BYTES_MAX).await;
    let read = read.map_err(PublishError::from);
    let Some(document) = verify::readable(store, &key, read, damage).await? else {
        return Ok(None);
    };
    let channel = Channel::from_json(product, name, &document.bytes);
    let channel =
        channel.map_err(|source: DocumentError| PublishError::unusable(key.clone(), source));
    let channel = verify::readable(store, &key, channel.map(Some), damage).await?;
    let document = Stated::of(&document.bytes);
    Ok(channel.map(|channel| StatedChannel { channel, document }))
}

async fn stated_release(
    store: &dyn Store,
    id: &ReleaseId,
    damage: &mut Vec<Damage>,
) -> Result<Option<StatedRelease>, PublishError> {
    let before = damage.len();
    let mark = records::key(&Locator::Retirement(id.clone()))?;
    let read = records::retirement(store, id).await;
    let is_retired = verify::readable(store, &mark, read, damage)
        .await?
        .is_some();
    let key = records::key(&Locator::ReleaseDocument(id.clone()))?;
    let read = records::release(store, id).await;
    let release = verify::readable(store, &key, read, damage).await?;
    // One whose retirement cannot be read is neither live nor retired.
    let is_known = damage.len() == before;
    Ok(release
        .filter(|_| is_known)
        .map(|(release, bytes)| StatedRelease {
            release,
            document: Stated::of(&bytes),
            is_retired,
        }))
}
