//! What an operator sees: access records, one per request, and metrics that add up.
//!
//! A record is found by the `X-Amz-Cf-Id` of its request and judged by its values.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::fixture::{self, BASE};
use crate::harness::origin::{Origin, Setup};
use crate::harness::wire::Conn;
use crate::harness::{PATIENCE, poll};

/// The access record of the request with this `X-Amz-Cf-Id`; insists that there is one only.
#[track_caller]
fn record(origin: &Origin, id: &str) -> Value {
    let records = || -> Vec<Value> {
        origin
            .log()
            .iter()
            .filter(|line| line.contains(id))
            .map(|line| serde_json::from_str(line).expect("a record is one JSON object a line"))
            .collect()
    };
    poll(PATIENCE, "an access record", || records().pop());
    let mut found = records();
    assert_eq!(found.len(), 1, "one record per request: {found:?}");
    found.remove(0)
}

/// The value of `key` in a record, also one level down (a logger may nest its fields).
#[track_caller]
fn value<'a>(record: &'a Value, key: &str) -> &'a Value {
    record
        .get(key)
        .or_else(|| record.get("fields").and_then(|fields| fields.get(key)))
        .unwrap_or_else(|| panic!("no `{key}` in {record}"))
}

#[track_caller]
fn text(record: &Value, key: &str) -> String {
    value(record, key).as_str().expect("text").to_owned()
}

#[test]
fn every_request_leaves_one_record_with_what_was_really_sent() {
    let origin = Setup::new().start();
    let page = fixture::url("page");
    let rows: [(&str, &str, &str, &str, u64, u64); 8] = [
        ("whole", "GET", &page, "", 200, 4096),
        ("part", "GET", &page, "Range: bytes=5-104\r\n", 206, 100),
        (
            "parts",
            "GET",
            &page,
            "Range: bytes=0-0,9-9\r\n",
            206,
            u64::MAX,
        ),
        ("head", "HEAD", &page, "", 200, 0),
        ("same", "GET", &page, "If-None-Match: *\r\n", 304, 0),
        ("health", "GET", "/healthz", "", 200, u64::MAX),
        ("missing", "GET", "/nothing-here", "", 404, u64::MAX),
        ("refused", "POST", &page, "", 405, u64::MAX),
    ];
    for (id, method, target, fields, status, bytes) in rows {
        let id = format!("cf-id-{id}==");
        let fields = format!("{fields}X-Amz-Cf-Id: {id}\r\n");
        let response = origin.request(method, target, &fields);
        let record = record(&origin, &id);
        assert_eq!(u64::from(response.status), status);
        assert_eq!(value(&record, "status"), status, "{record}");
        let expected = if bytes == u64::MAX {
            response.body.len() as u64
        } else {
            bytes
        };
        assert_eq!(value(&record, "bytes_sent"), expected, "{record}");
        assert_eq!(value(&record, "method"), method);
        assert_eq!(text(&record, "ended"), "complete", "{record}");
        assert_eq!(text(&record, "x_amz_cf_id"), id);
        assert!(value(&record, "duration_us").is_number(), "{record}");
        if status == 206 {
            let range = if id.contains("parts") {
                "2 ranges"
            } else {
                "5-104"
            };
            assert_eq!(text(&record, "range"), range, "{record}");
        }
    }
}

#[test]
fn a_broken_download_leaves_a_record_with_the_reason() {
    let origin = Setup::new()
        .config("[limits]\nwrite_stall_timeout = \"1s\"\n")
        .start();
    let begin = |id: &str| {
        let mut conn = Conn::open_narrow(origin.data, 8 * 1024);
        conn.send(format!(
            "GET {BASE}big HTTP/1.1\r\nHost: x\r\nX-Amz-Cf-Id: {id}\r\n\r\n"
        ));
        assert_eq!(conn.head().status, 200);
        conn
    };
    begin("cf-id-reset").reset();
    let reset = record(&origin, "cf-id-reset");
    let held = begin("cf-id-stalled");
    let stalled = record(&origin, "cf-id-stalled");
    drop(held);
    let whole = fixture::body("big").len() as u64;
    for record in [&reset, &stalled] {
        assert_eq!(value(record, "status"), 200);
        let sent = value(record, "bytes_sent").as_u64().unwrap();
        assert!(sent < whole, "{record}");
    }
    let (reset, stalled) = (text(&reset, "ended"), text(&stalled, "ended"));
    assert_ne!(reset, "complete");
    assert_ne!(stalled, "complete");
    assert_ne!(reset, stalled, "the two are told apart");
}

#[test]
fn a_record_of_hostile_values_is_still_one_line_of_json() {
    let origin = Setup::new().start();
    let mut conn = Conn::open(origin.data);
    conn.send(
        b"GET /%0a\"}\\\xff HTTP/1.1\r\nHost: x\r\nRange: \"}{\xfe\r\n\
          X-Amz-Cf-Id: cf-id-hostile\"}\\u0000\r\n\r\n",
    );
    let response = conn.response("GET");
    assert!(matches!(response.status, 400 | 404));
    if response.status == 404 {
        record(&origin, "cf-id-hostile");
    }
    let long = format!("cf-id-long-{}", "x".repeat(7_000));
    assert_eq!(
        origin
            .get("/healthz", &format!("X-Amz-Cf-Id: {long}\r\n"))
            .status,
        200
    );
    let line = poll(PATIENCE, "the record", || {
        origin
            .log()
            .into_iter()
            .find(|line| line.contains("cf-id-long-"))
    });
    assert!(line.len() < 10_000, "a record of {} bytes", line.len());
}

/// Parses the Prometheus text format strictly: every sample by its name and labels as written.
#[track_caller]
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    assert!(text.ends_with('\n'), "the last line ends, too");
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let kind = comment.split(' ').next().unwrap();
            assert!(matches!(kind, "HELP" | "TYPE" | "UNIT" | "EOF"), "{line}");
            continue;
        }
        let (series, number) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let name = series.split('{').next().unwrap();
        assert!(name.starts_with("headwater_"), "{line}");
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        assert!(name.bytes().all(is_plain), "{line}");
        if let Some(labels) = series
            .strip_prefix(name)
            .filter(|labels| !labels.is_empty())
        {
            let labels = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}'));
            let labels = labels.unwrap_or_else(|| panic!("{line}"));
            for label in labels.split("\",") {
                let (key, quoted) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                assert!(
                    key.bytes().all(is_plain) && !quoted.contains('\n'),
                    "{line}"
                );
            }
        }
        let number = number.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
        let doubled = samples.insert(series.to_owned(), number);
        assert!(doubled.is_none(), "{series} twice");
    }
    samples
}

#[track_caller]
pub fn metrics(origin: &Origin) -> BTreeMap<String, f64> {
    let response = origin.admin_get("/metrics");
    assert_eq!(response.status, 200);
    let kind = response.need("content-type");
    assert!(
        kind.starts_with("text/plain; version=")
            || kind.starts_with("application/openmetrics-text"),
        "{kind}"
    );
    samples(std::str::from_utf8(&response.body).unwrap())
}

#[test]
fn metrics_count_what_was_served() {
    let origin = Setup::new().start();
    let page = fixture::url("page");
    let of =
        |samples: &BTreeMap<String, f64>, name: &str| samples.get(name).copied().unwrap_or(0.0);
    let before = metrics(&origin);
    for _ in 0..3 {
        assert_eq!(origin.get(&page, "").status, 200);
    }
    for _ in 0..2 {
        assert_eq!(origin.get(&page, "Range: bytes=0-9\r\n").status, 206);
    }
    assert_eq!(origin.get(&page, "If-None-Match: *\r\n").status, 304);
    let missing = origin
        .get(&format!("{BASE}a-name-in-no-label"), "")
        .body
        .len();
    let expected = [
        ("headwater_requests_total{status=\"200\"}", 3.0),
        ("headwater_requests_total{status=\"206\"}", 2.0),
        ("headwater_requests_total{status=\"304\"}", 1.0),
        ("headwater_requests_total{status=\"404\"}", 1.0),
        (
            "headwater_response_body_bytes_total",
            3.0 * 4096.0 + 20.0 + f64::from(u32::try_from(missing).unwrap()),
        ),
    ];
    poll(PATIENCE, "the counters add up", || {
        let now = metrics(&origin);
        let same = |(name, by): &(&str, f64)| (of(&now, name) - of(&before, name) - by).abs() < 0.5;
        expected.iter().all(same).then_some(())
    });
    let now = metrics(&origin);
    for words in [
        ["in_flight", ""],
        ["connections", "open"],
        ["connections", "refused"],
        ["store", "error"],
        ["build", "info"],
    ] {
        let is_there = now
            .keys()
            .any(|name| words.iter().all(|word| name.contains(word)));
        assert!(is_there, "no metric for {words:?} in {now:#?}");
    }
    let names = now.keys().cloned().collect::<String>();
    assert!(
        !names.contains("a-name-in-no-label") && !names.contains("page"),
        "a label from a URL"
    );
}

#[test]
fn an_open_connection_is_counted_while_it_is_open() {
    let origin = Setup::new().start();
    let gauge = || {
        let now = metrics(&origin);
        let found = now
            .iter()
            .find(|(name, _)| name.contains("connections") && name.contains("open"));
        *found.expect("a gauge of open connections").1
    };
    let before = gauge();
    let mut held: Vec<Conn> = (0..10).map(|_| origin.connect()).collect();
    for conn in &mut held {
        conn.assert_usable();
    }
    assert!(
        (gauge() - before - 10.0).abs() < 0.5,
        "{} before, {} now",
        before,
        gauge()
    );
    drop(held);
    poll(PATIENCE, "the gauge falls", || {
        ((gauge() - before).abs() < 0.5).then_some(())
    });
}
