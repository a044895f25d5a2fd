//! A child process that prints where it listens: every line it says is kept, and it ends with the test.
//!
//! Never knows what the process is; kills by its own process id only. `origin` has its own, which also drains.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, poll};

/// A running child.
pub struct Process {
    name: &'static str,
    child: Child,
    lines: Lines,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Process {
    /// Starts it.
    #[track_caller]
    pub fn start(name: &'static str, mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start ({e}): run tests/run"));
        let lines = Lines::default();
        collect(child.stdout.take().unwrap(), &lines);
        collect(child.stderr.take().unwrap(), &lines);
        Self { name, child, lines }
    }

    /// Waits for a line that begins with `prefix`, and reads the address after it.
    #[track_caller]
    pub fn await_address(&mut self, prefix: &str) -> SocketAddr {
        let line = self.await_line(prefix);
        let address = line[prefix.len()..].trim_end_matches('/');
        address.parse().expect("an address")
    }

    /// Waits for a line that begins with `prefix`.
    #[track_caller]
    pub fn await_line(&mut self, prefix: &str) -> String {
        poll(PATIENCE, prefix, || {
            let lines = self.lines();
            let found = lines.iter().find(|line| line.starts_with(prefix)).cloned();
            if found.is_none() {
                self.assert_running();
            }
            found
        })
    }

    /// Insists that it has not ended.
    #[track_caller]
    pub fn assert_running(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "{} ended ({ended:?}): {}",
            self.name,
            self.lines().join("\n")
        );
    }

    /// Every line printed so far, of both streams.
    pub fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).expect("the process lives");
    }

    /// Asks it to end, and waits until it has.
    #[track_caller]
    pub fn terminate(&mut self, within: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        poll(within, "the process ends", || {
            self.child.try_wait().unwrap()
        })
    }
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "shown by the test runner, for failed tests only"
    )]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let lines = self.lines();
            eprintln!("--- the last lines of {} ---", self.name);
            for line in &lines[lines.len().saturating_sub(40)..] {
                eprintln!("{line}");
            }
        }
    }
}

fn collect(stream: impl Read + Send + 'static, lines: &Lines) {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    });
}
