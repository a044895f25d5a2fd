//! What dead publishers left in a bucket: parts of uploads that never ended, notes about them, leases.
//!
//! Owns who counts as dead: whoever holds no lease that is young enough. Never touches an object that has a name of
//! the store's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use super::bucket::{Bucket, PRIVATE};
use super::failure::{ABORT, LIST_UPLOADS, RESUME};
use super::multipart::UploadName;
use super::{lease, notes};
use crate::model::Product;
use crate::store::{Entry, Key, StoreError, Sweep};

/// One look at what is left.
struct Sweeping {
    bucket: Arc<Bucket>,
    /// Whose left-overs; `None`: everybody's.
    product: Option<Product>,
    mode: Sweep,
    /// Whether the publisher of a scope is dead, by the lease's key; each is asked for once.
    dead: BTreeMap<String, bool>,
    found: Vec<Entry>,
}

/// See [`crate::store::Store::sweep`] and [`crate::store::Store::sweep_product`].
pub(super) async fn sweep(
    bucket: Arc<Bucket>,
    product: Option<Product>,
    mode: Sweep,
) -> Result<Vec<Entry>, StoreError> {
    let private = private_objects(&bucket, product.as_ref()).await?;
    let mut sweeping = Sweeping {
        bucket,
        product,
        mode,
        dead: BTreeMap::new(),
        found: Vec::new(),
    };
    let (leases, others): (Vec<_>, Vec<_>) = private.into_iter().partition(|entry| {
        entry.key.contains("/.headwater/lease/") || entry.key.starts_with(".headwater/lease/")
    });
    let noted = sweeping.sweep_notes(others).await?;
    sweeping.sweep_uploads(&noted).await?;
    sweeping.sweep_leases(leases).await?; // last: until here they say who is dead
    let mut found = sweeping.found;
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// The objects in the private folders: one of the store's own, one of each product.
async fn private_objects(
    bucket: &Bucket,
    product: Option<&Product>,
) -> Result<Vec<Entry>, StoreError> {
    let of = |product: &str| format!("artifacts/{product}/{PRIVATE}/");
    if let Some(product) = product {
        return bucket.list(&of(product.as_str())).await;
    }
    let mut found = bucket.list(&format!("{PRIVATE}/")).await?;
    for product in bucket.list_folders("artifacts/").await? {
        found.extend(bucket.list(&of(&product)).await?);
    }
    Ok(found)
}

impl Sweeping {
    async fn is_dead(&mut self, lease: &str) -> Result<bool, StoreError> {
        if let Some(dead) = self.dead.get(lease) {
            return Ok(*dead);
        }
        let seen = lease::look(&self.bucket, lease).await?;
        let dead = seen.is_none_or(|seen| seen.is_expired());
        self.dead.insert(lease.to_owned(), dead);
        Ok(dead)
    }

    /// Removes notes of the dead, after the uploads that they name; says which uploads that were.
    async fn sweep_notes(&mut self, entries: Vec<Entry>) -> Result<BTreeSet<String>, StoreError> {
        let mut noted = BTreeSet::new();
        for entry in entries {
            let Some((note, _)) = notes::read(&self.bucket, &entry.key).await? else {
                self.remove(entry).await?; // it went meanwhile, or says nothing
                continue;
            };
            let upload = note.upload(&self.bucket);
            noted.insert(upload.id.clone());
            if self.sweep_upload(&note.key, &upload).await? {
                self.remove(entry).await?;
            }
        }
        Ok(noted)
    }

    /// Removes the uploads of the dead that have no note.
    async fn sweep_uploads(&mut self, noted: &BTreeSet<String>) -> Result<(), StoreError> {
        for upload in self.uploads().await? {
            let bucket = Arc::clone(&self.bucket);
            if let Some(key) = bucket.relative(&upload.key)
                && !noted.contains(&upload.id)
            {
                self.sweep_upload(key, &upload).await?;
            }
        }
        Ok(())
    }

    async fn uploads(&self) -> Result<Vec<UploadName>, StoreError> {
        static IS_SAID: AtomicBool = AtomicBool::new(false);
        let folder = match &self.product {
            Some(product) => format!("artifacts/{product}/"),
            None => "artifacts/".to_owned(),
        };
        match self.bucket.caller.uploads(&self.bucket.full(&folder)).await {
            Ok(uploads) => Ok(uploads),
            // No policy can allow it for one product alone. Uploads that have a note were found by it, and the bucket's
            // lifecycle removes the others.
            Err(failed)
                if self.product.is_some()
                    && failed.cause.status() == Some(StatusCode::FORBIDDEN) =>
            {
                tracing::debug!(
                    folder,
                    "may not list the uploads of `{folder}`; those with a note are found without"
                );
                Ok(Vec::new())
            }
            Err(failed) if is_unknown_verb(failed.cause.status(), failed.cause.code()) => {
                if !IS_SAID.swap(true, Ordering::Relaxed) {
                    let store = self.bucket.describe();
                    tracing::debug!(store, "the server of {store} lists no uploads");
                }
                Ok(Vec::new())
            }
            Err(failed) => Err(self.bucket.failed(LIST_UPLOADS, &folder, failed)),
        }
    }

    /// Removes one upload, unless its publisher lives; false when it does.
    async fn sweep_upload(&mut self, key: &str, upload: &UploadName) -> Result<bool, StoreError> {
        // Only what this store would upload: others may use the bucket.
        let Some(parsed) = Key::parse(key) else {
            return Ok(false);
        };
        if !self.is_dead(&lease::key_of(parsed.scope())).await? {
            return Ok(false);
        }
        let parts = self.bucket.caller.parts(upload).await;
        let parts = parts.map_err(|failed| self.bucket.failed(RESUME, key, failed))?;
        let Some(parts) = parts else {
            return Ok(true); // it has ended
        };
        if self.mode == Sweep::Remove {
            let aborted = self.bucket.caller.abort(upload).await;
            aborted.map_err(|failed| self.bucket.failed(ABORT, key, failed))?;
        }
        self.found.push(Entry {
            key: format!("{key}?uploadId={}", upload.id),
            size: parts.iter().map(|part| part.size).sum(),
        });
        Ok(true)
    }

    async fn sweep_leases(&mut self, leases: Vec<Entry>) -> Result<(), StoreError> {
        for entry in leases {
            if self.is_dead(&entry.key).await? {
                self.remove(entry).await?;
            }
        }
        Ok(())
    }

    async fn remove(&mut self, entry: Entry) -> Result<(), StoreError> {
        if self.mode == Sweep::Remove {
            self.bucket.remove(&entry.key).await?;
        }
        self.found.push(entry);
        Ok(())
    }
}

/// Whether a server says that it does not know the request, as servers that only speak a part of S3 do.
fn is_unknown_verb(status: Option<StatusCode>, code: &str) -> bool {
    matches!(code, "NotImplemented" | "MethodNotAllowed")
        || matches!(
            status,
            Some(StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED)
        )
}
