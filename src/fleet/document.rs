//! Strict reading of a TOML document: unknown keys, limits, and every problem at once, each with its line.
//!
//! Owns how the files of the simulation (scenarios, prices) are read and refused. Never knows a key: `scenario/file.rs`
//! and `cost/prices.rs` ask for theirs, and whatever nobody asked for is a problem.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::units::{
    self, DURATION_WANTED, RATE_WANTED, SIZE_WANTED, parse_duration, parse_rate, parse_size,
    print_duration, print_rate, print_size,
};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It cannot be read.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Everything that is wrong with it, to be printed a line each.
    #[error("`{place}` has {}", count_problems(.problems.len()))]
    Invalid {
        /// The file, or where else the text is from.
        place: String,
        /// Never empty; in the order of the file.
        problems: Vec<Problem>,
    },
}

fn count_problems(count: usize) -> String {
    match count {
        1 => "a problem".to_owned(),
        count => format!("{count} problems"),
    }
}

/// One thing that is wrong: the line, the key, its value, what is allowed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem {
    place: String,
    line: usize,
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place, self.line, self.what)
    }
}

/// Reads a file's text.
pub fn read(path: &Path) -> Result<String, DocumentError> {
    std::fs::read_to_string(path).map_err(|source| DocumentError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// A document that is being read.
#[derive(Debug)]
pub struct Document<'t> {
    place: &'t str,
    text: &'t str,
    table: Spanned<DeTable<'t>>,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Document<'t> {
    /// Parses `text`, which is from `place`.
    pub fn parse(place: &'t str, text: &'t str) -> Result<Self, DocumentError> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let document = Self {
            place,
            text,
            table,
            problems: RefCell::default(),
        };
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let what = error.message().lines().collect::<Vec<_>>().join(", ");
            document.blame(at, format!("not TOML: {what}"));
        }
        // What the parser made of the rest is a guess, and so would be every problem in it.
        document.check()?;
        Ok(document)
    }

    /// The document itself, as the section that holds all others.
    #[must_use]
    pub fn root(&self) -> Section<'_> {
        Section::of(self, String::new(), 0, self.table.get_ref())
    }

    /// Fails with everything that was found so far.
    pub fn check(&self) -> Result<(), DocumentError> {
        let mut problems = self.problems.take();
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort();
        Err(DocumentError::Invalid {
            place: self.place.to_owned(),
            problems,
        })
    }

    fn blame(&self, offset: usize, what: String) {
        let before = self.text.as_bytes().iter().take(offset);
        let problem = Problem {
            place: self.place.to_owned(),
            line: before.filter(|byte| **byte == b'\n').count() + 1,
            what,
        };
        self.problems.borrow_mut().push(problem);
    }
}

/// One entry: where it was written, and its value.
type Entry<'d> = (usize, &'d DeValue<'d>);

/// A table of a document, of which each key is asked for once. [`Section::end`] refuses the keys that nobody asked for.
#[derive(Debug)]
pub struct Section<'d> {
    document: &'d Document<'d>,
    name: String,
    offset: usize,
    entries: BTreeMap<&'d str, Entry<'d>>,
    /// What a key that is left out has, from another document that was checked before.
    defaults: BTreeMap<&'d str, &'d DeValue<'d>>,
    asked: Vec<&'static str>,
    /// These have a stand-in now: nothing that follows from it is a problem of its own.
    refused: Vec<&'static str>,
}

impl<'d> Section<'d> {
    fn of(document: &'d Document<'d>, name: String, offset: usize, table: &'d DeTable<'d>) -> Self {
        let entries = table
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), (key.span().start, value.get_ref())));
        Self {
            document,
            name,
            offset,
            entries: entries.collect(),
            defaults: BTreeMap::new(),
            asked: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// A key that is left out here has the value of `other`, a section of a document that was checked.
    #[must_use]
    pub fn or(mut self, other: &Section<'d>) -> Self {
        let defaults = other
            .entries
            .iter()
            .map(|(key, (_at, value))| (*key, *value));
        self.defaults = defaults.collect();
        self
    }

    /// From here on a key that is left out is missing.
    pub fn without_defaults(&mut self) {
        self.defaults.clear();
    }

    /// Whether the key is written here, and not only a default.
    #[must_use]
    pub fn states(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether the key has a value, written here or by default.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.states(key) || self.defaults.contains_key(key)
    }

    fn path(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    /// Reads a key with `read`, which says what is wrong with a value ("is 0; allowed: 1 to 7").
    pub fn take<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&'d DeValue<'d>) -> Result<T, String>,
    ) -> Option<T> {
        self.asked.push(key);
        match (self.entries.get(key), self.defaults.get(key)) {
            (Some((at, value)), _) => match read(value) {
                Ok(value) => Some(value),
                Err(what) => {
                    let what = format!("`{}` {what}", self.path(key));
                    self.document.blame(*at, what);
                    self.refused.push(key);
                    None
                }
            },
            (None, Some(value)) => read(value).ok(),
            (None, None) => {
                let what = format!("`{}` is missing", self.path(key));
                self.document.blame(self.offset, what);
                None
            }
        }
    }

    /// Notes what is wrong with `key` together with `other`, unless one of them was refused.
    pub fn blame_both(&self, key: &str, other: &str, what: &str) {
        if !self
            .refused
            .iter()
            .any(|refused| *refused == key || *refused == other)
        {
            self.blame(key, what);
        }
    }

    /// Notes what is wrong with a key; at the section when it is not written here.
    pub fn blame(&self, key: &str, what: &str) {
        let at = self.entries.get(key).map_or(self.offset, |(at, _)| *at);
        let path = self.path(key);
        self.document.blame(at, format!("`{path}` {what}"));
    }

    /// Notes a problem of the section as a whole.
    pub fn blame_all(&self, what: &str) {
        self.document
            .blame(self.offset, format!("[{}] {what}", self.name));
    }

    /// Says that a key may be here without asking for it.
    pub fn knows(&mut self, key: &'static str) {
        self.asked.push(key);
    }

    /// A table below this one. One that is left out is empty: its keys are missing or have defaults.
    #[must_use]
    pub fn section(&mut self, key: &'static str) -> Section<'d> {
        self.asked.push(key);
        let path = self.path(key);
        match self.entries.get(key) {
            Some((at, DeValue::Table(table))) => Self::of(self.document, path, *at, table),
            other => {
                if let Some((at, value)) = other {
                    let what = format!("`{path}` {}", expected(value, "a table"));
                    self.document.blame(*at, what);
                }
                let at = other.map_or(self.offset, |(at, _value)| *at);
                Self::empty(self.document, path, at)
            }
        }
    }

    /// A table that is one value: written whole here, or whole as the default.
    #[must_use]
    pub fn inner(&mut self, key: &'static str) -> Section<'d> {
        let path = self.path(key);
        let at = self.entries.get(key).map_or(self.offset, |(at, _)| *at);
        let table = self.take(key, |value| {
            value.as_table().ok_or_else(|| expected(value, "a table"))
        });
        match table {
            Some(table) => Self::of(self.document, path, at, table),
            None => Self::empty(self.document, path, at),
        }
    }

    fn empty(document: &'d Document<'d>, name: String, offset: usize) -> Self {
        Self {
            document,
            name,
            offset,
            entries: BTreeMap::new(),
            defaults: BTreeMap::new(),
            asked: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// The tables of an array.
    pub fn sections(&mut self, key: &'static str) -> Vec<Section<'d>> {
        let (document, path) = (self.document, self.path(key));
        let at = self.entries.get(key).map_or(self.offset, |(at, _)| *at);
        let tables = self.take(key, |value| {
            let wanted = || expected(value, "an array of tables");
            let items = value.as_array().ok_or_else(wanted)?;
            let tables = items.iter().enumerate().map(|(index, item)| {
                let table = item.get_ref().as_table().ok_or_else(wanted)?;
                Ok((index, item.span().start, table))
            });
            tables.collect::<Result<Vec<_>, String>>()
        });
        // An item of a default stands in another text: what is said of it is said at the key.
        let is_stated = self.states(key);
        let section = |(index, start, table): (usize, usize, &'d DeTable<'d>)| {
            let place = if is_stated { start } else { at };
            Self::of(document, format!("{path}[{index}]"), place, table)
        };
        tables
            .unwrap_or_default()
            .into_iter()
            .map(section)
            .collect()
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> String {
        self.take(key, |value| match value.as_str() {
            Some("") => Err("is empty".to_owned()),
            Some(text) => Ok(text.to_owned()),
            None => Err(expected(value, "a text")),
        })
        .unwrap_or_default()
    }

    /// One of several words.
    pub fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.take(key, |value| word_of(value, words))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str) -> bool {
        self.take(key, |value| {
            value
                .as_bool()
                .ok_or_else(|| expected(value, "true or false"))
        })
        .unwrap_or_default()
    }

    /// A whole number.
    pub fn count(&mut self, key: &'static str, limits: RangeInclusive<u64>) -> u64 {
        self.take(key, |value| {
            let number = whole(value).ok_or_else(|| expected(value, "a whole number"))?;
            within(number, &limits, units::print_count)
        })
        .unwrap_or(*limits.start())
    }

    /// A number, whole or not.
    pub fn number(&mut self, key: &'static str, limits: RangeInclusive<f64>) -> f64 {
        self.take(key, |value| {
            within(number_of(value)?, &limits, |number| number.to_string())
        })
        .unwrap_or(*limits.start())
    }

    /// A duration.
    pub fn duration(&mut self, key: &'static str, limits: RangeInclusive<Duration>) -> Duration {
        self.take(key, |value| {
            within(duration_of(value)?, &limits, print_duration)
        })
        .unwrap_or(*limits.start())
    }

    /// A size in bytes.
    pub fn size(&mut self, key: &'static str, limits: RangeInclusive<u64>) -> u64 {
        self.take(key, |value| within(size_of(value)?, &limits, print_size))
            .unwrap_or(*limits.start())
    }

    /// A rate in bits per second.
    pub fn rate(&mut self, key: &'static str, limits: RangeInclusive<f64>) -> f64 {
        self.take(key, |value| {
            let text = value.as_str();
            let rate = text
                .and_then(parse_rate)
                .ok_or_else(|| expected(value, RATE_WANTED))?;
            within(rate, &limits, print_rate)
        })
        .unwrap_or(*limits.start())
    }

    /// Refuses the keys that nobody asked for.
    pub fn end(self) {
        for (key, (at, _value)) in &self.entries {
            if self.asked.iter().any(|asked| asked == key) {
                continue;
            }
            let path = self.path(key);
            let what = match nearest(key, &self.asked) {
                Some(near) => format!("`{path}` is not a key; did you mean `{}`?", self.path(near)),
                None => format!("`{path}` is not a key; there are {}", self.asked.join(", ")),
            };
            self.document.blame(*at, what);
        }
    }
}

/// A value that is within its limits, or what is wrong with it.
pub fn within<T: PartialOrd + Copy>(
    value: T,
    limits: &RangeInclusive<T>,
    print: impl Fn(T) -> String,
) -> Result<T, String> {
    if limits.contains(&value) {
        return Ok(value);
    }
    let (min, max) = (print(*limits.start()), print(*limits.end()));
    Err(format!("is {}; allowed: {min} to {max}", print(value)))
}

/// A size as it may stand in a file.
pub fn size_of(value: &DeValue<'_>) -> Result<u64, String> {
    let size = match value.as_str() {
        Some(text) => parse_size(text),
        None => whole(value),
    };
    size.ok_or_else(|| expected(value, SIZE_WANTED))
}

/// A duration as it may stand in a file.
pub fn duration_of(value: &DeValue<'_>) -> Result<Duration, String> {
    let text = value.as_str();
    text.and_then(parse_duration)
        .ok_or_else(|| expected(value, DURATION_WANTED))
}

/// One of several words, as it may stand in a file.
pub fn word_of<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Result<T, String> {
    let known = value
        .as_str()
        .and_then(|text| words.iter().find(|(word, _meaning)| *word == text));
    known.map(|(_word, meaning)| *meaning).ok_or_else(|| {
        let listed: Vec<_> = words
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        expected(value, &listed.join(" or "))
    })
}

/// A number as it may stand in a file.
pub fn number_of(value: &DeValue<'_>) -> Result<f64, String> {
    let number = match value {
        DeValue::Float(number) => number.as_str().replace('_', "").parse().ok(),
        other => whole(other).map(units::as_f64),
    };
    number.ok_or_else(|| expected(value, "a number"))
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Says what a value is and what it has to be.
#[must_use]
pub fn expected(value: &DeValue<'_>, wanted: &str) -> String {
    let actual = match value {
        DeValue::String(text) => format!("`{}`", text.escape_debug()),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    format!("is {actual}; it has to be {wanted}")
}

/// 0.8 accepts a wrong letter or a forgotten one in a short word and refuses unrelated words.
const LIKENESS_MIN: f64 = 0.8;

/// The name that was probably meant.
#[must_use]
pub fn nearest<'n>(text: &str, names: &[&'n str]) -> Option<&'n str> {
    names
        .iter()
        .map(|name| (strsim::jaro_winkler(text, name), *name))
        .filter(|(likeness, _name)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_likeness, name)| name)
}
