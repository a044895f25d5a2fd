//! One plot as an SVG: axes with units, curves that can be told apart without colour, a legend, a text for who cannot see.
//!
//! Owns the geometry of curves over an axis. Never knows what is plotted (`report/plots.rs` does), and never a colour: those
//! are classes that the style sheet fills for light and dark.

use std::fmt::Write as _;

use super::markup::escaped;
use crate::fleet::units::as_f64;

/// How large it is drawn, in units that are pixels at its natural width. A plot is drawn once for desks and once for
/// phones, because text that shrinks with a picture cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// For desks.
    Wide,
    /// For phones.
    Narrow,
}

/// What a plot shows.
#[derive(Debug)]
pub struct Plot {
    /// Its name in one line.
    pub title: String,
    /// What a reader would see in it, in a sentence or two.
    pub description: String,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// The curves, the most important last: it is drawn on top.
    pub curves: Vec<Curve>,
}

/// One axis.
#[derive(Debug)]
pub struct Axis {
    /// What it measures, with the unit.
    pub label: String,
    /// How values become lengths.
    pub scale: Scale,
    /// The smallest value shown.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Where the marks are.
    pub ticks: Ticks,
    /// How a mark is called.
    pub print: fn(f64) -> String,
}

/// How values become lengths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// Equal differences are equal lengths.
    Linear,
    /// Equal ratios are.
    Log,
}

/// Where the marks of an axis are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ticks {
    /// At round numbers.
    Round,
    /// At round numbers without a fraction: of things that are counted.
    Whole,
    /// At round times; the axis is in seconds.
    Times,
    /// At powers of ten.
    Decades,
}

/// One curve.
#[derive(Debug)]
pub struct Curve {
    /// As the legend calls it.
    pub name: String,
    /// Its colour: the class `c0`, `c1`, … of the style sheet.
    pub colour: usize,
    /// Its dashes.
    pub stroke: Stroke,
    /// How two points are connected.
    pub joined: Joined,
    /// Its points, by ascending x.
    pub points: Vec<(f64, f64)>,
}

/// The dashes of a curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stroke {
    /// None.
    Solid,
    /// Long ones.
    Dashed,
    /// Dots.
    Dotted,
}

impl Stroke {
    fn class(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dashed",
            Self::Dotted => "dotted",
        }
    }
}

/// How two points are connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joined {
    /// By a straight line.
    Straight,
    /// The value holds until the next point.
    Steps,
}

/// Room around the curves.
struct Frame {
    /// Which screens the style sheet shows it on.
    class: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    /// The most marks on each axis.
    ticks: (usize, usize),
    legend: Vec<(f64, f64)>,
}

const LINE: f64 = 20.0;
/// Around a picture that stands alone.
const MARGIN: f64 = 20.0;
/// A sample of the curve and the gap after it.
const SAMPLE: f64 = 38.0;
/// The mean width of a character at the legend's 13 px, on the generous side.
const CHARACTER: f64 = 7.3;

impl Frame {
    fn new(plot: &Plot, size: Size) -> Self {
        let (class, width, plot_height, left, right, ticks) = match size {
            Size::Wide => ("wide", 860.0, 300.0, 92.0, 24.0, (9, 7)),
            Size::Narrow => ("narrow", 360.0, 230.0, 70.0, 12.0, (5, 6)),
        };
        let (legend, legend_height) = legend(&plot.curves, width);
        let top = legend_height + 30.0; // the y axis' label stands between legend and curves
        Self {
            class,
            width,
            height: top + plot_height + 48.0,
            left,
            right: width - right,
            top,
            bottom: top + plot_height,
            ticks,
            legend,
        }
    }

    fn x(&self, axis: &Axis, value: f64) -> f64 {
        self.left + axis.at(value) * (self.right - self.left)
    }

    fn y(&self, axis: &Axis, value: f64) -> f64 {
        self.bottom - axis.at(value) * (self.bottom - self.top)
    }
}

/// Where each entry of the legend begins, and how high all of it is.
fn legend(curves: &[Curve], width: f64) -> (Vec<(f64, f64)>, f64) {
    let mut places = Vec::new();
    let (mut x, mut y) = (0.0, 14.0);
    for curve in curves {
        let needed = SAMPLE + as_f64(curve.name.chars().count() as u64) * CHARACTER + 18.0;
        if x > 0.0 && x + needed > width {
            (x, y) = (0.0, y + LINE);
        }
        places.push((x, y));
        x += needed;
    }
    (places, y + 6.0)
}

impl Axis {
    /// Where a value is, from 0 to 1; what is outside is at the border.
    fn at(&self, value: f64) -> f64 {
        let (value, min, max) = match self.scale {
            Scale::Linear => (value, self.min, self.max),
            Scale::Log => (
                value.max(self.min).log10(),
                self.min.log10(),
                self.max.log10(),
            ),
        };
        if max > min {
            ((value - min) / (max - min)).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    fn marks(&self, most: usize) -> Vec<f64> {
        let step = match self.ticks {
            Ticks::Decades => return self.decades(most),
            Ticks::Round => round_step(self.max - self.min, most),
            Ticks::Whole => round_step(self.max - self.min, most).max(1.0),
            Ticks::Times => time_step(self.max - self.min, most),
        };
        let first = (self.min / step).ceil();
        let all = (0_u32..=64).map(|at| (first + f64::from(at)) * step);
        // A last mark that misses the border by a rounding error is a mark.
        all.take_while(|value| *value <= self.max + step * 1e-9)
            .collect()
    }

    fn decades(&self, most: usize) -> Vec<f64> {
        let (low, high) = (self.min.log10().ceil(), self.max.log10().floor());
        let decades = (high - low).max(0.0);
        if decades < 2.0 {
            return self.parts_of_decades(low, most);
        }
        let every = (decades / as_f64(most.max(2) as u64 - 1)).ceil().max(1.0);
        // From the top, where the large values are.
        let all = (0_u32..=64).map(|at| high - f64::from(at) * every);
        let mut marks: Vec<f64> = all
            .take_while(|power| *power >= low - 1e-9)
            .map(|power| 10_f64.powf(power))
            .collect();
        marks.reverse();
        marks
    }
}

impl Axis {
    /// So few decades that their parts have room; of more marks than there is room for, every so-many-th.
    fn parts_of_decades(&self, low: f64, most: usize) -> Vec<f64> {
        let powers = (-1_i32..=2).map(|at| 10_f64.powf(low + f64::from(at)));
        let marks = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|part| part * power));
        // A mark that misses the border by a rounding error is a mark.
        let (min, max) = (self.min * (1.0 - 1e-9), self.max * (1.0 + 1e-9));
        let marks: Vec<f64> = marks.filter(|mark| (min..=max).contains(mark)).collect();
        let every = marks.len().div_ceil(most.max(2));
        marks.into_iter().step_by(every.max(1)).collect()
    }
}

/// 1, 2 or 5 times a power of ten.
fn round_step(span: f64, most: usize) -> f64 {
    let raw = (span / as_f64(most.max(2) as u64 - 1)).max(f64::MIN_POSITIVE);
    let magnitude = 10_f64.powf(raw.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * magnitude);
    nice.into_iter()
        .find(|step| *step >= raw * (1.0 - 1e-9))
        .unwrap_or(magnitude * 10.0)
}

fn time_step(span: f64, most: usize) -> f64 {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    let steps = [
        MINUTE,
        2.0 * MINUTE,
        5.0 * MINUTE,
        10.0 * MINUTE,
        15.0 * MINUTE,
        30.0 * MINUTE,
        HOUR,
        2.0 * HOUR,
        3.0 * HOUR,
        6.0 * HOUR,
        12.0 * HOUR,
        DAY,
        2.0 * DAY,
        7.0 * DAY,
        14.0 * DAY,
    ];
    let raw = span / as_f64(most.max(2) as u64 - 1);
    steps
        .into_iter()
        .find(|step| *step >= raw)
        .unwrap_or(28.0 * DAY)
}

impl Plot {
    /// Draws it for a page that has a style sheet and says the title. `id` is unique in the document.
    #[must_use]
    pub fn to_svg(&self, size: Size, id: &str) -> String {
        let frame = Frame::new(self, size);
        let (width, height) = (frame.width, frame.height);
        self.draw(id, &frame, &format!("0 0 {width} {height}"), "")
    }

    /// Draws it to stand alone: with a style sheet of its own, a ground, a margin and its title.
    #[must_use]
    pub fn to_picture(&self, id: &str, style: &str) -> String {
        let frame = Frame::new(self, Size::Wide);
        let (left, top) = (-MARGIN, -MARGIN - LINE);
        let (width, height) = (
            frame.width + 2.0 * MARGIN,
            frame.height + 2.0 * MARGIN + LINE,
        );
        let before = format!(
            "<style>{style}</style>\n<rect class=\"ground\" x=\"{left}\" y=\"{top}\" width=\"{width}\" \
             height=\"{height}\"/>\n<text class=\"title\" x=\"0\" y=\"-12\">{}</text>\n",
            escaped(&self.title),
        );
        let view = format!("{left} {top} {width} {height}");
        self.draw(id, &frame, &view, &before)
    }

    fn draw(&self, id: &str, frame: &Frame, view: &str, before: &str) -> String {
        let class = frame.class;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot {class}\" viewBox=\"{view}\" role=\"img\" \
             aria-labelledby=\"{id}-t {id}-d\">\n<title id=\"{id}-t\">{}</title>\n<desc id=\"{id}-d\">{}</desc>\n{before}",
            escaped(&self.title),
            escaped(&self.description),
        );
        self.draw_legend(frame, &mut svg);
        self.draw_axes(frame, &mut svg);
        for curve in &self.curves {
            let path = self.path(curve, frame);
            let (colour, stroke) = (curve.colour, curve.stroke.class());
            let _ = writeln!(
                svg,
                "<path class=\"curve c{colour} {stroke}\" d=\"{path}\"/>"
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_legend(&self, frame: &Frame, svg: &mut String) {
        for (curve, (x, y)) in self.curves.iter().zip(&frame.legend) {
            let (colour, stroke) = (curve.colour, curve.stroke.class());
            let _ = writeln!(
                svg,
                "<path class=\"curve c{colour} {stroke}\" d=\"M{x} {} h30\"/><text x=\"{}\" y=\"{y}\">{}</text>",
                y - 4.5,
                x + SAMPLE,
                escaped(&curve.name),
            );
        }
    }

    fn draw_axes(&self, frame: &Frame, svg: &mut String) {
        let Frame {
            left,
            right,
            top,
            bottom,
            ..
        } = *frame;
        let _ = writeln!(
            svg,
            "<text class=\"label\" x=\"0\" y=\"{}\">{}</text>",
            top - 12.0,
            escaped(&self.y.label)
        );
        for mark in self.y.marks(frame.ticks.1) {
            let y = frame.y(&self.y, mark);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{left} {y:.1} H{right}\"/><text class=\"mark\" x=\"{}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{}</text>",
                left - 8.0,
                y + 4.5,
                escaped(&(self.y.print)(mark)),
            );
        }
        for mark in self.x.marks(frame.ticks.0) {
            let x = frame.x(&self.x, mark);
            // A mark at the right border is written to its left, or it would leave the picture.
            let anchor = if x > right - 20.0 { "end" } else { "middle" };
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {top} V{}\"/><text class=\"mark\" x=\"{x:.1}\" y=\"{}\" \
                 text-anchor=\"{anchor}\">{}</text>",
                bottom + 5.0,
                bottom + 20.0,
                escaped(&(self.x.print)(mark)),
            );
        }
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{left} {top} V{bottom} H{right}\"/><text class=\"label\" x=\"{right}\" y=\"{}\" \
             text-anchor=\"end\">{}</text>",
            bottom + 40.0,
            escaped(&self.x.label),
        );
    }

    fn path(&self, curve: &Curve, frame: &Frame) -> String {
        let mut path = String::new();
        for (at, (x, y)) in curve.points.iter().enumerate() {
            let (x, y) = (frame.x(&self.x, *x), frame.y(&self.y, *y));
            let _ = match (at, curve.joined) {
                (0, _) => write!(path, "M{x:.1} {y:.1}"),
                (_, Joined::Straight) => write!(path, "L{x:.1} {y:.1}"),
                (_, Joined::Steps) => write!(path, "H{x:.1}V{y:.1}"),
            };
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, ticks: Ticks, min: f64, max: f64) -> Axis {
        Axis {
            label: "l".to_owned(),
            scale,
            min,
            max,
            ticks,
            print: |value| value.to_string(),
        }
    }

    #[test]
    fn marks_are_round_numbers_inside_the_axis() {
        let round = axis(Scale::Linear, Ticks::Round, 0.0, 283.0).marks(7);
        assert_eq!(round, [0.0, 50.0, 100.0, 150.0, 200.0, 250.0]);
        let whole = axis(Scale::Linear, Ticks::Whole, 0.0, 2.1).marks(7);
        assert_eq!(whole, [0.0, 1.0, 2.0]);
        let hours = axis(Scale::Linear, Ticks::Times, 0.0, 6.5 * 3600.0).marks(9);
        assert_eq!(
            hours,
            [0.0, 3600.0, 7200.0, 10800.0, 14400.0, 18000.0, 21600.0]
        );
        let decades = axis(Scale::Log, Ticks::Decades, 1e-3, 1e3).marks(9);
        assert_eq!(decades, [1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0]);
        let few = axis(Scale::Log, Ticks::Decades, 4e7, 8e8).marks(9);
        assert_eq!(few, [5e7, 1e8, 2e8, 5e8]);
        let many = axis(Scale::Log, Ticks::Decades, 1e-6, 1e6).marks(7);
        assert_eq!(many, [1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e6]);
    }

    #[test]
    fn equal_ratios_are_equal_lengths_on_a_log_axis() {
        let log = axis(Scale::Log, Ticks::Decades, 1.0, 1e4);
        assert!((log.at(10.0) - 0.25).abs() < 1e-9);
        assert!((log.at(1000.0) - 0.75).abs() < 1e-9);
        assert!(
            log.at(0.0).abs() < 1e-9,
            "zero is at the floor, not at minus infinity"
        );
        assert!((log.at(1e9) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_axis_without_extent_divides_by_nothing() {
        for scale in [Scale::Linear, Scale::Log] {
            let point = axis(scale, Ticks::Round, 1.0, 1.0);
            assert!(point.at(1.0).abs() < 1e-9);
            assert!(point.marks(5).len() <= 65);
        }
    }
}
