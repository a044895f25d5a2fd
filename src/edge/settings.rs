//! Reads `config/edge.toml`: a distribution that reads like the Terraform for it, and the desk's parameters (⚙).
//!
//! Owns the file's shape, defaults and limits; settings that exist are valid, and everything that is wrong is told at
//! once. Never reads a clock or opens a socket. Read next: `settings/document.rs` for how keys are found,
//! `settings/distribution.rs`, `settings/policies.rs` and `settings/desk.rs` for the sections, `settings/rules.rs` for
//! the numbers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::policy::cache::CacheSettings;
use super::policy::distribution::Distribution;
use super::policy::topology::TopologySettings;
use crate::config::{ConfigError, Flags};

mod desk;
mod distribution;
mod document;
mod policies;
mod rules;

use document::{Block, Reading};

/// The keys that a command line may set, as [`Flags`] wants them.
pub mod keys {
    /// Where the origin is.
    pub const ORIGIN_URL: &str = "origin.url";
    /// Whether there is an Origin Shield: `on` or `off`.
    pub const SHIELD: &str = "origin.origin_shield.enabled";
    /// Where viewers connect.
    pub const LISTEN: &str = "listener.listen";
    /// How many POPs.
    pub const POPS: &str = "desk.pops";
}

/// The file that explains every key, and what applies without another one: they cannot drift apart.
const BUILT_IN: &str = include_str!("../../config/edge.toml");
const BUILT_IN_PATH: &str = "config/edge.toml";

/// Everything an edge is built from but the clock.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where and how viewers connect.
    pub listener: Listener,
    /// Behaviours, policies, origins, quotas.
    pub distribution: Distribution,
    /// POPs, nodes, shield.
    pub topology: TopologySettings,
    /// ⚙ Each POP node's cache.
    pub pop_cache: CacheSettings,
    /// ⚙ Each regional node's and the shield's cache.
    pub regional_cache: CacheSettings,
    /// Bodies up to this size are kept in memory, larger ones in files; bytes.
    pub memory_object_max: u64,
    /// Bytes of bodies in memory, over all nodes and fills in flight.
    pub memory_max: u64,
    /// Where large bodies are kept; `None`: the system's folder for temporary files.
    pub disk: Option<PathBuf>,
    /// ⚙ Followers of a fill stream along; else they wait until it is complete.
    pub stream_along: bool,
    /// ⚙ How long invalidations take.
    pub invalidation: InvalidationDelays,
}

/// Where and how viewers connect.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Open connections; further ones wait.
    pub connections_max: usize,
    /// From the end of an answer, or the start of a connection, to the end of the next request's head.
    pub head_read_timeout: Duration,
    /// How long a viewer may take no byte of an answer.
    pub write_stall_timeout: Duration,
    /// How long answers in flight may go on after SIGTERM.
    pub drain_grace: Duration,
}

/// ⚙ How long invalidations take (fact 78 gives the 95th percentiles, nothing else).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidationDelays {
    /// Until a batch takes effect.
    pub effective: Spread,
    /// Until it is reported `Completed`.
    pub completed: Spread,
    /// What the draws start from: the same seed, the same delays.
    pub seed: u64,
}

/// A lognormal distribution by two of its percentiles. Equal ones: always that long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spread {
    /// Half of all draws are below.
    pub median: Duration,
    /// 95 of 100 draws are below; at least the median.
    pub p95: Duration,
}

impl Settings {
    /// Lays flags over the file over the defaults; without a file, what `config/edge.toml` says applies.
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Self, ConfigError> {
        let Some(path) = file else {
            return Self::parse(Path::new(BUILT_IN_PATH), BUILT_IN, flags);
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text, flags)
    }

    /// Reads a text as if it stood in a file of that name.
    pub fn parse(path: &Path, text: &str, flags: &Flags) -> Result<Self, ConfigError> {
        let reading = Reading::new(flags);
        let settings = Self::read(&reading, path, text);
        let problems = reading.into_problems();
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            _ => Err(ConfigError::Invalid { problems }),
        }
    }

    fn read(reading: &Reading<'_>, path: &Path, text: &str) -> Option<Self> {
        let document = reading.parse(path, text)?;
        let built_in = reading.parse(Path::new(BUILT_IN_PATH), BUILT_IN)?;
        let mut root = Block::root(reading, &document);
        let (distribution, shield) = distribution::read(&mut root, || {
            Block::root(reading, &built_in) // a file that describes no distribution leaves it to this one
        });
        let desk = desk::read(&mut root.block("desk"), shield);
        let listener = desk::read_listener(&mut root.block("listener"));
        Some(desk.into_settings(listener, distribution?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Settings, Vec<String>> {
        Settings::parse(Path::new("edge.toml"), text, &Flags::default()).map_err(
            |error| match error {
                ConfigError::Invalid { problems } => {
                    problems.iter().map(ToString::to_string).collect()
                }
                other => vec![other.to_string()],
            },
        )
    }

    #[test]
    fn an_empty_file_is_the_built_in_one() {
        let built_in = Settings::load(None, &Flags::default()).unwrap();
        assert_eq!(format!("{:#?}", of("").unwrap()), format!("{built_in:#?}"));
    }

    #[test]
    fn a_secret_for_the_origin_is_not_in_a_debug_print() {
        let settings = of(
            "[[origin]]\norigin_id = \"o\"\nurl = \"http://o\"\n\
             custom_header = [{ name = \"x-origin-secret\", value = \"0123456789abcdef\" }]\n\
             [default_cache_behavior]\ntarget_origin_id = \"o\"\ncache_policy = \"CachingDisabled\"\n",
        )
        .unwrap();
        let (name, value) = &settings.distribution.default.origin.custom_headers[0];
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("x-origin-secret", b"0123456789abcdef".as_slice())
        );
        assert!(!format!("{settings:?}").contains("0123456789abcdef"));
    }
}
