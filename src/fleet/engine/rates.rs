//! When a fleet asks, as shares per step: the aggregated engine's form of `arrivals.rs`.
//!
//! Owns the chance that a device learns of the release in a step, and how often it asks in it. Both are computed and
//! never drawn: devices are exchangeable, so a count is drawn from them where it is needed.

use std::time::Duration;

use super::arrivals::{Arrivals, NEVER, PUSH_MICROS};
use crate::fleet::scenario::Curve;

/// Per step, for one device of a region.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// The chance that it learns of the release in this step, and not before.
    pub learn: Vec<f64>,
    /// How many times it asks for the channel document.
    pub asks: Vec<f64>,
}

/// Jitter is spread over at most so many points.
const JITTER_POINTS: u64 = 16;

struct Grid {
    step: u64,
    steps: usize,
    /// The first step in which only those ask who wait for the release.
    window: usize,
}

impl Grid {
    /// Adds `mass` to the steps that `from..from + width` lies in.
    fn add(&self, series: &mut [f64], from: u64, width: u64, mass: f64) {
        self.pieces(from, width, |index, share| series[index] += mass * share);
    }

    fn pieces(&self, from: u64, width: u64, mut each: impl FnMut(usize, f64)) {
        let last = from + width.max(1);
        let mut at = from;
        while at < last {
            let index = (at / self.step) as usize;
            let next = ((at / self.step + 1) * self.step).min(last);
            if index < self.steps {
                each(index, (next - at) as f64 / width.max(1) as f64);
            }
            at = next;
        }
    }
}

/// The rates of one region, over so many steps of so many µs; from the end of the window on, only asks of those who wait
/// are counted.
#[must_use]
pub fn rates(
    arrivals: &Arrivals,
    region: usize,
    (step, steps): (u64, usize),
    window: Duration,
) -> Rates {
    let grid = Grid {
        step,
        steps,
        window: (micros(window) / step) as usize,
    };
    let online: Vec<f64> = (0..steps as u64)
        .map(|index| arrivals.online(region, index * step + step / 2))
        .collect();
    let mut rates = Rates {
        learn: vec![0.0; steps],
        asks: vec![0.0; steps],
    };
    // Who may have it from when on: a stage's devices learn at their first poll after it opens.
    for (opens, share) in &arrivals.stages {
        let of_stage = match &arrivals.curve {
            Curve::PhaseRandom { period, jitter } => {
                let poll = Poll {
                    first: 0,
                    spread: micros(*period),
                    period: micros(*period),
                    jitter: micros(*jitter),
                };
                poll.rates(&grid, *opens, &online)
            }
            Curve::Cron { at, spread, period } => {
                let poll = Poll {
                    first: micros(*at),
                    spread: micros(*spread),
                    period: micros(*period),
                    jitter: 0,
                };
                poll.rates(&grid, *opens, &online)
            }
            Curve::Ramp {
                ramp,
                sustained,
                decay,
            } => ramp_rates(&grid, *opens, [*ramp, *sustained, *decay]),
        };
        let of_stage = pushed(&grid, of_stage, *opens, arrivals.push_share);
        for index in 0..steps {
            rates.learn[index] += share * of_stage.learn[index];
            rates.asks[index] += share * of_stage.asks[index];
        }
    }
    rates
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

/// Polls at `first + uniform(0..spread) + k · period ± jitter`.
struct Poll {
    first: u64,
    spread: u64,
    period: u64,
    jitter: u64,
}

impl Poll {
    fn rates(&self, grid: &Grid, opens: u64, online: &[f64]) -> Rates {
        let mut learn = vec![0.0; grid.steps];
        let mut asks = vec![0.0; grid.steps];
        let horizon = grid.step * grid.steps as u64;
        let bins = self.spread.div_ceil(grid.step).max(1);
        let points = (2 * self.jitter)
            .div_ceil(grid.step)
            .clamp(1, JITTER_POINTS);
        let width = self.spread / bins;
        let jitter = self.jitter.cast_signed();
        for bin in 0..bins {
            let base = self.first + bin * self.spread / bins;
            let mass = 1.0 / bins as f64;
            let mut waiting = 1.0;
            // A poll that was due before the release may come after it by its jitter.
            for poll in -1_i64..=((horizon / self.period.max(1)).cast_signed() + 1) {
                let nominal = base.cast_signed() + poll * self.period.cast_signed();
                if nominal - jitter > horizon.cast_signed() {
                    break;
                }
                if poll < 0 && self.jitter == 0 {
                    continue;
                }
                let mut learnt = 0.0;
                for point in 0..points {
                    let fuzz = (2 * point + 1) * self.jitter / points;
                    let at = nominal + fuzz.cast_signed() - jitter;
                    // What of it is before the release is not there.
                    let before = u64::try_from(-at).unwrap_or(0);
                    if before > 0 && before >= width {
                        continue;
                    }
                    let after = (width - before).max(1) as f64 / width.max(1) as f64;
                    let from = u64::try_from(at).unwrap_or(0);
                    grid.pieces(from, width - before, |index, share| {
                        let asking = online[index] * share * after / points as f64;
                        let who = if index < grid.window { 1.0 } else { waiting };
                        asks[index] += mass * asking * who;
                        let is_open = opens <= index as u64 * grid.step + grid.step / 2;
                        if is_open {
                            learn[index] += mass * waiting * asking;
                            learnt += asking;
                        }
                    });
                }
                waiting *= 1.0 - learnt.min(1.0);
            }
        }
        Rates { learn, asks }
    }
}

/// One ask per device along the ramp; a device that comes before its stage comes again, as late after that opens.
fn ramp_rates(grid: &Grid, opens: u64, shape: [Duration; 3]) -> Rates {
    let below = |at: u64| ramp_below(at as f64, shape.map(|part| micros(part) as f64));
    let mass = |from: u64, to: u64| below(to) - below(from);
    let too_early = if opens == NEVER { 1.0 } else { below(opens) };
    let mut rates = Rates {
        learn: vec![0.0; grid.steps],
        asks: vec![0.0; grid.steps],
    };
    for index in 0..grid.steps {
        let (from, to) = (index as u64 * grid.step, (index as u64 + 1) * grid.step);
        let first = mass(from, to);
        let in_time = mass(from.max(opens), to.max(opens));
        let again = too_early * mass(from.saturating_sub(opens), to.saturating_sub(opens));
        rates.asks[index] = first + again;
        rates.learn[index] = in_time + again;
    }
    rates
}

/// The share of a ramp's devices that ask before `at`.
fn ramp_below(at: f64, [ramp, sustained, decay]: [f64; 3]) -> f64 {
    let all = 0.5 * ramp + sustained + decay;
    if all <= 0.0 {
        return if at > 0.0 { 1.0 } else { 0.0 };
    }
    let area = if at < ramp {
        0.5 * at * at / ramp
    } else if at < ramp + sustained {
        at - 0.5 * ramp
    } else if decay > 0.0 {
        let later = at - ramp - sustained;
        0.5 * ramp + sustained + decay * (1.0 - (-later / decay).exp())
    } else {
        all
    };
    area / all
}

/// Adds pushes: a pushed device asks once more, at a time of its own, whether it is online or not.
fn pushed(grid: &Grid, polled: Rates, opens: u64, share: f64) -> Rates {
    if share <= 0.0 {
        return polled;
    }
    let mut pushes = vec![0.0; grid.steps];
    grid.add(&mut pushes, 0, PUSH_MICROS, 1.0);
    let mut rates = polled;
    let (mut by_poll, mut by_push) = (0.0, 0.0);
    for (index, &pushed) in pushes.iter().enumerate() {
        let poll = rates.learn[index];
        let is_open = opens <= index as u64 * grid.step + grid.step / 2;
        let push = if is_open { pushed } else { 0.0 };
        // The first of two independent times; within a step they come in either order.
        let first = poll * (1.0 - by_push - 0.5 * push) + push * (1.0 - by_poll - 0.5 * poll);
        by_poll += poll;
        by_push += push;
        rates.learn[index] = (1.0 - share) * poll + share * first;
        if index >= grid.window {
            // Those who have it from their push wait no more.
            rates.asks[index] *= 1.0 - share * by_push;
        }
        rates.asks[index] += share * pushed;
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::engine::chance::{Purpose, stream};
    use crate::fleet::scenario::Discovery;

    const MINUTE: u64 = 60_000_000;

    /// When each of many devices learns, by the rules of the exact engine.
    fn simulated(discovery: &Discovery, devices: u32, minutes: usize) -> (Vec<f64>, Vec<f64>) {
        let arrivals = Arrivals::new(discovery, &[], 5);
        let mut dice = stream(5, Purpose::Arrivals);
        let bases = arrivals.bases(devices as usize, &mut dice);
        let mut learn = vec![0.0; minutes];
        let mut asks = vec![0.0; minutes];
        for (who, base) in bases.iter().enumerate() {
            let stage = arrivals.stage(&mut dice);
            let mut times: Vec<u64> = (arrivals.first_poll()..20)
                .filter_map(|poll| arrivals.poll_at(who as u32, *base, poll))
                .filter(|&at| arrivals.is_online(0, at, &mut dice))
                .collect();
            times.extend(arrivals.push(&mut dice));
            if !arrivals.polls_go_on() && times[0] < arrivals.stage_opens(stage) {
                times.push(arrivals.second_ask(stage, &mut dice));
            }
            times.sort_unstable();
            let count = |series: &mut Vec<f64>, at: u64| {
                if let Some(minute) = series.get_mut((at / MINUTE) as usize) {
                    *minute += 1.0 / f64::from(devices);
                }
            };
            for at in &times {
                count(&mut asks, *at);
            }
            if let Some(at) = times.iter().find(|&&at| at >= arrivals.stage_opens(stage)) {
                count(&mut learn, *at);
            }
        }
        (learn, asks)
    }

    fn is_close(computed: &[f64], counted: &[f64], what: &str) {
        let (mut a, mut b) = (0.0, 0.0);
        for (minute, (x, y)) in computed.iter().zip(counted).enumerate() {
            a += x;
            b += y;
            // Running sums: three standard deviations of 100,000 draws, and a sharp edge within a minute.
            assert!(
                (a - b).abs() < 0.006 + 0.003 * b,
                "{what}, minute {minute}: {a} {b}"
            );
        }
    }

    #[test]
    fn the_computed_rates_are_those_of_single_devices() {
        let hour = Duration::from_secs(3_600);
        let curves = [
            Curve::PhaseRandom {
                period: Duration::from_secs(2_700),
                jitter: Duration::from_secs(300),
            },
            Curve::PhaseRandom {
                period: 6 * hour,
                jitter: Duration::ZERO,
            },
            Curve::Cron {
                at: Duration::from_secs(630),
                spread: Duration::from_secs(60),
                period: 2 * hour,
            },
            Curve::Ramp {
                ramp: Duration::from_secs(600),
                sustained: hour,
                decay: hour,
            },
        ];
        for curve in curves {
            for (push_share, amplitude, stages) in [
                (0.0, 0.0, vec![]),
                (
                    0.1,
                    0.0,
                    vec![(Duration::ZERO, 0.1), (2 * hour, 0.5), (5 * hour, 0.9)],
                ),
                (0.05, 0.8, vec![]),
            ] {
                if amplitude > 0.0 && matches!(curve, Curve::Ramp { .. }) {
                    continue; // A ramp is what is seen, day and night included.
                }
                let discovery = Discovery {
                    curve: curve.clone(),
                    push_share,
                    diurnal_amplitude: amplitude,
                    stages,
                };
                let arrivals = Arrivals::new(&discovery, &[], 5);
                let computed = rates(&arrivals, 0, (MINUTE, 400), Duration::MAX);
                let (learn, asks) = simulated(&discovery, 100_000, 400);
                is_close(&computed.learn, &learn, &format!("learn {discovery:?}"));
                is_close(&computed.asks, &asks, &format!("asks {discovery:?}"));
            }
        }
    }
}
