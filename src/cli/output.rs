//! The only file that prints: results to standard output, everything else to standard error.
//!
//! Owns tables, JSON, progress bars and the form of an error. Never decides what is said; commands do.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::failure::{Exit, Failure};
use crate::cdn::{self, EdgeError, Invalidation};
use crate::device::Watcher;
use crate::device::load::{Onlooker, Snapshot};
use crate::fleet::{engine, units};
use crate::publish::Progress;
use crate::telemetry::{self, Colours};

/// What a command found out or did, for people and for programs.
pub trait Report: Serialize {
    /// For people; lines end in `\n`.
    fn to_text(&self) -> String;
}

/// The form of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

impl Form {
    /// What `--json` says.
    #[must_use]
    pub fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// Whether anything but results and errors is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Talk {
    /// Progress too.
    Normal,
    /// Nothing else.
    Quiet,
}

/// Standard output and standard error.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    talk: Talk,
}

impl Output {
    /// An output that says as much as `talk` allows.
    #[must_use]
    pub fn new(talk: Talk) -> Self {
        Self { talk }
    }

    /// Prints a result.
    pub fn report(self, form: Form, report: &impl Report) -> Result<(), Failure> {
        match form {
            Form::Text => self.result(&report.to_text()),
            Form::Json => {
                let mut json = serde_json::to_string_pretty(report)
                    .map_err(|error| Failure::new(Exit::Failed, error))?;
                json.push('\n');
                self.result(&json)
            }
        }
    }

    /// Prints text to standard output and flushes it, so that a line is seen by whoever waits for it.
    pub fn result(self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            // The reader has seen enough (`headwater releases | head -1`): what was asked for is done all the same.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::new(Exit::Failed, StdoutError(error))),
            Ok(()) => Ok(()),
        }
    }

    /// Prints an error: one line, its details a line each, and the way out.
    pub fn failure(self, failure: &Failure) {
        let mut text = format!("error: {}\n", failure.chain());
        for detail in &failure.details {
            text.push_str("  ");
            text.push_str(detail);
            text.push('\n');
        }
        if let Some(hint) = &failure.hint {
            text.push_str("hint: ");
            text.push_str(hint);
            text.push('\n');
        }
        complain(&text);
    }

    /// A progress bar in bytes, drawn on standard error when that is a terminal.
    #[must_use]
    pub fn bar(self) -> Arc<Bar> {
        Arc::new(Bar(self.progress_bar(0, BAR)))
    }

    /// A progress bar in devices, drawn like [`Output::bar`].
    #[must_use]
    pub fn fleet_bar(self, devices: u64) -> Arc<FleetBar> {
        Arc::new(FleetBar(self.progress_bar(devices, FLEET_BAR)))
    }

    /// A progress bar in percent, drawn like [`Output::bar`].
    #[must_use]
    pub fn share_bar(self) -> ShareBar {
        ShareBar(self.progress_bar(SHARE_STEPS, SHARE_BAR))
    }

    /// A line about an edge that is told something, drawn like [`Output::bar`].
    #[must_use]
    pub fn edge_line(self) -> EdgeLine {
        let line = self.progress_bar(0, EDGE_LINE);
        line.enable_steady_tick(TICK);
        EdgeLine(line)
    }

    fn progress_bar(self, length: u64, template: &str) -> ProgressBar {
        let target = match self.talk {
            Talk::Normal => ProgressDrawTarget::stderr(), // which draws nothing unless it is a terminal
            Talk::Quiet => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar
    }
}

/// Finer than the bar has columns.
const SHARE_STEPS: u64 = 1000;
const SHARE_BAR: &str = "{bar:32} {percent:>3}%  {elapsed} gone  {eta} left";
const FLEET_BAR: &str = "{bar:24} {human_pos} of {human_len} devices  {msg}  {elapsed}";
const EDGE_LINE: &str = "{spinner} {msg}  {elapsed}";
/// Often enough to look alive.
const TICK: Duration = Duration::from_millis(120);
const BAR: &str = "{bar:32} {percent:>3}%  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";

#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
struct StdoutError(#[source] io::Error);

/// Nobody is left to tell when standard error is closed.
fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Prints what clap has to say: a help text as a result, an error as an error.
#[must_use]
pub fn parser_message(error: &clap::Error, colours: Colours) -> Exit {
    let message = error.render();
    let text = |is_terminal: bool| match colours {
        Colours::Auto if is_terminal => message.ansi().to_string(),
        Colours::Auto | Colours::Never => message.to_string(),
    };
    if error.use_stderr() {
        complain(&text(io::stderr().is_terminal()));
        return Exit::Usage;
    }
    let output = Output::new(Talk::Normal);
    match output.result(&text(io::stdout().is_terminal())) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            output.failure(&failure);
            failure.exit
        }
    }
}

/// A progress bar for publishing, verifying and downloading.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A progress bar for work that knows its share.
#[derive(Debug)]
pub struct ShareBar(ProgressBar);

impl ShareBar {
    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for ShareBar {
    fn drop(&mut self) {
        self.finish();
    }
}

impl engine::Progress for ShareBar {
    fn at(&self, share: f64) {
        let steps = units::as_f64(SHARE_STEPS) * share.clamp(0.0, 1.0);
        self.0.set_position(units::round(steps));
    }
}

impl Progress for Bar {
    fn total(&self, _files: u64, bytes: u64) {
        self.0.set_length(bytes);
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Watcher for Bar {
    fn start(&self, size: u64, have: u64) {
        self.0.set_length(size);
        self.0.set_position(have);
        self.0.reset_eta();
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn request(&self, what: &str, status: u16, bytes: u64, took: Duration) {
        let (what, took_ms) = (what.to_owned(), took.as_secs_f64() * 1000.0);
        tracing::debug!(what, status, bytes, took_ms, "{what} was answered {status}");
    }
}

/// A progress bar for a fleet of devices.
#[derive(Debug)]
pub struct FleetBar(ProgressBar);

impl FleetBar {
    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for FleetBar {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Onlooker for FleetBar {
    fn look(&self, now: &Snapshot) {
        let Snapshot {
            active,
            failed,
            requests,
            ..
        } = now;
        self.0.set_message(format!(
            "{active} active, {failed} failed, {requests} requests, {}",
            size(now.bytes)
        ));
        self.0.set_position(now.verified + now.failed);
    }
}

/// A line about an edge that is told something.
#[derive(Debug)]
pub struct EdgeLine(ProgressBar);

impl EdgeLine {
    /// Says what is done now.
    pub fn say(&self, what: &'static str) {
        self.0.set_message(what);
    }
}

impl Drop for EdgeLine {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl cdn::Watcher for EdgeLine {
    fn again(&self, why: &EdgeError, pause: Duration) {
        let pause_seconds = pause.as_secs_f64();
        tracing::info!(
            error = telemetry::chain(why),
            pause_seconds,
            "telling the edge again"
        );
        self.0
            .set_message(format!("{why}; again in {pause_seconds:.1} s"));
    }

    fn waiting(&self, invalidation: &Invalidation, waited: Duration) {
        let (id, status) = (&invalidation.id, invalidation.status);
        tracing::debug!(
            invalidation = id,
            waited_seconds = waited.as_secs_f64(),
            "invalidation {id} is {status}"
        );
        self.0.set_message(format!("invalidation {id} is {status}"));
    }
}

/// Where a column's text stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table for people: a header, then a line each, columns two spaces apart.
#[must_use]
pub fn table(header: &[(&str, Column)], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|(title, _side)| *title));
    table.add_rows(rows);
    for (column, (_title, side)) in table.column_iter_mut().zip(header) {
        column.set_padding((0, 2));
        column.set_cell_alignment(match side {
            Column::Left => CellAlignment::Left,
            Column::Right => CellAlignment::Right,
        });
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A number of bytes for people: three digits and a unit.
#[must_use]
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Text from a document as one harmless line: a notice from a store must not steer a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let escape = |c: char| {
        if c.is_control() {
            c.escape_debug().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escape).collect()
}
