//! E-2: which requests share one cached object.
//!
//! Owns the cache key and what of a request is in it. Never says what a key's object is.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, COOKIE};
use http::{HeaderMap, HeaderName, Method, Uri};

use super::directives::members;

/// Which of several named things take part.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Selection {
    /// None (CloudFront's default).
    #[default]
    None,
    /// These.
    Only(Vec<String>),
    /// All but these.
    AllExcept(Vec<String>),
    /// All.
    All,
}

impl Selection {
    /// Whether anything can take part at all.
    #[must_use]
    pub fn any(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether this one takes part. Case matters.
    fn takes(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Only(names) => names.iter().any(|known| known == name),
            Self::AllExcept(names) => !names.iter().any(|known| known == name),
            Self::All => true,
        }
    }

    /// The members of a query or a cookie string whose names take part, in their order.
    fn of<'a>(&'a self, text: &'a str, separator: char) -> impl Iterator<Item = &'a str> {
        text.split(separator).map(str::trim_ascii).filter(|member| {
            let name = member.split_once('=').map_or(*member, |(name, _)| name);
            !member.is_empty() && self.takes(name)
        })
    }
}

/// What is in a key beside distribution and path. All of it is forwarded to the origin as well.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KeyParts {
    /// Query parameters; case and order matter.
    pub query: Selection,
    /// Headers.
    pub headers: Vec<HeaderName>,
    /// Cookies.
    pub cookies: Selection,
    /// `Accept-Encoding`, normalised, may say gzip.
    pub gzip: bool,
    /// … and br.
    pub brotli: bool,
}

/// A cache key. Two requests with equal keys get the same object.
///
/// Lines: the distribution's domain, the path (with the query that takes part), then one for each other thing that
/// takes part. Nothing of a request can hold a line feed, so that no two requests can write the same key by accident.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key(pub Arc<str>);

impl Key {
    /// The path part, for invalidations: with the query string if that is in the key (fact 76).
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.split('\n').nth(1).unwrap_or_default()
    }
}

/// The key of a request.
///
/// Scheme and authority of the request target take no part (T8), nor does the method, but for OPTIONS.
#[must_use]
pub fn key(domain: &str, method: &Method, uri: &Uri, headers: &HeaderMap, parts: &KeyParts) -> Key {
    thread_local! {
        // Every request of every layer makes a key. Written here first, it costs one allocation: the shared string
        // itself.
        static DRAFT: RefCell<String> = const { RefCell::new(String::new()) };
    }
    DRAFT.with_borrow_mut(|draft| {
        draft.clear();
        draft.push_str(domain);
        draft.push('\n');
        draft.push_str(uri.path());
        push_query(draft, uri, &parts.query);
        if method == Method::OPTIONS {
            draft.push_str("\nOPTIONS");
        }
        for name in &parts.headers {
            push_header(draft, name, headers);
        }
        if let Some(cookies) = cookies(headers, &parts.cookies) {
            push_line(draft, "cookie", &cookies);
        }
        if let Some(encodings) = accept_encoding(headers, parts) {
            push_line(draft, "accept-encoding", encodings);
        }
        Key(Arc::from(draft.as_str()))
    })
}

/// Appends `?` and the parameters that take part, as they stand; nothing when there is none.
pub(super) fn push_query(text: &mut String, uri: &Uri, selection: &Selection) {
    let query = uri.query().unwrap_or_default();
    if matches!(selection, Selection::All) && !query.is_empty() {
        text.push('?');
        text.push_str(query);
        return;
    }
    for (index, parameter) in selection.of(query, '&').enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(parameter);
    }
}

/// The cookies that take part, as one field; none when there is none.
pub(super) fn cookies(headers: &HeaderMap, selection: &Selection) -> Option<String> {
    if !selection.any() {
        return None;
    }
    let mut chosen = String::new();
    for value in headers.get_all(COOKIE) {
        let text = latin1(value.as_bytes());
        for cookie in selection.of(&text, ';') {
            chosen.push_str(if chosen.is_empty() { "" } else { "; " });
            chosen.push_str(cookie);
        }
    }
    (!chosen.is_empty()).then_some(chosen)
}

/// A header that is absent adds nothing, so that it differs from one that is empty.
fn push_header(draft: &mut String, name: &HeaderName, headers: &HeaderMap) {
    for value in headers.get_all(name) {
        push_line(draft, name.as_str(), &latin1(value.as_bytes()));
    }
}

fn push_line(draft: &mut String, name: &str, value: &str) {
    // Writing into a string cannot fail.
    let _ = write!(draft, "\n{name}:{value}");
}

/// One character per byte: no two values become one, whatever bytes they hold.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// `Accept-Encoding` as it enters the key and goes to the origin: `br,gzip`, `gzip`, `br`, or `None` (identity).
///
/// Only codings that the viewer names count. AWS does not say what `*` is worth; nothing here, for identity is always
/// right.
#[must_use]
pub fn accept_encoding(headers: &HeaderMap, parts: &KeyParts) -> Option<&'static str> {
    if !(parts.gzip || parts.brotli) {
        return None;
    }
    let (mut gzip, mut brotli) = (None, None);
    for member in members(headers, &ACCEPT_ENCODING) {
        let (coding, is_accepted) = weighed(member);
        let seen = match coding {
            name if name.eq_ignore_ascii_case(b"gzip") => &mut gzip,
            name if name.eq_ignore_ascii_case(b"br") => &mut brotli,
            _ => continue,
        };
        // Named twice, a refusal counts.
        *seen = Some(seen.unwrap_or(true) && is_accepted);
    }
    match (
        parts.brotli && brotli == Some(true),
        parts.gzip && gzip == Some(true),
    ) {
        (true, true) => Some("br,gzip"),
        (true, false) => Some("br"),
        (false, true) => Some("gzip"),
        (false, false) => None,
    }
}

/// A coding, and whether its weight is a weight above 0 (RFC 9110 §12.4.2); without one it is 1.
fn weighed(member: &[u8]) -> (&[u8], bool) {
    let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let coding = parts.next().unwrap_or_default();
    let is_accepted = parts.all(|parameter| match parameter {
        [b'q' | b'Q', b'=', weight @ ..] => is_weight_above_zero(weight),
        _ => false,
    });
    (coding, is_accepted)
}

/// `0` to `1` with up to three decimals.
fn is_weight_above_zero(weight: &[u8]) -> bool {
    let (whole, decimals) = match weight {
        [whole, b'.', decimals @ ..] => (*whole, decimals),
        [whole] => (*whole, &[][..]),
        _ => return false,
    };
    let are_digits = decimals.len() <= 3 && decimals.iter().all(u8::is_ascii_digit);
    let is_fraction = decimals.iter().any(|digit| *digit != b'0');
    are_digits && matches!((whole, is_fraction), (b'1', false) | (b'0', true))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::super::testing::{headers, rows};
    use super::*;

    const DOMAIN: &str = "d111111abcdef8.cloudfront.net";

    /// `GET /path` and header lines: a request as a row of a table.
    fn of(request: &str, lines: &[(&str, &str)], parts: &KeyParts) -> Key {
        let (method, target) = request.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        key(
            DOMAIN,
            &method,
            &target.parse().unwrap(),
            &headers(lines),
            parts,
        )
    }

    fn only(names: &[&str]) -> Selection {
        Selection::Only(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// The parameters in the key, and two requests.
    const E2: &str = "
        T6 not listed             | none      | GET /a?x=1           | GET /a?x=2            | same
        T6 there or not           | none      | GET /a               | GET /a?x=2            | same
        T6 another path           | none      | GET /a               | GET /b                | other
        T6 a path's case          | none      | GET /a               | GET /A                | other
        T6 a path's slash         | none      | GET /a               | GET /a/               | other
        T6 an escape              | none      | GET /%61             | GET /a                | other
        T6 beside a listed one    | v         | GET /a?v=1&x=1       | GET /a?x=2&v=1        | same
        T6 begins like a listed   | v         | GET /a?vv=1          | GET /a?vv=2           | same
        T7 its value              | v         | GET /a?v=1           | GET /a?v=2            | other
        T7 there or not           | v         | GET /a?v             | GET /a                | other
        T7 empty or without value | v         | GET /a?v=            | GET /a?v              | other
        T7 the order              | v w       | GET /a?v=1&w=2       | GET /a?w=2&v=1        | other
        T7 the case of a name     | v         | GET /a?v=1           | GET /a?V=1            | other
        T7 the case of a value    | v         | GET /a?v=a           | GET /a?v=A            | other
        T7 twice                  | v         | GET /a?v=1&v=2       | GET /a?v=1            | other
        T7 not path and query     | all       | GET /a?v             | GET /a%3Fv            | other
        T7 all: the order         | all       | GET /a?v=1&w=2       | GET /a?w=2&v=1        | other
        T7 all: an empty query    | all       | GET /a?              | GET /a                | same
        T7 all but one            | all but t | GET /a?t=1&v=1       | GET /a?v=1&t=2        | same
        T7 all but one            | all but t | GET /a?v=1           | GET /a?v=2            | other
        T8 the scheme             | all       | GET http://a.x/b?v=1 | GET https://a.x/b?v=1 | same
        T8 the target's form      | none      | GET http://a.x/b     | GET /b                | same
        T10 HEAD and GET          | all       | HEAD /a?v=1          | GET /a?v=1            | same
        T10 OPTIONS is apart      | none      | OPTIONS /a           | GET /a                | other
    ";

    #[test]
    fn e2_key() {
        for [row, listed, a, b, expected] in rows::<5>(E2) {
            let query = match listed {
                "none" => Selection::None,
                "all" => Selection::All,
                "all but t" => Selection::AllExcept(vec!["t".into()]),
                names => only(&names.split(' ').collect::<Vec<_>>()),
            };
            let parts = KeyParts {
                query,
                ..KeyParts::default()
            };
            let is_same = of(a, &[], &parts) == of(b, &[], &parts);
            assert_eq!(is_same, expected == "same", "{row}: `{a}` and `{b}`");
        }
    }

    #[test]
    fn e2_headers_and_cookies_in_the_key() {
        let parts = KeyParts {
            headers: vec![
                HeaderName::from_static("x-ring"),
                HeaderName::from_static("origin"),
            ],
            cookies: only(&["id"]),
            ..KeyParts::default()
        };
        for (row, a, b, are_equal) in [
            (
                "T6 a header that is not listed",
                &[("x-other", "1")][..],
                &[][..],
                true,
            ),
            (
                "T6 a cookie that is not listed",
                &[("cookie", "a=1")],
                &[("cookie", "a=2; b")],
                true,
            ),
            (
                "T7 a listed header",
                &[("x-ring", "1")],
                &[("x-ring", "2")],
                false,
            ),
            ("T7 a listed header or none", &[("x-ring", "")], &[], false),
            ("T7 its case", &[("x-ring", "a")], &[("x-ring", "A")], false),
            (
                "T7 the same value in two headers",
                &[("x-ring", "1")],
                &[("origin", "1")],
                false,
            ),
            (
                "T7 bytes beyond ASCII",
                &[("x-ring", "\u{e4}")],
                &[("x-ring", "\u{f6}")],
                false,
            ),
            (
                "T7 a listed cookie",
                &[("cookie", "id=1")],
                &[("cookie", "id=2")],
                false,
            ),
            (
                "T7 … among others",
                &[("cookie", "id=1; a=2")],
                &[("cookie", "b=3;id=1")],
                true,
            ),
            (
                "T7 … on two lines",
                &[("cookie", "a=1"), ("cookie", "id=1")],
                &[("cookie", "id=1")],
                true,
            ),
            (
                "T7 the case of a cookie",
                &[("cookie", "id=1")],
                &[("cookie", "ID=1")],
                false,
            ),
        ] {
            let equal = of("GET /", a, &parts) == of("GET /", b, &parts);
            assert_eq!(equal, are_equal, "{row}: {a:?} and {b:?}");
        }
    }

    /// What is enabled, the lines of the field, and what becomes of them.
    const E2_ACCEPT_ENCODING: &str = "
        T9                      | gzip br | gzip, deflate, zstd, br   | br,gzip
        T9                      | gzip br | br,gzip                   | br,gzip
        T9 two lines            | gzip br | gzip + br                 | br,gzip
        T9                      | gzip br | gzip                      | gzip
        T9                      | gzip br | br                        | br
        T9                      | gzip br | deflate                   | none
        T9 empty                | gzip br |                           | none
        T9 identity             | gzip br | identity                  | none
        T9 any case             | gzip br | GZIP, Br                  | br,gzip
        T9 a weight             | gzip br | gzip;q=0.5, br ; q=1.000  | br,gzip
        T9 the least weight     | gzip br | gzip;q=0.001              | gzip
        T9 q=0                  | gzip br | gzip;q=0, br              | br
        T9 q=0, in any form     | gzip br | gzip;Q=0.000, br;q=0.0    | none
        T9 q=0, in any form     | gzip br | gzip;q=0.                 | none
        T9 no weight            | gzip br | gzip;q=2, br;q=x          | none
        T9 no weight            | gzip br | gzip;q=, br;q=1.1         | none
        T9 no weight            | gzip br | gzip;q=0.0001, br;level=9 | none
        T9 a refusal counts     | gzip br | gzip, gzip;q=0            | none
        T9 a refusal counts     | gzip br | gzip;q=0 + gzip           | none
        T9 a longer name        | gzip br | gzipped, brotli           | none
        T9 a star names nothing | gzip br | *                         | none
        T9 only gzip is enabled | gzip    | br, gzip                  | gzip
        T9 only br is enabled   | br      | br, gzip                  | br
        T9 nothing is enabled   |         | br, gzip                  | none
    ";

    #[test]
    fn e2_accept_encoding() {
        for [row, enabled, lines, expected] in rows::<4>(E2_ACCEPT_ENCODING) {
            let parts = KeyParts {
                gzip: enabled.contains("gzip"),
                brotli: enabled.contains("br"),
                ..KeyParts::default()
            };
            let lines: Vec<_> = lines
                .split(" + ")
                .map(|line| ("accept-encoding", line))
                .collect();
            let found = accept_encoding(&headers(&lines), &parts);
            assert_eq!(found.unwrap_or("none"), expected, "{row}: {lines:?}");
            let is_apart = of("GET /a", &lines, &parts) != of("GET /a", &[], &parts);
            assert_eq!(is_apart, found.is_some(), "{row}: in the key");
        }
        let both = KeyParts {
            gzip: true,
            brotli: true,
            ..KeyParts::default()
        };
        assert_eq!(
            accept_encoding(&HeaderMap::new(), &both),
            None,
            "T9 no field"
        );
    }

    #[test]
    fn the_path_of_a_key_has_the_query_that_is_in_it() {
        for (selection, expected) in [
            (Selection::None, "/a/b%20c"),
            (Selection::All, "/a/b%20c?v=1&w=2"),
            (only(&["w"]), "/a/b%20c?w=2"),
        ] {
            let parts = KeyParts {
                query: selection,
                headers: vec![HeaderName::from_static("x-ring")],
                ..KeyParts::default()
            };
            let key = of("OPTIONS /a/b%20c?v=1&w=2", &[("x-ring", "/x")], &parts);
            assert_eq!(key.path(), expected);
        }
        assert_eq!(of("OPTIONS *", &[], &KeyParts::default()).path(), "*");
    }

    proptest! {
        #[test]
        fn two_values_of_a_header_share_a_key_only_if_they_are_equal(
            a in prop::collection::vec(any::<u8>(), 0..6),
            b in prop::collection::vec(any::<u8>(), 0..6),
        ) {
            let name = HeaderName::from_static("x-ring");
            let parts = KeyParts { headers: vec![name.clone()], ..KeyParts::default() };
            let of = |bytes: &[u8]| {
                let value = HeaderValue::from_bytes(bytes).ok()?;
                let headers = HeaderMap::from_iter([(name.clone(), value)]);
                Some(key(DOMAIN, &Method::GET, &Uri::from_static("/"), &headers, &parts))
            };
            if let (Some(key_a), Some(key_b)) = (of(&a), of(&b)) {
                prop_assert_eq!(key_a == key_b, a == b);
            }
        }

        #[test]
        fn any_accept_encoding_is_one_of_four(value in "[gzipbr;q=0.1, ]{0,30}") {
            let parts = KeyParts { gzip: true, brotli: true, ..KeyParts::default() };
            let found = accept_encoding(&headers(&[("accept-encoding", &value)]), &parts);
            prop_assert!(matches!(found, None | Some("gzip" | "br" | "br,gzip")));
        }
    }
}
