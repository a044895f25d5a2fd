//! The requests that can change a cache.
//!
//! Owns which visitors of a POP node are drawn one by one: the next one for an object that the node does not hold, or
//! whose copy expired. All others are hits or followers, and are counted in bulk. Arrivals of a large fleet at one node are
//! a Poisson process, so the next one comes after an exponential amount of the rate's integral. Never counts a hit.
//!
//! With ranges, the node's parts grow at the pace of whoever is ahead. Only a device on a faster line than those before
//! it can get ahead, so only such ones are followed.

use rand::Rng;
use rustc_hash::FxHashMap;

use super::super::calendar::Calendar;
use super::super::chance::{self, Dice};
use super::super::network::{Arrived, Asked, CHANNEL, Fill, Network, Notice};
use super::super::places::Places;
use super::grid::Grid;
use crate::edge::policy::cache::Want;
use crate::fleet::scenario::{Line, Scenario};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum What {
    /// Someone asks; of the visits that were drawn for a place only the last one counts.
    Visit(u32),
    /// The one ahead got what it asked for, as far as its line goes.
    Got(u32),
}

/// A device that may be the first to ask for something.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    node: u32,
    object: u32,
    class: usize,
    position: u64,
    /// Where the request that runs ends.
    until: u64,
    /// Where it will break off.
    cut: Option<u64>,
    fill: Option<(Fill, bool)>,
    /// It has got its range and waits for the fill's end.
    waits: bool,
}

/// A running sum of a rate, per unit of devices; by region.
#[derive(Debug)]
struct Integral {
    step: u64,
    sums: Vec<Vec<f64>>,
}

impl Integral {
    fn new(step: u64, series: impl Iterator<Item = Vec<f64>>) -> Self {
        let sums = series
            .map(|series| {
                let mut sum = 0.0;
                let mut sums = Vec::with_capacity(series.len() + 1);
                sums.push(0.0);
                for value in series {
                    sum += value;
                    sums.push(sum);
                }
                sums
            })
            .collect();
        Self { step, sums }
    }

    fn at_step(&self, mix: &[(usize, f64)], step: usize) -> f64 {
        mix.iter()
            .map(|(region, weight)| weight * self.sums[*region][step])
            .sum()
    }

    fn until(&self, mix: &[(usize, f64)], at: u64) -> f64 {
        let last = self.sums[0].len() - 1;
        let step = ((at / self.step) as usize).min(last);
        let low = self.at_step(mix, step);
        let high = self.at_step(mix, (step + 1).min(last));
        low + (high - low) * (at % self.step) as f64 / self.step as f64
    }

    /// When the integral reaches a value; none within the run.
    fn when(&self, mix: &[(usize, f64)], value: f64, from: u64) -> Option<u64> {
        let last = self.sums[0].len() - 1;
        let (mut low, mut high) = ((from / self.step) as usize, last);
        if low >= last || self.at_step(mix, last) <= value {
            return None;
        }
        // The first step at whose end the integral is above the value. Most are near: gallop, then halve.
        let mut stride = 1;
        while low + stride < last && self.at_step(mix, low + stride) <= value {
            low += stride;
            stride *= 2;
        }
        high = high.min(low + stride);
        while low + 1 < high {
            let middle = usize::midpoint(low, high);
            if self.at_step(mix, middle) <= value {
                low = middle;
            } else {
                high = middle;
            }
        }
        let (before, after) = (self.at_step(mix, low), self.at_step(mix, low + 1));
        let within = ((value - before) / (after - before)).clamp(0.0, 1.0);
        Some(low as u64 * self.step + (within * self.step as f64) as u64)
    }
}

/// Who visits.
#[derive(Debug)]
pub struct Visits<'a> {
    scenario: &'a Scenario,
    rates: Vec<f64>,
    asks: Integral,
    learns: Integral,
    /// By node and object: which regions' devices ask here, and how many of them.
    mixes: Vec<Vec<(usize, f64)>>,
    objects: usize,
    events: Calendar<(u32, u32, What)>,
    ahead: FxHashMap<u32, Ahead>,
    next_ahead: u32,
    /// Since when a fill of a node runs.
    since: FxHashMap<Fill, u64>,
    /// By node and object: the fastest class that is ahead.
    fastest: FxHashMap<(u32, u32), usize>,
    /// By node and object: how many visits were drawn.
    drawn: Vec<u32>,
    dice: Dice,
    /// Followers that were counted in bulk.
    pub collapsed: u64,
}

impl<'a> Visits<'a> {
    /// First visits of every node to every object.
    #[must_use]
    pub fn new(
        scenario: &'a Scenario,
        network: &Network<'_>,
        places: &Places,
        (grid, rates): (&Grid, Vec<f64>),
        dice: Dice,
    ) -> Self {
        let regions = places.region_shares().len();
        let objects = scenario.release.artifacts.len() + 1;
        let pops = network.topology.pops.len();
        let nodes = pops * network.topology.settings.nodes_per_pop.max(1);
        let mut mixes = vec![Vec::new(); nodes * objects];
        for (pop, at_pop) in places.at_pop().iter().enumerate() {
            for object in 0..objects {
                let share = match object {
                    0 => 1.0,
                    artifact => scenario.release.artifacts[artifact - 1].share,
                };
                let here = network.nodes_of(pop as u16, object as u32);
                let devices = scenario.devices as f64 * share / f64::from(here.end - here.start);
                for node in here {
                    mixes[node as usize * objects + object] = at_pop
                        .iter()
                        .map(|(region, share)| (*region, share * devices))
                        .collect();
                }
            }
        }
        let mut visits = Self {
            scenario,
            rates,
            asks: Integral::new(grid.step, (0..regions).map(|at| grid.asks(at).to_vec())),
            learns: Integral::new(grid.step, (0..regions).map(|at| grid.learn(at).to_vec())),
            mixes,
            objects,
            events: Calendar::new(grid.step * grid.steps as u64),
            ahead: FxHashMap::default(),
            next_ahead: 0,
            since: FxHashMap::default(),
            fastest: FxHashMap::default(),
            drawn: vec![0; nodes * objects],
            dice,
            collapsed: 0,
        };
        for node in 0..nodes as u32 {
            for object in 0..objects as u32 {
                visits.plan(node, object, 0);
            }
        }
        visits
    }

    /// When the next visit is.
    #[must_use]
    pub fn next_at(&mut self) -> u64 {
        self.events.next_at().unwrap_or(u64::MAX)
    }

    /// Lets the next visit happen.
    pub fn happen(&mut self, network: &mut Network<'_>) {
        let Some((now, (node, object, what))) = self.events.pop() else {
            return;
        };
        match what {
            What::Visit(drawn) if drawn != self.drawn[self.place(node, object)] => {}
            What::Visit(_) if object == CHANNEL => self.channel(network, node, now),
            What::Visit(_) => self.artifact(network, node, object, now),
            What::Got(who) => self.got(network, who, now),
        }
    }

    /// A fill of a POP node ended.
    pub fn noticed(&mut self, network: &mut Network<'_>, notice: Notice, now: u64) {
        let Notice { node, object, .. } = notice;
        if let Some(since) = self.since.remove(&notice.fill) {
            let followers = self.expected(node, object, since, now);
            self.collapsed += chance::poisson(&mut self.dice, followers);
        }
        if object == CHANNEL {
            self.plan(node, object, now.max(network.sure_until(node, object)));
            return;
        }
        let is_sure = network.sure_until(node, object) > now;
        let mut waiting: Vec<u32> = self
            .ahead
            .iter()
            .filter(|(_, ahead)| ahead.fill.is_some_and(|fill| fill.0 == notice.fill))
            .map(|(who, _)| *who)
            .collect();
        waiting.sort_unstable();
        for who in waiting {
            let Some(ahead) = self.ahead.get_mut(&who) else {
                continue;
            };
            ahead.fill = None;
            let waits = std::mem::take(&mut ahead.waits);
            if is_sure {
                self.ahead.remove(&who);
            } else if notice.arrived == Arrived::Nothing {
                self.ask(network, who, now);
            } else if waits {
                self.reach(network, who, now);
            }
        }
        if is_sure {
            self.fastest.remove(&(node, object));
            self.plan(node, object, network.sure_until(node, object));
        } else if self.scenario.transfer.range_bytes.is_none() {
            self.plan(node, object, now);
        }
    }

    fn place(&self, node: u32, object: u32) -> usize {
        node as usize * self.objects + object as usize
    }

    fn mix(&self, node: u32, object: u32) -> &[(usize, f64)] {
        &self.mixes[self.place(node, object)]
    }

    fn integral(&self, object: u32) -> &Integral {
        if object == CHANNEL {
            &self.asks
        } else {
            &self.learns
        }
    }

    /// How many come to a node for an object between two moments, on average.
    fn expected(&self, node: u32, object: u32, from: u64, to: u64) -> f64 {
        let mix = self.mix(node, object);
        let integral = self.integral(object);
        integral.until(mix, to) - integral.until(mix, from)
    }

    /// Draws the next visit after a moment: of anyone, or of someone faster than who is ahead.
    fn plan(&mut self, node: u32, object: u32, after: u64) {
        let place = self.place(node, object);
        self.drawn[place] += 1;
        let faster = match self.fastest.get(&(node, object)) {
            Some(class) => (Line::CLASSES - 1 - class) as f64 / Line::CLASSES as f64,
            None => 1.0,
        };
        if faster <= 0.0 {
            return;
        }
        let gap = chance::exponential(&mut self.dice, 1.0) / faster;
        let mix = self.mix(node, object);
        let integral = self.integral(object);
        let value = integral.until(mix, after) + gap;
        if let Some(at) = integral.when(mix, value, after) {
            let visit = What::Visit(self.drawn[place]);
            self.events.push(at.max(after), (node, object, visit));
        }
    }

    fn channel(&mut self, network: &mut Network<'_>, node: u32, now: u64) {
        let asked = network.ask(node, CHANNEL, Want::Whole, now);
        let sure = network.sure_until(node, CHANNEL);
        match asked {
            // The refresh behind it tells when it is over.
            Asked::HereButStale if sure <= now => {}
            // Without room for everything nothing is sure, and every visit is made.
            Asked::Here | Asked::HereButStale => self.plan(node, CHANNEL, now.max(sure)),
            Asked::Coming { fill, .. } => {
                self.since.entry(fill).or_insert(now);
            }
        }
    }

    fn artifact(&mut self, network: &mut Network<'_>, node: u32, object: u32, now: u64) {
        let sure = network.sure_until(node, object);
        if sure > now {
            self.plan(node, object, sure);
            return;
        }
        let from = self
            .fastest
            .get(&(node, object))
            .map_or(0, |class| class + 1);
        let class = self.dice.random_range(from..Line::CLASSES);
        let size = self.scenario.release.artifacts[object as usize - 1].bytes;
        let is_cut = self.dice.random::<f64>() < self.scenario.transfer.abort_probability;
        let cut = is_cut.then(|| (self.dice.random::<f64>() * size as f64) as u64);
        let who = self.next_ahead;
        self.next_ahead += 1;
        self.ahead.insert(
            who,
            Ahead {
                node,
                object,
                class,
                position: 0,
                until: 0,
                cut,
                fill: None,
                waits: false,
            },
        );
        if self.scenario.transfer.range_bytes.is_some() {
            self.fastest.insert((node, object), class);
            self.plan(node, object, now);
        }
        self.ask(network, who, now);
    }

    /// The one ahead asks for what comes next.
    fn ask(&mut self, network: &mut Network<'_>, who: u32, now: u64) {
        let Some(ahead) = self.ahead.get_mut(&who) else {
            return;
        };
        let (node, object, first) = (ahead.node, ahead.object, ahead.position);
        let size = self.scenario.release.artifacts[object as usize - 1].bytes;
        let range = self.scenario.transfer.range_bytes.map(|range| range.max(1));
        let last = range.map_or(size, |range| (first + range).min(size));
        let want = match range {
            Some(_) => Want::Range {
                first,
                last: Some(last.saturating_sub(1)),
            },
            None => Want::Whole,
        };
        match network.ask(node, object, want, now) {
            Asked::Coming { fill, leads } => {
                ahead.fill = Some((fill, leads));
                if leads {
                    self.since.insert(fill, now);
                }
            }
            Asked::Here | Asked::HereButStale if range.is_none() => {
                self.ahead.remove(&who);
                let after = now.max(network.sure_until(node, object));
                self.plan(node, object, after);
                return;
            }
            Asked::Here | Asked::HereButStale => {}
        }
        // Without ranges its only turning point is the cut.
        let until = ahead.cut.map_or(last, |cut| cut.min(last));
        ahead.until = until;
        if range.is_some() || until < size {
            let took = (until - first) as f64 * 8e6 / self.rates[ahead.class];
            let got = (node, object, What::Got(who));
            self.events.push(now + took as u64, got);
        }
    }

    fn got(&mut self, network: &mut Network<'_>, who: u32, now: u64) {
        let Some(ahead) = self.ahead.get_mut(&who) else {
            return;
        };
        if let Some((fill, _)) = ahead.fill {
            let needed = ahead.until.saturating_sub(network.first_byte(fill));
            if network
                .progress(fill, now)
                .is_some_and(|come| come < needed)
            {
                ahead.waits = true;
                return;
            }
        }
        self.reach(network, who, now);
    }

    /// The one ahead has what it asked for: it breaks off there, asks for the next range, or is through.
    fn reach(&mut self, network: &mut Network<'_>, who: u32, now: u64) {
        let Some(ahead) = self.ahead.get_mut(&who) else {
            return;
        };
        ahead.position = ahead.until;
        let size = self.scenario.release.artifacts[ahead.object as usize - 1].bytes;
        if ahead.cut == Some(ahead.position) {
            self.cut(network, who, now);
        } else if ahead.position < size {
            ahead.fill = None;
            self.ask(network, who, now);
        } else {
            self.leave(who, now);
        }
    }

    /// The one ahead breaks off: the fill may end with it, and others get ahead.
    fn cut(&mut self, network: &mut Network<'_>, who: u32, now: u64) {
        let Some(ahead) = self.ahead.get(&who).copied() else {
            return;
        };
        if let Some((fill, leads)) = ahead.fill {
            let since = self.since.get(&fill).copied().unwrap_or(now);
            let followers = self.expected(ahead.node, ahead.object, since, now);
            if chance::poisson(&mut self.dice, followers) > 0 {
                // One of those who follow stands for all of them.
                network.ask(ahead.node, ahead.object, Want::Whole, now);
            }
            network.left(fill, leads, now);
        }
        self.leave(who, now);
    }

    fn leave(&mut self, who: u32, now: u64) {
        let Some(ahead) = self.ahead.remove(&who) else {
            return;
        };
        let place = (ahead.node, ahead.object);
        if self.fastest.get(&place) == Some(&ahead.class) {
            self.fastest.remove(&place);
            if self.scenario.transfer.range_bytes.is_some() {
                self.plan(ahead.node, ahead.object, now);
            }
        }
    }
}
