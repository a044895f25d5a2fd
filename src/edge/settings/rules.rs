//! The numbers of `config/edge.toml`: their keys, defaults and limits.
//!
//! Owns which values are allowed. Never reads a file. What AWS documents is marked with the fact it comes from in the
//! file itself; what AWS does not publish has a default of ours there, to be swept.

use std::time::Duration;

use crate::config::schema::{Count, Span, Unit, timer};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;
const HOUR: Duration = Duration::from_secs(3600);

/// A century: the longest `max-age` that CloudFront reads.
const TTL_MAX: usize = 3_153_600_000;

const fn rule(key: &'static str, default: usize, (min, max): (usize, usize), unit: Unit) -> Count {
    Count {
        key,
        default,
        min,
        max,
        unit,
    }
}

const fn items(key: &'static str, default: usize, limits: (usize, usize)) -> Count {
    rule(key, default, limits, Unit::Items)
}

const fn bytes(key: &'static str, default: usize, limits: (usize, usize)) -> Count {
    rule(key, default, limits, Unit::Bytes)
}

const fn seconds(key: &'static str, default: usize, limits: (usize, usize)) -> Count {
    rule(key, default, limits, Unit::Seconds)
}

// The origin's link: CloudFront's defaults and limits.
pub(super) const CONNECTION_ATTEMPTS: Count = items("connection_attempts", 3, (1, 3));
pub(super) const CONNECTION_TIMEOUT: Count = seconds("connection_timeout", 10, (1, 10));
pub(super) const READ_TIMEOUT: Count = seconds("origin_read_timeout", 30, (1, 120));
pub(super) const KEEPALIVE_TIMEOUT: Count = seconds("origin_keepalive_timeout", 5, (1, 120));
/// No maximum is documented; a day is beyond every fill.
pub(super) const COMPLETION_TIMEOUT: Count = seconds("response_completion_timeout", 0, (1, 86_400));
/// CloudFront's quota of custom headers for one origin.
pub(super) const CUSTOM_HEADERS_MAX: usize = 30;

// Cache policies. The defaults of the two that may be left out depend on the ones before.
pub(super) const MIN_TTL: Count = seconds("min_ttl", 0, (0, TTL_MAX));
pub(super) const DEFAULT_TTL: Count = seconds("default_ttl", 86_400, (0, TTL_MAX));
pub(super) const MAX_TTL: Count = seconds("max_ttl", 31_536_000, (0, TTL_MAX));
/// Ten seconds when nothing is configured.
pub(super) const ERROR_TTL: Count = seconds("error_caching_min_ttl", 10, (0, TTL_MAX));
/// Of these only some may be named; see `distribution.rs`.
pub(super) const ERROR_CODE: Count = items("error_code", 404, (400, 599));
/// CloudFront's own limit.
pub(super) const PATTERN_CHARS_MAX: usize = 255;

// Quotas of a distribution. The upper limits are far above any raised quota.
pub(super) const REQUESTS_PER_SECOND: Count =
    items("requests_per_second", 250_000, (1, 1_000_000_000));
pub(super) const BITS_PER_SECOND: Count = items(
    "bits_per_second",
    150_000_000_000,
    (1, 1_000_000_000_000_000),
);

// The listener.
pub(super) const CONNECTIONS_MAX: Count = items("connections_max", 16_384, (1, 1_000_000));
pub(super) const HEAD_READ_TIMEOUT: Span = timer(
    "head_read_timeout",
    Duration::from_secs(30),
    Duration::from_millis(100),
    HOUR,
);
pub(super) const WRITE_STALL_TIMEOUT: Span = timer(
    "write_stall_timeout",
    Duration::from_secs(60),
    Duration::from_millis(100),
    HOUR,
);
pub(super) const DRAIN_GRACE: Span = timer(
    "drain_grace",
    Duration::from_secs(30),
    Duration::ZERO,
    Duration::from_secs(24 * 3600),
);

// What AWS does not publish.
/// 750 POPs are the most that any public count has named.
pub(super) const POPS: Count = items("pops", 4, (1, 750));
pub(super) const NODES_PER_POP: Count = items("nodes_per_pop", 1, (1, 64));
pub(super) const NODES_PER_REGIONAL: Count = items("nodes_per_regional", 1, (1, 64));
pub(super) const FILL_RANGE: Count = bytes("fill_range", 8 * MIB, (1, GIB));
pub(super) const POP_CACHE_BYTES: Count = bytes("pop_cache_bytes", 4 * GIB, (0, 1024 * GIB));
pub(super) const REGIONAL_CACHE_BYTES: Count =
    bytes("regional_cache_bytes", 16 * GIB, (0, 1024 * GIB));
pub(super) const MEMORY_BYTES_MAX: Count = bytes("memory_bytes_max", 256 * MIB, (MIB, 1024 * GIB));
pub(super) const MEMORY_OBJECT_BYTES_MAX: Count =
    bytes("memory_object_bytes_max", MIB, (0, 1024 * MIB));
pub(super) const SEED: Count = items("seed", 1, (0, u32::MAX as usize));

const fn delay(key: &'static str, default_secs: u64) -> Span {
    timer(key, Duration::from_secs(default_secs), Duration::ZERO, HOUR)
}

/// Medians are two fifths of the published 95th percentiles, the shape that network services usually show.
pub(super) const EFFECTIVE_MEDIAN: Span = delay("invalidation_effective_median", 2);
pub(super) const EFFECTIVE_P95: Span = delay("invalidation_effective_p95", 5);
pub(super) const COMPLETED_MEDIAN: Span = delay("invalidation_completed_median", 10);
pub(super) const COMPLETED_P95: Span = delay("invalidation_completed_p95", 25);
