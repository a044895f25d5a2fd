//! Ranges, conditions, methods, compression: what a viewer may ask for.
//!
//! Owns E-7, E-11 and E-14 on the wire. Never breaks a fill off: `fills.rs` does.

use std::io::Read as _;

use headwater::edge::policy::limits::Limits;
use headwater::edge::policy::spans::FillRange;
use http::StatusCode;

use super::rig::{MIB, Origin, Setup, honest, pattern, raw, reply, whole};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_fetched_in_aligned_blocks_and_then_hit() {
    // T30, T32.
    let body = pattern(3 * MIB + 100);
    let origin = Origin::start(honest(body.clone()));
    let mut setup = Setup::of(&origin);
    setup.cache.fill_range = FillRange::Aligned(MIB as u64);
    let edge = setup.start().await;
    let miss = edge.get_range("/a", "bytes=1048570-1048579").await;
    assert_eq!(
        (miss.status, miss.x_cache()),
        (StatusCode::PARTIAL_CONTENT, "Miss")
    );
    assert!(miss.body == body[MIB - 6..MIB + 4]);
    assert_eq!(
        miss.field("content-range"),
        Some("bytes 1048570-1048579/3145828")
    );
    let hit = edge.get_range("/a", "bytes=5-2097151").await;
    assert_eq!(
        (hit.status, hit.x_cache()),
        (StatusCode::PARTIAL_CONTENT, "Hit")
    );
    assert!(hit.body == body[5..2 * MIB]);
    let ranges: Vec<_> = origin
        .seen()
        .iter()
        .map(|seen| seen.field("range").unwrap().to_owned())
        .collect();
    assert_eq!(ranges, ["bytes=0-2097151"]);
    // The rest, and then all of it is here.
    let tail = edge.get_range("/a", "bytes=-50").await;
    assert!(tail.body == body[3 * MIB + 50..]);
    assert!(edge.get("/a").await.body == body);
    assert_eq!(edge.get("/a").await.x_cache(), "Hit");
    let stats = edge.stats();
    assert_eq!(stats.origin_bytes, body.len() as u64, "each byte came once");
    assert_eq!(
        stats.books.viewer_bytes,
        stats.books.hit_bytes + stats.books.fill_bytes
    );
    assert_eq!(
        usize::try_from(stats.books.origin_requests).unwrap(),
        origin.count()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_without_ranges_is_answered_whole_once() {
    // T33, T34: the one who asked gets all of it, later ranges are hits.
    let whole = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nabcde";
    let chunked = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    for answer in [whole, chunked] {
        let origin = Origin::start(move |_, stream| raw(stream, answer));
        let edge = Setup::of(&origin).start().await;
        let first = edge.get_range("/a", "bytes=1-2").await;
        assert_eq!(
            (first.status, first.body.as_slice()),
            (StatusCode::OK, &b"abcde"[..])
        );
        let later = edge.get_range("/a", "bytes=1-2").await;
        assert_eq!(
            (later.status, later.x_cache()),
            (StatusCode::PARTIAL_CONTENT, "Hit")
        );
        assert_eq!((later.body.as_slice(), origin.count()), (&b"bc"[..], 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_ranges_are_answered_in_parts_or_with_the_whole() {
    // T35, fact 32.
    let body = pattern(1000);
    for (range, is_parts) in [
        ("bytes=0-9,20-29", true),
        ("bytes=0-0,-1", true),
        ("bytes=20-29,0-9", false),
        ("bytes=0-9,5-14", false),
        ("bytes=0-9,2000-", false),
        ("bytes=0-9,x", false),
    ] {
        for warm in [false, true] {
            let origin = Origin::start(honest(body.clone()));
            let edge = Setup::of(&origin).start().await;
            if warm {
                edge.get("/a").await;
            }
            let answer = edge.get_range("/a", range).await;
            if !is_parts {
                assert_eq!(answer.status, StatusCode::OK, "{range}");
                assert!(answer.body == body, "{range}");
                continue;
            }
            assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range}");
            let content_type = answer.field("content-type").unwrap().to_owned();
            let boundary = content_type
                .strip_prefix("multipart/byteranges; boundary=")
                .unwrap();
            let mut expected = Vec::new();
            for (first, last) in if range.contains("20") {
                [(0, 9), (20, 29)]
            } else {
                [(0, 0), (999, 999)]
            } {
                let lead = if first == 0 { "" } else { "\r\n" };
                let preamble = format!(
                    "{lead}--{boundary}\r\nContent-Type: a/b\r\nContent-Range: bytes {first}-{last}/1000\r\n\r\n"
                );
                expected.extend_from_slice(preamble.as_bytes());
                expected.extend_from_slice(&body[first..=last]);
            }
            expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
            assert!(answer.body == expected, "{range}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_beyond_the_end_is_416_from_the_cache_and_from_the_origin() {
    // T36.
    for warm in [false, true] {
        let origin = Origin::start(honest(pattern(100)));
        let edge = Setup::of(&origin).start().await;
        if warm {
            edge.get("/a").await;
        }
        let answer = edge.get_range("/a", "bytes=100-").await;
        assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE, "{warm}");
        assert_eq!(answer.field("content-range"), Some("bytes */100"), "{warm}");
        assert_eq!(origin.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_between_two_parts_drops_the_first() {
    // T37.
    let old = pattern(1000);
    let origin = Origin::start(honest(old.clone()));
    let edge = Setup::of(&origin).start().await;
    edge.get_range("/a", "bytes=0-499").await;
    let new: Vec<u8> = old.iter().map(|byte| !byte).collect();
    origin.now({
        let new = new.clone();
        move |seen, stream| {
            let (first, last) = super::rig::range_of(seen, 1000).unwrap();
            let fields = format!(
                "ETag: \"v2\"\r\nCache-Control: max-age=60\r\nContent-Range: bytes {first}-{last}/1000\r\n"
            );
            reply(stream, "206 Partial Content", &fields, &new[first..=last])
        }
    });
    let whole = edge.get_range("/a", "bytes=0-999").await;
    assert_eq!(whole.status, StatusCode::PARTIAL_CONTENT);
    assert!(
        whole.body == new,
        "no byte of the old version beside the new ones"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn if_range_that_does_not_match_gets_the_whole() {
    // T40.
    let body = pattern(1000);
    let origin = Origin::start(honest(body.clone()));
    let edge = Setup::of(&origin).start().await;
    edge.get("/a").await;
    for (tag, status, len) in [
        ("\"v1\"", StatusCode::PARTIAL_CONTENT, 10),
        ("\"v2\"", StatusCode::OK, 1000),
        ("W/\"v1\"", StatusCode::OK, 1000),
    ] {
        let fields = [("range", "bytes=0-9"), ("if-range", tag)];
        let answer = edge.ask("GET", "/a", &fields).await;
        assert_eq!((answer.status, answer.body.len()), (status, len), "{tag}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_has_the_object_is_told_so_by_the_edge() {
    let fields = "ETag: \"v1\"\r\nCache-Control: max-age=60\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let origin = Origin::start(move |_, stream| reply(stream, "200 OK", fields, b"body"));
    let edge = Setup::of(&origin).start().await;
    edge.get("/a").await;
    for (name, value, status) in [
        ("if-none-match", "\"v1\"", 304),
        ("if-none-match", "\"x\", W/\"v1\"", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"v2\"", 200),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT", 304),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("if-modified-since", "yesterday", 200),
        ("if-match", "\"v1\"", 200),
        ("if-match", "W/\"v1\"", 412),
        ("if-match", "\"v2\"", 412),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT", 412),
    ] {
        let answer = edge.ask("GET", "/a", &[(name, value)]).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {value}");
        assert_eq!(answer.body.is_empty(), status != 200, "{name}: {value}");
        let x_cache = if status == 412 { "Error" } else { "Hit" };
        assert_eq!(answer.x_cache(), x_cache, "{name}: {value}");
        assert_eq!(answer.field("etag"), Some("\"v1\""), "{name}: {value}");
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_is_answered_from_a_kept_get_and_else_asked_as_head() {
    let origin = Origin::start(|seen, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=60\r\n\r\n";
        raw(stream, head) && (seen.method == "HEAD" || raw(stream, "body"))
    });
    let edge = Setup::of(&origin).start().await;
    let miss = edge.ask("HEAD", "/a", &[]).await;
    assert_eq!(
        (miss.x_cache(), miss.field("content-length")),
        ("Miss", Some("4"))
    );
    assert_eq!(edge.get("/a").await.x_cache(), "Miss");
    let hit = edge.ask("HEAD", "/a", &[]).await;
    assert_eq!(
        (hit.x_cache(), hit.field("content-length")),
        ("Hit", Some("4"))
    );
    let methods: Vec<_> = origin.seen().into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, ["HEAD", "GET"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_methods_go_to_the_origin_with_their_body_and_are_never_kept() {
    let origin = Origin::start(|seen, stream| {
        let said = format!(
            "{} {}",
            seen.method,
            seen.field("content-length").unwrap_or("-")
        );
        reply(
            stream,
            "200 OK",
            "Cache-Control: max-age=60\r\n",
            said.as_bytes(),
        )
    });
    let edge = Setup::of(&origin).start().await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for _ in 0..2 {
            let answer = whole(edge.send(method, "/a", &[], b"hello").await).await;
            assert_eq!(answer.body, format!("{method} 5").as_bytes());
            assert_eq!(answer.x_cache(), "Miss");
        }
    }
    assert_eq!(origin.count(), 8);
    assert_eq!(edge.stats().books.last_layer_misses, 8);
    let refused = edge.send("GET", "/a", &[], b"body").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "fact 24");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_compressed_once_for_each_encoding() {
    // T54 to T57.
    let text = "the same words again and again. ".repeat(1000);
    let fields = "Content-Type: application/json\r\nCache-Control: max-age=60\r\nETag: \"v1\"\r\n";
    let origin = Origin::start({
        let text = text.clone();
        move |_, stream| reply(stream, "200 OK", fields, text.as_bytes())
    });
    let mut setup = Setup::of(&origin);
    setup.behaviour.compress = true;
    setup.behaviour.cache.key.gzip = true;
    setup.behaviour.cache.key.brotli = true;
    let edge = setup.start().await;
    for x_cache in ["Miss", "Hit"] {
        let gzip = edge.ask("GET", "/a", &[("accept-encoding", "gzip")]).await;
        assert_eq!(gzip.x_cache(), x_cache);
        assert_eq!(gzip.field("content-encoding"), Some("gzip"));
        assert_eq!(gzip.field("etag"), Some("W/\"v1\""));
        assert!(gzip.body.len() < 1000);
        let mut unpacked = String::new();
        let mut decoder = flate2::read::GzDecoder::new(gzip.body.as_slice());
        decoder.read_to_string(&mut unpacked).unwrap();
        assert!(unpacked == text);
        let brotli = edge
            .ask("GET", "/a", &[("accept-encoding", "gzip, br")])
            .await;
        assert_eq!(
            (brotli.x_cache(), brotli.field("content-encoding")),
            (x_cache, Some("br"))
        );
        let mut unpacked = Vec::new();
        brotli::BrotliDecompress(&mut brotli.body.as_slice(), &mut unpacked).unwrap();
        assert!(unpacked == text.as_bytes());
        let identity = edge.get("/a").await;
        assert_eq!(
            (identity.x_cache(), identity.field("content-encoding")),
            (x_cache, None)
        );
        assert!(identity.body == text.as_bytes());
    }
    assert_eq!(origin.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_above_the_quota_are_refused() {
    // T63.
    let origin = Origin::start(honest(b"x".to_vec()));
    let mut setup = Setup::of(&origin);
    setup.limits = Limits {
        requests_per_second: 3,
        ..Limits::default()
    };
    let edge = setup.start().await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(edge.get("/a").await.x_cache().to_owned());
    }
    assert_eq!(seen, ["Miss", "Hit", "Hit", "LimitExceeded"]);
    edge.later(std::time::Duration::from_secs(1));
    assert_eq!(edge.get("/a").await.x_cache(), "Hit");
}
