//! `[desk]` and `[listener]`: what AWS does not publish, and what a process on one machine needs.
//!
//! Owns how these keys become the parameters of an engine. Never invents a value: defaults are in `rules.rs`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::document::{Block, read_text};
use super::{InvalidationDelays, Listener, Settings, Spread, rules};
use crate::config::reading::{Setting, Value, expected, print_span, read_count, text_of};
use crate::config::schema::Span;
use crate::edge::policy::cache::{CacheSettings, LeaderAbort};
use crate::edge::policy::distribution::Distribution;
use crate::edge::policy::spans::{FillRange, FullAfterParts};
use crate::edge::policy::topology::{Placement, TopologySettings};

/// Everything of a [`Settings`] but the distribution and the listener.
pub(super) struct Desk {
    topology: TopologySettings,
    pop_cache: CacheSettings,
    regional_cache: CacheSettings,
    memory_object_max: u64,
    memory_max: u64,
    disk: Option<PathBuf>,
    stream_along: bool,
    invalidation: InvalidationDelays,
}

impl Desk {
    pub(super) fn into_settings(self, listener: Listener, distribution: Distribution) -> Settings {
        Settings {
            listener,
            distribution,
            topology: self.topology,
            pop_cache: self.pop_cache,
            regional_cache: self.regional_cache,
            memory_object_max: self.memory_object_max,
            memory_max: self.memory_max,
            disk: self.disk,
            stream_along: self.stream_along,
            invalidation: self.invalidation,
        }
    }
}

/// Reads `[desk]`. `shield` is the Region that the origins name.
pub(super) fn read(desk: &mut Block<'_>, shield: Option<String>) -> Desk {
    let pop_cache = caches(desk);
    let regional_cache = CacheSettings {
        capacity: desk.count(&rules::REGIONAL_CACHE_BYTES),
        ..pop_cache
    };
    Desk {
        topology: topology(desk, shield),
        pop_cache,
        regional_cache,
        memory_object_max: desk.count(&rules::MEMORY_OBJECT_BYTES_MAX),
        memory_max: desk.count(&rules::MEMORY_BYTES_MAX),
        disk: desk
            .optional("disk", |setting| {
                let wanted =
                    "the path of a folder, or \"\" for the system's folder for temporary files";
                let text = text_of(setting, wanted)?;
                Ok((!text.is_empty()).then(|| PathBuf::from(text)))
            })
            .flatten(),
        stream_along: desk.switch("stream_along", true),
        invalidation: InvalidationDelays {
            effective: spread(desk, &rules::EFFECTIVE_MEDIAN, &rules::EFFECTIVE_P95),
            completed: spread(desk, &rules::COMPLETED_MEDIAN, &rules::COMPLETED_P95),
            seed: desk.count(&rules::SEED),
        },
    }
}

fn topology(desk: &mut Block<'_>, shield: Option<String>) -> TopologySettings {
    let placements = [
        ("by-key", Placement::ByKey),
        ("by-connection", Placement::ByConnection),
    ];
    let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    TopologySettings {
        pops: count(desk.count(&rules::POPS)),
        nodes_per_pop: count(desk.count(&rules::NODES_PER_POP)),
        nodes_per_regional: count(desk.count(&rules::NODES_PER_REGIONAL)),
        placement: desk.one_of("placement", &placements, Placement::ByKey),
        shield,
    }
}

/// The cache of a POP's node; a regional one differs in its size alone.
fn caches(desk: &mut Block<'_>) -> CacheSettings {
    let after_parts = [
        ("whole", FullAfterParts::Whole),
        ("gaps", FullAfterParts::Gaps),
    ];
    let leaders = [
        ("discard", LeaderAbort::Discard),
        ("continue-for-followers", LeaderAbort::ContinueForFollowers),
        ("continue", LeaderAbort::Continue),
    ];
    CacheSettings {
        capacity: desk.count(&rules::POP_CACHE_BYTES),
        fill_range: desk
            .optional(rules::FILL_RANGE.key, read_fill_range)
            .unwrap_or(FillRange::Aligned(rules::FILL_RANGE.default as u64)),
        full_after_parts: desk.one_of("full_after_parts", &after_parts, FullAfterParts::Whole),
        leader_abort: desk.one_of("leader_abort", &leaders, LeaderAbort::ContinueForFollowers),
    }
}

fn read_fill_range(setting: &Setting) -> Result<FillRange, String> {
    match &setting.value {
        Value::Text(text) if text == "exact" => Ok(FillRange::Exact),
        Value::Text(text) if text == "whole" => Ok(FillRange::Whole),
        Value::Integer(_) => {
            read_count(setting, &rules::FILL_RANGE).map(|bytes| FillRange::Aligned(bytes as u64))
        }
        Value::Text(text) => Err(format!(
            "is `{text}`; it has to be \"exact\", \"whole\" or a number of bytes"
        )),
        other => Err(expected(other, "\"exact\", \"whole\" or a number of bytes")),
    }
}

fn spread(desk: &mut Block<'_>, median_rule: &Span, p95_rule: &Span) -> Spread {
    let (median, p95) = (desk.span(median_rule), desk.span(p95_rule));
    if p95 < median {
        let (given, least) = (print_span(p95), print_span(median));
        let what = format!(
            "is {given}; it has to be at least `desk.{}`, which is {least}",
            median_rule.key
        );
        desk.problem_at(p95_rule.key, &what);
    } else if median.is_zero() && !p95.is_zero() {
        let what = "is 0s; a spread needs a median above zero, or both zero for no delay";
        desk.problem_at(median_rule.key, what);
    }
    Spread { median, p95 }
}

/// Reads `[listener]`.
pub(super) fn read_listener(block: &mut Block<'_>) -> Listener {
    /// Loopback, beside the ports of `headwater serve`.
    const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);
    let listen = block.optional("listen", |setting| {
        let wanted = "an IP address and a port such as 127.0.0.1:8090 or [::]:80";
        let text = read_text(setting, wanted)?;
        text.parse()
            .map_err(|_bad_address| format!("is `{text}`; it has to be {wanted}"))
    });
    Listener {
        listen: listen.unwrap_or(LISTEN),
        connections_max: usize::try_from(block.count(&rules::CONNECTIONS_MAX)).unwrap_or(1),
        head_read_timeout: block.span(&rules::HEAD_READ_TIMEOUT),
        write_stall_timeout: block.span(&rules::WRITE_STALL_TIMEOUT),
        drain_grace: block.span(&rules::DRAIN_GRACE),
    }
}
