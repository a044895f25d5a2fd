//! The same scenario behind several fronts, side by side.
//!
//! Owns which fronts are compared and that they run at the same time. Never simulates: `engine/` does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::cost::Prices;
use super::engine::capacity::capacity_curve;
use super::engine::{self, Engine, Progress};
use super::outcome::{Front, Outcome};
use super::scenario::Scenario;
use super::summary::Summary;
use super::units::as_f64;

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

/// Runs at the same time: each is one thread, and a desk has two processors at least.
const THREADS: usize = 2;

/// Runs every front and tells `progress` how far all of them together are.
#[must_use]
pub fn compare(request: Request, prices: &Prices, progress: &dyn Progress) -> Comparison {
    let runs = side_by_side(&request.fronts, progress, |front, part| {
        run(&request, *front, prices, part)
    });
    Comparison { request, runs }
}

/// Replays a POP's requests against caches of several capacities, and keeps the hit ratios with the run behind the edge.
/// Nothing happens without one.
pub fn sweep(comparison: &mut Comparison) {
    let Some(front) = comparison.with_edge().map(|run| run.front) else {
        return;
    };
    let Request { scenario, seed, .. } = &comparison.request;
    let curve = capacity_curve(scenario, *seed);
    if let Some(run) = comparison.runs.iter_mut().find(|run| run.front == front) {
        run.outcome.edge.capacity_curve = curve;
    }
}

/// Does `each` of several things on [`THREADS`] threads; the answers are in the order of the things.
fn side_by_side<T: Sync, R: Send>(
    things: &[T],
    progress: &dyn Progress,
    each: impl Fn(&T, &dyn Progress) -> R + Sync,
) -> Vec<R> {
    let together = Together {
        shares: things.iter().map(|_| AtomicU64::new(0)).collect(),
        told: progress,
    };
    let waiting: Mutex<VecDeque<(usize, &T)>> = Mutex::new(things.iter().enumerate().collect());
    let done: Mutex<Vec<(usize, R)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(things.len()) {
            scope.spawn(|| {
                loop {
                    let Some((at, thing)) = lock(&waiting).pop_front() else {
                        return;
                    };
                    let part = Part { of: &together, at };
                    let answer = each(thing, &part);
                    part.at(1.0);
                    lock(&done).push((at, answer));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _answer)| *at);
    done.into_iter().map(|(_at, answer)| answer).collect()
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
    Run {
        front,
        summary: Summary::of(&request.scenario, front, &outcome, prices),
        outcome,
    }
}

/// How far all runs are: the mean of their shares, each kept as its bits.
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
        let count = as_f64(self.of.shares.len() as u64);
        self.of.told.at(sum / count);
    }
}
