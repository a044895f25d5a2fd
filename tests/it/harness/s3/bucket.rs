//! One bucket of the S3 server: s3s-fs stores the bytes and refuses the writes, this adds what S3 has and it lacks.
//!
//! That is: one conditional write at a time, so that a check and the write after it are one; conditions on reads and
//! deletions; keys of any length, also below another key; checksums of parts; and the listings of `state.rs`. Only the
//! operations that a store of releases may use are here; all others are refused.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, ETag, ETagCondition, GetObjectInput, GetObjectOutput,
    HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsV2Input, ListObjectsV2Output,
    ListPartsInput, ListPartsOutput, PutObjectInput, PutObjectOutput, StreamingBlob,
    UploadPartInput, UploadPartOutput,
};
use s3s::{Body, S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::state::{Held, Pending, State, Uploaded, sha256_of};
use crate::harness::fixture::sha256_hex;
use crate::harness::{PATIENCE, poll};

/// Largest part that a client of ours sends at once.
const BODY_BYTES_MAX: usize = 512 << 20;

/// The bucket; clones are the same one.
#[derive(Clone)]
pub struct Bucket {
    name: String,
    folder: PathBuf,
    files: Arc<FileSystem>,
    state: Arc<RwLock<State>>,
}

/// The name of the file that s3s-fs keeps a key in: always short, never a folder.
fn file_of(key: &str) -> String {
    sha256_hex(key.as_bytes())
}

async fn whole(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let stored = Body::from(body).store_all_limited(BODY_BYTES_MAX).await;
    stored.map_err(|e| s3_error!(IncompleteBody, "{e}"))
}

fn blob(bytes: Bytes) -> StreamingBlob {
    StreamingBlob::from(Body::from(bytes))
}

/// Compares what was announced with what came.
fn check_sha256(announced: Option<&str>, bytes: &[u8]) -> S3Result<()> {
    match announced {
        Some(text) if text != BASE64.encode(sha256_of(bytes)) => Err(s3_error!(BadDigest)),
        _ => Ok(()),
    }
}

/// RFC 9110 §13.2.2: If-Match first, then If-None-Match.
fn check_conditions(
    tag: &ETag,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    if let Some(ETagCondition::ETag(wanted)) = if_match
        && !tag.strong_cmp(wanted)
    {
        return Err(s3_error!(PreconditionFailed));
    }
    match if_none_match {
        Some(ETagCondition::Any) => Err(s3_error!(NotModified)),
        Some(ETagCondition::ETag(known)) if tag.weak_cmp(known) => Err(s3_error!(NotModified)),
        _ => Ok(()),
    }
}

impl Bucket {
    /// An empty bucket in a folder of its own.
    pub fn new(root: PathBuf, name: &str) -> Self {
        let folder = root.join(name);
        std::fs::create_dir(&folder).unwrap();
        Self {
            name: name.to_owned(),
            folder,
            files: Arc::new(FileSystem::new(root).unwrap()),
            state: Arc::default(),
        }
    }

    /// What requests call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every key, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.peek().objects.keys().cloned().collect()
    }

    /// The keys of uploads that were neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        let state = self.peek();
        state.uploads.values().map(|up| up.key.clone()).collect()
    }

    /// Pretends that every upload began so much earlier.
    pub fn age_uploads(&self, by: Duration) {
        let mut state = self.change();
        for upload in state.uploads.values_mut() {
            upload.started -= by;
        }
    }

    /// The file of an object.
    pub fn path_of(&self, key: &str) -> PathBuf {
        self.folder.join(file_of(key))
    }

    /// Takes an object away as somebody else would.
    pub fn remove(&self, key: &str) {
        let removed = self.change().objects.remove(key);
        assert!(removed.is_some(), "no object `{key}`: {:?}", self.keys());
    }

    // Tests ask from threads and from runtimes; only polling does for both.
    fn peek(&self) -> RwLockReadGuard<'_, State> {
        poll(PATIENCE, "nobody writes", || self.state.try_read().ok())
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        poll(PATIENCE, "nobody reads", || self.state.try_write().ok())
    }

    fn check(&self, bucket: &str) -> S3Result<()> {
        if bucket == self.name {
            Ok(())
        } else {
            Err(s3_error!(NoSuchBucket))
        }
    }
}

#[async_trait]
impl S3 for Bucket {
    async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.check(&req.input.bucket)?;
        self.files.head_bucket(req).await
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.check(&req.input.bucket)?;
        let state = self.state.read().await;
        let held = state.held(&req.input.key)?;
        let (if_match, if_none) = (&req.input.if_match, &req.input.if_none_match);
        check_conditions(&held.tag, if_match.as_ref(), if_none.as_ref())?;
        let (is_part, key) = (req.input.range.is_some(), file_of(&req.input.key));
        let req = req.map_input(|input| GetObjectInput { key, ..input });
        let mut response = self.files.get_object(req).await?;
        let whole = held.sha256.clone();
        response.output.checksum_sha256 = whole.filter(|_| !is_part);
        Ok(response)
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.check(&req.input.bucket)?;
        let state = self.state.read().await;
        let held = state.held(&req.input.key)?;
        let (if_match, if_none) = (&req.input.if_match, &req.input.if_none_match);
        check_conditions(&held.tag, if_match.as_ref(), if_none.as_ref())?;
        let key = file_of(&req.input.key);
        let req = req.map_input(|input| HeadObjectInput { key, ..input });
        let mut response = self.files.head_object(req).await?;
        response.output.checksum_sha256.clone_from(&held.sha256);
        Ok(response)
    }

    async fn put_object(
        &self,
        mut req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.check(&req.input.bucket)?;
        let bytes = whole(req.input.body.take()).await?;
        check_sha256(req.input.checksum_sha256.as_deref(), &bytes)?;
        let (size, sha256) = (bytes.len() as u64, req.input.checksum_sha256.clone());
        let key = std::mem::take(&mut req.input.key);
        let req = req.map_input(|input| PutObjectInput {
            key: file_of(&key),
            body: Some(blob(bytes)),
            ..input
        });
        let mut state = self.state.write().await;
        let response = self.files.put_object(req).await?;
        let tag = response.output.e_tag.clone();
        let held = Held {
            tag: tag.expect("s3s-fs names what it wrote"),
            size,
            sha256,
            modified: SystemTime::now(),
        };
        state.objects.insert(key, held);
        Ok(response)
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.check(&req.input.bucket)?;
        let mut state = self.state.write().await;
        if let Some(condition) = &req.input.if_match {
            let held = state.held(&req.input.key)?;
            check_conditions(&held.tag, Some(condition), None)?;
        }
        if state.objects.remove(&req.input.key).is_none() {
            return Ok(S3Response::new(DeleteObjectOutput::default()));
        }
        let key = file_of(&req.input.key);
        let req = req.map_input(|input| DeleteObjectInput { key, ..input });
        self.files.delete_object(req).await
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.check(&req.input.bucket)?;
        let mut state = self.state.write().await;
        let mut deleted = Vec::new();
        for object in &req.input.delete.objects {
            if state.objects.remove(&object.key).is_some() {
                std::fs::remove_file(self.path_of(&object.key)).map_err(S3Error::internal_error)?;
            }
            deleted.push(DeletedObject {
                key: Some(object.key.clone()),
                ..DeletedObject::default()
            });
        }
        let is_quiet = req.input.delete.quiet.unwrap_or(false);
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!is_quiet).then_some(deleted),
            ..DeleteObjectsOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.check(&req.input.bucket)?;
        let state = self.state.read().await;
        Ok(S3Response::new(state.objects_under(req.input)))
    }

    async fn create_multipart_upload(
        &self,
        mut req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.check(&req.input.bucket)?;
        let algorithm = req.input.checksum_algorithm.as_ref();
        let sha256_needed = algorithm.is_some_and(|a| a.as_str() == ChecksumAlgorithm::SHA256);
        let key = std::mem::take(&mut req.input.key);
        let req = req.map_input(|input| CreateMultipartUploadInput {
            key: file_of(&key),
            ..input
        });
        let mut state = self.state.write().await;
        let mut response = self.files.create_multipart_upload(req).await?;
        let upload = response.output.upload_id.clone();
        let pending = Pending {
            key: key.clone(),
            started: SystemTime::now(),
            sha256_needed,
            parts: BTreeMap::new(),
        };
        let upload = upload.expect("s3s-fs names uploads");
        state.uploads.insert(upload, pending);
        response.output.key = Some(key);
        Ok(response)
    }

    async fn upload_part(
        &self,
        mut req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.check(&req.input.bucket)?;
        let bytes = whole(req.input.body.take()).await?;
        check_sha256(req.input.checksum_sha256.as_deref(), &bytes)?;
        let (size, sha256) = (bytes.len() as u64, req.input.checksum_sha256.clone());
        let (number, upload) = (req.input.part_number, req.input.upload_id.clone());
        let pending = self.state.read().await;
        let needed = pending.pending(&upload, &req.input.key)?.sha256_needed;
        drop(pending);
        if needed && sha256.is_none() {
            return Err(s3_error!(InvalidRequest, "no checksum for part {number}"));
        }
        let req = req.map_input(|input| UploadPartInput {
            key: file_of(&input.key),
            body: Some(blob(bytes)),
            ..input
        });
        let mut response = self.files.upload_part(req).await?;
        response.output.checksum_sha256.clone_from(&sha256);
        let tag = response.output.e_tag.clone();
        let part = Uploaded {
            tag: tag.expect("s3s-fs names what it wrote"),
            size,
            sha256,
            received: SystemTime::now(),
        };
        let mut state = self.state.write().await;
        let upload = state.uploads.get_mut(&upload);
        let upload = upload.ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.parts.insert(number, part);
        Ok(response)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.check(&req.input.bucket)?;
        let (key, upload) = (req.input.key.clone(), req.input.upload_id.clone());
        let mut state = self.state.write().await;
        let pending = state.pending(&upload, &key)?;
        let wanted = req.input.multipart_upload.as_ref();
        let wanted = wanted.and_then(|list| list.parts.clone());
        let (size, sha256) = pending.whole_of(&wanted.unwrap_or_default())?;
        let req = req.map_input(|input| CompleteMultipartUploadInput {
            key: file_of(&key),
            ..input
        });
        let response = self.files.complete_multipart_upload(req).await?;
        let mut output = response.output;
        if let Some(later) = output.future.take() {
            output = later.await?;
        }
        let held = Held {
            tag: output.e_tag.clone().expect("s3s-fs names what it wrote"),
            size,
            sha256: sha256.clone(),
            modified: SystemTime::now(),
        };
        state.uploads.remove(&upload);
        state.objects.insert(key.clone(), held);
        output.key = Some(key);
        output.checksum_sha256 = sha256;
        Ok(S3Response::new(output))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.check(&req.input.bucket)?;
        let mut state = self.state.write().await;
        state.pending(&req.input.upload_id, &req.input.key)?;
        state.uploads.remove(&req.input.upload_id);
        let key = file_of(&req.input.key);
        let req = req.map_input(|input| AbortMultipartUploadInput { key, ..input });
        self.files.abort_multipart_upload(req).await
    }

    async fn list_parts(
        &self,
        req: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        self.check(&req.input.bucket)?;
        let state = self.state.read().await;
        Ok(S3Response::new(state.parts_of(req.input)?))
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.check(&req.input.bucket)?;
        let state = self.state.read().await;
        Ok(S3Response::new(state.uploads_under(req.input)))
    }
}
