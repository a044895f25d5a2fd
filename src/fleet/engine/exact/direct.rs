//! Every device asks the origin.
//!
//! Owns the exact run without an edge: admission, shares of the saturated origin, failures that come back as retries. Never
//! knows of a cache. Read next: `sharing.rs`, `scaling.rs`.

use rand::Rng;

use super::super::Progress;
use super::super::arrivals::Arrivals;
use super::super::calendar::Calendar;
use super::super::chance::{self, Dice, Purpose};
use super::super::ledger::Ledger;
use super::super::places::Places;
use super::super::population::{NOT_YET, Population, Standing};
use super::super::scaling::{self, Group};
use super::super::series::{Flow, STEP_MICROS};
use super::super::sharing::Sharing;
use super::super::updates::Updates;
use super::{next_poll, second_ask};
use crate::fleet::outcome::Outcome;
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
    ledger: Ledger,
    demand: Flow,
    updates: Updates,
}

pub(in super::super) fn run(scenario: &Scenario, seed: u64, progress: &dyn Progress) -> Outcome {
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
        ledger: Ledger::default(),
        demand: Flow::default(),
        updates: Updates::new(scenario),
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
                self.window.max(self.updates.last_done).min(self.horizon)
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
                    self.group.observe(next, self.ledger.take_period());
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
            let open = self.sharing.open() + self.stalled;
            self.ledger.close_step(self.group.in_service(), open);
        }
    }

    fn pass_time(&mut self, to: u64) {
        let bytes = self.sharing.rate() * (to - self.now) as f64;
        self.ledger.send(self.now, to, bytes);
        self.sharing.advance(to);
        self.now = to;
    }

    /// Its period is over.
    fn poll(&mut self, who: u32) {
        let device = &self.fleet.devices[who as usize];
        let (region, standing) = (device.region, device.standing);
        let is_counted = standing.poll_counts(self.now <= self.window);
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
                self.ledger.connections.add(self.now, 1);
                self.download(who);
            }
            What::Stalled => {
                self.stalled -= 1;
                self.updates.broken += 1;
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
        self.ledger.connections.add(self.now, 1);
        let answered = self.request();
        let bytes = self.scenario.release.channel_bytes;
        self.demand.add(self.now, bytes as f64);
        if answered {
            self.ledger.answer(self.now, bytes);
        }
        let device = &mut self.fleet.devices[who as usize];
        if device.standing != Standing::Waiting {
            return;
        }
        let opens = self.arrivals.stage_opens(device.stage);
        if opens > self.now {
            if let Some(at) = second_ask(device, &self.arrivals, &mut self.dice) {
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
            self.demand.spread(at, until, attempt.bytes as f64);
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
        self.ledger.requests.add(self.now, 1);
        let second = self.now / 1_000_000;
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        let has_room = self.second.1 as f64 <= self.group.requests_per_second()
            && self.sharing.open() + self.stalled < self.group.connections_max();
        if !has_room {
            self.ledger.failed += 1;
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
            self.ledger.failed += 1;
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
        self.ledger.sent_whole += attempt.bytes;
        if let Some(range) = self.scenario.transfer.range_bytes {
            // The first range was counted when it asked; the others follow on its connection, one after the other.
            let more = attempt.bytes.div_ceil(range.max(1)).saturating_sub(1);
            self.ledger
                .requests
                .follow(device.started, self.now, more, 1);
        }
        let device = &mut self.fleet.devices[who as usize];
        device.remaining -= attempt.bytes;
        device.attempt += 1;
        if let Some(pause) = attempt.cut {
            self.updates.broken += 1;
            self.calendar.push(self.now + pause, (who, What::Again));
            return;
        }
        device.standing = Standing::Over;
        self.fleet.left -= 1;
        let took = self.now - device.learned;
        self.updates.done_after((self.now, self.now), 1, took);
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
        let all_over = self.sharing.open() == 0;
        let demand = self.demand.finish(end, None);
        Outcome {
            origin: self.ledger.finish(end, all_over, self.group, demand),
            fleet: self.updates.finish(end, self.fleet.may_have),
            ..Outcome::default()
        }
    }
}
