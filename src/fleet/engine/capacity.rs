//! How large a POP's cache must be: one POP's requests, replayed against caches of many sizes.
//!
//! Owns the request log of a POP and its replay through the policy's cache, one object at a time and with answers that
//! come at once: what is swept is the room, and nothing else changes. Never takes a short cut by stack distances, which do
//! not hold for objects of unequal size.

use super::arrivals::{Arrivals, NEVER};
use super::places::Places;
use super::population::Population;
use crate::edge::policy::Moment;
use crate::edge::policy::cache::{
    AnswerHead, Cache, CacheSettings, End, Rules, Validators, Verdict, Want,
};
use crate::edge::policy::errors::ErrorTtls;
use crate::edge::policy::freshness::Directives;
use crate::edge::policy::topology::Topology;
use crate::fleet::scenario::Scenario;

/// One request for an artifact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Logged {
    /// When, in µs since the release.
    pub at: u64,
    /// Which artifact, as an index.
    pub artifact: u32,
    /// Its size.
    pub bytes: u64,
}

/// More devices than these are not drawn for a log: the shape of the curve is that of the artifacts' popularity.
pub const DEVICES_MAX: u64 = 1_000_000;
/// A curve has so many points, and is made from so many requests at most.
const POINTS: usize = 16;
const REQUESTS_MAX: usize = 50_000;

/// The first requests for artifacts of the devices at one POP, in the order of time; a device that comes back after a cut
/// is not in it, because it finds what it was served before.
#[must_use]
pub fn request_log(scenario: &Scenario, pop: u16, seed: u64) -> Vec<Logged> {
    let Ok(topology) = Topology::new(scenario.edge.topology.clone()) else {
        return Vec::new();
    };
    let sample = Scenario {
        devices: scenario.devices.min(DEVICES_MAX),
        ..scenario.clone()
    };
    let arrivals = Arrivals::new(&scenario.discovery, &scenario.regions, seed);
    let places = Places::new(&scenario.regions, Some(&topology));
    let fleet = Population::new(&sample, &arrivals, &places, seed);
    let horizon = scenario.horizon.as_micros() as u64;
    let mut log = Vec::new();
    for (who, device) in fleet.devices.iter().enumerate() {
        let opens = arrivals.stage_opens(device.stage);
        if device.pop != pop || opens == NEVER {
            continue;
        }
        let at = (arrivals.first_poll()..)
            .map(|poll| arrivals.poll_at(who as u32, device.base, poll))
            .skip_while(|at| at.is_none_or(|at| at < opens && arrivals.polls_go_on()))
            .find_map(|at| at);
        if let Some(at) = at.filter(|&at| at <= horizon) {
            log.push(Logged {
                at,
                artifact: u32::from(device.artifact),
                bytes: device.remaining,
            });
        }
    }
    log.sort_unstable();
    log
}

/// How many requests, and how many of their bytes, a cache of these settings has to fetch.
#[must_use]
pub fn misses(log: &[Logged], scenario: &Scenario, settings: CacheSettings) -> (u64, u64) {
    let rules = Rules {
        ttl: scenario.edge.artifacts_ttl,
        errors: ErrorTtls::default(),
        collapse: true,
    };
    let mut cache: Cache<u32> = Cache::new(settings);
    let mut missed = (0, 0);
    for request in log {
        let now = Moment(request.at);
        if let Verdict::Fetch(fetch) = cache.ask(&request.artifact, Want::Whole, &rules, now) {
            missed.0 += 1;
            missed.1 += request.bytes;
            cache.answered(fetch.fill, &answer(request.bytes), &rules, now);
            cache.finished(fetch.fill, End::Complete(request.bytes), now);
            cache.dropped();
        }
    }
    missed
}

fn answer(bytes: u64) -> AnswerHead {
    AnswerHead {
        status: 200,
        said: Directives {
            max_age: Some(std::time::Duration::from_secs(31_536_000)),
            ..Directives::default()
        },
        validators: Validators::default(),
        length: Some(bytes),
        span: None,
        total: None,
        tags: Vec::new(),
    }
}

/// The share of requests and of bytes that hit at the busiest POP, against its cache's capacity: from the largest
/// artifact up to all of them. This is what the report plots.
#[must_use]
pub fn capacity_curve(scenario: &Scenario, seed: u64) -> Vec<(u64, f64, f64)> {
    let sizes = scenario
        .release
        .artifacts
        .iter()
        .map(|artifact| artifact.bytes);
    let all: u64 = sizes.clone().sum();
    // A smaller cache does not hold that artifact, whatever else it does; of a single one, that is half of the picture.
    let least = sizes.max().unwrap_or(1).min(all / 2).max(1);
    let Some(pop) = busiest(scenario) else {
        return Vec::new();
    };
    let mut log = request_log(scenario, pop, seed);
    log.truncate(REQUESTS_MAX);
    let bytes: u64 = log.iter().map(|request| request.bytes).sum();
    if log.is_empty() || bytes == 0 {
        return Vec::new();
    }
    let growth = (all.max(least) as f64 / least as f64).powf(1.0 / (POINTS - 1) as f64);
    (0..POINTS)
        .map(|point| {
            let capacity = (least as f64 * growth.powf(point as f64)).round() as u64;
            let capacity = if point + 1 == POINTS { all } else { capacity };
            let settings = CacheSettings {
                capacity,
                ..scenario.edge.pop_cache
            };
            let (missed, missed_bytes) = misses(&log, scenario, settings);
            (
                capacity,
                1.0 - missed as f64 / log.len() as f64,
                1.0 - missed_bytes as f64 / bytes as f64,
            )
        })
        .collect()
}

fn busiest(scenario: &Scenario) -> Option<u16> {
    let topology = Topology::new(scenario.edge.topology.clone()).ok()?;
    let places = Places::new(&scenario.regions, Some(&topology));
    let share = |pop: &Vec<(usize, f64)>| pop.iter().map(|region| region.1).sum::<f64>();
    let shares: Vec<f64> = places.at_pop().iter().map(share).collect();
    (0..shares.len())
        .max_by(|&a, &b| shares[a].total_cmp(&shares[b]).then(b.cmp(&a)))
        .map(|pop| pop as u16)
}
