//! File systems made for one test: a small disk that is soon full, a view that cannot be written.
//!
//! Mounting needs root; without it these tests fail and say so, because a disk that only pretends to be full proves
//! nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted folder. Dropping it unmounts.
pub struct Mount {
    path: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

impl Mount {
    /// An empty file system in memory of `size`.
    pub fn tmpfs(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size}"),
                "headwater-test",
            ],
            &path,
        );
        Self {
            path,
            _folder: Some(folder),
        }
    }

    /// A read-only view of `source` at `target`.
    pub fn read_only(source: &Path, target: &Path) -> Self {
        std::fs::create_dir_all(target).unwrap();
        run("mount", &["--bind", source.to_str().unwrap()], target);
        let mount = Self {
            path: target.to_owned(),
            _folder: None,
        };
        run("mount", &["-o", "remount,bind,ro"], target);
        mount
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a store that is dropped later still holds descriptors.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn run(program: &str, arguments: &[&str], target: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .arg(target)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "this test mounts a file system and must run as root: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
