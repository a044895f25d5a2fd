//! The fifth question: what does a release to a fleet cost the origin, alone and behind a cache?
//!
//! The same devices (`headwater loadtest`: channel, release, artifact, some break off and resume, all verify) start at
//! the same instant against the origin itself and against each cache in front of it, which is cold. Turns are taken, in
//! an order that rotates from round to round, and every figure is the median of the rounds. A round in which one device
//! did not verify its artifact ends the bench: its figures would mean nothing.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde_json::Value;

use crate::caches::Front;
use crate::cores::Cores;
use crate::servers::Server;
use crate::site::{self, Served, Site};
use crate::table::{self, Table};
use crate::usage::connections_at;
use crate::{Failure, Options, cleanup, median};

/// How much less processor time an origin behind the edge may need at a thousand devices.
const PROMISED_CPU_RATIO: f64 = 100.0;
const PROMISED_DEVICES: u32 = 1000;

/// What a device reads before its artifact: the channel and the release document.
const DOCUMENTS: u64 = 2;

/// The part of an artifact that the edge fetches for the sake of a range: `fill_range` of config/edge.toml.
const BLOCK_BYTES: u64 = 8 << 20;

/// How often open connections are counted: the kernel walks its whole table for it.
const COUNT_INTERVAL: Duration = Duration::from_millis(100);

/// From here on a lost tick or two are below ten percent.
const TICKS_ENOUGH: Duration = Duration::from_millis(200);

/// Longer than the slowest front takes on a busy machine.
const FLEET_TIME_MAX: Duration = Duration::from_secs(600);

/// What one fleet cost.
#[derive(Clone, Debug)]
struct Sample {
    device_requests: f64,
    device_bytes: f64,
    origin_requests: f64,
    origin_bytes: f64,
    origin_cpu_ms: f64,
    origin_connections: f64,
    front_cpu_s: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// What the origin counted since it started.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Counted {
    requests: f64,
    bytes: f64,
}

/// What stays the same for all fronts.
struct Bench<'a> {
    options: &'a Options,
    site: &'a Site,
    cores: &'a Cores,
    devices: u32,
    origin: Server,
    file: Served,
}

/// What a fleet said at its end, and what was seen meanwhile.
struct Fleet {
    report: Value,
    connections_peak: f64,
}

/// Measures every front in turn and prints the table.
pub fn run(options: &Options, site: &Site, cores: &Cores) -> Result<(), Failure> {
    let devices = options.fleet();
    crate::slow::raise_descriptor_limit(u64::from(devices) + 1000)?;
    let name = format!("agent-{}.bin", options.artifact_size);
    let files = site.publish("4.0.0", &[(name, options.artifact_size)])?;
    let bench = Bench {
        options,
        site,
        cores,
        devices,
        origin: Server::headwater(site, cores)?,
        file: files[0].clone(),
    };
    // Every piece is hashed when it is first asked for, once in the life of an origin.
    bench.fleet(bench.origin.address, 1)?;
    let mut fronts = vec![(Front::Direct, Vec::new())];
    let caches = Front::chosen(options).into_iter();
    fronts.extend(caches.map(|front| (front, Vec::new())));
    for round in 0..options.long_rounds() {
        // Everybody is first once: what a turn leaves behind (a warm core, dirty pages) must not always meet the same one.
        for turn in 0..fronts.len() {
            let next = (round + turn) % fronts.len();
            let (front, samples) = &mut fronts[next];
            let sample = bench.measure(*front);
            samples.push(sample.map_err(|error| format!("{front}: {error}"))?);
            eprintln!("  round {}: {front} done", round + 1);
        }
    }
    println!(
        "{devices} devices at the same instant, {} each{}, {} % break off once; every one verified its artifact.\n\n{}",
        table::size(options.artifact_size),
        if options.ranges {
            " in pieces of 4 MiB"
        } else {
            ""
        },
        options.abort * 100.0,
        report(options, &fronts)
    );
    Ok(())
}

impl Bench<'_> {
    /// One fleet, with a cold cache of this kind in front of the origin.
    fn measure(&self, front: Front) -> Result<Sample, Failure> {
        let origin = &self.origin;
        site::warm(&self.file.file)?;
        let cache = front.start(self.site, self.cores, origin.address)?;
        let address = cache.as_ref().map_or(origin.address, |it| it.address);
        let front_cpu = || match &cache {
            Some(cache) => cache.subject.cpu(),
            None => Ok(Duration::ZERO),
        };
        let counted_before = settled(origin)?;
        let (front_before, origin_before) = (front_cpu()?, origin.subject.cpu()?);
        let threads_before = origin.subject.threads()?;
        let fleet = self.fleet(address, self.devices)?;
        // Before the origin is asked for its counters, which costs it more than a fill.
        let threads = origin.subject.threads()?.since(&threads_before);
        let ticks = origin.subject.cpu()?.saturating_sub(origin_before);
        let front_cpu_s = front_cpu()?.saturating_sub(front_before).as_secs_f64();
        let counted = settled(origin)?;
        let number = |path: &str| {
            let found = fleet.report.pointer(path).and_then(Value::as_f64);
            found.ok_or_else(|| format!("the load test says nothing of {path}"))
        };
        Ok(Sample {
            device_requests: number("/requests")?,
            device_bytes: number("/bytes")?,
            origin_requests: counted.requests - counted_before.requests,
            origin_bytes: counted.bytes - counted_before.bytes,
            // Ticks know of threads that ended; but a fill costs less than one of them.
            origin_cpu_ms: if ticks < TICKS_ENOUGH { threads } else { ticks }.as_secs_f64() * 1e3,
            origin_connections: fleet.connections_peak,
            front_cpu_s,
            p50_ms: number("/update_ms/p50")?,
            p99_ms: number("/update_ms/p99")?,
        })
    }

    /// Lets `devices` update from `address`, and insists that each of them did.
    fn fleet(&self, address: SocketAddr, devices: u32) -> Result<Fleet, Failure> {
        let output = self.site.scratch().join("fleet.json");
        let mut command = self.fleet_command(address, devices)?;
        let mut child = command
            .stdout(File::create(&output)?)
            .stdin(Stdio::null())
            .spawn()?;
        let pid = Pid::from_child(&child);
        cleanup::child_started(pid);
        let mut connections_peak = 0;
        let status = loop {
            let now = connections_at(self.origin.address.port())?;
            connections_peak = connections_peak.max(now);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            thread::sleep(COUNT_INTERVAL);
        };
        cleanup::child_ended(pid);
        let text = fs::read_to_string(&output)?;
        let report: Value = serde_json::from_str(&text)
            .map_err(|_not_json| format!("a fleet ended with {status}"))?;
        if !status.success() || report["devices"]["verified"] != devices {
            return Err(
                format!("not every device verified its artifact ({status}): {text}").into(),
            );
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of connections")]
        let connections_peak = connections_peak as f64;
        Ok(Fleet {
            report,
            connections_peak,
        })
    }

    fn fleet_command(&self, address: SocketAddr, devices: u32) -> Result<Command, Failure> {
        let options = self.options;
        let pieces = u32::try_from(options.artifact_size.div_ceil(4 << 20))?;
        let requests_max = devices.saturating_mul(pieces + 6);
        let mut command = Command::new(self.site.headwater());
        command.args(["loadtest", "--json", "--quiet", "--error-rate-max", "0"]);
        for (flag, value) in [
            ("--url", format!("http://{address}{}", site::CHANNEL_PATH)),
            ("--devices", devices.to_string()),
            ("--concurrency", devices.to_string()),
            ("--abort", options.abort.to_string()),
            ("--max-requests", requests_max.to_string()),
            ("--max-time", format!("{}s", FLEET_TIME_MAX.as_secs())),
            ("--stall-timeout", "120s".to_owned()),
            ("--pops", "4".to_owned()),
        ] {
            command.args([flag, &value]);
        }
        if options.ranges {
            command.arg("--ranges");
        }
        Ok(command)
    }
}

/// The origin's counters, once nothing is under way any more: a cache may finish what its last device broke off.
fn settled(origin: &Server) -> Result<Counted, Failure> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut last = counters(origin)?;
    loop {
        thread::sleep(Duration::from_millis(200));
        let now = counters(origin)?;
        if now == last {
            return Ok(now);
        }
        if Instant::now() > deadline {
            return Err("the origin is still answering 20 s after the last device".into());
        }
        last = now;
    }
}

fn counters(origin: &Server) -> Result<Counted, Failure> {
    let address = origin.admin.ok_or("the origin has no admin address")?;
    let mut socket = TcpStream::connect(address)?;
    socket
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: origin.example\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    let sum = |series: &str| -> f64 {
        text.lines()
            .filter(|line| line.starts_with(series))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    Ok(Counted {
        requests: sum("headwater_requests_total"),
        bytes: sum("headwater_response_body_bytes_total"),
    })
}

/// Each object is filled once, and where devices ask for ranges each block of the artifact.
#[expect(clippy::cast_precision_loss, reason = "a count of blocks")]
fn fills_promised(options: &Options) -> f64 {
    let blocks = if options.ranges {
        options.artifact_size.div_ceil(BLOCK_BYTES)
    } else {
        1
    };
    (DOCUMENTS + blocks) as f64
}

fn report(options: &Options, fronts: &[(Front, Vec<Sample>)]) -> Table {
    let mut table = Table::new(
        "in front|device requests|device MiB|origin requests|origin MiB|offload requests|offload bytes\
         |origin CPU ms|CPU ratio|origin connections|front CPU s|p50 ms|p99 ms|promise",
    );
    let of = |samples: &[Sample], value: fn(&Sample) -> f64| median(samples.iter().map(value));
    let direct = of(&fronts[0].1, |it| it.origin_cpu_ms);
    for (front, samples) in fronts {
        let of = |value| of(samples, value);
        let offload = |asked: f64, filled: f64| match front {
            Front::Direct => "–".to_owned(),
            _ => format!("{:.3} %", (1.0 - filled / asked) * 100.0),
        };
        let mebibytes = |bytes: f64| table::figure(bytes / f64::from(1 << 20));
        let ratio = direct / of(|it| it.origin_cpu_ms);
        let promise = match front {
            Front::Edge => {
                let is_once = of(|it| it.origin_requests) <= fills_promised(options);
                judge(is_once, ratio, options.fleet())
            }
            _ => String::new(),
        };
        table.row([
            front.to_string(),
            table::figure(of(|it| it.device_requests)),
            mebibytes(of(|it| it.device_bytes)),
            table::figure(of(|it| it.origin_requests)),
            mebibytes(of(|it| it.origin_bytes)),
            offload(of(|it| it.device_requests), of(|it| it.origin_requests)),
            offload(of(|it| it.device_bytes), of(|it| it.origin_bytes)),
            table::figure(of(|it| it.origin_cpu_ms)),
            match front {
                Front::Direct => "1".to_owned(),
                _ => format!("1/{ratio:.0}"),
            },
            table::figure(of(|it| it.origin_connections)),
            table::figure(of(|it| it.front_cpu_s)),
            table::figure(of(|it| it.p50_ms)),
            table::figure(of(|it| it.p99_ms)),
            promise,
        ]);
    }
    table
}

fn judge(is_once: bool, ratio: f64, devices: u32) -> String {
    let met = |is_met| if is_met { "met" } else { "MISSED" };
    let fills = format!("1 fill per object {}", met(is_once));
    if devices < PROMISED_DEVICES {
        return fills; // too few for the other one
    }
    let cpu = met(ratio >= PROMISED_CPU_RATIO);
    format!("{fills}, CPU ≥ {PROMISED_CPU_RATIO} × {cpu}")
}
