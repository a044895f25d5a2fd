//! The same scenario behind several fronts, side by side.
//!
//! Owns which fronts are compared and that they run at the same time. Never simulates: `engine/` does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::cost::Prices;
use super::engine::{self, Engine, Progress};
use super::outcome::{Front, Outcome};
use super::scenario::Scenario;
use super::summary::Summary;

/// What is compared.
#[derive(Clone, Debug)]
pub struct Request {
    /// The scenario.
    pub scenario: Scenario,
    /// Which fronts, in the order they are shown.
    pub fronts: Vec<Front>,
    /// How.
    pub engine: Engine,
    /// The same seed gives the same answer, bit for bit.
    pub seed: u64,
}

/// One front.
#[derive(Clone, Debug)]
pub struct Run {
    /// Which.
    pub front: Front,
    /// All that was counted.
    pub outcome: Outcome,
    /// And summed up.
    pub summary: Summary,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What was asked for.
    pub request: Request,
    /// In the order of [`Request::fronts`].
    pub runs: Vec<Run>,
}

impl Comparison {
    /// The run behind a front, if it was asked for.
    #[must_use]
    pub fn behind(&self, front: Front) -> Option<&Run> {
        self.runs.iter().find(|run| run.front == front)
    }

    /// The run with an edge that is shown when there is room for one: with a shield rather than without.
    #[must_use]
    pub fn with_edge(&self) -> Option<&Run> {
        self.behind(Front::EdgeAndShield)
            .or_else(|| self.behind(Front::Edge))
    }
}

/// Fronts at the same time: each is one thread, and a desk has two processors at least.
const THREADS: usize = 2;

/// Runs every front and tells `progress` how far all of them together are.
#[must_use]
pub fn compare(request: Request, prices: &Prices, progress: &dyn Progress) -> Comparison {
    let shares = request.fronts.iter().map(|_| AtomicU64::new(0));
    let together = Together {
        shares: shares.collect(),
        told: progress,
    };
    let waiting: Mutex<VecDeque<(usize, Front)>> =
        Mutex::new(request.fronts.iter().copied().enumerate().collect());
    let done: Mutex<Vec<(usize, Run)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(request.fronts.len()) {
            scope.spawn(|| {
                while let Some((at, front)) = lock(&waiting).pop_front() {
                    let part = Part { of: &together, at };
                    let run = run(&request, front, prices, &part);
                    lock(&done).push((at, run));
                }
            });
        }
    });
    let mut runs = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_by_key(|(at, _run)| *at);
    Comparison {
        runs: runs.into_iter().map(|(_at, run)| run).collect(),
        request,
    }
}

/// A thread that panics takes the whole comparison with it: the scope panics again when it ends.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(request: &Request, front: Front, prices: &Prices, progress: &dyn Progress) -> Run {
    let mut scenario = request.scenario.clone();
    if front != Front::EdgeAndShield {
        scenario.edge.topology.shield = None;
    }
    let outcome = engine::run(request.engine, &scenario, front, request.seed, progress);
    progress.at(1.0);
    Run {
        front,
        summary: Summary::of(&scenario, front, &outcome, prices),
        outcome,
    }
}

/// How far all fronts are: the mean of their shares, each kept as its bits.
struct Together<'a> {
    shares: Vec<AtomicU64>,
    told: &'a dyn Progress,
}

struct Part<'a> {
    of: &'a Together<'a>,
    at: usize,
}

impl Progress for Part<'_> {
    fn at(&self, share: f64) {
        self.of.shares[self.at].store(share.to_bits(), Ordering::Relaxed);
        let shares = self.of.shares.iter();
        let sum: f64 = shares
            .map(|share| f64::from_bits(share.load(Ordering::Relaxed)))
            .sum();
        let count = super::units::as_f64(self.of.shares.len() as u64);
        self.of.told.at(sum / count);
    }
}
