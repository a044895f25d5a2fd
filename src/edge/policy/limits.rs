//! E-14: requests and bits per second of a distribution.
//!
//! Owns the quotas of fact 60 and the counting. Never delays anyone: above a limit the answer is `LimitExceeded`.

use super::Moment;

/// The quotas of one distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Default 250,000.
    pub requests_per_second: u64,
    /// Default 150 Gb/s.
    pub bits_per_second: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_second: 250_000,
            bits_per_second: 150_000_000_000,
        }
    }
}

/// Counts the second that is running.
///
/// ⚙ AWS publishes the quotas, not the window they are measured in: this one begins anew with every whole second.
#[derive(Clone, Debug)]
pub struct Meter {
    limits: Limits,
    second: u64,
    requests: u64,
    bytes: u64,
}

impl Meter {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            second: 0,
            requests: 0,
            bytes: 0,
        }
    }

    /// Counts a request; false when it is above a limit and must be refused.
    ///
    /// A refused request is not counted, so that a flood gets the whole quota served and not nothing at all.
    pub fn request(&mut self, now: Moment) -> bool {
        self.turn(now);
        let is_within = self.requests < self.limits.requests_per_second
            && self.bytes.saturating_mul(8) < self.limits.bits_per_second;
        self.requests += u64::from(is_within);
        is_within
    }

    /// Counts bytes sent to viewers. What is on its way is never cut: the bits refuse the next request.
    pub fn sent(&mut self, bytes: u64, now: Moment) {
        self.turn(now);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Begins a new second when one has begun. A moment of a second that is over counts in the one that runs: threads
    /// read their clocks before they take their turn here.
    fn turn(&mut self, now: Moment) {
        let second = now.0 / 1_000_000;
        if second > self.second {
            (self.second, self.requests, self.bytes) = (second, 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_millis(millis: u64) -> Moment {
        Moment(millis * 1000)
    }

    #[test]
    fn e14_limits() {
        let limits = Limits {
            requests_per_second: 3,
            bits_per_second: 800,
        };
        // Each step: milliseconds, bytes sent before, and whether the request is within the limits.
        for (row, steps) in [
            (
                "T63 as many requests as allowed, then none, until the next second",
                &[
                    (0, 0, true),
                    (1, 0, true),
                    (999, 0, true),
                    (999, 0, false),
                    (1000, 0, true),
                ][..],
            ),
            (
                "T63 as many bits as allowed, then none, until the next second",
                &[
                    (0, 99, true),
                    (1, 1, false),
                    (999, 0, false),
                    (1000, 0, true),
                ],
            ),
            (
                "T63 bits of the last second do not count in this one",
                &[(999, 1000, false), (1000, 99, true), (1000, 1, false)],
            ),
            (
                "T63 a refused request takes nothing of the quota",
                &[
                    (0, 100, false),
                    (0, 0, false),
                    (1000, 0, true),
                    (1000, 0, true),
                    (1000, 0, true),
                ],
            ),
            (
                "T63 a late clock does not begin the second anew",
                &[
                    (1000, 0, true),
                    (1000, 0, true),
                    (999, 0, true),
                    (1000, 0, false),
                    (999, 0, false),
                ],
            ),
        ] {
            let mut meter = Meter::new(limits);
            for (step, (millis, bytes, expected)) in steps.iter().enumerate() {
                meter.sent(*bytes, at_millis(*millis));
                assert_eq!(
                    meter.request(at_millis(*millis)),
                    *expected,
                    "{row}, step {step}"
                );
            }
        }
    }

    #[test]
    fn e14_the_documented_quotas_are_the_defaults() {
        let mut meter = Meter::new(Limits::default());
        let within = (0..250_001).filter(|_| meter.request(Moment(0))).count();
        assert_eq!(within, 250_000, "T63 250,000 requests a second");
        let mut meter = Meter::new(Limits::default());
        meter.sent(18_749_999_999, Moment(0));
        assert!(meter.request(Moment(0)), "T63 one byte below 150 Gb/s");
        meter.sent(1, Moment(0));
        assert!(!meter.request(Moment(0)), "T63 150 Gb/s");
        meter.sent(u64::MAX, Moment(0));
        assert!(!meter.request(Moment(0)), "T63 no overflow");
    }
}
