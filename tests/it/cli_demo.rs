//! `demo`: the whole story in one command, and that it leaves nothing behind.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::Signal;

use crate::cli_sandbox::{Sandbox, send, wait};

fn is_clean(sandbox: &Sandbox) -> bool {
    std::fs::read_dir(sandbox.temporary()).unwrap().count() == 0
}

#[test]
fn the_demo_breaks_off_resumes_verifies_asks_again_and_cleans_up() {
    let sandbox = Sandbox::new();
    let story = sandbox.done(&["demo", "--once"]);
    let mut rest = story.as_str();
    for step in [
        "published ",
        "promoted ",
        "origin ",
        "broke the download off",
        "resumed: ",
        "verified ",
        "try ",
    ] {
        let at = rest
            .find(step)
            .unwrap_or_else(|| panic!("no {step:?} in its place: {story}"));
        rest = &rest[at..];
    }
    let rows: Vec<Vec<&str>> = story
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let row = |start: &[&str]| {
        let found = rows.iter().find(|row| row.starts_with(start));
        found
            .unwrap_or_else(|| panic!("no {start:?} in {story}"))
            .clone()
    };
    let bytes = |row: &[&str], at: usize| row[at].parse::<u64>().unwrap();
    let image = 64 * 1024 * 1024;
    let broken = bytes(&row(&["breaks", "off", "artifact", "200"]), 4);
    assert!((image / 2..image).contains(&broken), "{broken}");
    let resumed = bytes(&row(&["resumes", "artifact", "206"]), 3);
    assert!(resumed > 0 && resumed < image, "{resumed}");
    assert_eq!(bytes(&row(&["asks", "again", "artifact", "304"]), 4), 0);
    assert!(is_clean(&sandbox));
}

#[test]
fn an_interrupted_demo_cleans_up_too() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command(&["demo"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().unwrap().starts_with("serving until Ctrl-C"))
        .unwrap()
        .unwrap();
    assert!(!is_clean(&sandbox));
    send(&child, Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(0));
    assert!(is_clean(&sandbox));

    let mut child = sandbox
        .command(&["demo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().unwrap().starts_with("published"))
        .unwrap()
        .unwrap();
    send(&child, Signal::TERM);
    assert!(wait(&mut child).code().is_some_and(|code| code <= 1));
    assert!(is_clean(&sandbox));
}
