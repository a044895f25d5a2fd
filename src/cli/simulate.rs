//! `headwater simulate`: a release to a whole fleet, without and with an edge, and the bill.
//!
//! Owns the flags, the table and the JSON document. Never simulates: `fleet/` does; never draws: `fleet/report/` does.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
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
use crate::fleet::parameters::{Basis, Parameter, parameters};
use crate::fleet::report::{self, DISCLAIMER};
use crate::fleet::rows::{ROWS, front_name, print_usd};
use crate::fleet::scenario::{Changes, DEFAULT_NAME, Scenario};
use crate::fleet::summary::Summary;
use crate::fleet::units::{
    DURATION_WANTED, SIZE_WANTED, parse_duration, parse_size, print_count, print_duration,
};
use crate::fleet::verdict::verdict;

/// Simulate a release to a whole fleet, without and with an edge, and its cost
#[derive(Args, Debug)]
#[command(after_help = "\
The edge is a model of CloudFront's documented behaviour, not CloudFront; what AWS does not publish is a parameter of the \
scenario. The same scenario and seed give the same answer, bit for bit.
With --json: {scenario, seed, without_edge: R, with_edge: R, with_edge_without_shield: R, …}; R = {origin, edge, fleet, \
cost_usd} or null when it was not asked for. `with_edge` is with Origin Shield, unless --shield or the scenario say off.

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

    /// Write a report with plots: one HTML file that needs no network
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,

    /// Write the plot of what the origin sends as a picture
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,

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
        let page = self.report.as_deref().map(Page::open).transpose()?;
        let picture = self.svg.as_deref().map(Page::open).transpose()?;
        let bar = context.output.share_bar();
        let mut comparison = comparison::compare(request, &prices, &bar);
        if let Some(page) = page {
            comparison::sweep(&mut comparison);
            page.put(&report::html(&comparison, &prices, &self.again()))?;
        }
        if let Some(picture) = picture {
            picture.put(&report::svg(&comparison))?;
        }
        bar.finish();
        let told = Told::new(&comparison, &prices);
        context.output.report(Form::of(self.json), &told)
    }

    /// The command line that makes this answer again.
    fn again(&self) -> String {
        let mut words = vec!["headwater simulate".to_owned()];
        words.extend(
            self.scenario
                .as_ref()
                .map(|path| path.display().to_string()),
        );
        let mut flag = |name: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("--{name} {value}")));
        };
        let word = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map(|value| value.get_name().to_owned())
        };
        flag("devices", self.devices.map(|devices| devices.to_string()));
        flag(
            "artifact-size",
            self.artifact_size.map(|bytes| bytes.to_string()),
        );
        flag(
            "window",
            self.window
                .map(|window| print_duration(window).replace(' ', "")),
        );
        flag("edge", word(&|| self.edge.to_possible_value()));
        flag("shield", word(&|| self.shield?.to_possible_value()));
        flag("engine", word(&|| self.engine.to_possible_value()));
        flag("seed", Some(self.seed.to_string()));
        let path = |path: &PathBuf| path.display().to_string();
        flag("prices", self.prices.as_ref().map(path));
        flag("report", self.report.as_ref().map(path));
        words.join(" ")
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
        if engine == Engine::Exact && scenario.devices > EXACT_DEVICES_MAX {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "--engine exact keeps each of {} devices in memory; it takes up to {EXACT_DEVICES_MAX}",
                    scenario.devices
                ),
            )
            .with_hint("leave --engine out, or take --engine aggregate"));
        }
        Ok(Request {
            scenario,
            fronts,
            engine,
            seed: self.seed,
        })
    }
}

/// About 100 bytes a device and front: 2 GB for each front at most.
const EXACT_DEVICES_MAX: u64 = 20_000_000;

/// A file that is written whole or not at all: whoever looks at the old one keeps it until then. It is opened before the
/// simulation, so that a folder that is not there is told at once.
struct Page<'a> {
    path: &'a Path,
    file: tempfile::NamedTempFile,
}

impl<'a> Page<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        std::fs::metadata(folder).map_err(|error| write_failed(path, error))?;
        let file = tempfile::Builder::new()
            .prefix(".headwater-report-")
            // As any file that a program makes: the umask says who may read it.
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)
            // Its text names the temporary file, which nobody asked for: the kind says enough.
            .map_err(|error| write_failed(path, error.kind().into()))?;
        Ok(Self { path, file })
    }

    fn put(mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| write_failed(self.path, error))?;
        let kept = self.file.persist(self.path);
        kept.map_err(|error| write_failed(self.path, error.error))?;
        Ok(())
    }
}

fn write_failed(path: &Path, source: std::io::Error) -> Failure {
    let path = path.display().to_string();
    Failure::new(Exit::Failed, WriteError { path, source })
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write `{path}`")]
struct WriteError {
    path: String,
    source: std::io::Error,
}

fn load(path: &Path, prices: &Prices) -> Result<Scenario, Failure> {
    let failure = match Scenario::load(path, &prices.instances) {
        Ok(scenario) => return Ok(scenario),
        Err(error) => Failure::from(error),
    };
    let hint = format!("without a file the scenario is {DEFAULT_NAME}; config/scenarios/ has more");
    Err(failure.hint_on(Exit::NotFound, hint))
}

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
    parameters: Vec<Parameter>,
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
            simulation: DISCLAIMER,
            prices_as_of: &prices.as_of,
            without_edge: summary(Front::None),
            with_edge: with_shield.or_else(|| summary(Front::Edge)),
            with_edge_without_shield: with_shield.and_then(|_| summary(Front::Edge)),
            parameters: parameters(scenario),
            comparison,
            plans: &prices.plans,
        }
    }
}

impl Report for Told<'_> {
    fn to_text(&self) -> String {
        let runs = &self.comparison.runs;
        let mut header = vec![("", Column::Left)];
        let titles: Vec<String> = runs
            .iter()
            .map(|run| front_name(run.front).to_uppercase())
            .collect();
        header.extend(titles.iter().map(|title| (title.as_str(), Column::Right)));
        let line = |name: String, cell: &dyn Fn(&Run) -> String| {
            let mut cells = vec![name];
            cells.extend(runs.iter().map(cell));
            cells
        };
        let rows = ROWS.iter().map(|row| {
            line(format!("{} {}", row.group, row.name), &|run| {
                (row.cell)(&run.summary)
            })
        });
        let costs = runs.first().map(|run| run.summary.cost_usd.rows());
        let costs = costs.into_iter().flatten().enumerate();
        let costs = costs.map(|(at, (name, _usd))| {
            line(format!("$ {name}"), &|run| {
                print_usd(run.summary.cost_usd.rows()[at].1)
            })
        });
        let Self {
            scenario,
            seed,
            engine,
            devices,
            ..
        } = self;
        let mut text = format!(
            "{DISCLAIMER}\nscenario {scenario}, {} devices, seed {seed}, {engine} engine, list prices of {}\n\n{}\n",
            print_count(*devices),
            self.prices_as_of,
            table(&header, rows.chain(costs)),
        );
        for (about, sentence) in verdict(self.comparison) {
            let _ = writeln!(text, "{about}: {sentence}");
        }
        if self.comparison.with_edge().is_none() {
            return text;
        }
        let unpublished = self.parameters.iter();
        let unpublished = unpublished.filter(|parameter| parameter.basis == Basis::Unpublished);
        let unpublished =
            unpublished.map(|parameter| format!("{} {}", parameter.key, parameter.value));
        let unpublished = unpublished.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "Not published by AWS, assumed here: {unpublished}.");
        text.push_str(self.plans);
        text.push('\n');
        text
    }
}
