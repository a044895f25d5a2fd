//! The grammar behind E-1: `Cache-Control`, `Expires`, `Age` and `Date` of an answer, read with care.
//!
//! Owns RFC 9111 §5.1 to §5.3, RFC 5861 and RFC 8246 as syntax. Never fails: what makes no sense makes an answer stale
//! (RFC 9111 §4.2.1), since a stale answer costs a request and a wrong one costs an update. Meaning: `freshness.rs`.

use std::time::{Duration, SystemTime};

use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderMap, HeaderValue, VARY};

use super::freshness::Directives;

/// The longest time a directive can name: a hundred years, which is what AWS allows (fact 2). RFC 9111 §1.2.2 lets a cache
/// take any large number for larger ones; with this one no sum of two overflows.
const DELTA_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

pub(super) fn read(headers: &HeaderMap) -> Directives {
    let mut said = Directives {
        expires: expires(headers),
        age: age(headers),
        varies_on_everything: members(headers, &VARY).any(|member| member == b"*"),
        ..Directives::default()
    };
    for (name, argument) in cache_control(headers) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        // RFC 9111 §4.2.1: of several, the first counts.
        let first = |field: &mut Option<Duration>, invalid: Duration| {
            field.get_or_insert_with(|| argument.delta().unwrap_or(invalid));
        };
        if is("max-age") {
            first(&mut said.max_age, Duration::ZERO);
        } else if is("s-maxage") {
            first(&mut said.s_maxage, Duration::ZERO);
        } else if is("stale-while-revalidate") {
            first(&mut said.stale_while_revalidate, Duration::ZERO);
        } else if is("stale-if-error") {
            first(&mut said.stale_if_error, Duration::ZERO);
        } else if is("no-store") || is("private") {
            // §5.2.2.7: with field names it forbids less. "Often handled as if unqualified", and that is the safe side.
            said.forbids = true;
        } else if is("no-cache") {
            said.no_cache = true; // §5.2.2.4: likewise
        } else if is("must-revalidate") || is("proxy-revalidate") {
            said.must_revalidate = true;
        }
    }
    said
}

/// Whether `Cache-Control` has this directive, with or without an argument.
pub(super) fn has(headers: &HeaderMap, directive: &str) -> bool {
    cache_control(headers).any(|(name, _)| name.eq_ignore_ascii_case(directive.as_bytes()))
}

/// The date of a field, if it is one of the three forms of RFC 9110 §5.6.7, in any case.
///
/// RFC 9111 §4.2: a cache should compare the words of a date without case, and take no other zone than GMT.
pub(super) fn date(value: &HeaderValue) -> Option<SystemTime> {
    let text = value.to_str().ok()?.trim_ascii();
    httpdate::parse_http_date(text)
        .or_else(|_| httpdate::parse_http_date(&in_canonical_case(text)))
        .ok()
}

/// Each word with one capital at its front, but `GMT`.
fn in_canonical_case(text: &str) -> String {
    let mut canonical = String::with_capacity(text.len());
    for word in text.split_inclusive(|letter: char| !letter.is_ascii_alphabetic()) {
        let is_zone = word
            .get(..3)
            .is_some_and(|zone| zone.eq_ignore_ascii_case("gmt"));
        for (index, letter) in word.chars().enumerate() {
            canonical.push(if index == 0 || is_zone {
                letter.to_ascii_uppercase()
            } else {
                letter.to_ascii_lowercase()
            });
        }
    }
    canonical
}

/// RFC 9111 §5.3: `Expires` minus `Date`; what is no date, "especially the value 0", is in the past.
fn expires(headers: &HeaderMap) -> Option<Duration> {
    let expires = date(headers.get(EXPIRES)?);
    let made = headers.get(DATE).and_then(date);
    let (Some(expires), Some(made)) = (expires, made) else {
        return Some(Duration::ZERO);
    };
    Some(
        expires
            .duration_since(made)
            .unwrap_or_default()
            .min(DELTA_MAX),
    )
}

/// RFC 9111 §5.1: of a list the first member counts; what is no number is ignored.
fn age(headers: &HeaderMap) -> Duration {
    members(headers, &AGE)
        .next()
        .and_then(delta_seconds)
        .unwrap_or_default()
}

/// The members of a list field without quoted strings, over all its lines; empty ones too.
pub(super) fn members<'a>(
    headers: &'a HeaderMap,
    name: &http::HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// RFC 9111 §1.2.2: digits only, as many as there are.
fn delta_seconds(digits: &[u8]) -> Option<Duration> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| {
        let seconds = digits.iter().fold(0_u64, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        });
        Duration::from_secs(seconds).min(DELTA_MAX)
    })
}

/// What stands after the `=` of a directive.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Argument<'a> {
    Absent,
    /// As it stands, valid or not.
    Bare(&'a [u8]),
    /// Without its quotes and backslashes.
    Quoted(Vec<u8>),
}

impl Argument<'_> {
    /// RFC 9111 §5.2: a recipient ought to accept both forms of an argument.
    fn delta(&self) -> Option<Duration> {
        match self {
            Self::Absent => None,
            Self::Bare(digits) => delta_seconds(digits),
            Self::Quoted(digits) => delta_seconds(digits),
        }
    }
}

/// The directives of all lines, in their order. A quoted string does not go on in the next line.
fn cache_control(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], Argument<'_>)> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|value| Line(value.as_bytes()))
}

/// What is left of a line.
struct Line<'a>(&'a [u8]);

impl<'a> Iterator for Line<'a> {
    type Item = (&'a [u8], Argument<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        // RFC 9110 §5.6.1.2: empty elements are to be ignored.
        let start = self.0.iter().position(|byte| !b", \t".contains(byte))?;
        let rest = &self.0[start..];
        let name_len = rest.iter().position(|byte| b"=,".contains(byte));
        let (name, rest) = rest.split_at(name_len.unwrap_or(rest.len()));
        let argument = match rest {
            [b'=', b'"', quoted @ ..] => {
                let (text, after) = unquote(quoted);
                // Anything between the closing quote and the comma belongs to no grammar: the argument is not one.
                let (junk, after) = up_to_comma(after);
                self.0 = after;
                if junk.trim_ascii().is_empty() {
                    text.map_or(Argument::Bare(quoted), Argument::Quoted)
                } else {
                    Argument::Bare(quoted)
                }
            }
            [b'=', bare @ ..] => {
                let (bare, after) = up_to_comma(bare);
                self.0 = after;
                // Spaces before the comma are legal, spaces after the `=` are not and so spoil the argument.
                Argument::Bare(bare.trim_ascii_end())
            }
            after => {
                self.0 = after;
                Argument::Absent
            }
        };
        // `max-age =1` names max-age and gives it no argument that counts: invalid, hence stale.
        let is_spaced = name.trim_ascii_end().len() < name.len() && argument != Argument::Absent;
        let argument = if is_spaced {
            Argument::Absent
        } else {
            argument
        };
        Some((name.trim_ascii_end(), argument))
    }
}

fn up_to_comma(text: &[u8]) -> (&[u8], &[u8]) {
    let comma = text.iter().position(|byte| *byte == b',');
    text.split_at(comma.unwrap_or(text.len()))
}

/// RFC 9110 §5.6.4: the text of a quoted string whose opening quote is behind us, and what follows its closing one.
/// `None` when it is never closed.
fn unquote(quoted: &[u8]) -> (Option<Vec<u8>>, &[u8]) {
    let mut text = Vec::new();
    let mut at = 0;
    while let Some(byte) = quoted.get(at) {
        match byte {
            b'"' => return (Some(text), &quoted[at + 1..]),
            b'\\' => {
                at += 1;
                text.extend(quoted.get(at));
            }
            other => text.push(*other),
        }
        at += 1;
    }
    (None, &[])
}
