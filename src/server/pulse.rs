//! Whether every thread of a server makes progress.
//!
//! Owns the beats: a thread beats in its own runtime, beside the connections it serves, so that one which is stuck in
//! any of them beats no more. Never acts on it: who started the server does (`assembly/service.rs`).

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How soon a thread that is late is looked at again: soon enough for whoever waits, and rare enough for a wait that
/// may be a wait for the end.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The beats of one that has served to its end: it is waited for no longer.
const SERVED: u64 = u64::MAX;

/// The beats of all threads.
#[derive(Debug)]
pub struct Pulse {
    beats: Box<[AtomicU64]>,
    every: Option<Duration>,
}

impl Pulse {
    /// For so many serving threads and the one that oversees them. Each beats when it begins to serve and then at this
    /// interval; without one, once.
    #[must_use]
    pub fn new(serving: NonZeroUsize, every: Option<Duration>) -> Arc<Self> {
        let threads = serving.get() + 1;
        Arc::new(Self {
            beats: (0..threads).map(|_| AtomicU64::new(0)).collect(),
            every,
        })
    }

    /// The number of the thread that oversees; those that serve count from 0.
    pub(super) fn overseer(&self) -> usize {
        self.beats.len() - 1
    }

    /// Beats as the thread of this number, for as long as its runtime turns.
    pub(super) async fn beat(self: Arc<Self>, thread: usize) {
        let Some(beats) = self.beats.get(thread) else {
            return;
        };
        beats.fetch_add(1, Ordering::Relaxed);
        let Some(every) = self.every else {
            return;
        };
        loop {
            tokio::time::sleep(every).await;
            beats.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The thread of this number has nothing more to do. Not said of one that failed.
    pub(super) fn has_served(&self, thread: usize) {
        if let Some(beats) = self.beats.get(thread) {
            beats.store(SERVED, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> Vec<u64> {
        let count = |beats: &AtomicU64| beats.load(Ordering::Relaxed);
        self.beats.iter().map(count).collect()
    }
}

/// Somebody who feels the pulse.
#[derive(Debug)]
pub struct Watch {
    pulse: Arc<Pulse>,
    seen: Vec<u64>,
}

impl Watch {
    /// Has seen no beat yet.
    #[must_use]
    pub fn new(pulse: Arc<Pulse>) -> Self {
        let seen = vec![0; pulse.beats.len()];
        Self { pulse, seen }
    }

    /// Waits until every thread has beaten since the last time. With one that is stuck: for ever.
    pub async fn all_have_beaten(&mut self) {
        loop {
            let counts = self.pulse.counts();
            let mut pairs = counts.iter().zip(&self.seen);
            if pairs.all(|(now, seen)| now > seen || *now == SERVED) {
                self.seen = counts;
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    const EVERY: Duration = Duration::from_secs(1);
    const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    fn started(pulse: &Arc<Pulse>) -> Vec<JoinHandle<()>> {
        let start = |thread| tokio::spawn(Arc::clone(pulse).beat(thread));
        (0..=pulse.overseer()).map(start).collect()
    }

    async fn is_well(watch: &mut Watch) -> bool {
        timeout(10 * EVERY, watch.all_have_beaten()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_well_while_each_of_its_threads_beats() {
        let pulse = Pulse::new(TWO, Some(EVERY));
        let mut watch = Watch::new(Arc::clone(&pulse));
        assert!(!is_well(&mut watch).await, "nobody has begun");
        let threads = started(&pulse);
        assert_eq!(threads.len(), 3);
        for _ in 0..5 {
            assert!(is_well(&mut watch).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_thread_that_is_stuck_is_enough() {
        for stuck in 0..3 {
            let pulse = Pulse::new(TWO, Some(EVERY));
            let mut watch = Watch::new(Arc::clone(&pulse));
            let threads = started(&pulse);
            assert!(is_well(&mut watch).await);
            threads[stuck].abort();
            let _beaten_before_it_stuck = is_well(&mut watch).await;
            assert!(!is_well(&mut watch).await, "thread {stuck}");
            tokio::spawn(Arc::clone(&pulse).beat(stuck));
            assert!(is_well(&mut watch).await, "it goes on");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_has_served_is_waited_for_no_longer() {
        let pulse = Pulse::new(TWO, Some(EVERY));
        let mut watch = Watch::new(Arc::clone(&pulse));
        let threads = started(&pulse);
        assert!(is_well(&mut watch).await);
        threads[1].abort();
        pulse.has_served(1);
        assert!(is_well(&mut watch).await && is_well(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_interval_a_thread_beats_once() {
        let pulse = Pulse::new(TWO, None);
        let mut watch = Watch::new(Arc::clone(&pulse));
        let _threads = started(&pulse);
        assert!(is_well(&mut watch).await);
        assert!(!is_well(&mut watch).await);
    }
}
