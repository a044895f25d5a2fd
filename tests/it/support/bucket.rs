//! Stores in a bucket of each of the two servers, and a look past the store at what S3 keeps.
//!
//! Never configures a store as the commands do: that is what the tests of the commands are for.

use std::sync::Arc;
use std::time::Duration;

use headwater::store::Store;
use headwater::store::s3::{S3Options, S3Store};

use crate::harness::aws::{self, Client};
use crate::harness::moto::Moto;
use crate::harness::s3::S3Server;
use crate::harness::wire::Response;

/// Before every key of the store; others may use the bucket too.
pub const PREFIX: &str = "some/prefix";

/// A store in a bucket of its own.
pub struct Bucket {
    pub store: Arc<dyn Store>,
    client: Client,
    endpoint: String,
    name: String,
    /// Kept as long as its store; `None` when the server is everybody's.
    pub server: Option<S3Server>,
}

impl Bucket {
    /// In the server of this process.
    pub fn in_process() -> Self {
        let server = S3Server::start();
        let name = server.bucket().to_owned();
        Self {
            store: s3_store(&server.endpoint(), &name),
            client: server.client(),
            endpoint: server.endpoint(),
            name,
            server: Some(server),
        }
    }

    /// In moto.
    pub fn in_moto() -> Self {
        let moto = Moto::shared();
        let name = moto.new_bucket();
        Self {
            store: s3_store(&moto.endpoint(), &name),
            client: moto.s3(),
            endpoint: moto.endpoint(),
            name,
            server: None,
        }
    }

    /// The same store as another machine sees it.
    pub fn elsewhere(&self) -> Arc<dyn Store> {
        s3_store(&self.endpoint, &self.name)
    }

    /// Asks S3 itself about a key of the bucket, prefix and all; the key may end in a query.
    #[track_caller]
    pub fn ask(&self, method: &str, full_key: &str, body: &[u8]) -> Response {
        let target = format!("/{}/{full_key}", self.name);
        self.client.send(method, &target, &[], body)
    }

    /// Everything the bucket holds, as S3 lists it.
    #[track_caller]
    pub fn listing(&self) -> String {
        let target = format!("/{}?list-type=2", self.name);
        let response = self.client.send("GET", &target, &[], "");
        String::from_utf8(response.body).unwrap()
    }

    /// Uploads that were begun and neither completed nor aborted, as S3 lists them.
    #[track_caller]
    pub fn uploads(&self) -> usize {
        let target = format!("/{}?uploads=", self.name);
        let response = self.client.send("GET", &target, &[], "");
        assert_eq!(response.status, 200, "{response:?}");
        let xml = String::from_utf8(response.body).unwrap();
        xml.matches("<UploadId>").count()
    }
}

/// The store below [`PREFIX`] in a bucket.
pub fn s3_store(endpoint: &str, bucket: &str) -> Arc<dyn Store> {
    // What the program does when it starts; another test may have been faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = S3Options {
        bucket: bucket.to_owned(),
        prefix: PREFIX.to_owned(),
        region: Some(aws::REGION.to_owned()),
        endpoint_url: Some(endpoint.to_owned()),
        path_style: None,
        request_timeout: Duration::from_secs(20),
        credentials: aws::credentials(),
    };
    Arc::new(S3Store::open(options).unwrap())
}
