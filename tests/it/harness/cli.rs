//! Runs the executable under test with a clean environment. Never interprets what a command prints beyond JSON.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The executable under test. `HEADWATER_TEST_BIN` points the suite at another build, for instance the release one.
pub fn executable() -> PathBuf {
    std::env::var_os("HEADWATER_TEST_BIN").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_headwater")),
        PathBuf::from,
    )
}

/// A command of the executable that inherits nothing a developer may have set.
pub fn command(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(executable());
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if ["HEADWATER_", "AWS_"]
            .iter()
            .any(|own| text.starts_with(own))
            || text.ends_with("_PROXY")
        {
            command.env_remove(name);
        }
    }
    command
}

/// What a command did.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Insists on exit code 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(
            self.code,
            Some(0),
            "{}\n{}",
            self.stdout.trim_end(),
            self.stderr.trim_end()
        );
        self
    }

    /// The one document that `--json` prints.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("not one JSON document ({e}): {}", self.stdout))
    }
}

/// Runs a command to its end.
pub fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command(args).output().expect("the executable starts");
    Ran {
        code: status.code(),
        stdout: String::from_utf8(stdout).expect("standard output is UTF-8"),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// A store directory and the commands that change it.
#[derive(Clone, Copy)]
pub struct Store<'a>(pub &'a Path);

impl Store<'_> {
    /// Publishes `paths` and points `channel` at them.
    #[track_caller]
    pub fn publish(&self, product: &str, version: &str, paths: &[&Path], channel: Option<&str>) {
        let mut args: Vec<&OsStr> = vec!["publish".as_ref(), product.as_ref(), version.as_ref()];
        args.extend(paths.iter().map(|path| path.as_os_str()));
        args.extend(["--store".as_ref(), self.0.as_os_str(), "--json".as_ref()]);
        if let Some(channel) = channel {
            args.extend([OsStr::new("--channel"), channel.as_ref()]);
        }
        let document = run(args).ok().json();
        assert_eq!(document["product"], product, "{document}");
        assert_eq!(document["version"], version, "{document}");
    }

    /// Points `channel` at a published version.
    #[track_caller]
    pub fn promote(&self, product: &str, version: &str, channel: &str) {
        let args: [&OsStr; 8] = [
            "promote".as_ref(),
            product.as_ref(),
            version.as_ref(),
            "--to".as_ref(),
            channel.as_ref(),
            "--store".as_ref(),
            self.0.as_os_str(),
            "--json".as_ref(),
        ];
        run(args).ok();
    }

    /// Takes a release's bytes away.
    #[track_caller]
    pub fn retire(&self, product: &str, version: &str) {
        let args: [&OsStr; 7] = [
            "retire".as_ref(),
            product.as_ref(),
            version.as_ref(),
            "--reason".as_ref(),
            "a test".as_ref(),
            "--store".as_ref(),
            self.0.as_os_str(),
        ];
        run(args).ok();
    }
}
