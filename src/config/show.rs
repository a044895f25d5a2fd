//! Prints a configuration as TOML that loads to the same configuration (but for secrets), each value with where it
//! comes from.
//!
//! Owns how values are printed. Never prints a secret.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::remote::{Access, print_path_style};
use super::{Config, Resolved, schema};

/// What stands where a secret would. Shorter than any legal secret, so that a printed configuration which is used as
/// a file is refused instead of asking edges for this text.
pub const HIDDEN: &str = "(hidden)";

impl Resolved {
    /// Every key with its value; a comment says where the value comes from.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for (key, value) in values(&self.config, &self.access) {
            let (next, name) = key.split_once('.').unwrap_or(("", key));
            if next != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}[{next}]");
                section = next;
            }
            let source = self
                .sources
                .get(key)
                .map_or_else(|| "default".to_owned(), ToString::to_string);
            let _ = writeln!(text, "{:<50} # {source}", format!("{name} = {value}"));
        }
        text
    }
}

/// A duration as the parser reads it back.
#[must_use]
pub fn print_span(span: Duration) -> String {
    const HOUR: u64 = 3600;
    if span.subsec_millis() == 0 && span.as_secs() > 0 && span.as_secs().is_multiple_of(HOUR) {
        format!("{}h", span.as_secs() / HOUR)
    } else if span.subsec_millis() == 0 {
        format!("{}s", span.as_secs())
    } else {
        format!("{}ms", span.as_millis())
    }
}

/// Every key and its value as TOML, in the order of [`schema::KEYS`].
fn values(config: &Config, access: &Access) -> [(&'static str, String); schema::KEYS.len()] {
    let (server, limits, channels) = (&config.server, &config.limits, &config.channels);
    let (cache, cdn) = (&config.cache, &config.cdn);
    let quote = |text: &str| toml::Value::from(text).to_string();
    let span = |rule: schema::Span, span: Duration| (rule.key, quote(&print_span(span)));
    let count = |rule: schema::Count, count: usize| (rule.key, count.to_string());
    let address = |rule: schema::Address, at: SocketAddr| (rule.key, quote(&at.to_string()));
    let tags = server.cache_tag_header.as_deref().unwrap_or_default();
    // Empty is how a file says that there is none.
    let text = |text: &Option<String>| quote(text.as_deref().unwrap_or_default());
    let path =
        |path: &Option<PathBuf>| quote(&path.as_deref().unwrap_or(Path::new("")).to_string_lossy());
    let hidden = vec![quote(HIDDEN); server.origin_secrets.len()].join(", ");
    [
        (schema::STORE_PATH, quote(&config.store.to_string())),
        (schema::STORE_REGION, text(&access.region)),
        (schema::STORE_ENDPOINT_URL, text(&access.endpoint_url)),
        (
            schema::STORE_PATH_STYLE,
            print_path_style(access.path_style),
        ),
        span(schema::REQUEST_TIMEOUT, access.request_timeout),
        (
            schema::CACHE_MEMORY_BYTES.key,
            cache.memory_bytes.to_string(),
        ),
        (schema::CACHE_DISK_PATH, path(&cache.disk_path)),
        (schema::CACHE_DISK_BYTES.key, cache.disk_bytes.to_string()),
        count(schema::READ_AHEAD_BLOCKS, cache.read_ahead_blocks),
        (schema::CDN_KIND, quote(cdn.kind.as_str())),
        (schema::CDN_DISTRIBUTION_ID, text(&cdn.distribution_id)),
        (schema::CDN_ENDPOINT_URL, text(&cdn.endpoint_url)),
        (schema::CDN_WAIT, cdn.wait.to_string()),
        span(schema::CDN_TIMEOUT, cdn.timeout),
        address(schema::LISTEN, server.listen),
        address(schema::ADMIN, server.admin),
        (schema::THREADS, server.threads.to_string()),
        (schema::ACCESS_LOG, quote(server.access_log.as_str())),
        (schema::ORIGIN_SECRETS, format!("[{hidden}]")),
        (
            schema::ORIGIN_SECRETS_PATH,
            path(&server.origin_secrets_path),
        ),
        (
            schema::ORIGIN_SECRET_HEADER,
            quote(&server.origin_secret_header),
        ),
        (schema::CACHE_TAG_HEADER, quote(tags)),
        span(schema::DRAIN_DELAY, server.drain_delay),
        span(schema::DRAIN_GRACE, server.drain_grace),
        count(schema::CONNECTIONS_MAX, limits.connections_max),
        count(schema::HEAD_BYTES_MAX, limits.head_bytes_max),
        count(schema::HEAD_FIELDS_MAX, limits.head_fields_max),
        count(schema::URI_BYTES_MAX, limits.uri_bytes_max),
        count(schema::RANGES_MAX, limits.ranges_max),
        span(schema::HEAD_READ_TIMEOUT, limits.head_read_timeout),
        span(schema::IDLE_TIMEOUT, limits.idle_timeout),
        span(schema::WRITE_STALL_TIMEOUT, limits.write_stall_timeout),
        count(schema::OPEN_ARTIFACTS_MAX, limits.open_artifacts_max),
        count(schema::STORE_READS_MAX, limits.store_reads_max),
        span(schema::STORE_STALE_MAX, limits.store_stale_max),
        span(schema::MAX_AGE, channels.max_age),
        span(
            schema::STALE_WHILE_REVALIDATE,
            channels.stale_while_revalidate,
        ),
        span(schema::STALE_IF_ERROR, channels.stale_if_error),
    ]
}
