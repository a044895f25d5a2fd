//! A running `headwater edge` in front of any origin, and the log that it writes.
//!
//! Never looks into a cache: what is known of it is what it answers, what it logs and what the origin saw.

use std::net::SocketAddr;

use tempfile::TempDir;

use super::process::Process;
use super::{PATIENCE, cli, poll};

/// What an edge is started with: one POP without a shield, unless said otherwise.
pub struct Setup {
    config: Option<String>,
    pops: usize,
    shield: &'static str,
}

/// A running edge.
pub struct Edge {
    /// Where viewers connect.
    pub address: SocketAddr,
    process: Process,
    desk: TempDir,
}

impl Setup {
    /// The product's own distribution.
    pub fn new() -> Self {
        Self {
            config: None,
            pops: 1,
            shield: "off",
        }
    }

    /// The whole configuration file.
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    /// How many POPs.
    pub fn pops(mut self, pops: usize) -> Self {
        self.pops = pops;
        self
    }

    /// With an Origin Shield.
    pub fn shield(mut self) -> Self {
        self.shield = "on";
        self
    }

    /// Starts it in front of `origin` and waits until it accepts.
    #[track_caller]
    pub fn start(self, origin: SocketAddr) -> Edge {
        let desk = tempfile::tempdir().unwrap();
        let mut command = cli::command(["edge", "--listen", "127.0.0.1:0"]);
        command
            .args(["--origin", &format!("http://{origin}")])
            .args(["--pops", &self.pops.to_string(), "--shield", self.shield])
            .arg("--json-log")
            .arg(desk.path().join("log"));
        if let Some(config) = &self.config {
            let file = desk.path().join("edge.toml");
            std::fs::write(&file, config).unwrap();
            command.arg("--config").arg(file);
        }
        let mut process = Process::start("the edge", command);
        Edge {
            address: process.await_address("listening on http://"),
            process,
            desk,
        }
    }
}

impl Edge {
    /// The log lines so far: a line is written when its answer has ended.
    pub fn log(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.desk.path().join("log")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// The log lines, once there are `count` of them.
    #[track_caller]
    pub fn await_log(&self, count: usize) -> Vec<serde_json::Value> {
        poll(PATIENCE, "log lines", || {
            let log = self.log();
            (log.len() >= count).then_some(log)
        })
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
