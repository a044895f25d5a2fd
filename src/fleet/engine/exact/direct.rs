//! Every device asks the origin.
//!
//! Owns the exact run without an edge: admission, shares of the saturated origin, failures that come back as retries. Never
//! knows of a cache. Read next: `sharing.rs`, `scaling.rs`.

use rand::Rng;

use super::super::Progress;
use super::super::arrivals::{Arrivals, NEVER};
use super::super::calendar::Calendar;
use super::super::chance::{self, Dice, Purpose};
use super::super::places::Places;
use super::super::population::{NOT_YET, Population, Standing};
use super::super::scaling::{self, Group};
use super::super::series::{Flow, STEP_MICROS, Tally, percentiles};
use super::super::sharing::Sharing;
use super::next_poll;
use crate::fleet::outcome::{FleetOutcome, OriginOutcome, Outcome};
use crate::fleet::scenario::Scenario;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum What {
    Poll,
    Push,
    /// After a pause, or after a failure.
    Again,
    /// No byte came for `stall_timeout`.
    Stalled,
}

struct Run<'a> {
    scenario: &'a Scenario,
    arrivals: Arrivals,
    fleet: Population,
    calendar: Calendar<(u32, What)>,
    sharing: Sharing,
    group: Group,
    dice: Dice,
    horizon: u64,
    window: u64,
    now: u64,
    /// The second that is counted against the group's requests per second, and how many it had.
    second: (u64, u64),
    /// Connections that get nothing.
    stalled: u64,
    counts: Counts,
}

/// What is counted on the way.
#[derive(Default)]
struct Counts {
    requests: Tally,
    connections: Tally,
    completions: Tally,
    sent: Flow,
    demand: Flow,
    /// Bytes of attempts that ended and of channel documents: exact, where the flows are sums of fractions.
    sent_whole: u64,
    sent_in_period: f64,
    failed: u64,
    broken: u64,
    updated: u64,
    late: u64,
    last_done: u64,
    instances: Vec<u64>,
    open: Vec<u64>,
}

pub(super) fn run(scenario: &Scenario, seed: u64, progress: &dyn Progress) -> Outcome {
    let arrivals = Arrivals::new(&scenario.discovery, &scenario.regions, seed);
    let places = Places::new(&scenario.regions, None);
    let fleet = Population::new(scenario, &arrivals, &places, seed);
    let group = Group::new(&scenario.origin);
    let horizon = scenario.horizon.as_micros() as u64;
    let mut run = Run {
        sharing: Sharing::new(&fleet.rates, group.bytes_per_second()),
        calendar: Calendar::new(horizon),
        dice: chance::stream(seed, Purpose::Transfers),
        scenario,
        arrivals,
        fleet,
        group,
        horizon,
        window: scenario.window.as_micros() as u64,
        now: 0,
        second: (0, 0),
        stalled: 0,
        counts: Counts::default(),
    };
    run.plan();
    let end = run.go(progress);
    run.outcome(end)
}

impl Run<'_> {
    /// First polls and pushes.
    fn plan(&mut self) {
        for who in 0..self.fleet.devices.len() as u32 {
            self.next_poll(who);
            if let Some(at) = self.arrivals.push(&mut self.dice) {
                self.calendar.push(at, (who, What::Push));
            }
        }
    }

    /// Events in order, until everyone is done or the horizon; returns the end.
    fn go(&mut self, progress: &dyn Progress) -> u64 {
        let everyone = self.fleet.left.max(1);
        let period = self.group.period_micros();
        let mut next_step = STEP_MICROS;
        let mut next_metric = period;
        loop {
            let event_at = self.calendar.next_at();
            let end_at = self.sharing.next_at();
            let tick = next_step.min(next_metric);
            let next = [event_at, end_at, Some(tick)].into_iter().flatten().min();
            let next = next.unwrap_or(tick);
            let over = if self.fleet.left == 0 {
                self.window.max(self.counts.last_done).min(self.horizon)
            } else {
                self.horizon
            };
            if next > over {
                self.pass_time(over);
                self.close_step(next_step > over);
                return over;
            }
            self.pass_time(next);
            if end_at == Some(next) {
                if let Some(who) = self.sharing.finish() {
                    self.ended(who);
                }
            } else if event_at == Some(next) {
                if let Some((_, (who, what))) = self.calendar.pop() {
                    self.happen(who, what);
                }
            } else {
                if next_metric == next {
                    let sent = std::mem::take(&mut self.counts.sent_in_period);
                    self.group.observe(next, sent);
                    self.sharing.set_capacity(self.group.bytes_per_second());
                    next_metric += period;
                }
                if next_step == next {
                    self.close_step(true);
                    next_step += STEP_MICROS;
                    progress.at(1.0 - self.fleet.left as f64 / everyone as f64);
                }
            }
        }
    }

    fn close_step(&mut self, is_open: bool) {
        if is_open {
            self.counts.instances.push(self.group.in_service());
            self.counts.open.push(self.sharing.open() + self.stalled);
        }
    }

    fn pass_time(&mut self, to: u64) {
        let bytes = self.sharing.rate() * (to - self.now) as f64;
        if bytes > 0.0 {
            self.counts.sent.spread(self.now, to, bytes);
            self.counts.sent_in_period += bytes;
        }
        self.sharing.advance(to);
        self.now = to;
    }

    /// Its period is over. Those who have the update, or are about to, ask again for ever, release or not: they are
    /// counted until the end of the window.
    fn poll(&mut self, who: u32) {
        let device = &self.fleet.devices[who as usize];
        let (region, standing) = (device.region, device.standing);
        let is_counted = self.now <= self.window || standing == Standing::Waiting;
        if is_counted || standing == Standing::Busy {
            self.next_poll(who);
        }
        if is_counted && self.arrivals.is_online(region, self.now, &mut self.dice) {
            self.check(who);
        }
    }

    fn happen(&mut self, who: u32, what: What) {
        match what {
            What::Poll => self.poll(who),
            What::Push => self.check(who),
            What::Again => {
                self.counts.connections.add(self.now, 1);
                self.download(who);
            }
            What::Stalled => {
                self.stalled -= 1;
                self.counts.broken += 1;
                self.fail(who);
            }
        }
    }

    fn next_poll(&mut self, who: u32) {
        next_poll(&mut self.fleet, &self.arrivals, who, |at| {
            self.calendar.push(at, (who, What::Poll));
        });
    }

    /// Asks for the channel document, and acts on it.
    fn check(&mut self, who: u32) {
        self.counts.connections.add(self.now, 1);
        let answered = self.request();
        let bytes = self.scenario.release.channel_bytes;
        self.counts.demand.add(self.now, bytes as f64);
        if answered {
            self.counts.sent_whole += bytes;
            self.counts.sent_in_period += bytes as f64;
            self.counts.sent.add(self.now, bytes as f64);
        }
        let device = &mut self.fleet.devices[who as usize];
        if device.standing != Standing::Waiting {
            return;
        }
        let opens = self.arrivals.stage_opens(device.stage);
        if opens > self.now {
            if !self.arrivals.polls_go_on() && device.poll == 1 {
                device.poll += 1;
                let stage = device.stage;
                let at = self.arrivals.second_ask(stage, &mut self.dice);
                self.calendar.push(at, (who, What::Push));
            }
            return;
        }
        device.standing = Standing::Busy;
        device.failures = 0;
        if device.learned == NOT_YET {
            device.learned = self.now;
            self.demand(who);
        }
        if answered {
            self.download(who);
        } else {
            self.fail(who);
        }
    }

    /// What an origin without limits would send to this device, and when.
    fn demand(&mut self, who: u32) {
        let device = &self.fleet.devices[who as usize];
        let (class, mut left, mut at, mut number) =
            (device.class, device.remaining, self.now, device.attempt);
        while at < self.horizon {
            let attempt = self
                .fleet
                .attempt(who, number, left, &self.scenario.transfer);
            let until = at + self.fleet.micros(class, attempt.bytes);
            self.counts.demand.spread(at, until, attempt.bytes as f64);
            let Some(pause) = attempt.cut else {
                return;
            };
            left -= attempt.bytes;
            number += 1;
            at = until + pause;
        }
    }

    /// One request arrives at the load balancer; whether an instance answers it.
    fn request(&mut self) -> bool {
        self.counts.requests.add(self.now, 1);
        let second = self.now / 1_000_000;
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        let has_room = self.second.1 as f64 <= self.group.requests_per_second()
            && self.sharing.open() + self.stalled < self.group.connections_max();
        if !has_room {
            self.counts.failed += 1;
        }
        has_room
    }

    /// One attempt to get what is missing.
    fn download(&mut self, who: u32) {
        if !self.request() {
            self.fail(who);
            return;
        }
        let shared = (self.sharing.open() + 1) as f64 * scaling::STALL_BYTES_PER_SECOND;
        if shared > self.group.bytes_per_second() {
            // Its first packets are lost in full queues, again and again.
            self.counts.failed += 1;
            self.stalled += 1;
            let timeout = self.scenario.transfer.stall_timeout.as_micros() as u64;
            self.calendar.push(self.now + timeout, (who, What::Stalled));
            return;
        }
        let device = &mut self.fleet.devices[who as usize];
        device.started = self.now;
        device.failures = 0;
        let (number, remaining, class) = (device.attempt, device.remaining, device.class);
        let attempt = self
            .fleet
            .attempt(who, number, remaining, &self.scenario.transfer);
        self.sharing
            .start(usize::from(class), attempt.bytes as f64, who);
    }

    /// The attempt that ran is over.
    fn ended(&mut self, who: u32) {
        let device = &self.fleet.devices[who as usize];
        let (number, remaining) = (device.attempt, device.remaining);
        let attempt = self
            .fleet
            .attempt(who, number, remaining, &self.scenario.transfer);
        self.counts.sent_whole += attempt.bytes;
        if let Some(range) = self.scenario.transfer.range_bytes {
            // The first range was counted when it asked; the others follow on its connection, one after the other.
            let more = attempt.bytes.div_ceil(range.max(1)).saturating_sub(1);
            self.counts
                .requests
                .follow(device.started, self.now, more, 1);
        }
        let device = &mut self.fleet.devices[who as usize];
        device.remaining -= attempt.bytes;
        device.attempt += 1;
        if let Some(pause) = attempt.cut {
            self.counts.broken += 1;
            self.calendar.push(self.now + pause, (who, What::Again));
            return;
        }
        device.standing = Standing::Over;
        self.fleet.left -= 1;
        self.counts.updated += 1;
        self.counts.completions.add(self.now, 1);
        self.counts.last_done = self.now;
        let took = self.now - device.learned;
        self.counts.late += u64::from(took > self.scenario.transfer.late_after.as_micros() as u64);
    }

    /// Refused, or nothing came: later again, or given up until the next poll.
    fn fail(&mut self, who: u32) {
        let transfer = &self.scenario.transfer;
        let device = &mut self.fleet.devices[who as usize];
        device.failures += 1;
        if device.failures >= transfer.attempts_max.max(1) {
            if self.arrivals.polls_go_on() {
                device.standing = Standing::Waiting;
            } else {
                device.standing = Standing::Over;
                self.fleet.left -= 1;
            }
            return;
        }
        let pause = scaling::backoff_micros(transfer, device.failures);
        let pause = self.dice.random_range(0..=pause);
        self.calendar.push(self.now + pause, (who, What::Again));
    }

    fn outcome(self, end: u64) -> Outcome {
        let counts = self.counts;
        let running = self.sharing.open() > 0;
        let bytes_series = counts
            .sent
            .finish(end, (!running).then_some(counts.sent_whole));
        let bytes: u64 = bytes_series.iter().sum();
        let completions_series = counts.completions.finish(end);
        let may_have = self
            .fleet
            .devices
            .iter()
            .filter(|device| self.arrivals.stage_opens(device.stage) != NEVER)
            .count() as u64;
        Outcome {
            origin: OriginOutcome {
                requests: counts.requests.sum(),
                bytes,
                failed: counts.failed,
                requests_series: counts.requests.finish(end),
                bytes_series,
                demand_series: counts.demand.finish(end, None),
                instances_series: counts.instances,
                connections_series: counts.connections.finish(end),
                open_series: counts.open,
                egress_bytes: bytes,
            },
            fleet: FleetOutcome {
                updated: counts.updated,
                failed: may_have - counts.updated,
                late: counts.late,
                broken_attempts: counts.broken,
                percentiles_s: percentiles(
                    &completions_series,
                    self.scenario.devices,
                    [0.5, 0.9, 0.99],
                ),
                completions_series,
            },
            ..Outcome::default()
        }
    }
}
