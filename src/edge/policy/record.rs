//! E-15: what is logged of a request, hit rates, and the conservation of bytes and requests.
//!
//! Owns the vocabulary of CloudFront's logs (fact 52). Never writes a line: the proxy does.

use std::fmt;
use std::time::SystemTime;

use http::{HeaderValue, Method};
use serde::{Serialize, Serializer};

/// `x-edge-result-type`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Debug)]
pub enum ResultType {
    /// Served from the POP's cache.
    Hit,
    /// The origin said 304.
    RefreshHit,
    /// Served from the Origin Shield's cache.
    OriginShieldHit,
    /// Fetched.
    Miss,
    /// Above a quota.
    LimitExceeded,
    /// The edge has no room.
    CapacityExceeded,
    /// An error, or the viewer went away.
    Error,
    /// HTTP to HTTPS.
    Redirect,
}

impl ResultType {
    /// As in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "Hit",
            Self::RefreshHit => "RefreshHit",
            Self::OriginShieldHit => "OriginShieldHit",
            Self::Miss => "Miss",
            Self::LimitExceeded => "LimitExceeded",
            Self::CapacityExceeded => "CapacityExceeded",
            Self::Error => "Error",
            Self::Redirect => "Redirect",
        }
    }

    /// The `X-Cache` field of such an answer. AWS names no text for the two that the edge gives up on otherwise: errors.
    #[must_use]
    pub fn x_cache(self) -> XCache {
        match self {
            Self::Hit => XCache::Hit,
            Self::RefreshHit => XCache::RefreshHit,
            Self::OriginShieldHit => XCache::OriginShieldHit,
            Self::Miss => XCache::Miss,
            Self::LimitExceeded => XCache::LimitExceeded,
            Self::CapacityExceeded | Self::Error | Self::Redirect => XCache::Error,
        }
    }
}

impl fmt::Display for ResultType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The `X-Cache` field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XCache {
    /// `Hit from cloudfront`.
    Hit,
    /// `Miss from cloudfront`.
    Miss,
    /// `RefreshHit from cloudfront`.
    RefreshHit,
    /// `OriginShieldHit from cloudfront`.
    OriginShieldHit,
    /// `Error from cloudfront`.
    Error,
    /// `LimitExceeded from cloudfront`.
    LimitExceeded,
}

impl XCache {
    /// The value of the field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "Hit from cloudfront",
            Self::Miss => "Miss from cloudfront",
            Self::RefreshHit => "RefreshHit from cloudfront",
            Self::OriginShieldHit => "OriginShieldHit from cloudfront",
            Self::Error => "Error from cloudfront",
            Self::LimitExceeded => "LimitExceeded from cloudfront",
        }
    }

    /// The value of the field, ready to be set.
    #[must_use]
    pub fn to_value(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }
}

/// One line of a standard log: the 33 fields in CloudFront's order. What has no value is `-`, as there.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct LogRecord {
    /// When the edge finished: `2026-11-22`, UTC.
    pub date: String,
    /// … `16:30:00`, UTC.
    pub time: String,
    /// The POP: `FRA56-P1`.
    #[serde(rename = "x-edge-location")]
    pub edge_location: String,
    /// Bytes to the viewer, head included.
    #[serde(rename = "sc-bytes")]
    pub sc_bytes: u64,
    /// The viewer's address.
    #[serde(rename = "c-ip")]
    pub c_ip: String,
    /// The method.
    #[serde(rename = "cs-method")]
    pub method: String,
    /// The distribution's domain.
    #[serde(rename = "cs(Host)")]
    pub host: String,
    /// The path.
    #[serde(rename = "cs-uri-stem")]
    pub uri_stem: String,
    /// The status; 0 when the viewer went away before there was one.
    #[serde(rename = "sc-status")]
    pub status: u16,
    /// `Referer`.
    #[serde(rename = "cs(Referer)", serialize_with = "or_hyphen")]
    pub referer: Option<String>,
    /// `User-Agent`.
    #[serde(rename = "cs(User-Agent)", serialize_with = "or_hyphen")]
    pub user_agent: Option<String>,
    /// The query, without `?`.
    #[serde(rename = "cs-uri-query", serialize_with = "or_hyphen")]
    pub uri_query: Option<String>,
    /// `Cookie`, where cookies are logged.
    #[serde(rename = "cs(Cookie)", serialize_with = "or_hyphen")]
    pub cookie: Option<String>,
    /// What the request came to, known when its last byte is sent.
    #[serde(rename = "x-edge-result-type")]
    pub result_type: ResultType,
    /// `X-Amz-Cf-Id`.
    #[serde(rename = "x-edge-request-id")]
    pub request_id: String,
    /// `Host` of the viewer.
    #[serde(rename = "x-host-header", serialize_with = "or_hyphen")]
    pub host_header: Option<String>,
    /// `http` or `https`.
    #[serde(rename = "cs-protocol")]
    pub protocol: &'static str,
    /// Bytes from the viewer, head included.
    #[serde(rename = "cs-bytes")]
    pub cs_bytes: u64,
    /// Seconds from the request's last byte to the answer's last one.
    #[serde(rename = "time-taken", serialize_with = "milliseconds")]
    pub time_taken: f64,
    /// `X-Forwarded-For` of the viewer.
    #[serde(rename = "x-forwarded-for", serialize_with = "or_hyphen")]
    pub forwarded_for: Option<String>,
    /// TLS; none at a desk.
    #[serde(rename = "ssl-protocol", serialize_with = "or_hyphen")]
    pub ssl_protocol: Option<String>,
    /// TLS; none at a desk.
    #[serde(rename = "ssl-cipher", serialize_with = "or_hyphen")]
    pub ssl_cipher: Option<String>,
    /// What the request came to as decided before the body. `Hit` or `Miss` here and `Error` in `x-edge-result-type`: the
    /// viewer went away (fact 52).
    #[serde(rename = "x-edge-response-result-type")]
    pub response_result_type: ResultType,
    /// `HTTP/1.1`.
    #[serde(rename = "cs-protocol-version")]
    pub protocol_version: &'static str,
    /// Field-level encryption; none.
    #[serde(rename = "fle-status", serialize_with = "or_hyphen")]
    pub fle_status: Option<String>,
    /// Field-level encryption; none.
    #[serde(rename = "fle-encrypted-fields", serialize_with = "or_hyphen")]
    pub fle_encrypted_fields: Option<String>,
    /// The viewer's port.
    #[serde(rename = "c-port")]
    pub c_port: u16,
    /// Seconds from the request's last byte to the answer's first one.
    #[serde(rename = "time-to-first-byte", serialize_with = "milliseconds")]
    pub time_to_first_byte: f64,
    /// As `x-edge-result-type`, but for `OriginShieldHit` and for errors, which have names here.
    #[serde(rename = "x-edge-detailed-result-type")]
    pub detailed_result_type: &'static str,
    /// `Content-Type`.
    #[serde(rename = "sc-content-type", serialize_with = "or_hyphen")]
    pub content_type: Option<String>,
    /// `Content-Length`.
    #[serde(rename = "sc-content-len", serialize_with = "or_hyphen")]
    pub content_len: Option<u64>,
    /// The first position of a 206.
    #[serde(rename = "sc-range-start", serialize_with = "or_hyphen")]
    pub range_start: Option<u64>,
    /// The last position of a 206.
    #[serde(rename = "sc-range-end", serialize_with = "or_hyphen")]
    pub range_end: Option<u64>,
}

/// `date` and `time` of a log line: UTC, whole seconds. A moment that no calendar holds is the epoch.
#[must_use]
pub fn date_and_time(at: SystemTime) -> (String, String) {
    let at = jiff::Timestamp::try_from(at).unwrap_or_default();
    (
        at.strftime("%Y-%m-%d").to_string(),
        at.strftime("%H:%M:%S").to_string(),
    )
}

#[expect(clippy::ref_option, reason = "serde hands the field by reference")]
fn or_hyphen<T: Serialize, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => value.serialize(to),
        None => "-".serialize(to),
    }
}

/// CloudFront writes seconds with three decimals.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands the field by reference"
)]
fn milliseconds<S: Serializer>(seconds: &f64, to: S) -> Result<S::Ok, S::Error> {
    ((seconds * 1000.0).round() / 1000.0).serialize(to)
}

/// `CacheHitRate` as CloudFront defines it: of all cacheable requests, the share that was served from the cache. Errors are
/// no cacheable requests, nor is any method but GET and HEAD (fact 59).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CacheHitRate {
    /// Requests that count.
    pub cacheable: u64,
    /// … and were served from a cache of the edge.
    pub hits: u64,
}

impl CacheHitRate {
    /// Counts one request.
    ///
    /// A `RefreshHit` was served from the cache, and so was an `OriginShieldHit`: both are hits (AWS does not say).
    pub fn count(&mut self, method: &Method, status: u16, result: ResultType) {
        let is_hit = match result {
            ResultType::Hit | ResultType::RefreshHit | ResultType::OriginShieldHit => true,
            ResultType::Miss => false,
            ResultType::LimitExceeded
            | ResultType::CapacityExceeded
            | ResultType::Error
            | ResultType::Redirect => return,
        };
        if matches!(*method, Method::GET | Method::HEAD) && status < 400 {
            self.cacheable += 1;
            self.hits += u64::from(is_hit);
        }
    }

    /// Between 0 and 100; none before anything counted.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a percentage of more than 2^53 requests may be rounded"
    )]
    pub fn percent(&self) -> Option<f64> {
        (self.cacheable > 0).then(|| self.hits as f64 / self.cacheable as f64 * 100.0)
    }
}

/// What must balance, however a run went.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Conservation {
    /// Body bytes to viewers.
    pub viewer_bytes: u64,
    /// … that were in a cache when asked for.
    pub hit_bytes: u64,
    /// … that a fill brought.
    pub fill_bytes: u64,
    /// Requests that the origin's own log has.
    pub origin_requests: u64,
    /// … because the last layer did not have the object.
    pub last_layer_misses: u64,
    /// … because it was stale there.
    pub last_layer_refreshes: u64,
}

/// What does not balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Imbalance {
    /// Bytes came from nowhere, or were lost.
    #[error("{viewer} bytes went to viewers, but {hit} came from caches and {fill} from fills")]
    Bytes {
        /// To viewers.
        viewer: u64,
        /// From caches.
        hit: u64,
        /// From fills.
        fill: u64,
    },
    /// Requests came from nowhere, or were lost.
    #[error(
        "the origin saw {origin} requests, but the last layer had {misses} misses and {refreshes} refreshes"
    )]
    Requests {
        /// At the origin.
        origin: u64,
        /// Misses.
        misses: u64,
        /// Refreshes.
        refreshes: u64,
    },
}

impl Conservation {
    /// Whether bytes and requests balance.
    pub fn check(&self) -> Result<(), Imbalance> {
        if self.hit_bytes.checked_add(self.fill_bytes) != Some(self.viewer_bytes) {
            return Err(Imbalance::Bytes {
                viewer: self.viewer_bytes,
                hit: self.hit_bytes,
                fill: self.fill_bytes,
            });
        }
        if self
            .last_layer_misses
            .checked_add(self.last_layer_refreshes)
            != Some(self.origin_requests)
        {
            return Err(Imbalance::Requests {
                origin: self.origin_requests,
                misses: self.last_layer_misses,
                refreshes: self.last_layer_refreshes,
            });
        }
        Ok(())
    }
}
