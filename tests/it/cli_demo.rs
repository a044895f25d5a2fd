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

/// The table of `demo --edge`: device, POP, request, status, X-Cache, age, and what a channel said.
fn edge_rows(story: &str) -> Vec<Vec<&str>> {
    let lines = story.lines().map(|line| line.split_whitespace().collect());
    let rows: Vec<Vec<&str>> = lines.collect();
    let is_row = |row: &&Vec<&str>| row.len() >= 8 && row[4..7].join(" ").ends_with("cloudfront");
    rows.iter().filter(is_row).cloned().collect()
}

#[test]
fn the_demo_with_an_edge_shows_misses_hits_an_old_channel_and_a_purge() {
    let sandbox = Sandbox::new();
    let story = sandbox.done(&["demo", "--edge", "--once"]);
    let rows = edge_rows(&story);
    let of = |step: &str, what: &str| -> Vec<&Vec<&str>> {
        let is = |row: &&Vec<&str>| row[0] == step && row[2] == what;
        rows.iter().filter(is).collect()
    };
    for what in ["channel", "release", "artifact"] {
        let (first, second) = (of("first", what), of("second", what));
        assert_eq!((first.len(), second.len()), (3, 3), "{story}");
        // What one POP has brought, the next finds on the way: in its region's cache, or in the shield.
        assert_eq!(first[0][4], "Miss", "{what}: {story}");
        assert!(
            first[1..]
                .iter()
                .all(|row| row[4] != "Miss" || what == "channel"),
            "{story}"
        );
        // A channel's copy may have ended between the two devices of a slow run.
        assert!(
            second
                .iter()
                .all(|row| row[4] == "Hit" || what == "channel"),
            "{what}: {story}"
        );
    }
    let says = |row: &Vec<&str>| row.last().unwrap().to_string();
    let promoted: Vec<_> = of("promoted", "channel").into_iter().map(says).collect();
    let (last, old) = promoted.split_last().unwrap();
    assert_eq!(last, "1.1.0", "{story}");
    assert!(old.iter().all(|version| version == "1.0.0"), "{story}");
    let purged = of("purged", "channel");
    assert_eq!(purged.len(), 3);
    assert!(purged.iter().all(|row| says(row) == "1.2.0"), "{story}");
    assert_eq!(purged[0][4], "Miss", "{story}");
    let total = story
        .lines()
        .find(|line| line.starts_with("in all "))
        .unwrap();
    let numbers: Vec<usize> = total
        .split_whitespace()
        .filter_map(|it| it.parse().ok())
        .collect();
    assert_eq!(numbers[0], rows.len(), "{story}");
    assert!(numbers[1] < numbers[0], "{total}");
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
