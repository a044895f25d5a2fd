//! R12, R13: preconditions in the order of RFC 9110 §13.2.2, against an artifact and against what is missing.

use std::time::{Duration, SystemTime};

use crate::harness::fixture::{self, CHANNEL};
use crate::harness::origin::Origin;
use crate::harness::table::each_row;

/// `page`, its validators and dates around its modification.
struct Facts {
    target: String,
    etag: String,
    modified: SystemTime,
}

fn facts(origin: &Origin) -> Facts {
    let target = fixture::url("page");
    let response = origin.get(&target, "");
    let modified = httpdate::parse_http_date(response.need("last-modified")).unwrap();
    Facts {
        target,
        etag: fixture::etag(fixture::body("page")),
        modified,
    }
}

/// The placeholders of the tables: `{E}` the entity tag, `{M}` Last-Modified, `{B}` a second before, `{A}` one after,
/// `{M850}` and `{MASC}` Last-Modified in the obsolete forms (RFC 9110 §5.6.7).
fn fill(template: &str, facts: &Facts) -> String {
    let second = Duration::from_secs(1);
    let text = |time| httpdate::fmt_http_date(time);
    let imf = text(facts.modified);
    let (day, date) = imf.split_once(", ").unwrap();
    let parts: Vec<&str> = date.split(' ').collect();
    let (dd, month, year, time) = (parts[0], parts[1], parts[2], parts[3]);
    let long = match day {
        "Tue" => "Tuesday",
        "Wed" => "Wednesday",
        "Thu" => "Thursday",
        "Sat" => "Saturday",
        _ => &format!("{day}day"),
    };
    template
        .replace("{E}", &facts.etag)
        .replace(
            "{M850}",
            &format!("{long}, {dd}-{month}-{} {time} GMT", &year[2..]),
        )
        .replace(
            "{MASC}",
            &format!(
                "{day} {month} {:>2} {time} {year}",
                dd.trim_start_matches('0')
            ),
        )
        .replace("{M}", &imf)
        .replace("{B}", &text(facts.modified - second))
        .replace("{A}", &text(facts.modified + second))
}

/// Fields separated by ` | `, the status for GET and HEAD alike.
type Row = (&'static str, &'static str, u16);

fn check(rows: &[Row], target: impl Fn(&Facts) -> String) {
    let origin = Origin::shared();
    let facts = facts(&origin);
    each_row(
        rows,
        |row| format!("{}: {}", row.0, row.1),
        |(_, template, status)| {
            let fields: String = fill(template, &facts)
                .split(" | ")
                .filter(|line| !line.is_empty())
                .flat_map(|line| [line, "\r\n"])
                .collect();
            for method in ["GET", "HEAD"] {
                let mut conn = origin.connect();
                let response = conn.request(method, &target(&facts), &fields);
                assert_eq!(response.status, *status, "{method}");
                assert!(!response.says_close(), "{method}");
                conn.assert_usable();
            }
        },
    );
}

#[test]
fn preconditions_are_evaluated_in_the_order_of_the_rfc() {
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("R12 none", "", 200),
        ("R12 If-Match equal", "If-Match: {E}", 200),
        ("R12 If-Match other", "If-Match: \"x\"", 412),
        ("R12 If-Match *", "If-Match: *", 200),
        ("R12 If-Match compares strongly", "If-Match: W/{E}", 412),
        ("R12 If-Match list", "If-Match: \"a\", {E}, \"b\"", 200),
        ("R12 If-Match list without spaces", "If-Match: \"a\",{E}", 200),
        ("R12 If-Match list, tabs, empty elements", "If-Match: ,\t\"a\" ,, {E}\t,", 200),
        ("R12 If-Match list of others", "If-Match: \"a\", \"b\"", 412),
        ("R12 If-Match, two fields", "If-Match: \"a\" | If-Match: {E}", 200),
        ("R12 If-Match, two fields of others", "If-Match: \"a\" | If-Match: \"b\"", 412),
        ("R12 If-Match, a comma inside a tag", "If-Match: \"a,b\", {E}", 200),
        ("R12 If-None-Match equal", "If-None-Match: {E}", 304),
        ("R12 If-None-Match other", "If-None-Match: \"x\"", 200),
        ("R12 If-None-Match *", "If-None-Match: *", 304),
        ("R12 If-None-Match compares weakly", "If-None-Match: W/{E}", 304),
        ("R12 If-None-Match list", "If-None-Match: \"a\", W/\"b\", {E}", 304),
        ("R12 If-None-Match list without spaces", "If-None-Match: \"a\",{E},\"b\"", 304),
        ("R12 If-None-Match, empty elements", "If-None-Match: ,,{E},", 304),
        ("R12 If-None-Match list of others", "If-None-Match: \"a\", \"b\"", 200),
        ("R12 If-None-Match, two fields", "If-None-Match: \"a\" | If-None-Match: {E}", 304),
        ("R12 If-None-Match, a comma inside a tag", "If-None-Match: \"a,b\",{E}", 304),
        ("R12 If-None-Match, star in quotes", "If-None-Match: \"*\"", 200),
        ("R12 If-None-Match, an empty tag", "If-None-Match: \"\"", 200),
        ("R12 If-None-Match, a prefix of ours", "If-None-Match: \"0\"", 200),
        ("R12 If-Modified-Since equal", "If-Modified-Since: {M}", 304),
        ("R12 If-Modified-Since later", "If-Modified-Since: {A}", 304),
        ("R12 If-Modified-Since earlier", "If-Modified-Since: {B}", 200),
        ("R12 modified since 2100", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", 304),
        ("R12 If-Modified-Since, RFC 850", "If-Modified-Since: {M850}", 304),
        ("R12 If-Modified-Since, asctime", "If-Modified-Since: {MASC}", 304),
        ("R12 If-Unmodified-Since equal", "If-Unmodified-Since: {M}", 200),
        ("R12 If-Unmodified-Since later", "If-Unmodified-Since: {A}", 200),
        ("R12 If-Unmodified-Since earlier", "If-Unmodified-Since: {B}", 412),
        ("R12 unmodified, RFC 850", "If-Unmodified-Since: {M850}", 200),
        ("R12 If-Unmodified-Since, asctime", "If-Unmodified-Since: {MASC}", 200),
        ("R12 epoch", "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT", 412),
        ("R12 a date that is none, modified", "If-Modified-Since: yesterday", 200),
        ("R12 a date that is none, unmodified", "If-Unmodified-Since: yesterday", 200),
        ("R12 a day that is none", "If-Modified-Since: Fri, 32 Jan 2100 00:00:00 GMT", 200),
        ("R12 a zone that is not GMT", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 PST", 200),
        ("R12 a number", "If-Modified-Since: 4102444800", 200),
        ("R12 an empty date", "If-Modified-Since:", 200),
        ("R12 If-Match hides unmodified", "If-Match: {E} | If-Unmodified-Since: {B}", 200),
        ("R12 If-Match fails first", "If-Match: \"x\" | If-Unmodified-Since: {A}", 412),
        ("R12 If-Match before If-None-Match", "If-Match: \"x\" | If-None-Match: {E}", 412),
        ("R12 If-Match, then If-None-Match", "If-Match: {E} | If-None-Match: {E}", 304),
        ("R12 unmodified fails first", "If-Unmodified-Since: {B} | If-None-Match: {E}", 412),
        ("R12 If-None-Match hides modified", "If-None-Match: \"x\" | If-Modified-Since: {M}", 200),
        ("R12 equal, but modified earlier", "If-None-Match: {E} | If-Modified-Since: {B}", 304),
        ("R12 unmodified, then modified", "If-Unmodified-Since: {M} | If-Modified-Since: {M}", 304),
        ("R12 all pass", "If-Match: * | If-Unmodified-Since: {B} | If-None-Match: \"x\"", 200),
        ("R12 field names in capitals", "IF-NONE-MATCH: {E}", 304),
    ];
    check(rows, |facts| facts.target.clone());
}

#[test]
fn what_is_missing_is_missing_whatever_the_preconditions() {
    // RFC 9110 §13.2.1: preconditions are ignored when the answer without them is no 2xx or 412.
    let rows: &[Row] = &[
        ("R12 If-Match", "If-Match: \"x\"", 404),
        ("R12 If-Match *", "If-Match: *", 404),
        ("R12 If-None-Match *", "If-None-Match: *", 404),
        ("R12 modified", "If-Modified-Since: {A}", 404),
        ("R12 unmodified", "If-Unmodified-Since: {B}", 404),
        ("R12 Range", "Range: bytes=0-1", 404),
    ];
    check(rows, |facts| format!("{}-missing", facts.target));
}

#[test]
fn preconditions_come_before_range() {
    let origin = Origin::shared();
    let facts = facts(&origin);
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("R12 304 wins", "Range: bytes=0-1 | If-None-Match: {E}", 304),
        ("R12 412 wins", "Range: bytes=0-1 | If-Match: \"x\"", 412),
        ("R12 412 wins over 416", "Range: bytes=9999- | If-Match: \"x\"", 412),
        ("R12 304 wins over 416", "Range: bytes=9999- | If-Modified-Since: {M}", 304),
        ("R12 passed, then the range", "Range: bytes=0-1 | If-Match: {E}", 206),
        ("R12 passed, then 416", "Range: bytes=9999- | If-None-Match: \"x\"", 416),
        ("R12 If-Range comes last", "Range: bytes=0-1 | If-None-Match: {E} | If-Range: \"x\"", 304),
    ];
    each_row(
        rows,
        |row| row.0.into(),
        |(_, template, status)| {
            let fields = fill(template, &facts).replace(" | ", "\r\n") + "\r\n";
            assert_eq!(origin.get(&facts.target, &fields).status, *status);
        },
    );
}

#[test]
fn a_304_carries_what_the_200_would_and_no_more() {
    let origin = Origin::shared();
    for target in [
        &*fixture::url("page"),
        &*fixture::url("release.json"),
        CHANNEL,
    ] {
        let whole = origin.get(target, "");
        let fields = format!("If-None-Match: {}\r\n", whole.need("etag"));
        let mut conn = origin.connect();
        let unchanged = conn.get(target, &fields);
        assert_eq!(unchanged.status, 304, "{target}");
        for name in ["etag", "cache-control", "last-modified"] {
            assert_eq!(unchanged.need(name), whole.need(name), "{name} of {target}");
        }
        // RFC 9110 §15.4.5: representation metadata would only confuse a cache that trusts it.
        for name in ["content-type", "content-range"] {
            assert_eq!(unchanged.field(name), None, "{name} of {target}");
        }
        if let Some(len) = unchanged.field("content-length") {
            assert_eq!(len, whole.need("content-length"), "RFC 9110 §8.6");
        }
        conn.assert_usable();
    }
}

#[test]
fn a_412_and_a_416_are_small_and_framed_and_the_connection_goes_on() {
    let origin = Origin::shared();
    let mut conn = origin.connect();
    for (fields, status) in [
        ("If-Match: \"x\"\r\n", 412),
        ("Range: bytes=999999999-\r\n", 416),
        ("If-None-Match: *\r\n", 304),
        ("If-Match: \"x\"\r\n", 412),
    ] {
        let response = conn.get(&fixture::url("big"), fields);
        assert_eq!(response.status, status);
        assert!(
            response.body.len() < 1000,
            "{status} of {} bytes",
            response.body.len()
        );
        if status == 416 {
            let whole = fixture::body("big").len();
            assert_eq!(response.need("content-range"), format!("bytes */{whole}"));
            assert_eq!(
                response.field("repr-digest"),
                None,
                "the body is no slice of it"
            );
        }
    }
    conn.assert_usable();
}
