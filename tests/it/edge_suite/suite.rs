//! The public HTTP cache test suite as a program: its server behind a cache, its client in front of it.
//!
//! Never judges a result. The suite is installed by `tests/setup/http_cache_tests.sh`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::harness::process::Process;

/// Whether each test was passed, by its id.
pub type Results = BTreeMap<String, bool>;

/// The suite and its running server.
pub struct Suite {
    /// What a cache under test forwards to.
    pub origin: SocketAddr,
    _server: Process,
    _desk: TempDir,
}

/// What a test of the suite means when it fails.
#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The cache breaks a rule of HTTP, as the suite's author reads it.
    Required,
    /// The cache could do better.
    Optimal,
    /// Nothing: it is a question.
    Check,
}

/// Prints each test's id and kind; the suite's own command for that needs another package.
const CATALOGUE: &str = "
    import tests from './tests/index.mjs'
    import surrogate from './tests/surrogate-control.mjs'
    const all = [...tests, surrogate].flatMap(group => group.tests).filter(test => !test.browser_only)
    console.log(JSON.stringify(Object.fromEntries(all.map(test => [test.id, test.kind || 'required']))))
";

impl Suite {
    /// Starts its server.
    #[track_caller]
    pub fn start() -> Self {
        let desk = tempfile::tempdir().unwrap();
        let loopback = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/loopback.cjs");
        let mut command = node(["--require", loopback, "server/server.mjs"]);
        command
            .env("npm_config_protocol", "http")
            .env("npm_config_port", "0")
            .env("npm_config_pidfile", desk.path().join("pid"));
        let mut server = Process::start("the suite's server", command);
        Self {
            origin: server.await_address("Listening on http://"),
            _server: server,
            _desk: desk,
        }
    }

    /// Runs every test against a cache that forwards to [`Self::origin`].
    #[track_caller]
    #[expect(clippy::unused_self, reason = "the server must run meanwhile")]
    pub fn run(&self, cache: SocketAddr) -> Results {
        let mut command = node(["cli.mjs"]);
        command
            .env("npm_config_base", format!("http://{cache}"))
            .env("npm_package_config_id", "");
        let results: BTreeMap<String, serde_json::Value> = json_of(command);
        results
            .into_iter()
            // A test that was not passed has the reason instead.
            .map(|(id, result)| (id, result == true))
            .collect()
    }
}

/// Each test that is not for browsers only.
#[track_caller]
pub fn catalogue() -> BTreeMap<String, Kind> {
    json_of(node(["--input-type=module", "--eval", CATALOGUE]))
}

/// What the suite's author measured with one cache; the tests that were not run then were not passed.
#[track_caller]
pub fn published(cache: &str) -> Results {
    let path = folder().join(format!("results/{cache}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let results: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    results
        .into_iter()
        .map(|(id, result)| (id, result == true))
        .collect()
}

/// Where `tests/setup/http_cache_tests.sh` installs the suite.
fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    let folder = target.join("http-cache-tests/suite");
    assert!(
        folder.join("cli.mjs").is_file(),
        "{} is missing: run tests/run",
        folder.display()
    );
    folder
}

/// Node.js in the suite's folder, with nobody's settings: the suite reads what npm would hand it.
fn node<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new("node");
    command
        .arg("--no-warnings")
        .args(arguments)
        .current_dir(folder());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let lower = name.to_ascii_lowercase();
        if ["npm_", "node_"].iter().any(|p| lower.starts_with(p)) || lower.ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command
}

#[track_caller]
fn json_of<T: serde::de::DeserializeOwned>(mut command: Command) -> T {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("node is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{command:?} printed no results ({e}): {error}"))
}
