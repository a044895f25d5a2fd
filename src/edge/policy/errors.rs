//! E-5: which errors are kept, and for how long.
//!
//! Owns the two lists of fact 22 and the error-caching minimum TTLs. Never decides when a stale object stands in for an
//! error: `cache.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::freshness::{Directives, Storage, Ttl};

/// Error-caching minimum TTL by status; 10 s for those not named.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ErrorTtls {
    /// What `custom_error_response` blocks say.
    pub by_status: BTreeMap<u16, Duration>,
}

impl ErrorTtls {
    /// For one status.
    #[must_use]
    pub fn of(&self, status: u16) -> Duration {
        const DEFAULT: Duration = Duration::from_secs(10);
        self.by_status.get(&status).copied().unwrap_or(DEFAULT)
    }
}

/// What to do with an answer whose status is 400 or above.
#[must_use]
pub fn error_storage(status: u16, said: &Directives, ttl: &Ttl, errors: &ErrorTtls) -> Storage {
    todo!("{status} {said:?} {ttl:?} {errors:?}")
}
