//! What was written, before it means anything: flags over environment over file, one unvalidated setting per key.
//!
//! The only file that reads the environment. Owns precedence and which names exist; never judges a value:
//! `validate.rs` does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::schema::{CACHE_DISK_PATH, KEYS, LOG_VARIABLE, ORIGIN_SECRETS_PATH, STORE_PATH};
use super::{ConfigError, Problem};

/// Where environment variables come from: the process, or a test's map.
pub trait Environment {
    /// The value of a variable. One that is set to nothing counts as not set, as service managers leave it behind.
    fn variable(&self, name: &str) -> Option<OsString>;
}

/// The process's own environment.
#[derive(Clone, Copy, Debug)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name).filter(|value| !value.is_empty())
    }
}

impl Environment for BTreeMap<&str, &str> {
    fn variable(&self, name: &str) -> Option<OsString> {
        let value = self.get(name).map(OsString::from);
        value.filter(|value| !value.is_empty())
    }
}

/// What `HEADWATER_LOG` says.
#[must_use]
pub fn log_directives(environment: &dyn Environment) -> Option<String> {
    let directives = environment.variable(LOG_VARIABLE)?;
    Some(directives.to_string_lossy().into_owned())
}

/// Whether people want colours on a terminal (<https://no-color.org>).
#[must_use]
pub fn wants_colours(environment: &dyn Environment) -> bool {
    environment.variable("NO_COLOR").is_none()
}

/// Settings from the command line: key, flag, value.
#[derive(Clone, Debug, Default)]
pub struct Flags(Vec<(&'static str, &'static str, Value)>);

impl Flags {
    /// Adds the text of a flag, when it was given.
    #[must_use]
    pub fn with(mut self, key: &'static str, flag: &'static str, value: Option<String>) -> Self {
        self.0
            .extend(value.map(|text| (key, flag, Value::Text(text))));
        self
    }

    /// Adds the path of a flag, when it was given; a path need not be UTF-8.
    #[must_use]
    pub fn with_path(
        mut self,
        key: &'static str,
        flag: &'static str,
        path: Option<PathBuf>,
    ) -> Self {
        self.0
            .extend(path.map(|path| (key, flag, Value::Path(path))));
        self
    }

    /// What a flag says about a key.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<Setting> {
        let (_key, flag, value) = self.0.iter().find(|(name, _flag, _value)| *name == key)?;
        Some(Setting {
            value: value.clone(),
            source: Source::Flag(flag),
        })
    }
}

/// One value as it was written.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Text, or any other value from a variable or a flag.
    Text(String),
    /// A path from a flag or a variable.
    Path(PathBuf),
    /// A TOML integer; `None` when it is beyond 64 bits.
    Integer(Option<i64>),
    /// A TOML array of texts.
    Texts(Vec<String>),
    /// A TOML boolean.
    Boolean(bool),
    /// Anything that no key wants: the name of its TOML type.
    Foreign(&'static str),
}

/// Where a setting was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// In a file, on a line.
    File(PathBuf, usize),
    /// In an environment variable.
    Variable(&'static str),
    /// On the command line.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One unvalidated setting.
#[derive(Clone, Debug)]
pub struct Setting {
    /// As it was written.
    pub value: Value,
    /// Where.
    pub source: Source,
}

/// All settings by key, and what was wrong with their names.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) by_key: BTreeMap<&'static str, Setting>,
    pub(super) problems: Vec<Problem>,
}

impl Settings {
    /// Lays flags over the environment over the file.
    pub(super) fn gather(
        file: Option<&Path>,
        environment: &dyn Environment,
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            })?;
            settings.add_file(path, &text);
        }
        for key in KEYS {
            let Some(variable) = key.variable else {
                continue;
            };
            if let Some(text) = environment.variable(variable) {
                let value = match key.name {
                    // Which need not be UTF-8.
                    STORE_PATH | CACHE_DISK_PATH | ORIGIN_SECRETS_PATH => Value::Path(text.into()),
                    _ => Value::Text(text.to_string_lossy().into_owned()),
                };
                settings.set(key.name, value, Source::Variable(variable));
            }
        }
        for (key, flag, value) in &flags.0 {
            settings.set(key, value.clone(), Source::Flag(flag));
        }
        Ok(settings)
    }

    fn set(&mut self, key: &'static str, value: Value, source: Source) {
        self.by_key.insert(key, Setting { value, source });
    }

    fn add_file(&mut self, path: &Path, text: &str) {
        let place = |offset: usize| Source::File(path.to_owned(), line_at(text, offset));
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let what = error.message().lines().collect::<Vec<_>>().join(", ");
            self.problems
                .push(Problem::new(place(at), format!("not TOML: {what}")));
        }
        if !self.problems.is_empty() {
            return; // What the parser made of the rest is a guess, and so would be every problem in it.
        }
        for (section, content) in document.get_ref() {
            let at = place(section.span().start);
            let Some(table) = content.get_ref().as_table() else {
                self.problems
                    .push(Problem::new(at, unknown_key(section.get_ref())));
                continue;
            };
            if !KEYS
                .iter()
                .any(|key| section_of(key.name) == section.get_ref())
            {
                self.problems
                    .push(Problem::new(at, unknown_section(section.get_ref())));
                continue;
            }
            for (name, value) in table {
                let at = place(name.span().start);
                let full = format!("{}.{}", section.get_ref(), name.get_ref());
                match KEYS.iter().find(|key| key.name == full) {
                    Some(key) => self.set(key.name, value_of(value.get_ref()), at),
                    None => self.problems.push(Problem::new(at, unknown_key(&full))),
                }
            }
        }
    }
}

/// A TOML value as a setting's.
#[must_use]
pub fn value_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Array(items) => items
            .iter()
            .map(|item| item.get_ref().as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map_or(
                Value::Foreign("an array of other things than texts"),
                Value::Texts,
            ),
        DeValue::Float(_) => Value::Foreign("a float"),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(_) => Value::Foreign("a date"),
        DeValue::Table(_) => Value::Foreign("a table"),
    }
}

/// The line of a place in a file, counted from 1.
#[must_use]
pub fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}

fn section_of(key: &str) -> &str {
    key.split_once('.').map_or(key, |(section, _name)| section)
}

fn name_of(key: &str) -> &str {
    key.split_once('.').map_or(key, |(_section, name)| name)
}

fn unknown_section(section: &str) -> String {
    let mut sections: Vec<_> = KEYS.iter().map(|key| section_of(key.name)).collect();
    sections.dedup();
    let listed = sections
        .iter()
        .map(|name| format!("[{name}]"))
        .collect::<Vec<_>>()
        .join(", ");
    match nearest(section, &sections, |name| name) {
        Some(near) => format!("[{section}] is not a section; did you mean [{near}]?"),
        None => format!("[{section}] is not a section; there are {listed}"),
    }
}

/// A key in the wrong section, or at the top, is recognised by its last part.
fn unknown_key(key: &str) -> String {
    let names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    let exact = names
        .iter()
        .find(|name| name_of(name) == name_of(key))
        .copied();
    match exact.or_else(|| nearest(name_of(key), &names, name_of)) {
        Some(near) => format!("`{key}` is not a key; did you mean `{near}`?"),
        None => format!("`{key}` is not a key; `headwater config show` lists all of them"),
    }
}

/// 0.8 accepts a wrong letter or a forgotten one in a short word and refuses unrelated words.
const LIKENESS_MIN: f64 = 0.8;

/// The name that somebody who wrote `text` most likely meant; `part` is what of a name is compared.
#[must_use]
pub fn nearest<'a>(text: &str, names: &[&'a str], part: fn(&'a str) -> &'a str) -> Option<&'a str> {
    names
        .iter()
        .map(|name| (strsim::jaro_winkler(text, part(name)), *name))
        .filter(|(likeness, _name)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_likeness, name)| name)
}
