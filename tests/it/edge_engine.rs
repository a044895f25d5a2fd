//! The running edge in this process: real sockets on both sides, a clock moved by hand.
//!
//! What is looked at is what can be seen from outside: bytes and fields at the viewer, requests at the origin, and that the
//! engine's own counters agree with both.

mod rig;

use std::time::Duration;

use http::StatusCode;
use rig::{MIB, Origin, Setup, honest, pattern};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_request_is_a_hit_with_an_age_and_the_same_bytes() {
    for len in [0, 1, 1000, 3 * MIB] {
        let body = pattern(len);
        let origin = Origin::start(honest(body.clone()));
        let edge = Setup::of(&origin).start().await;
        let first = edge.get("/a").await;
        edge.later(Duration::from_secs(7));
        let second = edge.get("/a").await;
        assert_eq!(first.status, StatusCode::OK);
        assert_eq!((first.x_cache(), first.field("age")), ("Miss", None));
        assert_eq!((second.x_cache(), second.field("age")), ("Hit", Some("7")));
        assert!(first.body == body && second.body == body, "{len}");
        assert_eq!(second.field("etag"), Some("\"v1\""));
        assert_eq!(origin.count(), 1);
        let stats = edge.stats();
        let len = len as u64;
        assert_eq!((stats.hit_bytes, stats.fill_bytes), (len, len));
        assert_eq!((stats.viewer_bytes, stats.origin_bytes), (2 * len, len));
        assert_eq!((stats.origin_requests, stats.last_layer_misses), (1, 1));
    }
}
