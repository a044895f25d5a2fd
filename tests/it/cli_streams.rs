//! What goes to which stream, and what happens when nobody reads it; only results may be on standard output.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use crate::cli_sandbox::Sandbox;

#[test]
fn a_reader_that_goes_away_is_neither_a_panic_nor_a_failure() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let sandbox = Sandbox::new();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = sandbox
        .command(&["config", "show"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(
        complaint.starts_with("error: cannot write to standard output: "),
        "{complaint}"
    );
}

#[test]
fn a_result_is_alone_on_standard_output_and_has_no_colours() {
    let sandbox = Sandbox::new();
    sandbox.write("tool", "one");
    for arguments in [
        ["publish", "agent", "1.0.0", "tool", "--json"].as_slice(),
        &["publish", "agent", "1.0.0", "tool", "--json", "--quiet"],
        &["--quiet", "releases"],
        &["--help"],
    ] {
        let ran = sandbox.run(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(
            !ran.stdout.contains('\u{1b}') && !ran.stdout.is_empty(),
            "{arguments:?}"
        );
    }
}

#[test]
fn an_error_is_text_on_standard_error_also_with_json() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["releases", "--json", "--quiet"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    assert!(
        ran.stderr
            .starts_with("error: there is no store at `./headwater-store`\nhint: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_variable_names_the_store_and_the_flag_overrides_it() {
    let sandbox = Sandbox::new();
    let init = |arguments: &[&str]| {
        let output = sandbox
            .command(arguments)
            .env("HEADWATER_STORE", "by-variable")
            .output()
            .unwrap();
        assert!(output.status.success());
    };
    init(&["init"]);
    init(&["init", "--store", "by-flag"]);
    sandbox.write("origin.toml", "[store]\npath = \"by-file\"\n");
    sandbox.done(&["init", "--config", "origin.toml"]);
    let odd = OsStr::from_bytes(b"not-\xff-utf-8");
    let output = sandbox
        .command(&["init"])
        .env("HEADWATER_STORE", odd)
        .output()
        .unwrap();
    assert!(output.status.success());
    for store in ["by-variable", "by-flag", "by-file"]
        .map(OsStr::new)
        .into_iter()
        .chain([odd])
    {
        assert!(sandbox.path().join(store).is_dir(), "{}", store.display());
    }
    assert!(!sandbox.path().join("headwater-store").exists());
}

/// Runs the program on a terminal of 120 columns, made by `script` of util-linux; returns what the terminal showed.
fn on_a_terminal(sandbox: &Sandbox, arguments: &str, variables: &[(&str, &str)]) -> String {
    let line = format!(
        "stty cols 120; exec {} {arguments}",
        env!("CARGO_BIN_EXE_headwater")
    );
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(sandbox.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TERM", "xterm")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    shown
}

#[test]
fn on_a_terminal_publishing_shows_rate_and_remaining_time_unless_it_is_quiet() {
    let sandbox = Sandbox::new();
    sandbox.write("image", vec![7; 16 * 1024 * 1024]);
    let shown = on_a_terminal(&sandbox, "publish image 1.0.0 image", &[]);
    assert!(
        shown.contains(" of 16.00 MiB ") && shown.contains("iB/s") && shown.contains(" left"),
        "{shown:?}"
    );
    assert!(shown.contains("published image 1.0.0"), "{shown:?}");
    let shown = on_a_terminal(&sandbox, "--quiet publish image 1.1.0 image", &[]);
    assert_eq!(shown, "published image 1.1.0: 1 artifact, 16.00 MiB\r\n");
}

#[test]
fn on_a_terminal_help_has_colours_unless_they_are_not_wanted() {
    let sandbox = Sandbox::new();
    let shown = on_a_terminal(&sandbox, "--help", &[]);
    assert!(shown.contains("\u{1b}["), "{shown:?}");
    let shown = on_a_terminal(&sandbox, "--help", &[("NO_COLOR", "1")]);
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}
