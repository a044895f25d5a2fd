//! The Auto Scaling group: how many instances are in service, and when.
//!
//! Owns target tracking on network out: a metric per period, an alarm that wants it high for a while, boot and warm-up,
//! a slow way back. Never moves a byte; it is told what was sent and says what can be sent.

use crate::fleet::outcome::ScaleIn;
use crate::fleet::scenario::{OriginSettings, Transfer};

/// The group.
#[derive(Clone, Debug)]
pub struct Group {
    settings: OriginSettings,
    in_service: u64,
    /// Instances that boot or warm up: when they are ready, how many. Ascending.
    coming: Vec<(u64, u64)>,
    /// Periods in a row above the target, and below.
    high_periods: u64,
    low_periods: u64,
}

/// Below this share of the origin a download makes no progress that a device would wait for: 1 KiB/s. One more than the
/// origin can serve at this rate gets nothing, and fails after `stall_timeout`.
pub const STALL_BYTES_PER_SECOND: f64 = 1024.0;

/// The longest pause after so many failures in a row; the pause is uniform from zero up to it (full jitter).
#[must_use]
pub fn backoff_micros(transfer: &Transfer, failures: u32) -> u64 {
    let first = transfer.backoff.as_micros() as u64;
    let doubled = first.saturating_mul(1_u64 << failures.saturating_sub(1).min(40));
    doubled.min(transfer.backoff_max.as_micros() as u64)
}

/// A group asks for fewer instances only when the metric is this far below the target, as target tracking does to keep
/// from swinging.
const SCALE_IN_BELOW: f64 = 0.9;

impl Group {
    /// At its minimum, all warm.
    #[must_use]
    pub fn new(settings: &OriginSettings) -> Self {
        Self {
            settings: settings.clone(),
            in_service: settings.instances_min.max(1),
            coming: Vec::new(),
            high_periods: 0,
            low_periods: 0,
        }
    }

    /// Instances in service.
    #[must_use]
    pub fn in_service(&self) -> u64 {
        self.in_service
    }

    /// What one instance can send, bytes/s: its baseline, or the internet gateway's cap.
    #[must_use]
    pub fn instance_bytes_per_second(settings: &OriginSettings) -> f64 {
        settings.baseline_bps.min(settings.gateway_bps) / 8.0
    }

    /// What the group can send, bytes/s.
    #[must_use]
    pub fn bytes_per_second(&self) -> f64 {
        self.in_service as f64 * Self::instance_bytes_per_second(&self.settings)
    }

    /// How many connections the group holds.
    #[must_use]
    pub fn connections_max(&self) -> u64 {
        self.in_service
            .saturating_mul(self.settings.connections_max)
    }

    /// How many requests the group answers per second.
    #[must_use]
    pub fn requests_per_second(&self) -> f64 {
        self.in_service as f64 * self.settings.requests_per_second
    }

    /// The metric's period in microseconds.
    #[must_use]
    pub fn period_micros(&self) -> u64 {
        (self.settings.metric_period.as_micros() as u64).max(1_000_000)
    }

    /// A metric period ended at `now`, in which `bytes` were sent.
    pub fn observe(&mut self, now: u64, bytes: f64) {
        self.arrive(now);
        let period_s = self.period_micros() as f64 / 1e6;
        let baseline = self.settings.baseline_bps / 8.0 * period_s;
        let utilisation = bytes / (baseline * self.in_service as f64);
        let target = self.settings.target_utilisation.max(0.01);
        let wanted = (self.in_service as f64 * utilisation / target).ceil() as u64;
        if utilisation > target {
            self.high_periods += 1;
            self.low_periods = 0;
        } else if utilisation < target * SCALE_IN_BELOW {
            self.low_periods += 1;
            self.high_periods = 0;
        } else {
            self.low_periods = 0;
            self.high_periods = 0;
        }
        if self.high_periods >= self.periods(self.settings.alarm_after) {
            self.scale_out(now, wanted);
        }
        if self.coming.is_empty() && self.low_periods >= self.periods(self.settings.scale_in_after)
        {
            let fewer = wanted.max(self.settings.instances_min).max(1);
            self.in_service = self.in_service.min(fewer);
            self.low_periods = 0;
        }
    }

    /// Nothing is sent from `now` on: what the group still has until it is back at its minimum.
    #[must_use]
    pub fn scale_in(mut self, now: u64) -> ScaleIn {
        let period = self.period_micros();
        let mut over = ScaleIn::default();
        let mut at = now;
        // No alarm rings any more: the metric is zero.
        while self.in_service > self.settings.instances_min.max(1) || !self.coming.is_empty() {
            over.seconds += period / 1_000_000;
            over.instance_seconds += self.in_service * period / 1_000_000;
            at += period;
            self.observe(at, 0.0);
        }
        over
    }

    /// Instances that are ready by now serve. Those that still warm up count against what is wanted, so that one alarm
    /// is not answered twice.
    fn arrive(&mut self, now: u64) {
        while let Some(&(ready, count)) = self.coming.first()
            && ready <= now
        {
            self.in_service += count;
            self.coming.remove(0);
        }
    }

    fn scale_out(&mut self, now: u64, wanted: u64) {
        let coming: u64 = self.coming.iter().map(|batch| batch.1).sum();
        let have = self.in_service + coming;
        let more = wanted.min(self.settings.instances_max).saturating_sub(have);
        if more > 0 {
            let ready = now + self.settings.warm_up.as_micros() as u64;
            self.coming.push((ready, more));
        }
    }

    fn periods(&self, time: std::time::Duration) -> u64 {
        (time.as_micros() as u64)
            .div_ceil(self.period_micros())
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn settings() -> OriginSettings {
        OriginSettings {
            instance_type: "m7g.large".to_owned(),
            baseline_bps: 8e8,
            gateway_bps: 5e9,
            requests_per_second: 1_000.0,
            connections_max: 10_000,
            instances_min: 2,
            instances_max: 10,
            target_utilisation: 0.7,
            metric_period: Duration::from_secs(60),
            alarm_after: Duration::from_secs(180),
            warm_up: Duration::from_secs(120),
            scale_in_after: Duration::from_secs(900),
        }
    }

    fn run(
        group: &mut Group,
        minutes: std::ops::RangeInclusive<u64>,
        bytes_per_s: f64,
    ) -> Vec<u64> {
        minutes
            .map(|minute| {
                group.observe(minute * 60_000_000, bytes_per_s * 60.0);
                group.in_service()
            })
            .collect()
    }

    #[test]
    fn a_full_group_grows_after_alarm_and_warm_up_and_by_no_more_than_the_metric_shows() {
        let mut group = Group::new(&settings());
        // 200 MB/s is all that two instances can send: 100 % of a target of 70 % asks for three.
        let seen = run(&mut group, 1..=6, 200e6);
        assert_eq!(seen, [2, 2, 2, 2, 3, 3]);
    }

    #[test]
    fn it_never_leaves_its_limits_and_comes_back_slowly() {
        let mut group = Group::new(&settings());
        for minute in 1..200 {
            let bytes = group.bytes_per_second() * 60.0;
            group.observe(minute * 60_000_000, bytes);
        }
        assert_eq!(group.in_service(), 10);
        let seen = run(&mut group, 200..=214, 0.0);
        assert_eq!(seen[13], 10);
        assert_eq!(seen[14], 2);
    }

    #[test]
    fn it_is_paid_until_it_is_back_at_its_minimum() {
        let mut group = Group::new(&settings());
        assert_eq!(group.clone().scale_in(0), ScaleIn::default());
        // Three serve, as above, and low periods begin anew.
        run(&mut group, 1..=6, 200e6);
        let over = group.scale_in(6 * 60_000_000);
        assert_eq!((over.seconds, over.instance_seconds), (900, 2_700));
    }

    #[test]
    fn instances_that_still_boot_are_waited_for() {
        let mut group = Group::new(&settings());
        run(&mut group, 1..=3, 200e6);
        let over = group.scale_in(3 * 60_000_000);
        // Two minutes of two, then three until the alarm: its low periods began with the silence, but none is taken away
        // while others come.
        assert_eq!(
            (over.seconds, over.instance_seconds),
            (900, 2 * 120 + 3 * 780)
        );
    }

    #[test]
    fn the_gateway_caps_an_instance() {
        let mut settings = settings();
        settings.baseline_bps = 50e9;
        let group = Group::new(&settings);
        assert!((group.bytes_per_second() - 2.0 * 5e9 / 8.0).abs() < 1.0);
    }
}
