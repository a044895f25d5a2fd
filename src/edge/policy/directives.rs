//! The grammar behind E-1: `Cache-Control`, `Expires`, `Age` and `Date` of an answer, read with care.
//!
//! Owns RFC 9111 §5.1 to §5.3, RFC 5861 and RFC 8246 as syntax. Never fails: what makes no sense makes an answer stale
//! (RFC 9111 §4.2.1), since a stale answer costs a request and a wrong one costs an update. Meaning: `freshness.rs`.

use std::time::{Duration, SystemTime};

use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderMap, HeaderValue, VARY};

use super::freshness::Directives;

/// The longest time a directive can name: a hundred years, which is what AWS allows (fact 2). RFC 9111 §1.2.2 lets a
/// cache take any large number for larger ones; with this one no sum of two overflows.
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
    /// A quoted string that is none, or spaces before the `=`.
    Broken,
    /// As it stands, token or not.
    Bare(&'a [u8]),
    /// Without its quotes and backslashes.
    Quoted(Vec<u8>),
}

impl Argument<'_> {
    /// RFC 9111 §5.2: a recipient ought to accept both forms of an argument.
    fn delta(&self) -> Option<Duration> {
        match self {
            Self::Absent | Self::Broken => None,
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
                // Anything between the closing quote and the comma belongs to no grammar.
                let (junk, after) = up_to_comma(after);
                self.0 = after;
                text.filter(|_| junk.trim_ascii().is_empty())
                    .map_or(Argument::Broken, Argument::Quoted)
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
        let token = name.trim_ascii_end();
        // `max-age =1` names max-age and gives it nothing that counts: stale.
        let is_spaced = token.len() < name.len() && argument != Argument::Absent;
        Some((
            token,
            if is_spaced {
                Argument::Broken
            } else {
                argument
            },
        ))
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

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::super::testing::rows;
    use super::*;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn of(values: &[&str]) -> Directives {
        let lines: Vec<_> = values.iter().map(|value| (CACHE_CONTROL, *value)).collect();
        read(&headers(&lines))
    }

    const HUNDRED_YEARS: u64 = 3_153_600_000;

    #[test]
    fn max_age_is_read_as_the_grammar_says_and_is_stale_where_it_does_not() {
        for (values, expected) in [
            (&["max-age=3600"][..], Some(3600)),
            (&["max-age=0"], Some(0)),
            (&["MaX-aGe=3600"], Some(3600)),
            (&["max-age=003600"], Some(3600)),
            (&["max-age=\"3600\""], Some(3600)),
            (&["max-age=\"36\\00\""], Some(3600)),
            (&["max-age=\"3600\" , public"], Some(3600)),
            (&["max-age=3600 \t,public"], Some(3600)),
            (&["foobar, max-age=3600"], Some(3600)),
            (&["foobar=1;max-age=1, max-age=3600"], Some(3600)),
            (&[",, ,max-age=3600,"], Some(3600)),
            (&["public", "max-age=3600"], Some(3600)),
            // RFC 9111 §1.2.2: too large is large.
            (&["max-age=2147483647"], Some(2_147_483_647)),
            (&["max-age=2147483648"], Some(2_147_483_648)),
            (&["max-age=99999999999"], Some(HUNDRED_YEARS)),
            (&["max-age=18446744073709551616"], Some(HUNDRED_YEARS)),
            (
                &["max-age=99999999999999999999999999999999"],
                Some(HUNDRED_YEARS),
            ),
            // RFC 9111 §4.2.1: the first occurrence.
            (&["max-age=1800, max-age=1"], Some(1800)),
            (&["max-age=1, max-age=1800"], Some(1)),
            (&["max-age=1800", "max-age=1"], Some(1800)),
            (&["max-age=1", "max-age=1800"], Some(1)),
            (&["max-age=a, max-age=1800"], Some(0)),
            // … and what is invalid is stale.
            (&["max-age"], Some(0)),
            (&["max-age="], Some(0)),
            (&["max-age=\"\""], Some(0)),
            (&["max-age=-3600"], Some(0)),
            (&["max-age=+3600"], Some(0)),
            (&["max-age='3600'"], Some(0)),
            (&["max-age=3600.0"], Some(0)),
            (&["max-age=3600.5"], Some(0)),
            (&["max-age=a3600"], Some(0)),
            (&["max-age=3600a"], Some(0)),
            (&["max-age=3600;x=y"], Some(0)),
            (&["max-age=1e3"], Some(0)),
            (&["max-age= 3600"], Some(0)),
            (&["max-age =3600"], Some(0)),
            (&["max-age=\" 3600\""], Some(0)),
            (&["max-age=\"3600"], Some(0)),
            (&["max-age=\"3600\"5"], Some(0)),
            (&["max-age=\"3600", "public\""], Some(0)),
            // Another name is another directive.
            (&["x-max-age=3600"], None),
            (&["max-age-x=3600"], None),
            (&["maxage=3600"], None),
            (&["max-age:3600"], None),
            (&[""], None),
            (&["="], None),
            (&["=3600"], None),
            // What stands in a quoted string is no directive.
            (&["extension=\"max-age=3600\", max-age=1"], Some(1)),
            (&["max-age=1, extension=\"max-age=3600\""], Some(1)),
            (&["extension=\"a, max-age=3600, b\""], None),
            (&["extension=\"\\\", max-age=3600, \\\"\""], None),
            (&["extension=\"never closed, max-age=3600"], None),
            (&["extension=\"never closed", "max-age=3600"], Some(3600)),
        ] {
            let found = of(values).max_age.map(|age| age.as_secs());
            assert_eq!(found, expected, "{values:?}");
        }
    }

    #[test]
    fn the_other_directives_are_read_by_the_same_grammar() {
        let none = Directives::default();
        let forbids = Directives {
            forbids: true,
            ..none
        };
        let no_cache = Directives {
            no_cache: true,
            ..none
        };
        let must_revalidate = Directives {
            must_revalidate: true,
            ..none
        };
        let after = |revalidate: Option<u64>, error: Option<u64>| Directives {
            stale_while_revalidate: revalidate.map(Duration::from_secs),
            stale_if_error: error.map(Duration::from_secs),
            ..none
        };
        for (value, expected) in [
            (
                "public, immutable, no-transform, must-understand, unknown=7",
                none,
            ),
            ("no-store", forbids),
            ("No-StOrE", forbids),
            ("private", forbids),
            ("PRIVATE", forbids),
            ("private=\"set-cookie, x\"", forbids),
            ("no-store, must-understand", forbids),
            ("no-storex, noprivate, \"no-store\"", none),
            ("x=\"no-store\"", none),
            ("no-cache", no_cache),
            ("No-CaChE", no_cache),
            ("no-cache=\"a, b\"", no_cache),
            ("must-revalidate", must_revalidate),
            ("Proxy-Revalidate", must_revalidate),
            ("stale-while-revalidate=30", after(Some(30), None)),
            ("stale-while-revalidate=\"30\"", after(Some(30), None)),
            ("stale-while-revalidate", after(Some(0), None)),
            ("stale-while-revalidate=soon", after(Some(0), None)),
            ("Stale-If-Error=60, stale-if-error=1", after(None, Some(60))),
            ("stale-if-error=-1", after(None, Some(0))),
            (
                "stale-if-error=99999999999",
                after(None, Some(HUNDRED_YEARS)),
            ),
        ] {
            assert_eq!(of(&[value]), expected, "{value}");
        }
        assert_eq!(of(&["s-maxage=5"]).s_maxage, Some(Duration::from_secs(5)));
        assert_eq!(of(&["S-MAXAGE=x"]).s_maxage, Some(Duration::ZERO));
        assert_eq!(of(&["s-max-age=5"]), none);
    }

    /// `Expires`, and how many seconds after `Date` that is.
    const EXPIRES_AT_TEN: &str = "
        a minute             | Sun, 22 Nov 2026 10:01:00 GMT    | 60
        at once              | Sun, 22 Nov 2026 10:00:00 GMT    | 0
        the past             | Sun, 22 Nov 2026 09:59:59 GMT    | 0
        far away             | Thu, 18 Aug 2050 02:01:18 GMT    | 749059278
        over a hundred years | Fri, 31 Dec 9999 23:59:59 GMT    | 3153600000
        RFC 850              | Sunday, 22-Nov-26 10:01:00 GMT   | 60
        asctime              | Sun Nov 22 10:01:00 2026         | 60
        case of the weekday  | SUN, 22 Nov 2026 10:01:00 GMT    | 60
        case of the month    | Sun, 22 NOV 2026 10:01:00 GMT    | 60
        case of the zone     | Sun, 22 Nov 2026 10:01:00 gMT    | 60
        case of all          | sunday, 22-nov-26 10:01:00 gmt   | 60
        zero                 | 0                                | 0
        a number             | -1                               | 0
        nothing              |                                  | 0
        another zone         | Sun, 22 Nov 2026 10:01:00 UTC    | 0
        a time difference    | Sun, 22 Nov 2026 10:01:00 +0000  | 0
        no comma             | Sun 22 Nov 2026 10:01:00 GMT     | 0
        two spaces           | Sun, 22  Nov  2026 10:01:00 GMT  | 0
        dashes               | Sun, 22-Nov-2026 10:01:00 GMT    | 0
        a year of two digits | Sun, 22 Nov 26 10:01:00 GMT      | 0
        an hour of one digit | Sun, 22 Nov 2026 1:01:00 GMT     | 0
        points in the time   | Sun, 22 Nov 2026 10.01.00 GMT    | 0
        more than a date     | Sun, 22 Nov 2026 10:01:00 GMT, x | 0
    ";

    #[test]
    fn expires_is_counted_from_date_and_has_passed_where_either_is_none() {
        let ten = "Sun, 22 Nov 2026 10:00:00 GMT";
        let seconds =
            |lines: &[(HeaderName, &str)]| read(&headers(lines)).expires.map(|age| age.as_secs());
        for [row, expires, expected] in rows::<3>(EXPIRES_AT_TEN) {
            let found = seconds(&[(EXPIRES, expires), (DATE, ten)]);
            assert_eq!(found, Some(expected.parse().unwrap()), "{row}: {expires}");
        }
        let slow = "Sun, 22 Nov 2026 09:59:00 GMT";
        let fast = "Sun, 22 Nov 2026 10:01:00 GMT";
        assert_eq!(
            seconds(&[(EXPIRES, ten), (DATE, slow)]),
            Some(60),
            "a slow clock"
        );
        assert_eq!(
            seconds(&[(EXPIRES, ten), (DATE, fast)]),
            Some(0),
            "a fast clock"
        );
        assert_eq!(
            seconds(&[(EXPIRES, fast), (DATE, "foo")]),
            Some(0),
            "no date"
        );
        assert_eq!(seconds(&[(EXPIRES, fast)]), Some(0), "no Date");
        assert_eq!(seconds(&[(DATE, ten)]), None, "no Expires");
        let twice = [(EXPIRES, fast), (EXPIRES, "0"), (DATE, ten)];
        assert_eq!(seconds(&twice), Some(60), "the first of two");
    }

    #[test]
    fn age_is_the_first_member_and_nothing_where_that_is_no_number() {
        for (values, expected) in [
            (&["0"][..], 0),
            (&["7200"], 7200),
            (&["007200"], 7200),
            (&["7200,0"], 7200),
            (&["7200", "0"], 7200),
            (&["0,7200"], 0),
            (&["0", "7200"], 0),
            (&["7200, 7200"], 7200),
            (&["2147483648"], 2_147_483_648),
            (&["99999999999999999999"], HUNDRED_YEARS),
            (&["abc"], 0),
            (&["-7200"], 0),
            (&["7200.0"], 0),
            (&["7200;foo=bar"], 0),
            (&["\"7200\""], 0),
            (&["abc, 7200"], 0),
            (&[""], 0),
        ] {
            let lines: Vec<_> = values.iter().map(|value| (AGE, *value)).collect();
            assert_eq!(read(&headers(&lines)).age.as_secs(), expected, "{values:?}");
        }
    }

    #[test]
    fn vary_counts_where_one_of_its_members_is_a_star() {
        for (values, expected) in [
            (&["*"][..], true),
            (&["accept-encoding, *"], true),
            (&[" * ,x"], true),
            (&["accept", "*"], true),
            (&["accept, cookie"], false),
            (&["**"], false),
            (&[""], false),
        ] {
            let lines: Vec<_> = values.iter().map(|value| (VARY, *value)).collect();
            assert_eq!(
                read(&headers(&lines)).varies_on_everything,
                expected,
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_directive_is_found_by_its_name_alone() {
        let of = |value| has(&headers(&[(CACHE_CONTROL, value)]), "no-transform");
        assert!(of("max-age=1, No-Transform") && of("no-transform=\"x\""));
        assert!(!of("x=\"no-transform\"") && !of("no-transforms"));
    }

    /// Pieces that a quoted string, a directive or a list can break on.
    fn cache_control_like() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "max-age", "s-maxage", "no-store", "=", "\"", "\\", ",", " ", "\t", "60", "x", "\u{ff}",
        ]);
        prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn no_value_of_any_field_stops_the_reader(
            value in prop_oneof![cache_control_like(), prop::collection::vec(any::<u8>(), 0..40)],
        ) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let headers = HeaderMap::from_iter(
                    [CACHE_CONTROL, EXPIRES, DATE, AGE, VARY].map(|name| (name, value.clone())),
                );
                let said = read(&headers);
                for time in [said.max_age, said.s_maxage, said.expires, Some(said.age)] {
                    prop_assert!(time.unwrap_or_default() <= DELTA_MAX);
                }
            }
        }

        #[test]
        fn a_directive_is_the_same_on_one_line_and_on_several(
            members in prop::collection::vec(
                "(max-age|s-maxage|no-store|x)(=([0-9]{1,3}|\"[a-z, ]{0,6}\"))?", 0..5,
            ),
        ) {
            let members: Vec<_> = members.iter().map(String::as_str).collect();
            prop_assert_eq!(of(&[&members.join(", ")]), of(&members));
        }

        #[test]
        fn every_date_is_read_back_in_any_case(seconds in 0_u64..253_402_300_800) {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let text = httpdate::fmt_http_date(at);
            for text in [text.clone(), text.to_lowercase(), text.to_uppercase()] {
                prop_assert_eq!(date(&HeaderValue::from_str(&text).unwrap()), Some(at), "{}", text);
            }
        }
    }
}
