//! What the S3 server knows of its objects and uploads, and its three listings.
//!
//! Never touches a byte of an object: those are with s3s-fs, see `bucket.rs`.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::dto::{
    CommonPrefix, CompletedPart, ETag, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, MultipartUpload,
    Object, Part, Timestamp,
};
use s3s::{S3Result, s3_error};

/// S3's: every part but the last has this many bytes.
const PART_BYTES_MIN: u64 = 5 << 20;

/// S3's: entries in one answer of a listing.
const PAGE_MAX: i32 = 1000;

/// All that the bucket knows, apart from bytes.
#[derive(Default)]
pub struct State {
    pub objects: BTreeMap<String, Held>,
    pub uploads: BTreeMap<String, Pending>,
}

/// An object.
pub struct Held {
    pub tag: ETag,
    pub size: u64,
    pub sha256: Option<String>,
    pub modified: SystemTime,
}

/// An upload that is neither completed nor aborted.
pub struct Pending {
    pub key: String,
    pub started: SystemTime,
    pub sha256_needed: bool,
    pub parts: BTreeMap<i32, Uploaded>,
}

/// One part of it.
pub struct Uploaded {
    pub tag: ETag,
    pub size: u64,
    pub sha256: Option<String>,
    pub received: SystemTime,
}

impl State {
    pub fn held(&self, key: &str) -> S3Result<&Held> {
        self.objects.get(key).ok_or_else(|| s3_error!(NoSuchKey))
    }

    pub fn pending(&self, upload: &str, key: &str) -> S3Result<&Pending> {
        let found = self.uploads.get(upload).filter(|up| up.key == key);
        found.ok_or_else(|| s3_error!(NoSuchUpload))
    }

    /// `ListObjectsV2`.
    pub fn objects_under(&self, input: ListObjectsV2Input) -> ListObjectsV2Output {
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.as_ref();
        let after = after.or(input.start_after.as_ref());
        let max = usize::try_from(input.max_keys.unwrap_or(PAGE_MAX).clamp(0, PAGE_MAX)).unwrap();
        let (mut contents, mut prefixes) = (Vec::new(), Vec::<String>::new());
        let (mut last, mut is_truncated) = (None, false);
        let found = self.objects.range(prefix.clone()..);
        for (key, held) in found.take_while(|(key, _)| key.starts_with(&prefix)) {
            let rest = &key[prefix.len()..];
            let cut = input.delimiter.as_deref().and_then(|delimiter| {
                let at = rest.find(delimiter)?;
                Some(key[..prefix.len() + at + delimiter.len()].to_owned())
            });
            let entry = cut.as_ref().unwrap_or(key);
            if after.is_some_and(|after| entry <= after) || prefixes.last() == Some(entry) {
                continue;
            }
            if contents.len() + prefixes.len() == max {
                is_truncated = true;
                break;
            }
            last = Some(entry.clone());
            match cut {
                Some(folder) => prefixes.push(folder),
                None => contents.push(Object {
                    key: Some(key.clone()),
                    size: Some(size_of(held.size)),
                    e_tag: Some(held.tag.clone()),
                    last_modified: Some(held.modified.into()),
                    ..Object::default()
                }),
            }
        }
        let count = contents.len() + prefixes.len();
        let prefixes = prefixes.into_iter().map(|prefix| CommonPrefix {
            prefix: Some(prefix),
        });
        ListObjectsV2Output {
            key_count: Some(i32::try_from(count).unwrap()),
            max_keys: input.max_keys.or(Some(PAGE_MAX)),
            is_truncated: Some(is_truncated),
            next_continuation_token: last.filter(|_| is_truncated),
            contents: Some(contents),
            common_prefixes: Some(prefixes.collect()),
            continuation_token: input.continuation_token,
            delimiter: input.delimiter,
            name: Some(input.bucket),
            prefix: input.prefix,
            start_after: input.start_after,
            ..ListObjectsV2Output::default()
        }
    }

    /// `ListParts`.
    pub fn parts_of(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let pending = self.pending(&input.upload_id, &input.key)?;
        let after = input.part_number_marker.unwrap_or(0);
        let max = input.max_parts.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let mut parts: Vec<Part> = pending
            .parts
            .range(after + 1..)
            .map(|(number, part)| Part {
                part_number: Some(*number),
                e_tag: Some(part.tag.clone()),
                size: Some(size_of(part.size)),
                checksum_sha256: part.sha256.clone(),
                last_modified: Some(part.received.into()),
                ..Part::default()
            })
            .collect();
        let is_truncated = parts.len() > usize::try_from(max).unwrap();
        parts.truncate(usize::try_from(max).unwrap());
        Ok(ListPartsOutput {
            next_part_number_marker: parts.last().and_then(|part| part.part_number),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(max),
            is_truncated: Some(is_truncated),
            parts: Some(parts),
            ..ListPartsOutput::default()
        })
    }

    /// `ListMultipartUploads`.
    pub fn uploads_under(&self, input: ListMultipartUploadsInput) -> ListMultipartUploadsOutput {
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = (
            input.key_marker.clone().unwrap_or_default(),
            input.upload_id_marker.clone().unwrap_or_default(),
        );
        let max = input.max_uploads.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let mut found: Vec<(&str, &str, Timestamp)> = self
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(&prefix))
            .map(|(id, up)| (up.key.as_str(), id.as_str(), up.started.into()))
            .filter(|(key, id, _)| (*key, *id) > (after.0.as_str(), after.1.as_str()))
            .collect();
        found.sort_by_key(|(key, id, _)| (*key, *id));
        let is_truncated = found.len() > usize::try_from(max).unwrap();
        found.truncate(usize::try_from(max).unwrap());
        let last = found.last().filter(|_| is_truncated);
        let uploads = found.iter().map(|(key, id, started)| MultipartUpload {
            key: Some((*key).to_owned()),
            upload_id: Some((*id).to_owned()),
            initiated: Some(started.clone()),
            ..MultipartUpload::default()
        });
        ListMultipartUploadsOutput {
            next_key_marker: last.map(|(key, ..)| (*key).to_owned()),
            next_upload_id_marker: last.map(|(_, id, _)| (*id).to_owned()),
            uploads: Some(uploads.collect()),
            is_truncated: Some(is_truncated),
            max_uploads: Some(max),
            bucket: Some(input.bucket),
            prefix: input.prefix,
            key_marker: input.key_marker,
            upload_id_marker: input.upload_id_marker,
            ..ListMultipartUploadsOutput::default()
        }
    }
}

impl Pending {
    /// The size and the checksum of these parts together, if they are as S3 insists.
    pub fn whole_of(&self, wanted: &[CompletedPart]) -> S3Result<(u64, Option<String>)> {
        let mut last: Option<(i32, u64)> = None;
        let mut parts = Vec::new();
        for part in wanted {
            let number = part.part_number.ok_or_else(|| s3_error!(MalformedXML))?;
            let found = self.parts.get(&number);
            let found = found.ok_or_else(|| s3_error!(InvalidPart, "no part {number}"))?;
            if let Some((before, size)) = last {
                if before >= number {
                    return Err(s3_error!(InvalidPartOrder));
                }
                if size < PART_BYTES_MIN {
                    return Err(s3_error!(EntityTooSmall));
                }
            }
            if part.e_tag.as_ref().map(ETag::value) != Some(found.tag.value()) {
                return Err(s3_error!(InvalidPart, "another tag for part {number}"));
            }
            let sum = part.checksum_sha256.as_ref();
            if self.sha256_needed && sum.is_none() {
                return Err(s3_error!(InvalidRequest, "no checksum for part {number}"));
            }
            if sum.is_some() && sum != found.sha256.as_ref() {
                return Err(s3_error!(InvalidPart, "another checksum for {number}"));
            }
            last = Some((number, found.size));
            parts.push(found);
        }
        let size = parts.iter().map(|part| part.size).sum();
        Ok((size, composite(&parts)))
    }
}

/// The SHA-256 of `bytes`.
pub fn sha256_of(bytes: &[u8]) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).into()
}

/// The checksum of an object made of parts: that of the parts' checksums, and their count.
fn composite(parts: &[&Uploaded]) -> Option<String> {
    let mut sums = Vec::new();
    for part in parts {
        sums.extend(BASE64.decode(part.sha256.as_deref()?).ok()?);
    }
    let sum = BASE64.encode(sha256_of(&sums));
    Some(format!("{sum}-{}", parts.len()))
}

fn size_of(size: u64) -> i64 {
    i64::try_from(size).expect("a size that fits a disk")
}
