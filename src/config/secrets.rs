//! What an origin secret is, and the file that may hold some.
//!
//! Owns their alphabet and the form of the file. Never lets a value out but for the comparison: no message repeats one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::raw::Source;
use super::{ConfigError, Problem, Server, schema};

/// A value that never appears in a log, an error or `config show`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Checks length and alphabet: what can stand in a header, and between commas in a variable. A refusal says what
    /// is wrong without repeating the value.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (min, max) = (schema::SECRET_CHARS_MIN, schema::SECRET_CHARS_MAX);
        let length = text.chars().count();
        if !(min..=max).contains(&length) {
            Err(format!("has {length} characters; allowed: {min} to {max}"))
        } else if !text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b',')
        {
            Err("has a character other than visible ASCII without comma".to_owned())
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The value, for a constant-time comparison.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Server {
    /// Those of the settings and those that the file has now. Empty only when nothing was configured: a file without a
    /// secret is refused, because an origin that asks for none is open to everyone.
    pub fn accepted_secrets(&self) -> Result<Vec<Secret>, ConfigError> {
        let mut secrets = self.origin_secrets.clone();
        if let Some(path) = &self.origin_secrets_path {
            let text = read(path).map_err(|source| ConfigError::SecretsUnreadable {
                path: path.clone(),
                source,
            })?;
            secrets.extend(parse(path, &text, secrets.len())?);
        }
        Ok(secrets)
    }
}

/// What is not UTF-8 becomes a character that no secret may have.
fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let max = schema::SECRETS_FILE_BYTES_MAX;
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let what = format!("it has more than {max} bytes; a file of secrets has one a line");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// All secrets of a file, or everything that is wrong with it; `beside` are configured already.
fn parse(path: &Path, text: &str, beside: usize) -> Result<Vec<Secret>, ConfigError> {
    let mut secrets = Vec::new();
    let mut problems = Vec::new();
    let mut refuse = |line, what: String| {
        problems.push(Problem::new(Source::File(path.to_owned(), line), what));
    };
    let lines = text.lines().map(str::trim).zip(1..);
    let written = lines.filter(|(text, _)| !text.is_empty() && !text.starts_with('#'));
    for ((text, line), number) in written.zip(beside + 1..) {
        if number > schema::SECRETS_MAX {
            let max = schema::SECRETS_MAX;
            refuse(
                line,
                format!(
                    "is secret {number}; allowed: up to {max}, those of `server.origin_secrets` included"
                ),
            );
            break;
        }
        match Secret::parse(text) {
            Ok(secret) => secrets.push(secret),
            Err(what) => refuse(line, format!("the secret {what}")),
        }
    }
    if secrets.is_empty() && problems.is_empty() {
        problems.push(Problem::new(
            Source::File(path.to_owned(), 1),
            "there is no secret in this file; leave `server.origin_secrets_path` out to ask for none".to_owned(),
        ));
    }
    if problems.is_empty() {
        Ok(secrets)
    } else {
        Err(ConfigError::Invalid { problems })
    }
}
