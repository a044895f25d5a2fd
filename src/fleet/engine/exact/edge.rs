//! Every device asks its POP.
//!
//! Owns the exact run behind an edge: polls, downloads, aborts and resumes, one device at a time. Never decides what a
//! cache does: `network.rs` drives those. Once a POP node holds all of an artifact for good, nothing that happens to a
//! device depends on any other, so the rest of its way is told in one go.

use rustc_hash::FxHashMap;

use super::super::Progress;
use super::super::arrivals::Arrivals;
use super::super::calendar::Calendar;
use super::super::chance::{self, Dice, Purpose};
use super::super::network::{Arrived, Asked, CHANNEL, Fill, Network, Notice};
use super::super::places::Places;
use super::super::population::{NOT_YET, Population, Standing};
use super::super::updates::Updates;
use super::{next_poll, second_ask};
use crate::edge::policy::cache::Want;
use crate::fleet::outcome::{Front, Outcome};
use crate::fleet::scenario::Scenario;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum What {
    Poll,
    Push,
    /// After a pause: the next attempt.
    Again,
    /// At the pace of its line, a device has got what it asked for.
    Got,
}

/// An attempt whose end is not settled yet.
#[derive(Clone, Debug)]
struct Journey {
    /// Bytes until it is cut or whole.
    left: u64,
    /// Bytes of the request that runs.
    asked: u64,
    pause: Option<u64>,
    fill: Option<(Fill, bool)>,
}

/// Who waits for a fill, and for what.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Channel(u32),
    /// Its line would have been faster than the fill.
    Rest(u32),
    /// It gets nothing before the fill is complete.
    Start(u32),
}

struct Run<'a> {
    scenario: &'a Scenario,
    arrivals: Arrivals,
    fleet: Population,
    calendar: Calendar<(u32, What)>,
    network: Network<'a>,
    dice: Dice,
    horizon: u64,
    window: u64,
    now: u64,
    journeys: FxHashMap<u32, Journey>,
    waiting: FxHashMap<Fill, Vec<Waiting>>,
    /// Requests and bytes by POP.
    served: Vec<(u64, u64)>,
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
    let fleet = Population::new(scenario, &arrivals, &places, seed);
    let horizon = scenario.horizon.as_micros() as u64;
    let mut run = Run {
        served: vec![(0, 0); network.topology.pops.len()],
        calendar: Calendar::new(horizon),
        dice: chance::stream(seed, Purpose::Transfers),
        scenario,
        arrivals,
        fleet,
        network,
        horizon,
        window: scenario.window.as_micros() as u64,
        now: 0,
        journeys: FxHashMap::default(),
        waiting: FxHashMap::default(),
        updates: Updates::new(scenario),
    };
    for who in 0..run.fleet.devices.len() as u32 {
        next_poll(&mut run.fleet, &run.arrivals, who, |at| {
            run.calendar.push(at, (who, What::Poll));
        });
        if let Some(at) = run.arrivals.push(&mut run.dice) {
            run.calendar.push(at, (who, What::Push));
        }
    }
    let end = run.go(progress);
    run.outcome(end)
}

impl Run<'_> {
    /// Events in order, until everyone is done or the horizon; returns the end.
    fn go(&mut self, progress: &dyn Progress) -> u64 {
        const TOLD_EVERY: u64 = 60_000_000;
        let everyone = self.fleet.left.max(1);
        let mut told = 0;
        loop {
            let event_at = self.calendar.next_at().unwrap_or(u64::MAX);
            let network_at = self.network.next_at();
            let next = event_at.min(network_at);
            let over = if self.fleet.left == 0 {
                self.window.max(self.updates.last_done).min(self.horizon)
            } else {
                self.horizon
            };
            if next > over {
                return over;
            }
            self.now = next;
            if network_at <= event_at {
                self.network.happen(next);
                while let Some(notice) = self.network.take_notice() {
                    self.noticed(notice);
                }
            } else if let Some((_, (who, what))) = self.calendar.pop() {
                self.happen(who, what);
            }
            if next >= told {
                told = next + TOLD_EVERY;
                progress.at(1.0 - self.fleet.left as f64 / everyone as f64);
            }
        }
    }

    /// Its period is over.
    fn poll(&mut self, who: u32) {
        let device = &self.fleet.devices[who as usize];
        let (region, standing) = (device.region, device.standing);
        let is_counted = standing.poll_counts(self.now <= self.window);
        if is_counted || standing == Standing::Busy {
            next_poll(&mut self.fleet, &self.arrivals, who, |at| {
                self.calendar.push(at, (who, What::Poll));
            });
        }
        if is_counted && self.arrivals.is_online(region, self.now, &mut self.dice) {
            self.check(who);
        }
    }

    fn happen(&mut self, who: u32, what: What) {
        match what {
            What::Poll => self.poll(who),
            What::Push => self.check(who),
            What::Again => self.download(who),
            What::Got => self.got(who),
        }
    }

    fn serve(&mut self, pop: u16, requests: u64, bytes: u64) {
        let served = &mut self.served[usize::from(pop)];
        served.0 += requests;
        served.1 += bytes;
    }

    /// Asks for the channel document, and acts on it.
    fn check(&mut self, who: u32) {
        let pop = self.fleet.devices[who as usize].pop;
        self.serve(pop, 1, self.scenario.release.channel_bytes);
        let node = self.network.pop_node(pop, CHANNEL, u64::from(who));
        if self.now < self.network.sure_until(node, CHANNEL) {
            self.read(who);
            return;
        }
        match self.network.ask(node, CHANNEL, Want::Whole, self.now) {
            Asked::Here | Asked::HereButStale => self.read(who),
            Asked::Coming { fill, .. } => {
                self.waiting
                    .entry(fill)
                    .or_default()
                    .push(Waiting::Channel(who));
            }
        }
    }

    /// The channel document is here.
    fn read(&mut self, who: u32) {
        let device = &mut self.fleet.devices[who as usize];
        if device.standing != Standing::Waiting {
            return;
        }
        if self.arrivals.stage_opens(device.stage) > self.now {
            if let Some(at) = second_ask(device, &self.arrivals, &mut self.dice) {
                self.calendar.push(at, (who, What::Push));
            }
            return;
        }
        device.standing = Standing::Busy;
        if device.learned == NOT_YET {
            device.learned = self.now;
        }
        self.download(who);
    }

    /// How many requests fetch so many bytes.
    fn requests_for(&self, bytes: u64) -> u64 {
        let range = self.scenario.transfer.range_bytes;
        range.map_or(1, |range| bytes.div_ceil(range.max(1)).max(1))
    }

    /// One attempt to get what is missing; as many as there are, when nothing can come between them.
    fn download(&mut self, who: u32) {
        let object = u32::from(self.fleet.devices[who as usize].artifact) + 1;
        let pop = self.fleet.devices[who as usize].pop;
        let node = self.network.pop_node(pop, object, u64::from(who));
        let sure_until = self.network.sure_until(node, object);
        let mut at = self.now;
        loop {
            let device = &self.fleet.devices[who as usize];
            let (number, remaining, class) = (device.attempt, device.remaining, device.class);
            let attempt = self
                .fleet
                .attempt(who, number, remaining, &self.scenario.transfer);
            if at >= sure_until {
                self.journeys.insert(
                    who,
                    Journey {
                        left: attempt.bytes,
                        asked: 0,
                        pause: attempt.cut,
                        fill: None,
                    },
                );
                self.ask(who, node, object);
                return;
            }
            let took = self.fleet.micros(class, attempt.bytes);
            let until = at + took;
            if until > self.horizon {
                let share = (self.horizon - at) as f64 / took as f64;
                let bytes = (attempt.bytes as f64 * share) as u64;
                self.serve(pop, self.requests_for(bytes), bytes);
                return;
            }
            self.serve(pop, self.requests_for(attempt.bytes), attempt.bytes);
            let device = &mut self.fleet.devices[who as usize];
            device.remaining -= attempt.bytes;
            device.attempt += 1;
            let Some(pause) = attempt.cut else {
                self.done(who, until);
                return;
            };
            self.updates.broken += 1;
            at = until + pause;
            if at > self.horizon {
                return;
            }
            if at >= sure_until {
                self.calendar.push(at, (who, What::Again));
                return;
            }
        }
    }

    /// One request of an attempt whose POP node may have to fetch.
    fn ask(&mut self, who: u32, node: u32, object: u32) {
        let device = &self.fleet.devices[who as usize];
        let size = self.scenario.release.artifacts[usize::from(device.artifact)].bytes;
        let first = size - device.remaining;
        let (pop, class) = (device.pop, device.class);
        let Some(journey) = self.journeys.get_mut(&who) else {
            return;
        };
        let range = self.scenario.transfer.range_bytes;
        journey.asked = range.map_or(journey.left, |range| journey.left.min(range.max(1)));
        let asked = journey.asked;
        let want = match range {
            Some(range) => Want::Range {
                first,
                last: Some((first + range.max(1)).min(size).saturating_sub(1)),
            },
            None if first == 0 => Want::Whole,
            None => Want::Range { first, last: None },
        };
        self.serve(pop, 1, asked);
        let took = self.fleet.micros(class, asked);
        let answer = self.network.ask(node, object, want, self.now);
        if let Asked::Coming { fill, leads } = answer {
            if let Some(journey) = self.journeys.get_mut(&who) {
                journey.fill = Some((fill, leads));
            }
            if !self.scenario.edge.stream_along {
                self.waiting
                    .entry(fill)
                    .or_default()
                    .push(Waiting::Start(who));
                return;
            }
        }
        self.calendar.push(self.now + took, (who, What::Got));
    }

    /// A device would have got what it asked for by now, as far as its line goes.
    fn got(&mut self, who: u32) {
        let Some(journey) = self.journeys.get(&who) else {
            return;
        };
        let is_cut = journey.asked == journey.left && journey.pause.is_some();
        if let Some((fill, leads)) = journey.fill {
            let device = &self.fleet.devices[who as usize];
            let size = self.scenario.release.artifacts[usize::from(device.artifact)].bytes;
            let needed = size - device.remaining + journey.asked;
            let needed = needed.saturating_sub(self.network.first_byte(fill));
            if self
                .network
                .progress(fill, self.now)
                .is_some_and(|come| come < needed)
            {
                self.waiting
                    .entry(fill)
                    .or_default()
                    .push(Waiting::Rest(who));
                return;
            }
            if is_cut {
                self.network.left(fill, leads, self.now);
                while let Some(notice) = self.network.take_notice() {
                    self.noticed(notice);
                }
            }
        }
        self.take(who);
    }

    /// What was asked for is on the device.
    fn take(&mut self, who: u32) {
        let Some(mut journey) = self.journeys.remove(&who) else {
            return;
        };
        let device = &mut self.fleet.devices[who as usize];
        device.remaining -= journey.asked;
        journey.left -= journey.asked;
        journey.fill = None;
        if journey.left > 0 {
            let (pop, class) = (device.pop, device.class);
            let object = u32::from(device.artifact) + 1;
            let node = self.network.pop_node(pop, object, u64::from(who));
            let took = self.fleet.micros(class, journey.left);
            if self.now + took < self.network.sure_until(node, object) {
                // The rest is here: its requests change nothing.
                self.serve(pop, self.requests_for(journey.left), journey.left);
                journey.asked = journey.left;
                self.journeys.insert(who, journey);
                self.calendar.push(self.now + took, (who, What::Got));
            } else {
                self.journeys.insert(who, journey);
                self.ask(who, node, object);
            }
            return;
        }
        device.attempt += 1;
        match journey.pause {
            Some(pause) => {
                self.updates.broken += 1;
                self.calendar.push(self.now + pause, (who, What::Again));
            }
            None => self.done(who, self.now),
        }
    }

    /// A fill of a POP node ended.
    fn noticed(&mut self, notice: Notice) {
        for waiting in self.waiting.remove(&notice.fill).unwrap_or_default() {
            match waiting {
                Waiting::Channel(who) => self.read(who),
                Waiting::Rest(who) | Waiting::Start(who) => {
                    let Some(journey) = self.journeys.get_mut(&who) else {
                        continue;
                    };
                    let Some((_, leads)) = journey.fill.take() else {
                        continue;
                    };
                    let asked = journey.asked;
                    let has_it = match notice.arrived {
                        Arrived::All => true,
                        Arrived::LeaderOnly => leads,
                        Arrived::Nothing => false,
                    };
                    let class = self.fleet.devices[who as usize].class;
                    if !has_it {
                        self.ask_once_more(who, notice);
                    } else if matches!(waiting, Waiting::Start(_)) {
                        let took = self.fleet.micros(class, asked);
                        self.calendar.push(self.now + took, (who, What::Got));
                    } else {
                        self.take(who);
                    }
                }
            }
        }
    }

    /// A fill that a device waited for brought it nothing. The edge asks again, and the device does not notice.
    fn ask_once_more(&mut self, who: u32, notice: Notice) {
        let device = &self.fleet.devices[who as usize];
        let size = self.scenario.release.artifacts[usize::from(device.artifact)].bytes;
        let first = size - device.remaining;
        let class = device.class;
        let Some(journey) = self.journeys.get_mut(&who) else {
            return;
        };
        let asked = journey.asked;
        let want = Want::Range {
            first,
            last: Some((first + asked.max(1)).min(size) - 1),
        };
        let (node, object) = (notice.node, notice.object);
        let coming = if notice.arrived == Arrived::LeaderOnly {
            Some((self.network.ask_alone(node, object, want, self.now), true))
        } else {
            match self.network.ask(node, object, want, self.now) {
                Asked::Coming { fill, leads } => Some((fill, leads)),
                Asked::Here | Asked::HereButStale => None,
            }
        };
        journey.fill = coming;
        let took = self.fleet.micros(class, asked);
        match coming {
            Some((fill, _)) if !self.scenario.edge.stream_along => {
                self.waiting
                    .entry(fill)
                    .or_default()
                    .push(Waiting::Start(who));
            }
            _ => self.calendar.push(self.now + took, (who, What::Got)),
        }
    }

    fn done(&mut self, who: u32, at: u64) {
        let device = &mut self.fleet.devices[who as usize];
        device.standing = Standing::Over;
        self.fleet.left -= 1;
        let took = at - device.learned;
        self.updates.done_after((at, at), 1, took);
    }

    fn outcome(self, end: u64) -> Outcome {
        let (origin, edge) = self.network.finish(end, &self.served);
        Outcome {
            origin,
            edge,
            fleet: self.updates.finish(end, self.fleet.may_have),
        }
    }
}
