//! The public HTTP cache test suite (cache-tests.fyi) against `headwater edge`: every failure is a documented behaviour.
//!
//! `tests/data/http-cache-tests.toml` explains each test that the edge does not pass by what CloudFront documents. A test
//! that fails unexplained breaks the build, and so does an explained one that passes: the list is never longer than the
//! truth. Read next: `edge_suite/suite.rs` (how the suite is run).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::harness::process::Process;
use crate::harness::{PATIENCE, edge, poll};

mod suite;

use suite::{Kind, Results, Suite};

/// The suite measures seconds; on a machine that stands still for one of them it sees what is not there. A result
/// counts as unexpected when it is so in this many runs.
const RUNS: usize = 3;

/// `tests/data/http-cache-tests.toml`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    required: Score,
    most: Most,
    behaviour: Vec<Behaviour>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Score {
    tests: usize,
    passed_at_least: usize,
}

/// The tests that most reverse proxies pass.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Most {
    proxies: Vec<String>,
    passed_by: usize,
    tests: usize,
    passed_at_least: usize,
}

/// Something that `CloudFront` documents, and the tests that it fails by it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Behaviour {
    page: String,
    says: String,
    tests: Vec<String>,
}

impl Expectations {
    fn read() -> Self {
        let text = include_str!("../data/http-cache-tests.toml");
        toml::from_str(text).unwrap()
    }

    /// The tests that are expected to fail.
    fn failing(&self) -> BTreeSet<String> {
        let mut failing = BTreeSet::new();
        for behaviour in &self.behaviour {
            assert!(behaviour.page.starts_with("https://docs.aws.amazon.com/"));
            assert!(behaviour.says.len() > 20, "{}", behaviour.says);
            for id in &behaviour.tests {
                assert!(failing.insert(id.clone()), "{id} is explained twice");
            }
        }
        failing
    }
}

/// Runs the suite until the results are those expected, at most [`RUNS`] times. Returns the last results, and the tests
/// that were unexpected in every run.
fn surprises(
    expected: impl Fn(&Results) -> BTreeSet<String>,
    run: impl Fn() -> Results,
) -> (Results, BTreeSet<String>) {
    let mut results = run();
    let mut surprising = expected(&results);
    for _ in 1..RUNS {
        if surprising.is_empty() {
            break;
        }
        results = run();
        surprising = &surprising & &expected(&results);
    }
    (results, surprising)
}

fn failed(results: &Results) -> BTreeSet<String> {
    let failed = results.iter().filter(|(_, passed)| !**passed);
    failed.map(|(id, _)| id.clone()).collect()
}

fn passed<'a>(results: &Results, among: impl IntoIterator<Item = &'a String>) -> usize {
    let passes = |id: &&String| results.get(*id) == Some(&true);
    among.into_iter().filter(passes).count()
}

fn required(kinds: &BTreeMap<String, Kind>) -> Vec<String> {
    let required = kinds.iter().filter(|(_, kind)| **kind == Kind::Required);
    required.map(|(id, _)| id.clone()).collect()
}

impl Most {
    fn ids(&self, required: &[String]) -> Vec<String> {
        let published: Vec<Results> = self.proxies.iter().map(|p| suite::published(p)).collect();
        let passing = |id: &String| {
            published
                .iter()
                .filter(|r| r.get(id) == Some(&true))
                .count()
        };
        let most = required.iter().filter(|id| passing(id) >= self.passed_by);
        most.cloned().collect()
    }
}

/// The harness shows nothing about the edge unless it shows of a well-known cache what is known of it.
#[test]
fn nginx_passes_exactly_the_tests_that_the_suites_author_saw_it_pass() {
    let suite = Suite::start();
    let (_nginx, cache) = nginx(suite.origin);
    let published = failed(&suite::published("nginx"));
    let differing = |results: &Results| &failed(results) ^ &published;
    let (results, differing) = surprises(differing, || suite.run(cache));
    assert_eq!(results.len(), suite::catalogue().len());
    assert!(
        differing.is_empty(),
        "differing from the published: {differing:#?}"
    );
}

#[test]
fn the_edge_fails_only_where_cloudfront_documents_another_behaviour() {
    let (expected, kinds) = (Expectations::read(), suite::catalogue());
    let suite = Suite::start();
    let config = include_str!("../data/edge-suite.toml");
    let edge = edge::Setup::new().config(config).start(suite.origin);
    let explained = expected.failing();
    let surprising = |results: &Results| {
        let mut failed = failed(results);
        // A check is a question: nobody fails it.
        failed.retain(|id| kinds[id] != Kind::Check);
        &failed ^ &explained
    };
    let (results, surprising) = surprises(surprising, || suite.run(edge.address));

    let required = required(&kinds);
    let most = expected.most.ids(&required);
    let passed = (passed(&results, &required), passed(&results, &most));
    report(&results, &kinds, passed, (required.len(), most.len()));
    assert_eq!(results.len(), kinds.len(), "tests without a result");
    let (fixed, broken): (Vec<_>, Vec<_>) =
        surprising.iter().partition(|id| explained.contains(*id));
    assert!(
        broken.is_empty(),
        "failing without an explanation: {broken:#?}"
    );
    assert!(fixed.is_empty(), "explained, but passed: {fixed:#?}");
    assert_eq!(required.len(), expected.required.tests);
    assert_eq!(most.len(), expected.most.tests);
    assert!(passed.0 >= expected.required.passed_at_least, "{passed:?}");
    assert!(passed.1 >= expected.most.passed_at_least, "{passed:?}");
}

/// The score is a figure of the product, so it is shown when all is well, too: the test runner does not catch this.
fn report(
    results: &Results,
    kinds: &BTreeMap<String, Kind>,
    (required, most): (usize, usize),
    (of_required, of_most): (usize, usize),
) {
    let of_kind = |kind| {
        let of = kinds.iter().filter(move |(_, k)| **k == kind);
        let (ids, count) = (of.clone().map(|(id, _)| id), of.count());
        format!("{} of {count}", passed(results, ids))
    };
    let _ = writeln!(
        std::io::stderr(),
        "HTTP cache test suite: {required} of {of_required} required tests, {most} of the {of_most} that most reverse \
         proxies pass, {} optimal ones",
        of_kind(Kind::Optimal)
    );
}

/// The configuration that the suite's author uses, on a port and in a folder of its own.
fn nginx(origin: SocketAddr) -> ((Process, tempfile::TempDir), SocketAddr) {
    let desk = tempfile::tempdir().unwrap();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|path| format!("{path}_temp_path {path};\n"))
        .concat();
    let config = format!(
        "daemon off;\nmaster_process off;\nerror_log stderr;\npid pid;\n\
         events {{ worker_connections 2048; }}\nhttp {{\naccess_log off;\n{paths}\
         proxy_cache_path cache levels=1:2 keys_zone=cache:8m;\n\
         server {{ listen {address}; location / {{\n\
         proxy_pass http://{origin}; proxy_cache cache; proxy_cache_revalidate on;\n}} }}\n}}\n"
    );
    std::fs::write(desk.path().join("nginx.conf"), config).unwrap();
    let mut command = Command::new("nginx");
    command
        .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
        .arg(desk.path());
    let mut nginx = Process::start("nginx", command);
    poll(PATIENCE, "nginx accepts", || {
        nginx.assert_running();
        std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()
    });
    ((nginx, desk), address)
}
