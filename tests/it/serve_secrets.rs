//! Origin secrets in a file: what is refused at the start, and what SIGHUP changes while connections are open.
//!
//! Never lets a value be seen: every message and log line is searched for the secrets.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::cli_sandbox::Sandbox;
use crate::harness::fixture;
use crate::harness::origin::{Origin, Setup};
use crate::harness::wire::Conn;
use crate::harness::{PATIENCE, poll};

const OLD: &str = "old-secret-value-0001";
const NEW: &str = "new-secret-value-0002";
const SETTING: &str = "set-secret-value-0003";

/// A file of secrets, and an origin that reads it beside a secret of its configuration.
struct Guarded {
    origin: Origin,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Guarded {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        fs::write(&file, format!("# The edge's.\n\n  {OLD}  \n")).unwrap();
        let origin = Setup::new().config(&format!(
            "[server]\norigin_secrets = [\"{SETTING}\"]\norigin_secrets_path = '{}'\n",
            file.display()
        ));
        Self {
            origin: origin.start(),
            file,
            _folder: folder,
        }
    }

    /// Asks for a reload and waits until the log has a line `about` it that was not there.
    #[track_caller]
    fn reload(&self, about: &str) -> String {
        let lines = || self.origin.log().into_iter().filter(|l| l.contains(about));
        let before = lines().count();
        self.origin.signal(Signal::HUP);
        poll(PATIENCE, about, || lines().nth(before))
    }

    #[track_caller]
    fn assert_hidden(&self) {
        let log = self.origin.log().join("\n");
        assert!(!log.contains("secret-value"), "a secret in the log: {log}");
    }
}

fn field(secret: &str) -> String {
    format!("X-Origin-Secret: {secret}\r\n")
}

#[track_caller]
fn status(conn: &mut Conn, secret: &str) -> u16 {
    conn.get(&fixture::url("tiny"), &field(secret)).status
}

#[test]
fn after_a_hangup_the_next_request_of_an_open_connection_meets_the_new_file() {
    let guarded = Guarded::start();
    let mut conns: Vec<Conn> = (0..8).map(|_| guarded.origin.connect()).collect();
    for conn in &mut conns {
        let answers = [OLD, SETTING, NEW, ""].map(|secret| status(conn, secret));
        assert_eq!(answers, [200, 200, 403, 403]);
    }
    // A download that is under way when the secret it was asked with is taken back.
    let big = fixture::body("big");
    let mut running = Conn::open_narrow(guarded.origin.data, 8 * 1024);
    running.send(format!(
        "GET {} HTTP/1.1\r\nHost: x\r\n{}\r\n",
        fixture::url("big"),
        field(OLD)
    ));
    assert_eq!(running.head().status, 200);
    fs::write(&guarded.file, format!("{NEW}\n")).unwrap();
    for conn in &mut conns {
        assert_eq!(status(conn, OLD), 200, "nobody was told to read it yet");
    }
    guarded.reload("read the origin secrets again");
    for conn in &mut conns {
        let answers = [OLD, SETTING, NEW, ""].map(|secret| status(conn, secret));
        assert_eq!(answers, [403, 200, 200, 403]);
    }
    let mut received = Vec::new();
    let outcome = running.drain_body(big.len() as u64, |bytes| received.extend_from_slice(bytes));
    assert_eq!(outcome, Ok(()));
    assert!(received == big);
    guarded.assert_hidden();
}

#[test]
fn a_file_that_cannot_be_used_leaves_the_secrets_before_and_says_why() {
    let guarded = Guarded::start();
    let file = guarded.file.display().to_string();
    let mut conn = guarded.origin.connect();
    for (text, wanted) in [
        (String::new(), format!("{file}:1: there is no secret")),
        (
            format!("{NEW}\nsecret-value\n"),
            format!("{file}:2: the secret has 12 characters"),
        ),
        (
            format!("{NEW}\n{NEW}\n{NEW}\n{NEW}\n"),
            format!("{file}:4: is secret 5; allowed: up to 4"),
        ),
        (
            format!("{NEW},{OLD}\n"),
            format!("{file}:1: the secret has a character other than visible ASCII without comma"),
        ),
    ] {
        fs::write(&guarded.file, text).unwrap();
        let line = guarded.reload("cannot take new origin secrets");
        assert!(line.contains(&wanted), "{line}");
        let answers = [OLD, SETTING, NEW, ""].map(|secret| status(&mut conn, secret));
        assert_eq!(answers, [200, 200, 403, 403], "{wanted}");
    }
    fs::remove_file(&guarded.file).unwrap();
    let line = guarded.reload("cannot take new origin secrets");
    assert!(line.contains("server.origin_secrets_path"), "{line}");
    assert!(line.contains(&file), "{line}");
    assert_eq!(status(&mut conn, OLD), 200);
    // The way out is a file that can be used.
    fs::write(&guarded.file, NEW).unwrap();
    guarded.reload("read the origin secrets again");
    assert_eq!([OLD, NEW].map(|s| status(&mut conn, s)), [403, 200]);
    guarded.assert_hidden();
}

#[test]
fn without_a_file_a_hangup_is_survived() {
    let origin = Setup::new().start();
    origin.signal(Signal::HUP);
    poll(PATIENCE, "the log says that nothing is read", || {
        let log = origin.log();
        log.iter().find(|l| l.contains("nothing to read")).cloned()
    });
    origin.assert_alive();
}

/// What `serve` says and how it ends when the file has this text; `None` has no file.
fn refused(text: Option<&[u8]>) -> (i32, String) {
    let sandbox = Sandbox::new();
    sandbox.done(&["init"]);
    if let Some(text) = text {
        sandbox.write("secrets", text);
    }
    let mut command = sandbox.command(&["serve", "--listen", "127.0.0.1:0", "--admin"]);
    command.args(["127.0.0.1:0"]);
    command.env("HEADWATER_ORIGIN_SECRETS_PATH", "secrets");
    command.env("HEADWATER_ORIGIN_SECRETS", SETTING);
    let ran = crate::cli_sandbox::Ran::of(command.output().unwrap());
    assert_eq!(ran.stdout, "", "it must not listen");
    assert!(!ran.stderr.contains("secret-value"), "{}", ran.stderr);
    (ran.code, ran.stderr)
}

#[test]
fn an_origin_does_not_start_without_the_secrets_it_was_told_to_ask_for() {
    let (code, missing) = refused(None);
    assert_eq!(code, 4, "{missing}");
    assert!(
        missing.contains("`server.origin_secrets_path`, `secrets`: No such file"),
        "{missing}"
    );
    let four = format!("{NEW}\n").repeat(4);
    let long = vec![b'#'; 17 * 1024];
    for (text, code, wanted) in [
        (&b"# none\n\n"[..], 2, "secrets:1: there is no secret"),
        (
            b"ok-ok-ok-ok-ok-ok\nshort\n",
            2,
            "secrets:2: the secret has 5 characters; allowed: 16 to 256",
        ),
        (
            four.as_bytes(),
            2,
            "secrets:4: is secret 5; allowed: up to 4",
        ),
        (
            b"0123456789abcdef\xff\n",
            2,
            "secrets:1: the secret has a character other than visible ASCII",
        ),
        (&long, 1, "more than 16384 bytes"),
    ] {
        let (ended, said) = refused(Some(text));
        assert_eq!(ended, code, "{said}");
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn all_that_is_wrong_with_the_file_is_told_at_once() {
    let (_, said) = refused(Some(b"short\n# fine\nsecret-value with blanks\n"));
    assert!(
        said.contains("secrets:1: ") && said.contains("secrets:3: "),
        "{said}"
    );
}

#[test]
fn looking_at_a_configuration_reads_no_secret() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "origin.toml",
        "[server]\norigin_secrets_path = \"/nowhere/secrets\"\n",
    );
    sandbox.done(&["config", "check", "origin.toml"]);
    let shown = sandbox.done(&["config", "show", "origin.toml"]);
    let path = "origin_secrets_path";
    let row = |shown: &str| {
        let line = shown.lines().find(|line| line.starts_with(path)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        row(&shown),
        format!("{path} = \"/nowhere/secrets\" # origin.toml:2")
    );
    let mut command = sandbox.command(&["config", "show", "origin.toml"]);
    command.env("HEADWATER_ORIGIN_SECRETS_PATH", Path::new("/run/secrets"));
    let shown = crate::cli_sandbox::Ran::of(command.output().unwrap()).stdout;
    assert_eq!(
        row(&shown),
        format!("{path} = \"/run/secrets\" # HEADWATER_ORIGIN_SECRETS_PATH")
    );
}
