//! `serve` as a process: its two lines, its signals, its end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rustix::process::Signal;

use crate::cli_sandbox::Sandbox;

/// One request, and the head and body of its answer.
fn ask(url: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn both_lines_name_ports_that_answer() {
    let sandbox = Sandbox::new();
    sandbox.done(&["init"]);
    let origin = sandbox.serve(&[]);
    for (url, path) in [
        (&origin.url, "/healthz"),
        (&origin.admin_url, "/healthz"),
        (&origin.admin_url, "/readyz"),
    ] {
        assert!(!url.ends_with(":0"), "{url}");
        let answer = ask(url, path);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{url}{path}: {answer}");
    }
}

#[test]
fn either_signal_ends_an_idle_origin_with_exit_code_0() {
    let sandbox = Sandbox::new();
    sandbox.done(&["init"]);
    for signal in [Signal::TERM, Signal::INT] {
        let origin = sandbox.serve(&[]);
        origin.signal(signal);
        let (status, log) = origin.end();
        assert_eq!(status.code(), Some(0), "{signal:?}: {log}");
    }
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let sandbox = Sandbox::new();
    sandbox.write("origin.toml", "[server]\ndrain_delay = \"10m\"\n");
    sandbox.done(&["init"]);
    let origin = sandbox.serve(&["--config", "origin.toml"]);
    origin.signal(Signal::TERM);
    // The first signal has arrived when readiness says so; two that are pending at once would count as one.
    crate::cli_sandbox::until("the drain has begun", || {
        ask(&origin.admin_url, "/readyz")
            .starts_with("HTTP/1.1 503 ")
            .then_some(())
    });
    origin.signal(Signal::TERM);
    assert_eq!(origin.end().0.code(), Some(1));
}

#[test]
fn a_port_that_is_taken_is_a_failure_that_names_it() {
    let sandbox = Sandbox::new();
    sandbox.done(&["init"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = sandbox.run(&["serve", "--listen", &address, "--admin", "127.0.0.1:0"]);
    assert_eq!(ran.code, 1, "{}", ran.transcript());
    assert!(ran.stderr.contains(&address), "{}", ran.stderr);
}
