//! `serve --store s3://…`: what an origin asks of the bucket, what it keeps, and that two origins are one.
//!
//! The bucket is in this process and records every request, so that a test can say that something was fetched once.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::cli;
use crate::harness::fixture::{self, CHANNEL, PIECE};
use crate::harness::origin::{Origin, Setup};
use crate::harness::s3::S3Server;
use crate::harness::wire::{Conn, Response};
use crate::harness::{PATIENCE, poll, proc};
use crate::lifecycle_records::metrics;

/// Where the store begins in the bucket.
pub const PREFIX: &str = "store";

/// A few blocks and a rest.
pub const BIG_BYTES: usize = 5 * PIECE + 123;

/// The URL of an artifact.
pub fn url(version: &str, name: &str) -> String {
    format!("/artifacts/agent/{version}/{name}")
}

/// Publishes files as a version of `agent`, channel `stable`.
#[track_caller]
pub fn publish(server: &S3Server, version: &str, files: &[(&str, &[u8])]) {
    let input = tempfile::tempdir().unwrap();
    for (name, body) in files {
        std::fs::write(input.path().join(name), body).unwrap();
    }
    let store = server.store_url(PREFIX);
    let mut command = cli::command(["publish", "agent", version, "--channel", "stable"]);
    command.arg(input.path()).arg("--store").arg(store);
    let output = command.envs(server.environment()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A bucket with one release of a `big` artifact and a `small` one.
pub fn bucket() -> S3Server {
    let server = S3Server::start();
    publish(&server, "1.0.0", &[("big", &big()), ("small", b"hello")]);
    server
}

/// The bytes of `big`.
pub fn big() -> Vec<u8> {
    fixture::bytes(11, BIG_BYTES)
}

/// The configuration of an origin with this cache.
pub fn config(cache: &str) -> String {
    format!("[server]\ndrain_delay = \"0s\"\n[cache]\n{cache}\n")
}

/// The lines of a cache on disk.
pub fn on_disk(folder: &Path) -> String {
    let path = folder.join("cache");
    format!(
        "disk_path = {:?}\ndisk_bytes = 268435456\nmemory_bytes = 67108864",
        path.to_str().unwrap()
    )
}

/// An origin over the server, with this cache.
#[track_caller]
fn origin(server: &S3Server, cache: &str) -> Origin {
    Setup::new()
        .config(&config(cache))
        .bucket(&server.store_url(PREFIX), server.environment())
        .start()
}

/// What was read of objects whose key ends in `name`, as ranges on the wire.
fn ranges(server: &S3Server, name: &str) -> Vec<String> {
    let asked = server.asked();
    let reads = asked
        .iter()
        .filter(|one| one.operation == "GetObject" && one.key.ends_with(name));
    reads
        .map(|one| one.range.clone().unwrap_or_default())
        .collect()
}

#[test]
fn any_range_is_served_without_fetching_the_rest() {
    let (server, big) = (bucket(), big());
    let origin = origin(&server, "read_ahead_blocks = 0");
    server.forget();
    let at = 2 * PIECE + 1000;
    let fields = format!("Range: bytes={at}-{}\r\n", at + 99);
    let part = origin.get(&url("1.0.0", "big"), &fields);
    assert_eq!((part.status, &*part.body), (206, &big[at..at + 100]));
    let third = format!("bytes={}-{}", 2 * PIECE, 3 * PIECE - 1);
    assert_eq!(ranges(&server, "/big"), [third]);
    let fetched = metrics(&origin)["headwater_block_fetched_bytes_total"];
    assert!((fetched - 4_194_304.0).abs() < 0.5, "{fetched}");
    // Parts that end in one block and begin in another, and the last byte.
    let last = BIG_BYTES - 1;
    let fields = format!(
        "Range: bytes=0-9,{}-{},{last}-\r\n",
        PIECE - 5,
        2 * PIECE + 4
    );
    let parts = origin.get(&url("1.0.0", "big"), &fields);
    assert_eq!(parts.status, 206);
    for part in [&big[..10], &big[PIECE - 5..2 * PIECE + 5], &big[last..]] {
        assert!(parts.body.windows(part.len()).any(|window| window == part));
    }
    let whole = origin.get(&url("1.0.0", "big"), "");
    assert!(whole.status == 200 && whole.body == big);
    assert_eq!(
        ranges(&server, "/big").len(),
        BIG_BYTES.div_ceil(PIECE),
        "each block once"
    );
}

#[test]
fn fifty_requests_at_once_fetch_a_block_once() {
    let (server, big) = (bucket(), big());
    let origin = origin(&server, "read_ahead_blocks = 0");
    server.forget();
    let start = Barrier::new(50);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let mut conn = origin.connect();
                start.wait();
                let part = conn.get(&url("1.0.0", "big"), "Range: bytes=100-5000\r\n");
                assert!(part.status == 206 && part.body == big[100..=5000]);
            });
        }
    });
    assert_eq!(ranges(&server, "/big").len(), 1);
    assert_eq!(server.count("HeadObject"), heads_of_others(&server) + 1);
}

/// Looks at other objects than `big`: whether the release was retired.
fn heads_of_others(server: &S3Server) -> usize {
    let asked = server.asked();
    let heads = asked.iter().filter(|one| one.operation == "HeadObject");
    heads.filter(|one| !one.key.ends_with("/big")).count()
}

/// A body that is text.
pub fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}

/// What two answers must have in common.
fn face(response: &Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut fields = response.fields.clone();
    fields.retain(|(name, _)| name != "date");
    fields.sort();
    (response.status, fields, response.body.clone())
}

#[test]
fn two_origins_on_one_bucket_answer_alike() {
    let server = bucket();
    let (one, two) = (origin(&server, ""), origin(&server, ""));
    let etag = one.get(&url("1.0.0", "big"), "").need("etag").to_owned();
    let (big, small) = (url("1.0.0", "big"), url("1.0.0", "small"));
    let (document, latest) = (
        url("1.0.0", "release.json"),
        "/channels/agent/stable/big".to_owned(),
    );
    let rows = [
        ("GET", &big, String::new()),
        ("HEAD", &big, String::new()),
        ("GET", &big, "Range: bytes=4194300-4194310\r\n".into()),
        ("GET", &big, "Range: bytes=0-1,9-12,-5\r\n".into()),
        ("GET", &big, "Range: bytes=99999999999-\r\n".into()),
        ("GET", &big, format!("If-None-Match: {etag}\r\n")),
        ("GET", &small, String::new()),
        ("HEAD", &small, String::new()),
        ("GET", &document, String::new()),
        ("GET", &CHANNEL.to_owned(), String::new()),
        ("GET", &latest, String::new()),
        ("GET", &url("1.0.0", "none"), String::new()),
    ];
    for (method, target, fields) in rows {
        let answers = [&one, &two].map(|origin| face(&origin.request(method, target, &fields)));
        assert!(
            answers[0] == answers[1],
            "{method} {target} {fields}: {:?} {:?}",
            answers[0].1,
            answers[1].1
        );
    }
}

#[test]
fn a_release_that_a_third_process_publishes_is_on_both_within_two_seconds() {
    let server = bucket();
    let origins = [origin(&server, ""), origin(&server, "")];
    for origin in &origins {
        assert!(text(&origin.get(CHANNEL, "")).contains("1.0.0"));
        assert_eq!(origin.get(&url("2.0.0", "small"), "").status, 404);
    }
    publish(&server, "2.0.0", &[("small", b"hello again")]);
    let published = Instant::now();
    for origin in &origins {
        poll(PATIENCE, "the new release", || {
            let is_current = text(&origin.get(CHANNEL, "")).contains("2.0.0");
            let is_there = origin.get(&url("2.0.0", "small"), "").body == b"hello again";
            (is_current && is_there).then_some(())
        });
    }
    let took = published.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn after_a_restart_blocks_come_from_disk_also_while_the_bucket_is_away() {
    let (server, big) = (bucket(), big());
    let proxy = crate::harness::fault::FaultProxy::before(server.address());
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Setup::new()
            .config(&config(&on_disk(folder.path())))
            .bucket(&server.store_url(PREFIX), proxy.environment())
            .start()
    };
    let first = start();
    assert!(first.get(&url("1.0.0", "big"), "").body == big);
    first.terminate();
    assert!(first.await_exit(PATIENCE).success());
    drop(first);
    let second = start();
    assert_eq!(second.get(&url("1.0.0", "release.json"), "").status, 200);
    proxy.refuse();
    server.forget();
    let whole = second.get(&url("1.0.0", "big"), "");
    assert!(whole.status == 200 && whole.body == big);
    assert_eq!(server.asked().len(), 0);
    let hits = metrics(&second)["headwater_block_hits_total{near=\"disk\"}"];
    assert!(hits >= 5.0, "{hits}");
}

/// How many of the cache's files have been written to. Their room is taken at the start, so that it says nothing; but
/// nothing in a block of a test is zero for long.
fn written_files(folder: &Path) -> usize {
    let is_written = |path: &Path| {
        let mut page = [0; 4096];
        let read = File::open(path).and_then(|file| file.read_at(&mut page, 2 * 4096));
        read.is_ok() && page != [0; 4096]
    };
    let below = |path: PathBuf| {
        if path.is_dir() {
            written_files(&path)
        } else {
            usize::from(is_written(&path))
        }
    };
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| below(entry.unwrap().path())).sum()
}

#[test]
fn an_origin_that_is_killed_keeps_what_had_reached_the_disk() {
    let (server, big) = (bucket(), big());
    let folder = tempfile::tempdir().unwrap();
    let first = origin(&server, &on_disk(folder.path()));
    assert!(first.get(&url("1.0.0", "big"), "").body == big);
    // One file after the other: the first of two is whole.
    poll(PATIENCE, "blocks reach the disk", || {
        (written_files(folder.path()) >= 2).then_some(())
    });
    first.signal(Signal::KILL);
    first.await_exit(PATIENCE);
    drop(first);
    let second = origin(&server, &on_disk(folder.path()));
    let whole = second.get(&url("1.0.0", "big"), "");
    assert!(whole.status == 200 && whole.body == big);
    let hits = metrics(&second)["headwater_block_hits_total{near=\"disk\"}"];
    assert!(hits >= 1.0, "{hits}");
}

#[test]
fn a_cache_folder_that_another_process_uses_is_refused_by_name() {
    let server = bucket();
    let folder = tempfile::tempdir().unwrap();
    let first = origin(&server, &on_disk(folder.path()));
    let config_file = folder.path().join("origin.toml");
    std::fs::write(&config_file, config(&on_disk(folder.path()))).unwrap();
    let mut second = cli::command(["serve", "--listen", "127.0.0.1:0", "--admin"]);
    second.args(["127.0.0.1:0", "--config"]).arg(&config_file);
    second.args(["--store", &server.store_url(PREFIX)]);
    let output = second.envs(server.environment()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    for words in ["cache.disk_path", "another process", "folder of its own"] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    first.assert_alive();
}

/// Distinct blocks that downloads are in, far more than the memory for blocks holds.
const SLOW_BLOCKS: usize = 48;

#[test]
fn a_thousand_slow_readers_hold_no_more_memory_than_the_budget() {
    let server = S3Server::start();
    let body = fixture::bytes(12, SLOW_BLOCKS * PIECE);
    publish(&server, "1.0.0", &[("huge", &body)]);
    let folder = tempfile::tempdir().unwrap();
    let cache = on_disk(folder.path()).replace("67108864", "33554432\nread_ahead_blocks = 2");
    // They read next to nothing, and the machine may be busy.
    let cache = cache + "\n[limits]\nwrite_stall_timeout = \"600s\"";
    let origin = origin(&server, &cache);
    assert!(proc::raise_descriptor_limit(4096));
    let mut readers = Vec::new();
    for number in 0..1000 {
        // Neighbours share a block: in turn they would turn out each other's, which is slow and shows no more.
        let from = number * SLOW_BLOCKS / 1000 * PIECE + number;
        let mut conn = Conn::open_narrow(origin.data, 4096);
        conn.send(format!(
            "GET {} HTTP/1.1\r\nHost: x\r\nRange: bytes={from}-\r\n\r\n",
            url("1.0.0", "huge")
        ));
        assert_eq!(conn.head().status, 206);
        readers.push((conn, from));
        let memory = proc::anonymous_bytes(origin.pid());
        assert!(memory < SLOW_BYTES_MAX, "{memory} with {number} readers");
    }
    // Each takes some, so that each asks for its block again, and gets the right bytes.
    for (conn, from) in &mut readers {
        let mut at = *from;
        let outcome = conn.drain_body(20_000, |bytes| {
            assert!(bytes == &body[at..at + bytes.len()]);
            at += bytes.len();
        });
        assert_eq!(outcome, Ok(()));
    }
    let memory = proc::anonymous_bytes(origin.pid());
    assert!(memory < SLOW_BYTES_MAX, "{memory}");
}

/// The budget of 32 MiB, as much again for blocks on their way, and for those on their way to the disk; far below the
/// 192 MiB that a thousand readers would hold together.
const SLOW_BYTES_MAX: u64 = 160 << 20;
