//! The files that are served, in a store that Headwater published and nginx reads as its document root.
//!
//! Owns the working directory and the page cache's view of its files. Never starts a server.

use std::fs::{self, File};
use std::io::{IoSliceMut, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags};

use crate::sample;
use crate::{Failure, cleanup};

/// The product that everything is published under.
const PRODUCT: &str = "bench";

/// The channel that names its newest release.
const CHANNEL: &str = "stable";

/// Where that is served.
pub const CHANNEL_PATH: &str = "/channels/bench/stable.json";

/// How many pages are looked at to tell whether a file is in memory.
const RESIDENCY_PROBES: u64 = 64;

/// A working directory with a store in it.
#[derive(Debug)]
pub struct Site {
    directory: tempfile::TempDir,
    headwater: PathBuf,
}

/// One published file.
#[derive(Clone, Debug)]
pub struct Served {
    /// Its URL path.
    pub url_path: String,
    /// Where it is in the store.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl Site {
    /// An empty site below `parent`, published to by the executable `headwater`.
    pub fn create(parent: &Path, headwater: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(parent)?;
        let directory = tempfile::Builder::new()
            .prefix("versus-")
            .tempdir_in(parent)?;
        cleanup::directory_created(directory.path());
        Ok(Self {
            directory,
            headwater: headwater.to_owned(),
        })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// A place for a server's own files.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// The executable that is measured.
    #[must_use]
    pub fn headwater(&self) -> &Path {
        &self.headwater
    }

    /// Generates files of these sizes and publishes them as one release, to the channel.
    pub fn publish(&self, version: &str, files: &[(String, u64)]) -> Result<Vec<Served>, Failure> {
        let input = self.scratch().join(format!("input-{version}"));
        fs::create_dir(&input)?;
        for (number, (name, bytes)) in (1..).zip(files) {
            sample::write_file(&input.join(name), *bytes, number)?;
        }
        self.publish_command(version, &input)
            .args(["--channel", CHANNEL])
            .status_ok()?;
        fs::remove_dir_all(&input)?;
        let folder = format!("artifacts/{PRODUCT}/{version}");
        let served = |(name, bytes): &(String, u64)| Served {
            url_path: format!("/{folder}/{name}"),
            file: self.store().join(&folder).join(name),
            bytes: *bytes,
        };
        Ok(files.iter().map(served).collect())
    }

    /// The command that publishes `path`.
    #[must_use]
    pub fn publish_command(&self, version: &str, path: &Path) -> Command {
        let mut command = Command::new(&self.headwater);
        command
            .args(["publish", PRODUCT, version])
            .arg(path)
            .arg("--quiet")
            .arg("--store")
            .arg(self.store());
        command.stdout(Stdio::null());
        command
    }
}

/// Runs a command that has to succeed.
pub trait StatusOk {
    /// Runs it to its end.
    fn status_ok(&mut self) -> Result<(), Failure>;
}

impl StatusOk for Command {
    fn status_ok(&mut self) -> Result<(), Failure> {
        let program = self.get_program().to_string_lossy().into_owned();
        let status = self
            .status()
            .map_err(|error| format!("cannot run {program}: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{program} ended with {status}").into())
        }
    }
}

/// Brings a file into memory. A machine may give page cache back to its host within seconds, so this goes before
/// every measurement of the warm case.
pub fn warm(path: &Path) -> Result<(), Failure> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Takes a file out of memory. Pages that a process has mapped stay, so no server may have it open.
pub fn chill(path: &Path) -> Result<(), Failure> {
    let file = File::open(path)?;
    file.sync_all()?; // dirty pages stay too
    Ok(fadvise(&file, 0, None, Advice::DontNeed)?)
}

/// The share of probed pages that a read would find in memory, from 0 to 1.
pub fn residency(path: &Path) -> Result<f64, Failure> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    // A probe that starts a read-ahead would answer for its neighbours.
    fadvise(&file, 0, None, Advice::Random)?;
    let mut found = 0_u32;
    for probe in 0..RESIDENCY_PROBES {
        let mut byte = [0];
        let offset = bytes / RESIDENCY_PROBES * probe;
        match rustix::io::preadv2(
            &file,
            &mut [IoSliceMut::new(&mut byte)],
            offset,
            ReadWriteFlags::NOWAIT,
        ) {
            Ok(_) => found += 1,
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(f64::from(found) / f64::from(u32::try_from(RESIDENCY_PROBES)?))
}
