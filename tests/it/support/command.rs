//! The real binary, in a clean environment; never the developer's own.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one JSON document that it printed.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// `headwater` with these arguments, for the store at `store`.
pub fn headwater(store: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command
        .env_clear()
        .args(arguments)
        .arg("--store")
        .arg(store);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub fn run(store: &Path, arguments: &[&str]) -> Ended {
    Ended::of(headwater(store, arguments).output().unwrap())
}

/// Runs it until the crash point `at` kills it, or to its end when it does not come there.
pub fn run_crashing(store: &Path, arguments: &[&str], at: &str) -> Ended {
    let mut command = headwater(store, arguments);
    Ended::of(command.env("HEADWATER_CRASH_AT", at).output().unwrap())
}

/// Ends a child with SIGKILL when the test ends early.
pub struct Running(Option<Child>);

/// Runs it in the background.
pub fn start(mut command: Command) -> Running {
    Running(Some(command.spawn().unwrap()))
}

impl Running {
    /// Waits for its end.
    pub fn ended(mut self) -> Ended {
        Ended::of(self.0.take().unwrap().wait_with_output().unwrap())
    }

    /// kill -9.
    pub fn kill(mut self) -> Ended {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        Ended::of(child.wait_with_output().unwrap())
    }

    pub fn is_running(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A command that stops at the crash point `name` until it is let go.
pub struct Paused {
    gate: PathBuf,
    pub running: Running,
}

/// Starts it and waits until it is there.
pub fn start_and_pause(mut command: Command, name: &str, gate: &Path) -> Paused {
    command.env("HEADWATER_PAUSE_AT", format!("{name}:{}", gate.display()));
    let mut running = start(command);
    let mut reached = gate.as_os_str().to_owned();
    reached.push(".reached");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !Path::new(&reached).exists() {
        assert!(running.is_running(), "it ended before `{name}`");
        assert!(Instant::now() < deadline, "it never came to `{name}`");
        std::thread::sleep(Duration::from_millis(2));
    }
    Paused {
        gate: gate.to_owned(),
        running,
    }
}

impl Paused {
    /// Lets it go on.
    pub fn resume(self) -> Running {
        std::fs::write(self.gate, "").unwrap();
        self.running
    }
}
