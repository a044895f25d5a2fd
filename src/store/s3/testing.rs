//! What the unit tests of this folder share: owns the options of a bucket that nobody has. Never opens a connection.

use std::sync::Arc;
use std::time::Duration;

use object_store::StaticCredentialProvider;
use object_store::aws::AwsCredential;

use super::S3Options;

pub(super) fn options(endpoint_url: Option<&str>) -> S3Options {
    S3Options {
        bucket: "bucket".to_owned(),
        prefix: String::new(),
        region: Some("us-east-1".to_owned()),
        endpoint_url: endpoint_url.map(str::to_owned),
        path_style: None,
        request_timeout: Duration::from_secs(10),
        credentials: Arc::new(StaticCredentialProvider::new(AwsCredential {
            key_id: "key".to_owned(),
            secret_key: "secret".to_owned(),
            token: None,
        })),
    }
}
