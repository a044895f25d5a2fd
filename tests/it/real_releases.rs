//! Consecutive versions of a real program: published one after the other, promoted, rolled back, and fetched by a
//! device and by other people's clients. The digests are those that the program's own publisher wrote down.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::harness::origin::{Setup, StoreDir};
use crate::harness::{PATIENCE, cli, poll};
use crate::real_clients::{Desk, finish, url};

/// In the order of their release. `tests/setup/real_input.sh` downloads them.
const VERSIONS: [&str; 5] = ["0.12.0", "0.12.1", "0.12.2", "0.12.3", "0.12.4"];

/// The folder of real input; a test that does not find its input fails.
pub fn real_input(path: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    let path = target.join("real").join(path);
    assert!(
        path.exists(),
        "{} is missing: run tests/run",
        path.display()
    );
    path
}

/// The wheel of a version, as its publisher uploaded it.
pub fn wheel(version: &str) -> PathBuf {
    let entries = fs::read_dir(real_input(&format!("ruff/{version}"))).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    found.expect("the wheel is missing: run tests/run")
}

/// In lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The digest of the executable that the publisher wrote into the wheel's RECORD.
fn recorded(version: &str) -> String {
    let record = fs::read_to_string(real_input(&format!("ruff/{version}/RECORD"))).unwrap();
    let name = format!("ruff-{version}.data/scripts/ruff,sha256=");
    let digest = record
        .lines()
        .find_map(|line| line.strip_prefix(&name)?.split(',').next());
    hex(&URL_SAFE_NO_PAD
        .decode(digest.expect("RECORD lists the executable"))
        .unwrap())
}

/// Publishes one version, and nothing else.
fn publish(store: &StoreDir, version: &str) {
    let executable = real_input(&format!("ruff/{version}/ruff"));
    store
        .commands()
        .publish("ruff", version, &[&executable], None);
}

#[test]
fn a_device_follows_five_releases_and_a_rollback_with_the_digests_of_their_publisher() {
    let (store, desk) = (StoreDir::empty(), Desk::new());
    let mut init = cli::command(["init", "--store"]);
    init.arg(store.path());
    finish(init);
    let origin = Setup::new().store(&Arc::clone(&store)).start();
    let from = url(&origin, "");
    // One folder for all: an update replaces the version before. The origin shows a move of the channel within a
    // second, not at once on every thread, so that a device may find the version before once more.
    let update = |version: &str, state: &str| {
        let report = poll(PATIENCE, version, || {
            let mut get = cli::command(["get", "ruff", "--channel", "stable", "--json"]);
            get.args(["--from", &from, "--output"])
                .arg(desk.path("device"));
            let report: serde_json::Value = serde_json::from_slice(&finish(get).stdout).unwrap();
            (report["version"] == version).then_some(report)
        });
        assert_eq!(report["state"], state, "{version}");
        let bytes = fs::read(desk.path("device/ruff")).unwrap();
        assert_eq!(sha256(&bytes), recorded(version), "{version} on the device");
        assert_eq!(fs::read_dir(desk.path("device")).unwrap().count(), 1);
    };
    for version in VERSIONS {
        publish(&store, version);
        store.commands().promote("ruff", version, "stable");
        update(version, "downloaded");
    }
    let rollback = [
        "rollback",
        "ruff",
        "--channel",
        "stable",
        "--reason",
        "a test",
        "--store",
    ];
    let mut command = cli::command(rollback);
    command.arg(store.path());
    finish(command);
    update(VERSIONS[3], "downloaded");
}

#[test]
fn other_clients_resume_and_split_five_releases_with_the_digests_of_their_publisher() {
    let (store, desk) = (StoreDir::empty(), Desk::new());
    for version in VERSIONS {
        publish(&store, version);
    }
    let origin = Setup::new().store(&Arc::clone(&store)).start();
    for version in VERSIONS {
        let from = url(&origin, &format!("/artifacts/ruff/{version}/ruff"));
        let original = fs::read(real_input(&format!("ruff/{version}/ruff"))).unwrap();
        assert_eq!(sha256(&original), recorded(version), "the input itself");
        for half in ["by-curl", "by-wget"] {
            fs::write(desk.path(half), &original[..original.len() / 2]).unwrap();
        }
        desk.run("curl", ["-fsS", "-C", "-", "-o", "by-curl", &from]);
        desk.run("wget", ["-nv", "-c", "-O", "by-wget", &from]);
        let segments = [
            "--no-conf",
            "-q",
            "-x8",
            "-s8",
            "-k1M",
            "--allow-overwrite",
            "-o",
            "by-aria2",
        ];
        desk.run("aria2c", [&segments[..], &[&from]].concat());
        for file in ["by-curl", "by-wget", "by-aria2"] {
            let got = fs::read(desk.path(file)).unwrap();
            assert_eq!(sha256(&got), recorded(version), "{version} {file}");
        }
    }
}
