//! Do the two engines of the fleet simulation agree on fleets of real size, and how long do they take?
//!
//! The exact engine must do a million devices behind every front, and the aggregated one a thousand million, within ten
//! seconds on two cores. Agreement is asserted before anything is measured: 100,000 devices always, a million when the
//! bench is run in full.

#[path = "../tests/it/fleet_engines/cases.rs"]
mod cases;

use std::time::Duration;

use cases::{FRONTS, artifacts, cases, disagreements, outcome, plateau, scenario, seconds};
use criterion::{BenchmarkId, Criterion};
use headwater::fleet::engine::Engine;
use headwater::fleet::outcome::Front;
use headwater::fleet::scenario::{Curve, Scenario};

fn agree(devices: u64) {
    let mut found = Vec::new();
    for (name, scenario) in cases(devices) {
        for front in FRONTS {
            if name != "overrun" || front == Front::None {
                found.extend(disagreements(name, &scenario, front));
            }
        }
    }
    assert!(found.is_empty(), "{devices} devices:\n{}", found.join("\n"));
}

/// A phone's system: twelve variants of 500 MB, polled for every six hours, rolled out over a day.
fn phones() -> Scenario {
    let curve = Curve::PhaseRandom {
        period: seconds(6 * 3_600),
        jitter: seconds(600),
    };
    let mut scenario = scenario(1_000_000_000, curve);
    scenario.window = seconds(24 * 3_600);
    scenario.horizon = seconds(24 * 3_600);
    scenario.release.artifacts = artifacts(12, 500_000_000);
    scenario.discovery.stages = vec![
        (Duration::ZERO, 0.01),
        (seconds(2 * 3_600), 0.05),
        (seconds(6 * 3_600), 0.2),
        (seconds(12 * 3_600), 1.0),
    ];
    scenario.transfer.abort_probability = 0.05;
    scenario.edge.topology.pops = 600;
    scenario.origin.instances_min = 20_000;
    scenario.origin.instances_max = 100_000;
    scenario
}

fn engines(criterion: &mut Criterion) {
    let mut million = scenario(1_000_000, plateau());
    million.edge.topology.pops = 600;
    let phones = phones();
    let mut group = criterion.benchmark_group("fleet");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(30));
    for front in FRONTS {
        group.bench_function(
            BenchmarkId::new("exact-1e6", format!("{front:?}")),
            |bench| {
                bench.iter(|| outcome(Engine::Exact, &million, front, 1));
            },
        );
        group.bench_function(
            BenchmarkId::new("counted-1e9", format!("{front:?}")),
            |bench| {
                bench.iter(|| outcome(Engine::Aggregate, &phones, front, 1));
            },
        );
    }
    group.finish();
}

fn main() {
    agree(100_000);
    if std::env::args().all(|argument| argument != "--test") {
        agree(1_000_000);
    }
    let mut criterion = Criterion::default().configure_from_args();
    engines(&mut criterion);
    criterion.final_summary();
}
