//! The bill as an SVG: for each component a bar of each front.
//!
//! Owns the geometry of bars. Never computes a price.

use std::fmt::Write as _;

use super::markup::escaped;
use super::plot::Size;
use crate::fleet::rows::print_usd;
use crate::fleet::units::as_f64;

/// What is compared: the name and colour class of each front, and for each component its dollars in the same order.
#[derive(Debug)]
pub struct Bars {
    /// Its name in one line.
    pub title: String,
    /// What a reader would see in it.
    pub description: String,
    /// Fronts: name and colour class.
    pub fronts: Vec<(String, usize)>,
    /// Components: name, dollars by front.
    pub components: Vec<(String, Vec<f64>)>,
}

const BAR: f64 = 16.0;
const NAME: f64 = 20.0;
const GAP: f64 = 14.0;
/// Room for the largest sum that is printed behind a bar.
const VALUE: f64 = 96.0;
const LEGEND_LINE: f64 = 22.0;

impl Bars {
    /// Draws it. `id` is unique in the document.
    #[must_use]
    pub fn to_svg(&self, size: Size, id: &str) -> String {
        let (width, class) = match size {
            Size::Wide => (860.0, "wide"),
            Size::Narrow => (360.0, "narrow"),
        };
        let legend = as_f64(self.fronts.len() as u64) * LEGEND_LINE + 8.0;
        let group = NAME + as_f64(self.fronts.len() as u64) * (BAR + 2.0) + GAP;
        let height = legend + as_f64(self.components.len() as u64) * group;
        let all = self.components.iter().flat_map(|(_name, usd)| usd);
        let most = all.copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot {class}\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n<title id=\"{id}-t\">{}</title>\n<desc \
             id=\"{id}-d\">{}</desc>\n",
            escaped(&self.title),
            escaped(&self.description),
        );
        let mut y = 0.0;
        for (name, colour) in &self.fronts {
            let _ = writeln!(
                svg,
                "<rect class=\"bar c{colour}\" x=\"0\" y=\"{y}\" width=\"30\" height=\"{BAR}\"/><text x=\"38\" \
                 y=\"{}\">{}</text>",
                y + 12.5,
                escaped(name),
            );
            y += LEGEND_LINE;
        }
        y = legend;
        for (name, values) in &self.components {
            let _ = writeln!(
                svg,
                "<text class=\"label\" x=\"0\" y=\"{}\">{}</text>",
                y + 13.0,
                escaped(name)
            );
            y += NAME;
            for (usd, (_name, colour)) in values.iter().zip(&self.fronts) {
                let length = usd.max(0.0) / most * (width - VALUE);
                if *usd > 0.0 {
                    // A bar of less than a pixel would look like nothing, and it is something.
                    let length = length.max(1.0);
                    let _ = write!(
                        svg,
                        "<rect class=\"bar c{colour}\" x=\"0\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\"/>",
                    );
                }
                let _ = writeln!(
                    svg,
                    "<text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    length + 7.0,
                    y + 12.5,
                    print_usd(*usd),
                );
                y += BAR + 2.0;
            }
            y += GAP;
        }
        svg.push_str("</svg>\n");
        svg
    }
}
