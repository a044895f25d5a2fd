//! Other people's clients, unmodified, against the real executable: their exit status and the digest of what they got.
//!
//! One test per client and way of using it; Debian has the clients (`tests/setup/packages.txt`). Where a client tells what
//! it transferred, that is checked too: a resume that fetches everything again is no resume. Read next: `trees.rs`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::{cli, fixture};

/// Differences, trees and indexes: clients that ask for many parts or many files.
mod trees;

/// What a client did.
pub struct Ran {
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// A folder of its own, in which clients run with nobody's proxy, settings or cache.
pub struct Desk(TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A client that is about to run here.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        // None of these transfers takes a second; a client that asks for ever must not hang the suite.
        command.args(["--kill-after=5", "100", program]);
        command.current_dir(self.0.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().to_ascii_uppercase();
            let foreign = ["PIP_", "GIT_", "CURL_", "WGET", "HEADWATER_"];
            if name.ends_with("_PROXY") || foreign.iter().any(|prefix| name.starts_with(prefix)) {
                command
                    .env_remove(&name)
                    .env_remove(name.to_ascii_lowercase());
            }
        }
        command
            .env("HOME", self.0.path())
            .env("XDG_CONFIG_HOME", self.0.path())
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs a client to its end and insists that it is content.
    #[track_caller]
    pub fn run(&self, program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
        let mut command = self.client(program);
        command.args(args);
        finish(command)
    }

    /// The first half of an artifact of the standard release, under the name that a client will look for.
    pub fn half(&self, of: &str, name: &str) {
        let body = fixture::body(of);
        fs::write(self.path(name), &body[..body.len() / 2]).unwrap();
    }

    #[track_caller]
    pub fn assert_file(&self, name: &str, expected: &[u8]) {
        let actual = fs::read(self.path(name)).unwrap();
        assert_eq!(actual.len(), expected.len(), "the length of {name}");
        assert!(
            actual == expected,
            "{name} has other bytes than the published ones"
        );
    }
}

/// Runs a prepared client to its end and insists that it is content.
#[track_caller]
pub fn finish(mut command: Command) -> Ran {
    let output = command.output().expect("coreutils are installed");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}: {}\n{stderr}\n(127: the client is missing, run tests/run)",
        output.status,
        String::from_utf8_lossy(&output.stdout),
    );
    Ran {
        stdout: output.stdout,
        stderr,
    }
}

/// The full URL of a path.
pub fn url(origin: &Origin, path: &str) -> String {
    format!("http://{}{path}", origin.data)
}

/// The full URL of an artifact of the standard release.
fn artifact(origin: &Origin, name: &str) -> String {
    url(origin, &fixture::url(name))
}

/// A store and an origin of a tree of files, as version 1 of `product`, and the URL below which they are.
pub fn origin_of(product: &str, tree: &Path) -> (Origin, String) {
    let store = StoreDir::empty();
    store.commands().publish(product, "1", &[tree], None);
    let origin = Setup::new().store(&Arc::clone(&store)).start();
    let base = url(&origin, &format!("/artifacts/{product}/1"));
    (origin, base)
}

#[test]
fn curl_resumes_a_half_and_transfers_only_the_other() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    desk.half("big", "big");
    let report = "%{http_code} %{size_download}";
    let ran = desk.run(
        "curl",
        [
            "-fsS",
            "-C",
            "-",
            "-O",
            "-w",
            report,
            &artifact(&origin, "big"),
        ],
    );
    let body = fixture::body("big");
    assert_eq!(ran.text(), format!("206 {}", body.len() - body.len() / 2));
    desk.assert_file("big", body);
}

#[test]
fn curl_fetches_several_artifacts_at_once_with_any_legal_name() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    let mut args = vec![
        "-fsS".to_owned(),
        "-Z".to_owned(),
        "--parallel-max".into(),
        "8".into(),
    ];
    for (at, published) in fixture::ARTIFACTS.iter().enumerate() {
        args.extend([
            "-o".into(),
            format!("file-{at}"),
            artifact(&origin, published.name),
        ]);
    }
    desk.run("curl", args);
    for (at, published) in fixture::ARTIFACTS.iter().enumerate() {
        match published.body.len() {
            // curl creates no file for a body that never comes.
            0 => assert!(
                fs::read(desk.path(&format!("file-{at}")))
                    .unwrap_or_default()
                    .is_empty()
            ),
            _ => desk.assert_file(&format!("file-{at}"), &published.body),
        }
    }
}

#[test]
fn curl_gets_several_ranges_in_one_answer() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    let url = artifact(&origin, "page");
    let ran = desk.run("curl", ["-fsS", "-D", "head", "-r", "0-9,100-119,-5", &url]);
    let head = fs::read_to_string(desk.path("head")).unwrap();
    assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
    let body = fixture::body("page");
    for (first, last) in [(0, 9), (100, 119), (body.len() - 5, body.len() - 1)] {
        let mut part =
            format!("Content-Range: bytes {first}-{last}/{}\r\n\r\n", body.len()).into_bytes();
        part.extend_from_slice(&body[first..=last]);
        part.extend_from_slice(b"\r\n--");
        assert!(
            ran.stdout.windows(part.len()).any(|window| window == part),
            "{first}-{last}"
        );
    }
}

#[test]
fn curl_compares_the_etag_it_saved_and_the_date_it_knows() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    let url = artifact(&origin, "page");
    let report = ["-fsS", "-w", "%{http_code}", "-R", "-o"];
    let first = desk.run(
        "curl",
        [&report[..], &["page", "--etag-save", "etag", &url]].concat(),
    );
    assert_eq!(first.text(), "200");
    desk.assert_file("page", fixture::body("page"));
    let again = desk.run(
        "curl",
        [&report[..], &["again", "--etag-compare", "etag", &url]].concat(),
    );
    assert_eq!(again.text(), "304");
    let since = desk.run(
        "curl",
        [&report[..], &["since", "-z", "page", &url]].concat(),
    );
    assert_eq!(since.text(), "304");
}

#[test]
fn curl_reads_the_same_head_with_head_as_with_get() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    let url = artifact(&origin, "notes.json");
    let fields = |ran: Ran| {
        let lines = ran.text();
        let mut lines: Vec<_> = lines.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.to_ascii_lowercase().starts_with("date:"));
        lines
    };
    let head = fields(desk.run("curl", ["-fsS", "-I", &url]));
    let get = fields(desk.run("curl", ["-fsS", "-D", "-", "-o", "body", &url]));
    assert_eq!(head, get);
}

#[test]
fn wget_resumes_a_half_and_keeps_the_time_of_the_release() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    desk.half("big", "big");
    let ran = desk.run("wget", ["-nv", "-S", "-c", &artifact(&origin, "big")]);
    assert!(ran.stderr.contains("206 Partial Content"), "{}", ran.stderr);
    desk.assert_file("big", fixture::body("big"));
    // Once more: nothing is missing, and a 416 to that question is an answer that wget understands.
    desk.run("wget", ["-nv", "-c", &artifact(&origin, "big")]);
    desk.assert_file("big", fixture::body("big"));
    let stamped = desk.run("wget", ["-S", "-N", &artifact(&origin, "big")]);
    assert!(
        stamped.stderr.contains("304 Not Modified"),
        "{}",
        stamped.stderr
    );
}

#[test]
fn wget2_resumes_a_half_and_fetches_chunks() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    desk.half("big", "big");
    desk.run("wget2", ["-q", "-c", &artifact(&origin, "big")]);
    desk.assert_file("big", fixture::body("big"));
    let chunked = ["-q", "--chunk-size=2M", "--max-threads=4", "-O", "chunks"];
    desk.run(
        "wget2",
        [&chunked[..], &[&artifact(&origin, "big")]].concat(),
    );
    desk.assert_file("chunks", fixture::body("big"));
}

#[test]
fn busybox_wget_resumes_a_half() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    desk.half("big", "big");
    desk.run(
        "busybox",
        ["wget", "-q", "-c", "-O", "big", &artifact(&origin, "big")],
    );
    desk.assert_file("big", fixture::body("big"));
}

#[test]
fn aria2_fetches_eight_segments_and_checks_the_digest_of_the_etag() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    let etag = fixture::etag(fixture::body("big"));
    let checksum = format!("--checksum=sha-256={}", etag.trim_matches('"'));
    let segments = ["--no-conf", "-q", "-x8", "-s8", "-k1M", "-o", "big"];
    desk.run(
        "aria2c",
        [&segments[..], &[&checksum, &artifact(&origin, "big")]].concat(),
    );
    desk.assert_file("big", fixture::body("big"));
}

#[test]
fn axel_fetches_four_segments() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    let ran = desk.run("axel", ["-n", "4", "-o", "big", &artifact(&origin, "big")]);
    desk.assert_file("big", fixture::body("big"));
    assert!(!ran.text().contains("Server unsupported"), "{}", ran.text());
}

#[test]
fn lftp_fetches_four_segments_and_resumes() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    let settings = "set net:max-retries 1; set cmd:fail-exit true";
    let script = format!("{settings}; pget -n 4 {} -o big", artifact(&origin, "big"));
    desk.run("lftp", ["-c", &script]);
    desk.assert_file("big", fixture::body("big"));
    desk.half("big", "half");
    let script = format!("{settings}; get -c {} -o half", artifact(&origin, "big"));
    desk.run("lftp", ["-c", &script]);
    desk.assert_file("half", fixture::body("big"));
}

#[test]
fn a_device_reads_what_everybody_reads() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    let from = url(&origin, "");
    let output = desk.path("output");
    let args = [
        "get",
        "agent",
        "--channel",
        "stable",
        "--artifact",
        "big",
        "--json",
        "--from",
        &from,
    ];
    let mut command = cli::command(args);
    command.arg("--output").arg(&output);
    assert!(finish(command).text().contains("downloaded"));
    desk.assert_file("output/big", fixture::body("big"));
}

#[test]
fn netcat_speaks_http_1_0_and_half_closes_after_its_request() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    let path = fixture::url("big");
    fs::write(desk.path("request"), format!("GET {path} HTTP/1.0\r\n\r\n")).unwrap();
    let mut command = desk.client("nc");
    command.args([
        "-N",
        &origin.data.ip().to_string(),
        &origin.data.port().to_string(),
    ]);
    command.stdin(fs::File::open(desk.path("request")).unwrap());
    let answer = finish(command).stdout;
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap()
        + 4;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    assert!(
        head.starts_with("HTTP/1.") && head.contains(" 200 "),
        "{head}"
    );
    assert!(
        !head.to_ascii_lowercase().contains("transfer-encoding"),
        "{head}"
    );
    assert!(answer[end..] == *fixture::body("big"));
}

#[test]
fn h2load_pipelines_and_every_request_succeeds() {
    let (origin, desk) = (Origin::shared(), Desk::new());
    let load = ["--h1", "-n", "2000", "-c", "4", "-m", "16"];
    let ran = desk.run(
        "h2load",
        [&load[..], &[&artifact(&origin, "tiny")]].concat(),
    );
    let text = ran.text();
    assert!(
        text.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"),
        "{text}"
    );
    assert!(text.contains("2000 2xx"), "{text}");
}

#[test]
fn the_python_standard_client_reuses_its_connection() {
    const SCRIPT: &str = r#"
import hashlib, http.client, sys, urllib.error, urllib.request
host, path, etag = sys.argv[1:]
connection = http.client.HTTPConnection(host, timeout=60)
def ask(method, **fields):
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in fields.items()})
    answer = connection.getresponse()
    return answer, answer.read()
answer, body = ask("GET")
assert answer.status == 200 and f'"{hashlib.sha256(body).hexdigest()}"' == answer.headers["ETag"] == etag, answer.headers
socket = connection.sock
answer, part = ask("GET", Range="bytes=100-199", If_Range=etag)
assert answer.status == 206 and part == body[100:200], answer.status
answer, nothing = ask("GET", If_None_Match=etag)
assert answer.status == 304 and nothing == b"", answer.status
answer, nothing = ask("HEAD")
assert answer.status == 200 and nothing == b"" and int(answer.headers["Content-Length"]) == len(body)
answer, text = ask("GET", Range=f"bytes={len(body)}-")
assert answer.status == 416 and answer.headers["Content-Range"] == f"bytes */{len(body)}"
answer, text = ask("DELETE")
assert answer.status == 405 and "GET" in answer.headers["Allow"]
answer, whole = ask("GET")
assert whole == body
assert connection.sock is socket is not None, "one connection for all of it"
try:
    urllib.request.urlopen(f"http://{host}/artifacts/agent/1.0.0/none", timeout=60)
    raise SystemExit("a 404 was expected")
except urllib.error.HTTPError as error:
    assert error.code == 404
"#;
    let (origin, desk) = (Origin::shared(), Desk::new());
    let (host, path) = (origin.data.to_string(), fixture::url("piece-plus-one"));
    let etag = fixture::etag(fixture::body("piece-plus-one"));
    desk.run("python3", ["-c", SCRIPT, &host, &path, &etag]);
}
