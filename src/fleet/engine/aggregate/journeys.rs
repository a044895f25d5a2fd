//! Downloads behind an edge, where nothing but the device's own line and luck decides.
//!
//! Owns when they are done. A device needs the time of its bytes on its line and, with chance `p` after each cut, another
//! exponential pause; where the cuts lie does not matter to its end. A geometric sum of exponentials is exponential, so
//! all pauses of a device are one: none with chance `1 - p`, else with mean `m / (1 - p)`. Never follows a single attempt.

use super::super::chance::{self, Dice};
use crate::fleet::scenario::{Line, Scenario};

/// A smaller chance is none: no fleet is so large.
const NEVER: f64 = 1e-15;

/// All downloads.
#[derive(Debug)]
pub struct Journeys {
    step: u64,
    steps: usize,
    /// By artifact and class: µs on the line.
    takes: Vec<f64>,
    sizes: Vec<u64>,
    range: Option<u64>,
    /// By artifact and class: whether a device without a pause is late, and the chance of one with.
    late: Vec<(bool, f64)>,
    cut_probability: f64,
    pause_mean: f64,
    /// By step: devices that have all their bytes then, without a pause and but for their pauses.
    done: Vec<u64>,
    owing: Vec<u64>,
    pausing: u64,
    /// What was counted.
    pub counts: Counts,
}

/// What was counted.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Requests for artifacts.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Attempts that were cut.
    pub broken: u64,
    /// Devices that were late.
    pub late: u64,
}

impl Journeys {
    /// None yet.
    #[must_use]
    pub fn new(scenario: &Scenario, rates_bps: &[f64], step: u64, steps: usize) -> Self {
        let transfer = &scenario.transfer;
        let sizes: Vec<u64> = scenario.release.artifacts.iter().map(|a| a.bytes).collect();
        let p = transfer.abort_probability;
        let pause_mean = transfer.resume_after.as_micros() as f64 / (1.0 - p).max(1e-9);
        let late_after = transfer.late_after.as_micros() as f64;
        let takes: Vec<f64> = sizes
            .iter()
            .flat_map(|&size| rates_bps.iter().map(move |bps| size as f64 * 8e6 / bps))
            .collect();
        let late = takes.iter().map(|takes| {
            let to_spare = late_after - takes;
            let chance = (-to_spare.max(0.0) / pause_mean).exp();
            (to_spare < 0.0, if chance < NEVER { 0.0 } else { chance })
        });
        Self {
            step,
            steps,
            late: late.collect(),
            takes,
            sizes,
            range: transfer.range_bytes.map(|range| range.max(1)),
            cut_probability: p,
            pause_mean,
            done: vec![0; steps + 1],
            owing: vec![0; steps + 1],
            pausing: 0,
            counts: Counts::default(),
        }
    }

    /// Devices begin: by artifact and class, in the middle of a step.
    pub fn begin(&mut self, now: usize, kinds: &[u64], dice: &mut Dice) {
        for (artifact, classes) in kinds.chunks(Line::CLASSES).enumerate() {
            let mut all = (0, 0);
            for (class, &count) in classes.iter().enumerate().filter(|class| *class.1 > 0) {
                let kind = artifact * Line::CLASSES + class;
                let cut = chance::binomial(dice, count, self.cut_probability);
                all = (all.0 + count, all.1 + cut);
                let ends = now as f64 + 0.5 + self.takes[kind] / self.step as f64;
                let at = (ends as usize).min(self.steps);
                self.done[at] += count - cut;
                self.owing[at] += cut;
                if at < self.steps {
                    let (is_late, chance) = self.late[kind];
                    self.counts.late += if is_late { count - cut } else { 0 };
                    self.counts.late += chance::binomial(dice, cut, chance);
                }
            }
            self.count(self.sizes[artifact], all.0, all.1, dice);
        }
    }

    /// Requests, bytes and cuts of devices, of which so many are cut at least once.
    fn count(&mut self, size: u64, count: u64, cut: u64, dice: &mut Dice) {
        self.counts.bytes += count * size;
        let mut again = cut;
        let mut cuts = 0;
        while again > 0 {
            cuts += again;
            again = chance::binomial(dice, again, self.cut_probability);
        }
        self.counts.broken += cuts;
        let Some(range) = self.range else {
            self.counts.requests += count + cuts;
            return;
        };
        // A cut leaves a range in two pieces, and begins the ranges anew from where it was: on average one more request,
        // less what the last, shorter range was short of.
        let whole = size.div_ceil(range).max(1);
        let short = (whole * range - size) as f64 / range as f64;
        self.counts.requests += count * whole + chance::binomial(dice, cuts, 1.0 - short);
    }

    /// How many are done in a step.
    pub fn pass(&mut self, now: usize, dice: &mut Dice) -> u64 {
        let back = 1.0 - (-(self.step as f64) / self.pause_mean).exp();
        let after_pauses = chance::binomial(dice, self.pausing, back);
        self.pausing = self.pausing - after_pauses + self.owing[now];
        self.done[now] + after_pauses
    }
}
