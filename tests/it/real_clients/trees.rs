//! Clients that need a tree of files, or ask for an artifact by many small parts: zsync, zchunk, git, pip, ostree,
//! casync, cargo. Each makes its tree with the client's own tools, so that nobody here decides what the client expects.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{Desk, Ran, origin_of, url};
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::{PATIENCE, fixture, poll};
use crate::real_releases;

/// Waits until an origin has logged so many requests for paths that contain `part`, and counts them. Records are
/// written behind the answers.
#[track_caller]
fn requests(origin: &Origin, part: &str, at_least: usize) -> usize {
    poll(PATIENCE, part, || {
        let log = origin.log();
        let asked = log.iter().filter(|line| line.contains(part)).count();
        (asked >= at_least).then_some(asked)
    })
}

/// An image and an older state of it: long stretches are equal, some are not.
fn two_images() -> (Vec<u8>, Vec<u8>) {
    let new = fixture::bytes(21, 8 * 1024 * 1024);
    let mut old = new.clone();
    for at in (0..64).map(|n| n * 131_072 + 7_777) {
        old[at..at + 64].fill(0);
    }
    (old, new)
}

#[test]
fn zsync_fetches_the_differences_with_few_requests() {
    let (tree, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let (old, new) = two_images();
    fs::write(tree.path().join("image"), &new).unwrap();
    let (origin, base) = origin_of("images", tree.path());
    fs::write(desk.path("old"), old).unwrap();
    fs::write(desk.path("new"), &new).unwrap();
    desk.run(
        "zsyncmake",
        ["-u", &format!("{base}/image"), "-o", "image.zsync", "new"],
    );
    fs::remove_file(desk.path("new")).unwrap();
    let ran = desk.run("zsync", ["-i", "old", "-o", "image", "image.zsync"]);
    desk.assert_file("image", &new);
    assert!(ran.text().contains("checksum matches OK"), "{}", ran.text());
    // zsync 0.6 asks for ever when a multipart body begins with its boundary (R15).
    let asked = requests(&origin, "/artifacts/images/1/image", 1);
    assert!(asked <= 64, "{asked} requests");
}

#[test]
fn zchunk_fetches_the_differences() {
    let (tree, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let (old, new) = two_images();
    fs::write(desk.path("old"), old).unwrap();
    fs::write(desk.path("new"), &new).unwrap();
    for name in ["old", "new"] {
        desk.run("zck", ["-o", &format!("{name}.zck"), name]);
    }
    fs::copy(desk.path("new.zck"), tree.path().join("image.zck")).unwrap();
    let expected = fs::read(tree.path().join("image.zck")).unwrap();
    let (_origin, base) = origin_of("images", tree.path());
    desk.run("zckdl", ["-s", "old.zck", &format!("{base}/image.zck")]);
    desk.assert_file("image.zck", &expected);
}

#[test]
fn git_clones_and_pulls_over_the_dumb_protocol() {
    let (tree, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let git = |args: &[&str]| -> Ran {
        let mut command = desk.client("git");
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        command
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(args);
        super::finish(command)
    };
    git(&["init", "-q", "-b", "main", "work"]);
    fs::write(desk.path("work/image"), fixture::body("piece")).unwrap();
    fs::write(desk.path("work/readme"), "one\n").unwrap();
    git(&["-C", "work", "add", "."]);
    git(&["-C", "work", "commit", "-q", "-m", "one"]);
    git(&["-C", "work", "tag", "v1"]);
    let repository = tree.path().join("agent.git");
    git(&[
        "clone",
        "-q",
        "--bare",
        "work",
        repository.to_str().unwrap(),
    ]);
    git(&[
        "-C",
        repository.to_str().unwrap(),
        "repack",
        "-q",
        "-a",
        "-d",
    ]);
    git(&["-C", repository.to_str().unwrap(), "update-server-info"]);
    let (_origin, base) = origin_of("sources", tree.path());
    git(&["clone", "-q", &format!("{base}/agent.git"), "clone"]);
    desk.assert_file("clone/image", fixture::body("piece"));
    git(&["-C", "clone", "fsck", "--full"]);
    let [ours, theirs] = ["work", "clone"].map(|at| git(&["-C", at, "rev-parse", "v1"]).text());
    assert_eq!(ours, theirs);
    git(&["-C", "clone", "pull", "-q"]);
}

#[test]
fn pip_downloads_a_wheel_from_a_page_of_links_and_reads_one_lazily() {
    let (tree, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let wheel = real_releases::wheel("0.12.0");
    let name = wheel.file_name().unwrap().to_str().unwrap();
    fs::copy(&wheel, tree.path().join(name)).unwrap();
    let digest = real_releases::sha256(&fs::read(&wheel).unwrap());
    let page = format!(
        "<!DOCTYPE html><html><body><a href=\"{name}#sha256={digest}\">{name}</a></body></html>"
    );
    fs::write(tree.path().join("index.html"), page).unwrap();
    let (origin, base) = origin_of("wheels", tree.path());
    let links = format!("{base}/index.html");
    let common = [
        "-m",
        "pip",
        "--isolated",
        "download",
        "-q",
        "--no-cache-dir",
        "--no-deps",
        "--no-index",
    ];
    for (way, feature) in [("whole", None), ("lazily", Some("--use-feature=fast-deps"))] {
        let mut args = common.to_vec();
        args.extend(feature);
        args.extend(["--find-links", &links, "--dest", way, "ruff==0.12.0"]);
        desk.run("python3", args);
        desk.assert_file(&format!("{way}/{name}"), &fs::read(&wheel).unwrap());
    }
    // The index of the archive is at its end: several parts before the whole.
    requests(&origin, name, 5);
}

#[test]
fn ostree_pulls_a_commit_from_a_release() {
    let (tree, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let repo = tree.path().join("repo");
    let at = |repo: &Path| format!("--repo={}", repo.display());
    fs::create_dir(desk.path("root")).unwrap();
    for name in ["tiny", "page", "piece-plus-one"] {
        fs::write(desk.path("root").join(name), fixture::body(name)).unwrap();
    }
    desk.run("ostree", [&at(&repo), "init", "--mode=archive"]);
    desk.run(
        "ostree",
        [
            &at(&repo),
            "commit",
            "--branch=os",
            "--owner-uid=0",
            "--owner-gid=0",
            "root",
        ],
    );
    desk.run("ostree", [&at(&repo), "summary", "-u"]);
    let (_origin, base) = origin_of("os", tree.path());
    let local = at(&desk.path("local"));
    desk.run("ostree", [&local, "init", "--mode=bare-user-only"]);
    desk.run(
        "ostree",
        [
            &local,
            "remote",
            "add",
            "--no-gpg-verify",
            "edge",
            &format!("{base}/repo"),
        ],
    );
    desk.run("ostree", [&local, "pull", "edge", "os"]);
    desk.run("ostree", [&local, "fsck", "-q"]);
    desk.run("ostree", [&local, "checkout", "-U", "edge:os", "checkout"]);
    for name in ["tiny", "page", "piece-plus-one"] {
        desk.assert_file(&format!("checkout/{name}"), fixture::body(name));
    }
}

#[test]
fn casync_extracts_an_image_from_a_store_of_chunks() {
    let (tree, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let (_, new) = two_images();
    fs::write(desk.path("image"), &new).unwrap();
    let index = tree.path().join("image.caibx");
    let store = format!("--store={}", tree.path().join("default.castr").display());
    desk.run("casync", ["make", &store, index.to_str().unwrap(), "image"]);
    let (_origin, base) = origin_of("images", tree.path());
    let store = format!("--store={base}/default.castr");
    desk.run(
        "casync",
        [
            "extract",
            &store,
            &format!("{base}/image.caibx"),
            "extracted",
        ],
    );
    desk.assert_file("extracted", &new);
}

#[test]
fn cargo_fetches_a_crate_from_a_sparse_registry() {
    let (tree, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let cargo = |args: &[&str]| {
        let mut command = desk.client(env!("CARGO"));
        // The toolchain's own home holds its settings and its cache; neither is used.
        command
            .env("RUSTC", Path::new(env!("CARGO")).with_file_name("rustc"))
            .env("CARGO_HOME", desk.path("cargo-home"))
            .args(args);
        super::finish(command)
    };
    for name in ["part", "whole"] {
        fs::create_dir_all(desk.path(name).join("src")).unwrap();
        fs::write(desk.path(name).join("src/lib.rs"), "//! Nothing.\n").unwrap();
    }
    let manifest = "[package]\nname = \"part\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    fs::write(desk.path("part/Cargo.toml"), manifest).unwrap();
    let packed = [
        "package",
        "--quiet",
        "--allow-dirty",
        "--no-verify",
        "--manifest-path",
    ];
    cargo(&[&packed[..], &["part/Cargo.toml", "--target-dir", "packed"]].concat());
    let package = fs::read(desk.path("packed/package/part-1.0.0.crate")).unwrap();

    // The registry names its own address, so that the origin is there before the release.
    let store = StoreDir::with_files(&[("seed", b"x")]);
    let origin = Setup::new().store(&Arc::clone(&store)).start();
    let base = url(&origin, "/artifacts/crates/1");
    let digest = real_releases::sha256(&package);
    let line = format!(
        r#"{{"name":"part","vers":"1.0.0","deps":[],"cksum":"{digest}","features":{{}},"yanked":false}}"#
    );
    let registry = tree.path().join("registry");
    fs::create_dir_all(registry.join("pa/rt")).unwrap();
    fs::write(registry.join("pa/rt/part"), line + "\n").unwrap();
    let download = format!("{base}/registry/{{crate}}-{{version}}.crate");
    fs::write(
        registry.join("config.json"),
        format!(r#"{{"dl":"{download}"}}"#),
    )
    .unwrap();
    fs::write(registry.join("part-1.0.0.crate"), &package).unwrap();
    store
        .commands()
        .publish("crates", "1", &[tree.path()], None);
    poll(PATIENCE, "the registry is visible", || {
        let answer = origin.get("/artifacts/crates/1/registry/config.json", "");
        (answer.status == 200).then_some(())
    });

    let manifest = "[package]\nname = \"whole\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\
                    [dependencies]\npart = { version = \"1\", registry = \"edge\" }\n";
    fs::write(desk.path("whole/Cargo.toml"), manifest).unwrap();
    let index = format!("registries.edge.index=\"sparse+{base}/registry/\"");
    cargo(&[
        "--config",
        &index,
        "fetch",
        "--manifest-path",
        "whole/Cargo.toml",
    ]);
    let lock = fs::read_to_string(desk.path("whole/Cargo.lock")).unwrap();
    assert!(lock.contains(&digest), "{lock}");
    let cache = desk.path("cargo-home/registry/cache");
    let cached = fs::read_dir(cache).unwrap().next().unwrap().unwrap().path();
    assert!(fs::read(cached.join("part-1.0.0.crate")).unwrap() == package);
}
