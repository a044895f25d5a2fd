//! Notes about uploads that have begun: which upload holds the parts of which bytes.
//!
//! Owns what makes a broken upload resumable. S3 lists a begun upload without its metadata, and so nobody could tell
//! whose bytes its parts are: a note says it, under a name made of key and digest. A note is written before the first
//! part and removed after the last; without one, an upload is begun anew.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, Condition, PRIVATE, Written};
use super::metadata::Metadata;
use super::multipart::UploadName;
use crate::model::Digest;
use crate::store::{Key, StoreError};

/// A key of a kilobyte, each byte of it escaped six-fold, and the rest.
const NOTE_BYTES_MAX: u64 = 16 * 1024;

/// What a note says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    /// The object, as the store calls it.
    pub(super) key: String,
    pub(super) upload_id: String,
    /// Parts of another size would not fit together.
    pub(super) part_bytes: u64,
}

/// Where the note of an upload is: in the folder of its product, which its publisher may write to.
pub(super) fn key_of(key: &Key, sha256: Digest) -> String {
    let name = Digest::of(format!("{key}\n{sha256}").as_bytes()).to_hex();
    match key.scope().rsplit_once('/') {
        Some((product, version)) => format!("{product}/{PRIVATE}/upload/{version}/{name}"),
        None => format!("{PRIVATE}/upload/{name}"),
    }
}

impl Note {
    pub(super) fn upload(&self, bucket: &Bucket) -> UploadName {
        UploadName {
            key: bucket.full(&self.key),
            id: self.upload_id.clone(),
        }
    }
}

/// Reads the note under `at`; one that cannot be understood is none.
pub(super) async fn read(bucket: &Bucket, at: &str) -> Result<Option<(Note, String)>, StoreError> {
    let found = bucket.read(at, NOTE_BYTES_MAX).await?;
    Ok(found.and_then(|(bytes, tag)| Some((serde_json::from_slice(&bytes).ok()?, tag))))
}

/// Writes a note over the one with this tag. Only for the holder of the reservation; another's note wins all the same.
pub(super) async fn write(
    bucket: &Bucket,
    at: &str,
    tag: Option<&str>,
    note: &Note,
) -> Result<(), StoreError> {
    let Ok(bytes) = serde_json::to_vec(note) else {
        return Ok(()); // strings and a number can always be written
    };
    let condition = tag.map_or(Condition::Absent, Condition::Tagged);
    let bytes = Bytes::from(bytes);
    let metadata = Metadata::private();
    let written = bucket.write(at, condition, &bytes, &metadata);
    if written.await? == Written::Refused {
        tracing::debug!(
            key = note.key,
            "the upload of `{}` will not be resumable",
            note.key
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_content_of_each_object_has_its_note_in_its_products_folder() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let key = Key::parse("artifacts/agent/1.0/x/y").unwrap();
        let other = Key::parse("artifacts/agent/1.0/x/z").unwrap();
        let at = key_of(&key, a);
        assert!(
            at.starts_with("artifacts/agent/.headwater/upload/1.0/"),
            "{at}"
        );
        assert_eq!(Key::parse(&at), None);
        assert_ne!(at, key_of(&key, b));
        assert_ne!(at, key_of(&other, a));
    }
}
