//! `edge` as a process in front of a real origin: what viewers see, the limits, the drain.
//!
//! Owns the process that `edge_api` and `edge_log` drive too. What the caches decide is tested where they are; here each layer of the
//! executable is shown to be there. Every edge has a private folder for temporary files, so that what it leaves is seen.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::cli_sandbox::{self, Sandbox, until};
use crate::harness::fixture::{self, CHANNEL};
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::wire::{self, Conn, Response};

/// "At once", on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// A running `headwater edge`; killed when dropped.
pub struct Edge {
    /// Where viewers connect.
    pub address: SocketAddr,
    sandbox: Sandbox,
    child: Child,
}

impl Edge {
    /// Starts it in front of an origin, with requests logged, and waits for its line.
    #[track_caller]
    pub fn start(origin: SocketAddr, config: &str, arguments: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("edge.toml", config);
        let url = format!("http://{origin}");
        let mut line = vec!["edge", "--listen", "127.0.0.1:0", "--origin", &url];
        line.extend(["--config", "edge.toml"]);
        if !arguments.contains(&"--json-log") {
            line.extend(["--json-log", "log"]);
        }
        line.extend(arguments);
        let mut child = sandbox
            .command(&line)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(sandbox.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        let said = std::fs::read_to_string(sandbox.path().join("stderr")).unwrap();
        let address = line
            .trim_end()
            .strip_prefix("listening on http://")
            .unwrap_or_else(|| panic!("{line}{said}"));
        Self {
            address: address.parse().unwrap(),
            sandbox,
            child,
        }
    }

    /// One GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str, fields: &str) -> Response {
        wire::get(self.address, target, fields)
    }

    /// The log, once it has so many lines.
    #[track_caller]
    pub fn log(&self, lines: usize) -> Vec<Value> {
        until("the log has its lines", || {
            let text = std::fs::read_to_string(self.sandbox.path().join("log")).ok()?;
            let found: Vec<Value> = text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap_or(Value::Null))
                .collect();
            assert!(found.len() <= lines, "{found:#?}");
            (found.len() == lines && text.ends_with('\n')).then_some(found)
        })
    }

    /// What it has said on standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.sandbox.path().join("stderr")).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        cli_sandbox::send(&self.child, signal);
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        cli_sandbox::wait(&mut self.child)
    }

    /// Everything below its folder for temporary files.
    fn leftovers(&self) -> Vec<String> {
        let left = std::fs::read_dir(self.sandbox.temporary()).unwrap();
        left.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }
}

impl Drop for Edge {
    #[expect(clippy::print_stderr, reason = "shown for failed tests only")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the edge said ---\n{}", self.said());
        }
    }
}

/// An edge with the built-in distribution.
pub fn in_front_of(origin: &Origin, arguments: &[&str]) -> Edge {
    Edge::start(origin.data, "", arguments)
}

#[track_caller]
fn x_cache(response: &Response) -> &str {
    response.need("x-cache")
}

/// How many requests for a path the origin has had. Its log is written behind its answers: a last request shows when all
/// before it are there.
#[track_caller]
pub fn asked(origin: &Origin, path: &str) -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let last = format!("/last-{}-", LAST.fetch_add(1, Ordering::Relaxed));
    origin.get(&last, "");
    until("the origin has logged everything", || {
        let log = origin.log();
        let count = |path: &str| log.iter().filter(|line| line.contains(path)).count();
        (count(&last) > 0).then(|| count(path))
    })
}

#[test]
fn a_viewer_sees_a_miss_then_a_hit_and_the_origin_one_request() {
    let origin = Setup::new()
        .store(&StoreDir::with_files(&[("a", b"hello")]))
        .start();
    let edge = in_front_of(&origin, &[]);
    let first = edge.get("/artifacts/agent/1.0.0/a", "");
    let second = edge.get("/artifacts/agent/1.0.0/a", "");
    assert_eq!(
        (first.status, x_cache(&first)),
        (200, "Miss from cloudfront")
    );
    assert_eq!(
        (second.status, x_cache(&second)),
        (200, "Hit from cloudfront")
    );
    for response in [&first, &second] {
        assert_eq!(response.body, b"hello");
        assert_eq!(response.need("etag"), fixture::etag(b"hello"));
        assert!(
            response.need("via").ends_with(" (CloudFront)"),
            "{response:?}"
        );
        let pop = response.need("x-amz-cf-pop");
        assert!(pop.len() >= 5 && pop.contains('-'), "{pop}");
    }
    let age: u64 = second.need("age").parse().unwrap();
    assert!(age < 60, "{age}");
    assert_ne!(first.need("x-amz-cf-id"), second.need("x-amz-cf-id"));
    assert_eq!(asked(&origin, "/artifacts/agent/1.0.0/a"), 1);
}

#[test]
fn without_a_configuration_the_built_in_one_applies() {
    let origin = Origin::shared();
    let sandbox = Sandbox::new();
    let url = format!("http://{}", origin.data);
    let mut child = sandbox
        .command(&["edge", "--listen", "127.0.0.1:0", "--origin", &url])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    let address: SocketAddr = line
        .trim_end()
        .strip_prefix("listening on http://")
        .unwrap()
        .parse()
        .unwrap();
    assert_ne!(address.port(), 0);
    assert_eq!(wire::get(address, CHANNEL, "").status, 200);
    cli_sandbox::send(&child, Signal::TERM);
    assert_eq!(cli_sandbox::wait(&mut child).code(), Some(0));
}

#[test]
fn the_pop_is_named_by_index_or_name_and_otherwise_the_address_decides() {
    let origin = Origin::shared();
    let edge = in_front_of(&origin, &["--pops", "3"]);
    let pop = |fields: &str| edge.get(CHANNEL, fields).need("x-amz-cf-pop").to_owned();
    let names: Vec<String> = (0..3)
        .map(|n| pop(&format!("X-Edge-Pop: {n}\r\n")))
        .collect();
    assert!(names[0] != names[1] && names[1] != names[2], "{names:?}");
    for name in &names {
        assert_eq!(&pop(&format!("X-Edge-Pop: {name}\r\n")), name);
        assert_eq!(
            &pop(&format!("X-Edge-Pop: {}\r\n", name.to_lowercase())),
            name
        );
    }
    let by_address = pop("");
    assert!(names.contains(&by_address), "{by_address}");
    assert_eq!(pop(""), by_address, "another port, the same address");
    for wrong in [
        "X-Edge-Pop: 3\r\n",
        "X-Edge-Pop: \r\n",
        "X-Edge-Pop: nowhere\r\n",
        "X-Edge-Pop: 0\r\nX-Edge-Pop: 1\r\n",
    ] {
        let response = edge.get(CHANNEL, wrong);
        assert_eq!(response.status, 400, "{wrong}");
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert!(
            text.contains("0 to 2") && text.contains(&names[0]),
            "{text}"
        );
    }
}

#[test]
fn each_pop_has_a_cache_of_its_own_and_all_share_one_request_to_the_origin() {
    let origin = Setup::new()
        .store(&StoreDir::with_files(&[("a", b"hello")]))
        .start();
    let edge = Edge::start(origin.data, "", &["--pops", "8", "--shield", "on"]);
    for round in ["first", "second"] {
        for pop in 0..8 {
            let fields = format!("X-Edge-Pop: {pop}\r\n");
            let response = edge.get("/artifacts/agent/1.0.0/a", &fields);
            let is_hit = x_cache(&response) == "Hit from cloudfront";
            assert!(is_hit || round == "first", "{round} {pop}: {response:?}");
        }
    }
    assert_eq!(asked(&origin, "/artifacts/agent/1.0.0/a"), 1);
}

#[test]
fn a_drain_finishes_the_running_closes_the_idle_and_refuses_the_new() {
    let origin = Origin::shared();
    let mut edge = in_front_of(&origin, &[]);
    let mut idle = Conn::open(edge.address);
    assert_eq!(idle.get(CHANNEL, "").status, 200);
    let mut unused = Conn::open(edge.address);
    let big = fixture::body("big");
    let mut running: Vec<Conn> = (0..3)
        .map(|_| {
            let mut conn = Conn::open_narrow(edge.address, 8 * 1024);
            conn.send(format!(
                "GET {} HTTP/1.1\r\nHost: x\r\n\r\n",
                fixture::url("big")
            ));
            assert_eq!(conn.head().status, 200);
            conn
        })
        .collect();
    edge.signal(Signal::TERM);
    idle.assert_closed(SOON);
    unused.assert_closed(SOON);
    until("new connections are refused", || {
        TcpStream::connect(edge.address).err()
    });
    for conn in &mut running {
        let mut received = Vec::with_capacity(big.len());
        let outcome = conn.drain_body(big.len() as u64, |bytes| received.extend_from_slice(bytes));
        assert_eq!(outcome, Ok(()), "after {} bytes", received.len());
        assert!(received == big);
    }
    assert_eq!(edge.end().code(), Some(0));
    assert_eq!(edge.leftovers(), [""; 0]);
    let log = edge.log(4);
    assert!(
        log.iter().all(|line| line["x-edge-result-type"] != "Error"),
        "{log:#?}"
    );
}

#[test]
fn a_drain_does_not_outlast_its_grace() {
    let origin = Origin::shared();
    let config = "[listener]\ndrain_grace = \"200ms\"\n";
    let mut edge = Edge::start(origin.data, config, &[]);
    let mut conn = Conn::open_narrow(edge.address, 8 * 1024);
    conn.send(format!(
        "GET {} HTTP/1.1\r\nHost: x\r\n\r\n",
        fixture::url("big")
    ));
    assert_eq!(conn.head().status, 200);
    edge.signal(Signal::TERM);
    assert_eq!(edge.end().code(), Some(0));
    let said = edge.said();
    assert!(said.contains("answers in flight are broken off"), "{said}");
    let log = edge.log(1);
    assert_eq!(log[0]["x-edge-result-type"], "Error", "{log:#?}");
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let origin = Origin::shared();
    let mut edge = in_front_of(&origin, &[]);
    let mut conn = Conn::open_narrow(edge.address, 8 * 1024);
    conn.send(format!(
        "GET {} HTTP/1.1\r\nHost: x\r\n\r\n",
        fixture::url("big")
    ));
    assert_eq!(conn.head().status, 200);
    edge.signal(Signal::INT);
    until("the drain has begun", || {
        TcpStream::connect(edge.address).err()
    });
    edge.signal(Signal::INT);
    assert_eq!(edge.end().code(), Some(1));
}

#[test]
fn a_kill_leaves_nothing_in_the_folder_for_temporary_files() {
    let origin = Origin::shared();
    let mut edge = Edge::start(origin.data, "[desk]\nmemory_object_bytes_max = 1024\n", &[]);
    assert!(edge.get(&fixture::url("big"), "").body == fixture::body("big"));
    let mut conn = Conn::open_narrow(edge.address, 8 * 1024);
    conn.send(format!(
        "GET {} HTTP/1.1\r\nHost: x\r\n\r\n",
        fixture::url("piece")
    ));
    assert_eq!(conn.head().status, 200);
    edge.signal(Signal::KILL);
    assert_eq!(edge.end().code(), None);
    assert_eq!(edge.leftovers(), [""; 0]);
}

#[test]
fn a_body_that_is_kept_in_a_file_arrives_whole_and_in_parts() {
    let origin = Origin::shared();
    let edge = Edge::start(origin.data, "[desk]\nmemory_object_bytes_max = 1024\n", &[]);
    let (url, body) = (fixture::url("big"), fixture::body("big"));
    assert!(edge.get(&url, "").body == body);
    let hit = edge.get(&url, "");
    assert_eq!(hit.field("x-cache"), Some("Hit from cloudfront"));
    assert!(hit.body == body);
    for (first, last) in [
        (70_001, 1_500_000),
        (5, 16_400),
        (5, 9),
        (1, body.len() - 1),
    ] {
        let part = edge.get(&url, &format!("Range: bytes={first}-{last}\r\n"));
        assert_eq!(part.status, 206);
        assert!(part.body == body[first..=last], "{first}-{last}");
    }
}

#[test]
fn a_request_beyond_cloudfronts_limits_is_413_and_the_last_of_its_connection() {
    let origin = Origin::shared();
    let edge = in_front_of(&origin, &[]);
    let limit = 8192;
    let path = |len: usize| format!("/artifacts/{}", "a".repeat(len - "/artifacts/".len()));
    assert_eq!(edge.get(&path(limit), "").status, 404);
    let mut many = String::new();
    for number in 0..60 {
        write!(many, "X-Filler-{number}: {}\r\n", "b".repeat(600)).unwrap();
    }
    for (target, fields) in [
        (path(limit + 1), ""),
        ("/artifacts/a".to_owned(), many.as_str()),
    ] {
        let mut conn = Conn::open(edge.address);
        let response = conn.get(&target, fields);
        assert_eq!(response.status, 413, "{response:?}");
        assert!(response.says_close(), "{response:?}");
        assert_eq!(x_cache(&response), "Error from cloudfront");
        conn.assert_closed(SOON);
    }
}

#[test]
fn a_request_without_a_host_is_refused_unless_it_is_older_than_hosts() {
    let origin = Origin::shared();
    let edge = in_front_of(&origin, &[]);
    let mut conn = Conn::open(edge.address);
    conn.send(format!("GET {CHANNEL} HTTP/1.1\r\n\r\n"));
    assert_eq!(conn.response("GET").status, 400);
    conn.assert_closed(SOON);
    let mut old = Conn::open(edge.address);
    old.send(format!("GET {CHANNEL} HTTP/1.0\r\n\r\n"));
    assert_eq!(old.response("GET").status, 200);
}

#[test]
fn silence_and_a_viewer_that_reads_nothing_end_a_connection() {
    let origin = Origin::shared();
    let config = "[listener]\nhead_read_timeout = \"300ms\"\nwrite_stall_timeout = \"300ms\"\n";
    let edge = Edge::start(origin.data, config, &[]);
    let mut silent = Conn::open(edge.address);
    silent.assert_closed(SOON);
    let mut idle = Conn::open(edge.address);
    assert_eq!(idle.get(CHANNEL, "").status, 200);
    idle.assert_closed(SOON);
    let mut stuck = Conn::open_narrow(edge.address, 8 * 1024);
    stuck.send(format!(
        "GET {} HTTP/1.1\r\nHost: x\r\n\r\n",
        fixture::url("big")
    ));
    let log = edge.log(2);
    assert_eq!(log[1]["x-edge-result-type"], "Error", "{}", log[1]);
}

#[test]
fn requests_above_the_quota_of_a_second_are_refused_and_logged_as_such() {
    let origin = Origin::shared();
    let edge = Edge::start(origin.data, "[limits]\nrequests_per_second = 2\n", &[]);
    let mut conn = Conn::open(edge.address);
    let answers: Vec<Response> = (0..20).map(|_| conn.get(CHANNEL, "")).collect();
    let refused = answers.iter().filter(|answer| answer.status == 503).count();
    assert!((1..=18).contains(&refused), "{refused} of 20");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(
            (answer.status, x_cache(answer)),
            (503, "LimitExceeded from cloudfront")
        );
    }
    let log = edge.log(20);
    let is_refused = |line: &&Value| line["x-edge-result-type"] == "LimitExceeded";
    assert_eq!(log.iter().filter(is_refused).count(), refused);
}

#[test]
fn connections_above_the_limit_wait_for_a_place() {
    let origin = Origin::shared();
    let edge = Edge::start(origin.data, "[listener]\nconnections_max = 1\n", &[]);
    let mut first = Conn::open(edge.address);
    assert_eq!(first.get(CHANNEL, "").status, 200);
    let mut second = Conn::open(edge.address); // in the kernel's queue
    second.send(format!("GET {CHANNEL} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(!second.is_closed_within(Duration::from_millis(50)));
    second.assert_nothing_pending();
    drop(first);
    assert_eq!(second.response("GET").status, 200);
}

#[test]
fn an_address_a_folder_or_a_log_that_cannot_be_had_is_a_failure_that_names_it() {
    let sandbox = Sandbox::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = sandbox.run(&["edge", "--listen", &address]);
    assert_eq!(ran.code, 1, "{}", ran.transcript());
    assert!(ran.stderr.contains(&address), "{}", ran.stderr);
    sandbox.write("edge.toml", "[desk]\ndisk = \"no/such/disk\"\n");
    let ran = sandbox.run(&["edge", "--listen", "127.0.0.1:0", "--config", "edge.toml"]);
    assert_eq!(ran.code, 1, "{}", ran.transcript());
    assert!(ran.stderr.contains("no/such/disk"), "{}", ran.stderr);
    assert!(ran.stderr.contains("`desk.disk`"), "{}", ran.stderr);
    let log = Path::new("no/such/folder/log");
    let ran = sandbox.run(&[
        "edge",
        "--listen",
        "127.0.0.1:0",
        "--json-log",
        log.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, 4, "{}", ran.transcript());
    assert!(ran.stderr.contains("no/such/folder/log"), "{}", ran.stderr);
    let ran = sandbox.run(&["edge", "--listen", "127.0.0.1:0", "--config", "no/such"]);
    assert_eq!(ran.code, 4, "{}", ran.transcript());
    assert!(ran.stderr.contains("no/such"), "{}", ran.stderr);
    sandbox.write(
        "edge.toml",
        "[default_cache_behavior]\ntarget_origin_id = \"o\"\n",
    );
    let ran = sandbox.run(&["edge", "--listen", "127.0.0.1:0", "--config", "edge.toml"]);
    assert_eq!(ran.code, 2, "{}", ran.transcript());
    assert!(
        ran.stderr.contains("there is no `[[origin]]`"),
        "{}",
        ran.stderr
    );
}
