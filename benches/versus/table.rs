//! What is printed: Markdown that can be pasted into a document, and the circumstances it was measured in.

use std::fmt;
use std::fs;
use std::process::Command;

use crate::{Failure, caches, servers};

/// A Markdown table, its columns aligned for people.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings, separated by bars.
    pub fn new(headings: &str) -> Self {
        Self {
            rows: vec![headings.split('|').map(str::to_owned).collect()],
        }
    }

    /// Appends a row with a cell for each heading.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
                .max(3)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "| {cell:>width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                for width in &widths {
                    write!(f, "|{}:", "-".repeat(width + 1))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// A number with about three digits that mean something.
pub fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 1.0 => format!("{value:.3}"),
        small if small < 10.0 => format!("{value:.2}"),
        small if small < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Bytes in MiB.
#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// A size as people write it.
pub fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 30 && bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

/// Machine, kernel, versions, date and command: a figure without them is a rumour.
pub fn circumstances() -> Result<String, Failure> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let values = |key: &str| -> Vec<String> {
        let value = |line: &str| Some(line.strip_prefix(key)?.split_once(": ")?.1.to_owned());
        cpus.lines().filter_map(value).collect()
    };
    let model = values("model name")
        .first()
        .cloned()
        .unwrap_or_else(|| "unknown processor".to_owned());
    let cores = values("processor").len();
    let memory = crate::usage::kilobytes(&fs::read_to_string("/proc/meminfo")?, "MemTotal:");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let minute = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
    Ok(format!(
        "- machine: {model}, {cores} cores, {memory:.0} GiB; kernel {kernel}; server on one core, client on another, loopback\n\
         - versions: headwater {version} ({commit}), {nginx}, {varnish}\n\
         - date: {minute}\n\
         - command: `cargo bench --bench versus -- {arguments}`\n",
        memory = mebibytes(memory / 1024).parse::<f64>()?,
        kernel = kernel.trim(),
        version = env!("CARGO_PKG_VERSION"),
        commit = commit(),
        nginx = servers::nginx_version().unwrap_or_else(|_missing| "no nginx".to_owned()),
        varnish = caches::varnish_version().unwrap_or_else(|| "no varnish".to_owned()),
        arguments = arguments.join(" "),
    ))
}

/// Which sources were measured, as far as git knows.
fn commit() -> String {
    let git = |arguments: &[&str]| -> Option<String> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    git(&["describe", "--always", "--dirty"]).unwrap_or_else(|| "commit unknown".to_owned())
}
