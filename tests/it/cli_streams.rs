//! What goes to which stream, and what happens when nobody reads it; only results may be on standard output.

use std::fs::OpenOptions;
use std::process::Stdio;

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
    for store in ["by-variable", "by-flag", "by-file"] {
        assert!(sandbox.path().join(store).is_dir(), "{store}");
    }
    assert!(!sandbox.path().join("headwater-store").exists());
}
