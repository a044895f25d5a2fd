//! The keys of the configuration: names, environment variables, defaults and limits, each number defended.
//!
//! Owns what may be set and to what. Never reads a file or the environment: `raw.rs` does; `validate.rs` compares.
//! `config/origin.toml` explains the same keys to operators, and a test holds the two together.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::model::PIECE_BYTES;

/// One key of the configuration file and the environment variable that overrides it.
#[derive(Debug)]
pub struct Key {
    /// `section.name`.
    pub name: &'static str,
    /// Overrides the file.
    pub variable: Option<&'static str>,
}

const fn key(name: &'static str, variable: Option<&'static str>) -> Key {
    Key { name, variable }
}

/// Every key, in the order of `config show`. Variables exist for what differs between two instances of one image;
/// the rest belongs in a file that can be reviewed. Credentials are no key at all, and region and endpoints have
/// variables that every tool for AWS knows.
pub const KEYS: &[Key] = &[
    key(STORE_PATH, Some("HEADWATER_STORE")),
    key(STORE_REGION, None),
    key(STORE_ENDPOINT_URL, None),
    key(STORE_PATH_STYLE, None),
    key(REQUEST_TIMEOUT.key, None),
    key(CACHE_MEMORY_BYTES.key, Some("HEADWATER_CACHE_MEMORY_BYTES")),
    key(CACHE_DISK_PATH, Some("HEADWATER_CACHE_PATH")),
    key(CACHE_DISK_BYTES.key, Some("HEADWATER_CACHE_DISK_BYTES")),
    key(READ_AHEAD_BLOCKS.key, None),
    key(CDN_KIND, None),
    key(CDN_DISTRIBUTION_ID, Some("HEADWATER_DISTRIBUTION_ID")),
    key(CDN_ENDPOINT_URL, None),
    key(CDN_WAIT, None),
    key(CDN_TIMEOUT.key, None),
    key(LISTEN.key, Some("HEADWATER_LISTEN")),
    key(ADMIN.key, Some("HEADWATER_ADMIN")),
    key(THREADS, Some("HEADWATER_THREADS")),
    key(ACCESS_LOG, Some("HEADWATER_ACCESS_LOG")),
    key(ORIGIN_SECRETS, Some("HEADWATER_ORIGIN_SECRETS")),
    key(ORIGIN_SECRETS_PATH, Some("HEADWATER_ORIGIN_SECRETS_PATH")),
    key(ORIGIN_SECRET_HEADER, Some("HEADWATER_ORIGIN_SECRET_HEADER")),
    key(CACHE_TAG_HEADER, None),
    key(DRAIN_DELAY.key, None),
    key(DRAIN_GRACE.key, None),
    key(CONNECTIONS_MAX.key, None),
    key(HEAD_BYTES_MAX.key, None),
    key(HEAD_FIELDS_MAX.key, None),
    key(URI_BYTES_MAX.key, None),
    key(RANGES_MAX.key, None),
    key(HEAD_READ_TIMEOUT.key, None),
    key(IDLE_TIMEOUT.key, None),
    key(WRITE_STALL_TIMEOUT.key, None),
    key(OPEN_ARTIFACTS_MAX.key, None),
    key(STORE_READS_MAX.key, None),
    key(STORE_STALE_MAX.key, None),
    key(MAX_AGE.key, None),
    key(STALE_WHILE_REVALIDATE.key, None),
    key(STALE_IF_ERROR.key, None),
];

/// What is logged: `tracing` directives such as `info` or `headwater=debug`. Environment only: it is for looking into
/// one run, and a run that cannot read its file should still be able to say why.
pub const LOG_VARIABLE: &str = "HEADWATER_LOG";

/// A whole number with its limits.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// `section.name`.
    pub key: &'static str,
    /// Without a setting.
    pub default: usize,
    /// The smallest that is allowed.
    pub min: usize,
    /// The largest that is allowed.
    pub max: usize,
    /// How messages print it.
    pub unit: Unit,
}

/// What a [`Count`] counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Things.
    Items,
    /// Bytes.
    Bytes,
    /// Seconds, where a file follows a format that counts them.
    Seconds,
}

/// A duration with its limits.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// `section.name`.
    pub key: &'static str,
    /// Without a setting.
    pub default: Duration,
    /// The shortest that is allowed.
    pub min: Duration,
    /// The longest that is allowed.
    pub max: Duration,
    /// The finest step.
    pub step: Step,
}

/// The finest step of a [`Span`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Timers.
    Millisecond,
    /// `Cache-Control` counts whole seconds (RFC 9111 §1.2.2).
    Second,
}

/// An address to listen on.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// `section.name`.
    pub key: &'static str,
    /// Without a setting.
    pub default: SocketAddr,
}

const fn items(key: &'static str, default: usize, min: usize, max: usize) -> Count {
    let unit = Unit::Items;
    Count {
        key,
        default,
        min,
        max,
        unit,
    }
}

const fn bytes(key: &'static str, default: usize, min: usize, max: usize) -> Count {
    let unit = Unit::Bytes;
    Count {
        key,
        default,
        min,
        max,
        unit,
    }
}

/// A timer with its limits.
#[must_use]
pub const fn timer(key: &'static str, default: Duration, min: Duration, max: Duration) -> Span {
    let step = Step::Millisecond;
    Span {
        key,
        default,
        min,
        max,
        step,
    }
}

const fn lifetime(key: &'static str, default: Duration, max: Duration) -> Span {
    let (min, step) = (Duration::ZERO, Step::Second);
    Span {
        key,
        default,
        min,
        max,
        step,
    }
}

const fn loopback(key: &'static str, port: u16) -> Address {
    let default = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    Address { key, default }
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;
const SHORTEST_TIMER: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where bytes live.
pub const STORE_PATH: &str = "store.path";
/// Below the working directory, so that a first try needs no privileges and is easy to find and remove.
pub const STORE_PATH_DEFAULT: &str = "./headwater-store";

/// The region of the bucket; empty asks the usual AWS sources.
pub const STORE_REGION: &str = "store.region";
/// Another address for S3; empty asks the usual AWS sources.
pub const STORE_ENDPOINT_URL: &str = "store.endpoint_url";
/// Whether the bucket stands in the path of a request instead of the host name.
pub const STORE_PATH_STYLE: &str = "store.path_style";
/// A key of S3 has at most 1,024 bytes, and the longest product, version and folder names take 206 of them: 128 for the
/// prefix leave 690 for the name of an artifact.
pub const PREFIX_BYTES_MAX: usize = 128;
/// The largest request carries a part of 8 MiB: 30 s are enough for a line of 3 Mbit/s, and S3 answers well within a
/// second when it is well.
pub const REQUEST_TIMEOUT: Span = timer(
    "store.request_timeout",
    Duration::from_secs(30),
    SHORTEST_TIMER,
    Duration::from_secs(600),
);

/// A block is a release's piece: what can be verified alone is what is fetched and kept.
#[expect(clippy::cast_possible_truncation, reason = "4 MiB fit into any usize")]
pub const BLOCK_BYTES: usize = PIECE_BYTES as usize;
/// 128 blocks: the working set of a release or two that an edge is filling itself with, and a quarter of the smallest
/// machine that is worth renting for this. The least are eight: below, one download with its blocks ahead is all.
pub const CACHE_MEMORY_BYTES: Count =
    bytes("cache.memory_bytes", 512 * MIB, 8 * BLOCK_BYTES, 1024 * GIB);
/// A directory for blocks that survive a restart; empty keeps none.
pub const CACHE_DISK_PATH: &str = "cache.disk_path";
/// What the root disk of an ordinary image has to spare. The least are 64 blocks: less is not worth a disk.
pub const CACHE_DISK_BYTES: Count = bytes(
    "cache.disk_bytes",
    8 * GIB,
    64 * BLOCK_BYTES,
    64 * 1024 * GIB,
);
/// Four blocks of 4 MiB in flight hide 60 ms of S3 behind a download of 250 MB/s; more only spend memory and requests on
/// clients that leave half-way.
pub const READ_AHEAD_BLOCKS: Count = items("cache.read_ahead_blocks", 4, 0, 64);

/// What is told when a channel moves.
pub const CDN_KIND: &str = "cdn.kind";
/// The distribution whose copies are invalidated; empty names none.
pub const CDN_DISTRIBUTION_ID: &str = "cdn.distribution_id";
/// A distribution of `CloudFront` has 13 or 14 characters, that of an emulator rarely more.
pub const DISTRIBUTION_ID_CHARS_MAX: usize = 64;
/// Another address for the API of the edge; empty asks the usual AWS sources.
pub const CDN_ENDPOINT_URL: &str = "cdn.endpoint_url";
/// No by default: the purge goes on without the command, and a CI job need not hold a runner for it.
pub const CDN_WAIT: &str = "cdn.wait";
/// An invalidation takes a minute or two; `CloudFront` promises nothing, and one that takes a quarter of an hour wants a
/// person.
pub const CDN_TIMEOUT: Span = timer(
    "cdn.timeout",
    Duration::from_secs(900),
    SHORTEST_TIMER,
    HOUR,
);

/// Loopback: a first try on a laptop must not open a port to the network. An image for production sets `0.0.0.0`.
pub const LISTEN: Address = loopback("server.listen", 8080);
/// Loopback, and never on the data port: metrics and readiness are for operators, not for devices.
pub const ADMIN: Address = loopback("server.admin", 8081);

/// One serving thread per processor is the default: a thread never waits for a disk, so that more would only compete.
pub const THREADS: &str = "server.threads";
/// The largest machine of any cloud has 896 processors.
pub const THREADS_MAX: usize = 1024;

/// Off: behind an edge the edge's own logs are complete, and a record per request costs more than a 1 KiB answer.
pub const ACCESS_LOG: &str = "server.access_log";

/// Without one, whoever finds the origin's address can walk around the edge.
pub const ORIGIN_SECRETS: &str = "server.origin_secrets";
/// 16 characters of a random alphabet are beyond guessing over a network.
pub const SECRET_CHARS_MIN: usize = 16;
/// The header has to fit into a request head beside everything else.
pub const SECRET_CHARS_MAX: usize = 256;
/// Two for a rotation, twice: two edges may rotate independently. Of the file and the setting together.
pub const SECRETS_MAX: usize = 4;
/// A file with more of them, so that a secret stands neither in a configuration nor in an environment, which every
/// child and every crash report inherits, and can be rotated without a restart; empty names none.
pub const ORIGIN_SECRETS_PATH: &str = "server.origin_secrets_path";
/// Four secrets of the longest kind, with room for a page of comments. What is larger is some other file.
pub const SECRETS_FILE_BYTES_MAX: u64 = 16 * KIB as u64;

/// The header in which an edge sends the secret.
pub const ORIGIN_SECRET_HEADER: &str = "server.origin_secret_header";
/// Not one that `CloudFront` reserves, and none that a client sends by accident.
pub const ORIGIN_SECRET_HEADER_DEFAULT: &str = "x-origin-secret";

/// The header that carries cache tags; empty sends none.
pub const CACHE_TAG_HEADER: &str = "server.cache_tag_header";
/// The name that the edges with tag invalidation have settled on.
pub const CACHE_TAG_HEADER_DEFAULT: &str = "cache-tag";

/// Zero: a process manager on one machine has no health checks to wait for. Behind a load balancer set it to two of
/// its health-check periods, so that the balancer stops sending before the listener closes.
pub const DRAIN_DELAY: Span = timer(
    "server.drain_delay",
    Duration::ZERO,
    Duration::ZERO,
    Duration::from_secs(600),
);
/// 300 s is also the default deregistration delay of an AWS target group: a shorter grace breaks downloads that the
/// balancer would still carry, a longer one keeps a process for connections that the balancer has closed.
pub const DRAIN_GRACE: Span = timer(
    "server.drain_grace",
    Duration::from_secs(300),
    Duration::ZERO,
    DAY,
);

/// An edge needs a few hundred; 16,384 leave room for a fleet without one, at some 32 KiB each half a GiB.
pub const CONNECTIONS_MAX: Count = items("limits.connections_max", 16_384, 1, 1_000_000);
/// `CloudFront` sends up to 32,768 bytes of request header; 8 KiB more hold what it and a load balancer add.
pub const HEAD_BYTES_MAX: Count = bytes("limits.head_bytes_max", 40 * KIB, 8 * KIB, MIB);
/// Clients send up to 20, an edge adds some 30; above 128 lies nothing but an attempt.
pub const HEAD_FIELDS_MAX: Count = items("limits.head_fields_max", 128, 16, 1024);
/// `CloudFront`'s own limit. The longest legal artifact URL has under 4 KiB: the smallest value that is allowed.
pub const URI_BYTES_MAX: Count = bytes("limits.uri_bytes_max", 8 * KIB, 4 * KIB, 64 * KIB);
/// electron-updater sends up to 1,000 ranges in a request; above this the answer is the whole artifact.
pub const RANGES_MAX: Count = items("limits.ranges_max", 1024, 1, 10_000);
/// An edge sends a head in one packet; 30 s is for a device on a bad line, and short for one that trickles on purpose.
pub const HEAD_READ_TIMEOUT: Span = timer(
    "limits.head_read_timeout",
    Duration::from_secs(30),
    SHORTEST_TIMER,
    Duration::from_secs(300),
);
/// Longer than a load balancer's 60 s: it must be the balancer that closes, or it sends into a closed connection.
pub const IDLE_TIMEOUT: Span = timer(
    "limits.idle_timeout",
    Duration::from_secs(75),
    SHORTEST_TIMER,
    HOUR,
);
/// A reader of 64 KiB/s takes a socket buffer in well under this; a dead one holds its memory no longer.
pub const WRITE_STALL_TIMEOUT: Span = timer(
    "limits.write_stall_timeout",
    Duration::from_secs(60),
    SHORTEST_TIMER,
    HOUR,
);
/// A few hundred releases are in demand at once; each costs a descriptor and an address range, not memory.
pub const OPEN_ARTIFACTS_MAX: Count = items("limits.open_artifacts_max", 1024, 16, 1_000_000);
/// Enough to keep an SSD's queues full; each holds one thread of the blocking pool.
pub const STORE_READS_MAX: Count = items("limits.store_reads_max", 64, 1, 512);

/// A day: as long as an edge may go on with a stale channel by default (`channels.stale_if_error`).
pub const STORE_STALE_MAX: Span = timer("limits.store_stale_max", DAY, Duration::ZERO, MONTH);

/// A promote reaches every edge within half a minute, and an edge asks twice a minute for each copy that it keeps, whatever
/// the fleet.
pub const MAX_AGE: Span = lifetime("channels.max_age", Duration::from_secs(30), DAY);
/// As long as the document is fresh: no device ever waits for the origin, none sees a channel above a minute old.
pub const STALE_WHILE_REVALIDATE: Span = lifetime(
    "channels.stale_while_revalidate",
    Duration::from_secs(30),
    DAY,
);
/// A day: long enough to repair an origin while devices go on updating to what was current.
pub const STALE_IF_ERROR: Span = lifetime("channels.stale_if_error", DAY, MONTH);

const _: () = assert!(
    CACHE_MEMORY_BYTES.default >= blocks_needed(READ_AHEAD_BLOCKS.default) * BLOCK_BYTES,
    "the default cache holds the default read-ahead"
);

/// The blocks that two downloads need at once: the one that is sent and those ahead of it. With less, what is read ahead
/// for one download pushes out what was read ahead for the other, and every block is fetched twice.
#[must_use]
pub const fn blocks_needed(read_ahead: usize) -> usize {
    2 * (read_ahead + 1)
}

const _: () = assert!(
    HEAD_BYTES_MAX.min > URI_BYTES_MAX.min,
    "the smallest head holds the smallest URI"
);
