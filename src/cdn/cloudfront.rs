//! CloudFront's invalidations, by the AWS SDK.
//!
//! Owns the translation of the SDK's errors into kinds. Never tries twice (`telling.rs` does), never chooses credentials
//! (they come with the configuration that it is handed), and lets no error of the SDK out: their `Debug` shows the
//! signed request.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudfront::Client;
use aws_sdk_cloudfront::config::http::HttpResponse;
use aws_sdk_cloudfront::config::retry::RetryConfig;
use aws_sdk_cloudfront::config::timeout::TimeoutConfig;
use aws_sdk_cloudfront::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudfront::types::{self, InvalidationBatch, Paths};
use jiff::Timestamp;

use super::error::Cause;
use super::{Batch, Edge, EdgeError, Invalidation, Reference, Status};

/// CloudFront is one service for the whole world, and its requests are signed for this region. Only without another
/// one: China's has regions of its own.
const REGION: &str = "us-east-1";

/// A connection takes a round trip or three; whoever does not answer in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One attempt, from its first byte to the last of the answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// How many of the latest invalidations are looked at for a reference: CloudFront lists them without their references,
/// so that each costs a request.
const LOOKED_AT_MAX: i32 = 20;

/// Characters of CloudFront's own words that are repeated: a sentence or two.
const DETAIL_CHARS_MAX: usize = 300;

/// Codes by which AWS services ask for patience, whatever the status.
const THROTTLING: [&str; 9] = [
    "TooManyInvalidationsInProgress",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
    "ServiceUnavailable",
];

/// The control plane of one distribution.
#[derive(Debug)]
pub struct CloudFront {
    client: Client,
    distribution: String,
    endpoint: String,
}

impl CloudFront {
    /// Region, credentials and transport come from `config`; `endpoint_url` overrides where it is.
    #[must_use]
    pub fn new(config: &SdkConfig, distribution: String, endpoint_url: Option<&str>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let mut builder = aws_sdk_cloudfront::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        if config.region().is_none() {
            builder = builder.region(Region::from_static(REGION));
        }
        if let Some(url) = endpoint_url {
            builder = builder.endpoint_url(url);
        }
        Self {
            client: Client::from_conf(builder.build()),
            distribution,
            endpoint: endpoint_url.map_or_else(|| "CloudFront".to_owned(), without_user),
        }
    }

    fn refusal<E>(&self, error: &SdkError<E, HttpResponse>) -> EdgeError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let endpoint = self.endpoint.clone();
        if let Some(cause) = credentials_error(error) {
            return EdgeError::NoCredentials(cause);
        }
        match error {
            SdkError::ServiceError(context) => {
                let meta = context.err().meta();
                let status = context.raw().status().as_u16();
                self.classify(status, meta.code(), meta.message().unwrap_or_default())
            }
            SdkError::TimeoutError(_) => EdgeError::Unreachable {
                endpoint,
                source: Cause("it does not answer in time".to_owned()),
            },
            SdkError::DispatchFailure(_) => EdgeError::Unreachable {
                endpoint,
                source: innermost(error),
            },
            SdkError::ResponseError(context) if context.raw().status().as_u16() >= 500 => {
                let status = context.raw().status().as_u16();
                EdgeError::Fault { status }
            }
            _ => EdgeError::Unintelligible {
                endpoint,
                source: innermost(error),
            },
        }
    }

    /// What a status, a code and a message mean.
    fn classify(&self, status: u16, code: Option<&str>, message: &str) -> EdgeError {
        let named = code.map_or_else(|| format!("status {status}"), str::to_owned);
        match (named.as_str(), status) {
            (code, _) if THROTTLING.contains(&code) => EdgeError::Busy { code: named },
            (_, 429 | 503) => EdgeError::Busy { code: named },
            (_, 500..) => EdgeError::Fault { status },
            ("NoSuchDistribution", _) => EdgeError::NoDistribution(self.distribution.clone()),
            ("InvalidationBatchAlreadyExists", _) => EdgeError::ReferenceUsed,
            // Undocumented, but seen: the same refusal under the name of any other bad argument.
            ("InvalidArgument", _) if message.contains("caller reference that was used") => {
                EdgeError::ReferenceUsed
            }
            ("AccessDenied" | "AccessDeniedException", _) => EdgeError::Denied {
                code: named,
                detail: (!message.is_empty()).then(|| printable(message)),
            },
            // About the credentials themselves. Their messages may quote what was signed, a session token included.
            (_, 401 | 403) => EdgeError::Denied {
                code: named,
                detail: None,
            },
            _ => EdgeError::Refused {
                code: named,
                detail: printable(message),
            },
        }
    }

    fn unbuildable(&self, error: &BuildError) -> EdgeError {
        EdgeError::Unintelligible {
            endpoint: self.endpoint.clone(),
            source: Cause(error.to_string()),
        }
    }

    fn empty(&self) -> EdgeError {
        EdgeError::Unintelligible {
            endpoint: self.endpoint.clone(),
            source: Cause("its answer names no invalidation".to_owned()),
        }
    }

    async fn fetch(&self, id: &str) -> Result<types::Invalidation, EdgeError> {
        let request = self.client.get_invalidation();
        let request = request.distribution_id(&self.distribution).id(id);
        let answer = request.send().await.map_err(|error| self.refusal(&error))?;
        answer.invalidation.ok_or_else(|| self.empty())
    }
}

#[async_trait]
impl Edge for CloudFront {
    async fn create(&self, batch: &Batch) -> Result<Invalidation, EdgeError> {
        let paths = batch.set.paths();
        let paths = Paths::builder()
            .quantity(i32::try_from(paths.len()).unwrap_or(i32::MAX))
            .set_items(Some(paths))
            .build()
            .map_err(|error| self.unbuildable(&error))?;
        let batch = InvalidationBatch::builder()
            .paths(paths)
            .caller_reference(batch.reference.as_str())
            .build()
            .map_err(|error| self.unbuildable(&error))?;
        let request = self.client.create_invalidation();
        let request = request
            .distribution_id(&self.distribution)
            .invalidation_batch(batch);
        let answer = request.send().await.map_err(|error| self.refusal(&error))?;
        let created = answer.invalidation.ok_or_else(|| self.empty())?;
        Ok(Invalidation::from(&created))
    }

    async fn get(&self, id: &str) -> Result<Invalidation, EdgeError> {
        Ok(Invalidation::from(&self.fetch(id).await?))
    }

    async fn find(&self, reference: &Reference) -> Result<Option<Invalidation>, EdgeError> {
        let request = self.client.list_invalidations();
        let request = request
            .distribution_id(&self.distribution)
            .max_items(LOOKED_AT_MAX);
        let answer = request.send().await.map_err(|error| self.refusal(&error))?;
        let list = answer.invalidation_list.ok_or_else(|| self.empty())?;
        for summary in list.items() {
            let found = self.fetch(summary.id()).await?;
            let used = found
                .invalidation_batch()
                .map(InvalidationBatch::caller_reference);
            if used == Some(reference.as_str()) {
                return Ok(Some(Invalidation::from(&found)));
            }
        }
        Ok(None)
    }
}

impl From<&types::Invalidation> for Invalidation {
    fn from(seen: &types::Invalidation) -> Self {
        let created = seen.create_time();
        let nanosecond = i32::try_from(created.subsec_nanos()).unwrap_or_default();
        Self {
            id: seen.id().to_owned(),
            // CloudFront documents `Completed`, moto says `COMPLETED`.
            status: if seen.status().eq_ignore_ascii_case("Completed") {
                Status::Completed
            } else {
                Status::InProgress
            },
            created_at: Timestamp::new(created.secs(), nanosecond).ok(),
        }
    }
}

/// What is wrong with the credentials, if that is it. Only in the SDK's fixed words: what a credential process prints
/// stands further down the chain.
fn credentials_error(error: &(dyn Error + 'static)) -> Option<Cause> {
    let found = chain(error).find_map(|cause| cause.downcast_ref::<CredentialsError>())?;
    Some(Cause(found.to_string()))
}

/// What is at the bottom of it, such as "Connection refused (os error 111)".
fn innermost(error: &(dyn Error + 'static)) -> Cause {
    let last = chain(error).last();
    Cause(last.map(ToString::to_string).unwrap_or_default())
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        (*error).source()
    })
}

/// Words from outside as one harmless line.
fn printable(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(DETAIL_CHARS_MAX).map(harmless).collect()
}

/// A URL without the user and password that it may have.
fn without_user(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cdn::error::Outlook;

    fn cloudfront() -> CloudFront {
        let config = SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .build();
        CloudFront::new(&config, "E1".to_owned(), None)
    }

    /// Status, code and message of an answer; a part of the error's text; whether another attempt may succeed.
    type Refusal = (
        u16,
        Option<&'static str>,
        &'static str,
        &'static str,
        Outlook,
    );

    const REFUSALS: &[Refusal] = &[
        (
            400,
            Some("TooManyInvalidationsInProgress"),
            "",
            "busy",
            Outlook::Soon,
        ),
        (
            400,
            Some("Throttling"),
            "Rate exceeded",
            "busy",
            Outlook::Soon,
        ),
        (429, None, "", "busy", Outlook::Soon),
        (503, Some("Whatever"), "", "busy", Outlook::Soon),
        (
            500,
            Some("InternalError"),
            "",
            "failed with status 500",
            Outlook::Perhaps,
        ),
        (502, None, "", "failed with status 502", Outlook::Perhaps),
        (
            404,
            Some("NoSuchDistribution"),
            "",
            "no distribution `E1`",
            Outlook::Never,
        ),
        (404, None, "", "refuses it (status 404)", Outlook::Never),
        (
            400,
            Some("InvalidationBatchAlreadyExists"),
            "",
            "used before",
            Outlook::Never,
        ),
        (
            400,
            Some("InvalidArgument"),
            "Your request contains a caller reference that was used for a previous invalidation batch",
            "used before",
            Outlook::Never,
        ),
        (
            400,
            Some("InvalidArgument"),
            "bad\npath",
            "(InvalidArgument): bad path",
            Outlook::Never,
        ),
        (
            413,
            Some("BatchTooLarge"),
            "too many",
            "(BatchTooLarge): too many",
            Outlook::Never,
        ),
        (
            403,
            Some("AccessDenied"),
            "User: x may not",
            "(AccessDenied): User: x",
            Outlook::Never,
        ),
        (
            403,
            Some("SignatureDoesNotMatch"),
            "sent: TOKEN",
            "denies it (SignatureDoesNotMatch)",
            Outlook::Never,
        ),
        (
            403,
            Some("ExpiredToken"),
            "TOKEN",
            "denies it (ExpiredToken)",
            Outlook::Never,
        ),
    ];

    #[test]
    fn every_refusal_has_its_kind() {
        for (status, code, message, text, outlook) in REFUSALS.iter().copied() {
            let error = cloudfront().classify(status, code, message);
            assert!(error.to_string().contains(text), "{code:?}: {error}");
            assert!(!error.to_string().contains("TOKEN"), "{error}");
            assert_eq!(error.outlook(), outlook, "{code:?}");
        }
    }

    #[test]
    fn an_endpoint_is_shown_without_its_password() {
        for (url, shown) in [
            ("http://127.0.0.1:9", "http://127.0.0.1:9"),
            (
                "https://user:password@host:1/path@x",
                "https://host:1/path@x",
            ),
            ("https://user:pass@word@host", "https://host"),
            ("no url", "no url"),
        ] {
            assert_eq!(without_user(url), shown);
        }
    }
}
