//! A crowd that asks for anything at once and breaks off anywhere.
//!
//! Owns what must hold whatever happens: right bytes, no request that hangs, counters that agree with both sides. Never
//! looks at a single outcome: the other files do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headwater::edge::policy::cache::LeaderAbort;
use headwater::edge::policy::spans::FillRange;
use http::StatusCode;
use http_body_util::BodyExt as _;
use rand::Rng as _;
use rand_pcg::Pcg64Mcg;

use super::rig::{Edge, MIB, Origin, Setup, honest, pattern, until};

const BYTES: usize = 3 * MIB;

/// One viewer: the whole or a range of one of four objects at one of three POPs; one in five breaks off.
async fn viewer(edge: Arc<Edge>, body: Arc<Vec<u8>>, seed: u64, whole_bytes: Arc<AtomicU64>) {
    let mut rng = Pcg64Mcg::new(u128::from(seed));
    let path = format!("/{}", rng.random_range(0..4));
    let pop = rng.random_range(0..3).to_string();
    let (first, last) = (rng.random_range(0..BYTES), rng.random_range(0..BYTES));
    let (first, last) = (first.min(last), first.max(last));
    let range = format!("bytes={first}-{last}");
    let mut fields = vec![("x-edge-pop", pop.as_str())];
    let is_range = rng.random_bool(0.5);
    if is_range {
        fields.push(("range", range.as_str()));
    }
    let mut response = edge.open("GET", &path, &fields).await;
    let expected = match response.status() {
        StatusCode::PARTIAL_CONTENT => &body[first..=last],
        StatusCode::OK => &body[..],
        status => panic!("{status} for {path} {fields:?}"),
    };
    let breaks_off = rng.random_bool(0.2).then(|| rng.random_range(0..BYTES));
    let mut came = 0;
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.unwrap().into_data().unwrap();
        assert!(
            expected[came..].starts_with(&frame),
            "{path} {range} at {came}"
        );
        came += frame.len();
        if breaks_off.is_some_and(|at| came >= at) {
            return;
        }
    }
    assert_eq!(came, expected.len());
    whole_bytes.fetch_add(came as u64, Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_crowd_does_everyone_gets_the_right_bytes_and_nothing_is_lost() {
    for (abort, fill_range, memory_object_max) in [
        (LeaderAbort::Discard, FillRange::Exact, 64 * MIB),
        (
            LeaderAbort::ContinueForFollowers,
            FillRange::Aligned(MIB as u64),
            MIB,
        ),
        (
            LeaderAbort::Continue,
            FillRange::Aligned(100_000),
            64 * 1024,
        ),
    ] {
        let body = Arc::new(pattern(BYTES));
        let origin = Origin::start(honest(body.to_vec()));
        let mut setup = Setup::of(&origin);
        setup.topology.pops = 3;
        setup.topology.shield = Some("eu-central-1".to_owned());
        setup.cache.leader_abort = abort;
        setup.cache.fill_range = fill_range;
        setup.cache.capacity = 3 * BYTES as u64; // less than there is: objects leave while they are read
        setup.memory_object_max = memory_object_max as u64;
        setup.memory_max = 8 * MIB as u64;
        let edge = Arc::new(setup.start().await);
        let whole_bytes = Arc::new(AtomicU64::new(0));
        for round in 0..4 {
            let viewers: Vec<_> = (0..40)
                .map(|nth| {
                    let seed = round * 1000 + nth;
                    let (edge, body) = (Arc::clone(&edge), Arc::clone(&body));
                    tokio::spawn(viewer(edge, body, seed, Arc::clone(&whole_bytes)))
                })
                .collect();
            for viewer in viewers {
                viewer.await.unwrap();
            }
            edge.later(Duration::from_secs(40)); // every other round finds stale objects
        }
        until("every fill has ended", || {
            edge.engine.fills_in_flight() == 0
        })
        .await;
        let stats = edge.stats();
        assert_eq!(stats.viewer_requests, 160, "{abort:?}");
        stats.books.check().unwrap();
        assert!(stats.books.viewer_bytes >= whole_bytes.load(Ordering::Relaxed));
        // One that nobody waits for any more may be dropped on its way to the connection, or be counted there late.
        let (asked, seen) = (stats.books.origin_requests, origin.count() as u64);
        let answered = asked - stats.books.origin_unanswered;
        assert!(
            (answered..=asked).contains(&seen),
            "{abort:?}: {seen} of {asked}, {answered} answered"
        );
        assert!(edge.engine.memory_bytes() <= 9 * MIB as u64, "{abort:?}");
    }
}
