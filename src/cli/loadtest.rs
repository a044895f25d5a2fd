//! `headwater loadtest`: a fleet of devices against a server.
//!
//! Owns which outcome is a failure. Never makes a request itself: `device/load` does. How figures are shown is in
//! `loadtest/figures.rs`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use clap::Args;
use jiff::fmt::friendly::SpanParser;

use super::failure::Exit;
use super::output::Form;
use super::{Context, Failure};
use crate::assembly;
use crate::device::DeviceError;
use crate::device::load::{self, Ended, LoadOutcome, LoadPlan, Style, Target, TargetError};
use crate::model::{ArtifactName, ChannelName, Product};

mod figures;

/// Let a fleet of devices update from a server, and measure it
#[derive(Args, Debug)]
#[command(after_help = "\
Each device has a connection of its own, reads the channel and the release document, downloads one artifact (of \
several, each in turn), verifies every byte and keeps none. It works against any URL that serves Headwater's documents: \
an origin, an edge, a real distribution. Both bounds are required: whoever is at the other end pays for the traffic. \
Ctrl-C ends it early, with the table so far.
Ends with exit code 5 when a device was given other bytes than the published ones; with 1 when a larger share of \
requests or devices failed than --error-rate-max allows, or when it ended before every device had its turn.
With --json: {url, artifact, seed, ended, elapsed_s, devices: {planned, verified, failed, damaged, cut_short, \
not_started}, requests, statuses, bytes, bytes_per_s, requests_per_s, connections, broken_off, ranges_ignored, errors, \
error_rate, x_cache, first_byte_ms: {channel, release, artifact}, update_ms}; times are {count, p50, p90, p99, max}; \
`ended` is \"all_done\", \"max_requests\", \"max_time\" or \"interrupted\".

Examples:
  headwater loadtest --url http://127.0.0.1:8080/channels/agent/stable.json --devices 1000 \\
      --max-requests 5000 --max-time 1m
  headwater loadtest --url https://updates.example.com --product agent --channel stable \\
      --devices 200 --ranges --abort 0.1 --max-requests 10000 --max-time 5m --json")]
pub(super) struct Typed {
    #[arg(
        long,
        value_name = "URL",
        help = "A channel document: http://host[:port]/channels/PRODUCT/CHANNEL.json; or a server, http://host[:port]"
    )]
    url: String,

    /// The product, when --url is a server
    #[arg(long, value_name = "NAME", requires = "channel")]
    product: Option<Product>,

    /// The channel, when --url is a server
    #[arg(long, value_name = "NAME", requires = "product")]
    channel: Option<ChannelName>,

    /// The artifact that every device downloads [default: each of the release, in turn]
    #[arg(long, value_name = "NAME")]
    artifact: Option<ArtifactName>,

    /// How many devices update
    #[arg(long, value_name = "N", default_value = "100")]
    devices: NonZeroUsize,

    /// How many of them at a time
    #[arg(long, value_name = "N", default_value = "100")]
    concurrency: NonZeroUsize,

    /// Download piece by piece (4 MiB each), with a request for each
    #[arg(long)]
    ranges: bool,

    /// The share of devices that break off once, anywhere, and resume: 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    abort: f64,

    /// Decides who breaks off, where and for how long
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,

    /// Spread the starts evenly over this time; 0s: all at the same instant
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    ramp: Duration,

    /// Name one of N POPs in `X-Edge-Pop`, device by device in turn
    #[arg(long, value_name = "N")]
    pops: Option<NonZeroUsize>,

    /// How long a connect, or a wait for the next byte, may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    stall_timeout: Duration,

    /// The largest share of requests, and of devices, that may fail: 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0.01", value_parser = parse_share)]
    error_rate_max: f64,

    /// Send no more requests than this (required)
    #[arg(long, value_name = "N")]
    max_requests: Option<NonZeroU64>,

    /// Break everything off after this time (required), such as 90s or 5m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_time: Option<Duration>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Descriptors beside the connections: the runtime's, the standard streams, a name server.
const DESCRIPTORS_BESIDE: u64 = 64;

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let plan = self.plan()?;
        check_descriptors(plan.concurrency.min(plan.devices))?;
        let stop = assembly::cancelled_by_signals()?;
        let bar = context.output.fleet_bar(plan.devices.get() as u64);
        let outcome = assembly::block_on(load::run(plan.clone(), stop, bar.clone()))??;
        bar.finish();
        let figures = figures::Figures::new(&plan, &outcome);
        context.output.report(Form::of(self.json), &figures)?;
        self.judge(outcome)
    }

    fn plan(&self) -> Result<LoadPlan, Failure> {
        let (Some(requests_max), Some(time_max)) = (self.max_requests, self.max_time) else {
            return Err(self.unbounded());
        };
        if time_max.is_zero() {
            return Err(Failure::new(
                Exit::Usage,
                "--max-time is 0: nothing can be asked in no time",
            ));
        }
        let named = self.product.clone().zip(self.channel.clone());
        Ok(LoadPlan {
            target: Target::parse(&self.url, named)?,
            artifact: self.artifact.clone(),
            devices: self.devices,
            concurrency: self.concurrency,
            style: if self.ranges {
                Style::Pieces
            } else {
                Style::Whole
            },
            abort_share: self.abort,
            seed: self.seed,
            ramp: self.ramp,
            pops: self.pops,
            stall_timeout: self.stall_timeout,
            requests_max,
            time_max,
        })
    }

    fn unbounded(&self) -> Failure {
        let missing = match (self.max_requests, self.max_time) {
            (None, None) => "--max-requests and --max-time",
            (None, _) => "--max-requests",
            _ => "--max-time",
        };
        // A device asks three times, and once more for each break; twice that leaves room for repeats.
        let requests = self.devices.get().saturating_mul(6);
        Failure::new(
            Exit::Usage,
            format!(
                "a load test without a bound may become an attack and a bill: {missing} must be set"
            ),
        )
        .with_hint(format!(
            "for instance --max-requests {requests} --max-time 5m"
        ))
    }

    /// The table was printed; this is what a script sees.
    fn judge(&self, outcome: LoadOutcome) -> Result<(), Failure> {
        let (rate, devices) = (outcome.error_rate(), outcome.devices);
        let verdict = if let Some(first) = outcome.first_damage {
            Verdict::Damaged {
                damaged: devices.damaged,
                planned: devices.planned,
                first,
            }
        } else if rate > self.error_rate_max {
            Verdict::Errors {
                rate: percent(rate),
                rate_max: percent(self.error_rate_max),
                first: outcome.first_failure,
            }
        } else if devices.verified == 0 {
            Verdict::NobodyDone
        } else if outcome.ended != Ended::AllDone {
            Verdict::Unfinished {
                why: match outcome.ended {
                    Ended::RequestsBound => "--max-requests was reached",
                    Ended::TimeBound => "--max-time was over",
                    Ended::Interrupted | Ended::AllDone => "it was interrupted",
                },
                verified: devices.verified,
                planned: devices.planned,
            }
        } else {
            return Ok(());
        };
        Err(Failure::new(verdict.exit(), verdict))
    }
}

/// What is wrong with a run that came to its end.
#[derive(Debug, thiserror::Error)]
enum Verdict {
    #[error("{damaged} of {planned} devices were given other bytes than the published ones")]
    Damaged {
        damaged: u64,
        planned: u64,
        #[source]
        first: DeviceError,
    },
    #[error("{rate} of requests or devices failed, above the {rate_max} of --error-rate-max")]
    Errors {
        rate: String,
        rate_max: String,
        #[source]
        first: Option<DeviceError>,
    },
    #[error("no device had its update when the load test ended")]
    NobodyDone,
    #[error("{why} when {verified} of {planned} devices had their update")]
    Unfinished {
        why: &'static str,
        verified: u64,
        planned: u64,
    },
}

impl Verdict {
    fn exit(&self) -> Exit {
        match self {
            Self::Damaged { .. } => Exit::Damaged,
            Self::Errors { .. } | Self::NobodyDone | Self::Unfinished { .. } => Exit::Failed,
        }
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        let hint = match &error {
            TargetError::Server(_) => None,
            TargetError::NotAChannel { .. } | TargetError::NoChannel { .. } => Some(
                "name the channel: --url http://host/channels/PRODUCT/CHANNEL.json, or --product and --channel",
            ),
            TargetError::TwoChannels { .. } => {
                Some("leave out --product and --channel, or the path of the URL")
            }
        };
        let failure = Self::new(Exit::Usage, error);
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

/// Before the first of thousands of devices fails for want of a descriptor.
fn check_descriptors(connections: NonZeroUsize) -> Result<(), Failure> {
    let needed = connections.get() as u64 + DESCRIPTORS_BESIDE;
    let allowed = assembly::allow_descriptors(needed);
    if allowed >= needed {
        return Ok(());
    }
    let text = format!(
        "{connections} devices at a time need {needed} open files, and {allowed} are allowed here"
    );
    Err(Failure::new(Exit::Usage, text).with_hint("lower --concurrency, or raise `ulimit -n`"))
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("write a share from 0 to 1, such as 0.05".to_owned()),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    SpanParser::new()
        .parse_unsigned_duration(text)
        .map_err(|_error| "write a time such as 90s, 5m or 1h 30m".to_owned())
}
