//! What a run costs, by component, from a dated price table.
//!
//! Owns the arithmetic of tiers and of load balancer capacity units; `cost/prices.rs` reads the table. Never counts
//! requests, bytes or hours itself: an [`Outcome`] has them. A run is billed as the only traffic of its month.

use serde::Serialize;

mod prices;

pub use prices::{Instance, Prices, Source, billed_gb, region_name};

use super::outcome::{Front, OriginOutcome, Outcome, STEP_SECONDS};
use super::scenario::Scenario;
use super::units::as_f64;

/// US dollars by component.
#[derive(Clone, Copy, PartialEq, Serialize, Default, Debug)]
pub struct Cost {
    /// EC2 instance hours.
    pub ec2_hours: f64,
    /// Load balancer hours and capacity units.
    pub alb: f64,
    /// EC2 transfer out to the internet.
    pub transfer_out: f64,
    /// CloudFront transfer out.
    pub cloudfront_transfer: f64,
    /// CloudFront requests.
    pub cloudfront_requests: f64,
    /// Origin Shield requests.
    pub origin_shield: f64,
    /// The sum.
    pub total: f64,
}

impl Cost {
    /// Every component with its name for people, the sum last.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, f64); 7] {
        [
            ("EC2 instance hours", self.ec2_hours),
            ("load balancer", self.alb),
            ("EC2 transfer out", self.transfer_out),
            ("CloudFront transfer", self.cloudfront_transfer),
            ("CloudFront requests", self.cloudfront_requests),
            ("Origin Shield requests", self.origin_shield),
            ("total", self.total),
        ]
    }
}

/// Prices that fall with a month's volume.
#[derive(Clone, PartialEq, Debug)]
pub struct Tiers {
    /// The size of each tier in GB and its $/GB; the last has no end.
    pub steps: Vec<(f64, f64)>,
    /// So many GB cost nothing; they are the first ones, and count in their tier.
    pub free_gb: f64,
}

impl Tiers {
    /// What the first so many GB of a month cost, nothing being free.
    #[must_use]
    pub fn gross(&self, gb: f64) -> f64 {
        let mut left = gb;
        let mut sum = 0.0;
        for (size, price) in &self.steps {
            let part = left.clamp(0.0, *size);
            sum += part * price;
            left -= part;
        }
        sum
    }

    /// The same after the free ones.
    #[must_use]
    pub fn net(&self, gb: f64) -> f64 {
        self.gross(gb) - self.gross(gb.min(self.free_gb))
    }
}

/// The bill of one run.
#[must_use]
pub fn cost(scenario: &Scenario, front: Front, outcome: &Outcome, prices: &Prices) -> Cost {
    let instance = prices.instance(&scenario.origin.instance_type);
    let instance_hour = instance.map_or(0.0, |instance| instance.hour);
    let mut cost = Cost {
        ec2_hours: instance_hours(&outcome.origin) * instance_hour,
        alb: load_balancer(&outcome.origin, prices),
        transfer_out: prices
            .transfer_out
            .net(billed_gb(outcome.origin.egress_bytes)),
        ..Cost::default()
    };
    if front != Front::None {
        cost.cloudfront_transfer = cloudfront_transfer(outcome, prices);
        cost.cloudfront_requests = cloudfront_requests(outcome, prices);
        cost.origin_shield = origin_shield(outcome, prices);
    }
    cost.total = cost.ec2_hours
        + cost.alb
        + cost.transfer_out
        + cost.cloudfront_transfer
        + cost.cloudfront_requests
        + cost.origin_shield;
    cost
}

const HOUR_SECONDS: u64 = 3600;
const STEPS_PER_HOUR: usize = (HOUR_SECONDS / STEP_SECONDS) as usize;

/// Instances are billed by the second, until the group is back at its minimum: which it had before, and keeps.
#[must_use]
pub fn instance_hours(origin: &OriginOutcome) -> f64 {
    let seconds: f64 = origin
        .instances_series
        .iter()
        .map(|instances| as_f64(instances * STEP_SECONDS))
        .sum();
    (seconds + as_f64(origin.scale_in.instance_seconds)) / as_f64(HOUR_SECONDS)
}

/// Every hour that has begun, and in each the largest of the four dimensions, as averages over that hour.
fn load_balancer(origin: &OriginOutcome, prices: &Prices) -> f64 {
    let prices = &prices.load_balancer;
    let hours = origin.bytes_series.len().div_ceil(STEPS_PER_HOUR);
    let run_seconds = origin.bytes_series.len() as u64 * STEP_SECONDS;
    let hours_until_over = (run_seconds + origin.scale_in.seconds).div_ceil(HOUR_SECONDS);
    // It stands in front of a group that comes back, and has nothing to do.
    let mut sum = as_f64(hours_until_over - hours as u64) * prices.hour;
    for hour in 0..hours {
        let of = |series: &[u64]| {
            let steps = series
                .iter()
                .skip(hour * STEPS_PER_HOUR)
                .take(STEPS_PER_HOUR);
            as_f64(steps.sum())
        };
        let per_second = |count: f64| count / as_f64(HOUR_SECONDS);
        let rules = per_second(of(&origin.requests_series)) * prices.rules_per_request;
        let gb = of(&origin.bytes_series) / (1024.0 * 1024.0 * 1024.0);
        let open = of(&origin.open_series) * as_f64(STEP_SECONDS) / as_f64(HOUR_SECONDS);
        let units = [
            per_second(of(&origin.connections_series)) / prices.connections_per_second,
            open / prices.connections_open,
            gb / prices.gb_per_hour,
            rules / prices.rules_per_second,
        ];
        sum += prices.hour + units.into_iter().fold(0.0, f64::max) * prices.unit_hour;
    }
    sum
}

/// Each region has tiers of its own; the free volume is spread over the regions by what they use.
fn cloudfront_transfer(outcome: &Outcome, prices: &Prices) -> f64 {
    let total_gb = billed_gb(
        outcome
            .edge
            .by_region
            .iter()
            .map(|(_, _, bytes)| bytes)
            .sum(),
    );
    let free_share = share(prices.cloudfront.free_gb, total_gb);
    let by_region = outcome.edge.by_region.iter().map(|(region, _, bytes)| {
        let tiers = prices.cloudfront.transfer.at(*region);
        let gb = billed_gb(*bytes);
        tiers.gross(gb) - tiers.gross(gb * free_share)
    });
    sum(by_region)
}

fn cloudfront_requests(outcome: &Outcome, prices: &Prices) -> f64 {
    let total: u64 = outcome
        .edge
        .by_region
        .iter()
        .map(|(_, requests, _)| requests)
        .sum();
    let charged_share = 1.0 - share(prices.cloudfront.free_requests, as_f64(total));
    let by_region = outcome.edge.by_region.iter().map(|(region, requests, _)| {
        per_ten_thousand(*requests, *prices.cloudfront.requests.at(*region))
    });
    sum(by_region) * charged_share
}

fn origin_shield(outcome: &Outcome, prices: &Prices) -> f64 {
    let by_region = outcome.edge.shield_requests.iter();
    sum(by_region.map(|(region, requests)| {
        per_ten_thousand(*requests, *prices.cloudfront.shield.at(*region))
    }))
}

/// The sum of nothing is 0, not the -0 of the standard library: people read it.
fn sum(parts: impl Iterator<Item = f64>) -> f64 {
    parts.fold(0.0, |sum, part| sum + part)
}

fn per_ten_thousand(requests: u64, price: f64) -> f64 {
    as_f64(requests) / 10_000.0 * price
}

/// How much of `whole` is `part`: all of it at most.
fn share(part: f64, whole: f64) -> f64 {
    if whole > part { part / whole } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::policy::topology::Region;
    use crate::fleet::document::DocumentError;
    use crate::fleet::outcome::{EdgeOutcome, ScaleIn};

    const GIB: u64 = 1 << 30;
    const TIB: u64 = 1 << 40;

    fn prices() -> Prices {
        Prices::embedded().unwrap()
    }

    fn scenario() -> Scenario {
        Scenario::embedded(&prices().instances).unwrap()
    }

    /// Equal to the cent.
    fn assert_usd(actual: f64, expected: f64) {
        assert!(
            (actual - expected).abs() < 0.005,
            "{actual} instead of {expected}"
        );
    }

    /// 500 TB in a month, all of it in the United States: the worked check of the price table, nothing being free.
    #[test]
    fn half_a_petabyte_costs_what_the_worked_check_says() {
        let prices = prices();
        let gb = 500.0 * 1024.0;
        assert_usd(prices.transfer_out.gross(gb), 29_491.2);
        let north_america = prices.cloudfront.transfer.at(Region::NorthAmerica);
        assert_usd(north_america.gross(gb), 24_627.2);
        // One TB of the cheapest kind is free, 87.04; and of EC2 100 GB, 9.
        let free = north_america.gross(prices.cloudfront.free_gb);
        assert_usd(free, 87.04);
        assert_usd(prices.transfer_out.net(gb), 29_482.2);
        let saved = 1.0 - 24_627.2 / (29_491.2 + 4_096.0);
        assert!(
            (0.26..0.28).contains(&saved),
            "27 %, not ten times: {saved}"
        );
    }

    /// A load balancer through which 500 TB go, evenly, in 30 days.
    #[test]
    fn the_load_balancer_counts_bytes_when_they_are_the_largest_dimension() {
        let hours = 720;
        let per_step = 500 * TIB / (hours * STEPS_PER_HOUR as u64);
        let steps = vec![per_step; STEPS_PER_HOUR * usize::try_from(hours).unwrap()];
        let origin = OriginOutcome {
            requests_series: vec![60; steps.len()],
            connections_series: vec![60; steps.len()],
            open_series: vec![100; steps.len()],
            bytes_series: steps,
            ..OriginOutcome::default()
        };
        let hourly = 0.0225 * as_f64(hours);
        assert_usd(load_balancer(&origin, &prices()) - hourly, 4_096.0);
    }

    #[test]
    fn each_dimension_of_the_load_balancer_can_be_the_largest() {
        let hour = |requests, connections, open, bytes| {
            let series = |value| vec![value; STEPS_PER_HOUR];
            let origin = OriginOutcome {
                requests_series: series(requests),
                connections_series: series(connections),
                open_series: series(open),
                bytes_series: series(bytes),
                ..OriginOutcome::default()
            };
            load_balancer(&origin, &prices()) - 0.0225
        };
        assert_usd(hour(0, 0, 0, 0), 0.0);
        assert_usd(hour(60 * 1000 * 1000, 0, 0, GIB / 60), 8.0); // 1,000,000 rules a second
        assert_usd(hour(60, 60 * 25 * 1000, 0, GIB / 60), 8.0); // 25,000 connections a second
        assert_usd(hour(60, 60, 3_000_000, GIB / 60), 8.0);
        assert_usd(hour(60, 60, 3000, GIB / 60 * 1000), 8.0);
    }

    #[test]
    fn a_tier_ends_where_the_next_begins() {
        let tiers = Tiers {
            steps: vec![(10.0, 2.0), (f64::INFINITY, 1.0)],
            free_gb: 4.0,
        };
        for (gb, gross, net) in [
            (0.0, 0.0, 0.0),
            (4.0, 8.0, 0.0),
            (10.0, 20.0, 12.0),
            (11.0, 21.0, 13.0),
        ] {
            assert_eq!((tiers.gross(gb), tiers.net(gb)), (gross, net), "{gb}");
        }
    }

    #[test]
    fn what_is_always_free_is_taken_off_once_over_all_regions() {
        let prices = prices();
        let with = |by_region: Vec<(Region, u64, u64)>| Outcome {
            edge: EdgeOutcome {
                by_region,
                ..EdgeOutcome::default()
            },
            ..Outcome::default()
        };
        let free = with(vec![
            (Region::Europe, 5_000_000, TIB / 2),
            (Region::India, 5_000_000, TIB / 2),
        ]);
        let bill = cost(&scenario(), Front::Edge, &free, &prices);
        assert_usd(bill.cloudfront_transfer, 0.0);
        assert_usd(bill.cloudfront_requests, 0.0);
        let twice = with(vec![
            (Region::Europe, 10_000_000, TIB),
            (Region::India, 10_000_000, TIB),
        ]);
        let bill = cost(&scenario(), Front::Edge, &twice, &prices);
        assert_usd(bill.cloudfront_transfer, 512.0 * (0.085 + 0.109));
        assert_usd(bill.cloudfront_requests, 500.0 * (0.0120 + 0.0120));
    }

    #[test]
    fn without_an_edge_nobody_pays_for_one_and_with_one_nobody_pays_transfer_twice() {
        let mut outcome = Outcome::default();
        outcome.origin.egress_bytes = 10 * TIB;
        outcome.origin.instances_series = vec![10; 120];
        outcome.origin.bytes_series = vec![0; 120];
        outcome.edge.by_region = vec![(Region::Europe, 1, 100 * TIB)];
        outcome.edge.shield_requests = vec![(Region::Europe, 10_000)];
        let direct = cost(&scenario(), Front::None, &outcome, &prices());
        assert_usd(direct.ec2_hours, 20.0 * 0.0816);
        assert_usd(direct.alb, 2.0 * 0.0225);
        assert_usd(direct.transfer_out, (10.0 * 1024.0 - 100.0) * 0.09);
        let edge = [
            direct.cloudfront_transfer,
            direct.cloudfront_requests,
            direct.origin_shield,
        ];
        assert_usd(edge.into_iter().sum(), 0.0);
        outcome.origin.egress_bytes = 0;
        let shielded = cost(&scenario(), Front::EdgeAndShield, &outcome, &prices());
        assert_usd(shielded.transfer_out, 0.0);
        assert_usd(shielded.origin_shield, 0.009);
        let rows = shielded.rows();
        let (last, parts) = rows.split_last().unwrap();
        assert_usd(last.1, parts.iter().map(|(_name, usd)| usd).sum());
    }

    #[test]
    fn the_way_back_to_the_minimum_is_paid() {
        let mut outcome = Outcome::default();
        outcome.origin.instances_series = vec![10; 50];
        outcome.origin.bytes_series = vec![0; 50];
        let bill = |outcome: &Outcome| cost(&scenario(), Front::None, outcome, &prices());
        let before = bill(&outcome);
        outcome.origin.scale_in = ScaleIn {
            seconds: 900,
            instance_seconds: 9_000,
        };
        let after = bill(&outcome);
        assert_usd(after.ec2_hours - before.ec2_hours, 2.5 * 0.0816);
        // Fifty minutes and fifteen are two hours that have begun.
        assert_usd(after.alb - before.alb, 0.0225);
    }

    #[test]
    fn every_table_has_a_source_and_a_date() {
        let prices = prices();
        assert!(prices.sources.len() >= 8);
        for source in &prices.sources {
            assert!(source.date.starts_with("20"), "{source:?}");
        }
        let m7g = prices.instance("m7g.large").unwrap();
        assert_eq!(
            (m7g.baseline_bps, m7g.gateway_bps, m7g.hour),
            (9.37e8, 5e9, 0.0816)
        );
        assert_usd(prices.instance("c7gn.8xlarge").unwrap().gateway_bps, 50e9);
    }

    #[test]
    fn a_price_table_is_held_to_its_form() {
        let text = include_str!("../../config/prices.toml");
        for (from, to, expected) in [
            (
                "prices = [0.090, 0.085, 0.070, 0.050]",
                "prices = [0.090, 0.085, 0.070]",
                "`ec2.transfer.prices` has 3 prices; it has to have 4, one for each of `tiers_tb` and one for what is above",
            ),
            (
                "unit_hour = 0.008",
                "unit_hour = -0.008",
                "`load_balancer.unit_hour` is -0.008; allowed: 0 to 10000",
            ),
            (
                "unit_gb_per_hour = 1",
                "unit_gb_per_hour = 0",
                "`load_balancer.unit_gb_per_hour` is 0; allowed: 0.001 to",
            ),
            (
                "india = 0.0090",
                "indie = 0.0090",
                "`cloudfront.shield.indie` is not a key; did you mean",
            ),
            (
                "name = \"m7g.large\"",
                "name = \"t3.medium\"",
                "`instances.types[2].name` is `t3.medium` once more",
            ),
        ] {
            assert!(text.contains(from), "{from}");
            let Err(DocumentError::Invalid { problems, .. }) =
                Prices::parse("p.toml", &text.replacen(from, to, 1))
            else {
                panic!("accepted: {to}");
            };
            let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert!(told.iter().any(|line| line.contains(expected)), "{told:?}");
        }
    }
}
