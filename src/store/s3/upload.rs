//! An artifact on its way into a bucket.
//!
//! Owns parts: how large they are, how many are in memory, and which of them S3 has already. A part is compared with
//! the digests that were announced before it leaves, so that under a note (`notes.rs`) there are only parts of the bytes
//! that the note names. An upload that is dropped leaves its parts: the next one of the same bytes goes on
//! with them, and `sweep.rs` removes them otherwise.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::bucket::{Bucket, Condition, Written};
use super::failure::{ABORT, RESUME, STAT, UPLOAD};
use super::metadata::{Metadata, stored_digest};
use super::multipart::{Done, Part, UploadName};
use super::notes::{self, Note};
use super::request::Failed;
use super::{S3Store, in_mebibytes};
use crate::crash;
use crate::model::{Digest, PIECE_BYTES};
use crate::store::{Created, Digests, Facts, Key, StoreError, Upload};

/// One part: two pieces. Large enough that a request's fixed cost (some 50 ms) is small beside its transfer, small
/// enough that a broken one is soon repeated. S3 wants at least 5 MiB.
const PART_BYTES: u64 = 2 * PIECE_BYTES;

/// S3's limit.
const PARTS_MAX: u64 = 10_000;

/// The part size of an object: whole pieces, and few enough parts.
fn part_bytes(size: u64) -> u64 {
    let least = size.div_ceil(PARTS_MAX).next_multiple_of(PIECE_BYTES);
    least.max(PART_BYTES)
}

pub(super) struct S3Upload {
    store: S3Store,
    key: Key,
    facts: Facts,
    written: u64,
    body: Body,
}

enum Body {
    /// What one request takes.
    Whole(BytesMut),
    Parts(Box<Parts>),
}

/// An upload in parts.
struct Parts {
    upload: Arc<UploadName>,
    part_bytes: u64,
    /// Where its note is, if it has one.
    note: Option<String>,
    /// What S3 has from an upload that broke.
    present: BTreeMap<u32, Part>,
    /// The part that is being filled, and its share of the memory.
    filling: Option<(BytesMut, OwnedSemaphorePermit)>,
    /// How many parts were handed on.
    count: u32,
    sending: JoinSet<Result<Done, StoreError>>,
    done: Vec<Done>,
}

impl S3Upload {
    pub(super) async fn begin(store: S3Store, key: Key, facts: Facts) -> Result<Self, StoreError> {
        let body = if facts.size <= PART_BYTES {
            Body::Whole(BytesMut::new())
        } else {
            let (bucket, key, facts) = (Arc::clone(&store.bucket), key.clone(), facts.clone());
            let parts = async move { Parts::begin(&bucket, &key, &facts).await };
            Body::Parts(Box::new(store.io.run(parts).await?))
        };
        Ok(Self {
            store,
            key,
            facts,
            written: 0,
            body,
        })
    }

    fn refuse(&self, why: String) -> StoreError {
        let subject = self.store.bucket.subject(self.key.as_str());
        let source = io::Error::new(io::ErrorKind::InvalidData, why);
        StoreError::new(UPLOAD.action, subject, source)
    }
}

#[async_trait]
impl Upload for S3Upload {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.written += chunk.len() as u64;
        if self.written > self.facts.size {
            let size = self.facts.size;
            return Err(self.refuse(format!("more than the {size} bytes that were announced")));
        }
        match &mut self.body {
            Body::Whole(bytes) if bytes.is_empty() => *bytes = BytesMut::from(chunk),
            Body::Whole(bytes) => bytes.extend_from_slice(&chunk),
            Body::Parts(parts) => {
                parts
                    .write(&self.store, &self.key, &self.facts, chunk)
                    .await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Created, StoreError> {
        if self.written != self.facts.size {
            let (size, written) = (self.facts.size, self.written);
            return Err(self.refuse(format!("{size} bytes were announced, {written} came")));
        }
        let Self {
            store, key, facts, ..
        } = *self;
        match self.body {
            Body::Whole(bytes) => {
                let bucket = Arc::clone(&store.bucket);
                let put = async move { put_whole(&bucket, &key, &facts, bytes.freeze()).await };
                store.io.run(put).await
            }
            Body::Parts(mut parts) => {
                parts.hand_on(&store, &key, &facts);
                let bucket = Arc::clone(&store.bucket);
                let finish = async move { parts.finish(&bucket, &key, &facts).await };
                store.io.run(finish).await
            }
        }
    }
}

async fn put_whole(
    bucket: &Bucket,
    key: &Key,
    facts: &Facts,
    bytes: Bytes,
) -> Result<Created, StoreError> {
    let sha256 = Digest::of(&bytes);
    let metadata = Metadata::of(key, facts.content_type.as_deref(), Some(sha256));
    let written = bucket.write(key.as_str(), Condition::Absent, &bytes, &metadata);
    let created = match written.await? {
        Written::Done(_) => Created::New,
        Written::Refused => Created::Taken,
    };
    crash::point("store.artifact-placed");
    Ok(created)
}

/// Whether the object under `key` says that it has these bytes.
pub(super) async fn holds(bucket: &Bucket, key: &Key, facts: &Facts) -> Result<bool, StoreError> {
    let Some(digests) = &facts.digests else {
        return Ok(false);
    };
    let found = bucket.look(STAT, key.as_str()).await?;
    Ok(found.is_some_and(|found| {
        found.size == facts.size && stored_digest(&found.attributes) == Some(digests.whole)
    }))
}

impl Parts {
    /// Goes on with the upload of the same bytes that broke, or begins one.
    async fn begin(bucket: &Bucket, key: &Key, facts: &Facts) -> Result<Self, StoreError> {
        bucket.check_length(UPLOAD, key.as_str())?;
        let part_bytes = part_bytes(facts.size);
        let sha256 = facts.digests.as_ref().map(|digests| digests.whole);
        let note = sha256.map(|sha256| notes::key_of(key, sha256));
        let mut stale = None;
        if let Some(at) = &note
            && let Some((found, tag)) = notes::read(bucket, at).await?
        {
            let upload = found.upload(bucket);
            let is_ours = found.key == key.as_str() && found.part_bytes == part_bytes;
            if is_ours && let Some(present) = parts_of(bucket, key, &upload).await? {
                tracing::debug!(%key, parts = present.len(), "resuming the upload of {key}");
                let present = present
                    .into_iter()
                    .map(|part| (part.number, part))
                    .collect();
                return Ok(Self::new(upload, part_bytes, note, present));
            }
            stale = Some(tag);
        }
        let metadata = Metadata::of(key, facts.content_type.as_deref(), sha256);
        let full = bucket.full(key.as_str());
        let begun = bucket.caller.begin(&full, &metadata).await;
        let upload = begun.map_err(|failed| bucket.failed(UPLOAD, key.as_str(), failed))?;
        if let Some(at) = &note {
            let text = Note {
                key: key.to_string(),
                upload_id: upload.id.clone(),
                part_bytes,
            };
            notes::write(bucket, at, stale.as_deref(), &text).await?;
        }
        Ok(Self::new(upload, part_bytes, note, BTreeMap::new()))
    }

    fn new(
        upload: UploadName,
        part_bytes: u64,
        note: Option<String>,
        present: BTreeMap<u32, Part>,
    ) -> Self {
        Self {
            upload: Arc::new(upload),
            part_bytes,
            note,
            present,
            filling: None,
            count: 0,
            sending: JoinSet::new(),
            done: Vec::new(),
        }
    }

    async fn write(
        &mut self,
        store: &S3Store,
        key: &Key,
        facts: &Facts,
        mut chunk: Bytes,
    ) -> Result<(), StoreError> {
        while !chunk.is_empty() {
            if self.filling.is_none() {
                let permits = in_mebibytes(self.part_bytes).min(store.memory_mebibytes);
                // The semaphore is never closed.
                if let Ok(permit) = Arc::clone(&store.memory).acquire_many_owned(permits).await {
                    let capacity = usize::try_from(self.part_bytes).unwrap_or_default();
                    self.filling = Some((BytesMut::with_capacity(capacity), permit));
                }
            }
            let mut is_full = false;
            if let Some((buffer, _)) = &mut self.filling {
                let room = usize::try_from(self.part_bytes).unwrap_or_default() - buffer.len();
                buffer.extend_from_slice(&chunk.split_to(room.min(chunk.len())));
                is_full = buffer.len() as u64 == self.part_bytes;
            }
            if is_full {
                self.hand_on(store, key, facts);
            }
            while let Some(sent) = self.sending.try_join_next() {
                self.done.push(joined(sent)?);
            }
        }
        Ok(())
    }

    /// Starts to send the part that was filled.
    fn hand_on(&mut self, store: &S3Store, key: &Key, facts: &Facts) {
        let Some((buffer, permit)) = self.filling.take() else {
            return;
        };
        let first_piece = u64::from(self.count) * (self.part_bytes / PIECE_BYTES);
        self.count += 1;
        let number = self.count;
        let sending = Sending {
            bucket: Arc::clone(&store.bucket),
            upload: Arc::clone(&self.upload),
            key: key.clone(),
            digests: facts.digests.clone(),
            first_piece: usize::try_from(first_piece).unwrap_or(usize::MAX),
            number,
            present: self.present.remove(&number),
        };
        let bytes = buffer.freeze();
        let send = async move {
            let sent = sending.send(bytes).await;
            drop(permit);
            sent
        };
        self.sending.spawn_on(send, store.io.handle());
    }

    async fn finish(
        mut self,
        bucket: &Bucket,
        key: &Key,
        facts: &Facts,
    ) -> Result<Created, StoreError> {
        while let Some(sent) = self.sending.join_next().await {
            self.done.push(joined(sent)?);
        }
        self.done.sort_by_key(|done| done.number);
        crash::point("store.parts-sent");
        let created = match bucket.caller.complete(&self.upload, &self.done).await {
            Ok(()) => Created::New,
            Err(failed) => self.settle(bucket, key, facts, failed).await?,
        };
        crash::point("store.artifact-placed");
        if let Some(at) = &self.note {
            let _ = bucket.remove(at).await; // it names an upload that is over; `prune` finds it
        }
        Ok(created)
    }

    /// What a failed completion means: that it or an earlier attempt of it was done and the answer lost, or that
    /// another's object is under the key.
    async fn settle(
        &self,
        bucket: &Bucket,
        key: &Key,
        facts: &Facts,
        failed: Failed,
    ) -> Result<Created, StoreError> {
        let is_refused = matches!(
            failed.cause.status(),
            Some(StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT)
        ) || failed.cause.code() == "NoSuchUpload";
        let is_open = failed.is_repeated || !is_refused;
        if is_open && holds(bucket, key, facts).await.unwrap_or(false) {
            return Ok(Created::New);
        }
        if !is_refused {
            return Err(bucket.failed(UPLOAD, key.as_str(), failed));
        }
        if bucket.look(STAT, key.as_str()).await?.is_none() {
            return Err(bucket.failed(UPLOAD, key.as_str(), failed));
        }
        let aborted = bucket.caller.abort(&self.upload).await;
        aborted.map_err(|failed| bucket.failed(ABORT, key.as_str(), failed))?;
        Ok(Created::Taken)
    }
}

async fn parts_of(
    bucket: &Bucket,
    key: &Key,
    upload: &UploadName,
) -> Result<Option<Vec<Part>>, StoreError> {
    let parts = bucket.caller.parts(upload).await;
    parts.map_err(|failed| bucket.failed(RESUME, key.as_str(), failed))
}

fn joined(
    sent: Result<Result<Done, StoreError>, tokio::task::JoinError>,
) -> Result<Done, StoreError> {
    match sent {
        Ok(sent) => sent,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()), // nobody aborts a part
    }
}

/// One part on its way.
struct Sending {
    bucket: Arc<Bucket>,
    upload: Arc<UploadName>,
    key: Key,
    digests: Option<Digests>,
    first_piece: usize,
    number: u32,
    present: Option<Part>,
}

impl Sending {
    async fn send(self, bytes: Bytes) -> Result<Done, StoreError> {
        let (hashed, digests, first) = (bytes.clone(), self.digests.clone(), self.first_piece);
        let hash = move || {
            let is_announced = digests.is_none_or(|digests| digests.has(first, &hashed));
            is_announced.then(|| Digest::of(&hashed))
        };
        let digest = match tokio::task::spawn_blocking(hash).await {
            Ok(digest) => digest,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        };
        let Some(digest) = digest else {
            let why = "its bytes are not those that were announced";
            let source = io::Error::new(io::ErrorKind::InvalidData, why);
            let subject = self.bucket.subject(self.key.as_str());
            return Err(StoreError::new(UPLOAD.action, subject, source));
        };
        if let Some(done) = self.already_there(&bytes, digest) {
            return Ok(done);
        }
        let sent = self
            .bucket
            .caller
            .put_part(&self.upload, self.number, bytes, digest);
        let sent = sent.await;
        let done = sent.map_err(|failed| self.bucket.failed(UPLOAD, self.key.as_str(), failed))?;
        crash::point("store.part-sent");
        Ok(done)
    }

    /// The part as S3 has it, if that is this one. Its place under the note says that it is; its size and its digest,
    /// where the server keeps that, must agree.
    fn already_there(&self, bytes: &Bytes, digest: Digest) -> Option<Done> {
        let present = self.present.as_ref()?;
        let checksum = digest.to_base64();
        let is_same = present.size == bytes.len() as u64
            && present
                .checksum
                .as_ref()
                .is_none_or(|there| *there == checksum);
        is_same.then(|| Done {
            number: self.number,
            tag: present.tag.clone(),
            checksum,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_object_fits_into_few_parts_of_whole_pieces(size in 1_u64..(5 << 40)) {
            let part = part_bytes(size);
            prop_assert!(part.is_multiple_of(PIECE_BYTES) && part >= PART_BYTES);
            prop_assert!(size.div_ceil(part) <= PARTS_MAX);
            // Not larger than needed: half as much would be too many parts, or below the usual size.
            prop_assert!(part == PART_BYTES || size.div_ceil(part - PIECE_BYTES) > PARTS_MAX);
        }
    }

    #[test]
    fn the_largest_object_of_usual_parts_and_one_byte_more() {
        let most = PART_BYTES * PARTS_MAX;
        assert_eq!(part_bytes(most), PART_BYTES);
        assert_eq!(part_bytes(most + 1), PART_BYTES + PIECE_BYTES);
    }
}
