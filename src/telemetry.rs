//! Where log lines go: standard error, as text for people or as one JSON object a line.
//!
//! Owns the subscriber, and who may not say all it knows. Never touches standard output, which belongs to results, and
//! never lets a credential through.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The form of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Whether text for people may be coloured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colours {
    /// On a terminal.
    Auto,
    /// Nowhere.
    Never,
}

/// Log directives that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("`{directives}` does not say what to log; `info` or `headwater=debug` would")]
pub struct TelemetryError {
    // Without the parser's own error, which knows of more syntax than is documented here.
    directives: String,
}

/// Starts logging what `directives` select. Only the first call of a process has an effect, so that a test may run
/// several servers.
pub fn start(directives: &str, format: Format, colours: Colours) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder()
        .with_regex(false) // a directive compares field values as text: patterns from outside are never run
        .parse(directives)
        .map_err(|_parse_error| TelemetryError {
            directives: directives.to_owned(),
        })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours == Colours::Auto && std::io::stderr().is_terminal());
    let selected = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(is_harmless));
    let _already_started = match format {
        Format::Text => selected.with(lines).try_init(),
        Format::Json => selected.with(lines.json().flatten_event(true)).try_init(),
    };
    Ok(())
}

/// Whether an event may be shown at all, whatever was selected. Even in warnings the AWS crates print requests and answers
/// as they are, tokens and bodies included; what went wrong is in the error that they return.
fn is_harmless(event: &Metadata<'_>) -> bool {
    !event.target().starts_with("aws_") || *event.level() == Level::ERROR
}

/// An error and all its sources in one line, for a log field or a message.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
