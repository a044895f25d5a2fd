//! Every parameter of a run, with what it rests on.
//!
//! Owns the judgement which values AWS does not publish. What the others rest on, the scenario file says beside each: a
//! value that somebody changed has no source any more that this file could know. Never changes one.

use serde::Serialize;

use Basis::{Scenario as Chosen, Unpublished};

use crate::edge::policy::cache::{CacheSettings, LeaderAbort};
use crate::edge::policy::freshness::Ttl;
use crate::edge::policy::spans::{FillRange, FullAfterParts};
use crate::edge::policy::topology::Placement;
use crate::fleet::regions::REGIONS;
use crate::fleet::scenario::{Curve, Scenario};
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

/// Collects parameters of one section.
struct List {
    section: &'static str,
    all: Vec<Parameter>,
}

impl List {
    fn section(&mut self, name: &'static str) {
        self.section = name;
    }

    fn add(&mut self, basis: Basis, key: &str, value: impl Into<String>) {
        self.all.push(Parameter {
            key: format!("{}{key}", self.section),
            value: value.into(),
            basis,
        });
    }
}

/// All parameters, in the order of the file.
#[must_use]
pub fn parameters(scenario: &Scenario) -> Vec<Parameter> {
    let mut list = List {
        section: "",
        all: Vec::new(),
    };
    list.add(Chosen, "devices", print_count(scenario.devices));
    list.add(Chosen, "window", print_duration(scenario.window));
    list.add(Chosen, "horizon", print_duration(scenario.horizon));
    release(scenario, &mut list);
    discovery(scenario, &mut list);
    line_and_transfer(scenario, &mut list);
    list.section("regions.");
    for (region, share) in &scenario.regions {
        let key = REGIONS.iter().find(|(_, other, _)| other == region);
        list.add(Chosen, key.map_or("", |(key, _, _)| key), percent(*share));
    }
    edge(scenario, &mut list);
    origin(scenario, &mut list);
    list.all
}

fn percent(share: f64) -> String {
    format!("{} %", print_number(share * 100.0))
}

fn release(scenario: &Scenario, list: &mut List) {
    list.section("release.");
    let release = &scenario.release;
    list.add(Chosen, "channel_bytes", print_size(release.channel_bytes));
    for artifact in &release.artifacts {
        let value = format!(
            "{} for {} of the fleet",
            print_size(artifact.bytes),
            percent(artifact.share)
        );
        list.add(Chosen, &format!("artifacts {}", artifact.name), value);
    }
}

fn discovery(scenario: &Scenario, list: &mut List) {
    list.section("discovery.");
    let discovery = &scenario.discovery;
    let curve = match discovery.curve {
        Curve::PhaseRandom { period, jitter } => {
            list.add(Chosen, "period", print_duration(period));
            list.add(Chosen, "jitter", print_duration(jitter));
            "phase-random"
        }
        Curve::Cron { at, spread, period } => {
            list.add(Chosen, "at", print_duration(at));
            list.add(Chosen, "spread", print_duration(spread));
            list.add(Chosen, "period", print_duration(period));
            "cron"
        }
        Curve::Ramp {
            ramp,
            sustained,
            decay,
        } => {
            list.add(Chosen, "ramp", print_duration(ramp));
            list.add(Chosen, "sustained", print_duration(sustained));
            list.add(Chosen, "decay", print_duration(decay));
            "ramp"
        }
    };
    list.add(Chosen, "curve", curve);
    list.add(Chosen, "push_share", percent(discovery.push_share));
    list.add(
        Chosen,
        "diurnal_amplitude",
        print_number(discovery.diurnal_amplitude),
    );
    for (at, share) in &discovery.stages {
        list.add(
            Chosen,
            &format!("stages from {}", print_duration(*at)),
            percent(*share),
        );
    }
}

fn line_and_transfer(scenario: &Scenario, list: &mut List) {
    list.section("line.");
    let line = &scenario.devices_line;
    list.add(Chosen, "median", print_rate(line.median_bps));
    list.add(Chosen, "sigma", print_number(line.sigma));
    list.add(Chosen, "cap", print_rate(line.cap_bps));
    list.add(Chosen, "slow_share", percent(line.slow_share));
    list.add(Chosen, "slow_up_to", print_rate(line.slow_bps));
    list.section("transfer.");
    let transfer = &scenario.transfer;
    let range = transfer
        .range_bytes
        .map_or("off".to_owned(), print_chosen_size);
    list.add(
        Chosen,
        "abort_probability",
        percent(transfer.abort_probability),
    );
    list.add(
        Chosen,
        "resume_after",
        print_duration(transfer.resume_after),
    );
    list.add(Chosen, "range", range);
    list.add(
        Chosen,
        "stall_timeout",
        print_duration(transfer.stall_timeout),
    );
    list.add(Chosen, "backoff", print_duration(transfer.backoff));
    list.add(Chosen, "backoff_max", print_duration(transfer.backoff_max));
    list.add(
        Chosen,
        "attempts_max",
        print_count(u64::from(transfer.attempts_max)),
    );
    list.add(Chosen, "late_after", print_duration(transfer.late_after));
}

fn edge(scenario: &Scenario, list: &mut List) {
    list.section("edge.");
    let edge = &scenario.edge;
    let topology = &edge.topology;
    list.add(Chosen, "pops", topology.pops.to_string());
    list.add(
        Unpublished,
        "nodes_per_pop",
        topology.nodes_per_pop.to_string(),
    );
    list.add(
        Unpublished,
        "nodes_per_regional",
        topology.nodes_per_regional.to_string(),
    );
    let placement = match topology.placement {
        Placement::ByKey => "by-key",
        Placement::ByConnection => "by-connection",
    };
    list.add(Unpublished, "placement", placement);
    let shield = topology.shield.clone();
    list.add(Chosen, "shield", shield.unwrap_or("off".to_owned()));
    cache(&edge.pop_cache, list);
    list.add(
        Unpublished,
        "pop_cache",
        print_size(edge.pop_cache.capacity),
    );
    list.add(
        Unpublished,
        "regional_cache",
        print_size(edge.regional_cache.capacity),
    );
    let ttl = |ttl: &Ttl| {
        let [min, default, max] = [ttl.min, ttl.default, ttl.max].map(print_duration);
        format!("min {min}, default {default}, max {max}")
    };
    list.add(Chosen, "artifacts_ttl", ttl(&edge.artifacts_ttl));
    list.add(Chosen, "channels_ttl", ttl(&edge.channels_ttl));
    list.add(
        Chosen,
        "channel_max_age",
        print_duration(edge.channel_max_age),
    );
    list.add(Chosen, "channel_stale", print_duration(edge.channel_stale));
    for (key, rtt) in ["rtt_pop_regional", "rtt_regional_shield", "rtt_origin"]
        .iter()
        .zip(edge.rtt)
    {
        list.add(Unpublished, key, print_duration(rtt));
    }
    list.add(Chosen, "fill_rate", print_rate(edge.fill_bps));
    list.add(Unpublished, "stream_along", edge.stream_along.to_string());
}

fn cache(cache: &CacheSettings, list: &mut List) {
    let fill_range = match cache.fill_range {
        FillRange::Exact => "exact".to_owned(),
        FillRange::Aligned(bytes) => print_chosen_size(bytes),
        FillRange::Whole => "whole".to_owned(),
    };
    list.add(Unpublished, "fill_range", fill_range);
    let full = match cache.full_after_parts {
        FullAfterParts::Whole => "whole",
        FullAfterParts::Gaps => "gaps",
    };
    list.add(Unpublished, "full_after_parts", full);
    let abort = match cache.leader_abort {
        LeaderAbort::Discard => "discard",
        LeaderAbort::ContinueForFollowers => "continue-for-followers",
        LeaderAbort::Continue => "continue",
    };
    list.add(Unpublished, "leader_abort", abort);
}

fn origin(scenario: &Scenario, list: &mut List) {
    list.section("origin.");
    let origin = &scenario.origin;
    list.add(Chosen, "instance_type", origin.instance_type.clone());
    list.add(Chosen, "baseline", print_rate(origin.baseline_bps));
    list.add(Chosen, "gateway_cap", print_rate(origin.gateway_bps));
    list.add(
        Chosen,
        "requests_per_second",
        print_number(origin.requests_per_second),
    );
    list.add(
        Chosen,
        "connections_max",
        print_count(origin.connections_max),
    );
    list.add(Chosen, "instances_min", print_count(origin.instances_min));
    list.add(Chosen, "instances_max", print_count(origin.instances_max));
    list.add(
        Chosen,
        "target_utilisation",
        percent(origin.target_utilisation),
    );
    list.add(
        Chosen,
        "metric_period",
        print_duration(origin.metric_period),
    );
    list.add(Chosen, "alarm_after", print_duration(origin.alarm_after));
    list.add(Chosen, "warm_up", print_duration(origin.warm_up));
    list.add(
        Chosen,
        "scale_in_after",
        print_duration(origin.scale_in_after),
    );
}
