//! The cases on which the two engines are compared, in tests and in `benches/fleet.rs`.
//!
//! Owns the scenarios and what agreement is; never runs anything but what it is asked for.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a simulation keep their value as floats"
)]

use std::time::Duration;

use headwater::edge::policy::cache::{CacheSettings, LeaderAbort};
use headwater::edge::policy::freshness::Ttl;
use headwater::edge::policy::spans::{FillRange, FullAfterParts};
use headwater::edge::policy::topology::{Placement, Region, TopologySettings};
use headwater::fleet::engine::{Engine, Unwatched, run};
use headwater::fleet::outcome::{Front, Outcome};
use headwater::fleet::scenario::{
    Artifact, Curve, Discovery, EdgeSettings, Line, OriginSettings, Release, Scenario, Transfer,
};

pub(crate) const FRONTS: [Front; 3] = [Front::None, Front::Edge, Front::EdgeAndShield];

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Artifacts of Zipf popularity.
pub(crate) fn artifacts(count: u32, bytes: u64) -> Vec<Artifact> {
    let sum: f64 = (1..=count).map(|rank| 1.0 / f64::from(rank)).sum();
    (1..=count)
        .map(|rank| Artifact {
            name: format!("variant-{rank}"),
            bytes,
            share: 1.0 / f64::from(rank) / sum,
        })
        .collect()
}

pub(crate) fn scenario(devices: u64, curve: Curve) -> Scenario {
    Scenario {
        name: "test".to_owned(),
        description: "A test.".to_owned(),
        devices,
        window: seconds(1_800),
        horizon: seconds(4 * 3_600),
        release: Release {
            channel_bytes: 1_500,
            artifacts: artifacts(3, 50_000_000),
        },
        discovery: Discovery {
            curve,
            push_share: 0.05,
            diurnal_amplitude: 0.0,
            stages: Vec::new(),
        },
        devices_line: Line {
            median_bps: 60e6,
            sigma: 1.0,
            cap_bps: 1e9,
            slow_share: 0.05,
            slow_bps: 2e6,
        },
        transfer: Transfer {
            abort_probability: 0.0,
            resume_after: seconds(300),
            range_bytes: None,
            stall_timeout: seconds(30),
            backoff: seconds(60),
            backoff_max: seconds(3_600),
            attempts_max: 10,
            late_after: seconds(1_800),
        },
        regions: Region::SHARES
            .iter()
            .map(|(region, share)| (*region, f64::from(*share) / 100.0))
            .collect(),
        edge: edge(),
        origin: origin(),
    }
}

fn edge() -> EdgeSettings {
    let cache = CacheSettings {
        capacity: 1 << 42,
        fill_range: FillRange::Whole,
        full_after_parts: FullAfterParts::Gaps,
        leader_abort: LeaderAbort::ContinueForFollowers,
    };
    EdgeSettings {
        topology: TopologySettings {
            pops: 100,
            nodes_per_pop: 1,
            nodes_per_regional: 1,
            placement: Placement::ByKey,
            shield: Some("us-east-1".to_owned()),
        },
        pop_cache: cache,
        regional_cache: cache,
        artifacts_ttl: Ttl {
            min: seconds(1),
            default: seconds(31_536_000),
            max: seconds(31_536_000),
        },
        channels_ttl: Ttl {
            min: Duration::ZERO,
            default: seconds(30),
            max: seconds(300),
        },
        channel_max_age: seconds(30),
        channel_stale: seconds(30),
        rtt: [30, 60, 60].map(Duration::from_millis),
        fill_bps: 5e9,
        stream_along: true,
    }
}

fn origin() -> OriginSettings {
    OriginSettings {
        instance_type: "m7g.large".to_owned(),
        baseline_bps: 0.937e9,
        gateway_bps: 5e9,
        requests_per_second: 5_000.0,
        connections_max: 1_000_000,
        instances_min: 2_000,
        instances_max: 4_000,
        target_utilisation: 0.7,
        metric_period: seconds(60),
        alarm_after: seconds(180),
        warm_up: seconds(120),
        scale_in_after: seconds(900),
    }
}

pub(crate) fn outcome(engine: Engine, scenario: &Scenario, front: Front, seed: u64) -> Outcome {
    run(engine, scenario, front, seed, &Unwatched)
}

pub(crate) fn plateau() -> Curve {
    Curve::PhaseRandom {
        period: seconds(1_800),
        jitter: seconds(200),
    }
}

pub(crate) fn cases(devices: u64) -> Vec<(&'static str, Scenario)> {
    let mut plateau_case = scenario(devices, plateau());
    plateau_case.transfer.abort_probability = 0.05;

    let mut cron = scenario(
        devices,
        Curve::Cron {
            at: seconds(60),
            spread: seconds(60),
            period: seconds(86_400),
        },
    );
    cron.transfer.range_bytes = Some(8 << 20);

    let mut ramp = scenario(
        devices,
        Curve::Ramp {
            ramp: seconds(600),
            sustained: seconds(600),
            decay: seconds(900),
        },
    );
    ramp.transfer.abort_probability = 0.1;
    ramp.transfer.range_bytes = Some(8 << 20);
    ramp.edge.pop_cache.fill_range = FillRange::Aligned(8 << 20);
    ramp.edge.regional_cache.fill_range = FillRange::Aligned(8 << 20);

    let mut staged = scenario(devices, plateau());
    staged.discovery.stages = vec![
        (Duration::ZERO, 0.1),
        (seconds(1_200), 0.5),
        (seconds(2_400), 1.0),
    ];

    // Too few instances: refusals, retries and an Auto Scaling group that comes late.
    let mut overrun = scenario(devices, plateau());
    overrun.transfer.abort_probability = 0.05;
    overrun.origin.instances_min = (devices / 5_000).max(2);
    overrun.origin.connections_max = 300;

    vec![
        ("plateau", plateau_case),
        ("cron", cron),
        ("ramp", ramp),
        ("staged", staged),
        ("overrun", overrun),
        ("phone", phone(devices)),
    ]
}

/// As in `phone-os.toml`, but shorter: day and night, pushes, cuts, lines on which a download takes a step, and lines on
/// which it outlasts the window many times.
fn phone(devices: u64) -> Scenario {
    let mut phone = scenario(
        devices,
        Curve::PhaseRandom {
            period: seconds(4 * 3_600),
            jitter: seconds(600),
        },
    );
    phone.window = seconds(4 * 3_600);
    phone.horizon = seconds(48 * 3_600);
    phone.discovery.diurnal_amplitude = 0.8;
    phone.transfer.abort_probability = 0.05;
    phone.transfer.late_after = seconds(4 * 3_600);
    phone.release.artifacts = artifacts(4, 600_000_000);
    phone.release.artifacts[1].bytes = 4_000_000_000;
    phone
}

/// What is compared over seeds, and how far off a mean may be: as a share of it, and beside that.
const COMPARED: [(&str, f64, f64); 10] = [
    ("requests", 0.01, 0.0),
    ("bytes", 0.01, 0.0),
    ("peak Gb/s", 0.05, 0.0),
    ("peak requests/s", 0.05, 0.0),
    ("peak demand", 0.05, 0.0),
    ("updated", 0.01, 0.0),
    ("failed", 0.01, 0.001),
    ("t50", 0.01, STEP_SECONDS),
    ("t90", 0.01, STEP_SECONDS),
    ("t99", 0.01, STEP_SECONDS),
];
const STEP_SECONDS: f64 = 60.0;

/// Over seeds: the means of what is compared, and how sure those are.
fn means(engine: Engine, scenario: &Scenario, front: Front) -> [(f64, f64); COMPARED.len()] {
    const SEEDS: u64 = 10;
    let mut sums = [(0.0, 0.0); COMPARED.len()];
    for seed in 1..=SEEDS {
        let Outcome { origin, fleet, .. } = outcome(engine, scenario, front, seed);
        assert_eq!(
            fleet.completions_series.iter().sum::<u64>(),
            fleet.updated,
            "{engine:?}"
        );
        // A share that was never reached is one that was reached at the horizon.
        let horizon = scenario.horizon.as_secs_f64();
        let [t50, t90, t99] = fleet.percentiles_s.map(|at| at.unwrap_or(horizon));
        let values = [
            origin.requests as f64,
            origin.bytes as f64,
            origin.peak_gbps(),
            origin.peak_requests_per_s(),
            origin.peak_demand_gbps(),
            fleet.updated as f64,
            fleet.failed as f64,
            t50,
            t90,
            t99,
        ];
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = (sum.0 + value, sum.1 + value * value);
        }
    }
    let count = SEEDS as f64;
    sums.map(|(sum, squares)| {
        let mean = sum / count;
        (
            mean,
            (squares / count - mean * mean).max(0.0) / (count - 1.0),
        )
    })
}

pub(crate) fn disagreements(name: &str, scenario: &Scenario, front: Front) -> Vec<String> {
    let exact = means(Engine::Exact, scenario, front);
    let counted = means(Engine::Aggregate, scenario, front);
    let mut found = Vec::new();
    for ((what, share, beside), (a, b)) in COMPARED.into_iter().zip(exact.into_iter().zip(counted))
    {
        // Few devices of a fleet fail, so their number is compared as a share of the fleet.
        let beside = if what == "failed" {
            beside * scenario.devices as f64
        } else {
            beside
        };
        let allowed = share * a.0 + beside;
        let off = (b.0 - a.0).abs();
        // Ten runs of a small fleet tell two means apart to two standard errors only.
        let unsure = 2.0 * (a.1 + b.1).sqrt();
        if off.is_nan() || off > allowed + unsure || unsure > 2.0 * allowed {
            found.push(format!(
                "{name}, {front:?}: {what} {:.3} against {:.3} (± {unsure:.3})",
                a.0, b.0
            ));
        }
    }
    found
}
