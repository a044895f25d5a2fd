//! The program itself, killed and watched while it publishes to a bucket.
//!
//! Owns what kill -9 leaves in S3 and how much memory a publish takes. What a repeat may send is in `s3_publish.rs`, in
//! process and in more cases.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::cli;
use crate::harness::fixture;
use crate::harness::s3::S3Server;

const SIGKILL: i32 = 9;

/// Five parts, the last one short.
const LARGE_BYTES: usize = (33 << 20) + 1;

/// Thirty-two parts: four times what may be in memory.
const HUGE_BYTES: u64 = 256 << 20;

/// Eight parts, the chunks before them, the program and what the allocator keeps.
const RESIDENT_BYTES_MAX: u64 = 144 << 20;

fn publish(server: &S3Server, input: &Path) -> Command {
    let mut command = cli::command(["publish", "agent", "1.0", input.to_str().unwrap()]);
    command
        .args(["--store", &server.store_url("p")])
        .envs(server.environment())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn sent_parts(server: &S3Server) -> usize {
    let asked = server.asked();
    let is_sent = |asked: &&crate::harness::s3::Asked| {
        asked.operation == "UploadPart" && asked.status == Some(200)
    };
    asked.iter().filter(is_sent).count()
}

#[test]
fn the_repeat_after_a_kill_sends_only_what_is_missing() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("large");
    let large = fixture::bytes(1, LARGE_BYTES);
    std::fs::write(&input, &large).unwrap();
    let killed = publish(&server, &input)
        .env("HEADWATER_CRASH_AT", "store.part-sent:2")
        .output()
        .unwrap();
    assert_eq!(killed.status.signal(), Some(SIGKILL), "{killed:?}");
    assert_eq!(server.uploads().len(), 1);
    let sent = sent_parts(&server);
    assert!((2..=5).contains(&sent), "{sent}");
    let lease = server
        .keys()
        .into_iter()
        .find(|key| key.contains("/lease/"));
    server.age(&lease.expect("a lease is left"), Duration::from_secs(60));
    server.forget();
    let repeated = publish(&server, &input).output().unwrap();
    assert!(repeated.status.success(), "{repeated:?}");
    assert!(sent_parts(&server) <= 5 - sent);
    assert!(server.object("p/artifacts/agent/1.0/large") == large);
    let private: Vec<_> = server
        .keys()
        .into_iter()
        .filter(|key| key.contains(".headwater"))
        .collect();
    assert_eq!(private, [""; 0]);
}

#[test]
fn the_memory_of_a_publish_does_not_grow_with_the_file() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("huge");
    let file = std::fs::File::create(&input).unwrap();
    file.set_len(HUGE_BYTES).unwrap();
    let mut child = publish(&server, &input).spawn().unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(resident_peak(&child));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success());
    assert_eq!(sent_parts(&server) as u64, HUGE_BYTES >> 23);
    assert!(peak > 0 && peak <= RESIDENT_BYTES_MAX, "{} MiB", peak >> 20);
}

/// The most memory that a process ever had; 0 when it has ended.
fn resident_peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kibibytes.unwrap_or(0_u64) << 10
}
