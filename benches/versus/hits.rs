//! The sixth question: what does a hit cost a cache in front of the origin, and how fast does it stream a miss?
//!
//! Hits as in the warm table: the object is in the cache, kept-alive connections ask for it again and again. Misses:
//! files that nobody asked for before, four at a time, each once; the cache has a core for itself and the origin shares
//! the client's, so that the cache is what is measured.

use std::time::Duration;

use crate::caches::Front;
use crate::cores::Cores;
use crate::load::{Group, Load, Repeat, Until};
use crate::servers::Server;
use crate::site::{self, Served, Site};
use crate::table::{self, Table};
use crate::warm::{Entrant, measure};
use crate::{Failure, Options, median};

/// The most that a hit of the edge may cost, in hits of nginx.
const PROMISED_HIT_RATIO: f64 = 1.5;

/// The least that the edge's rate of misses may be, in that of nginx.
const PROMISED_MISS_RATIO: f64 = 0.7;

/// Sizes of what is hit.
const HIT_SIZES: [u64; 2] = [1 << 10, 1 << 20];

/// Files that are missed, and how many at a time.
const MISS_FILES: usize = 32;
const MISS_FILE_BYTES: u64 = 16 << 20;
const MISSES_AT_A_TIME: usize = 4;

/// Longer than all misses together take.
const MISSES_TIME_MAX: Duration = Duration::from_secs(120);

/// Measures hits, then misses, and prints a table of each.
pub fn run(options: &Options, site: &Site, cores: &Cores) -> Result<(), Failure> {
    let hits = HIT_SIZES.map(|bytes| (format!("hit-{bytes}.bin"), bytes));
    let hits = site.publish("5.0.0", &hits)?;
    let count = if options.test { 4 } else { MISS_FILES };
    let names: Vec<_> = (0..count)
        .map(|number| (format!("miss-{number}.bin"), MISS_FILE_BYTES))
        .collect();
    let misses = site.publish("5.1.0", &names)?;
    let origin = Server::headwater_beside_the_client(site, cores)?;
    measure_hits(options, site, cores, &origin, &hits)?;
    measure_misses(options, site, cores, &origin, &misses)
}

fn measure_hits(
    options: &Options,
    site: &Site,
    cores: &Cores,
    origin: &Server,
    files: &[Served],
) -> Result<(), Failure> {
    let fronts = Front::chosen(options);
    let mut caches = Vec::new();
    for front in &fronts {
        let cache = front.start(site, cores, origin.address)?;
        caches.extend(cache.map(|cache| (*front, cache)));
    }
    let headings = "hit|connections|cache|CPU µs/request|CPU s/GB|requests/s|p50 µs|p99 µs|anon MiB|CPU ratio|promise";
    let mut table = Table::new(headings);
    for file in files {
        for connections in options.connections() {
            let mut entrants: Vec<_> = caches
                .iter()
                .map(|(front, cache)| (*front, Entrant::new("cache", cache, options.rounds())))
                .collect();
            for _ in 0..options.rounds() {
                for (front, entrant) in &mut entrants {
                    let sample = measure(entrant, file, connections, options.window());
                    let sample = sample.map_err(|error| format!("{front}: {error}"))?;
                    entrant.samples.push(sample);
                }
            }
            eprintln!("  hits {} × {connections} done", table::size(file.bytes));
            report_hits(&mut table, file, connections, &entrants);
        }
    }
    println!("{table}");
    Ok(())
}

fn report_hits(
    table: &mut Table,
    file: &Served,
    connections: usize,
    entrants: &[(Front, Entrant)],
) {
    let cost = |entrant: &Entrant| median(entrant.samples.iter().map(|it| it.cpu_s_per_gb));
    let reference = entrants.iter().find(|(front, _)| *front == Front::Nginx);
    let reference = reference.map(|(_, entrant)| cost(entrant));
    for (front, entrant) in entrants {
        let of = |value: fn(&crate::warm::Sample) -> f64| {
            table::figure(median(entrant.samples.iter().map(value)))
        };
        let ratio = reference.map(|reference| cost(entrant) / reference);
        let promise = match (front, ratio) {
            (Front::Edge, Some(ratio)) if ratio <= PROMISED_HIT_RATIO => "≤ 1.5 met",
            (Front::Edge, Some(_)) => "≤ 1.5 MISSED",
            _ => "",
        };
        let anonymous = entrant.samples.iter().map(|it| it.memory.anonymous).max();
        table.row([
            table::size(file.bytes),
            connections.to_string(),
            front.to_string(),
            of(|it| it.cpu_us_per_request),
            of(|it| it.cpu_s_per_gb),
            of(|it| it.requests_per_s),
            of(|it| it.p50_us),
            of(|it| it.p99_us),
            table::mebibytes(anonymous.unwrap_or_default()),
            ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
            promise.to_owned(),
        ]);
    }
}

fn measure_misses(
    options: &Options,
    site: &Site,
    cores: &Cores,
    origin: &Server,
    files: &[Served],
) -> Result<(), Failure> {
    // Hashed by the origin on first touch, which is none of a cache's cost.
    stream(origin, files)?;
    let fronts = Front::chosen(options);
    let mut samples: Vec<(Front, Vec<(f64, f64)>)> = fronts
        .into_iter()
        .map(|front| (front, Vec::new()))
        .collect();
    for round in 1..=options.rounds() {
        for (front, samples) in &mut samples {
            files.iter().try_for_each(|file| site::warm(&file.file))?;
            // A new one each time: what was missed once is a hit.
            let Some(cache) = front.start(site, cores, origin.address)? else {
                continue;
            };
            let sample = stream(&cache, files).map_err(|error| format!("{front}: {error}"))?;
            samples.push(sample);
            eprintln!("  misses, round {round}: {front} done");
        }
    }
    let mut table = Table::new("misses|cache|MB/s|CPU s/GB|rate ratio|promise");
    let rate = |samples: &[(f64, f64)]| median(samples.iter().map(|it| it.0));
    let reference = samples.iter().find(|(front, _)| *front == Front::Nginx);
    let reference = reference.map(|(_, samples)| rate(samples));
    for (front, samples) in &samples {
        let ratio = reference.map(|reference| rate(samples) / reference);
        let promise = match (front, ratio) {
            (Front::Edge, Some(ratio)) if ratio >= PROMISED_MISS_RATIO => "≥ 0.7 met",
            (Front::Edge, Some(_)) => "≥ 0.7 MISSED",
            _ => "",
        };
        table.row([
            format!("{} × {}", files.len(), table::size(MISS_FILE_BYTES)),
            front.to_string(),
            table::figure(rate(samples)),
            table::figure(median(samples.iter().map(|it| it.1))),
            ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
            promise.to_owned(),
        ]);
    }
    println!("{table}");
    Ok(())
}

/// Fetches every file once: megabytes per second, and processor seconds per gigabyte.
#[expect(clippy::cast_precision_loss, reason = "bytes of a few seconds")]
fn stream(server: &Server, files: &[Served]) -> Result<(f64, f64), Failure> {
    let (mut bytes, mut elapsed) = (0, Duration::ZERO);
    let before = server.subject.cpu()?;
    for batch in files.chunks(MISSES_AT_A_TIME) {
        let group = |file: &Served| Group {
            address: server.address,
            path: file.url_path.clone(),
            range: None,
            body_bytes: file.bytes,
            connections: 1,
            repeat: Repeat::Once,
        };
        let mut load = Load::connect(batch.iter().map(group).collect())?;
        let report = load.run(Until::OnceDone(MISSES_TIME_MAX))?;
        let answers: u64 = report.tallies.iter().map(crate::load::Tally::answers).sum();
        if answers < batch.len() as u64 {
            return Err(format!("{answers} of {} misses were answered", batch.len()).into());
        }
        bytes += report.tallies.iter().map(|it| it.body_bytes).sum::<u64>();
        elapsed += report.elapsed;
    }
    let cpu = server.subject.cpu()?.saturating_sub(before).as_secs_f64();
    let megabytes = bytes as f64 / 1e6;
    Ok((megabytes / elapsed.as_secs_f64(), cpu / megabytes * 1e3))
}
