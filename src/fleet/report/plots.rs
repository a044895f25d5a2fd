//! Which plots the report has, and what each shows of a comparison.
//!
//! Owns the choice of axes, and how a series of minutes becomes the points that a screen can show. Never draws:
//! `report/plot.rs` and `report/bars.rs` do.

use std::time::Duration;

use super::bars::Bars;
use super::plot::{Axis, Curve, Joined, Plot, Scale, Stroke, Ticks};
use crate::fleet::comparison::{Comparison, Run};
use crate::fleet::outcome::{Front, STEP_SECONDS};
use crate::fleet::rows::front_name;
use crate::fleet::units::{
    as_f64, print_count, print_duration, print_number, print_rate, print_size, round,
};

/// More points than this no screen shows.
const POINTS_MAX: usize = 400;
/// Of the largest value; what is smaller is on the floor of a logarithmic axis.
const DECADES_MAX: f64 = 1e9;

/// The colour class of a front.
fn colour(front: Front) -> usize {
    match front {
        Front::None => 0,
        Front::Edge => 1,
        Front::EdgeAndShield => 2,
    }
}

fn stroke(front: Front) -> Stroke {
    match front {
        Front::None | Front::EdgeAndShield => Stroke::Solid,
        Front::Edge => Stroke::Dashed,
    }
}

/// Bits per second that the origin sends, on a logarithmic axis.
#[must_use]
pub fn origin_rate(comparison: &Comparison) -> Plot {
    let end = end(comparison);
    let mut curves = Vec::new();
    for run in &comparison.runs {
        let origin = &run.outcome.origin;
        if run.front == Front::None {
            let mut demand = curve(run, &origin.demand_series, end, bits_per_second);
            demand.name = format!("demanded {}", front_name(run.front));
            demand.stroke = Stroke::Dotted;
            curves.push(demand);
        }
        curves.push(curve(run, &origin.bytes_series, end, bits_per_second));
    }
    Plot {
        title: "What the origin sends".to_owned(),
        description: peaks(comparison, |run| {
            print_rate(run.summary.origin.peak_gbps * 1e9)
        }),
        x: time_axis(end),
        y: log_axis("bits per second, logarithmic", &curves, print_rate),
        curves,
    }
}

/// Requests per second at the origin, on a logarithmic axis.
#[must_use]
pub fn origin_requests(comparison: &Comparison) -> Plot {
    let end = end(comparison);
    let per_second = |requests: u64| as_f64(requests) / as_f64(STEP_SECONDS);
    let runs = comparison.runs.iter();
    let curves: Vec<Curve> = runs
        .map(|run| curve(run, &run.outcome.origin.requests_series, end, per_second))
        .collect();
    Plot {
        title: "Requests at the origin".to_owned(),
        description: peaks(comparison, |run| {
            format!("{}/s", print_number(run.summary.origin.peak_requests_per_s))
        }),
        x: time_axis(end),
        y: log_axis("requests per second, logarithmic", &curves, print_number),
        curves,
    }
}

/// Instances that the group had and would have needed.
#[must_use]
pub fn instances(comparison: &Comparison) -> Plot {
    let end = end(comparison);
    let mut curves = Vec::new();
    for run in &comparison.runs {
        let origin = &run.outcome.origin;
        if run.front == Front::None {
            let settings = &comparison.request.scenario.origin;
            let usable =
                settings.target_utilisation * settings.baseline_bps.min(settings.gateway_bps);
            let mut needed = curve(run, &origin.demand_series, end, |bytes| {
                (bits_per_second(bytes) / usable).ceil()
            });
            needed.name = format!("needed {}", front_name(run.front));
            needed.stroke = Stroke::Dotted;
            curves.push(needed);
        }
        let mut had = curve(run, &origin.instances_series, end, as_f64);
        had.name = format!("had {}", front_name(run.front));
        curves.push(had);
    }
    let most = highest(&curves);
    Plot {
        title: "Instances of the Auto Scaling group".to_owned(),
        description: comparison
            .runs
            .iter()
            .map(|run| {
                let origin = &run.summary.origin;
                format!(
                    "{}: {} needed at the peak, {} had at most.",
                    front_name(run.front),
                    print_count(origin.instances_needed),
                    print_count(origin.instances_peak),
                )
            })
            .collect::<Vec<_>>()
            .join(" "),
        x: time_axis(end),
        y: Axis {
            ticks: Ticks::Whole,
            ..linear_axis("instances", most * 1.05, print_number)
        },
        curves,
    }
}

/// The share of the fleet that has the update.
#[must_use]
pub fn completion(comparison: &Comparison) -> Plot {
    let end = end(comparison);
    let devices = as_f64(comparison.request.scenario.devices);
    let runs = comparison.runs.iter();
    let curves = runs.map(|run| {
        let series = &run.outcome.fleet.completions_series;
        let sums = series.iter().scan(0, |sum: &mut u64, done| {
            *sum += done;
            Some(*sum)
        });
        let sums: Vec<u64> = sums.collect();
        let mut curve = curve(run, &sums, end, |done| as_f64(done) / devices * 100.0);
        curve.joined = Joined::Straight;
        // The sum stands at the end of its step.
        for (x, _share) in &mut curve.points {
            *x += as_f64(STEP_SECONDS);
        }
        curve.points.insert(0, (0.0, 0.0));
        curve
    });
    Plot {
        title: "Devices that have the update".to_owned(),
        description: comparison
            .runs
            .iter()
            .map(|run| {
                let time = run.summary.fleet.t90_s;
                let time = time.map_or("never".to_owned(), |seconds| {
                    format!(
                        "after {}",
                        print_duration(Duration::from_secs(round(seconds)))
                    )
                });
                format!("Nine of ten {}: {time}.", front_name(run.front))
            })
            .collect::<Vec<_>>()
            .join(" "),
        x: time_axis(end),
        y: linear_axis("% of the fleet", 100.0, print_number),
        curves: curves.collect(),
    }
}

/// Hit ratios against the capacity of the busiest POP's cache; none when nothing was replayed.
#[must_use]
pub fn hit_ratio(comparison: &Comparison) -> Option<Plot> {
    let run = comparison.with_edge()?;
    let sweep = &run.outcome.edge.capacity_curve;
    let ((least, ..), (most, ..)) = (sweep.first()?, sweep.last()?);
    let curve = |name: &str, colour, stroke, of: fn(&(u64, f64, f64)) -> f64| Curve {
        name: name.to_owned(),
        colour,
        stroke,
        joined: Joined::Straight,
        points: sweep
            .iter()
            .map(|point| (as_f64(point.0), of(point) * 100.0))
            .collect(),
    };
    Some(Plot {
        title: "Hit ratio against cache size".to_owned(),
        description: format!(
            "With {}, {:.2} % of the bytes that the busiest POP serves are hits; with {}, {:.2} %.",
            print_size(*least),
            sweep.first().map_or(0.0, |point| point.2 * 100.0),
            print_size(*most),
            sweep.last().map_or(0.0, |point| point.2 * 100.0),
        ),
        x: Axis {
            label: "capacity of the POP's cache, logarithmic".to_owned(),
            scale: Scale::Log,
            min: as_f64(*least).max(1.0),
            max: as_f64(*most).max(1.0),
            ticks: Ticks::Decades,
            print: |bytes| print_size(round(bytes)),
        },
        y: linear_axis("% hits", 100.0, print_number),
        curves: vec![
            curve("requests", 1, Stroke::Dashed, |point| point.1),
            curve("bytes", 2, Stroke::Solid, |point| point.2),
        ],
    })
}

/// The bill.
#[must_use]
pub fn costs(comparison: &Comparison) -> Bars {
    let rows = comparison
        .runs
        .first()
        .map(|run| run.summary.cost_usd.rows());
    let components = rows
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(at, (name, _usd))| {
            let of = |run: &Run| run.summary.cost_usd.rows()[at].1;
            (name.to_owned(), comparison.runs.iter().map(of).collect())
        });
    let fronts = comparison.runs.iter();
    let described = fronts.clone().map(|run| {
        let total = super::print_usd(run.summary.cost_usd.total);
        format!("{total} {}", front_name(run.front))
    });
    Bars {
        title: "What it costs, in US dollars at list price".to_owned(),
        description: format!("In all {}.", described.collect::<Vec<_>>().join(", ")),
        fronts: fronts
            .map(|run| (front_name(run.front).to_owned(), colour(run.front)))
            .collect(),
        components: components.collect(),
    }
}

fn bits_per_second(bytes: u64) -> f64 {
    as_f64(bytes) * 8.0 / as_f64(STEP_SECONDS)
}

fn peaks(comparison: &Comparison, peak: impl Fn(&Run) -> String) -> String {
    let each = comparison.runs.iter();
    let each: Vec<String> = each
        .map(|run| format!("{} {}", peak(run), front_name(run.front)))
        .collect();
    format!("At the peak {}.", each.join(", "))
}

/// Where the time axis ends, in steps: when 995 of 1,000 devices that ever got the update had it, behind every front,
/// and at least the window. The last ones may take a hundred times as long.
fn end(comparison: &Comparison) -> usize {
    let last = comparison.runs.iter().map(|run| {
        let fleet = &run.outcome.fleet;
        let enough = fleet.updated - fleet.updated / 200;
        let mut sum = 0;
        let reached = fleet.completions_series.iter().position(|done| {
            sum += done;
            sum >= enough
        });
        reached.unwrap_or_default()
    });
    let window = comparison.request.scenario.window.as_secs() / STEP_SECONDS;
    let window = usize::try_from(window).unwrap_or(usize::MAX);
    let last = last.max().unwrap_or_default();
    last.saturating_add(last / 20).max(window).max(2)
}

/// A series as points: of the minutes that share one, the largest.
fn curve(run: &Run, series: &[u64], end: usize, value: impl Fn(u64) -> f64) -> Curve {
    let every = end.div_ceil(POINTS_MAX).max(1);
    let shown = series.get(..end).unwrap_or(series);
    let chunks = shown.chunks(every).enumerate();
    let seconds = |step: usize| as_f64(step as u64 * STEP_SECONDS);
    let mut points: Vec<(f64, f64)> = chunks
        .map(|(at, chunk)| {
            let most = chunk.iter().max().copied().unwrap_or_default();
            (seconds(at * every), value(most))
        })
        .collect();
    if let Some((_x, last)) = points.last().copied() {
        points.push((seconds(shown.len()), last));
    }
    Curve {
        name: front_name(run.front).to_owned(),
        colour: colour(run.front),
        stroke: stroke(run.front),
        joined: Joined::Steps,
        points,
    }
}

/// From here on an axis counts days: below, hours are the clearer word.
const DAYS_FROM: f64 = 4.0 * DAY;
const DAY: f64 = 24.0 * 3600.0;

fn time_axis(end: usize) -> Axis {
    let max = as_f64(end as u64 * STEP_SECONDS);
    Axis {
        label: "time since the release".to_owned(),
        scale: Scale::Linear,
        min: 0.0,
        max,
        ticks: Ticks::Times,
        print: if max < DAYS_FROM {
            print_hours
        } else {
            print_days
        },
    }
}

fn print_hours(seconds: f64) -> String {
    match round(seconds) {
        0 => "0".to_owned(),
        seconds => print_duration(Duration::from_secs(seconds)),
    }
}

fn print_days(seconds: f64) -> String {
    format!("{}d", print_number(seconds / DAY))
}

fn linear_axis(label: &str, max: f64, print: fn(f64) -> String) -> Axis {
    Axis {
        label: label.to_owned(),
        scale: Scale::Linear,
        min: 0.0,
        max,
        ticks: Ticks::Round,
        print,
    }
}

fn log_axis(label: &str, curves: &[Curve], print: fn(f64) -> String) -> Axis {
    let most = highest(curves).max(1.0);
    let values = curves.iter().flat_map(|curve| &curve.points);
    let least = values
        .map(|(_x, y)| *y)
        .filter(|y| *y > 0.0)
        .fold(most, f64::min);
    Axis {
        label: label.to_owned(),
        scale: Scale::Log,
        min: 10_f64.powf(least.max(most / DECADES_MAX).log10().floor()),
        max: most * 1.5,
        ticks: Ticks::Decades,
        print,
    }
}

fn highest(curves: &[Curve]) -> f64 {
    let values = curves.iter().flat_map(|curve| &curve.points);
    values.map(|(_x, y)| *y).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::comparison::Request;
    use crate::fleet::cost::Prices;
    use crate::fleet::engine::Engine;
    use crate::fleet::outcome::Outcome;
    use crate::fleet::scenario::Scenario;
    use crate::fleet::summary::Summary;

    /// One run without an edge, with these completions per minute, of the default scenario (a window of 360 minutes).
    fn comparison(completions: Vec<u64>) -> Comparison {
        let prices = Prices::embedded().unwrap();
        let scenario = Scenario::embedded(&prices.instances).unwrap();
        let mut outcome = Outcome::default();
        outcome.fleet.updated = completions.iter().sum();
        outcome.fleet.completions_series = completions;
        Comparison {
            runs: vec![Run {
                front: Front::None,
                summary: Summary::of(&scenario, Front::None, &outcome, &prices),
                outcome,
            }],
            request: Request {
                scenario,
                fronts: vec![Front::None],
                engine: Engine::Exact,
                seed: 1,
            },
        }
    }

    #[test]
    fn the_time_axis_has_the_window_and_almost_everyone_but_not_the_last() {
        assert_eq!(end(&comparison(vec![100; 10])), 360, "a window at least");
        assert_eq!(end(&comparison(Vec::new())), 360, "nobody was updated");
        let mut late = vec![0; 4000];
        (late[999], late[3999]) = (996, 4);
        assert_eq!(
            end(&comparison(late)),
            999 + 49,
            "four of a thousand are beyond the axis"
        );
        let mut few = vec![0; 4000];
        (few[999], few[3999]) = (98, 2);
        assert_eq!(
            end(&comparison(few)),
            3999 + 199,
            "two of a hundred are not"
        );
    }

    #[test]
    fn a_curve_keeps_the_peaks_of_the_minutes_that_share_a_point() {
        let run = &comparison(Vec::new()).runs[0];
        let mut series = vec![1; 4000];
        series[1234] = 77;
        let curve = curve(run, &series, 4000, as_f64);
        assert!(curve.points.len() <= POINTS_MAX + 1);
        let most = curve.points.iter().map(|point| round(point.1)).max();
        assert_eq!(most, Some(77));
        let (first, last) = (curve.points[0].0, curve.points[curve.points.len() - 1].0);
        assert_eq!((round(first), round(last)), (0, 4000 * STEP_SECONDS));
    }

    #[test]
    fn a_plot_of_nothing_is_still_a_plot() {
        let nothing = comparison(Vec::new());
        for plot in [
            origin_rate(&nothing),
            origin_requests(&nothing),
            instances(&nothing),
            completion(&nothing),
        ] {
            let svg = plot.to_svg(super::super::plot::Size::Wide, "x");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        assert!(hit_ratio(&nothing).is_none());
    }
}
