//! Region, credentials and endpoints of AWS, from the usual places.
//!
//! Owns the order in which the environment, the profile, a web identity, a container's and an instance's role are asked
//! (that of the AWS SDKs) and the one HTTP client that asks them. Never names a bucket or a distribution, and never
//! prints a credential. Read next: `aws/renewal.rs`, which keeps credentials fresh.

use std::sync::Arc;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::ServiceConfigKey;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;

mod renewal;
mod transport;

use renewal::Renewed;

/// Where `CloudFront`, which has no region, is asked; also what S3-compatible servers expect when nobody names one.
const REGION_DEFAULT: &str = "us-east-1";

/// What the usual places say.
#[derive(Clone, Debug)]
pub struct Session {
    config: SdkConfig,
    region: Option<String>,
    credentials: Arc<Renewed>,
}

impl Session {
    /// Reads the environment and the profile's files; `region` overrides theirs. Asks nobody over the network:
    /// credentials are fetched when the first request needs them.
    pub async fn load(region: Option<&str>) -> Self {
        let http = transport::client();
        let region = if let Some(region) = region {
            Some(region.to_owned())
        } else {
            let written = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(ProfileFileRegionProvider::new());
            written.region().await.map(|region| region.to_string())
        };
        let named = Region::new(region.clone().unwrap_or_else(|| REGION_DEFAULT.to_owned()));
        let places = SharedCredentialsProvider::new(UsualPlaces {
            region: named.clone(),
            http: http.clone(),
        });
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(named)
            .http_client(http)
            .credentials_provider(places.clone())
            .load()
            .await;
        let clock = config.time_source().unwrap_or_default();
        Self {
            credentials: Arc::new(Renewed::new(places, clock)),
            config,
            region,
        }
    }

    /// The region, if the settings, the environment or the profile name one.
    #[must_use]
    pub fn region(&self) -> Option<String> {
        self.region.clone()
    }

    /// The region of the instance that this process runs on. Takes a second where there is no such thing, and no time
    /// with `AWS_EC2_METADATA_DISABLED=true`.
    pub async fn region_of_instance() -> Option<String> {
        // A client of its own: its connections end with whatever runtime asks.
        let surroundings = ProviderConfig::default().with_http_client(transport::client());
        let instance = ImdsRegionProvider::builder()
            .configure(&surroundings)
            .build();
        instance.region().await.map(|region| region.to_string())
    }

    /// What `AWS_ENDPOINT_URL_<SERVICE>` or `AWS_ENDPOINT_URL` (or the profile) says for a service such as `S3`.
    #[must_use]
    pub fn endpoint_url(&self, service: &str) -> Option<String> {
        let is_ignored = self.setting(
            service,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "ignore_configured_endpoint_urls",
        );
        if is_ignored.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return None;
        }
        self.setting(service, "AWS_ENDPOINT_URL", "endpoint_url")
            .filter(|url| !url.is_empty())
    }

    /// A setting as the SDKs look it up: the service's own variable, the general one, then the same in the profile.
    fn setting(&self, service: &str, variable: &str, profile: &str) -> Option<String> {
        let key = ServiceConfigKey::builder()
            .service_id(service)
            .env(variable)
            .profile(profile)
            .build()
            .ok()?;
        self.config.service_config()?.load_config(key)
    }

    /// Credentials for S3, renewed before they expire.
    #[must_use]
    pub fn credentials(&self) -> Arc<dyn CredentialProvider<Credential = AwsCredential>> {
        Arc::clone(&self.credentials) as _
    }

    /// The same for clients of the SDK.
    #[must_use]
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.config
    }
}

/// The default chain, built anew for each question: a chain keeps the profile's files as it first read them, so that a
/// key that was rotated there would need a restart.
#[derive(Debug)]
struct UsualPlaces {
    region: Region,
    http: SharedHttpClient,
}

impl UsualPlaces {
    async fn ask(&self) -> provider::Result {
        let surroundings = ProviderConfig::default()
            .with_region(Some(self.region.clone()))
            .with_http_client(self.http.clone());
        let chain = DefaultCredentialsChain::builder()
            .configure(surroundings)
            .region(self.region.clone());
        chain.build().await.provide_credentials().await
    }
}

impl ProvideCredentials for UsualPlaces {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.ask())
    }
}
