//! Two engines, one answer: the fleet simulation against itself, against closed forms and against another simulator.
//!
//! Owns the promises of the simulation: the engines agree, a seed is a run, and what can be computed by hand comes out.
//! The same comparison with 100,000 and 1,000,000 devices is `benches/fleet.rs`, because an unoptimised build is too slow
//! for them.

use std::time::Duration;

use headwater::edge::policy::cache::{CacheSettings, LeaderAbort};
use headwater::edge::policy::freshness::Ttl;
use headwater::edge::policy::spans::{FillRange, FullAfterParts};
use headwater::edge::policy::topology::{Placement, Region, TopologySettings};
use headwater::fleet::engine::capacity::{capacity_curve, misses, request_log};
use headwater::fleet::engine::{Engine, Unwatched, run};
use headwater::fleet::outcome::{Front, Outcome};
use headwater::fleet::scenario::{
    Artifact, Curve, Discovery, EdgeSettings, Line, OriginSettings, Release, Scenario, Transfer,
};

const FRONTS: [Front; 3] = [Front::None, Front::Edge, Front::EdgeAndShield];

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Artifacts of Zipf popularity.
fn artifacts(count: u32, bytes: u64) -> Vec<Artifact> {
    let sum: f64 = (1..=count).map(|rank| 1.0 / f64::from(rank)).sum();
    (1..=count)
        .map(|rank| Artifact {
            name: format!("variant-{rank}"),
            bytes,
            share: 1.0 / f64::from(rank) / sum,
        })
        .collect()
}

fn scenario(devices: u64, curve: Curve) -> Scenario {
    let cache = CacheSettings {
        capacity: 1 << 42,
        fill_range: FillRange::Whole,
        full_after_parts: FullAfterParts::Gaps,
        leader_abort: LeaderAbort::ContinueForFollowers,
    };
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
        edge: EdgeSettings {
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
        },
        origin: OriginSettings {
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
        },
    }
}

fn outcome(engine: Engine, scenario: &Scenario, front: Front, seed: u64) -> Outcome {
    run(engine, scenario, front, seed, &Unwatched)
}

// ---- the engines agree ----------------------------------------------------------------------------------------------

fn plateau() -> Curve {
    Curve::PhaseRandom {
        period: seconds(1_800),
        jitter: seconds(200),
    }
}

fn cases(devices: u64) -> Vec<(&'static str, Scenario)> {
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
    ]
}

/// Means over seeds: requests, bytes, and the peaks of bytes, requests and instances.
fn means(
    engine: Engine,
    scenario: &Scenario,
    front: Front,
    seeds: std::ops::Range<u64>,
) -> [f64; 5] {
    let count = (seeds.end - seeds.start) as f64;
    let mut sums = [0.0; 5];
    for seed in seeds {
        let origin = outcome(engine, scenario, front, seed).origin;
        let values = [
            origin.requests as f64,
            origin.bytes as f64,
            origin.peak_gbps(),
            origin.peak_requests_per_s(),
            origin.peak_demand_gbps(),
        ];
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value / count;
        }
    }
    sums
}

fn disagreements(name: &str, scenario: &Scenario, front: Front) -> Vec<String> {
    let exact = means(Engine::Exact, scenario, front, 1..11);
    let counted = means(Engine::Aggregate, scenario, front, 1..11);
    let what = [
        ("requests", 0.01),
        ("bytes", 0.01),
        ("peak Gb/s", 0.05),
        ("peak requests/s", 0.05),
        ("peak demand", 0.05),
    ];
    let mut found = Vec::new();
    for (index, (what, allowed)) in what.into_iter().enumerate() {
        let off = (counted[index] / exact[index] - 1.0).abs();
        if off.is_nan() || off > allowed {
            let (exact, counted) = (exact[index], counted[index]);
            found.push(format!(
                "{name}, {front:?}: {what} {exact:.3} against {counted:.3}"
            ));
        }
    }
    found
}

#[test]
fn the_engines_agree_on_what_reaches_the_origin_over_ten_seeds() {
    let cases = cases(20_000);
    let found: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = FRONTS
            .iter()
            .map(|&front| {
                let cases = &cases;
                scope.spawn(move || {
                    cases
                        .iter()
                        .filter(|(name, _)| *name != "overrun" || front == Front::None)
                        .flat_map(|(name, scenario)| disagreements(name, scenario, front))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_engines_agree_on_the_devices() {
    for front in FRONTS {
        let (_, scenario) = cases(20_000).remove(0);
        let exact = outcome(Engine::Exact, &scenario, front, 1);
        let counted = outcome(Engine::Aggregate, &scenario, front, 1);
        assert_eq!(exact.fleet.updated, 20_000);
        assert_eq!(counted.fleet.updated, 20_000);
        for (a, b) in exact
            .fleet
            .percentiles_s
            .into_iter()
            .zip(counted.fleet.percentiles_s)
        {
            let (a, b) = (a.unwrap(), b.unwrap());
            assert!((a / b - 1.0).abs() < 0.05, "{front:?}: {a} {b}");
        }
        let (a, b) = (exact.fleet.broken_attempts, counted.fleet.broken_attempts);
        assert!(a.abs_diff(b) < a / 5, "{front:?}: {a} {b}");
        assert!(exact.edge.hits.abs_diff(counted.edge.hits) <= exact.edge.hits / 100);
    }
}

#[test]
fn the_same_seed_is_the_same_run_and_another_seed_is_not() {
    let (_, scenario) = cases(5_000).remove(2);
    for engine in [Engine::Exact, Engine::Aggregate] {
        for front in FRONTS {
            let first = outcome(engine, &scenario, front, 7);
            assert_eq!(
                first,
                outcome(engine, &scenario, front, 7),
                "{engine:?} {front:?}"
            );
            assert_ne!(
                first,
                outcome(engine, &scenario, front, 8),
                "{engine:?} {front:?}"
            );
        }
    }
}

// ---- closed forms ---------------------------------------------------------------------------------------------------

/// The worked example: so many devices, 500 MB, six hours.
fn six_hours(devices: u64) -> Scenario {
    let curve = Curve::PhaseRandom {
        period: seconds(6 * 3_600),
        jitter: Duration::ZERO,
    };
    let mut scenario = scenario(devices, curve);
    scenario.window = seconds(6 * 3_600);
    scenario.horizon = seconds(24 * 3_600);
    scenario.release.artifacts = artifacts(1, 500_000_000);
    scenario.discovery.push_share = 0.0;
    scenario
}

#[test]
fn a_million_devices_of_500_mb_in_six_hours_are_185_gbps_and_282_instances() {
    let scenario = six_hours(1_000_000);
    let outcome = outcome(Engine::Aggregate, &scenario, Front::None, 1);
    let origin = &outcome.origin;
    // Every byte once, and the channel documents beside it.
    let polls = origin.requests - 1_000_000;
    assert_eq!(origin.bytes, 1_000_000 * 500_000_000 + polls * 1_500);
    assert_eq!(origin.bytes_series.iter().sum::<u64>(), origin.bytes);
    assert_eq!(outcome.fleet.updated, 1_000_000);
    let mean = origin.mean_gbps(scenario.window);
    assert!((mean - 185.19).abs() < 0.05, "{mean}");
    let instances = mean * 1e9 / (0.7 * 0.937e9);
    assert!((282.0..283.0).contains(&instances), "{instances}");
    // The busiest five minutes of the plateau are a little above its mean.
    let needed = origin.instances_needed(&scenario);
    assert!((282..=300).contains(&needed), "{needed}");
}

#[test]
fn a_shield_asks_once_per_artifact_and_regional_caches_once_each() {
    for engine in [Engine::Exact, Engine::Aggregate] {
        let mut scenario = six_hours(20_000);
        scenario.window = seconds(3_600);
        scenario.discovery.curve = plateau();
        scenario.release.artifacts = artifacts(4, 500_000_000);
        let fills = |front| {
            let outcome = outcome(engine, &scenario, front, 1);
            let ratio = outcome.edge.hit_ratio().unwrap();
            // The channel documents and 304s are a thousandth of one artifact.
            (outcome.origin.bytes / 500_000_000, ratio)
        };
        assert_eq!(fills(Front::EdgeAndShield).0, 4);
        let (without, ratio) = fills(Front::Edge);
        assert!((4..=52).contains(&without), "{without}");
        // At least 1 - 13/N of each variant's requests, and cold channel documents.
        assert!(ratio > 1.0 - 5.0 * 13.0 * 4.0 / 20_000.0, "{ratio}");
    }
}

#[test]
fn a_cron_without_jitter_is_everyone_in_a_minute_for_the_origin_and_a_few_fills_behind_an_edge() {
    for engine in [Engine::Exact, Engine::Aggregate] {
        let curve = Curve::Cron {
            at: seconds(120),
            spread: seconds(60),
            period: seconds(86_400),
        };
        let mut scenario = scenario(20_000, curve);
        scenario.discovery.push_share = 0.0;
        let direct = outcome(engine, &scenario, Front::None, 1).origin;
        // One check and one download each.
        let expected = 2.0 * 20_000.0 / 60.0;
        assert!(
            (direct.peak_requests_per_s() / expected - 1.0).abs() < 0.01,
            "{direct:?}"
        );
        // Collapsing bounds what is in flight by the number of caches.
        let edge = outcome(engine, &scenario, Front::Edge, 1);
        assert!(
            edge.origin.open_series.iter().all(|&open| open <= 13 * 3),
            "{engine:?}"
        );
        assert!(edge.origin.requests <= 13 * 5, "{}", edge.origin.requests);
        assert!(edge.edge.collapsed > 0);
    }
}

#[test]
fn bytes_and_requests_are_conserved_at_the_edge() {
    for engine in [Engine::Exact, Engine::Aggregate] {
        for (name, scenario) in cases(5_000) {
            let outcome = outcome(engine, &scenario, Front::EdgeAndShield, 3);
            let edge = &outcome.edge;
            assert!(
                edge.hits <= edge.requests && edge.hit_bytes <= edge.bytes,
                "{name}"
            );
            assert_eq!(
                edge.by_region.iter().map(|region| region.1).sum::<u64>(),
                edge.requests
            );
            assert_eq!(
                edge.by_region.iter().map(|region| region.2).sum::<u64>(),
                edge.bytes
            );
            let requests = &outcome.origin.requests_series;
            assert_eq!(requests.iter().sum::<u64>(), outcome.origin.requests);
            assert_eq!(outcome.origin.egress_bytes, 0);
            assert_eq!(
                outcome.fleet.updated + outcome.fleet.failed,
                5_000,
                "{name}"
            );
            assert!(edge.bytes >= outcome.fleet.updated * 50_000_000, "{name}");
        }
    }
}

#[test]
fn an_origin_that_is_too_small_fails_requests_and_still_serves_everyone_in_the_end() {
    for engine in [Engine::Exact, Engine::Aggregate] {
        let (_, mut scenario) = cases(20_000).remove(4);
        scenario.origin.instances_max = 40;
        scenario.horizon = seconds(24 * 3_600);
        let outcome = outcome(engine, &scenario, Front::None, 1);
        assert!(outcome.origin.failed > 0);
        assert_eq!(outcome.fleet.updated, 20_000);
        let instances = &outcome.origin.instances_series;
        assert_eq!(instances[0], scenario.origin.instances_min);
        assert!(instances.iter().max() > instances.first(), "{instances:?}");
        // What was sent in any minute is what the instances of that minute can send.
        for (bytes, instances) in outcome.origin.bytes_series.iter().zip(instances) {
            let most = *instances as f64 * 0.937e9 / 8.0 * 60.0;
            assert!(
                *bytes as f64 <= most * 1.05,
                "{engine:?}: {bytes} of {most}"
            );
        }
    }
}

// ---- another simulator ----------------------------------------------------------------------------------------------

/// Many artifacts of unequal size: a whole catalogue, not a release.
fn catalogue() -> Scenario {
    let mut scenario = scenario(60_000, plateau());
    scenario.edge.topology.pops = 3;
    scenario.release.artifacts = artifacts(300, 1);
    for (index, artifact) in scenario.release.artifacts.iter_mut().enumerate() {
        artifact.bytes = 1_000_000 + (index as u64 * 7_919) % 97 * 350_000;
    }
    scenario
}

#[test]
fn a_larger_cache_never_misses_more_often_in_the_large() {
    let scenario = catalogue();
    let curve = capacity_curve(&scenario, 1);
    assert!(
        curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1 + 0.01),
        "{curve:?}"
    );
    let (first, last) = (curve[0], curve[curve.len() - 1]);
    assert!(first.1 < 0.5 && last.1 > 0.97, "{curve:?}");
}

/// libcachesim is the simulator of the caching literature (SOSP '23 and after), written by others.
#[test]
fn misses_are_those_of_an_independent_simulator() {
    let scenario = catalogue();
    let log = request_log(&scenario, 0, 1);
    assert!(log.len() > 5_000, "{}", log.len());
    let all: u64 = scenario
        .release
        .artifacts
        .iter()
        .map(|artifact| artifact.bytes)
        .sum();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("requests.csv");
    let text: String = log
        .iter()
        .map(|request| format!("{},{},{}\n", request.at, request.artifact, request.bytes))
        .collect();
    std::fs::write(&path, text).unwrap();
    // An object larger than the cache would be refused by one and would empty the other; none is.
    for capacity in [all / 20, all / 5, all / 2, all] {
        let settings = CacheSettings {
            capacity,
            ..scenario.edge.pop_cache
        };
        let ours = misses(&log, &scenario, settings).0;
        assert_eq!(
            ours,
            libcachesim_misses(&path, capacity),
            "capacity {capacity}"
        );
    }
}

fn libcachesim_misses(log: &std::path::Path, capacity: u64) -> u64 {
    const PROGRAM: &str = "
import sys
from libcachesim import LRU, Request
cache = LRU(cache_size=int(sys.argv[2]))
misses = 0
for line in open(sys.argv[1]):
    at, object, size = map(int, line.split(','))
    request = Request(obj_id=object + 1, obj_size=size, clock_time=at // 1000000)
    misses += not cache.get(request)
print(misses)
";
    let target = std::env::var("CARGO_TARGET_DIR")
        .unwrap_or_else(|_| format!("{}/target", env!("CARGO_MANIFEST_DIR")));
    let output = std::process::Command::new("python3")
        .args(["-c", PROGRAM])
        .arg(log)
        .arg(capacity.to_string())
        .env("PYTHONPATH", format!("{target}/python"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "`bash tests/setup/python_tools.sh` installs libcachesim: {errors}"
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}
