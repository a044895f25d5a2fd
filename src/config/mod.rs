//! Configuration: every key, its default, its bounds; a `Config` that exists is valid.
//!
//! Never opens a store or a socket. Read next: `schema.rs` for keys, defaults and limits, `raw.rs` for what overrides
//! what (the only file that reads the environment), `validate.rs` for how values are read and refused.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod location;
mod raw;
mod remote;
pub mod schema;
mod secrets;
mod show;
mod validate;

use remote::Access;

/// How a file's values are read and refused, for files other than the origin's.
pub mod reading {
    pub use super::raw::{Setting, Value, line_at, nearest, value_of};
    pub use super::show::print_span;
    pub use super::validate::{expected, read_count, read_header, read_span, text_of};
}

pub use location::{read_endpoint, read_region};
pub use raw::{Environment, Flags, ProcessEnvironment, Source, log_directives, wants_colours};
pub use secrets::Secret;
pub use show::HIDDEN;

/// Everything an operator may set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where bytes live.
    pub store: StoreLocation,
    /// Blocks of remote artifacts that are kept near.
    pub cache: Cache,
    /// What is told when a channel moves.
    pub cdn: Cdn,
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
    /// A bucket, or a part of one.
    S3(S3Location),
}

impl fmt::Display for StoreLocation {
    /// As it is written in a file or after `--store`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::S3(location) => write!(f, "{location}"),
        }
    }
}

/// A bucket, and how it is reached. What is `None` here comes from the usual AWS sources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// Before every key; empty, or without a slash at either end.
    pub prefix: String,
    /// The region of the bucket.
    pub region: Option<String>,
    /// An S3-compatible server, or a VPC endpoint.
    pub endpoint_url: Option<String>,
    /// Whether the bucket stands in the path instead of the host name; `None`: when there is an `endpoint_url`.
    pub path_style: Option<bool>,
    /// How long one request to S3 may take before it is tried again.
    pub request_timeout: Duration,
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.prefix.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.prefix)
        }
    }
}

/// Blocks of remote artifacts that are kept near. Of no use to a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cache {
    /// Blocks in memory.
    pub memory_bytes: u64,
    /// Where blocks are kept over a restart; `None`: in memory only.
    pub disk_path: Option<PathBuf>,
    /// Blocks on disk.
    pub disk_bytes: u64,
    /// How many blocks ahead of a download are fetched.
    pub read_ahead_blocks: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            memory_bytes: schema::CACHE_MEMORY_BYTES.default as u64,
            disk_path: None,
            disk_bytes: schema::CACHE_DISK_BYTES.default as u64,
            read_ahead_blocks: schema::READ_AHEAD_BLOCKS.default,
        }
    }
}

/// What is told when a channel moves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cdn {
    /// Which kind of edge.
    pub kind: CdnKind,
    /// The distribution whose copies are invalidated.
    pub distribution_id: Option<String>,
    /// Another address for its API; `None`: from the usual AWS sources.
    pub endpoint_url: Option<String>,
    /// Whether commands wait until an invalidation is complete.
    pub wait: bool,
    /// How long they wait at the most, and how long they try when the API is busy.
    pub timeout: Duration,
}

impl Default for Cdn {
    fn default() -> Self {
        Self {
            kind: CdnKind::None,
            distribution_id: None,
            endpoint_url: None,
            wait: false,
            timeout: schema::CDN_TIMEOUT.default,
        }
    }
}

/// A kind of edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CdnKind {
    /// None: caches go by lifetimes alone.
    None,
    /// Amazon CloudFront.
    CloudFront,
}

impl CdnKind {
    /// Reads `none` or `cloudfront`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::CloudFront]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// As it is written in a file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::CloudFront => "cloudfront",
        }
    }
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
    /// A request must carry one of these, or one of the file's; empty and no file: none is asked for.
    pub origin_secrets: Vec<Secret>,
    /// A file with more of them, which is read when serving starts and at every SIGHUP.
    pub origin_secrets_path: Option<PathBuf>,
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
    /// How long channels and loaded releases are served without a look at the store, while it cannot be read.
    pub store_stale_max: Duration,
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

impl Channels {
    /// The `Cache-Control` of channel documents and redirects.
    #[must_use]
    pub fn cache_control(&self) -> String {
        format!(
            "public, max-age={}, stale-while-revalidate={}, stale-if-error={}",
            self.max_age.as_secs(),
            self.stale_while_revalidate.as_secs(),
            self.stale_if_error.as_secs(),
        )
    }
}

impl Default for Channels {
    fn default() -> Self {
        Self {
            max_age: schema::MAX_AGE.default,
            stale_while_revalidate: schema::STALE_WHILE_REVALIDATE.default,
            stale_if_error: schema::STALE_IF_ERROR.default,
        }
    }
}

/// A configuration, and where each value that is not a default comes from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The values.
    pub config: Config,
    /// How a bucket would be reached, for `config show` where the store is a directory.
    access: Access,
    sources: BTreeMap<&'static str, Source>,
}

impl Resolved {
    /// Lays flags over the environment over the file over the defaults.
    pub fn load(
        file: Option<&Path>,
        environment: &dyn Environment,
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        validate::validate(raw::Settings::gather(file, environment, flags)?)
    }
}

impl Default for Config {
    fn default() -> Self {
        let secret_header = schema::ORIGIN_SECRET_HEADER_DEFAULT.to_owned();
        Self {
            store: StoreLocation::Directory(PathBuf::from(schema::STORE_PATH_DEFAULT)),
            cache: Cache::default(),
            cdn: Cdn::default(),
            server: Server {
                listen: schema::LISTEN.default,
                admin: schema::ADMIN.default,
                threads: validate::threads_default(),
                access_log: AccessLog::Off,
                origin_secrets: Vec::new(),
                origin_secrets_path: None,
                origin_secret_header: secret_header,
                cache_tag_header: Some(schema::CACHE_TAG_HEADER_DEFAULT.to_owned()),
                drain_delay: schema::DRAIN_DELAY.default,
                drain_grace: schema::DRAIN_GRACE.default,
            },
            limits: Limits {
                connections_max: schema::CONNECTIONS_MAX.default,
                head_bytes_max: schema::HEAD_BYTES_MAX.default,
                head_fields_max: schema::HEAD_FIELDS_MAX.default,
                uri_bytes_max: schema::URI_BYTES_MAX.default,
                ranges_max: schema::RANGES_MAX.default,
                head_read_timeout: schema::HEAD_READ_TIMEOUT.default,
                idle_timeout: schema::IDLE_TIMEOUT.default,
                write_stall_timeout: schema::WRITE_STALL_TIMEOUT.default,
                open_artifacts_max: schema::OPEN_ARTIFACTS_MAX.default,
                store_reads_max: schema::STORE_READS_MAX.default,
                store_stale_max: schema::STORE_STALE_MAX.default,
            },
            channels: Channels::default(),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file of secrets cannot be read.
    #[error("cannot read the file of `server.origin_secrets_path`, `{path}`")]
    SecretsUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Everything that is wrong with it, to be printed a line each.
    #[error("the configuration has {}", count_problems(.problems.len()))]
    Invalid {
        /// Never empty.
        problems: Vec<Problem>,
    },
}

fn count_problems(count: usize) -> String {
    match count {
        1 => "a problem".to_owned(),
        count => format!("{count} problems"),
    }
}

/// One thing that is wrong: where it was written, the key, its value, its limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    source: Source,
    what: String,
    kind: ProblemKind,
}

/// Whose problem it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ProblemKind {
    /// That of whoever wrote it.
    Fault,
    /// A file leaves a key to the environment or a flag on purpose, and neither sets it.
    LeftOpen,
}

impl Problem {
    /// A problem of a setting that was written there.
    #[must_use]
    pub fn new(source: Source, what: String) -> Self {
        let kind = ProblemKind::Fault;
        Self { source, what, kind }
    }

    /// A key that a file leaves to the environment or a flag, and that neither sets.
    fn left_open(source: Source, what: String) -> Self {
        let kind = ProblemKind::LeftOpen;
        Self { source, what, kind }
    }

    /// Whether the file is right, and only not enough by itself.
    #[must_use]
    pub fn is_left_open(&self) -> bool {
        self.kind == ProblemKind::LeftOpen
    }

    /// Where it was written; problems are told in this order.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.what)
    }
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

impl AccessLog {
    /// Reads `off`, `text` or `json`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Off, Self::Text, Self::Json]
            .into_iter()
            .find(|form| form.as_str() == text)
    }

    /// As it is written in a file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}
