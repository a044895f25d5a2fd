//! What the unit tests of the rules share: a behaviour to start from, headers, tables.
//!
//! Owns the form of the tables: one row per line, columns between `|`. Never compiled into the program.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::distribution::{
    AllowedMethods, Behaviour, CachePolicy, Forwarding, OriginLink, PathPattern,
};
use super::errors::ErrorTtls;
use super::freshness::Ttl;
use super::key::KeyParts;

/// The rows of a table. The first column names the row.
pub fn rows<const COLUMNS: usize>(table: &str) -> Vec<[&str; COLUMNS]> {
    table
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let columns: Vec<_> = line.split('|').map(str::trim).collect();
            columns
                .try_into()
                .unwrap_or_else(|_| panic!("not {COLUMNS} columns: {line}"))
        })
        .collect()
}

/// A header block from its lines.
pub fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

/// CloudFront's defaults, over an origin at a desk.
pub fn behaviour() -> Behaviour {
    Behaviour {
        pattern: PathPattern::new("*"),
        cache: CachePolicy {
            name: "test".into(),
            ttl: Ttl {
                min: Duration::ZERO,
                default: Duration::from_hours(24),
                max: Duration::from_hours(24 * 365),
            },
            key: KeyParts::default(),
        },
        methods: AllowedMethods::Read,
        cache_options: false,
        compress: false,
        forward: Forwarding::default(),
        error_ttls: ErrorTtls::default(),
        origin: OriginLink {
            url: "http://127.0.0.1:8080".into(),
            connection_attempts: 3,
            connection_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(5),
            completion_timeout: None,
            custom_headers: Vec::new(),
        },
    }
}
