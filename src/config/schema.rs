//! The keys of the configuration: names, environment variables, defaults and limits, each number defended.
//!
//! Owns what may be set and to what. Never reads a file or the environment: `raw.rs` does; `validate.rs` compares.
//! `config/origin.toml` explains the same keys to operators, and a test holds the two together.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

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
/// the rest belongs in a file that can be reviewed.
pub const KEYS: &[Key] = &[
    key(STORE_PATH, Some("HEADWATER_STORE")),
    key(LISTEN.key, Some("HEADWATER_LISTEN")),
    key(ADMIN.key, Some("HEADWATER_ADMIN")),
    key(THREADS, Some("HEADWATER_THREADS")),
    key(ACCESS_LOG, Some("HEADWATER_ACCESS_LOG")),
    key(ORIGIN_SECRETS, Some("HEADWATER_ORIGIN_SECRETS")),
    key(ORIGIN_SECRET_HEADER, None),
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
const SHORTEST_TIMER: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where bytes live.
pub const STORE_PATH: &str = "store.path";
/// Below the working directory, so that a first try needs no privileges and is easy to find and remove.
pub const STORE_PATH_DEFAULT: &str = "./headwater-store";

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
/// Two for a rotation, twice: two edges may rotate independently.
pub const SECRETS_MAX: usize = 4;

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

/// A promote reaches every edge within half a minute, and an edge asks twice a minute whatever the fleet.
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
    HEAD_BYTES_MAX.min > URI_BYTES_MAX.min,
    "the smallest head holds the smallest URI"
);
