//! The end of a release's life: retire and prune.
//!
//! Owns what may go and in which order: `retired.json` first (from then on the origin answers 404 and nobody can
//! promote), then the artifacts. `release.json` stays, so that the version can never be bound again.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;

use super::{Damage, Listed, Mode, Pruned, PublishError, Publisher, Retirement, records};
use crate::catalog::Channel;
use crate::crash;
use crate::model::{Locator, Product, ReleaseId, Version};
use crate::store::{Created, Entry, Key, Store, Sweep, scope_of};

/// See [`Publisher::retire`].
pub(super) async fn retire(
    publisher: &Publisher,
    id: &ReleaseId,
    reason: String,
) -> Result<Retirement, PublishError> {
    let store = &*publisher.store;
    let reservation = store.reserve(&scope_of(id)).await?;
    if let Some(retirement) = records::retirement(store, id).await? {
        remove_artifacts(store, id).await?;
        return Ok(retirement);
    }
    // Readable, not only there: it is all that stays of the release.
    if records::release(store, id).await?.is_none() {
        return Err(PublishError::NoRelease(id.clone()));
    }
    refuse_named(&records::channels_of(store, &id.product).await?, id)?;
    let retirement = Retirement::new(publisher.now(), reason);
    let key = records::key(&Locator::Retirement(id.clone()))?;
    if !reservation.confirm().await? {
        // A channel may name it by now.
        let (id, way_out) = (id.clone(), "nothing was retired; repeat the command");
        return Err(PublishError::ReservationLost { id, way_out });
    }
    if store
        .put_new(&key, Bytes::from(retirement.to_json()))
        .await?
        == Created::Taken
    {
        return Err(PublishError::Intruder { key }); // it was free under our reservation
    }
    crash::point("retire.marked");
    remove_artifacts(store, id).await?;
    crash::point("retire.removed");
    Ok(retirement)
}

fn refuse_named(channels: &[Channel], id: &ReleaseId) -> Result<(), PublishError> {
    for channel in channels {
        let previous = channel.previous.as_ref();
        let role = if channel.release.version == id.version {
            "release"
        } else if previous.is_some_and(|previous| previous.version == id.version) {
            "previous release"
        } else {
            continue;
        };
        let (id, channel) = (id.clone(), channel.channel.clone());
        return Err(PublishError::Named { id, channel, role });
    }
    Ok(())
}

/// Everything of a release but its two documents.
async fn artifacts(store: &dyn Store, id: &ReleaseId) -> Result<Vec<(Key, Entry)>, PublishError> {
    let entries = store.list(&records::prefix(id)).await?;
    let is_artifact =
        |key: &str| matches!(Locator::from_store_key(key), Some(Locator::Artifact(..)));
    let artifacts = entries.into_iter().filter(|entry| is_artifact(&entry.key));
    Ok(artifacts
        .filter_map(|entry| Some((Key::parse(&entry.key)?, entry)))
        .collect())
}

/// Removes a release's artifacts and says how many bytes they had.
async fn remove_artifacts(store: &dyn Store, id: &ReleaseId) -> Result<u64, PublishError> {
    let (keys, entries): (Vec<Key>, Vec<Entry>) = artifacts(store, id).await?.into_iter().unzip();
    store.remove(&keys).await?;
    Ok(entries.iter().map(|entry| entry.size).sum())
}

/// See [`Publisher::prune`] and [`Publisher::prune_product`].
pub(super) async fn prune(
    publisher: &Publisher,
    only: Option<&Product>,
    keep: usize,
    mode: Mode,
) -> Result<Pruned, PublishError> {
    let store = &*publisher.store;
    let mut pruned = Pruned::default();
    let products = match only {
        Some(product) => vec![product.clone()],
        None => records::products(store, "artifacts/").await?,
    };
    let mut has_found = false;
    for product in products {
        prune_releases(publisher, &product, keep, mode, &mut pruned).await?;
        let damaged = damaged_releases(&pruned);
        for version in records::versions(store, &product).await? {
            has_found = true;
            let product = product.clone();
            let id = ReleaseId { product, version };
            if !damaged.contains(&id) {
                remove_litter(store, &id, mode, &mut pruned).await?;
            }
        }
    }
    pruned.damage.sort_by(|a, b| a.key.cmp(&b.key));
    let sweep = match mode {
        Mode::Commit => Sweep::Remove,
        Mode::DryRun => Sweep::DryRun,
    };
    let swept = match only {
        Some(product) => store.sweep_product(product, sweep).await?,
        None => store.sweep(sweep).await?,
    };
    if let Some(product) = only
        && !has_found
        && swept.is_empty()
        && pruned.damage.is_empty()
    {
        return Err(PublishError::NoProduct(product.clone())); // a typing error, not a clean store
    }
    for entry in swept {
        pruned.add_litter(entry);
    }
    Ok(pruned)
}

impl Pruned {
    fn add_litter(&mut self, entry: Entry) {
        self.bytes += entry.size;
        self.litter.push((entry.key, entry.size));
    }
}

/// The releases one of whose documents cannot be read: what is litter there, nobody knows.
fn damaged_releases(pruned: &Pruned) -> HashSet<ReleaseId> {
    let release = |damage: &Damage| match Locator::from_store_key(&damage.key) {
        Some(Locator::ReleaseDocument(id) | Locator::Retirement(id)) => Some(id),
        _ => None,
    };
    pruned.damage.iter().filter_map(release).collect()
}

async fn prune_releases(
    publisher: &Publisher,
    product: &Product,
    keep: usize,
    mode: Mode,
    pruned: &mut Pruned,
) -> Result<(), PublishError> {
    let store = &*publisher.store;
    let mut unreadable = Vec::new();
    let channels = records::readable_channels_of(store, product, &mut unreadable).await?;
    let releases = records::releases_of(store, product, &channels, &mut pruned.damage).await?;
    if !unreadable.is_empty() {
        pruned.damage.append(&mut unreadable);
        return Ok(()); // what such a channel names is not known
    }
    for id in too_old(&releases, &channels, keep) {
        let bytes: u64 = artifacts(store, &id)
            .await?
            .iter()
            .map(|(_, entry)| entry.size)
            .sum();
        if mode == Mode::Commit {
            let reason = format!("pruned: not among the newest {keep} and named by no channel");
            match retire(publisher, &id, reason).await {
                Ok(_) => {}
                Err(PublishError::Named { .. }) => continue, // promoted meanwhile
                Err(error) => return Err(error),
            }
        }
        pruned.retired.push(id);
        pruned.bytes += bytes;
    }
    Ok(())
}

/// The live releases beyond the newest `keep` that no channel names, oldest first.
fn too_old(releases: &[Listed], channels: &[Channel], keep: usize) -> Vec<ReleaseId> {
    let named: BTreeSet<&Version> = channels
        .iter()
        .flat_map(|channel| [Some(&channel.release), channel.previous.as_ref()])
        .flatten()
        .map(|pointer| &pointer.version)
        .collect();
    let live: Vec<_> = releases
        .iter()
        .filter(|listed| listed.retired.is_none())
        .collect();
    let old = &live[..live.len().saturating_sub(keep)];
    old.iter()
        .map(|listed| listed.release.id())
        .filter(|id| !named.contains(&id.version))
        .collect()
}

/// Removes what no release document lists: all of a version that was never committed, the rest of a retired one. A
/// version that somebody publishes right now is reserved, and left alone.
async fn remove_litter(
    store: &dyn Store,
    id: &ReleaseId,
    mode: Mode,
    pruned: &mut Pruned,
) -> Result<(), PublishError> {
    if litter(store, id).await?.is_empty() {
        return Ok(());
    }
    // Only looking needs no reservation, and must work on a store that cannot be written.
    let reservation = match mode {
        Mode::DryRun => None,
        Mode::Commit => match store.try_reserve(&scope_of(id)).await? {
            Some(reservation) => Some(reservation),
            None => return Ok(()),
        },
    };
    // Again, now that nobody else writes there.
    let (keys, entries): (Vec<Key>, Vec<Entry>) = litter(store, id).await?.into_iter().unzip();
    if let Some(reservation) = reservation {
        if !reservation.confirm().await? {
            return Ok(()); // it may be somebody's artifacts by now
        }
        store.remove(&keys).await?;
    }
    for entry in entries {
        pruned.add_litter(entry);
    }
    Ok(())
}

async fn litter(store: &dyn Store, id: &ReleaseId) -> Result<Vec<(Key, Entry)>, PublishError> {
    let mut found = artifacts(store, id).await?;
    if records::retirement(store, id).await?.is_some() {
        return Ok(found);
    }
    if let Some((release, _)) = records::release(store, id).await? {
        found.retain(|(_, entry)| match Locator::from_store_key(&entry.key) {
            Some(Locator::Artifact(_, name)) => release.artifact(&name).is_none(),
            _ => false,
        });
    }
    Ok(found)
}
