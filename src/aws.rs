//! Region, credentials and endpoints of AWS, from the usual places.
//!
//! Owns the order in which the environment, the profile, a web identity, a container's and an instance's role are asked
//! (that of the AWS SDKs) and the one HTTP client that asks them. Never names a bucket or a distribution, and never
//! prints a credential.

use std::sync::Arc;

use object_store::CredentialProvider;
use object_store::aws::AwsCredential;

/// What the usual places say.
#[derive(Clone, Debug)]
pub struct Session {
    config: aws_config::SdkConfig,
}

impl Session {
    /// Looks at the usual places; `region` overrides theirs.
    pub async fn load(region: Option<&str>) -> Self {
        let _ = region;
        todo!()
    }

    /// The region, if any place names one.
    #[must_use]
    pub fn region(&self) -> Option<String> {
        todo!()
    }

    /// What `AWS_ENDPOINT_URL_<SERVICE>` or `AWS_ENDPOINT_URL` (or the profile) says for a service such as `S3`.
    #[must_use]
    pub fn endpoint_url(&self, service: &str) -> Option<String> {
        let _ = service;
        todo!()
    }

    /// Credentials for S3, renewed before they expire.
    #[must_use]
    pub fn credentials(&self) -> Arc<dyn CredentialProvider<Credential = AwsCredential>> {
        todo!()
    }

    /// The same for clients of the SDK.
    #[must_use]
    pub fn sdk_config(&self) -> &aws_config::SdkConfig {
        &self.config
    }
}
