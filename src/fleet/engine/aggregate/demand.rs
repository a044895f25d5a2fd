//! What an origin without limits would have to send.
//!
//! Owns the demand of the aggregated run. On such an origin every download runs at the rate of its line, so its bytes are
//! a rate that is added when it begins and taken back when it ends; never a queue.

use rand::Rng;

use super::super::chance::{self, Dice};
use super::super::series::Flow;
use super::downloads::Cohort;
use super::pauses::Pauses;
use crate::fleet::scenario::{Line, Scenario};

/// The demand of a whole run.
#[derive(Debug)]
pub struct Demand {
    step: u64,
    /// Bytes per µs of each class.
    lines: Vec<f64>,
    sizes: Vec<u64>,
    cut_probability: f64,
    /// Change of the rate (bytes per µs) at the beginning of each step, and bytes beside it.
    change: Vec<f64>,
    beside: Vec<f64>,
    rate: f64,
    pauses: Pauses,
    /// Attempts that will be cut, by the step of the cut.
    cuts: Vec<Vec<Cohort>>,
    dice: Dice,
    flow: Flow,
}

impl Demand {
    /// Nothing yet.
    #[must_use]
    pub fn new(
        scenario: &Scenario,
        rates_bps: &[f64],
        (step, steps): (u64, usize),
        dice: Dice,
    ) -> Self {
        Self {
            step,
            lines: rates_bps.iter().map(|bps| bps / 8e6).collect(),
            sizes: scenario.release.artifacts.iter().map(|a| a.bytes).collect(),
            cut_probability: scenario.transfer.abort_probability,
            change: vec![0.0; steps + 2],
            beside: vec![0.0; steps + 2],
            rate: 0.0,
            pauses: Pauses::new(scenario, step),
            cuts: vec![Vec::new(); steps],
            dice,
            flow: Flow::default(),
        }
    }

    /// One step: so many learn, by artifact and class, and so many bytes are asked for beside.
    pub fn pass(&mut self, now: usize, learners: &[u64], bytes: f64) {
        for (kind, &count) in learners.iter().enumerate().filter(|kind| *kind.1 > 0) {
            let artifact = kind / Line::CLASSES;
            self.begin(
                Cohort {
                    count,
                    class: (kind % Line::CLASSES) as u16,
                    artifact: artifact as u16,
                    needed: count * self.sizes[artifact],
                    learned: 0,
                },
                now,
            );
        }
        for cohort in std::mem::take(&mut self.cuts[now]) {
            self.pauses.add(cohort, &mut self.dice);
        }
        for cohort in self.pauses.take(now, &mut self.dice) {
            self.begin(cohort, now);
        }
        self.rate += self.change[now];
        let sent = self.rate * self.step as f64 + self.beside[now] + bytes;
        let at = now as u64 * self.step;
        self.flow.spread(at, at + self.step, sent.max(0.0));
    }

    fn begin(&mut self, cohort: Cohort, now: usize) {
        let cut = chance::binomial(&mut self.dice, cohort.count, self.cut_probability);
        let whole = cohort.count - cut;
        let each = cohort.needed as f64 / cohort.count as f64;
        self.run(cohort.class, whole, each, now);
        if cut == 0 {
            return;
        }
        let brings = each * self.dice.random::<f64>();
        let over = self.run(cohort.class, cut, brings, now);
        if let Some(cuts) = self.cuts.get_mut(over.max(now + 1)) {
            cuts.push(Cohort {
                count: cut,
                needed: ((each - brings) * cut as f64) as u64,
                ..cohort
            });
        }
    }

    /// Attempts that begin in the middle of a step; the step of their end.
    fn run(&mut self, class: u16, count: u64, bytes: f64, now: usize) -> usize {
        let line = self.lines[usize::from(class)];
        let rate = line * count as f64;
        let steps = bytes / line / self.step as f64 + 0.5;
        let last = self.change.len() - 1;
        let end = (now as f64 + steps).min(last as f64);
        let over = end as usize;
        let step = self.step as f64;
        // From the middle of this step …
        self.change[now] += rate;
        self.beside[now] -= 0.5 * rate * step;
        // … into that one.
        self.change[over] -= rate;
        self.beside[over] += (end - over as f64) * rate * step;
        over
    }

    /// The series of a run that ended at `end`.
    #[must_use]
    pub fn finish(self, end: u64) -> Vec<u64> {
        self.flow.finish(end, None)
    }
}
