//! A thousand devices at the same instant against a cold edge: the origin is asked once for each object, also when the
//! first of them breaks off in the middle of the fill that the others wait for.
//!
//! Real processes throughout: `serve`, `edge`, `loadtest`. What the origin saw is what it says itself, record by record.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use headwater::model::Digest;
use serde_json::Value;

use crate::edge_cli::Edge;
use crate::harness::cli::{self, Ran};
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::wire::Conn;
use crate::harness::{PATIENCE, fixture, poll, proc};

/// The fleet of the issue.
const DEVICES: u64 = 1000;

/// Large enough to be on its way when the first device goes, small enough for a thousand of them.
const SIZE: usize = 400_000;

const ARTIFACT: &str = "/artifacts/agent/1.0.0/app.bin";
const RELEASE: &str = "/artifacts/agent/1.0.0/release.json";

fn origin_of(body: &[u8]) -> Origin {
    let store = StoreDir::with_files(&[("app.bin", body)]);
    Setup::new().store(&store).start()
}

/// The fleet's command: all of it at the same instant, over all POPs.
fn fleet(edge: &Edge, arguments: &[&str]) -> std::process::Command {
    assert!(
        proc::raise_descriptor_limit(4 * DEVICES),
        "a thousand devices need descriptors"
    );
    let (url, devices) = (
        format!("http://{}{}", edge.address, fixture::CHANNEL),
        DEVICES.to_string(),
    );
    let mut command = cli::command(["loadtest", "--json", "--url", &url]);
    command
        .args([
            "--devices",
            &devices,
            "--concurrency",
            &devices,
            "--pops",
            "4",
        ])
        .args([
            "--max-requests",
            "10000",
            "--max-time",
            "4m",
            "--stall-timeout",
            "2m",
        ])
        .args(["--error-rate-max", "0"])
        .args(arguments);
    command
}

/// How often each path was asked for, once the origin has told of all that it answered.
fn asked(origin: &Origin) -> BTreeMap<String, usize> {
    let mut paths = BTreeMap::new();
    for line in origin.log() {
        let Ok(record) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if let Some(path) = record["path"].as_str() {
            *paths.entry(path.to_owned()).or_default() += 1;
        }
    }
    paths
}

#[track_caller]
fn assert_asked_once_for_each_object(origin: &Origin) {
    let objects = [ARTIFACT, RELEASE, fixture::CHANNEL];
    poll(PATIENCE, "the origin tells of every object", || {
        let asked = asked(origin);
        objects
            .iter()
            .all(|path| asked.contains_key(*path))
            .then_some(())
    });
    let expected = objects.map(|path| (path.to_owned(), 1));
    assert_eq!(asked(origin), BTreeMap::from(expected));
}

#[track_caller]
fn assert_all_verified(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stderr, ran.stdout);
    let report = ran.json();
    assert_eq!(report["devices"]["verified"], DEVICES, "{report:#}");
    report
}

fn finish(output: std::process::Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn a_cold_edge_asks_the_origin_once_for_each_object_of_a_thousand_devices() {
    let body = fixture::bytes(41, SIZE);
    let origin = origin_of(&body);
    let edge = Edge::start(origin.data, "", &[]);
    let ran = finish(fleet(&edge, &[]).output().unwrap());
    let report = assert_all_verified(&ran);
    assert_eq!(report["statuses"]["200"], 3 * DEVICES);
    assert_asked_once_for_each_object(&origin);
}

#[test]
fn a_fleet_that_breaks_off_and_resumes_costs_the_origin_nothing_more() {
    let body = fixture::bytes(42, SIZE);
    let origin = origin_of(&body);
    let edge = Edge::start(origin.data, "", &[]);
    let ran = finish(fleet(&edge, &["--abort", "1"]).output().unwrap());
    let report = assert_all_verified(&ran);
    assert_eq!(report["broken_off"], DEVICES);
    assert_asked_once_for_each_object(&origin);
}

#[test]
fn the_first_may_break_off_in_mid_fill_and_the_origin_is_still_asked_once() {
    let body = fixture::bytes(43, SIZE);
    let origin = origin_of(&body);
    let valve = Valve::start(origin.data, SIZE as u64 / 2);
    let edge = Edge::start(valve.address, "", &[]);
    // The first asks for the artifact and has its beginning, and so has another one at another POP: the fill is under
    // way on every layer, is waited for, and cannot end.
    let mut first = ask(&edge, "0");
    assert_eq!(first.head().status, 200);
    let mut second = ask(&edge, "1");
    assert_eq!(second.head().status, 200);
    let child = fleet(&edge, &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    poll(PATIENCE, "devices wait for the artifact", || {
        let waiting = edge_connections(&edge);
        (waiting as u64 >= DEVICES).then_some(())
    });
    first.reset();
    valve.open();
    let mut arrived = Vec::new();
    second
        .drain_body(SIZE as u64, |part| arrived.extend_from_slice(part))
        .unwrap();
    assert_eq!(Digest::of(&arrived), Digest::of(&body));
    assert_all_verified(&finish(child.wait_with_output().unwrap()));
    assert_asked_once_for_each_object(&origin);
}

fn ask(edge: &Edge, pop: &str) -> Conn {
    let mut conn = Conn::open(edge.address);
    conn.send(format!(
        "GET {ARTIFACT} HTTP/1.1\r\nHost: x\r\nX-Edge-Pop: {pop}\r\n\r\n"
    ));
    conn
}

/// Connections that viewers have open, as the kernel lists them.
fn edge_connections(edge: &Edge) -> usize {
    let local = format!(":{:04X}", edge.address.port());
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_open = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&local) && fields[3] == "01"
    };
    sockets.lines().filter(is_open).count()
}

/// Stands between an edge and its origin and lets only the beginning of each answer through until it is opened.
struct Valve {
    address: SocketAddr,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    changed: Condvar,
}

impl Valve {
    fn start(origin: SocketAddr, bytes_before: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let valve = Self {
            address: listener.local_addr().unwrap(),
            gate: Arc::default(),
        };
        let gate = Arc::clone(&valve.gate);
        thread::spawn(move || {
            for edge in listener.incoming().map_while(Result::ok) {
                let origin = TcpStream::connect(origin).unwrap();
                let (to_edge, from_origin) =
                    (edge.try_clone().unwrap(), origin.try_clone().unwrap());
                thread::spawn(move || pass(edge, origin, u64::MAX, &Gate::default()));
                let gate = Arc::clone(&gate);
                thread::spawn(move || pass(from_origin, to_edge, bytes_before, &gate));
            }
        });
        valve
    }

    fn open(&self) {
        *self.gate.lock() = true;
        self.gate.changed.notify_all();
    }
}

impl Gate {
    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.is_open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) {
        let is_open = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(is_open, Duration::from_secs(120), |it| !*it);
        drop(waited);
    }
}

/// Copies until either side ends; behind the first `bytes_before` only through an open gate.
fn pass(mut from: TcpStream, mut to: TcpStream, bytes_before: u64, gate: &Gate) {
    let (mut buffer, mut passed) = ([0; 16 * 1024], 0);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        passed += count as u64;
        if passed > bytes_before {
            gate.wait();
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
