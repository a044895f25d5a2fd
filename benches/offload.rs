//! How long does a fleet of devices take to have its update: whole, by pieces, with half of it breaking off once?
//!
//! Origin and fleet in this process, on loopback. Devices verify every byte, so that a figure is also a proof. Good for
//! noticing that a change made updating slower; what the origin is spared by a cache in front of it is the question of
//! `versus --offload`, which gives each process a core and reads its processor time.
//!
//! One iteration is one device's whole update: channel, release document, artifact, digest.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench measures real time, and stops where a device was not served"
)]

#[path = "support/origin.rs"]
mod origin;
#[path = "support/sample.rs"]
mod sample;

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use headwater::assembly;
use headwater::device::load::{self, LoadPlan, Onlooker, Snapshot, Style, Target};
use tokio_util::sync::CancellationToken;

use origin::Running;

/// What each device downloads: one piece and the start of another.
const ARTIFACT_BYTES: u64 = (4 << 20) + (1 << 20);

/// Devices at a time.
const CONCURRENCY: [usize; 2] = [1, 32];

/// Nobody looks.
struct Unwatched;

impl Onlooker for Unwatched {
    fn look(&self, _now: &Snapshot) {}
}

/// How the fleet behaves.
struct Behaviour {
    name: &'static str,
    style: Style,
    abort_share: f64,
}

const BEHAVIOURS: [Behaviour; 3] = [
    Behaviour {
        name: "whole",
        style: Style::Whole,
        abort_share: 0.0,
    },
    Behaviour {
        name: "pieces",
        style: Style::Pieces,
        abort_share: 0.0,
    },
    Behaviour {
        name: "half breaks off",
        style: Style::Whole,
        abort_share: 0.5,
    },
];

fn plan(url: &str, behaviour: &Behaviour, devices: u64, concurrency: usize) -> LoadPlan {
    LoadPlan {
        target: Target::parse(url, None).expect("a channel document"),
        artifact: None,
        devices: usize::try_from(devices)
            .ok()
            .and_then(NonZeroUsize::new)
            .expect("a device"),
        concurrency: NonZeroUsize::new(concurrency).expect("a device at a time"),
        style: behaviour.style,
        abort_share: behaviour.abort_share,
        seed: 1,
        ramp: Duration::ZERO,
        pops: None,
        stall_timeout: Duration::from_secs(30),
        requests_max: NonZeroU64::MAX,
        time_max: Duration::from_secs(600),
    }
}

/// Lets that many devices update, and says how long all of them took together.
fn update(plan: LoadPlan) -> Duration {
    let devices = plan.devices.get() as u64;
    let run = load::run(plan, CancellationToken::new(), Arc::new(Unwatched));
    let outcome = assembly::block_on(run).expect("a runtime");
    let outcome = outcome.expect("a client");
    assert_eq!(outcome.devices.verified, devices, "{outcome:?}");
    outcome.elapsed
}

fn offload(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a working directory");
    let origin = Running::start(folder.path(), &[("agent.bin", ARTIFACT_BYTES)]);
    let url = format!("http://{}/channels/bench/stable.json", origin.address);
    let mut group = criterion.benchmark_group("offload");
    group.sampling_mode(SamplingMode::Flat);
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Bytes(ARTIFACT_BYTES));
    for behaviour in &BEHAVIOURS {
        for concurrency in CONCURRENCY {
            let id = BenchmarkId::new(behaviour.name, concurrency);
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|devices| update(plan(&url, behaviour, devices, concurrency)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, offload);
criterion_main!(benches);
