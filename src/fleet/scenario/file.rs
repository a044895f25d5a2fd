//! Reads a scenario file: its keys, their limits, and what they mean together.
//!
//! Owns the keys. What a file leaves out is as in `config/scenarios/desktop-app.toml`, which is part of the program. Never
//! stops at the first problem.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::{
    ARTIFACT_BYTES, Artifact, Curve, DEVICES, Discovery, EdgeSettings, HORIZON, Line,
    OriginSettings, Release, Scenario, Transfer, WINDOW,
};
use crate::edge::policy::cache::{CacheSettings, LeaderAbort};
use crate::edge::policy::freshness::Ttl;
use crate::edge::policy::spans::{FillRange, FullAfterParts};
use crate::edge::policy::topology::{Placement, Region, Topology, TopologyError, TopologySettings};
use crate::fleet::cost::Instance;
use crate::fleet::document::{self, Document, DocumentError, Section};
use crate::fleet::regions::REGIONS;
use crate::fleet::units::print_size;

/// The scenario that runs when none is named.
pub const DEFAULT_NAME: &str = "desktop-app";
const DEFAULT: &str = include_str!("../../../config/scenarios/desktop-app.toml");
const DEFAULT_PLACE: &str = "config/scenarios/desktop-app.toml";

const fn seconds(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(from)..=Duration::from_secs(to)
}

/// A time after the release: as far as a horizon may go.
const TIME: RangeInclusive<Duration> = seconds(0, 90 * 24 * 3600);
/// Something that takes time: a millisecond at least, or nothing would ever happen between two of them.
const SPAN: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(90 * 24 * 3600);
/// A cache lifetime; CloudFront allows a hundred years (fact 2).
const LIFETIME: RangeInclusive<Duration> = seconds(0, 100 * 366 * 24 * 3600);
/// A round trip: below the antipodes by satellite.
const ROUND_TRIP: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(2);
/// A line or a link, from a modem to a large data centre's.
const RATE: RangeInclusive<f64> = 1_000.0..=1e13;
/// A cache node's capacity: up to a petabyte.
const CAPACITY: RangeInclusive<u64> = 0..=1_000_000_000_000_000;
/// A range: below 64 KiB the requests cost more than the bytes.
const RANGE_BYTES: RangeInclusive<u64> = 65_536..=*ARTIFACT_BYTES.end();
/// Shares have to sum up to one; this is what decimal fractions in a file lose at most.
const SHARES_TOLERANCE: f64 = 1e-6;

impl Scenario {
    /// The scenario that is part of the program.
    pub fn embedded(instances: &[Instance]) -> Result<Self, DocumentError> {
        Self::parse(DEFAULT_PLACE, DEFAULT, instances)
    }

    /// Reads a file.
    pub fn load(path: &Path, instances: &[Instance]) -> Result<Self, DocumentError> {
        Self::parse(
            &path.display().to_string(),
            &document::read(path)?,
            instances,
        )
    }

    /// Reads a text that is from `place`. Instance types are looked up in `instances`.
    pub fn parse(place: &str, text: &str, instances: &[Instance]) -> Result<Self, DocumentError> {
        let defaults = Document::parse(DEFAULT_PLACE, DEFAULT)?;
        let document = Document::parse(place, text)?;
        let mut root = document.root();
        let mut default = defaults.root();
        // What a scenario is called is its own.
        let name = root.text("name");
        let description = root.text("description");
        let mut root = root.or(&default);
        let mut part = |key| root.section(key).or(&default.section(key));
        let release = release(part("release"));
        let discovery = discovery(part("discovery"));
        let devices_line = line(part("line"));
        let transfer = transfer(part("transfer"));
        let edge = edge(part("edge"));
        let origin = origin(part("origin"), instances);
        let regions = regions(root.section("regions"), &default.section("regions"));
        let scenario = Self {
            name,
            description,
            devices: root.count("devices", DEVICES),
            window: root.duration("window", WINDOW),
            horizon: root.duration("horizon", HORIZON),
            release,
            discovery,
            devices_line,
            transfer,
            regions,
            edge,
            origin,
        };
        if scenario.horizon < scenario.window {
            root.blame_both(
                "horizon",
                "window",
                "is shorter than `window`; it has to be at least as long",
            );
        }
        if let Some(what) = scenario.excess() {
            root.blame("devices", &what);
        }
        root.end();
        document.check()?;
        Ok(scenario)
    }
}

fn release(mut section: Section<'_>) -> Release {
    let channel_bytes = section.size("channel_bytes", 1..=1_000_000);
    let artifacts: Vec<Artifact> = section
        .sections("artifacts")
        .into_iter()
        .map(|mut row| {
            let artifact = Artifact {
                name: row.text("name"),
                bytes: row.size("size", ARTIFACT_BYTES),
                share: row.number("share", 0.0..=1.0),
            };
            row.end();
            artifact
        })
        .collect();
    for (at, artifact) in artifacts.iter().enumerate() {
        if artifacts
            .iter()
            .take(at)
            .any(|other| other.name == artifact.name)
        {
            section.blame(
                "artifacts",
                &format!("has `{}` more than once", artifact.name),
            );
        }
    }
    let shares = artifacts.iter().map(|artifact| artifact.share);
    check_shares(&section, "artifacts", shares.sum());
    section.end();
    Release {
        channel_bytes,
        artifacts,
    }
}

fn check_shares(section: &Section<'_>, key: &str, sum: f64) {
    if (sum - 1.0).abs() > SHARES_TOLERANCE {
        let what = format!("has shares that sum up to {sum:.6}; they have to sum up to 1");
        section.blame(key, &what);
    }
}

#[derive(Clone, Copy)]
enum CurveKind {
    PhaseRandom,
    Cron,
    Ramp,
}

fn discovery(mut section: Section<'_>) -> Discovery {
    let push_share = section.number("push_share", 0.0..=1.0);
    let diurnal_amplitude = section.number("diurnal_amplitude", 0.0..=1.0);
    let stages = stages(&mut section);
    let states_curve = section.states("curve");
    let words = [
        ("phase-random", CurveKind::PhaseRandom),
        ("cron", CurveKind::Cron),
        ("ramp", CurveKind::Ramp),
    ];
    let kind = section.word("curve", &words);
    if states_curve {
        section.without_defaults(); // those are the keys of another curve, perhaps
    }
    let curve = match kind.unwrap_or(CurveKind::PhaseRandom) {
        CurveKind::PhaseRandom => {
            let period = section.duration("period", SPAN);
            let jitter = section.duration("jitter", TIME);
            if jitter > period {
                section.blame_both(
                    "jitter",
                    "period",
                    "is longer than `period`; it has to be shorter",
                );
            }
            Curve::PhaseRandom { period, jitter }
        }
        CurveKind::Cron => Curve::Cron {
            at: section.duration("at", TIME),
            spread: section.duration("spread", TIME),
            period: section.duration("period", SPAN),
        },
        CurveKind::Ramp => Curve::Ramp {
            ramp: section.duration("ramp", TIME),
            sustained: section.duration("sustained", TIME),
            decay: section.duration("decay", SPAN),
        },
    };
    // Of a curve that could not be read, the keys are unknown.
    if kind.is_some() {
        section.end();
    }
    Discovery {
        curve,
        push_share,
        diurnal_amplitude,
        stages,
    }
}

fn stages(section: &mut Section<'_>) -> Vec<(Duration, f64)> {
    let stages: Vec<(Duration, f64)> = section
        .sections("stages")
        .into_iter()
        .map(|mut row| {
            let stage = (row.duration("at", TIME), row.number("share", 0.0..=1.0));
            row.end();
            stage
        })
        .collect();
    let ascends = stages.is_sorted_by(|(at, share), (next, more)| at < next && share < more);
    if !ascends {
        section.blame("stages", "has to ascend, in time and in share");
    }
    if stages.last().is_some_and(|(_at, share)| *share < 1.0) {
        section.blame(
            "stages",
            "never reaches everyone; the last share has to be 1",
        );
    }
    stages
}

fn line(mut section: Section<'_>) -> Line {
    let line = Line {
        median_bps: section.rate("median", RATE),
        sigma: section.number("sigma", 0.0..=4.0),
        cap_bps: section.rate("cap", RATE),
        slow_share: section.number("slow_share", 0.0..=1.0),
        slow_bps: section.rate("slow_up_to", RATE),
    };
    if line.median_bps > line.cap_bps {
        section.blame_both("median", "cap", "is above `cap`; it has to be below");
    }
    section.end();
    line
}

fn transfer(mut section: Section<'_>) -> Transfer {
    let transfer = Transfer {
        // At 1 no download would ever end.
        abort_probability: section.number("abort_probability", 0.0..=0.95),
        resume_after: section.duration("resume_after", SPAN),
        range_bytes: section
            .take("range", |value| {
                if value.as_str() == Some("off") {
                    return Ok(None);
                }
                let bytes = document::size_of(value)?;
                document::within(bytes, &RANGE_BYTES, print_size).map(Some)
            })
            .flatten(),
        stall_timeout: section.duration("stall_timeout", SPAN),
        backoff: section.duration("backoff", SPAN),
        backoff_max: section.duration("backoff_max", SPAN),
        attempts_max: u32::try_from(section.count("attempts_max", 1..=1000)).unwrap_or(1),
        late_after: section.duration("late_after", SPAN),
    };
    if transfer.backoff > transfer.backoff_max {
        section.blame_both(
            "backoff",
            "backoff_max",
            "is longer than `backoff_max`; it has to be shorter",
        );
    }
    section.end();
    transfer
}

/// A file that names any region names all of them: the rest has none.
fn regions<'d>(mut section: Section<'d>, default: &Section<'d>) -> Vec<(Region, f64)> {
    let is_stated = REGIONS.iter().any(|(key, _, _)| section.states(key));
    if !is_stated {
        section = section.or(default);
    }
    let mut regions = Vec::new();
    for (key, region, _name) in REGIONS {
        let share = if section.has(key) {
            section.number(key, 0.0..=1.0)
        } else {
            section.knows(key);
            0.0
        };
        if share > 0.0 {
            regions.push((region, share));
        }
    }
    let sum: f64 = regions.iter().map(|(_region, share)| share).sum();
    if (sum - 1.0).abs() > SHARES_TOLERANCE {
        section.blame_all(&format!(
            "has shares that sum up to {sum:.6}; they have to sum up to 1"
        ));
    }
    section.end();
    regions
}

fn edge(mut section: Section<'_>) -> EdgeSettings {
    let topology = topology(&mut section);
    let fill_range = section
        .take("fill_range", |value| match value.as_str() {
            Some("exact") => Ok(FillRange::Exact),
            Some("whole") => Ok(FillRange::Whole),
            _ => match document::size_of(value) {
                Ok(bytes) if bytes > 0 => Ok(FillRange::Aligned(bytes)),
                _ => Err(document::expected(
                    value,
                    "\"exact\", \"whole\" or a size to align to such as \"8MiB\"",
                )),
            },
        })
        .unwrap_or(FillRange::Exact);
    let full_after_parts = section
        .word(
            "full_after_parts",
            &[
                ("whole", FullAfterParts::Whole),
                ("gaps", FullAfterParts::Gaps),
            ],
        )
        .unwrap_or(FullAfterParts::Gaps);
    let leader_abort = section
        .word(
            "leader_abort",
            &[
                ("discard", LeaderAbort::Discard),
                ("continue-for-followers", LeaderAbort::ContinueForFollowers),
                ("continue", LeaderAbort::Continue),
            ],
        )
        .unwrap_or(LeaderAbort::Continue);
    let cache = |capacity| CacheSettings {
        capacity,
        fill_range,
        full_after_parts,
        leader_abort,
    };
    let settings = EdgeSettings {
        topology,
        pop_cache: cache(section.size("pop_cache", CAPACITY)),
        regional_cache: cache(section.size("regional_cache", CAPACITY)),
        artifacts_ttl: ttl(&mut section, "artifacts_ttl"),
        channels_ttl: ttl(&mut section, "channels_ttl"),
        channel_max_age: section.duration("channel_max_age", LIFETIME),
        channel_stale: section.duration("channel_stale", LIFETIME),
        rtt: [
            section.duration("rtt_pop_regional", ROUND_TRIP),
            section.duration("rtt_regional_shield", ROUND_TRIP),
            section.duration("rtt_origin", ROUND_TRIP),
        ],
        fill_bps: section.rate("fill_rate", RATE),
        stream_along: section.flag("stream_along"),
    };
    section.end();
    settings
}

/// The most POPs that the model has places for (750 are listed by third parties, fact 55).
const POPS_MAX: u64 = 750;

fn topology(section: &mut Section<'_>) -> TopologySettings {
    let count = |section: &mut Section<'_>, key, max| {
        usize::try_from(section.count(key, 1..=max)).unwrap_or(1)
    };
    let settings = TopologySettings {
        pops: count(section, "pops", POPS_MAX),
        nodes_per_pop: count(section, "nodes_per_pop", 1000),
        nodes_per_regional: count(section, "nodes_per_regional", 1000),
        placement: section
            .word(
                "placement",
                &[
                    ("by-key", Placement::ByKey),
                    ("by-connection", Placement::ByConnection),
                ],
            )
            .unwrap_or(Placement::ByKey),
        shield: Some(section.text("shield")).filter(|shield| shield != "off"),
    };
    // Which Regions offer a shield, and which of them serves another one, is the topology's to know.
    if let Err(error @ TopologyError::ShieldRegion { .. }) = Topology::new(settings.clone()) {
        section.blame_both("shield", "pops", &format!("is refused: {error}"));
    }
    settings
}

/// The type, its baseline and its gateway cap: from the price table, or as written.
fn instance(section: &mut Section<'_>, instances: &[Instance]) -> (String, f64, f64) {
    let found = section.take("instance_type", |value| {
        let name = value
            .as_str()
            .ok_or_else(|| document::expected(value, "the name of an instance type"))?;
        instances
            .iter()
            .find(|instance| instance.name == name)
            .ok_or_else(|| unknown_instance(name, instances))
    });
    let stand_in = Instance {
        name: String::new(),
        baseline_bps: 1e9,
        gateway_bps: 1e9,
        hour: 0.0,
    };
    let found = found.unwrap_or(&stand_in);
    let mut rate = |key, of_type| {
        if section.has(key) {
            section.rate(key, RATE)
        } else {
            section.knows(key);
            of_type
        }
    };
    let baseline = rate("baseline", found.baseline_bps);
    let gateway = rate("gateway_cap", found.gateway_bps);
    (found.name.clone(), baseline, gateway)
}

fn unknown_instance(name: &str, instances: &[Instance]) -> String {
    let names: Vec<&str> = instances
        .iter()
        .map(|instance| instance.name.as_str())
        .collect();
    let way_out = match document::nearest(name, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "add a row for it to a copy of the table and hand that to --prices".to_owned(),
    };
    format!(
        "is `{}`, which is not in the price table; {way_out}",
        name.escape_debug()
    )
}

fn ttl(section: &mut Section<'_>, key: &'static str) -> Ttl {
    let mut times = section.inner(key);
    let ttl = Ttl {
        min: times.duration("min", LIFETIME),
        default: times.duration("default", LIFETIME),
        max: times.duration("max", LIFETIME),
    };
    if !(ttl.min <= ttl.default && ttl.default <= ttl.max) {
        section.blame(key, "has to have min ≤ default ≤ max");
    }
    times.end();
    ttl
}

fn origin(mut section: Section<'_>, instances: &[Instance]) -> OriginSettings {
    let (instance_type, baseline, gateway) = instance(&mut section, instances);
    let settings = OriginSettings {
        instance_type,
        baseline_bps: baseline,
        gateway_bps: gateway,
        requests_per_second: section.number("requests_per_second", 1.0..=1e7),
        connections_max: section.count("connections_max", 1..=10_000_000),
        instances_min: section.count("instances_min", 1..=100_000),
        instances_max: section.count("instances_max", 1..=100_000),
        target_utilisation: section.number("target_utilisation", 0.05..=0.95),
        metric_period: section.duration("metric_period", seconds(1, 3600)),
        alarm_after: section.duration("alarm_after", seconds(0, 24 * 3600)),
        warm_up: section.duration("warm_up", seconds(0, 24 * 3600)),
        scale_in_after: section.duration("scale_in_after", seconds(0, 24 * 3600)),
    };
    if settings.instances_min > settings.instances_max {
        section.blame_both(
            "instances_min",
            "instances_max",
            "is above `instances_max`; it has to be below",
        );
    }
    section.end();
    settings
}

#[cfg(test)]
mod tests;
