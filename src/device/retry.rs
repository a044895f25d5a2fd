//! When a broken transfer is taken up again, and when to give up.
//!
//! Owns the waits: exponential, with jitter, never shorter than the server asks for. Never makes a request.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use super::error::{DeviceError, TransferError};

/// Long enough for a load balancer to notice a dead instance after a few doublings, short enough for a person to wait.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// A fleet that lost its edge comes back within this time of the edge, spread evenly over half of it.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Counts the failures in a row of one transfer.
#[derive(Debug)]
pub(super) struct Retry {
    retries_max: u32,
    failures: u32,
}

impl Retry {
    pub(super) fn new(retries_max: u32) -> Self {
        Self {
            retries_max,
            failures: 0,
        }
    }

    /// Something new arrived: a slow link with many cuts gets through in the end.
    pub(super) fn progressed(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next try, or gives up with what happened last.
    pub(super) async fn again(
        &mut self,
        url: &str,
        failure: TransferError,
    ) -> Result<(), DeviceError> {
        if self.failures >= self.retries_max || !failure.is_temporary() {
            return Err(DeviceError::Transfer {
                url: url.to_owned(),
                tries: self.failures + 1,
                source: failure,
            });
        }
        let asked = match &failure {
            TransferError::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        };
        let wait = wait(self.failures, asked, jitter());
        self.failures += 1;
        tracing::debug!(
            url,
            failures = self.failures,
            wait_seconds = wait.as_secs_f64(),
            error = &failure as &dyn std::error::Error,
            "taking {url} up again"
        );
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Doubles from [`FIRST_WAIT`] to [`WAIT_MAX`]; the upper half of each wait is left to chance (`jitter`, 0 to 1).
fn wait(failures: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    let ceiling = FIRST_WAIT
        .saturating_mul(1 << failures.min(16))
        .min(WAIT_MAX);
    // A server that asks for an hour would look like a hang; the next call asks again anyway.
    let floor = asked.unwrap_or_default().min(WAIT_MAX);
    ceiling.mul_f64(0.5 + jitter / 2.0).max(floor)
}

/// The standard library's hash keys are random for each process: enough to spread a fleet, and no dependency.
fn jitter() -> f64 {
    f64::from(u16::try_from(RandomState::new().hash_one(()) >> 48).unwrap_or_default())
        / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit() {
        let waits: Vec<_> = (0..5).map(|n| wait(n, None, 1.0).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200]);
        assert_eq!(wait(u32::MAX, None, 1.0), WAIT_MAX);
    }

    #[test]
    fn chance_takes_at_most_half_of_a_wait() {
        assert_eq!(wait(0, None, 0.0), FIRST_WAIT / 2);
        let spread: Vec<_> = (0..64).map(|_| jitter()).collect();
        assert!(spread.iter().all(|j| (0.0..=1.0).contains(j)), "{spread:?}");
        assert!(
            spread.iter().any(|j| j.to_bits() != spread[0].to_bits()),
            "{spread:?}"
        );
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it_within_reason() {
        let asked = Duration::from_secs(7);
        assert_eq!(wait(0, Some(asked), 1.0), asked);
        assert_eq!(wait(0, Some(Duration::from_secs(86_400)), 1.0), WAIT_MAX);
    }
}
