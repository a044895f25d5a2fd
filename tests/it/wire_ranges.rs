//! R14, R16: one range, against a model that is written differently from any server's code.
//!
//! Several ranges are in `wire_multirange`.

use crate::harness::fixture::{self, ARTIFACTS, Random};
use crate::harness::huge;
use crate::harness::origin::{Origin, Setup};
use crate::harness::table::each_row;
use crate::harness::wire::Response;

/// What a `Range` field must do to a representation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// 200: the field is ignored.
    Whole,
    /// 206 with these bytes, first and last.
    Part(u64, u64),
    /// 416.
    Unsatisfiable,
    /// 416, 400, or ignored: anything but a 206.
    NeverPartial,
    /// 206 with all bytes, or ignored.
    All,
    /// 416, or ignored.
    Nothing,
}
use Expected::{All, NeverPartial, Nothing, Part, Unsatisfiable, Whole};

#[track_caller]
fn assert_matches(response: &Response, body: &[u8], expected: Expected) {
    let len = body.len() as u64;
    let whole = response.status == 200 && response.body == body;
    let is_part = |first: u64, last: u64| {
        let slice = &body[usize::try_from(first).unwrap()..=usize::try_from(last).unwrap()];
        response.status == 206
            && response.field("content-range") == Some(&format!("bytes {first}-{last}/{len}"))
            && response.body == slice
    };
    let none = response.status == 416
        && response.field("content-range") == Some(&format!("bytes */{len}"));
    let matches = match expected {
        Whole => whole,
        Part(first, last) => is_part(first, last),
        Unsatisfiable => none,
        NeverPartial => whole || none || response.status == 400,
        All => whole || (len > 0 && is_part(0, len - 1)),
        Nothing => whole || none,
    };
    assert!(
        matches,
        "expected {expected:?} of {len} bytes, got {response:?}"
    );
    if response.status == 200 {
        assert_eq!(response.field("content-range"), None);
    }
    if matches!(response.status, 200 | 206) {
        assert_eq!(response.need("etag"), fixture::etag(body));
        // RFC 9530 §3: the digest is of the whole representation, also on a part of it.
        assert_eq!(response.need("repr-digest"), fixture::repr_digest(body));
        assert_eq!(response.need("accept-ranges"), "bytes");
    }
}

#[test]
fn every_form_of_one_range_selects_exactly_its_bytes() {
    #[rustfmt::skip]
    let rows: &[(&str, &str, Expected)] = &[
        ("tiny", "bytes=0-0", Part(0, 0)),
        ("tiny", "bytes=0-4", Part(0, 4)),
        ("tiny", "bytes=0-", Part(0, 4)),
        ("tiny", "bytes=1-3", Part(1, 3)),
        ("tiny", "bytes=4-", Part(4, 4)),
        ("tiny", "bytes=4-4", Part(4, 4)),
        ("tiny", "bytes=3-99", Part(3, 4)),
        ("tiny", "bytes=0-5", Part(0, 4)),
        ("tiny", "bytes=-1", Part(4, 4)),
        ("tiny", "bytes=-5", Part(0, 4)),
        ("tiny", "bytes=-6", Part(0, 4)),
        ("tiny", "bytes=-99999", Part(0, 4)),
        ("tiny", "bytes=5-", Unsatisfiable),
        ("tiny", "bytes=5-9", Unsatisfiable),
        ("tiny", "bytes=99999-", Unsatisfiable),
        ("tiny", "bytes=-0", Unsatisfiable),
        ("tiny", "BYTES=1-2", Part(1, 2)),
        ("tiny", "bytes=00001-00002", Part(1, 2)),
        ("tiny", "bytes=1-2,", Part(1, 2)),
        ("tiny", "bytes=,1-2", Part(1, 2)),
        ("tiny", "bytes= 1-2", Part(1, 2)),
        ("tiny", "bytes=\t1-2 ,\t, ", Part(1, 2)),
        ("tiny", "bytes=1-2,9-", Part(1, 2)),
        ("tiny", "bytes=9-,1-2", Part(1, 2)),
        ("tiny", "bytes=9-,10-,-0", Unsatisfiable),
        ("tiny", "bytes=0-9223372036854775807", Part(0, 4)),
        ("tiny", "bytes=0-18446744073709551615", Part(0, 4)),
        ("tiny", "bytes=0-18446744073709551616", All),
        ("tiny", "bytes=0-99999999999999999999999999", All),
        ("tiny", "bytes=18446744073709551615-", Unsatisfiable),
        ("tiny", "bytes=18446744073709551615-18446744073709551615", Unsatisfiable),
        ("tiny", "bytes=18446744073709551616-", Nothing),
        ("tiny", "bytes=18446744073709551617-18446744073709551619", Nothing),
        ("tiny", "bytes=99999999999999999999999999-", Nothing),
        ("tiny", "bytes=-18446744073709551615", Part(0, 4)),
        ("tiny", "bytes=-18446744073709551617", All),
        ("tiny", "bytes=2-1", NeverPartial),
        ("tiny", "bytes=0-1,3-2", NeverPartial),
        ("tiny", "bytes=", NeverPartial),
        ("tiny", "bytes=,", NeverPartial),
        ("tiny", "bytes=-", NeverPartial),
        ("tiny", "bytes=a-b", NeverPartial),
        ("tiny", "bytes=1", NeverPartial),
        ("tiny", "bytes=1-2-3", NeverPartial),
        ("tiny", "bytes=--1", NeverPartial),
        ("tiny", "bytes=+1-2", NeverPartial),
        ("tiny", "bytes=1-+2", NeverPartial),
        ("tiny", "bytes=0x1-2", NeverPartial),
        ("tiny", "bytes=1 - 2", NeverPartial),
        ("tiny", "bytes=1-2 3-4", NeverPartial),
        ("tiny", "bytes=1-2;3-4", NeverPartial),
        ("tiny", "bytes:1-2", NeverPartial),
        ("tiny", "bytes 1-2", NeverPartial),
        ("tiny", "bytes 1-2/5", NeverPartial),
        ("tiny", "1-2", NeverPartial),
        ("tiny", "", NeverPartial),
        ("tiny", "bytes=1-2\u{661}", NeverPartial),
        ("tiny", "seconds=1-2", Whole),
        ("tiny", "none", Whole),
        ("empty", "bytes=0-", Unsatisfiable),
        ("empty", "bytes=0-0", Unsatisfiable),
        ("empty", "bytes=-1", Nothing),
        ("empty", "bytes=-0", Unsatisfiable),
        ("empty", "bytes=1-", Unsatisfiable),
        ("piece", "bytes=4194303-", Part(4_194_303, 4_194_303)),
        ("piece", "bytes=4194304-", Unsatisfiable),
        ("piece-plus-one", "bytes=4194304-", Part(4_194_304, 4_194_304)),
        ("piece-plus-one", "bytes=4194303-4194304", Part(4_194_303, 4_194_304)),
        ("piece-less-one", "bytes=-4194304", Part(0, 4_194_302)),
        ("release.json", "bytes=0-0", Part(0, 0)),
    ];
    let origin = Origin::shared();
    let document = origin.get(&fixture::url("release.json"), "").body;
    each_row(
        rows,
        |row| format!("R14 {} of {}", row.1, row.0),
        |(name, range, expected)| {
            let body = match *name {
                "release.json" => &document,
                name => fixture::body(name),
            };
            let mut conn = origin.connect();
            let response = conn.get(&fixture::url(name), &format!("Range: {range}\r\n"));
            assert_matches(&response, body, *expected);
            if response.status != 400 {
                conn.assert_usable();
            }
        },
    );
}

#[test]
fn two_range_fields_never_give_a_wrong_part() {
    let origin = Origin::shared();
    let fields = "Range: bytes=0-0\r\nRange: bytes=2-2\r\n";
    let response = origin.get(&fixture::url("tiny"), fields);
    // RFC 9110 §5.3: Range is no list field, so this is invalid; ignoring it or reading it as a list are both safe.
    match response.status {
        200 => assert_eq!(response.body, b"hello"),
        206 => assert!(
            response
                .need("content-type")
                .starts_with("multipart/byteranges")
        ),
        status => assert!(matches!(status, 400 | 416), "{response:?}"),
    }
}

#[test]
fn ranges_of_channels_are_exact_or_ignored() {
    let origin = Origin::shared();
    let target = fixture::CHANNEL;
    let whole = origin.get(target, "");
    let response = origin.get(target, "Range: bytes=1-9\r\n");
    match response.status {
        200 => assert_eq!(response.body, whole.body),
        206 => assert_eq!(response.body, whole.body[1..10]),
        _ => panic!("{response:?}"),
    }
    let response = origin.get("/channels/agent/stable/tiny", "Range: bytes=1-9\r\n");
    assert_eq!(response.status, 302);
}

#[test]
fn a_thousand_random_ranges_are_slices_of_the_artifact() {
    let origin = Origin::shared();
    let mut random = Random::new(20_261_122);
    let mut conn = origin.connect();
    for _ in 0..1_000 {
        let artifact = &ARTIFACTS[usize::try_from(random.below(ARTIFACTS.len() as u64)).unwrap()];
        let len = artifact.body.len() as u64;
        let first = random.below(len + 2);
        // Mostly short, some long, so that the test is quick and still crosses every border.
        let span = 1 << random.below(19);
        let last = first + random.below(span);
        let expected = if first >= len {
            Unsatisfiable
        } else {
            Part(first, last.min(len - 1))
        };
        let fields = format!("Range: bytes={first}-{last}\r\n");
        let response = conn.get(&fixture::url(artifact.name), &fields);
        assert_slice(&response, &artifact.body, expected);
    }
    conn.assert_usable();
}

/// `assert_matches` without hashing the artifact each time.
#[track_caller]
fn assert_slice(response: &Response, body: &[u8], expected: Expected) {
    match expected {
        Part(first, last) => {
            let slice = usize::try_from(first).unwrap()..=usize::try_from(last).unwrap();
            assert_eq!(response.status, 206);
            let range = format!("bytes {first}-{last}/{}", body.len());
            assert_eq!(response.need("content-range"), range);
            assert!(response.body == body[slice], "{range}");
        }
        _ => assert_eq!(response.status, 416),
    }
}

#[test]
fn if_range_needs_the_strong_tag_or_the_exact_date() {
    let origin = Origin::shared();
    let target = fixture::url("page");
    let whole = origin.get(&target, "");
    let (tag, date) = (whole.need("etag"), whole.need("last-modified"));
    let modified = httpdate::parse_http_date(date).unwrap();
    let second = std::time::Duration::from_secs(1);
    let before = httpdate::fmt_http_date(modified - second);
    let after = httpdate::fmt_http_date(modified + second);
    let (some, none) = ("bytes=10-19", "bytes=9999-");
    let rows = [
        ("R16 the tag", some, tag.to_owned(), 206),
        ("R16 the tag, unsatisfiable", none, tag.to_owned(), 416),
        (
            "R16 the tag, two ranges",
            "bytes=0-1,4-5",
            tag.to_owned(),
            206,
        ),
        ("R16 another tag", some, "\"x\"".into(), 200),
        ("R16 another tag, unsatisfiable", none, "\"x\"".into(), 200),
        (
            "R16 another tag, two ranges",
            "bytes=0-1,4-5",
            "\"x\"".into(),
            200,
        ),
        ("R16 the tag, weak", some, format!("W/{tag}"), 200),
        (
            "R16 the tag without quotes",
            some,
            tag.trim_matches('"').into(),
            200,
        ),
        (
            "R16 a list with the tag",
            some,
            format!("\"x\", {tag}"),
            200,
        ),
        ("R16 a star", some, "*".into(), 200),
        ("R16 empty", some, String::new(), 200),
        ("R16 the date", some, date.to_owned(), 206),
        ("R16 the date, unsatisfiable", none, date.to_owned(), 416),
        ("R16 an earlier date", some, before.clone(), 200),
        ("R16 an earlier date, unsatisfiable", none, before, 200),
        ("R16 a later date", some, after, 200),
        ("R16 a date that is none", some, "yesterday".into(), 200),
    ];
    each_row(
        &rows,
        |row| row.0.into(),
        |(_, range, validator, status)| {
            let fields = format!("Range: {range}\r\nIf-Range: {validator}\r\n");
            let response = origin.get(&target, &fields);
            assert_eq!(response.status, *status, "{response:?}");
            if *status == 200 {
                assert_eq!(response.body, whole.body);
            }
        },
    );
    let alone = origin.get(&target, &format!("If-Range: {tag}\r\n"));
    assert_eq!(alone.status, 200, "If-Range without Range");
}

#[test]
fn ranges_beyond_4_gib_are_exact() {
    let origin = Setup::new().store(&huge::store()).start();
    let (target, whole) = (huge::URL, huge::BYTES);
    let border = 4_u64 << 30;
    #[rustfmt::skip]
    let rows: [(&str, u64, &[u8]); 6] = [
        (&format!("{}-{}", border - 4, border + 7), border - 4, b"beforebeyond"),
        (&format!("{}-{}", border, border + 3), border, b"rebe"),
        (&format!("{}-{}", border + 2, border + 2), border + 2, b"b"),
        (&format!("{}-", huge::BYTES - 4), huge::BYTES - 4, b"last"),
        ("-5", huge::BYTES - 5, b"\0last"),
        ("4294967295-4294967296", border - 1, b"or"),
    ];
    for (range, first, bytes) in rows {
        let response = origin.get(target, &format!("Range: bytes={range}\r\n"));
        let last = first + bytes.len() as u64 - 1;
        let expected = format!("bytes {first}-{last}/{whole}");
        assert_eq!(response.status, 206, "{range}");
        assert_eq!(response.need("content-range"), expected);
        assert_eq!(response.body, bytes, "{range}");
    }
    let past = origin.get(target, &format!("Range: bytes={whole}-\r\n"));
    assert_eq!(past.status, 416);
    assert_eq!(past.need("content-range"), format!("bytes */{whole}"));
    let head = origin.request("HEAD", target, "");
    assert_eq!(head.need("content-length"), huge::BYTES.to_string());
    // A body that begins below the border and is taken for as long as it takes to cross it.
    let mut conn = origin.connect();
    let start = border - (1 << 20);
    conn.send(format!(
        "GET {target} HTTP/1.1\r\nHost: x\r\nRange: bytes={start}-\r\n\r\n"
    ));
    let head = conn.head();
    assert_eq!(
        head.need("content-length"),
        (huge::BYTES - start).to_string()
    );
    let mut received = Vec::new();
    let outcome = conn.drain_body(2 << 20, |bytes| received.extend_from_slice(bytes));
    assert_eq!(outcome, Ok(()));
    assert!(received[(1 << 20) - 4..].starts_with(b"beforebeyond"));
}
