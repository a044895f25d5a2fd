//! What an answer of an edge is worth, against what the store says.
//!
//! Owns every rule by which an edge is found right, late or wrong. Pure: heads, lengths and digests come in, verdicts go
//! out. Never asks: `probe.rs` does.

use std::collections::BTreeMap;
use std::fmt;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderName, SET_COOKIE, VARY,
};
use http::{HeaderMap, StatusCode};

use super::lifetime::Allowed;
use super::redirect::Redirect;
use crate::catalog::{Artifact, Channel};
use crate::model::{ByteRange, Digest, Lifetime, Version};

/// What the store says of one URL.
#[derive(Clone, PartialEq, Debug)]
pub enum Expect {
    /// These bytes for ever.
    Artifact(Artifact),
    /// A release document, for ever.
    Release(Document),
    /// A channel document, until the channel moves.
    Channel {
        /// What it says.
        channel: Channel,
        /// Its bytes.
        document: Document,
        /// The release documents of the product, of whichever the channel named once too.
        releases: std::sync::Arc<BTreeMap<Version, Digest>>,
    },
    /// A redirect of a channel, until the channel moves.
    Redirect(Redirect),
    /// Nothing any more: its release is retired.
    Gone,
}

/// A document by its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Document {
    /// How many.
    pub size: u64,
    /// Of all of them.
    pub sha256: Digest,
}

/// What an answer turned out to be worth. Later ones are worse.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// What the store says.
    Good,
    /// What the store said before, as caches may answer for a time.
    Stale(Stale),
    /// A channel that moved since the store was read, or another store's.
    Newer {
        /// The edge's.
        seen: String,
        /// The store's.
        stored: String,
    },
    /// There was no answer to judge.
    Unreachable(String),
    /// Neither what the store says nor what it ever said, or in a form that breaks devices or caches.
    Wrong(Vec<Fault>),
}

/// An old copy at an edge.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stale {
    /// A channel document of before the last move.
    Channel {
        /// The edge's.
        revision: u64,
        /// The store's.
        stored: u64,
        /// How old the copy is.
        age: u64,
        /// How old it may get.
        allowed: Allowed,
    },
    /// A channel's redirect of before the last move.
    Redirect {
        /// Which release it leads to.
        version: String,
        /// Which one the store's channel names.
        stored: String,
        /// How old the copy is.
        age: u64,
        /// How old it may get.
        allowed: Allowed,
    },
    /// Nothing where a channel redirects by a name that it had not before the last move.
    Missing {
        /// How old the copy is.
        age: u64,
    },
    /// An object of a retired release.
    Retired {
        /// How old the copy is, where the edge says so.
        age: Option<u64>,
    },
}

/// One thing that is wrong with an answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// Another status.
    Status {
        /// What was to come.
        expected: &'static str,
        /// What came.
        actual: u16,
    },
    /// A header field that is missing or says something else.
    Field {
        /// Its name.
        name: &'static str,
        /// What it has to say.
        expected: String,
        /// What it says; `None`: it is not there.
        actual: Option<String>,
    },
    /// A header field that must not be there.
    Surplus {
        /// Its name.
        name: &'static str,
        /// What it says.
        actual: String,
    },
    /// Other bytes.
    Bytes {
        /// Where; a whole piece at least.
        first: u64,
        /// The last of them.
        last: u64,
        /// By the store.
        expected: String,
        /// By what arrived.
        actual: String,
    },
    /// As many bytes as it cannot be.
    Length {
        /// By the store.
        expected: u64,
        /// What arrived, at least.
        actual: u64,
    },
    /// An old channel document that names a release by a digest which that release never had.
    Pointer {
        /// Which release.
        version: String,
    },
    /// An old copy beyond every age that its own `Cache-Control` allows.
    Overdue(Stale),
}

/// How an object is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Question {
    /// All of it.
    Whole,
    /// One part.
    Part,
    /// All of it, unless it is what the store says.
    Conditional,
    /// Its head alone.
    Head,
}

impl Question {
    /// A word for reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Part => "range",
            Self::Conditional => "conditional",
            Self::Head => "head",
        }
    }

    fn status(self) -> (StatusCode, &'static str) {
        match self {
            Self::Whole | Self::Head => (StatusCode::OK, "200"),
            Self::Part => (
                StatusCode::PARTIAL_CONTENT,
                "206 with the part that was asked for",
            ),
            Self::Conditional => (StatusCode::NOT_MODIFIED, "304 to the published ETag"),
        }
    }
}

/// What the head of an answer has to say of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Facts<'a> {
    pub(super) size: u64,
    pub(super) sha256: Digest,
    pub(super) content_type: &'a str,
    pub(super) lifetime: Lifetime,
}

/// The type of release and channel documents.
const DOCUMENT_TYPE: &str = "application/json";

/// DESIGN §5: what every artifact and release document is sent with. A cache in between may shorten nothing.
const IMMUTABLE_SECONDS: u64 = 31_536_000;

impl Expect {
    /// What a 200 says; `None` where there must be no 200.
    pub(super) fn facts(&self) -> Option<Facts<'_>> {
        let of_document = |document: &Document, lifetime| Facts {
            size: document.size,
            sha256: document.sha256,
            content_type: DOCUMENT_TYPE,
            lifetime,
        };
        match self {
            Self::Artifact(artifact) => Some(Facts {
                size: artifact.size,
                sha256: artifact.sha256,
                content_type: &artifact.content_type,
                lifetime: Lifetime::Immutable,
            }),
            Self::Release(document) => Some(of_document(document, Lifetime::Immutable)),
            Self::Channel { document, .. } => Some(of_document(document, Lifetime::Pointer)),
            Self::Redirect(_) | Self::Gone => None,
        }
    }

    /// The part that is asked for, and its digest: the piece in the middle. Nothing has no part.
    #[must_use]
    pub fn middle(&self) -> Option<(ByteRange, Digest)> {
        let Self::Artifact(artifact) = self else {
            return None;
        };
        let pieces = &artifact.pieces;
        let at = pieces.sha256.len() / 2;
        let offset = at as u64 * pieces.size;
        let len = pieces.size.min(artifact.size.saturating_sub(offset));
        let sha256 = pieces.sha256.get(at)?;
        Some((ByteRange::new(offset, len), *sha256))
    }
}

impl Verdict {
    /// A word for reports.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Stale(_) => "stale",
            Self::Newer { .. } => "newer",
            Self::Unreachable(_) => "unreachable",
            Self::Wrong(_) => "wrong",
        }
    }

    pub(super) fn of(faults: Vec<Fault>) -> Self {
        if faults.is_empty() {
            Self::Good
        } else {
            Self::Wrong(faults)
        }
    }

    /// What an old copy is worth: late, until its own lifetime is over.
    pub(super) fn late(stale: Stale) -> Self {
        match &stale {
            Stale::Channel { age, allowed, .. } | Stale::Redirect { age, allowed, .. }
                if *age > allowed.at_all() =>
            {
                Self::Wrong(vec![Fault::Overdue(stale)])
            }
            _ => Self::Stale(stale),
        }
    }

    /// What the store could not know when it was read.
    pub(super) fn newer(what: &str, seen: impl fmt::Display, stored: impl fmt::Display) -> Self {
        Self::Newer {
            seen: format!("{what} {seen}"),
            stored: stored.to_string(),
        }
    }

    /// Whether a purge of the URL can change it.
    #[must_use]
    pub fn is_curable(&self) -> bool {
        matches!(self, Self::Stale(_) | Self::Wrong(_))
    }
}

/// Judges a head against what the store says of the object. A wrong status is the only fault of its answer: the rest
/// belongs to something else.
pub(super) fn head_faults(
    question: Question,
    part: Option<ByteRange>,
    facts: &Facts<'_>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Vec<Fault> {
    let (expected, in_words) = question.status();
    if status != expected {
        return vec![Fault::Status {
            expected: in_words,
            actual: status.as_u16(),
        }];
    }
    let mut faults = Vec::new();
    let fields = Fields(headers);
    // RFC 9110 §8.8.3: a weak tag (`W/`) is another text, and so is one that an edge made itself.
    faults.extend(fields.must_be("ETag", &ETAG, &format!("\"{}\"", facts.sha256)));
    faults.extend(cache_control_fault(facts.lifetime, fields));
    faults.extend(surplus(facts.lifetime, fields));
    if question == Question::Conditional {
        return faults; // RFC 9110 §15.4.5: no metadata of the content
    }
    let len = part.map_or(facts.size, |part| part.len);
    faults.extend(fields.must_be("Content-Length", &CONTENT_LENGTH, &len.to_string()));
    faults.extend(fields.must_be("Content-Type", &CONTENT_TYPE, facts.content_type));
    faults.extend(fields.must_be("Accept-Ranges", &ACCEPT_RANGES, "bytes"));
    match part {
        Some(part) => {
            let last = part.end().saturating_sub(1);
            let range = format!("bytes {}-{last}/{}", part.offset, facts.size);
            faults.extend(fields.must_be("Content-Range", &CONTENT_RANGE, &range));
        }
        None => faults.extend(fields.must_not_be("Content-Range", &CONTENT_RANGE)),
    }
    faults
}

/// Whether the body behind such a head can still be the object's.
pub(super) fn is_worth_reading(faults: &[Fault]) -> bool {
    !faults.iter().any(|fault| match fault {
        Fault::Status { .. } => true,
        Fault::Field { name, .. } => ["Content-Length", "Content-Range"].contains(name),
        _ => false,
    })
}

#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a HeaderMap);

impl Fields<'_> {
    /// All lines of a name, as RFC 9110 §5.3 joins them.
    fn value(self, name: &HeaderName) -> Option<String> {
        let lines: Vec<_> = self.0.get_all(name).iter().map(shown).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    pub(super) fn must_be(
        self,
        name: &'static str,
        field: &HeaderName,
        expected: &str,
    ) -> Option<Fault> {
        let actual = self.value(field);
        (actual.as_deref() != Some(expected)).then(|| Fault::Field {
            name,
            expected: expected.to_owned(),
            actual,
        })
    }

    fn must_not_be(self, name: &'static str, field: &HeaderName) -> Option<Fault> {
        let actual = self.value(field)?;
        Some(Fault::Surplus { name, actual })
    }
}

/// A report stays readable, whatever an edge writes into a field.
const VALUE_CHARS_MAX: usize = 160;

/// A field's value in words that fit a line.
pub(super) fn shown(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes())
        .chars()
        .take(VALUE_CHARS_MAX)
        .collect()
}

pub(super) fn cache_control_fault(lifetime: Lifetime, fields: Fields<'_>) -> Option<Fault> {
    let actual = fields.value(&CACHE_CONTROL);
    let directives = super::lifetime::Directives::parse(actual.as_deref().unwrap_or_default());
    let (is_right, expected) = match lifetime {
        Lifetime::Immutable => (
            directives.has("public")
                && directives.has("immutable")
                && directives.seconds("max-age") >= Some(IMMUTABLE_SECONDS)
                && !directives.forbids_storing(),
            format!("public, max-age={IMMUTABLE_SECONDS}, immutable"),
        ),
        // How long is the operator's to say, and stands in the configuration of another machine.
        Lifetime::Pointer | Lifetime::NoStore => (
            directives.seconds("max-age").is_some()
                && !directives.has("immutable")
                && !directives.forbids_storing(),
            "a max-age, and neither immutable nor no-store".to_owned(),
        ),
    };
    (!is_right).then_some(Fault::Field {
        name: "Cache-Control",
        expected,
        actual,
    })
}

/// Fields that would split the cache or make an answer personal.
pub(super) fn surplus(lifetime: Lifetime, fields: Fields<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    faults.extend(fields.must_not_be("Set-Cookie", &SET_COOKIE));
    // Devices ask for `identity`: what is sent in another form has other ranges and other digests.
    let encoding = fields.must_not_be("Content-Encoding", &CONTENT_ENCODING);
    faults.extend(
        encoding.filter(|_| fields.value(&CONTENT_ENCODING).as_deref() != Some("identity")),
    );
    // An edge that compresses documents says so of each of them, also in an answer that it did not compress. Nobody
    // compresses artifacts.
    let may_be_compressed = lifetime == Lifetime::Pointer
        || fields
            .value(&CONTENT_TYPE)
            .is_none_or(|kind| kind == DOCUMENT_TYPE);
    let vary = fields.must_not_be("Vary", &VARY);
    faults.extend(vary.filter(|_| {
        let names_encoding = |value: String| value.eq_ignore_ascii_case("accept-encoding");
        !(may_be_compressed && fields.value(&VARY).is_some_and(names_encoding))
    }));
    faults
}

/// Judges the bytes of a channel document that are not those in the store.
pub(super) fn judge_old_channel(
    stored: &Channel,
    releases: &BTreeMap<Version, Digest>,
    document: Document,
    bytes: &[u8],
    headers: &HeaderMap,
) -> Verdict {
    let actual = Digest::of(bytes);
    let other = || {
        Verdict::Wrong(vec![Fault::Bytes {
            first: 0,
            last: (bytes.len() as u64).saturating_sub(1),
            expected: document.sha256.to_hex(),
            actual: actual.to_hex(),
        }])
    };
    let Ok(channel) = Channel::from_json(&stored.product, &stored.channel, bytes) else {
        return other();
    };
    let (revision, stored) = (channel.revision, stored.revision);
    let mut faults = head_faults(
        Question::Whole,
        None,
        &Facts {
            size: bytes.len() as u64,
            sha256: actual,
            content_type: DOCUMENT_TYPE,
            lifetime: Lifetime::Pointer,
        },
        StatusCode::OK,
        headers,
    );
    let named = &channel.release;
    if releases
        .get(&named.version)
        .is_some_and(|it| *it != named.sha256)
    {
        let version = named.version.to_string();
        faults.push(Fault::Pointer { version });
    }
    match revision.cmp(&stored) {
        std::cmp::Ordering::Equal => return other(),
        _ if !faults.is_empty() => return Verdict::Wrong(faults),
        std::cmp::Ordering::Greater => return Verdict::newer("revision", revision, stored),
        std::cmp::Ordering::Less => {}
    }
    Verdict::late(Stale::Channel {
        revision,
        stored,
        age: super::lifetime::age(headers).unwrap_or(0),
        allowed: Allowed::by(headers),
    })
}

/// Judges an answer where there must be nothing.
pub(super) fn judge_gone(status: StatusCode, headers: &HeaderMap) -> Verdict {
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Verdict::Good,
        StatusCode::OK => Verdict::Stale(Stale::Retired {
            age: super::lifetime::age(headers),
        }),
        status => Verdict::of(vec![Fault::Status {
            expected: "404, because the release is retired,",
            actual: status.as_u16(),
        }]),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("as published"),
            Self::Stale(stale) => stale.fmt(f),
            Self::Newer { seen, stored } => write!(
                f,
                "{seen} where the store had {stored} when it was read: it moved since, or this is \
                 another store's edge"
            ),
            Self::Unreachable(why) => f.write_str(why),
            Self::Wrong(faults) => {
                for (at, fault) in faults.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "; " })?;
                    fault.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel {
                revision,
                stored,
                age,
                allowed,
            } => {
                write!(f, "revision {revision}, the store has {stored}: ")?;
                allowed.describe(f, *age)
            }
            Self::Redirect {
                version,
                stored,
                age,
                allowed,
            } => {
                write!(f, "it leads to release {version}, the store has {stored}: ")?;
                allowed.describe(f, *age)
            }
            Self::Missing { age } => {
                write!(f, "a copy of {age} s age, of before the channel had this")
            }
            Self::Retired { age: Some(age) } => {
                write!(f, "a copy of {age} s age, of a release that is retired")
            }
            Self::Retired { age: None } => f.write_str("a copy of a release that is retired"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { expected, actual } => {
                write!(f, "status {actual} instead of {expected}")
            }
            Self::Field {
                name,
                expected,
                actual: Some(actual),
            } => write!(f, "{name} is `{actual}` instead of `{expected}`"),
            Self::Field { name, expected, .. } => write!(f, "no {name} instead of `{expected}`"),
            Self::Surplus { name, actual } => write!(f, "{name} `{actual}`, where none is sent"),
            Self::Bytes {
                first,
                last,
                expected,
                actual,
            } => write!(
                f,
                "other bytes: {first}-{last} have sha256 {actual}, published was {expected}"
            ),
            Self::Length { expected, actual } => {
                write!(f, "{actual} bytes or more instead of {expected}")
            }
            Self::Pointer { version } => write!(
                f,
                "it names release {version} by a digest that this release never had"
            ),
            Self::Overdue(stale) => stale.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
