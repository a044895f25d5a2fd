//! A bucket that costs little: the objects of a store, in this process's memory, read through the protocol of S3.
//!
//! Owns what can be asked: whole objects and ranges. Never writes, and believes every signature. On cores of the
//! client, so that a comparison charges it to nobody.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::dto::{
    ETag, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, StreamingBlob, Timestamp,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};
use tokio::runtime::Runtime;

use crate::Failure;

/// Its name.
pub const NAME: &str = "bench";

/// The one account.
pub const KEY_ID: &str = "AKIAVERSUS";

/// Its key.
pub const SECRET: &str = "a-secret-that-protects-nothing";

/// Where it is said to be.
pub const REGION: &str = "us-east-1";

/// A bucket that is being served; dropping it ends it.
pub struct Bucket {
    /// Where.
    pub address: SocketAddr,
    _runtime: Runtime,
}

impl Bucket {
    /// Serves every file below `store` as it is now.
    pub fn serve(store: &Path) -> Result<Self, Failure> {
        let mut objects = BTreeMap::new();
        read_all(store, "", &mut objects)?;
        let mut builder = S3ServiceBuilder::new(Objects(objects));
        builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let service = builder.build();
        // Its thread stays on the core of the thread that starts it.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                return;
            };
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(answer(stream, service.clone()));
            }
        });
        Ok(Self {
            address,
            _runtime: runtime,
        })
    }
}

async fn answer(stream: tokio::net::TcpStream, service: S3Service) {
    let connection = hyper::server::conn::http1::Builder::new();
    // A client that has what it wants goes away: no outcome is looked at.
    let _ = connection
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn read_all(
    folder: &Path,
    prefix: &str,
    objects: &mut BTreeMap<String, Bytes>,
) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let key = format!("{prefix}{name}");
        if entry.path().is_dir() {
            read_all(&entry.path(), &format!("{key}/"), objects)?;
        } else {
            objects.insert(key, fs::read(entry.path())?.into());
        }
    }
    Ok(())
}

struct Objects(BTreeMap<String, Bytes>);

impl Objects {
    fn find(&self, key: &str) -> S3Result<Bytes> {
        let found = self.0.get(key).cloned();
        found.ok_or_else(|| s3_error!(NoSuchKey))
    }
}

/// Objects here never change: any tag will do.
fn tag() -> ETag {
    ETag::Strong("0".to_owned())
}

fn signed(len: u64) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

#[async_trait]
impl S3 for Objects {
    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let object = self.find(&req.input.key)?;
        let size = object.len() as u64;
        let (part, content_range) = match &req.input.range {
            None => (object, None),
            Some(range) => {
                let part = range.check(size)?;
                let (from, to) = (part.start, part.end);
                let bounds = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
                let text = format!("bytes {from}-{}/{size}", to - 1);
                (object.slice(bounds), Some(text))
            }
        };
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(signed(part.len() as u64)),
            content_range,
            e_tag: Some(tag()),
            last_modified: Some(Timestamp::from(SystemTime::UNIX_EPOCH)),
            body: Some(StreamingBlob::from(Body::from(part))),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.find(&req.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(signed(object.len() as u64)),
            e_tag: Some(tag()),
            last_modified: Some(Timestamp::from(SystemTime::UNIX_EPOCH)),
            ..HeadObjectOutput::default()
        }))
    }

    async fn head_bucket(
        &self,
        _req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        _req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: Some(0),
            is_truncated: Some(false),
            ..ListObjectsV2Output::default()
        }))
    }
}
