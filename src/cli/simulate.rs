//! `headwater simulate`: a release to a whole fleet, without and with an edge, and the bill.
//!
//! Owns the flags, the table and the JSON document. Never simulates: `fleet/` does; never draws: `fleet/report/` does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::failure::Exit;
use super::output::{Column, Form, Report, table};
use super::{Context, Failure};
use crate::fleet::comparison::{self, Comparison, Request, Run};
use crate::fleet::cost::Prices;
use crate::fleet::engine::Engine;
use crate::fleet::outcome::Front;
use crate::fleet::scenario::{Changes, DEFAULT_NAME, Scenario};
use crate::fleet::summary::Summary;
use crate::fleet::units::{
    DURATION_WANTED, SIZE_WANTED, parse_duration, parse_size, print_count, print_number, print_size,
};

/// Simulate a release to a whole fleet, without and with an edge, and its cost
#[derive(Args, Debug)]
#[command(after_help = "\
The edge is a model of CloudFront's documented behaviour, not CloudFront; what AWS does not publish is a parameter of the \
scenario. The same scenario and seed give the same answer, bit for bit.
With --json: {scenario, seed, without_edge: R, with_edge: R, with_edge_without_shield: R, …}; R = {origin, edge, fleet, \
cost_usd}, or null when it was not asked for. `with_edge` is with Origin Shield, unless --shield or the scenario say off.

Examples:
  headwater simulate
  headwater simulate --devices 1000000 --artifact-size 500MB --window 6h --report release.html
  headwater simulate config/scenarios/phone-os.toml --edge on --shield off --json")]
pub(super) struct Typed {
    /// What is simulated; without it a desktop application and a million devices
    #[arg(value_name = "SCENARIO.toml")]
    scenario: Option<PathBuf>,

    /// So many devices
    #[arg(long, value_name = "N")]
    devices: Option<u64>,

    /// Every artifact has this size: bytes, or with a unit (500MB, 1GiB)
    #[arg(long, value_name = "BYTES", value_parser = size)]
    artifact_size: Option<u64>,

    /// The fleet learns of the release in this time (6h, 45m); polling and horizon follow in proportion
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    window: Option<Duration>,

    /// Without an edge (off), with one (on), or both
    #[arg(long, value_enum, default_value_t = Edges::Both)]
    edge: Edges,

    /// With Origin Shield or without; by default both are run and the scenario says which is `with_edge`
    #[arg(long, value_enum)]
    shield: Option<Switch>,

    /// Where the random numbers start
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// One device at a time (exact), counts of devices (aggregate), or by the size of the fleet
    #[arg(long, value_enum, default_value_t = Engines::Auto)]
    engine: Engines,

    /// List prices [default: the table of config/prices.toml, which is part of the program]
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Edges {
    On,
    Off,
    Both,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Engines {
    Auto,
    Exact,
    Aggregate,
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| format!("it has to be {SIZE_WANTED}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("it has to be {DURATION_WANTED}"))
}

/// Where the shield stands when a scenario has none and --shield asks for one: where its origin is billed.
const SHIELD_REGION: &str = "us-east-1";

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let prices = match &self.prices {
            Some(path) => Prices::load(path),
            None => Prices::embedded(),
        }?;
        let request = self.request(&prices)?;
        let bar = context.output.share_bar();
        let comparison = comparison::compare(request, &prices, &bar);
        bar.finish();
        let told = Told::new(&comparison, &prices);
        context.output.report(Form::of(self.json), &told)
    }

    fn request(&self, prices: &Prices) -> Result<Request, Failure> {
        let scenario = match &self.scenario {
            Some(path) => load(path, prices)?,
            None => Scenario::embedded(&prices.instances)?,
        };
        let mut scenario = scenario.with(&Changes {
            devices: self.devices,
            artifact_bytes: self.artifact_size,
            window: self.window,
        })?;
        let shield = &mut scenario.edge.topology.shield;
        match self.shield {
            Some(Switch::Off) => *shield = None,
            Some(Switch::On) if shield.is_none() => *shield = Some(SHIELD_REGION.to_owned()),
            Some(Switch::On) | None => {}
        }
        let mut fronts = Vec::new();
        if self.edge != Edges::On {
            fronts.push(Front::None);
        }
        if self.edge != Edges::Off {
            if shield.is_none() || self.shield.is_none() {
                fronts.push(Front::Edge);
            }
            if shield.is_some() {
                fronts.push(Front::EdgeAndShield);
            }
        }
        let engine = match self.engine {
            Engines::Auto => Engine::for_devices(scenario.devices),
            Engines::Exact => Engine::Exact,
            Engines::Aggregate => Engine::Aggregate,
        };
        Ok(Request {
            scenario,
            fronts,
            engine,
            seed: self.seed,
        })
    }
}

fn load(path: &Path, prices: &Prices) -> Result<Scenario, Failure> {
    let failure = match Scenario::load(path, &prices.instances) {
        Ok(scenario) => return Ok(scenario),
        Err(error) => Failure::from(error),
    };
    let hint = format!("without a file the scenario is {DEFAULT_NAME}; config/scenarios/ has more");
    Err(failure.hint_on(Exit::NotFound, hint))
}

/// What the edge is, in every form of the answer.
const WHAT: &str =
    "a simulation: the edge is a model of CloudFront's documented behaviour, not CloudFront";

#[derive(Serialize)]
struct Told<'a> {
    scenario: &'a str,
    seed: u64,
    engine: &'static str,
    devices: u64,
    window_s: f64,
    simulation: &'static str,
    prices_as_of: &'a str,
    without_edge: Option<&'a Summary>,
    with_edge: Option<&'a Summary>,
    with_edge_without_shield: Option<&'a Summary>,
    #[serde(skip)]
    comparison: &'a Comparison,
    #[serde(skip)]
    plans: &'a str,
}

impl<'a> Told<'a> {
    fn new(comparison: &'a Comparison, prices: &'a Prices) -> Self {
        let Request {
            scenario,
            engine,
            seed,
            ..
        } = &comparison.request;
        let summary = |front| comparison.behind(front).map(|run| &run.summary);
        let with_shield = summary(Front::EdgeAndShield);
        Self {
            scenario: &scenario.name,
            seed: *seed,
            engine: match engine {
                Engine::Exact => "exact",
                Engine::Aggregate => "aggregate",
            },
            devices: scenario.devices,
            window_s: scenario.window.as_secs_f64(),
            simulation: WHAT,
            prices_as_of: &prices.as_of,
            without_edge: summary(Front::None),
            with_edge: with_shield.or_else(|| summary(Front::Edge)),
            with_edge_without_shield: with_shield.and_then(|_| summary(Front::Edge)),
            comparison,
            plans: &prices.plans,
        }
    }
}

impl Report for Told<'_> {
    fn to_text(&self) -> String {
        let runs = &self.comparison.runs;
        let mut header = vec![("", Column::Left)];
        header.extend(runs.iter().map(|run| (title(run.front), Column::Right)));
        let rows = ROWS.iter().map(|(name, cell)| {
            let mut cells = vec![(*name).to_owned()];
            cells.extend(runs.iter().map(|run| cell(&run.summary)));
            cells
        });
        let costs = runs.first().map(|run| run.summary.cost_usd.rows());
        let costs = costs
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(at, (name, _))| {
                let mut cells = vec![format!("$ {name}")];
                let of = |run: &Run| print_number(run.summary.cost_usd.rows()[at].1);
                cells.extend(runs.iter().map(of));
                cells
            });
        let Self {
            scenario,
            seed,
            engine,
            devices,
            ..
        } = self;
        let devices = print_count(*devices);
        format!(
            "{WHAT}\nscenario {scenario}, {devices} devices, seed {seed}, {engine} engine, list prices of {}\n\n{}\n{}\n",
            self.prices_as_of,
            table(&header, rows.chain(costs)),
            self.plans,
        )
    }
}

fn title(front: Front) -> &'static str {
    match front {
        Front::None => "WITHOUT EDGE",
        Front::Edge => "WITH EDGE",
        Front::EdgeAndShield => "EDGE + SHIELD",
    }
}

/// A line of the table: its name, and what it shows of a run.
type Row = (&'static str, fn(&Summary) -> String);

const ROWS: [Row; 19] = [
    ("origin requests", |run| print_count(run.origin.requests)),
    ("origin bytes", |run| print_size(run.origin.bytes)),
    ("origin mean Gb/s", |run| print_number(run.origin.mean_gbps)),
    ("origin peak Gb/s", |run| print_number(run.origin.peak_gbps)),
    ("  demanded", |run| {
        print_number(run.origin.peak_demand_gbps)
    }),
    ("origin peak requests/s", |run| {
        print_number(run.origin.peak_requests_per_s)
    }),
    ("origin requests failed", |run| {
        print_count(run.origin.failed)
    }),
    ("instances needed", |run| {
        print_count(run.origin.instances_needed)
    }),
    ("instances at most", |run| {
        print_count(run.origin.instances_peak)
    }),
    ("edge requests", |run| print_count(run.edge.requests)),
    ("edge hit ratio", |run| print_share(run.edge.hit_ratio)),
    ("edge byte hit ratio", |run| {
        print_share(run.edge.byte_hit_ratio)
    }),
    ("edge collapsed", |run| print_count(run.edge.collapsed)),
    ("devices updated", |run| print_count(run.fleet.updated)),
    ("devices failed", |run| print_count(run.fleet.failed)),
    ("devices late", |run| print_count(run.fleet.late)),
    ("50 % have it after", |run| print_time(run.fleet.t50_s)),
    ("90 %", |run| print_time(run.fleet.t90_s)),
    ("99 %", |run| print_time(run.fleet.t99_s)),
];

/// Hit ratios differ in their last digits: five decimals of a percentage.
fn print_share(share: f64) -> String {
    format!("{:.4} %", share * 100.0)
}

fn print_time(seconds: Option<f64>) -> String {
    seconds.map_or_else(
        || "never".to_owned(),
        |seconds| {
            crate::fleet::units::print_duration(Duration::from_secs(crate::fleet::units::round(
                seconds,
            )))
        },
    )
}
