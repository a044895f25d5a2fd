//! Turns: of those who want the same unknown thing, one looks and the others find what it found.
//!
//! Owns the bounded set of locks behind it. Never knows what is looked for.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use tokio::sync::{Mutex, MutexGuard};

/// More than what a cold start looks up at one time, so that two names seldom wait for each other.
const LOCKS: usize = 64;

/// A lock for every name, by its share of `LOCKS`: bounded, whatever strangers ask for.
#[derive(Debug)]
pub struct Turns([Mutex<()>; LOCKS]);

impl Turns {
    /// Nobody looks.
    #[must_use]
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    /// Waits for whoever looks for the same name, and now and then for someone who looks for another one.
    pub async fn take(&self, name: &impl Hash) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let share = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        self.0[share].lock().await
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_who_want_the_same_wait_for_each_other_and_others_do_not() {
        let turns = Turns::new();
        let held = turns.take(&"agent").await;
        let second = turns.take(&"agent");
        tokio::pin!(second);
        assert!(futures_poll(second.as_mut()).await.is_none());
        let mut passed = 0;
        for other in 0..LOCKS {
            passed += usize::from(
                futures_poll(std::pin::pin!(turns.take(&other)))
                    .await
                    .is_some(),
            );
        }
        assert!(passed > LOCKS / 2, "{passed} of {LOCKS} did not wait");
        drop(held);
        assert!(futures_poll(second).await.is_some());
    }

    /// One look at a future: its value, or that it waits.
    async fn futures_poll<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match future.as_mut().poll(context) {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
