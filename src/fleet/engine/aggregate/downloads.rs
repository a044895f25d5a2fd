//! Downloads as cohorts: so many devices on one line class that began together.
//!
//! Owns what runs, what pauses after a cut, and the bytes of both; exact in bytes, because a cohort carries the sum of
//! what its devices still need. Never decides who may begin: `direct.rs` does. A download of a class ends when the class's
//! virtual time reaches its mark, as in `sharing.rs`.

use std::collections::VecDeque;

use rand::Rng;

use super::super::chance::{self, Dice};
use super::super::sharing::water_level;
use super::pauses::Pauses;
use crate::fleet::scenario::{Line, Scenario};

/// Devices that stand alike.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cohort {
    /// How many.
    pub count: u64,
    /// Their line class.
    pub class: u16,
    /// What they fetch.
    pub artifact: u16,
    /// Bytes that they still need, all together.
    pub needed: u64,
    /// When they learnt of the release, in steps.
    pub learned: u32,
}

/// Attempts that end at about the same virtual time are one: to this share of the smallest artifact …
const MARKS_PER_ARTIFACT: f64 = 256.0;
/// … but the largest one has so many parts at most, because each has its place in memory: half a megabyte a class.
const PARTS_MAX: f64 = 20_000.0;

/// Attempts that run.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Running {
    /// The marks of all, added up: bytes stay exact.
    marks: f64,
    cohort: Cohort,
    /// Bytes that these attempts bring, all together.
    brings: u64,
    /// When one of them began, in steps.
    started: u32,
}

impl Running {
    fn mark(&self) -> f64 {
        self.marks / self.cohort.count as f64
    }

    /// Whether attempts that end at about the same time are one: those who fetch the same, are both cut or not, and began
    /// together where that matters.
    fn is_like(&self, other: &Self, has_ranges: bool) -> bool {
        self.cohort.artifact == other.cohort.artifact
            && (self.cohort.needed > 0) == (other.cohort.needed > 0)
            && (self.started == other.started || !has_ranges)
    }

    fn join(&mut self, other: &Self, dice: &mut Dice) {
        self.marks += other.marks;
        self.brings += other.brings;
        self.cohort.count += other.cohort.count;
        self.cohort.needed += other.cohort.needed;
        if chance::is_one_of(dice, other.cohort.count, self.cohort.count) {
            self.cohort.learned = other.cohort.learned;
            self.started = other.started;
        }
    }
}

/// What an attempt left behind when it ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Who, and what they still need: nothing when they are done.
    pub cohort: Cohort,
    /// Bytes that the attempt brought, all together.
    pub brought: u64,
    /// When it began, in steps.
    pub started: u32,
}

#[derive(Debug)]
struct Class {
    line: f64,
    virtual_bytes: f64,
    /// The virtual time in the middle of the step that runs: when those who begin in it begin, on average.
    middle: f64,
    /// By the part of the virtual time that their mark is in, from the first one that is not over.
    running: VecDeque<Vec<Running>>,
    first: u64,
    open: u64,
}

impl Class {
    /// Takes whoever has all bytes by the virtual time `to`.
    fn take_done(&mut self, to: f64, quantum: f64, mut each: impl FnMut(Running)) {
        let last = (to / quantum) as u64;
        while let Some(part) = self.running.front_mut() {
            let mut at = 0;
            while at < part.len() {
                if part[at].mark() <= to {
                    each(part.remove(at));
                } else {
                    at += 1;
                }
            }
            if !part.is_empty() || self.first >= last {
                return;
            }
            self.running.pop_front();
            self.first += 1;
        }
        self.first = last;
    }
}

/// All downloads.
#[derive(Debug)]
pub struct Downloads {
    classes: Vec<Class>,
    step: u64,
    /// Bytes of virtual time in which attempts are one.
    quantum: f64,
    /// Requests follow along an attempt, so that its beginning matters.
    has_ranges: bool,
    cut_probability: f64,
    sizes: Vec<u64>,
    pauses: Pauses,
    /// By how much the capacity is told larger, because of those who ended within the last step and left room.
    slack: f64,
    is_saturated: bool,
}

impl Downloads {
    /// None yet.
    #[must_use]
    pub fn new(scenario: &Scenario, rates_bps: &[f64], step: u64) -> Self {
        let classes = rates_bps
            .iter()
            .map(|bps| Class {
                line: bps / 8e6,
                virtual_bytes: 0.0,
                middle: 0.0,
                running: VecDeque::new(),
                first: 0,
                open: 0,
            })
            .collect();
        let sizes: Vec<u64> = scenario.release.artifacts.iter().map(|a| a.bytes).collect();
        let smallest = sizes.iter().copied().min().unwrap_or(1).max(1);
        let largest = sizes.iter().copied().max().unwrap_or(1).max(1);
        Self {
            classes,
            step,
            quantum: (smallest as f64 / MARKS_PER_ARTIFACT).max(largest as f64 / PARTS_MAX),
            has_ranges: scenario.transfer.range_bytes.is_some(),
            cut_probability: scenario.transfer.abort_probability,
            pauses: Pauses::new(scenario, step),
            sizes,
            slack: 1.0,
            is_saturated: false,
        }
    }

    /// How many run.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.classes.iter().map(|class| class.open).sum()
    }

    /// Lets one step pass with so many bytes to share out, in which about so many will begin; says how many bytes were
    /// sent. Who ended is told one by one.
    pub fn pass(&mut self, capacity: f64, begin: u64, mut ended: impl FnMut(Ended)) -> f64 {
        // Those who begin in a step are there for half of it.
        let of_class = begin / Line::CLASSES as u64;
        let lines = self
            .classes
            .iter()
            .map(|class| (class.line, 2 * class.open + of_class));
        let per_micro = capacity / self.step as f64;
        let level = water_level(2.0 * per_micro * self.slack, lines);
        let mut sent = 0.0;
        for class in &mut self.classes {
            let rate = class.line.min(level);
            let from = class.virtual_bytes;
            let to = from + rate * self.step as f64;
            class.middle = 0.5 * (from + to);
            class.virtual_bytes = to;
            sent += class.open as f64 * (to - from);
            let mut done = 0;
            class.take_done(to, self.quantum, |run| {
                done += run.cohort.count;
                sent -= run.cohort.count as f64 * (to - run.mark());
                ended(Ended {
                    cohort: run.cohort,
                    brought: run.brings,
                    started: run.started,
                });
            });
            class.open -= done;
        }
        self.is_saturated = level.is_finite();
        sent
    }

    /// The step is over in which `sent` bytes were sent of a capacity: a saturated one is neither left unused nor passed
    /// by for long.
    pub fn settle(&mut self, capacity: f64, sent: f64) {
        self.slack = if self.is_saturated && sent > 0.0 {
            (self.slack * capacity / sent).clamp(0.5, 2.0)
        } else {
            1.0
        };
    }

    /// Devices without a byte yet begin in the middle of the step that passed, so many by artifact and class; says the
    /// bytes that they got in its second half.
    pub fn begin_fresh(
        &mut self,
        kinds: &[u64],
        (learned, now): (u32, u32),
        dice: &mut Dice,
    ) -> f64 {
        let mut sent = 0.0;
        for (kind, &count) in kinds.iter().enumerate().filter(|kind| *kind.1 > 0) {
            let artifact = kind / Line::CLASSES;
            let cohort = Cohort {
                count,
                class: (kind % Line::CLASSES) as u16,
                artifact: artifact as u16,
                needed: count * self.sizes[artifact],
                learned,
            };
            sent += self.begin(cohort, now, dice);
        }
        sent
    }

    /// One cohort begins an attempt; some of it will be cut, at uniform points.
    pub fn begin(&mut self, cohort: Cohort, now: u32, dice: &mut Dice) -> f64 {
        let cut = chance::binomial(dice, cohort.count, self.cut_probability);
        let needed_of = |count: u64| {
            (u128::from(cohort.needed) * u128::from(count) / u128::from(cohort.count)) as u64
        };
        let mut left = cohort.needed;
        let mut sent = 0.0;
        if cut > 0 {
            // All of them at one uniform point: there are thousands of cohorts, each with a point of its own.
            let needed = needed_of(cut);
            left -= needed;
            let brings = (needed as f64 * dice.random::<f64>()) as u64;
            let some = Cohort {
                count: cut,
                needed: needed - brings,
                ..cohort
            };
            sent += self.run(some, brings, now, dice);
        }
        if cut < cohort.count {
            let some = Cohort {
                count: cohort.count - cut,
                needed: 0,
                ..cohort
            };
            sent += self.run(some, left, now, dice);
        }
        sent
    }

    fn run(&mut self, cohort: Cohort, brings: u64, started: u32, dice: &mut Dice) -> f64 {
        let class = &mut self.classes[usize::from(cohort.class)];
        let mark = class.middle + brings as f64 / cohort.count as f64;
        class.open += cohort.count;
        let run = Running {
            marks: mark * cohort.count as f64,
            cohort,
            brings,
            started,
        };
        let part = ((mark / self.quantum) as u64).saturating_sub(class.first) as usize;
        if part >= class.running.len() {
            class.running.resize_with(part + 1, Vec::new);
        }
        let there = &mut class.running[part];
        // Those who began together were added last.
        let mut alike = there.iter_mut().rev();
        match alike.find(|other| other.is_like(&run, self.has_ranges)) {
            Some(other) => other.join(&run, dice),
            None => there.push(run),
        }
        // More than it needs, when it ends within the step: the next step takes the rest back.
        cohort.count as f64 * (class.virtual_bytes - class.middle)
    }

    /// Cut devices pause.
    pub fn pause(&mut self, cohort: Cohort, dice: &mut Dice) {
        self.pauses.add(cohort, dice);
    }

    /// Who comes back in a step.
    pub fn take_resumed(&mut self, now: usize, dice: &mut Dice) -> Vec<Cohort> {
        self.pauses.take(now, dice)
    }
}
