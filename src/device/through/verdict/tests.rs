//! Every rule of a verdict as a table: what is served, and how it is found.
//!
//! Owns the answers that an edge might give; never makes a request.

use std::sync::Arc;

use http::HeaderValue;
use jiff::Timestamp;

use super::*;
use crate::catalog::{Pieces, Pointer, Release};
use crate::model::{ArtifactName, ChannelName, PIECE_BYTES, Product, ReleaseId};

const BODY: &[u8] = b"0123456789";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const POINTER: &str = "public, max-age=30, stale-while-revalidate=30, stale-if-error=600";

fn facts(lifetime: Lifetime) -> Facts<'static> {
    Facts {
        size: BODY.len() as u64,
        sha256: Digest::of(BODY),
        content_type: "application/octet-stream",
        lifetime,
    }
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// What the origin sends of an artifact.
fn right(question: Question) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("etag", format!("\"{}\"", Digest::of(BODY))),
        ("cache-control", IMMUTABLE.to_owned()),
        ("content-type", "application/octet-stream".to_owned()),
        ("accept-ranges", "bytes".to_owned()),
        ("content-length", "10".to_owned()),
    ];
    match question {
        Question::Part => {
            lines.push(("content-range", "bytes 4-6/10".to_owned()));
            lines[4].1 = "3".to_owned();
        }
        Question::Conditional => lines.truncate(2),
        Question::Whole | Question::Head => {}
    }
    lines
}

fn part(question: Question) -> Option<ByteRange> {
    (question == Question::Part).then(|| ByteRange::new(4, 3))
}

fn judge(question: Question, status: u16, lines: &[(&'static str, String)]) -> Vec<Fault> {
    let lines: Vec<_> = lines
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    head_faults(
        question,
        part(question),
        &facts(Lifetime::Immutable),
        StatusCode::from_u16(status).unwrap(),
        &headers(&lines),
    )
}

const QUESTIONS: [(Question, u16); 4] = [
    (Question::Whole, 200),
    (Question::Part, 206),
    (Question::Conditional, 304),
    (Question::Head, 200),
];

#[test]
fn what_the_origin_sends_is_without_fault() {
    for (question, status) in QUESTIONS {
        assert_eq!(
            judge(question, status, &right(question)),
            [],
            "{question:?}"
        );
    }
}

#[test]
fn every_other_status_is_the_only_fault_and_ends_the_look_at_the_answer() {
    for (question, right_status) in QUESTIONS {
        for status in [200, 204, 206, 301, 304, 400, 403, 404, 410, 412, 416] {
            if status == right_status {
                continue;
            }
            let faults = judge(question, status, &[]);
            assert!(
                matches!(faults[..], [Fault::Status { actual, .. }] if actual == status),
                "{question:?} {status}: {faults:?}"
            );
            assert!(!is_worth_reading(&faults));
        }
    }
}

/// Replaces one field (an empty value removes it) and names the faults.
fn changed(question: Question, status: u16, name: &'static str, value: &str) -> Vec<String> {
    let mut lines = right(question);
    lines.retain(|(it, _)| *it != name);
    if !value.is_empty() {
        lines.push((name, value.to_owned()));
    }
    let named = |fault: &Fault| match fault {
        Fault::Field {
            name, actual: None, ..
        } => format!("no {name}"),
        Fault::Field { name, .. } => format!("bad {name}"),
        Fault::Surplus { name, .. } => format!("surplus {name}"),
        other => format!("{other:?}"),
    };
    judge(question, status, &lines).iter().map(named).collect()
}

#[test]
fn every_field_that_devices_or_caches_go_by_is_looked_at() {
    let digest = Digest::of(BODY);
    let rows: &[(Question, &'static str, String, &str)] = &[
        (
            Question::Whole,
            "etag",
            format!("W/\"{digest}\""),
            "bad ETag",
        ),
        (
            Question::Whole,
            "etag",
            format!("\"{}\"", Digest::of(b"")),
            "bad ETag",
        ),
        (Question::Whole, "etag", String::new(), "no ETag"),
        (Question::Conditional, "etag", String::new(), "no ETag"),
        (
            Question::Head,
            "etag",
            format!("W/\"{digest}\""),
            "bad ETag",
        ),
        (
            Question::Whole,
            "content-length",
            String::new(),
            "no Content-Length",
        ),
        (
            Question::Whole,
            "content-length",
            "11".into(),
            "bad Content-Length",
        ),
        (
            Question::Part,
            "content-length",
            "10".into(),
            "bad Content-Length",
        ),
        (
            Question::Whole,
            "content-type",
            "text/html".into(),
            "bad Content-Type",
        ),
        (
            Question::Whole,
            "accept-ranges",
            "none".into(),
            "bad Accept-Ranges",
        ),
        (
            Question::Part,
            "content-range",
            String::new(),
            "no Content-Range",
        ),
        (
            Question::Part,
            "content-range",
            "bytes 4-7/10".into(),
            "bad Content-Range",
        ),
        (
            Question::Part,
            "content-range",
            "bytes 4-6/*".into(),
            "bad Content-Range",
        ),
        (
            Question::Whole,
            "content-range",
            "bytes 0-9/10".into(),
            "surplus Content-Range",
        ),
        (
            Question::Whole,
            "set-cookie",
            "a=b".into(),
            "surplus Set-Cookie",
        ),
        (
            Question::Conditional,
            "set-cookie",
            "a=b".into(),
            "surplus Set-Cookie",
        ),
        (
            Question::Whole,
            "vary",
            "Accept-Encoding".into(),
            "surplus Vary",
        ),
        (Question::Part, "vary", "*".into(), "surplus Vary"),
        (
            Question::Whole,
            "content-encoding",
            "gzip".into(),
            "surplus Content-Encoding",
        ),
        (
            Question::Whole,
            "cache-control",
            String::new(),
            "no Cache-Control",
        ),
        (
            Question::Whole,
            "cache-control",
            "public, max-age=86400, immutable".into(),
            "bad Cache-Control",
        ),
        (
            Question::Whole,
            "cache-control",
            "public, max-age=31536000".into(),
            "bad Cache-Control",
        ),
        (
            Question::Head,
            "cache-control",
            POINTER.into(),
            "bad Cache-Control",
        ),
        (
            Question::Conditional,
            "cache-control",
            "no-cache".into(),
            "bad Cache-Control",
        ),
    ];
    for (question, name, value, fault) in rows {
        let (_, status) = QUESTIONS
            .into_iter()
            .find(|(it, _)| it == question)
            .unwrap();
        let found = changed(*question, status, name, value);
        assert_eq!(found, [*fault], "{question:?} {name}: {value:?}");
    }
    assert!(changed(Question::Whole, 200, "content-encoding", "identity").is_empty());
}

#[test]
fn a_channel_may_live_as_long_as_its_operator_says_but_not_for_ever() {
    let etag = format!("\"{}\"", Digest::of(BODY));
    let faults = |cache_control: &str, vary: &str| {
        let mut lines = vec![("etag", etag.as_str()), ("cache-control", cache_control)];
        lines.push(("vary", vary));
        lines.retain(|(_, value)| !value.is_empty());
        let headers = headers(&lines);
        let facts = facts(Lifetime::Pointer);
        head_faults(
            Question::Conditional,
            None,
            &facts,
            StatusCode::NOT_MODIFIED,
            &headers,
        )
        .len()
    };
    for (cache_control, count) in [
        (POINTER, 0),
        ("max-age=1", 0),
        ("public, max-age=0", 0),
        (IMMUTABLE, 1),
        ("public", 1),
        ("", 1),
        ("private, max-age=30", 1),
        ("max-age=30, no-store", 1),
    ] {
        assert_eq!(faults(cache_control, ""), count, "{cache_control}");
    }
    // What an edge that compresses documents adds.
    assert_eq!(faults(POINTER, "accept-encoding"), 0);
    assert_eq!(faults(POINTER, "Accept-Encoding, Cookie"), 1);
}

fn id(version: &str) -> ReleaseId {
    ReleaseId {
        product: Product::parse("agent").unwrap(),
        version: Version::parse(version).unwrap(),
    }
}

/// The channel at its first revision, at its second, and the digests of both releases.
fn moved() -> (Channel, Channel, BTreeMap<Version, Digest>) {
    let at = Timestamp::UNIX_EPOCH;
    let pointer = |version: &str| {
        let release = Release::new(id(version), at, None, Vec::new());
        Pointer::to(&release, &release.to_json())
    };
    let (one, two) = (pointer("1"), pointer("2"));
    let digests = [&one, &two].map(|it| (it.version.clone(), it.sha256));
    let name = ChannelName::parse("stable").unwrap();
    let first = Channel::first(id("1").product, name, one, at, None);
    let second = first.moved(two, at, None);
    (first, second, BTreeMap::from(digests))
}

/// Judges `served` where the store has `stored`, served as the origin would, `age` seconds old.
fn judge_channel(
    stored: &Channel,
    served: &[u8],
    age: &str,
    releases: &BTreeMap<Version, Digest>,
) -> Verdict {
    let bytes = stored.to_json();
    let document = Document {
        size: bytes.len() as u64,
        sha256: Digest::of(&bytes),
    };
    let headers = headers(&[
        ("etag", &format!("\"{}\"", Digest::of(served))),
        ("cache-control", POINTER),
        ("content-type", "application/json"),
        ("accept-ranges", "bytes"),
        ("content-length", &served.len().to_string()),
        ("age", age),
    ]);
    judge_old_channel(stored, releases, document, served, &headers)
}

#[test]
fn an_old_revision_is_stale_as_long_as_its_own_lifetime_allows_and_wrong_after_that() {
    let (first, second, releases) = moved();
    for (age, verdict, says) in [
        ("0", "stale", "may stay for 60 s more"),
        ("45", "stale", "45 s old, may stay for 15 s more"),
        ("60", "stale", "may stay for 0 s more"),
        (
            "61",
            "stale",
            "seems not to reach the origin, and may go on until 630 s",
        ),
        ("630", "stale", "until 630 s"),
        ("631", "wrong", "allowed are at most 630 s"),
    ] {
        let found = judge_channel(&second, &first.to_json(), age, &releases);
        assert_eq!(found.as_str(), verdict, "{age}: {found}");
        let text = found.to_string();
        assert!(
            text.contains("revision 1, the store has 2") && text.contains(says),
            "{text}"
        );
    }
}

#[test]
fn a_newer_revision_is_for_the_next_run_to_judge() {
    let (first, second, releases) = moved();
    let found = judge_channel(&first, &second.to_json(), "0", &releases);
    assert_eq!(found, Verdict::newer("revision", 2, 1));
    assert!(!found.is_curable());
}

#[test]
fn what_the_channel_never_said_is_wrong() {
    let (first, second, releases) = moved();
    let mut forged = second.clone();
    forged.reason = Some("forged".to_owned());
    let found = judge_channel(&second, &forged.to_json(), "0", &releases);
    assert!(
        matches!(&found, Verdict::Wrong(faults) if matches!(faults[..], [Fault::Bytes { .. }]))
    );
    for garbage in [&b""[..], b"{}", b"<html>", &first.to_json()[1..]] {
        let found = judge_channel(&second, garbage, "0", &releases);
        assert_eq!(found.as_str(), "wrong", "{garbage:?}");
    }
    let mut elsewhere = first.clone();
    elsewhere.release.sha256 = Digest::of(b"elsewhere");
    let found = judge_channel(&second, &elsewhere.to_json(), "0", &releases);
    assert!(
        matches!(&found, Verdict::Wrong(faults) if matches!(faults[..], [Fault::Pointer { .. }]))
    );
    // A release whose document the store cannot read is no ground for anything.
    let found = judge_channel(&second, &elsewhere.to_json(), "0", &BTreeMap::new());
    assert_eq!(found.as_str(), "stale");
}

#[test]
fn a_retired_release_is_gone_or_an_old_copy() {
    let aged = headers(&[("age", "7")]);
    for (status, verdict) in [
        (404, "good"),
        (410, "good"),
        (200, "stale"),
        (206, "wrong"),
        (302, "wrong"),
        (403, "wrong"),
    ] {
        let found = judge_gone(StatusCode::from_u16(status).unwrap(), &aged);
        assert_eq!(found.as_str(), verdict, "{status}");
    }
    let found = judge_gone(StatusCode::OK, &aged);
    assert_eq!(found, Verdict::Stale(Stale::Retired { age: Some(7) }));
}

#[test]
fn the_piece_in_the_middle_is_asked_for() {
    let artifact = |size: u64| {
        let digests = (0..size.div_ceil(PIECE_BYTES)).map(|n| Digest::of(&n.to_le_bytes()));
        Expect::Artifact(Artifact {
            name: ArtifactName::parse("a").unwrap(),
            size,
            sha256: Digest::of(b""),
            content_type: "application/octet-stream".to_owned(),
            platform: None,
            pieces: Pieces {
                size: PIECE_BYTES,
                sha256: digests.collect(),
            },
        })
    };
    let p = PIECE_BYTES;
    for (size, offset, len) in [
        (1, 0, 1),
        (p, 0, p),
        (p + 1, p, 1),
        (2 * p, p, p),
        (3 * p, p, p),
        (4 * p + 5, 2 * p, p),
    ] {
        let (range, sha256) = artifact(size).middle().unwrap();
        assert_eq!(range, ByteRange::new(offset, len), "{size}");
        assert_eq!(sha256, Digest::of(&(offset / p).to_le_bytes()), "{size}");
    }
    assert_eq!(artifact(0).middle(), None);
    assert_eq!(Expect::Gone.middle(), None);
}

#[test]
fn verdicts_are_ordered_by_how_bad_they_are_and_purges_are_for_copies_alone() {
    let (_, second, _) = moved();
    assert!(second.revision > 1);
    let order = [
        Verdict::Good,
        Verdict::Stale(Stale::Retired { age: None }),
        Verdict::newer("revision", 2, 1),
        Verdict::Unreachable(String::new()),
        Verdict::Wrong(Vec::new()),
    ];
    assert!(order.is_sorted());
    let curable = order.map(|verdict| verdict.is_curable());
    assert_eq!(curable, [false, true, false, false, true]);
}

#[test]
fn a_channel_expects_its_document_as_a_pointer() {
    let (_, channel, releases) = moved();
    let document = Document {
        size: 3,
        sha256: Digest::of(b"abc"),
    };
    let expect = Expect::Channel {
        channel,
        document,
        releases: Arc::new(releases),
    };
    let facts = expect.facts().unwrap();
    assert_eq!((facts.size, facts.lifetime), (3, Lifetime::Pointer));
    assert_eq!(
        Expect::Release(document).facts().unwrap().lifetime,
        Lifetime::Immutable
    );
    assert_eq!(Expect::Gone.facts(), None);
}
