//! An S3 server in the tests' own process, on a port of its own: s3s reads the protocol and checks every signature.
//!
//! Owns the record of requests, so that a test can say that something was asked once, or not at all. Never injects a
//! fault on its way to the client: that is `fault`'s. What the bucket keeps is in `bucket.rs`.

mod bucket;
mod state;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::aws::{self, Client};
use bucket::Bucket;

/// The one bucket.
const BUCKET: &str = "releases";

/// A running server with one empty bucket. Dropping it ends it.
pub struct S3Server {
    address: SocketAddr,
    bucket: Bucket,
    record: Arc<Mutex<Record>>,
    keys: Arc<Mutex<Keys>>,
    runtime: Option<Runtime>,
    _folder: TempDir,
}

/// One request and how it was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// As AWS names it: `GetObject`, `UploadPart`, ….
    pub operation: &'static str,
    /// The key in the bucket; empty for requests about the bucket.
    pub key: String,
    /// The query, without `?`.
    pub query: String,
    pub range: Option<String>,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    /// Bytes sent with it.
    pub body_bytes: u64,
    /// `None` while it is being answered.
    pub status: Option<u16>,
}

/// What was asked since it was last forgotten, and how much was forgotten.
#[derive(Default)]
struct Record {
    forgotten: usize,
    asked: Vec<Asked>,
}

/// What becomes of the account's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keys {
    Valid,
    Expired,
    Unknown,
}

impl S3Server {
    /// Starts it.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::new(folder.path().to_owned(), BUCKET);
        let keys = Arc::new(Mutex::new(Keys::Valid));
        let mut builder = S3ServiceBuilder::new(bucket.clone());
        builder.set_auth(Account(Arc::clone(&keys)));
        let service = builder.build();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("s3 server")
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let record = Arc::default();
        runtime.spawn(accept(listener, service, Arc::clone(&record)));
        Self {
            address,
            bucket,
            record,
            keys,
            runtime: Some(runtime),
            _folder: folder,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as an URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        self.bucket.name()
    }

    /// What `--store` is given; without a prefix when that is empty.
    pub fn store_url(&self, prefix: &str) -> String {
        store_url(self.bucket(), prefix)
    }

    /// What a command needs to find it, and nothing else.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        aws::environment(&self.endpoint())
    }

    /// Sends it single requests.
    pub fn client(&self) -> Client {
        Client::new("s3", self.address)
    }

    /// Every request so far, in the order in which they came.
    pub fn asked(&self) -> Vec<Asked> {
        self.lock_record().asked.clone()
    }

    /// How many requests of this operation came.
    pub fn count(&self, operation: &str) -> usize {
        let record = self.lock_record();
        let same = |asked: &&Asked| asked.operation == operation;
        record.asked.iter().filter(same).count()
    }

    /// Forgets what was asked so far.
    pub fn forget(&self) {
        self.lock_record().forget();
    }

    /// Every key in the bucket, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.bucket.keys()
    }

    /// The keys of uploads that were begun and neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        self.bucket.uploads()
    }

    /// Pretends that every unfinished upload began so much earlier.
    pub fn age_uploads(&self, by: Duration) {
        self.bucket.age_uploads(by);
    }

    /// The bytes under a key.
    #[track_caller]
    pub fn object(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.bucket.path_of(key))
            .unwrap_or_else(|e| panic!("no object `{key}` ({e}): {:?}", self.keys()))
    }

    /// Flips a bit of an object where it lies; its entity tag stays.
    #[track_caller]
    pub fn corrupt(&self, key: &str, offset: usize) {
        let mut bytes = self.object(key);
        bytes[offset] ^= 1;
        std::fs::write(self.bucket.path_of(key), bytes).unwrap();
    }

    /// Pretends that an object was written so much earlier.
    #[track_caller]
    pub fn age(&self, key: &str, by: Duration) {
        let file = std::fs::File::options()
            .write(true)
            .open(self.bucket.path_of(key));
        let then = std::time::SystemTime::now() - by;
        file.unwrap().set_modified(then).unwrap();
    }

    /// Takes an object away as somebody else would.
    #[track_caller]
    pub fn remove(&self, key: &str) {
        self.bucket.remove(key);
    }

    /// From now on the account's credentials have expired.
    pub fn expire_credentials(&self) {
        self.set_keys(Keys::Expired);
    }

    /// From now on nobody knows the account's key.
    pub fn forget_credentials(&self) {
        self.set_keys(Keys::Unknown);
    }

    /// The account's credentials are good again.
    pub fn renew_credentials(&self) {
        self.set_keys(Keys::Valid);
    }

    fn set_keys(&self, keys: Keys) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    fn lock_record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Notes a request; its number is for [`Record::answered`].
    fn came(&mut self, asked: Asked) -> usize {
        self.asked.push(asked);
        self.forgotten + self.asked.len() - 1
    }

    fn answered(&mut self, number: usize, status: Option<u16>) {
        let kept = number.checked_sub(self.forgotten);
        if let Some(asked) = kept.and_then(|at| self.asked.get_mut(at)) {
            asked.status = status;
        }
    }

    fn forget(&mut self) {
        self.forgotten += self.asked.len();
        self.asked.clear();
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // In the background: a test that drops it may itself run on a runtime, which must not wait for another.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A store in a bucket, as `--store` is given it.
pub fn store_url(bucket: &str, prefix: &str) -> String {
    match prefix {
        "" => format!("s3://{bucket}"),
        prefix => format!("s3://{bucket}/{prefix}"),
    }
}

/// Knows the one account.
struct Account(Arc<Mutex<Keys>>);

#[async_trait::async_trait]
impl S3Auth for Account {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let keys = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match keys {
            Keys::Valid if access_key == aws::KEY_ID => Ok(SecretKey::from(aws::SECRET)),
            Keys::Expired => Err(s3_error!(ExpiredToken, "The provided token has expired.")),
            Keys::Valid | Keys::Unknown => Err(s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )),
        }
    }
}

async fn accept(listener: std::net::TcpListener, service: S3Service, record: Arc<Mutex<Record>>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (service, record) = (service.clone(), Arc::clone(&record));
        let answer = move |request: http::Request<hyper::body::Incoming>| {
            let (service, record) = (service.clone(), Arc::clone(&record));
            async move {
                let lock = || record.lock().unwrap_or_else(PoisonError::into_inner);
                let number = lock().came(asked(&request));
                let answer = hyper::service::Service::call(&service, request).await;
                let status = answer.as_ref().map(|answer| answer.status().as_u16());
                lock().answered(number, status.ok());
                answer
            }
        };
        // A client that goes away in the middle is what some tests are about: no outcome is looked at.
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer)),
        );
    }
}

fn asked<B>(request: &http::Request<B>) -> Asked {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy();
    let in_bucket = path.trim_start_matches('/').split_once('/');
    let key = in_bucket.map_or("", |(_, key)| key);
    let query = request.uri().query().unwrap_or_default();
    let field = |name: &str| {
        let value = request.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let length = field("content-length").and_then(|text| text.parse().ok());
    Asked {
        operation: operation(request.method().as_str(), key, query),
        key: key.to_owned(),
        query: query.to_owned(),
        range: field("range"),
        if_match: field("if-match"),
        if_none_match: field("if-none-match"),
        body_bytes: length.unwrap_or(0),
        status: None,
    }
}

/// The operation that a request asks for, as AWS names it.
pub fn operation(method: &str, key: &str, query: &str) -> &'static str {
    let names: Vec<&str> = query
        .split('&')
        .map(|pair| pair.split('=').next().unwrap_or_default())
        .collect();
    let has = |name: &str| names.contains(&name);
    match (method, key.is_empty()) {
        ("GET", true) if has("uploads") => "ListMultipartUploads",
        ("GET", true) => "ListObjectsV2",
        ("HEAD", true) => "HeadBucket",
        ("POST", true) if has("delete") => "DeleteObjects",
        ("GET", false) if has("uploadId") => "ListParts",
        ("GET", false) => "GetObject",
        ("HEAD", false) => "HeadObject",
        ("PUT", false) if has("partNumber") => "UploadPart",
        ("PUT", false) => "PutObject",
        ("POST", false) if has("uploads") => "CreateMultipartUpload",
        ("POST", false) if has("uploadId") => "CompleteMultipartUpload",
        ("DELETE", false) if has("uploadId") => "AbortMultipartUpload",
        ("DELETE", false) => "DeleteObject",
        _ => "Other",
    }
}
