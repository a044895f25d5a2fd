//! kill -9 at every step, and two commands at once, with the real binary.
//!
//! After each crash: every URL that worked works, nothing half-made is visible, and the repeat ends in the same state
//! as an undisturbed run.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::sync::Arc;

use headwater::publish::{Publisher, Silent};
use headwater::store::disk::DirectoryStore;
use serde_json::Value;

use crate::support::command::{Ended, headwater, run, run_crashing, start, start_and_pause};
use crate::support::engineer::{Engineer, publisher_to, tree};

const SIGKILL: i32 = 9;
const NO_PERMISSION_UID: u32 = 65_534;

/// A store with a promoted release 1.0, and the input of 2.0: two small files and one large.
struct Scene {
    engineer: Engineer,
    input: String,
}

impl Scene {
    fn new() -> Self {
        let engineer = Engineer::new();
        let old = engineer.files(&[("a", b"old"), ("sub/b", b"older")]);
        let large: Vec<u8> = (0..1_400_000_u32).flat_map(u32::to_le_bytes).collect();
        let new = engineer.files(&[("a", b"new"), ("sub/b", b"newer"), ("large", &large)]);
        let scene = Self {
            engineer,
            input: new.display().to_string(),
        };
        let publish = [
            "publish",
            "agent",
            "1.0",
            old.to_str().unwrap(),
            "--channel",
            "stable",
        ];
        assert_eq!(scene.run(&publish).code, Some(0));
        scene
    }

    fn store(&self) -> &Path {
        self.engineer.store.path()
    }

    fn publish(&self) -> Vec<&str> {
        vec![
            "publish",
            "agent",
            "2.0",
            &self.input,
            "--channel",
            "stable",
        ]
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        run(self.store(), arguments)
    }

    fn run_killed(&self, arguments: &[&str], at: &str) {
        let ended = run_crashing(self.store(), arguments, at);
        assert_eq!(ended.signal, Some(SIGKILL), "{at}: {ended:?}");
    }

    /// What the origin would serve of releases: artifacts by URL path, only those that a release document lists, and
    /// none of a retired release.
    fn served(&self) -> BTreeMap<String, Vec<u8>> {
        let stored = tree(&self.engineer.stored("artifacts"));
        let mut served = BTreeMap::new();
        for (path, bytes) in &stored {
            let Some(folder) = path.strip_suffix("/release.json") else {
                continue;
            };
            served.insert(path.clone(), bytes.clone());
            if stored.contains_key(&format!("{folder}/retired.json")) {
                continue;
            }
            let document: Value = serde_json::from_slice(bytes).unwrap();
            for artifact in document["artifacts"].as_array().unwrap() {
                let name = format!("{folder}/{}", artifact["name"].as_str().unwrap());
                served.insert(name.clone(), stored[&name].clone());
            }
        }
        served
    }

    fn check_undamaged(&self, at: &str) {
        let publisher = publisher_to(Arc::clone(&self.engineer.store));
        assert_eq!(damage_in(&publisher), [] as [String; 0], "{at}");
    }

    /// Artifacts and channels, without what differs between any two runs: times, and digests of documents with times.
    fn state(&self) -> BTreeMap<String, String> {
        let mut state = BTreeMap::new();
        for top in ["artifacts", "channels"] {
            for (path, bytes) in tree(&self.engineer.stored(top)) {
                let text = if Path::new(&path).extension().is_some_and(|is| is == "json") {
                    let mut document: Value = serde_json::from_slice(&bytes).unwrap();
                    forget_times(&mut document);
                    document.to_string()
                } else {
                    headwater::model::Digest::of(&bytes).to_hex()
                };
                state.insert(format!("{top}/{path}"), text);
            }
        }
        state
    }
}

fn damage_in(publisher: &Publisher) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let found = runtime
        .block_on(publisher.verify(None, None, Arc::new(Silent)))
        .unwrap();
    found
        .damage
        .into_iter()
        .map(|damage| format!("{}: {}", damage.key, damage.what))
        .collect()
}

fn forget_times(document: &mut Value) {
    let Value::Object(fields) = document else {
        return;
    };
    for time in ["published_at", "updated_at", "retired_at"] {
        fields.remove(time);
    }
    for pointer in ["release", "previous"] {
        if let Some(Value::Object(pointer)) = fields.get_mut(pointer) {
            pointer.remove("sha256"); // `verify` checks that it fits
        }
    }
}

/// Kills `arguments` at each of `points`, then repeats it, each time in a new scene that `prepare` made ready.
fn survive(points: &[&str], prepare: impl Fn(&Scene), arguments: impl Fn(&Scene) -> Vec<String>) {
    let command = |scene: &Scene| arguments(scene);
    let run_whole = |scene: &Scene| {
        let arguments = command(scene);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = scene.run(&arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    let undisturbed = Scene::new();
    prepare(&undisturbed);
    run_whole(&undisturbed);
    let expected = undisturbed.state();
    for at in points {
        let scene = Scene::new();
        prepare(&scene);
        let arguments = command(&scene);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let before = scene.served();
        scene.run_killed(&arguments, at);
        scene.check_undamaged(at);
        let after = scene.served();
        let is_retirement = arguments[0] == "retire";
        for (url, bytes) in &before {
            assert!(
                is_retirement || after.get(url) == Some(bytes),
                "{at}: {url} broke"
            );
        }
        run_whole(&scene);
        assert_eq!(scene.state(), expected, "{at}");
        scene.check_undamaged(at);
        if arguments[0] == "publish" {
            let left = tree(&scene.engineer.stored(".headwater/tmp"));
            assert_eq!(
                left,
                BTreeMap::new(),
                "{at}: the repeat takes the dead one's room back"
            );
        }
        let pruned = scene.run(&["prune", "--keep", "9"]);
        assert_eq!(pruned.code, Some(0), "{at}: {pruned:?}");
        assert_eq!(
            tree(&scene.engineer.stored(".headwater")),
            BTreeMap::new(),
            "{at}"
        );
        assert_eq!(scene.state(), expected, "{at}");
    }
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments
        .iter()
        .map(|argument| (*argument).to_owned())
        .collect()
}

#[test]
fn a_publish_killed_at_any_step_breaks_nothing_and_its_repeat_succeeds() {
    let points = [
        "publish.reserved",
        "store.artifact-written:1",
        "store.artifact-written:2",
        "store.artifact-written:3",
        "store.artifact-placed:1",
        "store.artifact-placed:3",
        "publish.after-artifact:1",
        "publish.after-artifact:2",
        "publish.after-artifact:3",
        "publish.artifacts-settled",
        "store.document-written:1",
        "store.document-staged:1",
        "store.document-placed:1",
        "publish.committed",
        "promote.before-swap",
        "store.document-written:2",
        "store.document-staged:2",
        "store.document-placed:2",
        "promote.after-swap",
    ];
    survive(&points, |_| {}, |scene| owned(&scene.publish()));
}

#[test]
fn a_promote_killed_at_any_step_leaves_the_old_channel_or_the_new_one() {
    let points = [
        "promote.before-swap",
        "store.document-written",
        "store.document-staged",
        "store.document-placed",
        "promote.after-swap",
    ];
    let prepare = |scene: &Scene| {
        let mut arguments = scene.publish();
        arguments.truncate(4);
        assert_eq!(scene.run(&arguments).code, Some(0));
    };
    survive(&points, prepare, |_| {
        owned(&["promote", "agent", "2.0", "--to", "stable"])
    });
    survive(&points, prepare, |_| {
        owned(&["promote", "agent", "2.0", "--to", "beta"])
    });
}

#[test]
fn a_retire_killed_at_any_step_is_finished_by_its_repeat() {
    let points = [
        "store.document-written",
        "store.document-staged",
        "store.document-placed",
        "retire.marked",
        "store.removed-one:1",
        "store.removed-one:3",
        "retire.removed",
    ];
    let prepare = |scene: &Scene| {
        let mut arguments = scene.publish();
        arguments.truncate(4);
        assert_eq!(scene.run(&arguments).code, Some(0));
    };
    survive(&points, prepare, |_| {
        owned(&["retire", "agent", "2.0", "--reason", "a test"])
    });
}

#[test]
fn a_rollback_killed_before_its_swap_changes_nothing() {
    let scene = Scene::new();
    assert_eq!(scene.run(&scene.publish()).code, Some(0));
    let before = scene.state();
    let rollback = ["rollback", "agent", "--channel", "stable"];
    for at in [
        "promote.before-swap",
        "store.document-written",
        "store.document-staged",
    ] {
        scene.run_killed(&rollback, at);
        assert_eq!(scene.state(), before, "{at}");
    }
    scene.run_killed(&rollback, "store.document-placed");
    let channel = scene.run(&["channels", "agent", "--json"]);
    assert!(
        channel.stdout.contains("\"revision\": 3"),
        "{}",
        channel.stdout
    );
    scene.check_undamaged("store.document-placed");
}

#[test]
fn a_second_publisher_of_the_same_bytes_waits_and_finds_nothing_to_do() {
    let scene = Scene::new();
    let arguments = [&scene.publish()[..4], &["--json"]].concat();
    let gate = scene.engineer.files(&[]).join("gate");
    let first = headwater(scene.store(), &arguments);
    let first = start_and_pause(first, "publish.after-artifact", &gate);
    let mut second = start(headwater(scene.store(), &arguments));
    assert!(second.is_running());
    let first = first.resume().ended();
    let second = second.ended();
    assert_eq!(first.json()["state"], "published");
    assert_eq!(second.json()["state"], "unchanged");
    scene.check_undamaged("two publishers");
}

#[test]
fn a_second_publisher_of_other_bytes_is_refused_and_changes_nothing() {
    let scene = Scene::new();
    let gate = scene.engineer.files(&[]).join("gate");
    let first = headwater(scene.store(), &scene.publish());
    let first = start_and_pause(first, "publish.after-artifact", &gate);
    let other = scene
        .engineer
        .files(&[("a", b"other"), ("sub/b", b"newer"), ("large", b"x")]);
    let second = ["publish", "agent", "2.0", other.to_str().unwrap()];
    let second = start(headwater(scene.store(), &second));
    assert_eq!(first.resume().ended().code, Some(0));
    let second = second.ended();
    assert_eq!(second.code, Some(3), "{second:?}");
    assert!(second.stderr.contains("`a`"), "{}", second.stderr);
    scene.check_undamaged("two publishers");
    let stored = std::fs::read(scene.engineer.stored("artifacts/agent/2.0/a")).unwrap();
    assert_eq!(stored, b"new");
}

#[test]
fn a_publisher_that_waits_for_one_that_dies_publishes_its_own_bytes() {
    let scene = Scene::new();
    let gate = scene.engineer.files(&[]).join("gate");
    let first = headwater(scene.store(), &scene.publish());
    let first = start_and_pause(first, "publish.artifacts-settled", &gate);
    let other = scene.engineer.files(&[("a", b"other"), ("more", b"x")]);
    let second = ["publish", "agent", "2.0", other.to_str().unwrap(), "--json"];
    let second = start(headwater(scene.store(), &second));
    assert_eq!(first.running.kill().signal, Some(SIGKILL));
    assert_eq!(second.ended().json()["state"], "published");
    scene.check_undamaged("a dead publisher");
    let files: Vec<_> = tree(&scene.engineer.stored("artifacts/agent/2.0"))
        .into_keys()
        .collect();
    assert_eq!(files, ["a", "more", "release.json"]);
}

#[test]
fn a_promote_that_lost_its_swap_tries_again_on_the_new_channel() {
    let scene = Scene::new();
    assert_eq!(scene.run(&scene.publish()[..4]).code, Some(0));
    let gate = scene.engineer.files(&[]).join("gate");
    let slow = ["promote", "agent", "2.0", "--to", "stable", "--json"];
    let slow = start_and_pause(
        headwater(scene.store(), &slow),
        "promote.before-swap",
        &gate,
    );
    let other = scene.engineer.files(&[("a", b"3")]);
    let fast = [
        "publish",
        "agent",
        "3.0",
        other.to_str().unwrap(),
        "--channel",
        "stable",
    ];
    assert_eq!(scene.run(&fast).code, Some(0));
    assert_eq!(slow.resume().ended().code, Some(0));
    let text = std::fs::read(scene.engineer.stored("channels/agent/stable.json")).unwrap();
    let channel: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(channel["revision"], 3);
    assert_eq!(channel["release"]["version"], "2.0");
    assert_eq!(channel["previous"]["version"], "3.0");
}

#[test]
fn a_rollback_that_lost_its_swap_is_refused_and_not_applied_to_another_release() {
    let scene = Scene::new();
    assert_eq!(scene.run(&scene.publish()).code, Some(0));
    let gate = scene.engineer.files(&[]).join("gate");
    let slow = headwater(scene.store(), &["rollback", "agent", "--channel", "stable"]);
    let slow = start_and_pause(slow, "promote.before-swap", &gate);
    let other = scene.engineer.files(&[("a", b"3")]);
    let fast = [
        "publish",
        "agent",
        "3.0",
        other.to_str().unwrap(),
        "--channel",
        "stable",
    ];
    assert_eq!(scene.run(&fast).code, Some(0));
    let slow = slow.resume().ended();
    assert_eq!(slow.code, Some(1), "{slow:?}");
    assert!(slow.stderr.contains("3.0"), "{}", slow.stderr);
    let text = std::fs::read(scene.engineer.stored("channels/agent/stable.json")).unwrap();
    let channel: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(channel["release"]["version"], "3.0");
}

#[test]
fn a_retire_waits_for_a_promote_of_the_same_release_and_is_then_refused() {
    let scene = Scene::new();
    assert_eq!(scene.run(&scene.publish()[..4]).code, Some(0));
    let gate = scene.engineer.files(&[]).join("gate");
    let promote = headwater(scene.store(), &["promote", "agent", "2.0", "--to", "beta"]);
    let promote = start_and_pause(promote, "promote.before-swap", &gate);
    let retire = start(headwater(
        scene.store(),
        &["retire", "agent", "2.0", "--reason", "x"],
    ));
    assert_eq!(promote.resume().ended().code, Some(0));
    let retire = retire.ended();
    assert_eq!(retire.code, Some(3), "{retire:?}");
    assert!(retire.stderr.contains("`beta`"), "{}", retire.stderr);
    scene.check_undamaged("retire against promote");
}

/// Root may write everywhere, so that the command runs as nobody.
#[test]
fn without_permission_nothing_is_written_and_the_error_says_why() {
    let scene = Scene::new();
    let folder = scene.engineer.files(&[]);
    let binary = folder.join("headwater");
    std::fs::copy(env!("CARGO_BIN_EXE_headwater"), &binary).unwrap();
    let open_to_all = std::fs::Permissions::from_mode(0o755);
    let top = folder.parent().unwrap();
    std::fs::set_permissions(top, open_to_all).unwrap();
    let before = scene.state();
    let as_nobody = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&binary);
        command
            .env_clear()
            .args(arguments)
            .arg("--store")
            .arg(scene.store());
        command.uid(NO_PERMISSION_UID).gid(NO_PERMISSION_UID);
        let output = command
            .output()
            .expect("this test changes its user and must run as root");
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(as_nobody(&["verify"]).0, Some(0));
    let (code, text) = as_nobody(&scene.publish());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.to_lowercase().contains("permission denied"), "{text}");
    assert_eq!(scene.state(), before);
    let closed = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(scene.store().join("artifacts"), closed).unwrap();
    let (code, text) = as_nobody(&["releases"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.to_lowercase().contains("permission denied"), "{text}");
}

#[test]
fn a_store_that_was_never_made_is_named_with_the_way_to_make_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = DirectoryStore::open(folder.path().join("none")).unwrap_err();
    assert!(
        error.source.to_string().contains("headwater init"),
        "{}",
        error.source
    );
    let ended = run(&folder.path().join("none"), &["releases"]);
    assert!(ended.stderr.contains("headwater init"), "{ended:?}");
    assert_ne!(ended.code, Some(0));
}
