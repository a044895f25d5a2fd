//! What a device's machine may be like: with root certificates of its own, without power all of a sudden, with a full
//! disk, with little memory.
//!
//! Runs the executable, because such things belong to a process. The rules themselves are in `device.rs`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::edge::{Edge, Step, content};
use super::{BODY, PIECE, one_file, part_path};
use crate::harness::{PATIENCE, cli, poll};

fn get_command(edge: &Edge, scheme: &str, output: &Path) -> Command {
    let from = format!("{scheme}://{}", edge.address);
    let mut command = cli::command(["get", "agent", "--channel", "stable", "--from", &from]);
    command.arg("--json").arg("--output").arg(output);
    command
}

#[test]
fn an_https_edge_is_trusted_by_its_root_and_only_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| folder.path().join(name));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=an edge"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        // Not an authority: a server may not show one as its own certificate.
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status()
        .expect("openssl is installed: run tests/run");
    assert!(made.success());
    let provider = rustls::crypto::ring::default_provider();
    let tls = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&certificate).unwrap()],
            PrivateKeyDer::from_pem_file(&key).unwrap(),
        )
        .unwrap();
    let edge = Edge::start_tls(content(&[("app.bin", &BODY, None)]), tls);

    let output = folder.path().join("output");
    let stranger = get_command(&edge, "https", &output).output().unwrap();
    let text = String::from_utf8_lossy(&stranger.stderr).into_owned();
    assert_eq!(stranger.status.code(), Some(1), "{text}");
    assert!(text.contains("certificate is not trusted"), "{text}");
    assert!(edge.asked().is_empty(), "nothing is asked of a stranger");

    let mut trusting = get_command(&edge, "https", &output);
    let trusting = trusting
        .env("SSL_CERT_FILE", &certificate)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&trusting.stderr).into_owned();
    assert_eq!(trusting.status.code(), Some(0), "{text}");
    assert!(fs::read(output.join("app.bin")).unwrap() == *BODY);
}

#[test]
fn a_device_that_loses_power_in_the_middle_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let edge = Edge::start(
        content(&[("app.bin", &BODY, None)]),
        [Step::Stall(PIECE + 1000)],
    );
    let mut first = get_command(&edge, "http", folder.path());
    let mut first = first
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    poll(PATIENCE, "a piece is on disk", || {
        let here = fs::metadata(part_path(folder.path())).map_or(0, |part| part.len());
        (here >= 1024 * 1024).then_some(())
    });
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(!folder.path().join("app.bin").exists());
    let again = get_command(&edge, "http", folder.path()).output().unwrap();
    assert!(
        again.status.success(),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
    let report: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(report["state"], "resumed");
    assert!(fs::read(folder.path().join("app.bin")).unwrap() == *BODY);
    assert!(edge.asked()[1].starts_with("bytes="), "{:?}", edge.asked());
}

#[test]
fn a_full_disk_is_named_and_the_next_call_goes_on_where_it_was_full() {
    const SCRIPT: &str = r#"
        mount -t tmpfs -o size=5m none "$DISK"
        code=0
        "$@" 2>"$REPORT" || code=$?
        [ "$code" = 1 ] || { echo "exit code $code"; cat "$REPORT"; exit 90; }
        mount -o remount,size=64m "$DISK"
        "$@"
        cp "$DISK/app.bin" "$RESULT"
    "#;
    let folder = tempfile::tempdir().unwrap();
    let [disk, report, result] = ["disk", "report", "result"].map(|name| folder.path().join(name));
    fs::create_dir(&disk).unwrap();
    let edge = one_file([]);
    let get = get_command(&edge, "http", &disk);
    // A mount of its own that dies with the shell; needs no rights where user namespaces are allowed.
    let ran = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-ec",
            SCRIPT,
            "sh",
        ])
        .arg(get.get_program())
        .args(get.get_args())
        .env("DISK", &disk)
        .env("REPORT", &report)
        .env("RESULT", &result)
        .output()
        .expect("util-linux is installed");
    let printed = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success(),
        "{printed}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let report = fs::read_to_string(report).unwrap();
    assert!(
        report.contains("cannot write") && report.contains("No space left"),
        "{report}"
    );
    assert!(printed.contains("resumed"), "{printed}");
    assert!(fs::read(result).unwrap() == *BODY);
    let asked = edge.asked();
    assert!(
        asked.len() == 2 && asked[1].starts_with("bytes="),
        "{asked:?}"
    );
}

#[test]
fn a_download_larger_than_the_memory_of_the_device_succeeds() {
    let large = vec![7; 320 * 1024 * 1024];
    let edge = Edge::start(content(&[("app.bin", &large, None)]), []);
    let folder = tempfile::tempdir().unwrap();
    let get = get_command(&edge, "http", folder.path());
    // Address space in KiB: the program, its threads' stacks and their heaps, and far less than the artifact.
    let ran = Command::new("sh")
        .args(["-ec", "ulimit -v 262144; exec \"$@\"", "sh"])
        .arg(get.get_program())
        .args(get.get_args())
        // Each thread's heap reserves 64 MiB of address space otherwise.
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let got = fs::metadata(folder.path().join("app.bin")).unwrap().len();
    assert_eq!(got, large.len() as u64);
}
