//! R23 and the store under a running origin: damage, replacement, truncation, disappearance, new releases.
//!
//! A body is right or it breaks; it is never padded, never a mixture, never complete and wrong.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::fixture::{self, BASE, CHANNEL};
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::wire::{Broken, Conn, Drained};
use crate::harness::{PATIENCE, poll};

/// What a device may be kept waiting for after a commit.
const VISIBLE_WITHIN: Duration = Duration::from_secs(1);

/// Asks again and again; a question that is asked after the time is over has to be answered with what is new, however
/// late a busy machine asks it.
#[track_caller]
fn await_visible<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        let is_last = start.elapsed() > VISIBLE_WITHIN;
        if let Some(found) = look() {
            return found;
        }
        assert!(!is_last, "not within {VISIBLE_WITHIN:?}: {what}");
        std::thread::sleep(Duration::from_millis(5)); // the origin needs the processor as well
    }
}

const BIG_BYTES: usize = 24 << 20;

fn store_with_big() -> (Arc<StoreDir>, Vec<u8>) {
    let big = fixture::bytes(23, BIG_BYTES);
    (
        StoreDir::with_files(&[("tiny", b"hello"), ("big", &big)]),
        big,
    )
}

/// A download of `big` of which the head was read; the rest is far more than the socket buffers hold.
#[track_caller]
fn begun(origin: &Origin) -> Conn {
    let mut conn = Conn::open_narrow(origin.data, 8 * 1024);
    conn.send(format!("GET {BASE}big HTTP/1.1\r\nHost: x\r\n\r\n"));
    conn
}

fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// Insists that `target` does not come whole: an error, or a broken connection whose bytes are a prefix of `right`.
#[track_caller]
fn assert_not_served_whole(origin: &Origin, target: &str, fields: &str, right: &[u8]) {
    let mut conn = origin.connect();
    conn.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    match conn.try_response("GET") {
        Ok(response) => {
            assert!(
                matches!(response.status, 404 | 500 | 503),
                "{target}: {response:?}"
            );
            let lifetime = response.need("cache-control");
            assert!(!lifetime.contains("immutable"), "{lifetime}");
        }
        Err(Broken::Cut {
            head: Some(_),
            body,
        }) => {
            assert!(
                right.starts_with(&body),
                "{target}: wrong bytes before the cut"
            );
        }
        Err(broken) => assert!(matches!(broken, Broken::Closed { .. }), "{broken}"),
    }
}

#[test]
fn a_file_replaced_during_a_download_changes_no_byte_of_it() {
    let (store, big) = store_with_big();
    let origin = Setup::new().store(&store).start();
    let mut conn = begun(&origin);
    let head = conn.head();
    let path = store.artifact("1.0.0", "big");
    let other = store.path().join("other");
    fs::write(&other, fixture::bytes(24, BIG_BYTES)).unwrap();
    fs::rename(&other, &path).unwrap();
    let mut received = Vec::new();
    let outcome = conn.drain_body(BIG_BYTES as u64, |bytes| received.extend_from_slice(bytes));
    assert_eq!(outcome, Ok(()));
    assert!(received == big, "bytes of another file");
    assert_eq!(head.need("etag"), fixture::etag(&big));
    conn.assert_usable();
}

#[test]
fn a_file_removed_during_a_download_is_delivered_whole() {
    let (store, big) = store_with_big();
    let origin = Setup::new().store(&store).start();
    let mut conn = begun(&origin);
    conn.head();
    fs::remove_file(store.artifact("1.0.0", "big")).unwrap();
    let mut received = Vec::new();
    let outcome = conn.drain_body(BIG_BYTES as u64, |bytes| received.extend_from_slice(bytes));
    assert_eq!(outcome, Ok(()));
    assert!(received == big);
}

#[test]
fn a_file_truncated_during_a_download_breaks_it_and_pads_nothing() {
    let (store, big) = store_with_big();
    let origin = Setup::new().threads(1).store(&store).start();
    let path = store.artifact("1.0.0", "big");
    make_writable(&path);
    // At a page border and inside of a page, where a mapping shows zeros instead of a fault.
    for len in [12 << 20, (8 << 20) + 1_234, 777] {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(0).unwrap();
        file.write_all_at(&big, 0).unwrap();
        let mut downloads: Vec<Conn> = (0..3).map(|_| begun(&origin)).collect();
        let heads: Vec<_> = downloads.iter_mut().map(Conn::head).collect();
        file.set_len(len).unwrap();
        for (conn, head) in downloads.iter_mut().zip(heads) {
            if head.status != 200 {
                // The origin may have noticed the earlier truncation and given the artifact up.
                assert!(matches!(head.status, 404 | 500 | 503), "{head:?}");
                continue;
            }
            let mut received = Vec::new();
            let outcome = conn.drain_body(BIG_BYTES as u64, |b| received.extend_from_slice(b));
            assert_eq!(
                outcome,
                Err(Drained::Ended),
                "{} bytes came",
                received.len()
            );
            assert!(big.starts_with(&received), "padded or torn at {len}");
        }
        assert_eq!(origin.get(&fixture::url("tiny"), "").body, b"hello");
    }
    assert_not_served_whole(&origin, &fixture::url("big"), "", &big);
    origin.assert_alive();
}

#[test]
fn a_file_that_is_too_short_from_the_start_is_never_served_whole() {
    let (store, big) = store_with_big();
    let path = store.artifact("1.0.0", "big");
    make_writable(&path);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    let origin = Setup::new().store(&store).start();
    for _ in 0..3 {
        assert_not_served_whole(&origin, &fixture::url("big"), "", &big);
    }
    assert_eq!(origin.get(&fixture::url("tiny"), "").body, b"hello");
    origin.assert_alive();
}

#[test]
fn a_flipped_byte_is_never_part_of_a_complete_body() {
    let (store, big) = store_with_big();
    for (name, at) in [("big", 9_000_000), ("tiny", 2)] {
        let path = store.artifact("1.0.0", name);
        make_writable(&path);
        let file = fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
    let origin = Setup::new().store(&store).start();
    for _ in 0..2 {
        assert_not_served_whole(&origin, &fixture::url("big"), "", &big);
        assert_not_served_whole(&origin, &fixture::url("tiny"), "", b"hello");
        let around = "Range: bytes=8999990-9000010\r\n";
        assert_not_served_whole(
            &origin,
            &fixture::url("big"),
            around,
            &big[8_999_990..9_000_011],
        );
    }
    assert_eq!(origin.get(&fixture::url("release.json"), "").status, 200);
    origin.assert_alive();
}

#[test]
fn a_broken_release_document_breaks_only_its_release() {
    let store = StoreDir::with_files(&[("tiny", b"hello")]);
    store.publish("1.1.0", &[("tiny", b"other")], None);
    let document = store.artifact("1.1.0", "release.json");
    make_writable(&document);
    let text = fs::read(&document).unwrap();
    let origin = Setup::new().store(&store).start();
    let cases: [&[u8]; 5] = [
        &text[..text.len() / 2],
        b"",
        b"null",
        b"{\"schema\":99}",
        &[0xff; 64],
    ];
    for broken in cases {
        fs::write(&document, broken).unwrap();
        for name in ["tiny", "release.json"] {
            let response = origin.get(&format!("/artifacts/agent/1.1.0/{name}"), "");
            assert!(matches!(response.status, 404 | 500 | 503), "{response:?}");
        }
        assert_eq!(origin.get(&fixture::url("tiny"), "").body, b"hello");
    }
    fs::write(&document, &text).unwrap();
    poll(PATIENCE, "the repaired release is served", || {
        let response = origin.get("/artifacts/agent/1.1.0/tiny", "");
        (response.body == b"other").then_some(())
    });
}

#[test]
fn while_the_store_is_gone_loaded_releases_are_served_and_readiness_says_so() {
    let store = StoreDir::with_files(&[("tiny", b"hello"), ("page", &fixture::bytes(2, 4096))]);
    let origin = Setup::new().store(&store).start();
    let tiny = fixture::url("tiny");
    assert_eq!(origin.get(&tiny, "").body, b"hello");
    assert_eq!(origin.get(CHANNEL, "").status, 200);
    assert_eq!(origin.admin_get("/readyz").status, 200);
    let gone = store.path().with_extension("gone");
    fs::rename(store.path(), &gone).unwrap();
    let unready = poll(PATIENCE, "/readyz notices", || {
        let response = origin.admin_get("/readyz");
        (response.status != 200).then_some(response)
    });
    assert_eq!(unready.status, 503);
    assert_eq!(
        origin.admin_get("/healthz").status,
        200,
        "alive, only not ready"
    );
    // Longer than any look at the store is believed.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        assert_eq!(origin.get(&tiny, "").body, b"hello");
        std::thread::sleep(Duration::from_millis(100));
    }
    for target in [
        CHANNEL,
        "/artifacts/agent/9.9.9/tiny",
        "/channels/agent/beta.json",
    ] {
        let response = origin.get(target, "");
        assert!(
            matches!(response.status, 200 | 404 | 500 | 503),
            "{target}: {response:?}"
        );
        if response.status >= 500 {
            assert_eq!(response.need("cache-control"), "no-store");
        }
    }
    fs::rename(&gone, store.path()).unwrap();
    poll(PATIENCE, "/readyz recovers", || {
        (origin.admin_get("/readyz").status == 200).then_some(())
    });
    assert_eq!(origin.get(CHANNEL, "").status, 200);
    assert_eq!(origin.get(&fixture::url("page"), "").status, 200);
    origin.assert_alive();
}

#[test]
fn a_new_release_and_a_moved_channel_are_visible_within_a_second() {
    let store = StoreDir::with_files(&[("tiny", b"one")]);
    let origin = Setup::new().store(&store).start();
    for n in 2..5 {
        let version = format!("{n}.0.0");
        let body = format!("body of {n}");
        let target = format!("/artifacts/agent/{version}/tiny");
        // Asked for before it is there, so that a remembered absence would show.
        assert_eq!(origin.get(&target, "").status, 404);
        assert_eq!(
            origin
                .get(&format!("/artifacts/agent/{version}/release.json"), "")
                .status,
            404
        );
        store.publish(&version, &[("tiny", body.as_bytes())], None);
        await_visible("the new release", || {
            (origin.get(&target, "").body == body.as_bytes()).then_some(())
        });
        store.commands().promote("agent", &version, "stable");
        await_visible("the moved channel", || {
            let document = origin.get(CHANNEL, "");
            let json: serde_json::Value = serde_json::from_slice(&document.body).ok()?;
            (json["release"]["version"] == version.as_str()).then_some(())
        });
        await_visible("the moved redirect", || {
            let redirect = origin.get("/channels/agent/stable/tiny", "");
            (redirect.field("location") == Some(&target)).then_some(())
        });
    }
    assert_eq!(origin.get("/channels/agent/beta.json", "").status, 404);
    store.commands().promote("agent", "1.0.0", "beta");
    await_visible("a new channel", || {
        (origin.get("/channels/agent/beta.json", "").status == 200).then_some(())
    });
}

#[test]
fn a_retired_release_is_gone_within_a_second_and_for_good() {
    let store = StoreDir::empty();
    let big = fixture::bytes(23, BIG_BYTES);
    store.publish("1.0.0", &[("tiny", b"hello"), ("big", &big)], None);
    store.publish("2.0.0", &[("tiny", b"newer")], Some("stable"));
    let origin = Setup::new().store(&store).start();
    let tiny = fixture::url("tiny");
    assert_eq!(origin.get(&tiny, "").body, b"hello");
    let mut running = begun(&origin);
    running.head();
    store.commands().retire("agent", "1.0.0");
    await_visible("the retired artifact is gone", || {
        (origin.get(&tiny, "").status == 404).then_some(())
    });
    let head = origin.request("HEAD", &tiny, "If-None-Match: *\r\n");
    assert_eq!(head.status, 404, "no 304 for what is gone");
    assert_eq!(head.need("cache-control"), "public, max-age=1");
    // Who had begun gets all of it.
    let mut received = Vec::new();
    let outcome = running.drain_body(BIG_BYTES as u64, |b| received.extend_from_slice(b));
    assert_eq!(outcome, Ok(()));
    assert!(received == big);
    assert_eq!(origin.get("/artifacts/agent/2.0.0/tiny", "").body, b"newer");
    let other = Setup::new().store(&store).start();
    assert_eq!(other.get(&tiny, "").status, 404);
}

#[test]
fn a_publish_that_did_not_commit_is_invisible() {
    let store = StoreDir::with_files(&[("tiny", b"hello")]);
    let half = store.artifact("1.1.0", "tiny");
    fs::create_dir_all(half.parent().unwrap()).unwrap();
    fs::write(&half, b"half").unwrap();
    let origin = Setup::new().store(&store).start();
    for name in ["tiny", "release.json"] {
        assert_eq!(
            origin
                .get(&format!("/artifacts/agent/1.1.0/{name}"), "")
                .status,
            404
        );
    }
}

#[test]
fn the_first_requests_to_a_fresh_origin_are_all_served() {
    let (store, big) = store_with_big();
    let origin = Setup::new().store(&store).start();
    let start = std::sync::Barrier::new(24);
    std::thread::scope(|scope| {
        for n in 0..24 {
            let (origin, start, big) = (&origin, &start, &big);
            scope.spawn(move || {
                let mut conn = origin.connect();
                start.wait();
                // The release is loaded, the artifact opened and checked for all of them at once.
                let tail = conn.get(&fixture::url("big"), "Range: bytes=-1000\r\n");
                assert_eq!(tail.status, 206, "request {n}");
                assert!(tail.body == big[BIG_BYTES - 1000..], "request {n}");
                assert_eq!(
                    conn.get(&fixture::url("tiny"), "").body,
                    b"hello",
                    "request {n}"
                );
            });
        }
    });
}

#[test]
fn a_rollback_is_news_to_who_has_seen_the_newer() {
    let store = StoreDir::with_files(&[("tiny", b"one")]);
    let origin = Setup::new().store(&store).start();
    let first = origin.get(CHANNEL, "");
    store.publish("2.0.0", &[("tiny", b"two")], Some("stable"));
    let seen = |version: &str| {
        await_visible(version, || {
            let document = origin.get(CHANNEL, "");
            let json: serde_json::Value = serde_json::from_slice(&document.body).ok()?;
            (json["release"]["version"] == version).then_some(document)
        })
    };
    let second = seen("2.0.0");
    store.commands().promote("agent", "1.0.0", "stable");
    let third = seen("1.0.0");
    // By tag and by date: the revision only grows, also when the release is an older one.
    assert_ne!(third.need("etag"), second.need("etag"));
    assert_ne!(third.need("etag"), first.need("etag"));
    let fields = format!("If-None-Match: {}\r\n", second.need("etag"));
    assert_eq!(origin.get(CHANNEL, &fields).status, 200);
}
