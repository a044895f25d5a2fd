//! The fourth question: what does a publish take, against the least that it must do: hash the input and copy it?
//!
//! `headwater publish`, `sha256sum` and `cp` take turns on the same warm file. The promise names `cp`, which leaves its
//! copy in memory; the publish has it on the disk when it returns, so `cp` followed by a sync is shown as well.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::cores::Cores;
use crate::site::{self, Site, StatusOk as _};
use crate::table::{self, Table};
use crate::{Failure, Options, cleanup, median, sample};

/// A publish may take so many times what hashing and copying take.
const PROMISED_FACTOR: f64 = 1.1;

/// The small input of the comparison of memory.
const SMALL_BYTES: u64 = 64 << 20;

/// Peaks of the small and the large input that differ by less are the same: heap is taken in steps.
const FLAT_BYTES: u64 = 8 << 20;

/// How often a running publish is asked for its peak memory.
const POLL: Duration = Duration::from_millis(5);

/// Seconds of one round.
struct Sample {
    publish: f64,
    hash: f64,
    copy: f64,
    copy_and_sync: f64,
}

/// Measures, alternating, and prints the table.
pub fn run(options: &Options, site: &Site, cores: &Cores) -> Result<(), Failure> {
    cores.use_all()?; // nobody is being served
    let (large, small) = (
        site.scratch().join("large.bin"),
        site.scratch().join("small.bin"),
    );
    sample::write_file(&large, options.publish_size, 1)?;
    sample::write_file(&small, SMALL_BYTES, 2)?;
    let (mut samples, mut large_peak) = (Vec::new(), 0);
    for round in 0..options.long_rounds() {
        let (sample, peak) = measure(site, &large, round)?;
        large_peak = large_peak.max(peak);
        samples.push(sample);
    }
    let (_, small_peak) = timed_publish(site, "4.1.0", &small)?;
    report(options, &samples, small_peak, large_peak);
    cores.use_client()?;
    Ok(())
}

fn measure(site: &Site, input: &Path, round: usize) -> Result<(Sample, u64), Failure> {
    let version = format!("4.0.{round}");
    let copy = site.scratch().join("copy.bin");
    settle(input)?;
    let (publish, peak) = timed_publish(site, &version, input)?;
    fs::remove_dir_all(site.store())?;
    settle(input)?;
    let hash = timed(Command::new("sha256sum").arg(input).stdout(Stdio::null()))?;
    settle(input)?;
    let started = Instant::now();
    Command::new("cp").arg(input).arg(&copy).status_ok()?;
    let copied = started.elapsed();
    fs::File::open(&copy)?.sync_all()?;
    let synced = started.elapsed();
    fs::remove_file(&copy)?;
    let sample = Sample {
        publish,
        hash,
        copy: copied.as_secs_f64(),
        copy_and_sync: synced.as_secs_f64(),
    };
    Ok((sample, peak))
}

/// Nothing of the step before is still being written, and the input is in memory.
fn settle(input: &Path) -> Result<(), Failure> {
    rustix::fs::sync();
    site::warm(input)
}

fn timed(command: &mut Command) -> Result<f64, Failure> {
    let started = Instant::now();
    command.status_ok()?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds and peak resident bytes of one publish.
fn timed_publish(site: &Site, version: &str, input: &Path) -> Result<(f64, u64), Failure> {
    let started = Instant::now();
    let mut child = site.publish_command(version, input).spawn()?;
    let pid = Pid::from_child(&child);
    cleanup::child_started(pid);
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let status = loop {
        // The kernel keeps the peak, so only what is reached in the last few milliseconds can be missed.
        peak = peak.max(crate::usage::kilobytes(
            &fs::read_to_string(&status_file).unwrap_or_default(),
            "VmHWM:",
        ));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(POLL);
    };
    let seconds = started.elapsed().as_secs_f64();
    cleanup::child_ended(pid);
    if !status.success() {
        return Err(format!("headwater publish ended with {status}").into());
    }
    Ok((seconds, peak))
}

fn report(options: &Options, samples: &[Sample], small_peak: u64, large_peak: u64) {
    let of = |value: fn(&Sample) -> f64| median(samples.iter().map(value));
    let mut table = Table::new("what|figure|promise");
    let mut row =
        |what: &str, figure: String, promise: String| table.row([what.to_owned(), figure, promise]);
    let met = |is_met: bool| if is_met { "met" } else { "MISSED" };
    row(
        "headwater publish, s",
        table::figure(of(|s| s.publish)),
        String::new(),
    );
    row("sha256sum, s", table::figure(of(|s| s.hash)), String::new());
    row("cp, s", table::figure(of(|s| s.copy)), String::new());
    row(
        "cp and sync, s",
        table::figure(of(|s| s.copy_and_sync)),
        String::new(),
    );
    let factor = of(|s| s.publish / (s.hash + s.copy));
    let promise = format!("≤ {PROMISED_FACTOR} {}", met(factor <= PROMISED_FACTOR));
    row("publish / (sha256sum + cp)", table::figure(factor), promise);
    row(
        "publish / (sha256sum + cp and sync)",
        table::figure(of(|s| s.publish / (s.hash + s.copy_and_sync))),
        String::new(),
    );
    row(
        &format!("peak memory for {}, MiB", table::size(SMALL_BYTES)),
        table::mebibytes(small_peak),
        String::new(),
    );
    row(
        &format!("peak memory for {}, MiB", table::size(options.publish_size)),
        table::mebibytes(large_peak),
        format!("flat: {}", met(large_peak <= small_peak + FLAT_BYTES)),
    );
    println!(
        "One warm file of {}, medians of {} rounds.\n\n{table}",
        table::size(options.publish_size),
        samples.len()
    );
}
