//! E-15: five hundred requests of every sort at random, and four independent books that must agree.
//!
//! The books: what the viewers received, the edge's log, the edge's counters, the origin's access log. Never sorts the
//! requests: several viewers ask at once, through several POPs and a shield, and some break off.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater::edge::policy::record::Conservation;
use serde_json::Value;

use super::{Edge, Setup};
use crate::harness::fixture::{self, Random};
use crate::harness::origin;
use crate::harness::viewer::Viewer;
use crate::harness::{PATIENCE, poll};

const VIEWERS: u64 = 10;
const REQUESTS_EACH: u64 = 50;
const POPS: u64 = 3;

/// What one viewer knows of one request.
struct Received {
    request_id: String,
    bytes: u64,
    /// It went away before the end: the edge may have sent more than arrived.
    broke_off: bool,
}

/// One request of a random sort, and the judgement of its answer.
fn ask(edge: &Edge, random: &mut Random) -> Received {
    const NAMES: [&str; 5] = [
        "page",
        "piece-plus-one",
        "piece",
        "index.html",
        "notes.json",
    ];
    let name = NAMES[usize::try_from(random.below(5)).unwrap()];
    let (body, target) = (fixture::body(name), fixture::url(name));
    let len = body.len() as u64;
    let first = random.below(len);
    let last = first + random.below(len - first);
    let part = |first: u64, last: u64| {
        body[usize::try_from(first).unwrap()..=usize::try_from(last).unwrap()].to_vec()
    };
    let pop = format!("X-Edge-Pop: {}\r\n", random.below(POPS));
    let mut viewer = Viewer::open(edge.address);
    let (method, target, fields, status, expected) = match random.below(9) {
        0 | 1 => ("GET", target, String::new(), 200, body.to_vec()),
        2 => {
            let range = format!("Range: bytes={first}-{last}\r\n");
            ("GET", target, range, 206, part(first, last))
        }
        3 => {
            let range = format!("Range: bytes=-{}\r\n", last + 1);
            ("GET", target, range, 206, part(len - last - 1, len - 1))
        }
        4 => ("HEAD", target, String::new(), 200, Vec::new()),
        5 => {
            let target = format!("/artifacts/agent/1.0.0/missing-{}", random.below(4));
            ("GET", target, String::new(), 404, Vec::new())
        }
        6 => {
            let same = format!("If-None-Match: {}\r\n", fixture::etag(body));
            ("GET", target, same, 304, Vec::new())
        }
        7 => (
            "GET",
            fixture::CHANNEL.to_owned(),
            String::new(),
            200,
            Vec::new(),
        ),
        _ => {
            viewer.send("GET", &target, &pop);
            let head = viewer.head();
            let some = random.below(len.min(100_000));
            let got = viewer.read(usize::try_from(some).unwrap());
            assert!(body.starts_with(&got), "{name}");
            viewer.abort();
            let request_id = head.field("x-amz-cf-id").unwrap();
            return Received {
                request_id,
                bytes: some,
                broke_off: true,
            };
        }
    };
    let answer = viewer.ask(method, &target, &(fields.clone() + &pop));
    assert!(answer.whole);
    assert_eq!(answer.head.status, status, "{method} {target} {fields}");
    if matches!(status, 200 | 206) && target != fixture::CHANNEL {
        assert!(answer.body == expected, "{method} {target} {fields}");
    }
    Received {
        request_id: answer.head.field("x-amz-cf-id").unwrap(),
        bytes: answer.body.len() as u64,
        broke_off: false,
    }
}

#[test]
fn no_byte_and_no_request_is_lost_between_the_viewers_the_edge_and_the_origin() {
    let origin = origin::Setup::new().start();
    let mut edge = Setup::new().pops(3).shield().start(origin.data);
    let received: Vec<Received> = std::thread::scope(|scope| {
        let edge = &edge;
        let asking: Vec<_> = (0..VIEWERS)
            .map(|seed| {
                scope.spawn(move || {
                    let mut random = Random::new(seed + 1);
                    let requests = (0..REQUESTS_EACH).map(|_| ask(edge, &mut random));
                    requests.collect::<Vec<_>>()
                })
            })
            .collect();
        asking
            .into_iter()
            .flat_map(|viewer| viewer.join().unwrap())
            .collect()
    });

    // The first two books: request by request.
    let log = edge.await_log(received.len());
    assert_eq!(log.len(), received.len(), "one line per request");
    let lines: BTreeMap<&str, &Value> = log
        .iter()
        .map(|line| (line["x-edge-request-id"].as_str().unwrap(), line))
        .collect();
    for request in &received {
        let line = lines[request.request_id.as_str()];
        let sent = line["sc-body-bytes"].as_u64().unwrap();
        if request.broke_off {
            assert!(sent >= request.bytes, "{line}");
        } else {
            assert_eq!(sent, request.bytes, "{line}");
            let is_error = line["sc-status"].as_u64().unwrap() >= 400;
            assert_eq!(line["x-edge-result-type"] == "Error", is_error, "{line}");
        }
    }

    // The third: the sums.
    let exit = edge.process().terminate(PATIENCE);
    assert!(exit.success(), "{exit}");
    let counted = counted(&edge.process().lines());
    let sent: u64 = log
        .iter()
        .map(|line| line["sc-body-bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(counted["viewer_requests"], received.len() as u64);
    assert_eq!(counted["viewer_bytes"], sent);
    let conservation = Conservation {
        viewer_bytes: counted["viewer_bytes"],
        hit_bytes: counted["hit_bytes"],
        fill_bytes: counted["fill_bytes"],
        origin_requests: counted["origin_requests"],
        origin_unanswered: counted["origin_unanswered"],
        last_layer_misses: counted["last_layer_misses"],
        last_layer_refreshes: counted["last_layer_refreshes"],
    };
    conservation.check().unwrap();
    let asked = counted["origin_requests"];
    assert!(
        counted["hit_bytes"] > 0 && counted["fill_bytes"] > 0,
        "{counted:?}"
    );

    // The fourth: what the origin says of the same requests.
    let records = poll(PATIENCE, "the origin's records", || {
        let records = records(&origin);
        (records.len() as u64 >= asked).then_some(records)
    });
    assert_eq!(records.len() as u64, asked);
    // A fill that nobody wants any more is broken off, so the origin may have sent what the edge did not read.
    let whole = records.iter().all(|record| ended(record) == "complete");
    let bytes: u64 = records
        .iter()
        .map(|record| field(record, "bytes_sent").as_u64().unwrap())
        .sum();
    if whole {
        assert_eq!(counted["origin_bytes"], bytes, "{counted:?}");
    } else {
        assert!(counted["origin_bytes"] <= bytes, "{counted:?}");
    }
    assert!(
        asked < received.len() as u64 / 4,
        "the cache caches: {counted:?}"
    );
}

/// What the edge says it counted, when it ends: `name=number` in one line.
fn counted(lines: &[String]) -> BTreeMap<String, u64> {
    let line = lines
        .iter()
        .rev()
        .find(|line| line.contains("viewer_bytes="));
    let line = line.unwrap_or_else(|| panic!("no counters in {lines:#?}"));
    line.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)))
        .collect()
}

/// The origin's access records of everything but its own health.
fn records(origin: &origin::Origin) -> Vec<Value> {
    let lines = origin
        .log()
        .into_iter()
        .filter(|line| line.contains("bytes_sent"));
    lines
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect()
}

fn field<'a>(record: &'a Value, key: &str) -> &'a Value {
    record
        .get(key)
        .or_else(|| record["fields"].get(key))
        .unwrap_or(&Value::Null)
}

fn ended(record: &Value) -> &str {
    field(record, "ended").as_str().unwrap()
}

/// The edge's own answer must not be mistaken for a lost request: a stop while nothing runs loses nothing.
#[test]
fn an_edge_that_did_nothing_counted_nothing() {
    let origin = origin::Origin::shared();
    let mut edge = Setup::new().start(origin.data);
    assert!(edge.process().terminate(Duration::from_secs(10)).success());
    let counted = counted(&edge.process().lines());
    assert!(
        counted.len() >= 10 && counted.values().all(|count| *count == 0),
        "{counted:?}"
    );
    assert!(edge.log().is_empty());
}
