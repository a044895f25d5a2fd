//! How fast does a publish take files in, durably, and what does each file cost beside its bytes?
//!
//! One large file shows the rate of reading, hashing, writing and syncing; a tree of small ones shows the price of a
//! file. `cargo bench --bench versus -- --publish` compares the same with `sha256sum` and `cp`.

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]
#![expect(
    clippy::expect_used,
    reason = "a bench that cannot set up its input measures nothing"
)]

#[path = "support/sample.rs"]
mod sample;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use headwater::model::{Product, ReleaseId, Version};
use headwater::publish::{Mode, PublishRequest, PublishState, Publisher, Silent};
use headwater::store::disk::DirectoryStore;
use jiff::Timestamp;
use tokio::runtime::Runtime;

/// What is published: so many files of so many bytes.
const INPUTS: [(&str, u64, u64); 3] = [
    ("1 file of 64 MiB", 1, 64 << 20),
    ("16 files of 4 MiB", 16, 4 << 20),
    ("500 files of 4 KiB", 500, 4 << 10),
];

/// Publishes `input` into a new store and says how long that took.
fn publish(runtime: &Runtime, input: &Path) -> Duration {
    let folder = scratch();
    let store = DirectoryStore::init(folder.path().join("store")).expect("a new store");
    let publisher = Publisher::new(Arc::new(store), Arc::new(|| Timestamp::UNIX_EPOCH));
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
    let started = Instant::now();
    let outcome = runtime.block_on(publisher.publish(request, Arc::new(Silent)));
    let took = started.elapsed();
    assert_eq!(outcome.expect("a publish").state, PublishState::Published);
    took
}

/// A folder on the disk that the repository is on: a tmpfs has nothing to sync.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a working directory")
}

fn ingest(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("ingest");
    group.sampling_mode(SamplingMode::Flat);
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(5));
    for (name, files, bytes) in INPUTS {
        let folder = scratch();
        for file in 0..files {
            let path = folder.path().join(format!("{file}.bin"));
            sample::write_file(&path, bytes, file).expect("an input file");
        }
        group.throughput(Throughput::Bytes(files * bytes));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| (0..count).map(|_| publish(&runtime, folder.path())).sum());
        });
    }
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
