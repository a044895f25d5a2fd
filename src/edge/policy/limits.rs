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
#[derive(Clone, Debug)]
pub struct Meter {
    limits: Limits,
}

impl Meter {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Counts a request; false when it is above a limit and must be refused.
    pub fn request(&mut self, now: Moment) -> bool {
        todo!("{now:?} {:?}", self.limits)
    }

    /// Counts bytes sent to viewers.
    pub fn sent(&mut self, bytes: u64, now: Moment) {
        todo!("{bytes} {now:?}")
    }
}
