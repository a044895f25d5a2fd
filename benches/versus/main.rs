//! Headwater against Debian's nginx: the same files, one core for each server, the client on another core.
//!
//! Answers, with a table that can be pasted into ARCHITECTURE.md, whether the promises about speed and memory are
//! kept on this machine today. Owns the options and the order of scenarios; each scenario is a file, and its header
//! says what it asks. `bare TCP` is the ceiling: a loop that sends fixed bytes and knows no HTTP.
//!
//! ```text
//! cargo bench --bench versus                        warm files, 12 cells, about 5 minutes
//! cargo bench --bench versus -- --quick             warm files, 4 cells, about 1 minute
//! cargo bench --bench versus -- --cold              hot requests beside cold streams, 10 × 512 MiB
//! cargo bench --bench versus -- --cold --cold-file-size 2GiB    the promise in full; takes 21 GiB of disk
//! cargo bench --bench versus -- --slow              5,000 slow downloads
//! cargo bench --bench versus -- --publish           publish against sha256sum and cp
//! cargo bench --bench versus -- --offload           1,000 devices: the origin alone, then behind an edge, nginx, Varnish
//! cargo bench --bench versus -- --s3                a bucket as the store: warm against a directory, cold against the bare client
//! cargo bench --bench versus -- --hits              what a hit costs the edge, and how fast it streams misses
//! ```
//!
//! The measured executable is the one cargo builds beside this program: the release profile, with the tests' crash
//! points compiled in, which only a publish passes. `--headwater FILE` measures another.

#![allow(
    clippy::disallowed_methods,
    reason = "a bench measures real time and stamps its report"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table on standard output, progress beside it"
)]

mod bucket;
mod caches;
mod ceiling;
mod cleanup;
mod cold;
mod cores;
mod hits;
#[path = "../support/load.rs"]
mod load;
mod offload;
mod publish;
mod remote;
#[path = "../support/sample.rs"]
mod sample;
mod servers;
mod site;
mod slow;
mod table;
mod usage;
mod warm;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::cores::Cores;
use crate::site::Site;

/// What ends a run early: a sentence for the person who started it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Who takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Contestant {
    /// Debian's nginx, tuned for this job.
    Nginx,
    /// What all this is about.
    Headwater,
    /// Debian's Varnish, as a cache in front of Headwater.
    Varnish,
    /// Fixed bytes from memory.
    Ceiling,
}

/// Compares Headwater with nginx on this machine.
#[derive(Parser, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(name = "versus")]
pub struct Options {
    /// Fewer cells and rounds: about a minute.
    #[arg(long)]
    quick: bool,
    /// Hot requests while cold files stream, instead of the warm table.
    #[arg(long)]
    cold: bool,
    /// Thousands of slow downloads, instead of the warm table.
    #[arg(long)]
    slow: bool,
    /// Publishing against sha256sum and cp, instead of the warm table.
    #[arg(long)]
    publish: bool,
    /// A fleet of devices with and without caches in front of the origin, instead of the warm table.
    #[arg(long)]
    offload: bool,
    /// Hits and misses of caches in front of the origin, instead of the warm table.
    #[arg(long)]
    hits: bool,
    /// A bucket as the store, instead of the warm table.
    #[arg(long)]
    s3: bool,
    /// The artifact that comes cold from the bucket.
    #[arg(long, default_value = "1GiB", value_parser = parse_size)]
    s3_size: u64,
    /// Body sizes of the warm table, such as 1KiB,64KiB.
    #[arg(long, value_delimiter = ',', value_parser = parse_size)]
    sizes: Vec<u64>,
    /// Numbers of connections of the warm table.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: Vec<u16>,
    /// Rounds of each measurement; medians are printed.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: Option<u8>,
    /// Seconds of each measurement of the warm table.
    #[arg(long)]
    window: Option<f64>,
    /// Take part alone.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contestant>,
    /// Connections that ask for 1 KiB beside the cold streams.
    #[arg(long, default_value_t = 16)]
    hot_connections: usize,
    /// Cold files.
    #[arg(long, default_value_t = 10)]
    cold_files: usize,
    /// The size of each.
    #[arg(long, default_value = "512MiB", value_parser = parse_size)]
    cold_file_size: u64,
    /// Slow downloads at a time.
    #[arg(long, default_value_t = 5000)]
    slow_connections: usize,
    /// How much of a slow download is read each second, in KiB.
    #[arg(long, default_value_t = 8)]
    slow_rate_kib: usize,
    /// How long slow downloads go on, in seconds.
    #[arg(long, default_value_t = 20)]
    slow_seconds: u32,
    /// The size of the published file.
    #[arg(long, default_value = "2GiB", value_parser = parse_size)]
    publish_size: u64,
    /// Devices of the fleet, all at the same instant.
    #[arg(long, default_value_t = 1000)]
    devices: u32,
    /// The share of them that break off once and resume.
    #[arg(long, default_value_t = 0.05)]
    abort: f64,
    /// Devices fetch 4 MiB pieces.
    #[arg(long)]
    ranges: bool,
    /// What each device downloads.
    #[arg(long, default_value = "8MiB", value_parser = parse_size)]
    artifact_size: u64,
    /// The executable to measure.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_headwater"))]
    headwater: PathBuf,
    /// Where the working directory is made; a real disk, not a tmpfs.
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    directory: PathBuf,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
    /// One short measurement: does it run at all?
    #[arg(long)]
    test: bool,
}

impl Options {
    fn sizes(&self) -> Vec<u64> {
        match self.sizes.as_slice() {
            [] if self.test => vec![1 << 10],
            [] => vec![1 << 10, 64 << 10, 1 << 20, 256 << 20],
            chosen => chosen.to_vec(),
        }
    }

    fn connections(&self) -> Vec<usize> {
        match self.connections.as_slice() {
            [] if self.quick || self.test => vec![16],
            [] => vec![1, 16, 64],
            chosen => chosen.iter().copied().map(usize::from).collect(),
        }
    }

    /// Rounds of short measurements.
    fn rounds(&self) -> usize {
        let usual = if self.test {
            1
        } else if self.quick {
            3
        } else {
            5
        };
        self.rounds.map_or(usual, usize::from)
    }

    /// Rounds of long measurements.
    fn long_rounds(&self) -> usize {
        self.rounds
            .map_or(if self.quick { 1 } else { 3 }, usize::from)
    }

    fn window(&self) -> Duration {
        let usual = if self.test {
            0.2
        } else if self.quick {
            1.5
        } else {
            2.0
        };
        Duration::from_secs_f64(self.window.unwrap_or(usual).clamp(0.05, 600.0))
    }

    /// Devices of the fleet.
    fn fleet(&self) -> u32 {
        if self.test { 20 } else { self.devices }
    }

    fn has(&self, who: Contestant) -> bool {
        self.only.is_empty() || self.only.contains(&who)
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("versus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    if options.has(Contestant::Nginx) {
        servers::nginx_version()?; // before gigabytes are generated
    }
    let cores = Cores::choose()?;
    cleanup::on_signals()?;
    println!("{}", table::circumstances()?);
    cores.use_client()?;
    let site = Site::create(&options.directory, &options.headwater)?;
    let is_special = options.cold || options.slow || options.publish;
    if !(is_special || options.offload || options.hits || options.s3) {
        warm::run(options, &site, &cores)?;
    }
    if options.cold {
        cold::run(options, &site, &cores)?;
    }
    if options.slow {
        slow::run(options, &site, &cores)?;
    }
    if options.publish {
        publish::run(options, &site, &cores)?;
    }
    if options.offload {
        offload::run(options, &site, &cores)?;
    }
    if options.s3 {
        remote::run(options, &site, &cores)?;
    }
    if options.hits {
        hits::run(options, &site, &cores)?;
    }
    Ok(())
}

/// The middle of some figures; of an even number, the upper middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A size such as `1KiB`, `64k`, `256MiB`, `2g` or `512`.
fn parse_size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        unit => return Err(format!("`{unit}` is not a unit; use KiB, MiB or GiB")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|error| format!("`{digits}` is not a number: {error}"))?;
    number
        .checked_mul(1 << shift)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| format!("`{text}` is out of range"))
}
