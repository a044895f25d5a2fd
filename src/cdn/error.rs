//! Why an edge was not told, or does not say that it is done.
//!
//! Owns the kinds of refusal and which of them are worth another attempt. Never holds a request, a header or a
//! credential: the SDK's own errors do, and are taken apart in `cloudfront.rs`.

use std::time::Duration;

/// Why one attempt failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EdgeError {
    /// It has enough to do, and says so.
    #[error("CloudFront is busy ({code})")]
    Busy {
        /// `TooManyInvalidationsInProgress`, or a code of throttling.
        code: String,
    },
    /// It failed itself.
    #[error("CloudFront failed with status {status}")]
    Fault {
        /// 500 or above.
        status: u16,
    },
    /// Nobody answers there.
    #[error("cannot reach {endpoint}")]
    Unreachable {
        /// A URL, or "CloudFront" for its own.
        endpoint: String,
        /// Why.
        source: Cause,
    },
    /// Whoever asks may not.
    #[error("CloudFront denies it ({code}){}", .detail.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Denied {
        /// `AccessDenied`, or one about the credentials themselves.
        code: String,
        /// Which permission is missing, in CloudFront's words.
        detail: Option<String>,
    },
    /// Nobody in particular asks.
    #[error("there are no AWS credentials that could be used")]
    NoCredentials(#[source] Cause),
    /// There is no such distribution, or another account has it.
    #[error("there is no distribution `{0}`")]
    NoDistribution(String),
    /// The reference was used before.
    #[error("the reference of this purge was used before")]
    ReferenceUsed,
    /// It does not want this at all.
    #[error("CloudFront refuses it ({code}): {detail}")]
    Refused {
        /// Its code.
        code: String,
        /// Its words.
        detail: String,
    },
    /// The request could not be made, or the answer not be read.
    #[error("cannot talk to {endpoint}")]
    Unintelligible {
        /// A URL, or "CloudFront" for its own.
        endpoint: String,
        /// Why.
        source: Cause,
    },
}

/// What lies behind an error, as text: what the SDK hands out would show signed headers to whoever prints it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(pub String);

/// Whether another attempt may succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outlook {
    /// As soon as earlier work is done: worth all the time there is.
    Soon,
    /// If it was an accident: worth a few attempts, for an address may be wrong.
    Perhaps,
    /// Not without a change.
    Never,
}

impl EdgeError {
    /// Whether another attempt may succeed.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        match self {
            Self::Busy { .. } => Outlook::Soon,
            Self::Fault { .. } | Self::Unreachable { .. } => Outlook::Perhaps,
            Self::Denied { .. }
            | Self::NoCredentials(_)
            | Self::NoDistribution(_)
            | Self::ReferenceUsed
            | Self::Refused { .. }
            | Self::Unintelligible { .. } => Outlook::Never,
        }
    }
}

/// Why a purge did not come to its end.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CdnError {
    /// Another attempt would end like this one.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// A few attempts all failed by accident.
    #[error("{attempts} attempts failed")]
    Repeatedly {
        /// In a row.
        attempts: u32,
        /// The last one.
        source: EdgeError,
    },
    /// It was busy, or silent, for as long as this program may wait.
    #[error("it was not accepted within {}", seconds(*.timeout))]
    NotAccepted {
        /// `cdn.timeout`.
        timeout: Duration,
        /// What the last attempt ended with; `None`: it had no answer yet.
        source: Option<EdgeError>,
    },
    /// It was accepted, but how far it is cannot be seen: most often whoever asks may create and not look.
    #[error("invalidation `{id}` was accepted, but how far it is cannot be seen")]
    Unseen {
        /// Which one.
        id: String,
        /// Why.
        source: Box<Self>,
    },
    /// It was accepted and goes on, but has not been reported complete.
    #[error("invalidation `{id}` was accepted, but is not complete after {}", seconds(*.timeout))]
    Incomplete {
        /// Which one.
        id: String,
        /// `cdn.timeout`.
        timeout: Duration,
    },
}

impl CdnError {
    /// The edge's name for a purge that it has accepted all the same.
    #[must_use]
    pub fn accepted(&self) -> Option<&str> {
        match self {
            Self::Unseen { id, .. } | Self::Incomplete { id, .. } => Some(id),
            Self::Edge(_) | Self::Repeatedly { .. } | Self::NotAccepted { .. } => None,
        }
    }
}

fn seconds(timeout: Duration) -> String {
    format!("{timeout:?} (`cdn.timeout`)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::chain;

    #[test]
    fn a_chain_says_everything_once() {
        let refused = EdgeError::Unreachable {
            endpoint: "http://127.0.0.1:9".to_owned(),
            source: Cause("connection refused".to_owned()),
        };
        let busy = EdgeError::Busy {
            code: "Throttling".to_owned(),
        };
        let timeout = Duration::from_secs(900);
        let rows = [
            (
                CdnError::Repeatedly {
                    attempts: 5,
                    source: refused.clone(),
                },
                "5 attempts failed: cannot reach http://127.0.0.1:9: connection refused",
            ),
            (
                CdnError::Edge(refused),
                "cannot reach http://127.0.0.1:9: connection refused",
            ),
            (
                CdnError::NotAccepted {
                    timeout,
                    source: Some(busy),
                },
                "it was not accepted within 900s (`cdn.timeout`): CloudFront is busy (Throttling)",
            ),
            (
                CdnError::Unseen {
                    id: "I1".to_owned(),
                    source: Box::new(CdnError::Edge(EdgeError::NoDistribution("E1".to_owned()))),
                },
                "invalidation `I1` was accepted, but how far it is cannot be seen: there is no distribution `E1`",
            ),
            (
                CdnError::Incomplete {
                    id: "I1".to_owned(),
                    timeout,
                },
                "invalidation `I1` was accepted, but is not complete after 900s (`cdn.timeout`)",
            ),
        ];
        for (error, expected) in rows {
            assert_eq!(chain(&error), expected);
        }
        let denied = |detail: Option<&str>| EdgeError::Denied {
            code: "AccessDenied".to_owned(),
            detail: detail.map(str::to_owned),
        };
        assert_eq!(
            denied(None).to_string(),
            "CloudFront denies it (AccessDenied)"
        );
        assert_eq!(
            denied(Some("not you")).to_string(),
            "CloudFront denies it (AccessDenied): not you"
        );
    }
}
