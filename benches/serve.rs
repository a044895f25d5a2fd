//! How many bytes a second leave one serving thread, by size of the body, for whole answers and for ranges, on one and
//! on many connections?
//!
//! A real origin in this process on a loopback port, kept-alive raw sockets, bodies discarded in the kernel. Good for
//! noticing that a change made serving slower; what a byte costs beside nginx is the question of `versus`, which
//! keeps client and server on different cores.
//!
//! One iteration is the body bytes of one answer, on whatever connections they arrive: all connections are always in
//! mid-answer, so that 64 of them can be measured without moving 64 whole bodies for each figure.

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]
#![allow(
    clippy::expect_used,
    reason = "a bench without its origin measures nothing"
)]

#[path = "support/load.rs"]
mod load;
#[path = "support/origin.rs"]
mod origin;
#[path = "support/sample.rs"]
mod sample;

use std::time::Duration;

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};

use load::{Group, Load, Repeat, Until};
use origin::Running;

/// Sizes of the bodies.
const SIZES: [(&str, u64); 4] = [
    ("1KiB", 1 << 10),
    ("64KiB", 64 << 10),
    ("1MiB", 1 << 20),
    ("256MiB", 256 << 20),
];

/// Connections that ask at the same time.
const CONNECTIONS: [usize; 3] = [1, 16, 64];

fn serve(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a working directory");
    let origin = Running::start(folder.path(), &SIZES);
    let mut group = criterion.benchmark_group("serve");
    group.sampling_mode(SamplingMode::Flat);
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(1));
    for (name, bytes) in SIZES {
        // A download that was cut half-way and is taken up again.
        for (shape, range) in [
            ("whole", None),
            ("second half", Some((bytes / 2, bytes / 2))),
        ] {
            let body_bytes = range.map_or(bytes, |(_first, len)| len);
            group.throughput(Throughput::Bytes(body_bytes));
            for connections in CONNECTIONS {
                let mut load = Load::connect(vec![Group {
                    address: origin.address,
                    path: format!("/artifacts/bench/1.0.0/{name}"),
                    range,
                    body_bytes,
                    connections,
                    repeat: Repeat::Forever,
                }])
                .expect("connections");
                let id = BenchmarkId::new(format!("{name} {shape}"), connections);
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|count| {
                        let report = load.run(Until::BodyBytes(count * body_bytes));
                        report.expect("right answers only").elapsed
                    });
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, serve);
criterion_main!(benches);
