//! The whole fleet asks its POPs, counted per step.
//!
//! Owns the aggregated run behind an edge: bulk counts of requests and completions beside the few requests that change a
//! cache (`visits.rs`), which go through the same policy caches as in the exact run. Never counts a hit one by one.

use super::super::Progress;
use super::super::arrivals::Arrivals;
use super::super::chance::{self, Dice, Purpose};
use super::super::lines;
use super::super::network::Network;
use super::super::places::Places;
use super::super::updates::Updates;
use super::grid::Grid;
use super::journeys::Journeys;
use super::visits::Visits;
use crate::fleet::outcome::{Front, Outcome};
use crate::fleet::scenario::Scenario;

struct Run<'a> {
    scenario: &'a Scenario,
    shares: Vec<f64>,
    grid: Grid,
    dice: Dice,
    network: Network<'a>,
    visits: Visits<'a>,
    journeys: Journeys,
    kinds: Vec<u64>,
    now: usize,
    asks: u64,
    updates: Updates,
}

pub(in super::super) fn run(
    scenario: &Scenario,
    front: Front,
    seed: u64,
    progress: &dyn Progress,
) -> Outcome {
    let Some(network) = Network::new(scenario, front) else {
        return Outcome::default();
    };
    let arrivals = Arrivals::new(&scenario.discovery, &scenario.regions, seed);
    let places = Places::new(&scenario.regions, Some(&network.topology));
    let mut dice = chance::stream(seed, Purpose::Arrivals);
    let grid = Grid::new(scenario, &arrivals, places.region_shares(), &mut dice);
    let rates = lines::class_rates(&scenario.devices_line);
    let may_have = arrivals.may_have(scenario.devices, &mut dice);
    let journeys = Journeys::new(scenario, &rates, grid.step, grid.steps);
    let edge_dice = chance::stream(seed, Purpose::Edge);
    let mut run = Run {
        visits: Visits::new(scenario, &network, &places, (&grid, rates), edge_dice),
        shares: scenario.release.artifacts.iter().map(|a| a.share).collect(),
        journeys,
        kinds: Vec::new(),
        grid,
        scenario,
        dice,
        network,
        now: 0,
        asks: 0,
        updates: Updates::new(scenario),
    };
    let end = run.go(may_have, progress);
    run.outcome(may_have, end, &places)
}

impl Run<'_> {
    fn go(&mut self, may_have: u64, progress: &dyn Progress) -> u64 {
        let window = self.scenario.window.as_micros() as u64;
        for step in 0..self.grid.steps {
            self.now = step;
            let at = step as u64 * self.grid.step;
            let left = may_have.saturating_sub(self.updates.updated);
            if left == 0 && at >= window.max(self.updates.last_done) {
                return at;
            }
            self.caches(at + self.grid.step);
            self.devices(at);
            if step % 64 == 0 {
                progress.at(1.0 - left as f64 / may_have.max(1) as f64);
            }
        }
        self.scenario.horizon.as_micros() as u64
    }

    /// What changes caches before `until`.
    fn caches(&mut self, until: u64) {
        loop {
            let visit_at = self.visits.next_at();
            let network_at = self.network.next_at();
            let next = visit_at.min(network_at);
            if next >= until {
                return;
            }
            if network_at <= visit_at {
                self.network.happen(next);
            } else {
                self.visits.happen(&mut self.network);
            }
            while let Some(notice) = self.network.take_notice() {
                self.visits.noticed(&mut self.network, notice, next);
            }
        }
    }

    /// Everyone else in a step.
    fn devices(&mut self, at: u64) {
        let asking = self.grid.draw(self.now, &mut self.dice);
        self.asks += asking.asks;
        super::share_out(
            &mut self.dice,
            asking.learners,
            &self.shares,
            &mut self.kinds,
        );
        self.journeys.begin(self.now, &self.kinds, &mut self.dice);
        // After those who begin: a fast line is through before its step is.
        let done = self.journeys.pass(self.now, &mut self.dice);
        self.updates.done((at, at + self.grid.step), done);
    }

    fn outcome(mut self, may_have: u64, end: u64, places: &Places) -> Outcome {
        let counts = self.journeys.counts;
        self.updates.late = counts.late;
        self.updates.broken = counts.broken;
        let requests = self.asks + counts.requests;
        let bytes = self.asks * self.scenario.release.channel_bytes + counts.bytes;
        let served = by_pop(places, requests, bytes);
        let (origin, mut edge) = self.network.finish(end, &served);
        edge.collapsed += self.visits.collapsed;
        Outcome {
            origin,
            edge,
            fleet: self.updates.finish(end, may_have),
        }
    }
}

/// Requests and bytes by POP, in proportion to its devices; rounded so that the sums stay.
fn by_pop(places: &Places, requests: u64, bytes: u64) -> Vec<(u64, u64)> {
    let mut share = 0.0;
    let mut told = (0, 0);
    let count = places.at_pop().len();
    let part = |all: u64, share: f64| (all as f64 * share) as u64;
    places
        .at_pop()
        .iter()
        .enumerate()
        .map(|(pop, at_pop)| {
            share += at_pop.iter().map(|region| region.1).sum::<f64>();
            let until = if pop + 1 == count {
                (requests, bytes)
            } else {
                (
                    part(requests, share).clamp(told.0, requests),
                    part(bytes, share).clamp(told.1, bytes),
                )
            };
            let here = (until.0 - told.0, until.1 - told.1);
            told = until;
            here
        })
        .collect()
}
