//! R15: several ranges in one request, the body taken apart byte by byte.
//!
//! zsync, zchunk and electron updaters read these bodies with parsers that forgive nothing, so neither does this one.

use std::fmt::Write as _;

use crate::harness::fixture::{self, Random};
use crate::harness::origin::{Origin, Setup};
use crate::harness::wire::{Response, find};

/// First and last bytes of parts.
type Bounds = [(u64, u64)];

/// One part: first byte, last byte, bytes.
type Part = (u64, u64, Vec<u8>);

/// Takes `line` off the front of `rest`.
#[track_caller]
fn take<'a>(rest: &'a [u8], line: &str) -> &'a [u8] {
    rest.strip_prefix(line.as_bytes()).unwrap_or_else(|| {
        let got = String::from_utf8_lossy(&rest[..rest.len().min(200)]);
        panic!("expected {line:?}, got {got:?}")
    })
}

/// Takes a `multipart/byteranges` body apart (RFC 9110 §14.6, RFC 2046 §5.1.1).
#[track_caller]
fn parts(response: &Response, whole: &[u8], content_type: &str) -> Vec<Part> {
    assert_eq!(response.status, 206, "{response:?}");
    assert_eq!(
        response.field("content-range"),
        None,
        "it belongs to the parts"
    );
    let kind = response.need("content-type");
    let (kind, boundary) = kind.rsplit_once("boundary=").expect("a boundary, last");
    assert_eq!(kind, "multipart/byteranges; ");
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_'+.".contains(&b);
    assert!(
        (1..=70).contains(&boundary.len()) && boundary.bytes().all(is_plain),
        "{boundary}"
    );
    let mut found = Vec::new();
    // zsync 0.6 needs the CRLF before the first boundary, too.
    let mut rest = take(&response.body, &format!("\r\n--{boundary}"));
    loop {
        rest = take(rest, "\r\n");
        let end = find(rest, b"\r\n\r\n").expect("an empty line after the part header");
        let (first, last) = part_header(&rest[..end], whole.len(), content_type);
        rest = &rest[end + 4..];
        let len = usize::try_from(last - first + 1).unwrap();
        assert!(rest.len() >= len, "a part that ends early");
        found.push((first, last, rest[..len].to_vec()));
        rest = take(&rest[len..], &format!("\r\n--{boundary}"));
        if let Some(tail) = rest.strip_prefix(b"--") {
            assert!(
                matches!(tail, b"" | b"\r\n"),
                "{} bytes after the end",
                tail.len()
            );
            return found;
        }
    }
}

#[track_caller]
fn part_header(bytes: &[u8], whole: usize, content_type: &str) -> (u64, u64) {
    let text = std::str::from_utf8(bytes).unwrap();
    let mut lines: Vec<&str> = text.split("\r\n").collect();
    lines.sort_by_key(|line| line.to_ascii_lowercase());
    let [range, kind] = lines[..] else {
        panic!("a part header of {lines:?}");
    };
    let (name, value) = kind.split_once(": ").expect("a field");
    assert!(name.eq_ignore_ascii_case("content-type"), "{name}");
    assert_eq!(value, content_type);
    let (name, value) = range.split_once(": ").expect("a field");
    assert!(name.eq_ignore_ascii_case("content-range"), "{name}");
    let bounds = value
        .strip_prefix("bytes ")
        .and_then(|v| v.strip_suffix(&format!("/{whole}")))
        .expect("`bytes first-last/whole`");
    let (first, last) = bounds.split_once('-').unwrap();
    (first.parse().unwrap(), last.parse().unwrap())
}

/// Asks for `ranges` of `name` and insists on these parts in this order.
#[track_caller]
fn assert_parts(origin: &Origin, name: &str, ranges: &str, expected: &Bounds) {
    let whole = fixture::body(name);
    let mut conn = origin.connect();
    let plain = conn.request("HEAD", &fixture::url(name), "");
    let response = conn.get(&fixture::url(name), &format!("Range: bytes={ranges}\r\n"));
    let found = parts(&response, whole, plain.need("content-type"));
    let bounds: Vec<_> = found
        .iter()
        .map(|(first, last, _)| (*first, *last))
        .collect();
    assert_eq!(bounds, expected, "{ranges}");
    for (first, last, bytes) in &found {
        let slice = usize::try_from(*first).unwrap()..=usize::try_from(*last).unwrap();
        assert!(*bytes == whole[slice], "bytes {first}-{last}");
    }
    for name in [
        "etag",
        "cache-control",
        "last-modified",
        "accept-ranges",
        "repr-digest",
    ] {
        assert_eq!(response.need(name), plain.need(name), "{name}");
    }
    conn.assert_usable();
}

#[test]
fn several_ranges_come_as_parts_in_the_order_asked_for() {
    let origin = Origin::shared();
    #[rustfmt::skip]
    let rows: &[(&str, &str, &Bounds)] = &[
        ("page", "0-0,2-2", &[(0, 0), (2, 2)]),
        ("page", "100-199,0-9", &[(100, 199), (0, 9)]),
        ("page", "0-9,-10", &[(0, 9), (4086, 4095)]),
        ("page", "-10,0-9", &[(4086, 4095), (0, 9)]),
        ("page", "0-9, 20-29 ,\t40-49", &[(0, 9), (20, 29), (40, 49)]),
        ("page", "0-9,,20-29,", &[(0, 9), (20, 29)]),
        ("page", "0-9,9999-,20-29", &[(0, 9), (20, 29)]),
        ("page", "4000-9999,0-0", &[(4000, 4095), (0, 0)]),
        ("page", "3000-1000000000000000000,10-19", &[(3000, 4095), (10, 19)]),
        ("tiny", "0-0,2-2,4-4", &[(0, 0), (2, 2), (4, 4)]),
        ("piece-plus-one", "4194303-4194304,0-99", &[(4_194_303, 4_194_304), (0, 99)]),
        ("index.html", "0-9,100-109", &[(0, 9), (100, 109)]),
        ("big", "20000000-20999999,0-999999", &[(20_000_000, 20_999_999), (0, 999_999)]),
    ];
    for (name, ranges, expected) in rows {
        assert_parts(&origin, name, ranges, expected);
    }
}

/// `count` ranges of `len` bytes each, `step` apart.
fn comb(count: u64, len: u64, step: u64) -> (String, Vec<(u64, u64)>) {
    let bounds: Vec<_> = (0..count).map(|n| (n * step, n * step + len - 1)).collect();
    (print(&bounds), bounds)
}

fn print(bounds: &Bounds) -> String {
    let mut text = String::new();
    for (first, last) in bounds {
        write!(text, "{first}-{last},").unwrap();
    }
    text.pop();
    text
}

#[test]
fn a_thousand_ranges_are_answered() {
    let origin = Origin::shared();
    let (ranges, bounds) = comb(1_000, 100, 4_000);
    assert_parts(&origin, "piece", &ranges, &bounds);
    let (ranges, bounds) = comb(1_000, 20_000, 25_000);
    let bounds: Vec<_> = bounds.into_iter().rev().collect();
    assert!(ranges.len() > 10_000);
    assert_parts(&origin, "big", &print(&bounds), &bounds);
}

#[test]
fn one_range_more_than_the_limit_gets_the_whole() {
    let origin = Setup::new().config("[limits]\nranges_max = 1000\n").start();
    let (ranges, bounds) = comb(1_000, 10, 4_000);
    assert_parts(&origin, "piece", &ranges, &bounds);
    let (ranges, _) = comb(1_001, 10, 4_000);
    let response = origin.get(
        &fixture::url("piece"),
        &format!("Range: bytes={ranges}\r\n"),
    );
    assert_eq!(response.status, 200);
    assert!(response.body == fixture::body("piece"));
}

#[test]
fn random_sets_of_ranges_are_slices_in_order() {
    let origin = Origin::shared();
    let mut random = Random::new(15);
    for _ in 0..40 {
        let count = 2 + random.below(30);
        let stride = 24 * 1024 * 1024 / count;
        let mut bounds: Vec<_> = (0..count)
            .map(|n| {
                let first = n * stride + random.below(stride / 2);
                let span = 1 << random.below(14);
                (first, first + random.below(span))
            })
            .collect();
        for at in (1..bounds.len()).rev() {
            bounds.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap());
        }
        assert_parts(&origin, "big", &print(&bounds), &bounds);
    }
}

#[test]
fn floods_of_overlapping_ranges_never_cost_more_than_the_whole() {
    let origin = Origin::shared();
    let flood = |range: &str, count: usize| vec![range; count].join(",");
    let nested: Vec<_> = (0..500).map(|n| (n, 4_095 - n)).collect();
    for (what, ranges) in [
        ("the whole, a thousand times", flood("0-", 1_000)),
        ("the whole, twice", flood("0-", 2)),
        ("a suffix, a thousand times", flood("-4096", 1_000)),
        ("nested ranges", print(&nested)),
        ("one byte too many", "0-4095,0-0".into()),
        ("neighbours that overlap", "0-3000,1000-4000".into()),
        ("the first byte, a thousand times", flood("0-0", 1_000)),
    ] {
        let whole = fixture::body("page");
        let response = origin.get(&fixture::url("page"), &format!("Range: bytes={ranges}\r\n"));
        match (response.status, response.field("content-range")) {
            (200, _) => assert_eq!(response.body, whole, "{what}"),
            (206, Some(_)) => assert!(response.body.len() <= whole.len(), "{what}"),
            (206, None) => {
                let kind = origin.request("HEAD", &fixture::url("page"), "");
                let found = parts(&response, whole, kind.need("content-type"));
                let total: usize = found.iter().map(|(_, _, bytes)| bytes.len()).sum();
                assert!(total <= whole.len(), "{what}: {total} bytes");
                // A thousand times the first byte is no more than the file, but it is a thousand part headers.
                assert!(response.body.len() <= whole.len() + 1_000 * 200, "{what}");
            }
            _ => panic!("{what}: {response:?}"),
        }
    }
    let whole = fixture::body("big").len();
    let response = origin.get(
        &fixture::url("big"),
        &format!("Range: bytes={}\r\n", flood("0-", 1_000)),
    );
    assert!(
        response.body.len() <= whole + whole / 10,
        "{} bytes",
        response.body.len()
    );
}
