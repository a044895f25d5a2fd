//! A TOML document as nested blocks: hands out settings by key, and notes everything that is wrong.
//!
//! Owns names, places and which keys there are: a key exists when its reader asks for it, and what is left when a block
//! is done was misspelt. Never judges a value itself (`config::reading` and the callers do), never stops at a problem.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::reading::{
    Setting, Value, expected, line_at, nearest, read_count, read_span, value_of,
};
use crate::config::schema::{Count, Span};
use crate::config::{Flags, Problem, Source};

/// A parsed file.
pub(super) struct Document<'t> {
    path: &'t Path,
    text: &'t str,
    table: Spanned<DeTable<'t>>,
}

/// What all blocks of all files share: the flags that override them, and the problems so far.
pub(super) struct Reading<'f> {
    flags: &'f Flags,
    problems: RefCell<Vec<Problem>>,
}

/// A table of the document, or one that is not written and so has only defaults and flags.
pub(super) struct Block<'r> {
    reading: &'r Reading<'r>,
    document: &'r Document<'r>,
    /// `origin`, `cache_policy.releases`; empty for the document itself.
    name: String,
    /// Where it is written.
    at: usize,
    table: Option<&'r DeTable<'r>>,
    asked: Vec<&'static str>,
}

impl<'f> Reading<'f> {
    /// Nothing read yet.
    pub(super) fn new(flags: &'f Flags) -> Self {
        let problems = RefCell::default();
        Self { flags, problems }
    }

    /// Parses a text; `None` when it is not TOML.
    pub(super) fn parse<'t>(&self, path: &'t Path, text: &'t str) -> Option<Document<'t>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let is_toml = errors.is_empty();
        for error in errors {
            let line = line_at(text, error.span().map_or(0, |span| span.start));
            let what = error.message().lines().collect::<Vec<_>>().join(", ");
            self.note(
                Source::File(path.to_owned(), line),
                format!("not TOML: {what}"),
            );
        }
        // What the parser made of a broken rest is a guess, and so would be every problem in it.
        is_toml.then_some(Document { path, text, table })
    }

    /// Notes a problem.
    pub(super) fn note(&self, source: Source, what: String) {
        self.problems.borrow_mut().push(Problem::new(source, what));
    }

    /// Everything noted, in the order of the file.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by(|a, b| a.source().cmp(b.source()));
        problems
    }
}

impl<'r> Block<'r> {
    /// The whole document.
    pub(super) fn root(reading: &'r Reading<'r>, document: &'r Document<'r>) -> Self {
        Self {
            reading,
            document,
            name: String::new(),
            at: 0,
            table: Some(document.table.get_ref()),
            asked: Vec::new(),
        }
    }

    /// Whether a key is written here.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether a key is written here or given by a flag.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.has(key) || self.is_flagged(key)
    }

    /// Whether a flag decides a key.
    pub(super) fn is_flagged(&self, key: &str) -> bool {
        self.reading.flags.setting(&self.full(key)).is_some()
    }

    /// Says that a key exists, without reading it.
    pub(super) fn mark(&mut self, key: &'static str) {
        self.asked.push(key);
    }

    /// Notes a problem of this block as a whole.
    pub(super) fn problem(&self, what: &str) {
        let what = format!("`{}` {what}", self.name);
        self.reading.note(self.place(self.at), what);
    }

    /// Notes a problem of one of its keys.
    pub(super) fn problem_at(&self, key: &str, what: &str) {
        let what = format!("`{}` {what}", self.full(key));
        let flag = self.reading.flags.setting(&self.full(key));
        let source = flag.map_or_else(
            || self.place(self.written(key).map_or(self.at, |(at, _value)| at)),
            |setting| setting.source,
        );
        self.reading.note(source, what);
    }

    /// Reads a key; `None` when it is not set or was refused.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Setting) -> Result<T, String>,
    ) -> Option<T> {
        let setting = self.setting(key)?;
        match read(&setting) {
            Ok(value) => Some(value),
            Err(what) => {
                let what = format!("`{}` {what}", self.full(key));
                self.reading.note(setting.source, what);
                None
            }
        }
    }

    /// Reads a key that has to be there; `None` when it is not, or was refused.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Setting) -> Result<T, String>,
    ) -> Option<T> {
        if !self.is_set(key) {
            self.asked.push(key);
            self.problem(&format!("has no `{key}`"));
            return None;
        }
        self.optional(key, read)
    }

    /// A whole number.
    pub(super) fn count(&mut self, rule: &Count) -> u64 {
        self.optional(rule.key, |setting| read_count(setting, rule))
            .unwrap_or(rule.default) as u64
    }

    /// A whole number of seconds, as Terraform has it.
    pub(super) fn seconds(&mut self, rule: &Count) -> Duration {
        Duration::from_secs(self.count(rule))
    }

    /// A duration with its unit.
    pub(super) fn span(&mut self, rule: &Span) -> Duration {
        self.optional(rule.key, |setting| read_span(setting, rule))
            .unwrap_or(rule.default)
    }

    /// A boolean; `on` or `off` as a flag.
    pub(super) fn switch(&mut self, key: &'static str, default: bool) -> bool {
        self.optional(key, |setting| match (&setting.value, &setting.source) {
            (Value::Boolean(value), _) => Ok(*value),
            (Value::Text(text), Source::Flag(_)) => match text.as_str() {
                "on" => Ok(true),
                "off" => Ok(false),
                other => Err(format!("is `{other}`; it has to be `on` or `off`")),
            },
            (other, _) => Err(expected(other, "true or false, without quotes")),
        })
        .unwrap_or(default)
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        self.optional(key, |setting| read_word(setting, words))
            .unwrap_or(default)
    }

    /// A list of texts, empty without one.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        self.optional(key, |setting| match &setting.value {
            Value::Texts(texts) => Ok(texts.clone()),
            other => Err(expected(other, "an array of texts")),
        })
        .unwrap_or_default()
    }

    /// A table below this one; without one its keys have their defaults.
    pub(super) fn block(&mut self, key: &'static str) -> Block<'r> {
        self.asked.push(key);
        let (at, table) = match self.written(key) {
            None => (self.at, None),
            Some((at, DeValue::Table(table))) => (at, Some(table)),
            Some((at, other)) => {
                let wanted = format!("a table: [{}]", self.full(key));
                self.problem_at(key, &expected(&value_of(other), &wanted));
                (at, None)
            }
        };
        self.below(self.full(key), at, table)
    }

    /// A list of tables below this one.
    pub(super) fn blocks(&mut self, key: &'static str) -> Vec<Block<'r>> {
        self.asked.push(key);
        let Some((_at, value)) = self.written(key) else {
            return Vec::new();
        };
        let tables = value.as_array().and_then(|items| {
            let table = |item: &'r Spanned<DeValue<'r>>| {
                let table = item.get_ref().as_table()?;
                Some(self.below(self.full(key), item.span().start, Some(table)))
            };
            items.iter().map(table).collect::<Option<Vec<_>>>()
        });
        tables.unwrap_or_else(|| {
            let wanted = format!("a list of tables, each headed [[{}]]", self.full(key));
            self.problem_at(key, &expected(&value_of(value), &wanted));
            Vec::new()
        })
    }

    /// Tables below this one whose names the file chooses.
    pub(super) fn named(&mut self, key: &'static str) -> Vec<(String, Block<'r>)> {
        let full = self.full(key);
        let mut list = self.block(key);
        let Some(table) = list.table.take() else {
            return Vec::new();
        };
        let mut blocks = Vec::new();
        for (name, value) in table {
            let (at, title) = (name.span().start, name.get_ref().to_string());
            let path = format!("{full}.{title}");
            match value.get_ref() {
                DeValue::Table(table) => blocks.push((title, self.below(path, at, Some(table)))),
                other => {
                    let wanted = format!("a table: [{full}.NAME]");
                    let what = format!("`{path}` {}", expected(&value_of(other), &wanted));
                    self.reading.note(self.place(at), what);
                }
            }
        }
        blocks
    }

    fn below(&self, name: String, at: usize, table: Option<&'r DeTable<'r>>) -> Block<'r> {
        Self {
            reading: self.reading,
            document: self.document,
            name,
            at,
            table,
            asked: Vec::new(),
        }
    }

    fn setting(&mut self, key: &'static str) -> Option<Setting> {
        self.asked.push(key);
        let flag = self.reading.flags.setting(&self.full(key));
        flag.or_else(|| {
            let (at, value) = self.written(key)?;
            Some(Setting {
                value: value_of(value),
                source: self.place(at),
            })
        })
    }

    fn written(&self, key: &str) -> Option<(usize, &'r DeValue<'r>)> {
        let (name, value) = self.table?.get_key_value(key)?;
        Some((name.span().start, value.get_ref()))
    }

    fn full(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    fn place(&self, at: usize) -> Source {
        let line = line_at(self.document.text, at);
        Source::File(PathBuf::from(self.document.path), line)
    }
}

/// What nobody asked for was misspelt, or stands in the wrong place.
impl Drop for Block<'_> {
    fn drop(&mut self) {
        for (key, _value) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let kind = if self.name.is_empty() {
                "section"
            } else {
                "key"
            };
            let way_out = if let Some(near) = nearest(name, &self.asked, |name| name) {
                format!("did you mean `{}`?", self.full(near))
            } else {
                let known: BTreeSet<_> = self.asked.iter().copied().collect();
                let known: Vec<_> = known.into_iter().collect();
                format!("there are `{}`", known.join("`, `"))
            };
            let what = format!("`{}` is not a {kind}; {way_out}", self.full(name));
            self.reading.note(self.place(key.span().start), what);
        }
    }
}

/// A text, or the sentence that says what it has to be.
pub(super) fn read_text(setting: &Setting, wanted: &str) -> Result<String, String> {
    match &setting.value {
        Value::Text(text) if !text.is_empty() => Ok(text.clone()),
        Value::Text(_) => Err(format!("is empty; it has to be {wanted}")),
        other => Err(expected(other, wanted)),
    }
}

fn read_word<T: Copy>(setting: &Setting, words: &[(&str, T)]) -> Result<T, String> {
    let quoted: Vec<String> = words
        .iter()
        .map(|(word, _)| format!("\"{word}\""))
        .collect();
    let wanted = match quoted.as_slice() {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        all => all.concat(),
    };
    let Value::Text(text) = &setting.value else {
        return Err(expected(&setting.value, &wanted));
    };
    words
        .iter()
        .find(|(word, _)| word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("is `{text}`; it has to be {wanted}"))
}
