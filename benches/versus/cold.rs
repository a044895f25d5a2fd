//! The second question: do hot requests suffer while large files stream from the disk?
//!
//! Each round starts a fresh server (a mapping would keep pages in memory), measures 1 KiB requests alone, drops the
//! large files from the page cache, and measures the same requests while each large file is downloaded once.

use std::time::Duration;

use crate::cores::Cores;
use crate::load::{Group, Load, Repeat, Tally, Until};
use crate::servers::{FileReads, Server};
use crate::site::{self, Served, Site};
use crate::table::{self, Table};
use crate::{Contestant, Failure, Options, median};

/// The size of the requests that must not suffer.
const HOT_BYTES: u64 = 1 << 10;

/// How long the unloaded case is measured.
const UNLOADED_WINDOW: Duration = Duration::from_secs(3);

/// When a round ends although the disk has not delivered everything.
const LOADED_MAX: Duration = Duration::from_secs(120);

/// The p99 may grow by this factor.
const PROMISED_FACTOR: f64 = 3.0;

/// What one server did in one round.
struct Sample {
    unloaded: [Duration; 2],
    loaded: [Duration; 2],
    hot_per_s: f64,
    cold_mb_per_s: f64,
    /// How much of the large files was in memory before they were asked for, from 0 to 1.
    resident: f64,
}

/// Measures all servers in turn and prints the table.
pub fn run(options: &Options, site: &Site, cores: &Cores) -> Result<(), Failure> {
    let mut names = vec![("hot.bin".to_owned(), HOT_BYTES)];
    names.extend(
        (0..options.cold_files)
            .map(|number| (format!("cold-{number}.bin"), options.cold_file_size)),
    );
    eprintln!(
        "  generating and publishing {} × {}",
        options.cold_files,
        table::size(options.cold_file_size)
    );
    let files = site.publish("2.0.0", &names)?;
    let entrants = [
        (Contestant::Nginx, "nginx", Some(FileReads::InWorker)),
        (
            Contestant::Nginx,
            "nginx, aio threads",
            Some(FileReads::InThreads),
        ),
        (Contestant::Headwater, "headwater", None),
    ];
    let mut samples: Vec<Vec<Sample>> = entrants.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.long_rounds() {
        for ((who, name, reads), samples) in entrants.iter().zip(&mut samples) {
            if options.has(*who) {
                let server = match reads {
                    Some(reads) => Server::nginx(site, cores, *reads)?,
                    None => Server::headwater(site, cores)?,
                };
                samples.push(
                    measure(options, &server, &files)
                        .map_err(|error| format!("{name}: {error}"))?,
                );
            }
        }
    }
    let headings = "server|p50 alone µs|p99 alone µs|p50 loaded µs|p99 loaded µs\
                    |p99 factor|hot requests/s|cold MB/s|in memory before|promise";
    let mut table = Table::new(headings);
    for ((_, name, _), samples) in entrants
        .iter()
        .zip(&samples)
        .filter(|(_, samples)| !samples.is_empty())
    {
        report(&mut table, name, samples);
    }
    println!(
        "1 KiB requests on {} connections while {} files of {} are read from the disk, one connection each; medians of \
         {} rounds.\n\n{table}",
        options.hot_connections,
        options.cold_files,
        table::size(options.cold_file_size),
        options.long_rounds(),
    );
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and bytes of a few minutes"
)]
fn measure(options: &Options, server: &Server, files: &[Served]) -> Result<Sample, Failure> {
    let (hot, cold) = files.split_first().ok_or("no files")?;
    site::warm(&hot.file)?;
    let group = |file: &Served, connections, repeat| Group {
        address: server.address,
        path: file.url_path.clone(),
        range: None,
        body_bytes: file.bytes,
        connections,
        repeat,
    };
    let hot_group = group(hot, options.hot_connections, Repeat::Forever);
    let unloaded = {
        let mut load = Load::connect(vec![hot_group.clone()])?;
        load.run(Until::Elapsed(Duration::from_millis(300)))?;
        percentiles(&load.run(Until::Elapsed(UNLOADED_WINDOW))?.tallies[0])
    };
    let mut resident = 0.0;
    for file in cold {
        site::chill(&file.file)?;
        resident += site::residency(&file.file)? / cold.len() as f64;
    }
    let mut groups = vec![hot_group];
    groups.extend(cold.iter().map(|file| group(file, 1, Repeat::Once)));
    let report = Load::connect(groups)?.run(Until::OnceDone(LOADED_MAX))?;
    let cold_bytes: u64 = report.tallies[1..]
        .iter()
        .map(|tally| tally.body_bytes)
        .sum();
    Ok(Sample {
        unloaded,
        loaded: percentiles(&report.tallies[0]),
        hot_per_s: report.tallies[0].answers() as f64 / report.elapsed.as_secs_f64(),
        cold_mb_per_s: cold_bytes as f64 / 1e6 / report.elapsed.as_secs_f64(),
        resident,
    })
}

fn percentiles(tally: &Tally) -> [Duration; 2] {
    [tally.percentile(50), tally.percentile(99)]
}

fn report(table: &mut Table, name: &str, samples: &[Sample]) {
    let of = |value: fn(&Sample) -> f64| median(samples.iter().map(value));
    let micros = |value: fn(&Sample) -> Duration| {
        median(
            samples
                .iter()
                .map(|sample| value(sample).as_secs_f64() * 1e6),
        )
    };
    let factor = of(|sample| sample.loaded[1].as_secs_f64() / sample.unloaded[1].as_secs_f64());
    let promise = match name {
        "headwater" if factor <= PROMISED_FACTOR => format!("≤ {PROMISED_FACTOR} met"),
        "headwater" => format!("≤ {PROMISED_FACTOR} MISSED"),
        _ => String::new(),
    };
    table.row([
        name.to_owned(),
        table::figure(micros(|sample| sample.unloaded[0])),
        table::figure(micros(|sample| sample.unloaded[1])),
        table::figure(micros(|sample| sample.loaded[0])),
        table::figure(micros(|sample| sample.loaded[1])),
        table::figure(factor),
        table::figure(of(|sample| sample.hot_per_s)),
        table::figure(of(|sample| sample.cold_mb_per_s)),
        format!("{:.0} %", of(|sample| sample.resident) * 100.0),
        promise,
    ]);
}
