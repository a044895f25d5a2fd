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
    /// Served from the Origin Shield's cache. `OriginShieldHit` in `x-edge-detailed-result-type` and in `X-Cache` only:
    /// the plain result types have `Hit` for it (fact 52).
    #[serde(rename = "Hit")]
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
    /// As in `x-edge-detailed-result-type`, where errors have names of their own.
    #[must_use]
    pub fn detailed(self) -> &'static str {
        match self {
            Self::OriginShieldHit => "OriginShieldHit",
            other => other.as_str(),
        }
    }

    /// As in `x-edge-result-type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit | Self::OriginShieldHit => "Hit",
            Self::RefreshHit => "RefreshHit",
            Self::Miss => "Miss",
            Self::LimitExceeded => "LimitExceeded",
            Self::CapacityExceeded => "CapacityExceeded",
            Self::Error => "Error",
            Self::Redirect => "Redirect",
        }
    }

    /// The `X-Cache` field of such an answer. AWS names no text for the two that the edge gives up on otherwise:
    /// errors.
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
    /// What the request came to as decided before the body. `Hit` or `Miss` here and `Error` in `x-edge-result-type`:
    /// the viewer went away (fact 52).
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

/// `CacheHitRate` as CloudFront defines it: of all cacheable requests, the share that was served from the cache. Errors
/// are no cacheable requests, nor is any method but GET and HEAD (fact 59).
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

/// What must balance once nothing is on its way, however a run went: bytes to viewers are those from caches and those that
/// fills brought, and requests to the origin are the last layer's misses and refreshes and what was not answered.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Conservation {
    /// Body bytes to viewers.
    pub viewer_bytes: u64,
    /// … that were in the POP's cache when asked for, or made by the edge.
    pub hit_bytes: u64,
    /// … that a fill brought.
    pub fill_bytes: u64,
    /// Requests handed to a connection to the origin, whose own log has them: each attempt and each repetition on a new
    /// connection by itself. What found no connection did not leave.
    pub origin_requests: u64,
    /// … to which no head of an answer came: the connection was lost, the time was up, what came was not HTTP, or nobody
    /// waited for it any more.
    pub origin_unanswered: u64,
    /// Answers of the origin, whatever their status, that the last layer asked for because it did not have the object, or
    /// because such objects are not cached.
    pub last_layer_misses: u64,
    /// … because what it had was stale.
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
        "{origin} requests went to the origin, but the last layer had answers to {misses} misses and {refreshes} \
         refreshes, and {unanswered} were not answered"
    )]
    Requests {
        /// To the origin.
        origin: u64,
        /// Without an answer.
        unanswered: u64,
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
        let explained = self
            .last_layer_misses
            .checked_add(self.last_layer_refreshes)
            .and_then(|answered| answered.checked_add(self.origin_unanswered));
        if explained != Some(self.origin_requests) {
            return Err(Imbalance::Requests {
                origin: self.origin_requests,
                unanswered: self.origin_unanswered,
                misses: self.last_layer_misses,
                refreshes: self.last_layer_refreshes,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn record() -> LogRecord {
        LogRecord {
            date: "2026-11-22".into(),
            time: "16:30:00".into(),
            edge_location: "FRA56-P1".into(),
            sc_bytes: 1_234,
            c_ip: "192.0.2.7".into(),
            method: "GET".into(),
            host: "d111111abcdef8.cloudfront.net".into(),
            uri_stem: "/artifacts/agent/1.4.2/agent.zst".into(),
            status: 206,
            referer: None,
            user_agent: Some("headwater/0.1".into()),
            uri_query: None,
            cookie: None,
            result_type: ResultType::Error,
            request_id: "abc".into(),
            host_header: Some("updates.example".into()),
            protocol: "http",
            cs_bytes: 99,
            time_taken: 0.123_456,
            forwarded_for: None,
            ssl_protocol: None,
            ssl_cipher: None,
            response_result_type: ResultType::Hit,
            protocol_version: "HTTP/1.1",
            fle_status: None,
            fle_encrypted_fields: None,
            c_port: 49_152,
            time_to_first_byte: 0.001,
            detailed_result_type: "ClientCommError",
            content_type: Some("application/zstd".into()),
            content_len: Some(500),
            range_start: Some(0),
            range_end: Some(499),
        }
    }

    #[test]
    fn e15_a_record_has_the_fields_of_a_standard_log_in_their_order() {
        let line = serde_json::to_string(&record()).unwrap();
        let expected = concat!(
            r#"{"date":"2026-11-22","time":"16:30:00","x-edge-location":"FRA56-P1","#,
            r#""sc-bytes":1234,"c-ip":"192.0.2.7","cs-method":"GET","#,
            r#""cs(Host)":"d111111abcdef8.cloudfront.net","#,
            r#""cs-uri-stem":"/artifacts/agent/1.4.2/agent.zst","sc-status":206,"#,
            r#""cs(Referer)":"-","cs(User-Agent)":"headwater/0.1","cs-uri-query":"-","#,
            r#""cs(Cookie)":"-","x-edge-result-type":"Error","x-edge-request-id":"abc","#,
            r#""x-host-header":"updates.example","cs-protocol":"http","cs-bytes":99,"#,
            r#""time-taken":0.123,"x-forwarded-for":"-","ssl-protocol":"-","ssl-cipher":"-","#,
            r#""x-edge-response-result-type":"Hit","cs-protocol-version":"HTTP/1.1","#,
            r#""fle-status":"-","fle-encrypted-fields":"-","c-port":49152,"#,
            r#""time-to-first-byte":0.001,"x-edge-detailed-result-type":"ClientCommError","#,
            r#""sc-content-type":"application/zstd","sc-content-len":500,"#,
            r#""sc-range-start":0,"sc-range-end":499}"#,
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn e15_date_and_time_are_utc() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_365_000_999);
        assert_eq!(date_and_time(at), ("2026-11-22".into(), "16:30:00".into()));
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(
            date_and_time(before),
            ("1969-12-31".into(), "23:59:59".into())
        );
    }

    #[test]
    fn e15_result_types_and_x_cache_are_spelt_as_in_the_log() {
        use ResultType as R;
        for (result, plain, detailed, x_cache) in [
            (R::Hit, "Hit", "Hit", "Hit"),
            (R::RefreshHit, "RefreshHit", "RefreshHit", "RefreshHit"),
            (
                R::OriginShieldHit,
                "Hit",
                "OriginShieldHit",
                "OriginShieldHit",
            ),
            (R::Miss, "Miss", "Miss", "Miss"),
            (
                R::LimitExceeded,
                "LimitExceeded",
                "LimitExceeded",
                "LimitExceeded",
            ),
            (
                R::CapacityExceeded,
                "CapacityExceeded",
                "CapacityExceeded",
                "Error",
            ),
            (R::Error, "Error", "Error", "Error"),
            (R::Redirect, "Redirect", "Redirect", "Error"),
        ] {
            assert_eq!(result.to_string(), plain);
            assert_eq!(serde_json::to_value(result).unwrap(), plain);
            assert_eq!(result.detailed(), detailed);
            let expected = format!("{x_cache} from cloudfront");
            assert_eq!(result.x_cache().to_value(), expected);
        }
    }

    #[test]
    fn e15_the_hit_rate_counts_cacheable_requests_only() {
        use ResultType::{Error, Hit, LimitExceeded, Miss, OriginShieldHit, RefreshHit};
        for (row, method, status, result, expected) in [
            ("a hit", Method::GET, 200, Hit, Some(100.0)),
            ("a hit by HEAD", Method::HEAD, 200, Hit, Some(100.0)),
            ("a range", Method::GET, 206, Hit, Some(100.0)),
            (
                "a redirect of the origin",
                Method::GET,
                302,
                Hit,
                Some(100.0),
            ),
            ("a refresh", Method::GET, 200, RefreshHit, Some(100.0)),
            (
                "a hit of the shield",
                Method::GET,
                200,
                OriginShieldHit,
                Some(100.0),
            ),
            ("a miss", Method::GET, 200, Miss, Some(0.0)),
            ("an error", Method::GET, 502, Error, None),
            ("an error that was kept", Method::GET, 404, Hit, None),
            ("above a quota", Method::GET, 503, LimitExceeded, None),
            ("a viewer that went away", Method::GET, 200, Error, None),
            ("POST", Method::POST, 200, Miss, None),
            ("PUT", Method::PUT, 200, Miss, None),
        ] {
            let mut rate = CacheHitRate::default();
            rate.count(&method, status, result);
            assert_eq!(rate.percent(), expected, "{row}");
        }
        let mut rate = CacheHitRate::default();
        for result in [Hit, Miss, Hit, Hit] {
            rate.count(&Method::GET, 200, result);
        }
        assert_eq!(rate.percent(), Some(75.0));
    }

    #[test]
    fn e15_conservation_holds_to_the_byte_and_to_the_request() {
        let balanced = Conservation {
            viewer_bytes: 100,
            hit_bytes: 60,
            fill_bytes: 40,
            origin_requests: 7,
            origin_unanswered: 4,
            last_layer_misses: 2,
            last_layer_refreshes: 1,
        };
        assert_eq!(balanced.check(), Ok(()));
        assert_eq!(Conservation::default().check(), Ok(()));
        for viewer_bytes in [99, 101] {
            let lost = Conservation {
                viewer_bytes,
                ..balanced
            };
            assert!(
                matches!(lost.check(), Err(Imbalance::Bytes { .. })),
                "{viewer_bytes}"
            );
        }
        for origin_requests in [3, 6, 8] {
            let lost = Conservation {
                origin_requests,
                ..balanced
            };
            let found = lost.check().unwrap_err();
            assert!(
                matches!(found, Imbalance::Requests { .. }),
                "{origin_requests}"
            );
            assert!(
                found
                    .to_string()
                    .starts_with(&format!("{origin_requests} requests"))
            );
        }
        let overflowing = Conservation {
            hit_bytes: u64::MAX,
            ..balanced
        };
        assert!(overflowing.check().is_err());
    }
}
