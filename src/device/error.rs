//! Why a device has no update, and which exit code that is.
//!
//! Owns the wording and the blame: the network (`TransferError`, worth another try), the edge or the origin, this
//! machine, the request. Never decides whether to try again: that is `retry.rs`.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::catalog::DocumentError;
use crate::model::{ByteRange, Digest, ReleaseId};

/// Why a device has no update.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// `--from` is not the root of a server.
    #[error(
        "`{from}` is not an edge or origin: {why}; write http://host[:port] or https://host[:port]"
    )]
    From {
        /// What was asked for.
        from: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The request fits several artifacts of the release.
    #[error("{release} has {} artifacts that fit {wanted}: name one of {}", .names.len(), listed(.names))]
    Ambiguous {
        /// Which release the channel names.
        release: ReleaseId,
        /// What was asked for.
        wanted: String,
        /// Those that fit.
        names: Vec<String>,
    },
    /// The request fits no artifact of the release.
    #[error("{release} has no artifact for {wanted}; it has {}", listed(.names))]
    NoArtifact {
        /// Which release the channel names.
        release: ReleaseId,
        /// What was asked for.
        wanted: String,
        /// All there are.
        names: Vec<String>,
    },
    /// The edge says that there is no such thing (404 or 410).
    #[error("there is no {what} at {url} (status {status})")]
    NotFound {
        /// A channel, a release or an artifact.
        what: &'static str,
        /// Where it was looked for.
        url: String,
        /// 404 or 410.
        status: StatusCode,
    },
    /// The edge answers with something that is no answer to the request, and another try would not change it.
    #[error("{url} was answered with status {status}{}{trace}", if_redirect(*.status))]
    Status {
        /// What was asked for.
        url: String,
        /// What came.
        status: StatusCode,
        /// Through which cache.
        trace: Trace,
    },
    /// The transfer broke, and broke again until patience ended. What arrived is kept for the next call.
    #[error("cannot fetch {url}: given up after {tries} tries")]
    Transfer {
        /// What was asked for.
        url: String,
        /// How often in a row without any progress.
        tries: u32,
        /// What happened the last time.
        source: TransferError,
    },
    /// A document that cannot be used: newer than this program, or not what its place says.
    #[error("cannot use {url}")]
    Document {
        /// Where it came from.
        url: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// A document that is larger than any real one.
    #[error("{url} is larger than the {bytes_max} bytes that such a document may have")]
    DocumentTooLong {
        /// Where it came from.
        url: String,
        /// The limit.
        bytes_max: u64,
    },
    /// Bytes that are not the published ones, also when they were fetched again.
    #[error("{0}")]
    Damaged(Box<DamagedRange>),
    /// As many bytes as the artifact cannot have: something else answers under its URL.
    #[error("{url} is damaged: it offers {actual} bytes where {expected} were published{trace}")]
    WrongLength {
        /// Where the bytes came from.
        url: String,
        /// By the release document, of what was asked for.
        expected: u64,
        /// By the answer's `Content-Length`.
        actual: u64,
        /// Through which cache.
        trace: Trace,
    },
    /// Every piece is right and the whole is not: the release document contradicts itself.
    #[error("{url} is damaged: its pieces fit the release, its digest {actual} is not {expected}")]
    Contradiction {
        /// Where the bytes came from.
        url: String,
        /// By the release document.
        expected: Digest,
        /// By what arrived.
        actual: Digest,
    },
    /// Another process is downloading the same artifact into the same folder.
    #[error("another download is writing `{}`: wait for it to end", .path.display())]
    Busy {
        /// The partial file that it holds.
        path: PathBuf,
    },
    /// This machine could not do something: a full disk, a folder without permission.
    #[error("cannot {action} `{}`", .path.display())]
    Local {
        /// What was tried: "create", "write", "rename", …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The certificates of this machine could not be loaded, so that no `https` peer can be trusted.
    #[error("cannot load this machine's root certificates (SSL_CERT_FILE names others)")]
    Roots(#[source] io::Error),
}

impl DeviceError {
    /// The exit code: 1 failed, 2 usage, 4 not found, 5 damaged.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Status { .. }
            | Self::Transfer { .. }
            | Self::DocumentTooLong { .. }
            | Self::Document {
                source: DocumentError::TooNew { .. },
                ..
            }
            | Self::Busy { .. }
            | Self::Local { .. }
            | Self::Roots(_) => 1,
            Self::From { .. } | Self::Ambiguous { .. } => 2,
            Self::NoArtifact { .. } | Self::NotFound { .. } => 4,
            Self::Document { .. }
            | Self::Damaged(_)
            | Self::WrongLength { .. }
            | Self::Contradiction { .. } => 5,
        }
    }

    pub(super) fn local(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Local {
            action,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

/// Bytes that are not the published ones.
#[derive(Debug)]
pub struct DamagedRange {
    /// Where the bytes came from.
    pub url: String,
    /// Which of them.
    pub range: ByteRange,
    /// By the document that lists them.
    pub expected: Digest,
    /// By what arrived.
    pub actual: Digest,
    /// Through which cache.
    pub trace: Trace,
}

impl fmt::Display for DamagedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url,
            range,
            expected,
            actual,
            trace,
        } = self;
        let last = range.end().saturating_sub(1);
        write!(
            f,
            "{url} is damaged: bytes {}-{last} have the digest {actual}, ",
            range.offset
        )?;
        write!(f, "published was {expected}{trace}")
    }
}

/// One transfer that did not come to its end. Most are worth another try.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// No connection, or one that broke before an answer.
    #[error("the server cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// Somebody answers there, and it is not who the URL names, or this machine does not know who vouches for it.
    #[error("the server's certificate is not trusted (SSL_CERT_FILE names other roots)")]
    Untrusted(#[source] Box<dyn Error + Send + Sync>),
    /// Connecting, or waiting for the next byte, took too long.
    #[error("nothing arrived for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// The connection broke, or the answer ended before its `Content-Length`.
    #[error("the connection broke in the middle of the answer")]
    Broken(#[source] hyper::Error),
    /// The answer ended in good order and is too short all the same.
    #[error("the answer ended {missing} bytes early")]
    Short {
        /// What is missing.
        missing: u64,
    },
    /// The edge or the origin asks to come back later (408, 429, 5xx).
    #[error("the server answered with status {status}{trace}")]
    Unavailable {
        /// What it said.
        status: StatusCode,
        /// `Retry-After`, where it is a number of seconds.
        retry_after: Option<Duration>,
        /// Through which cache.
        trace: Trace,
    },
    /// It was not sent: a load test has made as many requests as it may.
    #[error("the bound on requests is reached")]
    OverBudget,
}

impl TransferError {
    /// Why there is no answer.
    pub(super) fn no_answer(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        if is_bad_certificate(&*error) {
            Self::Untrusted(error)
        } else {
            Self::Unreachable(error)
        }
    }

    /// Whether another try may end otherwise.
    pub(super) fn is_temporary(&self) -> bool {
        !matches!(self, Self::Untrusted(_) | Self::OverBudget)
    }

    /// A name to count it under.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Unreachable(_) => "unreachable".to_owned(),
            Self::Untrusted(_) => "untrusted".to_owned(),
            Self::Stalled(_) => "stalled".to_owned(),
            Self::Broken(_) => "broken".to_owned(),
            Self::Short { .. } => "short".to_owned(),
            Self::Unavailable { status, .. } => format!("status {}", status.as_u16()),
            Self::OverBudget => "over budget".to_owned(),
        }
    }
}

/// Looks inside I/O errors too: they show what they wrap only to those who ask for it.
fn is_bad_certificate(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
    matches!(
        error.downcast_ref(),
        Some(rustls::Error::InvalidCertificate(_))
    ) || wrapped.is_some_and(|wrapped| is_bad_certificate(wrapped))
        || error.source().is_some_and(is_bad_certificate)
}

/// What an answer says about the cache that it came through: what an operator of that cache will ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(Vec<(&'static str, String)>);

impl Trace {
    const FIELDS: [&'static str; 3] = ["X-Cache", "X-Amz-Cf-Id", "Age"];
    /// An error stays one line, whatever a cache writes into a field.
    const VALUE_CHARS_MAX: usize = 120;

    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(
            Self::FIELDS
                .into_iter()
                .filter_map(|field| Some((field, headers.get(field)?.to_str().ok()?)))
                .map(|(field, value)| (field, value.chars().take(Self::VALUE_CHARS_MAX).collect()))
                .collect(),
        )
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (field, value)) in self.0.iter().enumerate() {
            let separator = if at == 0 { " (" } else { ", " };
            write!(f, "{separator}{field}: {value}")?;
        }
        f.write_str(if self.0.is_empty() { "" } else { ")" })
    }
}

/// Names for a message; a tree has thousands.
fn listed(names: &[String]) -> String {
    const SHOWN_MAX: usize = 20;
    let shown: Vec<_> = names
        .iter()
        .take(SHOWN_MAX)
        .map(|n| format!("`{n}`"))
        .collect();
    match (shown.len(), names.len()) {
        (0, _) => "none".into(),
        (all, total) if all == total => shown.join(", "),
        (some, total) => format!("{} and {} more", shown.join(", "), total - some),
    }
}

/// A document of another place is not the document that was asked for, and an artifact's URL is final.
fn if_redirect(status: StatusCode) -> &'static str {
    if status.is_redirection() {
        ", and redirects are not followed"
    } else {
        ""
    }
}
