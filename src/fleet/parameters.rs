//! Every parameter of a run, with what it rests on.
//!
//! Owns the judgement which values AWS does not publish. What the others rest on, the scenario file says beside each: a
//! value that somebody changed has no source any more that this file could know. Never changes one.

use std::time::Duration;

use serde::Serialize;

use Basis::{Scenario as Chosen, Unpublished};

use crate::edge::policy::cache::{CacheSettings, LeaderAbort};
use crate::edge::policy::freshness::Ttl;
use crate::edge::policy::spans::{FillRange, FullAfterParts};
use crate::edge::policy::topology::{Placement, TopologySettings};
use crate::fleet::regions::REGIONS;
use crate::fleet::scenario::{
    Curve, Discovery, EdgeSettings, Line, OriginSettings, Release, Scenario, Transfer,
};
use crate::fleet::units::{
    print_chosen_size, print_count, print_duration, print_number, print_rate, print_size,
};

/// What a value rests on.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The scenario's, or a flag's: the scenario file names the source, or says that it is an assumption.
    Scenario,
    /// ⚙ AWS does not publish it: to be varied.
    Unpublished,
}

impl Basis {
    /// In a word or two.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scenario => "scenario",
            Self::Unpublished => "⚙ not published",
        }
    }
}

/// One parameter: the key in the scenario file, its value, what it rests on.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct Parameter {
    /// As in the file: `edge.pops`.
    pub key: String,
    /// As in the file.
    pub value: String,
    /// What it rests on.
    pub basis: Basis,
}

/// All parameters, in the order of the file.
#[must_use]
pub fn parameters(scenario: &Scenario) -> Vec<Parameter> {
    let mut all = Vec::new();
    rows(
        &mut all,
        "",
        [
            (Chosen, "devices", print_count(scenario.devices)),
            (Chosen, "window", print_duration(scenario.window)),
            (Chosen, "horizon", print_duration(scenario.horizon)),
        ],
    );
    release(&scenario.release, &mut all);
    discovery(&scenario.discovery, &mut all);
    line(&scenario.devices_line, &mut all);
    transfer(&scenario.transfer, &mut all);
    let regions = scenario.regions.iter().map(|(region, share)| {
        let key = REGIONS.iter().find(|(_, other, _)| other == region);
        (Chosen, key.map_or("", |(key, _, _)| key), percent(*share))
    });
    rows(&mut all, "regions.", regions);
    edge(&scenario.edge, &mut all);
    origin(&scenario.origin, &mut all);
    all
}

/// Adds rows of one section.
fn rows<K: AsRef<str>>(
    all: &mut Vec<Parameter>,
    section: &str,
    rows: impl IntoIterator<Item = (Basis, K, String)>,
) {
    let rows = rows.into_iter();
    all.extend(rows.map(|(basis, key, value)| Parameter {
        key: format!("{section}{}", key.as_ref()),
        value,
        basis,
    }));
}

fn percent(share: f64) -> String {
    format!("{} %", print_number(share * 100.0))
}

fn release(release: &Release, all: &mut Vec<Parameter>) {
    let channel = print_size(release.channel_bytes);
    rows(all, "release.", [(Chosen, "channel_bytes", channel)]);
    let artifacts = release.artifacts.iter().map(|artifact| {
        let (bytes, share) = (print_size(artifact.bytes), percent(artifact.share));
        (
            Chosen,
            &artifact.name,
            format!("{bytes} for {share} of the fleet"),
        )
    });
    rows(all, "release.artifacts ", artifacts);
}

fn discovery(discovery: &Discovery, all: &mut Vec<Parameter>) {
    let section = "discovery.";
    let (curve, times): (&str, &[(&str, Duration)]) = match discovery.curve {
        Curve::PhaseRandom { period, jitter } => {
            ("phase-random", &[("period", period), ("jitter", jitter)])
        }
        Curve::Cron { at, spread, period } => (
            "cron",
            &[("at", at), ("spread", spread), ("period", period)],
        ),
        Curve::Ramp {
            ramp,
            sustained,
            decay,
        } => (
            "ramp",
            &[("ramp", ramp), ("sustained", sustained), ("decay", decay)],
        ),
    };
    let times = times.iter();
    let times = times.map(|(key, time)| (Chosen, key, print_duration(*time)));
    rows(all, section, times);
    let amplitude = print_number(discovery.diurnal_amplitude);
    rows(
        all,
        section,
        [
            (Chosen, "curve", curve.to_owned()),
            (Chosen, "push_share", percent(discovery.push_share)),
            (Chosen, "diurnal_amplitude", amplitude),
        ],
    );
    let stages = discovery.stages.iter();
    let stages = stages.map(|(at, share)| (Chosen, print_duration(*at), percent(*share)));
    rows(all, "discovery.stages from ", stages);
}

fn line(line: &Line, all: &mut Vec<Parameter>) {
    rows(
        all,
        "line.",
        [
            (Chosen, "median", print_rate(line.median_bps)),
            (Chosen, "sigma", print_number(line.sigma)),
            (Chosen, "cap", print_rate(line.cap_bps)),
            (Chosen, "slow_share", percent(line.slow_share)),
            (Chosen, "slow_up_to", print_rate(line.slow_bps)),
        ],
    );
}

fn transfer(transfer: &Transfer, all: &mut Vec<Parameter>) {
    let range = transfer.range_bytes;
    let range = range.map_or("off".to_owned(), print_chosen_size);
    let attempts = print_count(u64::from(transfer.attempts_max));
    rows(
        all,
        "transfer.",
        [
            (
                Chosen,
                "abort_probability",
                percent(transfer.abort_probability),
            ),
            (
                Chosen,
                "resume_after",
                print_duration(transfer.resume_after),
            ),
            (Chosen, "range", range),
            (
                Chosen,
                "stall_timeout",
                print_duration(transfer.stall_timeout),
            ),
            (Chosen, "backoff", print_duration(transfer.backoff)),
            (Chosen, "backoff_max", print_duration(transfer.backoff_max)),
            (Chosen, "attempts_max", attempts),
            (Chosen, "late_after", print_duration(transfer.late_after)),
        ],
    );
}

fn edge(edge: &EdgeSettings, all: &mut Vec<Parameter>) {
    topology(&edge.topology, all);
    cache(&edge.pop_cache, all);
    let ttl = |ttl: &Ttl| {
        let [min, default, max] = [ttl.min, ttl.default, ttl.max].map(print_duration);
        format!("min {min}, default {default}, max {max}")
    };
    let [near, far] = [edge.pop_cache, edge.regional_cache].map(|cache| print_size(cache.capacity));
    let [regional, shield, origin] = edge.rtt.map(print_duration);
    rows(
        all,
        "edge.",
        [
            (Unpublished, "pop_cache", near),
            (Unpublished, "regional_cache", far),
            (Chosen, "artifacts_ttl", ttl(&edge.artifacts_ttl)),
            (Chosen, "channels_ttl", ttl(&edge.channels_ttl)),
            (
                Chosen,
                "channel_max_age",
                print_duration(edge.channel_max_age),
            ),
            (Chosen, "channel_stale", print_duration(edge.channel_stale)),
            (Unpublished, "rtt_pop_regional", regional),
            (Unpublished, "rtt_regional_shield", shield),
            (Unpublished, "rtt_origin", origin),
            (Chosen, "fill_rate", print_rate(edge.fill_bps)),
            (Unpublished, "stream_along", edge.stream_along.to_string()),
        ],
    );
}

fn topology(topology: &TopologySettings, all: &mut Vec<Parameter>) {
    let placement = match topology.placement {
        Placement::ByKey => "by-key",
        Placement::ByConnection => "by-connection",
    };
    let [per_pop, per_regional] =
        [topology.nodes_per_pop, topology.nodes_per_regional].map(|nodes| nodes.to_string());
    let shield = topology.shield.clone();
    rows(
        all,
        "edge.",
        [
            (Chosen, "pops", topology.pops.to_string()),
            (Unpublished, "nodes_per_pop", per_pop),
            (Unpublished, "nodes_per_regional", per_regional),
            (Unpublished, "placement", placement.to_owned()),
            (Chosen, "shield", shield.unwrap_or("off".to_owned())),
        ],
    );
}

fn cache(cache: &CacheSettings, all: &mut Vec<Parameter>) {
    let fill_range = match cache.fill_range {
        FillRange::Exact => "exact".to_owned(),
        FillRange::Aligned(bytes) => print_chosen_size(bytes),
        FillRange::Whole => "whole".to_owned(),
    };
    let full = match cache.full_after_parts {
        FullAfterParts::Whole => "whole",
        FullAfterParts::Gaps => "gaps",
    };
    let abort = match cache.leader_abort {
        LeaderAbort::Discard => "discard",
        LeaderAbort::ContinueForFollowers => "continue-for-followers",
        LeaderAbort::Continue => "continue",
    };
    rows(
        all,
        "edge.",
        [
            (Unpublished, "fill_range", fill_range),
            (Unpublished, "full_after_parts", full.to_owned()),
            (Unpublished, "leader_abort", abort.to_owned()),
        ],
    );
}

fn origin(origin: &OriginSettings, all: &mut Vec<Parameter>) {
    let requests = print_number(origin.requests_per_second);
    let rows_of = [
        ("instance_type", origin.instance_type.clone()),
        ("baseline", print_rate(origin.baseline_bps)),
        ("gateway_cap", print_rate(origin.gateway_bps)),
        ("requests_per_second", requests),
        ("connections_max", print_count(origin.connections_max)),
        ("instances_min", print_count(origin.instances_min)),
        ("instances_max", print_count(origin.instances_max)),
        ("target_utilisation", percent(origin.target_utilisation)),
        ("metric_period", print_duration(origin.metric_period)),
        ("alarm_after", print_duration(origin.alarm_after)),
        ("warm_up", print_duration(origin.warm_up)),
        ("scale_in_after", print_duration(origin.scale_in_after)),
    ];
    let rows_of = rows_of.into_iter();
    rows(
        all,
        "origin.",
        rows_of.map(|(key, value)| (Chosen, key, value)),
    );
}
