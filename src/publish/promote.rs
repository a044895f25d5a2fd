//! Moving a channel: promote and rollback.
//!
//! Owns what a channel may point at and what happens when two move it at once. The release is reserved meanwhile, so
//! that nobody retires it between the check and the swap. Never writes below `artifacts`.

use bytes::Bytes;

use super::{Moved, PublishError, Publisher, records};
use crate::catalog::{Channel, Pointer};
use crate::crash;
use crate::model::{ChannelName, Locator, Product, ReleaseId};
use crate::store::{Reservation, Store, Swapped, Tag, scope_of};

/// How often a lost swap is tried again. Each loss is another promote's success, so that this many in a row is a
/// machine gone wild, and somebody should look.
const SWAP_ATTEMPTS_MAX: u32 = 16;

/// See [`Publisher::promote`].
pub(super) async fn promote(
    publisher: &Publisher,
    id: &ReleaseId,
    channel: &ChannelName,
    reason: Option<String>,
) -> Result<Moved, PublishError> {
    let store = &*publisher.store;
    let reservation = store.reserve(&scope_of(id)).await?;
    let pointer = checked_pointer(store, id).await?;
    for _ in 0..SWAP_ATTEMPTS_MAX {
        let current = records::channel(store, &id.product, channel).await?;
        let (next, tag) = match current {
            Some((current, _)) if current.release == pointer => {
                return Ok(Moved {
                    changed: false,
                    channel: current,
                });
            }
            Some((current, tag)) => (
                current.moved(pointer.clone(), publisher.now(), reason.clone()),
                Some(tag),
            ),
            None => {
                let (product, channel) = (id.product.clone(), channel.clone());
                let (pointer, now) = (pointer.clone(), publisher.now());
                (
                    Channel::first(product, channel, pointer, now, reason.clone()),
                    None,
                )
            }
        };
        confirm(&*reservation, id).await?;
        if swap(store, &next, tag.as_ref()).await? == Swapped::Done {
            return Ok(Moved {
                changed: true,
                channel: next,
            });
        }
    }
    Err(PublishError::Contended {
        product: id.product.clone(),
        channel: channel.clone(),
        what: format!("{SWAP_ATTEMPTS_MAX} attempts were lost; find out who moves it, then repeat"),
    })
}

/// See [`Publisher::rollback`]. A lost swap is not tried again: "the release before" is another one then.
pub(super) async fn rollback(
    publisher: &Publisher,
    product: &Product,
    name: &ChannelName,
    reason: Option<String>,
) -> Result<Moved, PublishError> {
    let store = &*publisher.store;
    let (seen, _) = current(store, product, name).await?;
    let Some(target) = seen.previous.clone() else {
        let (product, channel) = (product.clone(), name.clone());
        return Err(PublishError::NoPrevious { product, channel });
    };
    let id = ReleaseId {
        product: product.clone(),
        version: target.version.clone(),
    };
    let reservation = store.reserve(&scope_of(&id)).await?;
    let pointer = checked_pointer(store, &id).await?;
    if pointer.sha256 != target.sha256 {
        let (now, then) = (pointer.sha256, target.sha256);
        let what =
            format!("its release document has sha256 {now}, channel `{name}` expects {then}");
        return Err(PublishError::Damaged { id, what });
    }
    let (now, tag) = current(store, product, name).await?;
    if now == seen {
        let next = now.moved(pointer, publisher.now(), reason);
        confirm(&*reservation, &id).await?;
        if swap(store, &next, Some(&tag)).await? == Swapped::Done {
            return Ok(Moved {
                changed: true,
                channel: next,
            });
        }
    }
    let (now, _) = current(store, product, name).await?;
    if now.release == target {
        return Ok(Moved {
            changed: false,
            channel: now,
        }); // another rollback, to where this one would have gone
    }
    Err(PublishError::Contended {
        product: product.clone(),
        channel: name.clone(),
        what: format!(
            "it points at {} now; repeat the rollback if its previous release is still meant",
            now.release.version
        ),
    })
}

/// See [`Publisher::channel`].
pub(super) async fn current(
    store: &dyn Store,
    product: &Product,
    name: &ChannelName,
) -> Result<(Channel, Tag), PublishError> {
    let found = records::channel(store, product, name).await?;
    found.ok_or_else(|| PublishError::NoChannel {
        product: product.clone(),
        channel: name.clone(),
    })
}

/// A pointer to a release that devices can install: committed, not retired, its document readable, its artifacts
/// there in full size.
async fn checked_pointer(store: &dyn Store, id: &ReleaseId) -> Result<Pointer, PublishError> {
    let (release, document) = records::live_release(store, id).await?;
    records::refuse_incomplete(store, &release).await?;
    Ok(Pointer::to(&release, &document))
}

/// Makes sure that nobody can have retired the release since it was checked.
async fn confirm(reservation: &dyn Reservation, id: &ReleaseId) -> Result<(), PublishError> {
    if reservation.confirm().await? {
        return Ok(());
    }
    let (id, way_out) = (id.clone(), "no channel was moved; repeat the command");
    Err(PublishError::ReservationLost { id, way_out })
}

async fn swap(
    store: &dyn Store,
    next: &Channel,
    expected: Option<&Tag>,
) -> Result<Swapped, PublishError> {
    let locator = Locator::Channel(next.product.clone(), next.channel.clone());
    crash::point("promote.before-swap");
    let document = Bytes::from(next.to_json());
    let swapped = store
        .swap(&records::key(&locator)?, expected, document)
        .await?;
    crash::point("promote.after-swap");
    Ok(swapped)
}
