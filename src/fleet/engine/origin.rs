//! The origin behind an edge: an Auto Scaling group whose bytes are shared out among fills.
//!
//! Owns its clockwork (metric periods, steps of the series) and what it counts. Never refuses: see `network.rs`.

use super::scaling::Group;
use super::series::{Flow, STEP_MICROS, Tally};
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
    sent_in_period: f64,
    requests: Tally,
    sent: Flow,
    demand: Flow,
    /// Bytes of small answers and of large ones that ended: exact.
    sent_whole: u64,
    /// Sizes of fills that run, by who asked.
    running: Vec<(u32, u64)>,
    was_cancelled: bool,
    instances: Vec<u64>,
    open: Vec<u64>,
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
            sent_in_period: 0.0,
            requests: Tally::default(),
            sent: Flow::default(),
            demand: Flow::default(),
            sent_whole: 0,
            running: Vec::new(),
            was_cancelled: false,
            instances: Vec::new(),
            open: Vec::new(),
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
                self.sent_whole += self.running.swap_remove(at).1;
            }
            return Some(who);
        }
        if self.next_metric <= now {
            let sent = std::mem::take(&mut self.sent_in_period);
            self.group.observe(now, sent);
            self.sharing.set_capacity(self.group.bytes_per_second());
            self.next_metric += self.group.period_micros();
        }
        if self.next_step <= now {
            self.instances.push(self.group.in_service());
            self.open.push(self.sharing.open());
            self.next_step += STEP_MICROS;
        }
        None
    }

    /// A request that is answered at once.
    pub fn answer(&mut self, now: u64, bytes: u64) {
        self.requests.add(now, 1);
        self.sent.add(now, bytes as f64);
        self.demand.add(now, bytes as f64);
        self.sent_whole += bytes;
        self.sent_in_period += bytes as f64;
    }

    /// A request whose body is shared out; its mark for [`Self::sent_since`].
    pub fn start(&mut self, now: u64, bytes: u64, who: u32) -> f64 {
        self.pass_time(now);
        self.requests.add(now, 1);
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
        if bytes > 0.0 {
            self.sent.spread(self.now, to, bytes);
            self.sent_in_period += bytes;
        }
        self.sharing.advance(to);
        self.now = self.now.max(to);
    }

    /// What was counted until `end`.
    #[must_use]
    pub fn finish(mut self, end: u64) -> OriginOutcome {
        self.pass_time(end);
        if self.next_step - STEP_MICROS < end {
            self.instances.push(self.group.in_service());
            self.open.push(self.sharing.open());
        }
        let is_exact = self.running.is_empty() && !self.was_cancelled;
        let bytes_series = self.sent.finish(end, is_exact.then_some(self.sent_whole));
        let requests_series = self.requests.clone().finish(end);
        OriginOutcome {
            requests: requests_series.iter().sum(),
            bytes: bytes_series.iter().sum(),
            failed: 0,
            connections_series: requests_series.clone(),
            requests_series,
            bytes_series,
            demand_series: self.demand.finish(end, None),
            instances_series: self.instances,
            open_series: self.open,
            egress_bytes: 0,
        }
    }
}
