//! The report: one self-contained HTML file, and one picture for a README.
//!
//! Owns the page: its order, its words, its tables. Never loads anything from a network and needs no script. Read next:
//! `plots.rs` (what is shown), `plot.rs` (how curves are drawn), `parameters.rs` (what each value rests on).

use std::fmt::Write as _;

mod bars;
mod markup;
mod plot;
mod plots;

use markup::escaped;
use plot::{Plot, Size};

use super::comparison::{Comparison, Run};
use super::cost::Prices;
use super::engine::Engine;
use super::engine::capacity::DEVICES_MAX;
use super::parameters::{Basis, parameters};
use super::rows::{ROWS, front_name, print_usd};
use super::units::{print_count, print_duration};
use super::verdict::verdict;

/// What every form of the answer says of itself.
pub const DISCLAIMER: &str =
    "A simulation. The edge in it is a model of CloudFront's documented behaviour, not CloudFront.";

const PAGE_STYLE: &str = include_str!("page.css");
const PICTURE_STYLE: &str = include_str!("picture.css");

/// The whole report. `command` is what makes it again.
#[must_use]
pub fn html(comparison: &Comparison, prices: &Prices, command: &str) -> String {
    let scenario = &comparison.request.scenario;
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"/>\n<title>Simulated release: {name}</title>\n\
         <style>\n{PAGE_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Simulated release: {name}</h1>\n<p>{}.</p>\n",
        escaped(&scenario.description),
        name = escaped(&scenario.name),
    );
    facts(comparison, prices, &mut page);
    for (about, sentence) in verdict(comparison) {
        let _ = writeln!(
            page,
            "<p><strong>{about}.</strong> {}</p>",
            escaped(&sentence)
        );
    }
    page.push_str("<h2>Side by side</h2>\n");
    table(comparison, &mut page);
    figures(comparison, &mut page);
    ground(comparison, prices, command, &mut page);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// The picture: what the origin sends, without and with an edge.
#[must_use]
pub fn svg(comparison: &Comparison) -> String {
    let mut plot = plots::origin_rate(comparison);
    plot.title = format!(
        "What the origin sends while {} devices fetch an update (simulation)",
        print_count(comparison.request.scenario.devices),
    );
    plot.to_picture("origin", PICTURE_STYLE)
}

fn facts(comparison: &Comparison, prices: &Prices, page: &mut String) {
    let request = &comparison.request;
    let engine = match request.engine {
        Engine::Exact => "exact engine (one device at a time)",
        Engine::Aggregate => "aggregated engine (counts of devices)",
    };
    let _ = writeln!(
        page,
        "<p class=\"soft facts\">{} devices · window {} · seed {} · {engine} · list prices of {}</p>\n<p \
         class=\"notice\">{DISCLAIMER} What AWS does not publish is a parameter (⚙), listed below with its value: results \
         are bounds that hold for these values.</p>",
        print_count(request.scenario.devices),
        print_duration(request.scenario.window),
        request.seed,
        escaped(&prices.as_of),
    );
}

/// A table scrolls inside its own box when a screen is too narrow for it; the box can be reached by keyboard.
fn open_table(page: &mut String, class: &str, name: &str) {
    let _ = writeln!(
        page,
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{name}\"><table class=\"{class}\">"
    );
}

fn table(comparison: &Comparison, page: &mut String) {
    open_table(page, "numbers", "Side by side");
    page.push_str("<thead><tr><th scope=\"col\"></th>");
    for run in &comparison.runs {
        let _ = write!(page, "<th scope=\"col\">{}</th>", front_name(run.front));
    }
    page.push_str("</tr></thead>\n");
    for group in ROWS.chunk_by(|row, next| row.group == next.group) {
        open_group(page, group.first().map_or("", |row| row.group), comparison);
        for row in group {
            line(page, "", row.name, &comparison.runs, |run| {
                (row.cell)(&run.summary)
            });
        }
        page.push_str("</tbody>\n");
    }
    open_group(page, "list price", comparison);
    let costs = comparison
        .runs
        .first()
        .map(|run| run.summary.cost_usd.rows());
    for (at, (name, _usd)) in costs.into_iter().flatten().enumerate() {
        let class = if name == "total" {
            " class=\"total\""
        } else {
            ""
        };
        line(page, class, name, &comparison.runs, |run| {
            print_usd(run.summary.cost_usd.rows()[at].1)
        });
    }
    page.push_str("</tbody></table></div>\n");
}

fn open_group(page: &mut String, name: &str, comparison: &Comparison) {
    let columns = comparison.runs.len() + 1;
    let _ = writeln!(
        page,
        "<tbody><tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{columns}\">{name}</th></tr>"
    );
}

fn line(page: &mut String, class: &str, name: &str, runs: &[Run], cell: impl Fn(&Run) -> String) {
    let _ = write!(page, "<tr{class}><th scope=\"row\">{}</th>", escaped(name));
    for run in runs {
        let _ = write!(page, "<td>{}</td>", escaped(&cell(run)));
    }
    page.push_str("</tr>\n");
}

fn figures(comparison: &Comparison, page: &mut String) {
    figure(
        page,
        "rate",
        &plots::origin_rate(comparison),
        "Means of a minute. The axis is logarithmic; minutes without traffic are on its floor. Where demand is above what was \
         sent, devices wait, fail and come back.",
    );
    figure(
        page,
        "requests",
        &plots::origin_requests(comparison),
        "Refused requests count too: a group that is too small is asked again.",
    );
    figure(
        page,
        "instances",
        &plots::instances(comparison),
        "Needed is what each minute's demand would keep at the target utilisation. The group sees a metric, waits for an alarm, \
         boots: by then a flash crowd may be over.",
    );
    figure(
        page,
        "completion",
        &plots::completion(comparison),
        "The axis ends when 99.5 % of the devices that ever got the update had it.",
    );
    if let Some(plot) = plots::hit_ratio(comparison) {
        figure(
            page,
            "hits",
            &plot,
            &format!(
                "The requests for artifacts at the busiest POP, of a fleet of at most {}, replayed against one cache of each \
                 size, least recently used first. AWS publishes neither capacity nor eviction.",
                print_count(DEVICES_MAX),
            ),
        );
    }
    let bars = plots::costs(comparison);
    let (wide, narrow) = (
        bars.to_svg(Size::Wide, "cost-w"),
        bars.to_svg(Size::Narrow, "cost-n"),
    );
    show(
        page,
        &bars.title,
        &[wide, narrow],
        "Billed from the release to the end of the run, and until the group is back at its minimum, as the only traffic of \
         its month: tiers begin at their most expensive, always-free amounts are taken off.",
    );
}

fn figure(page: &mut String, id: &str, plot: &Plot, caption: &str) {
    let wide = plot.to_svg(Size::Wide, &format!("{id}-w"));
    let narrow = plot.to_svg(Size::Narrow, &format!("{id}-n"));
    show(page, &plot.title, &[wide, narrow], caption);
}

fn show(page: &mut String, title: &str, drawings: &[String; 2], caption: &str) {
    let _ = writeln!(
        page,
        "<h2>{}</h2>\n<figure>\n{}<figcaption>{}</figcaption></figure>",
        escaped(title),
        drawings.concat(),
        escaped(caption),
    );
}

/// What all of it rests on.
fn ground(comparison: &Comparison, prices: &Prices, command: &str, page: &mut String) {
    let _ = writeln!(
        page,
        "<h2>What makes this again</h2>\n<pre>{}</pre>\n<p>The same scenario, seed and engine give the same answer, bit for \
         bit.</p>\n<h2>Parameters</h2>\n<p>“{}”: chosen there; the scenario file names the source of each \
         value or calls it an assumption. “{}”: AWS does not say; vary it before you rely on it.</p>",
        escaped(command),
        Basis::Scenario.name(),
        Basis::Unpublished.name(),
    );
    open_table(page, "words", "Parameters");
    page.push_str(
        "<thead><tr><th scope=\"col\">parameter</th><th scope=\"col\">value</th><th scope=\"col\">basis</th></tr></thead>\n\
         <tbody>\n",
    );
    for parameter in parameters(&comparison.request.scenario) {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            escaped(&parameter.key),
            escaped(&parameter.value),
            parameter.basis.name(),
        );
    }
    let _ = writeln!(
        page,
        "</tbody></table></div>\n<h2>Prices</h2>\n<p>{}</p>",
        escaped(&prices.plans)
    );
    open_table(page, "words", "Sources of the prices");
    page.push_str(
        "<thead><tr><th scope=\"col\">table</th><th scope=\"col\">source</th><th scope=\"col\">copy of</th></tr></thead>\n\
         <tbody>\n",
    );
    for source in &prices.sources {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            escaped(&source.table),
            escaped(&source.source),
            escaped(&source.date),
        );
    }
    page.push_str("</tbody></table></div>\n");
}
