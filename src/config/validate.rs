//! From settings as written to a `Config` that is valid, or all problems at once.
//!
//! Owns how each kind of value is read and refused. Never stops at the first problem, never prints a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use jiff::fmt::friendly::SpanParser;

use super::raw::{Setting, Settings, Source, Value};
use super::schema::{self, Address, Count, Span, Step, Unit};
use super::{
    AccessLog, Channels, Config, ConfigError, Limits, Problem, Resolved, Secret, Server, show,
};

/// Turns settings into a configuration and says where each came from.
pub(super) fn validate(settings: Settings) -> Result<Resolved, ConfigError> {
    let mut reader = Reader {
        settings: settings.by_key,
        sources: BTreeMap::new(),
        problems: settings.problems,
        refused: BTreeSet::new(),
    };
    let access = reader.access();
    let config = Config {
        store: reader.store(&access),
        cache: reader.cache(),
        cdn: reader.cdn(),
        server: reader.server(),
        limits: reader.limits(),
        channels: reader.channels(),
    };
    reader.check_together(&config);
    if reader.problems.is_empty() {
        Ok(Resolved {
            config,
            access,
            sources: reader.sources,
        })
    } else {
        // In the order of the file: the reader goes through it from top to bottom.
        reader.problems.sort_by(|a, b| a.source.cmp(&b.source));
        Err(ConfigError::Invalid {
            problems: reader.problems,
        })
    }
}

/// Hands out settings by key; a refused one is noted and read as its default, so that the rest is still looked at.
pub(super) struct Reader {
    settings: BTreeMap<&'static str, Setting>,
    pub(super) sources: BTreeMap<&'static str, Source>,
    problems: Vec<Problem>,
    refused: BTreeSet<&'static str>,
}

impl Reader {
    /// Takes the setting of `key` and reads it; `None` when it is not set or was refused.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Setting) -> Result<T, String>,
    ) -> Option<T> {
        let setting = self.settings.remove(key)?;
        self.sources.insert(key, setting.source.clone());
        match read(&setting) {
            Ok(value) => Some(value),
            Err(what) => {
                self.refused.insert(key);
                self.problems
                    .push(Problem::new(setting.source, format!("`{key}` {what}")));
                None
            }
        }
    }

    /// Notes a key that its file leaves open (`""`) and that nobody has set since, and reads it as its default.
    pub(super) fn refuse_left_open(&mut self, key: &'static str, way_out: &str) {
        let is_open = |setting: &&Setting| {
            matches!(setting.source, Source::File(..))
                && matches!(&setting.value, Value::Text(text) if text.is_empty())
        };
        if let Some(setting) = self.settings.get(key).filter(is_open) {
            let what = format!("`{key}` is left open; {way_out}");
            let problem = Problem::left_open(setting.source.clone(), what);
            self.problems.push(problem);
            self.refused.insert(key);
            self.settings.remove(key);
        }
    }

    pub(super) fn count(&mut self, rule: &Count) -> usize {
        self.take(rule.key, |setting| read_count(setting, rule))
            .unwrap_or(rule.default)
    }

    pub(super) fn span(&mut self, rule: &Span) -> Duration {
        self.take(rule.key, |setting| read_span(setting, rule))
            .unwrap_or(rule.default)
    }

    fn address(&mut self, rule: &Address) -> std::net::SocketAddr {
        self.take(rule.key, |setting| {
            let text = text_of(setting, "an address and a port such as \"127.0.0.1:8080\" or \"[::]:80\"")?;
            text.parse().map_err(|_bad_address| {
                format!("is `{text}`; it has to be an IP address and a port such as 127.0.0.1:8080 or [::]:80")
            })
        })
        .unwrap_or(rule.default)
    }

    fn server(&mut self) -> Server {
        Server {
            listen: self.address(&schema::LISTEN),
            admin: self.address(&schema::ADMIN),
            threads: self
                .take(schema::THREADS, read_threads)
                .unwrap_or_else(threads_default),
            access_log: self
                .take(schema::ACCESS_LOG, read_access_log)
                .unwrap_or(AccessLog::Off),
            origin_secrets: self
                .take(schema::ORIGIN_SECRETS, read_secrets)
                .unwrap_or_default(),
            origin_secrets_path: self
                .take(schema::ORIGIN_SECRETS_PATH, |setting| {
                    read_path(setting, "the path of a file, as text")
                })
                .flatten(),
            origin_secret_header: self
                .take(schema::ORIGIN_SECRET_HEADER, |setting| {
                    read_header(text_of(setting, "the name of a header")?)
                })
                .unwrap_or_else(|| schema::ORIGIN_SECRET_HEADER_DEFAULT.to_owned()),
            cache_tag_header: self
                .take(schema::CACHE_TAG_HEADER, |setting| {
                    let text = text_of(setting, "the name of a header, or \"\" for none")?;
                    if text.is_empty() {
                        Ok(None)
                    } else {
                        read_header(text).map(Some)
                    }
                })
                .unwrap_or_else(|| Some(schema::CACHE_TAG_HEADER_DEFAULT.to_owned())),
            drain_delay: self.span(&schema::DRAIN_DELAY),
            drain_grace: self.span(&schema::DRAIN_GRACE),
        }
    }

    fn limits(&mut self) -> Limits {
        Limits {
            connections_max: self.count(&schema::CONNECTIONS_MAX),
            head_bytes_max: self.count(&schema::HEAD_BYTES_MAX),
            head_fields_max: self.count(&schema::HEAD_FIELDS_MAX),
            uri_bytes_max: self.count(&schema::URI_BYTES_MAX),
            ranges_max: self.count(&schema::RANGES_MAX),
            head_read_timeout: self.span(&schema::HEAD_READ_TIMEOUT),
            idle_timeout: self.span(&schema::IDLE_TIMEOUT),
            write_stall_timeout: self.span(&schema::WRITE_STALL_TIMEOUT),
            open_artifacts_max: self.count(&schema::OPEN_ARTIFACTS_MAX),
            store_reads_max: self.count(&schema::STORE_READS_MAX),
            store_stale_max: self.span(&schema::STORE_STALE_MAX),
        }
    }

    fn channels(&mut self) -> Channels {
        Channels {
            max_age: self.span(&schema::MAX_AGE),
            stale_while_revalidate: self.span(&schema::STALE_WHILE_REVALIDATE),
            stale_if_error: self.span(&schema::STALE_IF_ERROR),
        }
    }

    /// What no single key can be blamed for.
    fn check_together(&mut self, config: &Config) {
        let (uri, head) = (config.limits.uri_bytes_max, config.limits.head_bytes_max);
        if uri > head {
            let what = format!(
                "`limits.uri_bytes_max` is {uri} and `limits.head_bytes_max` is {head}; the head has to be at \
                 least as long, it holds the URI too"
            );
            self.blame(schema::URI_BYTES_MAX.key, schema::HEAD_BYTES_MAX.key, what);
        }
        let (listen, admin) = (config.server.listen, config.server.admin);
        if listen == admin && listen.port() != 0 {
            let what = format!(
                "`server.listen` and `server.admin` are both {listen}; they have to be different"
            );
            self.blame(schema::ADMIN.key, schema::LISTEN.key, what);
        }
        self.check_cache(&config.cache);
        self.check_cdn(&config.cdn);
    }

    /// Notes a problem between two keys at whichever was set, unless one was refused: then its value is a stand-in.
    pub(super) fn blame(&mut self, first: &'static str, second: &'static str, what: String) {
        if self.refused.contains(first) || self.refused.contains(second) {
            return;
        }
        let source = self.sources.get(first).or_else(|| self.sources.get(second));
        if let Some(source) = source.cloned() {
            self.problems.push(Problem::new(source, what));
        }
    }
}

/// One thread per processor that this process may use.
pub(super) fn threads_default() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The sentence for a value of the wrong kind.
#[must_use]
pub fn expected(value: &Value, wanted: &str) -> String {
    let actual = match value {
        Value::Text(_) => "text",
        Value::Path(_) => "a path",
        Value::Integer(_) => "a number",
        Value::Texts(_) => "an array",
        Value::Boolean(_) => "a boolean",
        Value::Foreign(kind) => kind,
    };
    format!("is {actual}; it has to be {wanted}")
}

/// A text, or why it is none.
pub fn text_of<'a>(setting: &'a Setting, wanted: &str) -> Result<&'a str, String> {
    match &setting.value {
        Value::Text(text) => Ok(text),
        other => Err(expected(other, wanted)),
    }
}

/// In a file a number is a TOML number; a variable or a flag can only be text.
fn number_of(setting: &Setting) -> Result<i128, String> {
    match (&setting.value, &setting.source) {
        (Value::Integer(Some(number)), _) => Ok(i128::from(*number)),
        (Value::Integer(None), _) => Ok(i128::MAX),
        (Value::Text(text), Source::Variable(_) | Source::Flag(_)) => text
            .parse()
            .map_err(|_not_a_number| format!("is `{text}`; it has to be a whole number")),
        (other, _) => Err(expected(other, "a whole number without quotes")),
    }
}

/// A whole number within its limits.
pub fn read_count(setting: &Setting, rule: &Count) -> Result<usize, String> {
    let number = number_of(setting)?;
    match usize::try_from(number) {
        Ok(count) if (rule.min..=rule.max).contains(&count) => Ok(count),
        _ => {
            let print = |number| print_count(number, rule.unit);
            let (min, max) = (print(rule.min as i128), print(rule.max as i128));
            Err(format!("is {}; allowed: {min} to {max}", print(number)))
        }
    }
}

fn print_count(number: i128, unit: Unit) -> String {
    const KIB: i128 = 1024;
    if number == i128::MAX {
        return "beyond 64 bits".to_owned();
    }
    let sizes = [(KIB * KIB * KIB, "GiB"), (KIB * KIB, "MiB"), (KIB, "KiB")];
    match sizes
        .iter()
        .find(|(size, _name)| number > 0 && number % size == 0)
    {
        Some((size, name)) if unit == Unit::Bytes => format!("{number} ({} {name})", number / size),
        _ if unit == Unit::Seconds => format!("{number} s"),
        _ => number.to_string(),
    }
}

fn read_threads(setting: &Setting) -> Result<NonZeroUsize, String> {
    let number = number_of(setting)?;
    usize::try_from(number)
        .ok()
        .and_then(NonZeroUsize::new)
        .filter(|threads| threads.get() <= schema::THREADS_MAX)
        .ok_or_else(|| {
            format!(
                "is {}; allowed: 1 to {}, and without it one per processor",
                print_count(number, Unit::Items),
                schema::THREADS_MAX
            )
        })
}

/// A duration within its limits.
pub fn read_span(setting: &Setting, rule: &Span) -> Result<Duration, String> {
    let wanted = "a text with a unit such as \"75s\", \"5m\" or \"250ms\"";
    let text = text_of(setting, wanted)?;
    let span = SpanParser::new()
        .parse_unsigned_duration(text)
        .map_err(|_not_a_duration| format!("is `{text}`; it has to be {wanted}"))?;
    let finest = match rule.step {
        Step::Millisecond => Duration::from_millis(1),
        Step::Second => Duration::from_secs(1),
    };
    if span.as_nanos() % finest.as_nanos() != 0 {
        let step = show::print_span(finest);
        return Err(format!("is {text}; it has to be a multiple of {step}"));
    }
    if !(rule.min..=rule.max).contains(&span) {
        let (min, max) = (show::print_span(rule.min), show::print_span(rule.max));
        return Err(format!("is {text}; allowed: {min} to {max}"));
    }
    Ok(span)
}

/// In a file a boolean is a TOML boolean; a flag can only be text.
pub(super) fn read_boolean(setting: &Setting) -> Result<bool, String> {
    match (&setting.value, &setting.source) {
        (Value::Boolean(value), _) => Ok(*value),
        (Value::Text(text), Source::Variable(_) | Source::Flag(_)) => text
            .parse()
            .map_err(|_not_a_boolean| format!("is `{text}`; it has to be true or false")),
        (other, _) => Err(expected(other, "true or false without quotes")),
    }
}

fn read_access_log(setting: &Setting) -> Result<AccessLog, String> {
    let wanted = "\"off\", \"text\" or \"json\"";
    let text = text_of(setting, wanted)?;
    AccessLog::parse(text).ok_or_else(|| format!("is `{text}`; it has to be {wanted}"))
}

/// A path that may be left out: in a file, `""`.
pub(super) fn read_path(setting: &Setting, wanted: &str) -> Result<Option<PathBuf>, String> {
    match &setting.value {
        Value::Path(path) => Ok(Some(path.clone())),
        Value::Text(text) if text.is_empty() => Ok(None),
        Value::Text(text) => Ok(Some(PathBuf::from(text))),
        other => Err(expected(other, wanted)),
    }
}

/// In a variable the secrets are separated by commas.
fn read_secrets(setting: &Setting) -> Result<Vec<Secret>, String> {
    let texts: Vec<&str> = match (&setting.value, &setting.source) {
        (Value::Texts(texts), _) => texts.iter().map(String::as_str).collect(),
        (Value::Text(text), Source::Variable(_)) => text.split(',').map(str::trim).collect(),
        (other, _) => return Err(expected(other, "an array of texts")),
    };
    if texts.len() > schema::SECRETS_MAX {
        return Err(format!(
            "has {} entries; allowed: up to {}, two for a rotation of each edge",
            texts.len(),
            schema::SECRETS_MAX
        ));
    }
    let mut secrets = Vec::new();
    let mut refusals = Vec::new();
    for (at, text) in texts.into_iter().enumerate() {
        match Secret::parse(text) {
            Ok(secret) => secrets.push(secret),
            Err(what) => refusals.push(format!("entry {} {what}", at + 1)),
        }
    }
    if refusals.is_empty() {
        Ok(secrets)
    } else {
        Err(refusals.join(", "))
    }
}

/// The name of a header, in lower case.
pub fn read_header(text: &str) -> Result<String, String> {
    http::HeaderName::from_bytes(text.as_bytes())
        .map(|name| name.as_str().to_owned())
        .map_err(|_bad_name| {
            format!(
                "is `{}`; it has to be the name of an HTTP header such as x-origin-secret",
                text.escape_debug()
            )
        })
}
