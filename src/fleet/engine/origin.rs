//! The origin behind an edge: an Auto Scaling group whose bytes are shared out among fills.
//!
//! Owns its clockwork (metric periods, steps of the series) and what it counts. Never refuses: see `network.rs`.

use super::ledger::Ledger;
use super::scaling::Group;
use super::series::{Flow, STEP_MICROS};
use super::sharing::Sharing;
use crate::fleet::outcome::OriginOutcome;
use crate::fleet::scenario::Scenario;

/// The origin.
#[derive(Debug)]
pub struct Origin {
    group: Group,
    sharing: Sharing,
    fill_bytes_per_micro: f64,
    now: u64,
    next_metric: u64,
    next_step: u64,
    ledger: Ledger,
    demand: Flow,
    /// Sizes of fills that run, by who asked.
    running: Vec<(u32, u64)>,
    was_cancelled: bool,
}

impl Origin {
    /// At its minimum, idle.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let group = Group::new(&scenario.origin);
        Self {
            sharing: Sharing::new(&[scenario.edge.fill_bps], group.bytes_per_second()),
            fill_bytes_per_micro: scenario.edge.fill_bps / 8e6,
            now: 0,
            next_metric: group.period_micros(),
            next_step: STEP_MICROS,
            group,
            ledger: Ledger::default(),
            demand: Flow::default(),
            running: Vec::new(),
            was_cancelled: false,
        }
    }

    /// When something happens here next.
    #[must_use]
    pub fn next_at(&self) -> u64 {
        let tick = self.next_metric.min(self.next_step);
        self.sharing.next_at().map_or(tick, |end| end.min(tick))
    }

    /// Lets the next thing happen; the fill whose last byte leaves, if one ends.
    pub fn happen(&mut self, now: u64) -> Option<u32> {
        let ends = self.sharing.next_at().is_some_and(|end| end <= now);
        self.pass_time(now);
        if ends {
            let who = self.sharing.finish()?;
            if let Some(at) = self.running.iter().position(|fill| fill.0 == who) {
                self.ledger.sent_whole += self.running.swap_remove(at).1;
            }
            return Some(who);
        }
        if self.next_metric <= now {
            self.group.observe(now, self.ledger.take_period());
            self.sharing.set_capacity(self.group.bytes_per_second());
            self.next_metric += self.group.period_micros();
        }
        if self.next_step <= now {
            self.close_step();
            self.next_step += STEP_MICROS;
        }
        None
    }

    fn close_step(&mut self) {
        let (instances, open) = (self.group.in_service(), self.sharing.open());
        self.ledger.close_step(instances, open);
    }

    /// One on a connection of its own.
    fn request(&mut self, now: u64) {
        self.ledger.requests.add(now, 1);
        self.ledger.connections.add(now, 1);
    }

    /// A request that is answered at once.
    pub fn answer(&mut self, now: u64, bytes: u64) {
        self.request(now);
        self.ledger.answer(now, bytes);
        self.demand.add(now, bytes as f64);
    }

    /// A request whose body is shared out; its mark for [`Self::sent_since`].
    pub fn start(&mut self, now: u64, bytes: u64, who: u32) -> f64 {
        self.pass_time(now);
        self.request(now);
        let alone = (bytes as f64 / self.fill_bytes_per_micro).ceil() as u64;
        self.demand.spread(now, now + alone, bytes as f64);
        self.running.push((who, bytes));
        self.sharing.start(0, bytes as f64, who);
        self.sharing.virtual_bytes(0, now)
    }

    /// How many bytes a fill has got whose mark was this.
    #[must_use]
    pub fn sent_since(&self, mark: f64, now: u64) -> f64 {
        (self.sharing.virtual_bytes(0, now) - mark).max(0.0)
    }

    /// A fill is not wanted any more; what was sent of it was sent.
    pub fn cancel(&mut self, now: u64, who: u32) {
        self.pass_time(now);
        self.sharing.cancel(0, who);
        self.running.retain(|fill| fill.0 != who);
        self.was_cancelled = true;
    }

    fn pass_time(&mut self, to: u64) {
        let bytes = self.sharing.rate() * to.saturating_sub(self.now) as f64;
        self.ledger.send(self.now, to, bytes);
        self.sharing.advance(to);
        self.now = self.now.max(to);
    }

    /// What was counted until `end`.
    #[must_use]
    pub fn finish(mut self, end: u64) -> OriginOutcome {
        self.pass_time(end);
        if self.next_step - STEP_MICROS < end {
            self.close_step();
        }
        let is_exact = self.running.is_empty() && !self.was_cancelled;
        let demand = self.demand.finish(end, None);
        OriginOutcome {
            egress_bytes: 0,
            ..self.ledger.finish(end, is_exact, self.group, demand)
        }
    }
}
