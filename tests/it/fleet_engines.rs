//! Two engines, one answer: the fleet simulation against itself, against closed forms and against another simulator.
//!
//! Owns the promises of the simulation: the engines agree, a seed is a run, and what can be computed by hand comes out.
//! The same comparison with 100,000 and 1,000,000 devices is `benches/fleet.rs`, because an unoptimised build is too slow
//! for them.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a simulation keep their value as floats"
)]

mod cases;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use cases::{FRONTS, artifacts, cases, disagreements, outcome, plateau, scenario, seconds};
use headwater::edge::policy::cache::CacheSettings;
use headwater::fleet::cost::Prices;
use headwater::fleet::engine::Engine;
use headwater::fleet::engine::capacity::{capacity_curve, misses, request_log};
use headwater::fleet::outcome::Front;
use headwater::fleet::scenario::{Curve, Scenario};

// ---- the engines agree ----------------------------------------------------------------------------------------------

#[test]
fn the_engines_agree_on_what_reaches_the_origin_over_ten_seeds() {
    let cases = cases(100_000);
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

/// Their horizons, and with them the steps of the aggregated engine, are those that people run.
#[test]
fn the_shipped_scenarios_end_alike_in_both_engines() {
    const DEVICES: u64 = 20_000;
    let prices = Prices::embedded().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/scenarios");
    let mut wrong = String::new();
    let mut seen = 0;
    for file in folder.read_dir().unwrap() {
        let path = file.unwrap().path();
        let mut scenario = Scenario::load(&path, &prices.instances).unwrap();
        scenario.devices = DEVICES;
        seen += 1;
        for front in [Front::None, Front::EdgeAndShield] {
            let [exact, counted] = [Engine::Exact, Engine::Aggregate]
                .map(|engine| outcome(engine, &scenario, front, 1).fleet);
            let mut compare = |what: &str, a: f64, b: f64, tolerance: f64| {
                if (a - b).abs() > tolerance {
                    let _ = writeln!(wrong, "{} {front:?} {what}: {a} {b}", scenario.name);
                }
            };
            let (a, b) = (exact.updated as f64, counted.updated as f64);
            compare("updated", a, b, 0.01 * DEVICES as f64);
            for (at, what) in ["t50", "t90"].iter().enumerate() {
                match (exact.percentiles_s[at], counted.percentiles_s[at]) {
                    // A step of the aggregated engine on top, because it is what its times are rounded to.
                    (Some(a), Some(b)) => compare(what, a, b, 0.05 * a + 60.0),
                    (a, b) => assert_eq!(a, b, "{} {front:?} {what}", scenario.name),
                }
            }
        }
    }
    assert_eq!(seen, 5);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_fleet_is_the_same_with_and_without_an_edge() {
    let (_, scenario) = cases(20_000).remove(0);
    let [direct, behind] = [Front::None, Front::EdgeAndShield]
        .map(|front| outcome(Engine::Exact, &scenario, front, 3));
    assert_eq!(direct.fleet.broken_attempts, behind.fleet.broken_attempts);
    assert_eq!(direct.fleet.updated, behind.fleet.updated);
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
    let mut text = String::new();
    for request in &log {
        writeln!(
            text,
            "{},{},{}",
            request.at, request.artifact, request.bytes
        )
        .unwrap();
    }
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

fn libcachesim_misses(log: &Path, capacity: u64) -> u64 {
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
