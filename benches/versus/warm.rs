//! The first question: what does a request, and a gigabyte, cost when the file is in memory?
//!
//! Servers take turns (A B A B …), so that a machine that slows down slows all of them; medians are reported, and
//! ratios of each round beside the ratio of the medians, so that noise shows.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cores::Cores;
use crate::load::{Group, Load, Repeat, Until};
use crate::servers::{FileReads, Server};
use crate::site::{self, Served, Site};
use crate::table::{self, Table};
use crate::usage::{Memory, Subject};
use crate::{Contestant, Failure, Options, ceiling::Ceiling, median};

/// Before each measurement: connections open, congestion windows grow, the server's caches fill.
const RAMP: Duration = Duration::from_millis(200);

/// The promised ratio of processor time, by size of the body: a small answer is mostly ours, a large one the kernel's.
pub fn promised_ratio(body_bytes: u64) -> f64 {
    if body_bytes < 1 << 20 { 0.80 } else { 0.90 }
}

/// What one server did in one round.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub cpu_us_per_request: f64,
    pub cpu_s_per_gb: f64,
    pub requests_per_s: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub memory: Memory,
}

/// One server in all rounds of one cell.
pub struct Entrant {
    name: &'static str,
    address: SocketAddr,
    subject: Subject,
    rounds: usize,
    pub samples: Vec<Sample>,
}

impl Entrant {
    /// A server that was not measured yet.
    pub fn new(name: &'static str, server: &Server, rounds: usize) -> Self {
        Self {
            name,
            address: server.address,
            subject: server.subject.clone(),
            rounds,
            samples: Vec::new(),
        }
    }
}

/// The servers that run through all cells.
struct Servers {
    nginx: Option<Server>,
    headwater: Option<Server>,
}

/// Measures every combination of size and connections, and prints the table.
pub fn run(options: &Options, site: &Site, cores: &Cores) -> Result<(), Failure> {
    let name = |size: u64| (format!("{size}.bin"), size);
    let names: Vec<(String, u64)> = options.sizes().into_iter().map(name).collect();
    let files = site.publish("1.0.0", &names)?;
    let nginx = options.has(Contestant::Nginx);
    let headwater = options.has(Contestant::Headwater);
    let servers = Servers {
        nginx: nginx
            .then(|| Server::nginx(site, cores, FileReads::InWorker))
            .transpose()?,
        headwater: headwater
            .then(|| Server::headwater(site, cores))
            .transpose()?,
    };
    let headings = "body|connections|server|CPU µs/request|CPU s/GB|requests/s|p50 µs|p99 µs|anon MiB\
                    |resident MiB|CPU ratio (rounds)|promise";
    let mut table = Table::new(headings);
    for file in &files {
        let ceiling = options.has(Contestant::Ceiling);
        let ceiling = ceiling
            .then(|| Ceiling::start(*cores, file.bytes))
            .transpose()?;
        for connections in options.connections() {
            let mut entrants = enter(&servers, ceiling.as_ref(), options.rounds());
            for round in 0..options.rounds() {
                for entrant in entrants.iter_mut().filter(|entrant| round < entrant.rounds) {
                    let sample = measure(entrant, file, connections, options.window())?;
                    entrant.samples.push(sample);
                }
            }
            eprintln!("  {} × {connections} done", table::size(file.bytes));
            report(&mut table, file, connections, &entrants);
        }
    }
    println!("{table}");
    Ok(())
}

/// Those who take part in a cell, in the order of their turns.
fn enter(servers: &Servers, ceiling: Option<&Ceiling>, rounds: usize) -> Vec<Entrant> {
    let nginx = servers
        .nginx
        .as_ref()
        .map(|it| Entrant::new("nginx", it, rounds));
    let headwater = servers
        .headwater
        .as_ref()
        .map(|it| Entrant::new("headwater", it, rounds));
    // For orientation: once is enough.
    let ceiling = ceiling.map(|it| Entrant {
        name: "bare TCP",
        address: it.address,
        subject: it.subject.clone(),
        rounds: 1,
        samples: Vec::new(),
    });
    nginx.into_iter().chain(headwater).chain(ceiling).collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and bytes of a few seconds"
)]
/// Loads a server for a while.
pub fn measure(
    entrant: &Entrant,
    file: &Served,
    connections: usize,
    window: Duration,
) -> Result<Sample, Failure> {
    site::warm(&file.file)?;
    let group = Group {
        address: entrant.address,
        path: file.url_path.clone(),
        range: None,
        body_bytes: file.bytes,
        connections,
        repeat: Repeat::Forever,
    };
    let failed = |error| format!("{}: {error}", entrant.name);
    let mut load = Load::connect(vec![group]).map_err(failed)?;
    load.run(Until::Elapsed(RAMP)).map_err(failed)?;
    let cpu_before = entrant.subject.cpu()?;
    let report = load.run(Until::Elapsed(window)).map_err(failed)?;
    let cpu = entrant
        .subject
        .cpu()?
        .saturating_sub(cpu_before)
        .as_secs_f64();
    let memory = entrant.subject.memory()?;
    let tally = &report.tallies[0];
    // Unfinished answers count by their bytes: a window holds few whole ones of 256 MiB.
    let requests = tally.body_bytes as f64 / file.bytes as f64;
    Ok(Sample {
        cpu_us_per_request: cpu * 1e6 / requests,
        cpu_s_per_gb: cpu * 1e9 / tally.body_bytes as f64,
        requests_per_s: requests / report.elapsed.as_secs_f64(),
        p50_us: tally.percentile(50).as_secs_f64() * 1e6,
        p99_us: tally.percentile(99).as_secs_f64() * 1e6,
        memory,
    })
}

fn report(table: &mut Table, file: &Served, connections: usize, entrants: &[Entrant]) {
    let reference = entrants
        .iter()
        .find(|entrant| entrant.name == "nginx")
        .map(|entrant| &entrant.samples);
    for entrant in entrants {
        let of =
            |value: fn(&Sample) -> f64| table::figure(median(entrant.samples.iter().map(value)));
        // A window may be too short for one whole answer.
        let latency = |value| {
            Some(of(value))
                .filter(|text| text != "0")
                .unwrap_or("–".to_owned())
        };
        let bytes = |value: fn(&Sample) -> u64| {
            let mut values: Vec<u64> = entrant.samples.iter().map(value).collect();
            values.sort_unstable();
            match values[values.len() / 2] {
                0 => "–".to_owned(),
                bytes => table::mebibytes(bytes),
            }
        };
        let (ratio, promise) = match reference {
            Some(reference) if entrant.name != "nginx" => judge(reference, entrant, file.bytes),
            _ => (String::new(), String::new()),
        };
        table.row([
            table::size(file.bytes),
            connections.to_string(),
            entrant.name.to_owned(),
            of(|sample| sample.cpu_us_per_request),
            of(|sample| sample.cpu_s_per_gb),
            of(|sample| sample.requests_per_s),
            latency(|sample| sample.p50_us),
            latency(|sample| sample.p99_us),
            bytes(|sample| sample.memory.anonymous),
            bytes(|sample| sample.memory.resident),
            ratio,
            promise,
        ]);
    }
}

/// The ratio with its spread over the rounds, and whether the promise is met.
fn judge(reference: &[Sample], entrant: &Entrant, body_bytes: u64) -> (String, String) {
    let cost = |sample: &Sample| sample.cpu_s_per_gb;
    let ratio = median(entrant.samples.iter().map(cost)) / median(reference.iter().map(cost));
    let rounds = entrant
        .samples
        .iter()
        .zip(reference)
        .map(|(ours, theirs)| cost(ours) / cost(theirs));
    let (low, high) = rounds.fold((f64::MAX, f64::MIN), |(low, high), one| {
        (low.min(one), high.max(one))
    });
    let promised = promised_ratio(body_bytes);
    let promise = match entrant.name {
        "headwater" if ratio <= promised => format!("≤ {promised:.2} met"),
        "headwater" => format!("≤ {promised:.2} MISSED"),
        _ => String::new(),
    };
    let spread = match entrant.samples.len() {
        1 => String::new(),
        _ => format!(" ({low:.2}–{high:.2})"),
    };
    (format!("{ratio:.2}{spread}"), promise)
}
