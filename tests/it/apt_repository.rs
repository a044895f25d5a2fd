//! A real apt repository as one release, used by apt itself from a private root: update, update again, download.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{PATIENCE, poll};
use crate::real_clients::{Desk, finish, origin_of};
use crate::real_releases::{real_input, sha256};

/// A repository of the real packages, with `by-hash` names as Debian's own has them.
fn repository(desk: &Desk, tree: &Path) {
    let packages = tree.join("dists/stable/main/binary-all");
    fs::create_dir_all(tree.join("pool")).unwrap();
    for entry in fs::read_dir(real_input("debs")).unwrap() {
        let package = entry.unwrap();
        fs::copy(package.path(), tree.join("pool").join(package.file_name())).unwrap();
    }
    let archive = |args: &[&str]| {
        let mut command = desk.client("apt-ftparchive");
        command.current_dir(tree).args(args);
        finish(command).stdout
    };
    let index = archive(&["packages", "pool"]);
    // Under the architecture of this machine and under `all`: apt asks for both.
    let own = packages.with_file_name(format!("binary-{}", architecture(desk)));
    for folder in [&packages, &own] {
        let by_hash = folder.join("by-hash/SHA256");
        fs::create_dir_all(&by_hash).unwrap();
        fs::write(folder.join("Packages"), &index).unwrap();
        fs::write(by_hash.join(sha256(&index)), &index).unwrap();
    }
    let release = archive(&[
        "-o",
        "APT::FTPArchive::Release::Suite=stable",
        "-o",
        "APT::FTPArchive::Release::Components=main",
        "-o",
        &format!(
            "APT::FTPArchive::Release::Architectures={} all",
            architecture(desk)
        ),
        "-o",
        "APT::FTPArchive::Release::Acquire-By-Hash=yes",
        "release",
        "dists/stable",
    ]);
    fs::write(tree.join("dists/stable/Release"), release).unwrap();
}

fn architecture(desk: &Desk) -> String {
    desk.run("dpkg", ["--print-architecture"])
        .text()
        .trim()
        .to_owned()
}

/// Settings under which apt touches nothing of this machine and asks nobody but the origin.
fn private_root(desk: &Desk, base: &str) {
    for folder in [
        "etc",
        "state/lists/partial",
        "cache/archives/partial",
        "downloads",
    ] {
        fs::create_dir_all(desk.path(folder)).unwrap();
    }
    fs::write(desk.path("status"), "").unwrap();
    fs::write(
        desk.path("sources.list"),
        format!("deb [trusted=yes] {base} stable main\n"),
    )
    .unwrap();
    let root = desk.path("");
    let root = root.display();
    let settings = format!(
        "Dir::Etc \"{root}/etc\";\nDir::Etc::sourcelist \"{root}/sources.list\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\n\
         Dir::State \"{root}/state\";\nDir::State::status \"{root}/status\";\n\
         Dir::Cache \"{root}/cache\";\nAcquire::http::Proxy \"DIRECT\";\n\
         Acquire::Retries \"0\";\nAcquire::Languages \"none\";\nAPT::Sandbox::User \"root\";\n"
    );
    fs::write(desk.path("apt.conf"), settings).unwrap();
}

fn apt(desk: &Desk, program: &str) -> Command {
    let mut command = desk.client(program);
    command
        .env("APT_CONFIG", desk.path("apt.conf"))
        .current_dir(desk.path("downloads"));
    command
}

#[test]
fn apt_updates_from_a_release_and_downloads_real_packages() {
    let (tree, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    repository(&desk, tree.path());
    let (origin, base) = origin_of("debian", tree.path());
    private_root(&desk, &base);
    let update = || {
        let mut command = apt(&desk, "apt-get");
        command.args(["-o", "APT::Update::Error-Mode=any", "update"]);
        finish(command)
    };
    let first = update();
    assert!(first.text().contains("Get:"), "{}", first.text());
    poll(PATIENCE, "an index is fetched by its hash", || {
        let log = origin.log();
        log.iter()
            .any(|line| line.contains("by-hash"))
            .then_some(())
    });
    // If-Modified-Since, with the date that is the same on every instance.
    let again = update();
    assert!(
        again.text().contains("Hit:") && !again.text().contains("Get:"),
        "{}",
        again.text()
    );

    let mut download = apt(&desk, "apt-get");
    finish({
        download.args(["download", "busybox", "hostname", "netbase", "sed"]);
        download
    });
    let originals: Vec<_> = fs::read_dir(real_input("debs")).unwrap().collect();
    assert_eq!(originals.len(), 4);
    for original in originals {
        let original = original.unwrap();
        let name = original.file_name().into_string().unwrap();
        desk.assert_file(
            &format!("downloads/{name}"),
            &fs::read(original.path()).unwrap(),
        );
        let mut info = desk.client("dpkg-deb");
        info.arg("--info").arg(desk.path("downloads").join(&name));
        finish(info);
    }
}

#[test]
fn apt_resumes_a_half_by_its_date() {
    let (tree, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    repository(&desk, tree.path());
    let (origin, base) = origin_of("debian", tree.path());
    private_root(&desk, &base);
    let original = fs::read(tree.path().join("pool").join(sed())).unwrap();
    let path = format!(
        "/artifacts/debian/1/pool/{}",
        crate::harness::fixture::escape(&sed())
    );
    let url = format!("http://{}{path}", origin.data);
    // apt names the date of the half that it has in `If-Range`: the one that the origin sent with it.
    desk.run("curl", ["-fsS", "-R", "-o", "downloads/half", &url]);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(desk.path("downloads/half"))
        .unwrap();
    let date = file.metadata().unwrap().modified().unwrap();
    file.set_len(original.len() as u64 / 2).unwrap();
    file.set_modified(date).unwrap();
    drop(file);
    let mut command = apt(&desk, "/usr/lib/apt/apt-helper");
    command.args([
        "-o",
        "Debug::Acquire::http=true",
        "download-file",
        &url,
        "half",
    ]);
    let ran = finish(command);
    let conversation = format!("{}{}", ran.text(), ran.stderr);
    assert!(conversation.contains("If-Range: "), "{conversation}");
    assert!(
        conversation.contains("206 Partial Content"),
        "{conversation}"
    );
    desk.assert_file("downloads/half", &original);
}

/// The file name of the real `sed` package.
fn sed() -> String {
    let names = fs::read_dir(real_input("debs")).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .find(|name| name.starts_with("sed_"))
        .expect("sed is missing: run tests/run")
}
