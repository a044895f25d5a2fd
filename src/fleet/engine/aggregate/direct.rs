//! The whole fleet asks the origin, counted per step.
//!
//! Owns the aggregated run without an edge: admission, failures that come back as retries. Never knows one device from
//! another; what `exact/direct.rs` does to each is done to as many as there are.

use rand::Rng;

use super::super::Progress;
use super::super::arrivals::Arrivals;
use super::super::chance::{self, Dice, Purpose};
use super::super::ledger::Ledger;
use super::super::lines;
use super::super::places::Places;
use super::super::scaling::{self, Group};
use super::super::series::STEP_MICROS;
use super::super::updates::Updates;
use super::demand::Demand;
use super::downloads::{Downloads, Ended};
use super::grid::Grid;
use super::pauses::Pools;
use crate::fleet::outcome::Outcome;
use crate::fleet::scenario::{Curve, Scenario};

/// Devices that failed together come back at so many times within their longest pause.
const RETRY_PARTS: u64 = 16;

/// Who tries again, and after how many failures in a row.
#[derive(Clone, Copy, Debug)]
struct Retry {
    failures: u32,
    learned: u32,
    count: u64,
    /// Whether they were cut before and are among [`Run::refused`]; else they have nothing yet, and what they fetch is
    /// drawn when they get through.
    has_begun: bool,
}

impl Retry {
    /// Others who learnt at another time.
    fn join(&mut self, count: u64, learned: u32, dice: &mut Dice) {
        self.count += count;
        if chance::is_one_of(dice, count, self.count) {
            self.learned = learned;
        }
    }
}

struct Run<'a> {
    scenario: &'a Scenario,
    shares: Vec<f64>,
    grid: Grid,
    dice: Dice,
    group: Group,
    downloads: Downloads,
    /// What an origin without limits would have to do.
    demand: Demand,
    kinds: Vec<u64>,
    retries: Vec<Vec<Retry>>,
    /// Who tries again with some bytes. Anyone of them gets through as likely as any other.
    refused: Pools,
    /// Connections that get nothing, by the step in which they give up.
    stalled: Vec<u64>,
    stalled_now: u64,
    now: usize,
    /// Devices that gave up for ever.
    over: u64,
    ledger: Ledger,
    updates: Updates,
}

pub(in super::super) fn run(scenario: &Scenario, seed: u64, progress: &dyn Progress) -> Outcome {
    let arrivals = Arrivals::new(&scenario.discovery, &scenario.regions, seed);
    let places = Places::new(&scenario.regions, None);
    let mut dice = chance::stream(seed, Purpose::Arrivals);
    let grid = Grid::new(scenario, &arrivals, places.region_shares(), &mut dice);
    let rates = lines::class_rates(&scenario.devices_line);
    let may_have = arrivals.may_have(scenario.devices, &mut dice);
    let mut run = Run {
        shares: scenario.release.artifacts.iter().map(|a| a.share).collect(),
        downloads: Downloads::new(scenario, &rates, grid.step),
        demand: Demand::new(
            scenario,
            &rates,
            (grid.step, grid.steps),
            chance::stream(seed, Purpose::Edge),
        ),
        kinds: Vec::new(),
        retries: vec![Vec::new(); grid.steps],
        refused: Pools::new(scenario),
        stalled: vec![0; grid.steps],
        stalled_now: 0,
        group: Group::new(&scenario.origin),
        grid,
        scenario,
        dice,
        now: 0,
        over: 0,
        ledger: Ledger::default(),
        updates: Updates::new(scenario),
    };
    let end = run.go(may_have, progress);
    run.outcome(may_have, end)
}

impl Run<'_> {
    fn go(&mut self, may_have: u64, progress: &dyn Progress) -> u64 {
        let window = self.scenario.window.as_micros() as u64;
        let period = self.group.period_micros();
        let horizon = self.scenario.horizon.as_micros() as u64;
        for step in 0..self.grid.steps {
            self.now = step;
            let at = step as u64 * self.grid.step;
            let left = may_have.saturating_sub(self.updates.updated + self.over);
            if left == 0 && at >= window.max(self.updates.last_done) {
                self.close_step(!at.is_multiple_of(STEP_MICROS));
                return at;
            }
            self.step(at);
            let end = at + self.grid.step;
            if end / period > at / period {
                self.group.observe(end, self.ledger.take_period());
            }
            self.close_step(end.is_multiple_of(STEP_MICROS));
            if end.is_multiple_of(STEP_MICROS) {
                progress.at(1.0 - left as f64 / may_have.max(1) as f64);
            }
        }
        let end = self.grid.steps as u64 * self.grid.step;
        self.close_step(!end.is_multiple_of(STEP_MICROS));
        horizon
    }

    fn close_step(&mut self, is_whole: bool) {
        if is_whole {
            let open = self.downloads.open() + self.stalled_now;
            self.ledger.close_step(self.group.in_service(), open);
        }
    }

    /// Connections that the group could hold beside those that are open.
    fn room(&self) -> u64 {
        let open = self.downloads.open() + self.stalled_now;
        self.group.connections_max().saturating_sub(open)
    }

    fn step(&mut self, at: u64) {
        let asking = self.grid.draw(self.now, &mut self.dice);
        super::share_out(
            &mut self.dice,
            asking.learners,
            &self.shares,
            &mut self.kinds,
        );
        let channel = (asking.asks * self.scenario.release.channel_bytes) as f64;
        self.demand.pass(self.now, &self.kinds, channel);
        self.stalled_now -= self.stalled[self.now];

        let seconds = self.grid.step as f64 / 1e6;
        let capacity = self.group.bytes_per_second() * seconds;
        let retries = std::mem::take(&mut self.retries[self.now]);
        let resumed = self.downloads.take_resumed(self.now, &mut self.dice);
        let again: u64 = retries.iter().map(|retry| retry.count).sum::<u64>()
            + resumed.iter().map(|cohort| cohort.count).sum::<u64>();
        let wanted = asking.learners + again;

        let room = self.room();
        let mut ended = Vec::new();
        let mut sent = self
            .downloads
            .pass(capacity, wanted.min(room), |end| ended.push(end));
        for end in ended {
            self.ended(at, end);
        }
        self.ledger.connections.add(at, asking.asks + again);

        // The chance that an instance has room: for a request in its second, and for a connection.
        let in_time = self.group.requests_per_second() * seconds;
        let answers = (in_time / (asking.asks + wanted).max(1) as f64).min(1.0);
        let fits = (self.room() as f64 / (wanted.max(1) as f64 * answers)).min(1.0);
        let chance = answers * fits;

        sent += self.channel(at, asking.asks, chance);
        let refused = chance::binomial(&mut self.dice, asking.learners, 1.0 - chance);
        let learned = self.now as u32;
        self.fail(Retry {
            failures: 1,
            learned,
            count: refused,
            has_begun: false,
        });
        let fresh = Retry {
            failures: 0,
            learned,
            count: asking.learners - refused,
            has_begun: false,
        };
        let back = Retry {
            failures: 0,
            learned,
            count: again - retries.iter().map(|retry| retry.count).sum::<u64>(),
            has_begun: true,
        };
        for cohort in resumed {
            self.refused.add(cohort, &mut self.dice);
        }
        let at_once = self.admit(at, fresh, 1.0, 0); // Their connections are there already.
        let (mut others, mut begun) = (Retry { count: 0, ..fresh }, 0);
        for retry in retries.into_iter().chain([back]) {
            let served = self.admit(at, retry, chance, at_once + others.count + begun);
            if retry.has_begun {
                begun += served;
            } else if served > 0 {
                others.join(served, retry.learned, &mut self.dice);
            }
        }
        sent += self.begin(asking.learners, at_once, others, begun);
        self.downloads.settle(capacity, sent);
        self.ledger.send(at, at + self.grid.step, sent);
    }

    /// Channel documents; says their bytes.
    fn channel(&mut self, at: u64, asks: u64, chance: f64) -> f64 {
        let answered = chance::binomial(&mut self.dice, asks, chance);
        self.ledger.requests.add(at, asks);
        self.ledger.failed += asks - answered;
        let bytes = answered * self.scenario.release.channel_bytes;
        self.ledger.sent_whole += bytes;
        bytes as f64
    }

    /// Requests for artifacts; says how many are served, when so many others of this step are.
    fn admit(&mut self, at: u64, retry: Retry, chance: f64, others: u64) -> u64 {
        if retry.count == 0 {
            return 0;
        }
        self.ledger.requests.add(at, retry.count);
        let accepted = chance::binomial(&mut self.dice, retry.count, chance);
        let refused = retry.count - accepted;
        self.ledger.failed += refused;
        self.fail(Retry {
            failures: retry.failures + 1,
            count: refused,
            ..retry
        });
        let most = self.group.bytes_per_second() / scaling::STALL_BYTES_PER_SECOND;
        let open = self.downloads.open() + self.stalled_now + others;
        let served = accepted.min((most as u64).saturating_sub(open));
        self.stall(Retry {
            count: accepted - served,
            ..retry
        });
        served
    }

    /// Those who are served begin: of so many learners some at once, others later, and some with bytes that they have;
    /// says the bytes that they got in this step.
    fn begin(&mut self, learners: u64, at_once: u64, others: Retry, begun: u64) -> f64 {
        let now = self.now as u32;
        let mut sent = 0.0;
        if at_once > 0 {
            // What all of a step's learners need was drawn before; what some of them need is drawn again.
            if at_once < learners {
                super::share_out(&mut self.dice, at_once, &self.shares, &mut self.kinds);
            }
            sent += self
                .downloads
                .begin_fresh(&self.kinds, (now, now), &mut self.dice);
        }
        if others.count > 0 {
            super::share_out(&mut self.dice, others.count, &self.shares, &mut self.kinds);
            sent += self
                .downloads
                .begin_fresh(&self.kinds, (others.learned, now), &mut self.dice);
        }
        for cohort in self.refused.draw(begun, &mut self.dice) {
            sent += self.downloads.begin(cohort, now, &mut self.dice);
        }
        sent
    }

    /// Their first packets are lost in full queues, again and again.
    fn stall(&mut self, retry: Retry) {
        if retry.count == 0 {
            return;
        }
        self.ledger.failed += retry.count;
        self.updates.broken += retry.count;
        let timeout = self.scenario.transfer.stall_timeout.as_micros() as u64;
        let over = self.now + (timeout / self.grid.step).max(1) as usize;
        self.stalled_now += retry.count;
        if let Some(stalled) = self.stalled.get_mut(over) {
            *stalled += retry.count;
        }
        let failed = Retry {
            failures: retry.failures + 1,
            ..retry
        };
        self.fail_at(failed, over);
    }

    fn fail(&mut self, retry: Retry) {
        self.fail_at(retry, self.now);
    }

    /// Later again, or given up until the next poll.
    fn fail_at(&mut self, retry: Retry, now: usize) {
        if retry.count == 0 {
            return;
        }
        let transfer = &self.scenario.transfer;
        if retry.failures < transfer.attempts_max.max(1) {
            let longest = scaling::backoff_micros(transfer, retry.failures);
            self.later(retry, now, longest);
            return;
        }
        let period = match self.scenario.discovery.curve {
            Curve::PhaseRandom { period, .. } | Curve::Cron { period, .. } => period,
            Curve::Ramp { .. } => {
                self.over += retry.count;
                return;
            }
        };
        let again = Retry {
            failures: 0,
            ..retry
        };
        self.later(again, now, period.as_micros() as u64);
    }

    /// Spreads retries evenly over the time up to `longest` from now.
    fn later(&mut self, retry: Retry, now: usize, longest: u64) {
        let mut left = retry;
        for part in 0..RETRY_PARTS {
            let parts_left = (RETRY_PARTS - part) as f64;
            let count = chance::binomial(&mut self.dice, left.count, 1.0 / parts_left);
            left.count -= count;
            if count == 0 {
                continue;
            }
            let share = (part as f64 + self.dice.random::<f64>()) / RETRY_PARTS as f64;
            let within: f64 = self.dice.random();
            let steps = share * longest as f64 / self.grid.step as f64 + within;
            let row = now + (steps as usize).max(usize::from(now == self.now));
            let Some(row) = self.retries.get_mut(row) else {
                continue;
            };
            // Those who failed as often are alike but for when they learnt, and keep one of their times.
            let alike = row.iter_mut().find(|other| {
                other.has_begun == retry.has_begun && other.failures == retry.failures
            });
            match alike {
                Some(other) => other.join(count, retry.learned, &mut self.dice),
                None => row.push(Retry { count, ..retry }),
            }
        }
    }

    /// Some attempts are over.
    fn ended(&mut self, at: u64, end: Ended) {
        self.ledger.sent_whole += end.brought;
        let count = end.cohort.count;
        if let Some(range) = self.scenario.transfer.range_bytes {
            let each = (end.brought / count)
                .div_ceil(range.max(1))
                .saturating_sub(1);
            let began = u64::from(end.started) * self.grid.step;
            self.ledger.requests.follow(began, at, each, count);
        }
        if end.cohort.needed > 0 {
            self.updates.broken += count;
            self.downloads.pause(end.cohort, &mut self.dice);
            return;
        }
        let took = at - u64::from(end.cohort.learned) * self.grid.step;
        let span = (at, at + self.grid.step);
        self.updates.done_after(span, count, took);
    }

    fn outcome(self, may_have: u64, end: u64) -> Outcome {
        let all_over = self.downloads.open() == 0;
        let demand = self.demand.finish(end);
        Outcome {
            origin: self.ledger.finish(end, all_over, self.group, demand),
            fleet: self.updates.finish(end, may_have),
            ..Outcome::default()
        }
    }
}
