//! `config/prices.toml`: list prices, each table with its source and date.
//!
//! Owns the file's keys and what they may be. Never multiplies anything: `cost.rs` does.

use std::path::Path;

use super::Tiers;
use crate::edge::policy::topology::Region;
use crate::fleet::document::{self, Document, DocumentError, Section};
use crate::fleet::regions::{PerRegion, REGIONS};
use crate::fleet::units::as_f64;

/// The table that is part of the program.
const EMBEDDED: &str = include_str!("../../../config/prices.toml");
/// How messages call it.
const EMBEDDED_PLACE: &str = "config/prices.toml";

/// No list price of a unit is near it.
const USD_MAX: f64 = 10_000.0;
/// A month's volume in terabytes or gigabytes, or a number of requests: far above any tier.
const AMOUNT_MAX: f64 = 1e12;

/// Prices, as of a date.
#[derive(Clone, Debug)]
pub struct Prices {
    /// The date of the table.
    pub as_of: String,
    /// CloudFront.
    pub cloudfront: CloudFrontPrices,
    /// EC2 transfer out to the internet.
    pub transfer_out: Tiers,
    /// The load balancer.
    pub load_balancer: LoadBalancerPrices,
    /// Instance types.
    pub instances: Vec<Instance>,
    /// About flat-rate plans: a line to print.
    pub plans: String,
    /// Where each table is from.
    pub sources: Vec<Source>,
}

/// CloudFront.
#[derive(Clone, Debug)]
pub struct CloudFrontPrices {
    /// Transfer out to the internet.
    pub transfer: PerRegion<Tiers>,
    /// $ per 10,000 HTTPS requests.
    pub requests: PerRegion<f64>,
    /// $ per 10,000 Origin Shield requests.
    pub shield: PerRegion<f64>,
    /// Always-free transfer, GB a month over all regions.
    pub free_gb: f64,
    /// Always-free requests a month.
    pub free_requests: f64,
}

/// The load balancer: hours, and capacity units by the largest of four dimensions.
#[derive(Clone, Debug)]
pub struct LoadBalancerPrices {
    /// $ an hour.
    pub hour: f64,
    /// $ a capacity unit and hour.
    pub unit_hour: f64,
    /// One unit is so many new connections a second.
    pub connections_per_second: f64,
    /// … or open connections.
    pub connections_open: f64,
    /// … or GB an hour.
    pub gb_per_hour: f64,
    /// … or rule evaluations a second.
    pub rules_per_second: f64,
    /// Rules that one request is held against.
    pub rules_per_request: f64,
}

/// An instance type.
#[derive(Clone, PartialEq, Debug)]
pub struct Instance {
    /// `m7g.large`.
    pub name: String,
    /// Its network baseline, bit/s.
    pub baseline_bps: f64,
    /// What the internet gateway lets through, bit/s (fact 90).
    pub gateway_bps: f64,
    /// $ an hour, on demand.
    pub hour: f64,
}

/// Where a table of the file is from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The table: `cloudfront.transfer`.
    pub table: String,
    /// Who published the numbers.
    pub source: String,
    /// The date of that copy.
    pub date: String,
}

impl Prices {
    /// The table that is part of the program.
    pub fn embedded() -> Result<Self, DocumentError> {
        Self::parse(EMBEDDED_PLACE, EMBEDDED)
    }

    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, DocumentError> {
        Self::parse(&path.display().to_string(), &document::read(path)?)
    }

    /// Reads a text that is from `place`.
    pub fn parse(place: &str, text: &str) -> Result<Self, DocumentError> {
        let document = Document::parse(place, text)?;
        let mut root = document.root();
        let mut sources = Vec::new();
        let as_of = root.text("as_of");
        let cloudfront = cloudfront(root.section("cloudfront"), &mut sources);
        let mut ec2 = root.section("ec2");
        let transfer_out = transfer_out(ec2.section("transfer"), &mut sources);
        ec2.end();
        let load_balancer = load_balancer(root.section("load_balancer"), &mut sources);
        let mut plans = root.section("plans");
        let note = plans.text("note").trim().to_owned();
        source("plans", &mut plans, &mut sources);
        plans.end();
        let instances = instances(root.section("instances"), &mut sources);
        root.end();
        document.check()?;
        Ok(Self {
            as_of,
            cloudfront,
            transfer_out,
            load_balancer,
            instances,
            plans: note,
            sources,
        })
    }

    /// The instance type of that name.
    #[must_use]
    pub fn instance(&self, name: &str) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.name == name)
    }
}

fn source(table: &str, section: &mut Section<'_>, sources: &mut Vec<Source>) {
    sources.push(Source {
        table: table.to_owned(),
        source: section.text("source"),
        date: section.text("date"),
    });
}

fn cloudfront(mut section: Section<'_>, sources: &mut Vec<Source>) -> CloudFrontPrices {
    let mut transfer = section.section("transfer");
    source("cloudfront.transfer", &mut transfer, sources);
    let bounds = amounts(&mut transfer, "tiers_tb");
    let tiers = PerRegion::of(|key| {
        let prices = amounts(&mut transfer, key);
        tiers(&transfer, key, &bounds, prices, 0.0)
    });
    transfer.end();

    let mut free = section.section("free");
    source("cloudfront.free", &mut free, sources);
    let free_gb = free.number("transfer_gb", 0.0..=AMOUNT_MAX);
    let free_requests = free.number("requests", 0.0..=AMOUNT_MAX);
    free.end();

    let mut requests = section.section("requests");
    source("cloudfront.requests", &mut requests, sources);
    let per_request = PerRegion::of(|key| requests.number(key, 0.0..=USD_MAX));
    requests.end();

    let mut shield = section.section("shield");
    source("cloudfront.shield", &mut shield, sources);
    let per_shield = PerRegion::of(|key| shield.number(key, 0.0..=USD_MAX));
    shield.end();
    section.end();
    CloudFrontPrices {
        transfer: tiers,
        requests: per_request,
        shield: per_shield,
        free_gb,
        free_requests,
    }
}

fn transfer_out(mut section: Section<'_>, sources: &mut Vec<Source>) -> Tiers {
    source("ec2.transfer", &mut section, sources);
    let bounds = amounts(&mut section, "tiers_tb");
    let prices = amounts(&mut section, "prices");
    let free_gb = section.number("free_gb", 0.0..=AMOUNT_MAX);
    let tiers = tiers(&section, "prices", &bounds, prices, free_gb);
    section.end();
    tiers
}

fn load_balancer(mut section: Section<'_>, sources: &mut Vec<Source>) -> LoadBalancerPrices {
    source("load_balancer", &mut section, sources);
    // A unit of nothing would make every bill infinite.
    let unit = 0.001..=AMOUNT_MAX;
    let prices = LoadBalancerPrices {
        hour: section.number("hour", 0.0..=USD_MAX),
        unit_hour: section.number("unit_hour", 0.0..=USD_MAX),
        connections_per_second: section.number("unit_connections_per_second", unit.clone()),
        connections_open: section.number("unit_connections_open", unit.clone()),
        gb_per_hour: section.number("unit_gb_per_hour", unit.clone()),
        rules_per_second: section.number("unit_rules_per_second", unit),
        rules_per_request: section.number("rules_per_request", 0.0..=1000.0),
    };
    section.end();
    prices
}

/// Below so many processors the internet gateway passes [`GATEWAY_BPS`], from there on half of the bandwidth (fact 90).
const GATEWAY_VCPUS: u64 = 32;
const GATEWAY_BPS: f64 = 5e9;

fn instances(mut section: Section<'_>, sources: &mut Vec<Source>) -> Vec<Instance> {
    source("instances", &mut section, sources);
    let mut instances: Vec<Instance> = Vec::new();
    for mut row in section.sections("types") {
        let name = row.text("name");
        let baseline_bps = row.rate("baseline", 1e6..=1e13);
        let vcpus = row.count("vcpus", 1..=1024);
        let hour = row.number("hour", 0.0..=USD_MAX);
        if instances.iter().any(|other| other.name == name) {
            row.blame("name", &format!("is `{name}` once more"));
        }
        row.end();
        let gateway_bps = if vcpus < GATEWAY_VCPUS {
            GATEWAY_BPS
        } else {
            baseline_bps / 2.0
        };
        instances.push(Instance {
            name,
            baseline_bps,
            gateway_bps,
            hour,
        });
    }
    section.end();
    instances
}

fn amounts(section: &mut Section<'_>, key: &'static str) -> Vec<f64> {
    section
        .take(key, |value| {
            let wanted = "an array of numbers that are not negative";
            let items = value
                .as_array()
                .ok_or_else(|| document::expected(value, wanted))?;
            let number = |item: &toml::Spanned<toml::de::DeValue<'_>>| {
                document::number_of(item.get_ref())
                    .ok()
                    .filter(|number| (0.0..=AMOUNT_MAX).contains(number))
            };
            let numbers: Option<Vec<f64>> = items.iter().map(number).collect();
            numbers.ok_or_else(|| format!("has to be {wanted}"))
        })
        .unwrap_or_default()
}

/// One TB is 1,024 GB on AWS's bills.
const GB_PER_TB: f64 = 1024.0;

fn tiers(
    section: &Section<'_>,
    key: &str,
    sizes_tb: &[f64],
    prices: Vec<f64>,
    free_gb: f64,
) -> Tiers {
    if !prices.is_empty() && prices.len() != sizes_tb.len() + 1 {
        let (wanted, given) = (sizes_tb.len() + 1, prices.len());
        let what = format!(
            "has {given} prices; it has to have {wanted}, one for each of `tiers_tb` and one for what is above"
        );
        section.blame(key, &what);
    }
    let sizes = sizes_tb.iter().map(|terabytes| terabytes * GB_PER_TB);
    let sizes = sizes.chain([f64::INFINITY]);
    Tiers {
        steps: sizes.zip(prices).collect(),
        free_gb,
    }
}

/// The name of a region, for people.
#[must_use]
pub fn region_name(region: Region) -> &'static str {
    REGIONS
        .iter()
        .find(|(_key, other, _name)| *other == region)
        .map_or("", |(_key, _region, name)| name)
}

/// Bytes as the GB of a bill.
#[must_use]
pub fn billed_gb(bytes: u64) -> f64 {
    as_f64(bytes) / (1024.0 * 1024.0 * 1024.0)
}
