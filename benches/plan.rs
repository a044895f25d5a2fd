//! What does the protocol cost: from the bytes of a request to the status and the header fields of its answer?
//!
//! nginx needs some fifteen microseconds of a core for a whole 1 KiB request, nearly all of them in the kernel. The
//! pure part here has to stay a small share of that, for the plainest request as for the strangest.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a bench whose input is wrong measures nothing"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use headwater::http::{
    Description, HeadLimits, Inspection, Reply, Representation, inspect, plan, reply,
};
use headwater::model::{Digest, Lifetime};
use jiff::Timestamp;

/// The most ranges that one request may have here; above what the largest case asks for.
const RANGES_MAX: usize = 1024;

/// Every limit well above what the cases need, so that none of them decides.
const LIMITS: HeadLimits = HeadLimits {
    head_bytes_max: 64 << 10,
    fields_max: 128,
    uri_bytes_max: 8000,
};

/// An artifact of 256 MiB.
fn artifact() -> Representation {
    Representation::new(&Description {
        len: 256 << 20,
        sha256: Digest::of(b"an artifact"),
        last_modified: Timestamp::UNIX_EPOCH,
        content_type: "application/octet-stream",
        cache_control: "public, max-age=31536000, immutable",
        cache_tag: Some(("cache-tag", "product:agent,release:agent/1.4.2")),
        lifetime: Lifetime::Immutable,
    })
    .expect("a legal description")
}

/// Requests by name, each with the status of its answer.
fn requests() -> Vec<(&'static str, u16, Vec<u8>)> {
    let with = |fields: &str| {
        format!(
            "GET /artifacts/agent/1.4.2/agent-linux-x86_64.tar.zst HTTP/1.1\r\nHost: d111111abcdef8.cloudfront.net\r\n\
             User-Agent: Amazon CloudFront\r\nVia: 2.0 3af7e8.cloudfront.net (CloudFront)\r\n\
             X-Amz-Cf-Id: 8Kk1Rq2LtX5v9bTz0mH3cWq7\r\nX-Forwarded-For: 192.0.2.7\r\nAccept-Encoding: identity\r\n\
             Connection: Keep-Alive\r\n{fields}\r\n"
        )
        .into_bytes()
    };
    let etag = Digest::of(b"an artifact");
    let mut thousand = "Range: bytes=0-99".to_owned();
    for part in 1..1000_u32 {
        let first = part * 1000;
        write!(thousand, ",{first}-{}", first + 99).expect("a String takes everything");
    }
    thousand.push_str("\r\n");
    let conditional = format!(
        "If-None-Match: \"{etag}\"\r\nIf-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    );
    let resumed = format!("Range: bytes=134217728-\r\nIf-Range: \"{etag}\"\r\n");
    vec![
        ("whole", 200, with("")),
        ("revalidation", 304, with(&conditional)),
        ("resumed download", 206, with(&resumed)),
        ("a thousand ranges", 206, with(&thousand)),
        ("outside", 416, with("Range: bytes=268435456-\r\n")),
    ]
}

fn answer(request: &[u8], object: &Representation) -> Reply {
    match inspect(request, &LIMITS, None) {
        Inspection::Complete { head, .. } => reply(&plan(&head, object, RANGES_MAX), object),
        other => panic!("not a request: {other:?}"),
    }
}

fn decide(criterion: &mut Criterion) {
    let object = artifact();
    let mut group = criterion.benchmark_group("plan");
    group.throughput(Throughput::Elements(1));
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(2));
    for (name, status, request) in requests() {
        assert_eq!(answer(&request, &object).status.as_u16(), status, "{name}");
        group.bench_with_input(
            BenchmarkId::from_parameter(name),
            &request,
            |bencher, request| {
                bencher.iter(|| answer(black_box(request), &object));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
