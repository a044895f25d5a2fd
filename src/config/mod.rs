//! Configuration: every key, its default, its bounds; a `Config` that exists is valid.
//!
//! Owns defaults and limits. Never opens a store or a socket. `raw.rs` is the only file that reads the environment.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Everything an operator may set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where bytes live.
    pub store: StoreLocation,
    /// Listeners, threads, logs, secrets, drain.
    pub server: Server,
    /// What one client or one connection may take.
    pub limits: Limits,
    /// How long an edge may keep a channel document.
    pub channels: Channels,
}

/// Where bytes live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreLocation {
    /// A directory on this machine.
    Directory(PathBuf),
}

/// Listeners, threads, logs, secrets, drain.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where devices and edges connect.
    pub listen: SocketAddr,
    /// Where operators and load-balancer health checks connect.
    pub admin: SocketAddr,
    /// Threads that serve.
    pub threads: NonZeroUsize,
    /// One record per request.
    pub access_log: AccessLog,
    /// A request must carry one of these; empty: none is asked for.
    pub origin_secrets: Vec<Secret>,
    /// In this header (lower case).
    pub origin_secret_header: String,
    /// The header that carries cache tags (lower case); `None` sends none.
    pub cache_tag_header: Option<String>,
    /// How long `/readyz` says 503 before the listener closes.
    pub drain_delay: Duration,
    /// How long downloads in flight may go on after that.
    pub drain_grace: Duration,
}

/// What one client or one connection may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections over all threads.
    pub connections_max: usize,
    /// Request line and header fields together; above: 431.
    pub head_bytes_max: usize,
    /// Header fields; above: 431.
    pub head_fields_max: usize,
    /// The request target; above: 414.
    pub uri_bytes_max: usize,
    /// Ranges of one request; above: the whole object.
    pub ranges_max: usize,
    /// From the first byte of a request to the end of its head; also a new connection's silence.
    pub head_read_timeout: Duration,
    /// Silence between two requests.
    pub idle_timeout: Duration,
    /// How long a client may take no byte of an answer.
    pub write_stall_timeout: Duration,
    /// Artifacts kept open and mapped.
    pub open_artifacts_max: usize,
    /// Reads from the store at one time.
    pub store_reads_max: usize,
}

/// How long an edge may keep a channel document.
#[derive(Clone, Debug)]
pub struct Channels {
    /// `max-age`
    pub max_age: Duration,
    /// `stale-while-revalidate`
    pub stale_while_revalidate: Duration,
    /// `stale-if-error`
    pub stale_if_error: Duration,
}

/// The form of access records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessLog {
    /// None.
    Off,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A value that never appears in a log, an error or `config show`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The value, for a constant-time comparison.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
