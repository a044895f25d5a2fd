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
#![expect(
    clippy::expect_used,
    reason = "a bench without its origin measures nothing"
)]

#[path = "support/load.rs"]
mod load;
#[path = "support/sample.rs"]
mod sample;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use headwater::assembly::{self, Origin};
use headwater::config::{Config, StoreLocation};
use headwater::model::{Product, ReleaseId, Version};
use headwater::publish::{Mode, PublishRequest, Silent};
use tokio_util::sync::CancellationToken;

use load::{Group, Load, Repeat, Until};

/// Sizes of the bodies.
const SIZES: [(&str, u64); 4] = [
    ("1KiB", 1 << 10),
    ("64KiB", 64 << 10),
    ("1MiB", 1 << 20),
    ("256MiB", 256 << 20),
];

/// Connections that ask at the same time.
const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// An origin on its own thread.
struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Publishes a file of each size and serves them with one thread.
    fn start(folder: &Path) -> Self {
        let location = StoreLocation::Directory(folder.join("store"));
        publish(&location, &folder.join("input"));
        let mut config = Config {
            store: location,
            ..Config::default()
        };
        config.server.listen = (Ipv4Addr::LOCALHOST, 0).into();
        config.server.admin = (Ipv4Addr::LOCALHOST, 0).into();
        config.server.threads = NonZeroUsize::MIN;
        let origin = Origin::bind(config).expect("free ports and a store");
        let address = origin.listen_address().expect("a bound listener");
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let thread = thread::spawn(move || origin.run(&stop).expect("an origin that serves"));
        Self {
            address,
            shutdown,
            thread: Some(thread),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("an origin that ends in peace");
        }
    }
}

fn publish(location: &StoreLocation, input: &Path) {
    std::fs::create_dir(input).expect("a folder");
    for (name, bytes) in SIZES {
        sample::write_file(&input.join(name), bytes, bytes).expect("an input file");
    }
    assembly::create_store(location).expect("a new store");
    let publisher = assembly::publisher(location).expect("a publisher");
    let request = PublishRequest {
        id: ReleaseId {
            product: Product::parse("bench").expect("a legal name"),
            version: Version::parse("1.0.0").expect("a legal name"),
        },
        paths: vec![input.to_owned()],
        platforms: Vec::new(),
        notes: None,
        mode: Mode::Commit,
    };
    assembly::block_on(async { publisher.publish(request, Arc::new(Silent)).await })
        .expect("a runtime")
        .expect("a publish");
}

fn serve(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a working directory");
    let origin = Running::start(folder.path());
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
