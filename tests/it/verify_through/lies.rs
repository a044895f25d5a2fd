//! Edges that pass on what the origin answers, but for one thing each.
//!
//! Owns the lies and how each is found. Never decides what is true: the origin behind them does.

use std::fmt::Write as _;

use super::{A, CHANNEL, REDIRECT};
use crate::harness::fixture;
use crate::harness::origin::Origin;
use crate::harness::upstream::{Seen, Step, Upstream};
use crate::harness::wire;

/// An edge that passes on what the origin answers, after `twist` had its way with it.
pub(super) fn lying(
    origin: &Origin,
    twist: impl Fn(&Seen, &mut wire::Response) + Send + Sync + 'static,
) -> Upstream {
    let behind = origin.data;
    Upstream::start(move |seen| {
        let mut fields = String::new();
        for (name, value) in &seen.fields {
            if ["range", "if-range", "if-none-match"].contains(&name.as_str()) {
                let _ = write!(fields, "{name}: {value}\r\n");
            }
        }
        let mut answer = wire::request(behind, &seen.method, &seen.target, &fields);
        answer
            .head
            .fields
            .push(("X-Amz-Cf-Pop".into(), "LIE1-P1".into()));
        twist(seen, &mut answer);
        vec![Step::Send(printed(&answer))]
    })
}

fn printed(answer: &wire::Response) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} -\r\n", answer.head.status);
    for (name, value) in &answer.head.fields {
        if !name.eq_ignore_ascii_case("connection") {
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    let mut bytes = (text + "\r\n").into_bytes();
    bytes.extend_from_slice(&answer.body);
    bytes
}

/// Sets a field, or removes it where the value is empty.
fn set(answer: &mut wire::Response, name: &str, value: &str) {
    let fields = &mut answer.head.fields;
    fields.retain(|(it, _)| !it.eq_ignore_ascii_case(name));
    if !value.is_empty() {
        fields.push((name.to_owned(), value.to_owned()));
    }
}

/// What an edge does to one kind of answer, and how that is found.
pub(super) type Lie = (&'static str, fn(&Seen, &mut wire::Response), &'static str);

pub(super) const B: &str = "/artifacts/agent/1.0.0/b/c";

fn is_part(seen: &Seen) -> bool {
    seen.target == B && seen.field("range").is_some()
}

fn is_whole(seen: &Seen, target: &str) -> bool {
    let is_plain = seen.field("range").is_none() && seen.field("if-none-match").is_none();
    seen.target == target && seen.method == "GET" && is_plain
}

pub(super) const LIES: &[Lie] = &[
    (
        "one byte flipped in the last piece",
        |seen, answer| {
            if is_whole(seen, B) {
                answer.body[2 * fixture::PIECE + 4] ^= 1;
            }
        },
        "wrong /artifacts/agent/1.0.0/b/c whole",
    ),
    (
        "one byte flipped, in parts alone",
        |seen, answer| {
            if is_part(seen) {
                answer.body[0] ^= 1;
            }
        },
        "wrong /artifacts/agent/1.0.0/b/c range",
    ),
    (
        "a weak tag",
        |seen, answer| {
            if is_whole(seen, A) {
                let tag = format!("W/{}", answer.need("etag"));
                set(answer, "ETag", &tag);
            }
        },
        "wrong /artifacts/agent/1.0.0/a whole",
    ),
    (
        "no tag, in heads alone",
        |seen, answer| {
            if seen.target == A && seen.method == "HEAD" {
                set(answer, "ETag", "");
            }
        },
        "wrong /artifacts/agent/1.0.0/a head",
    ),
    (
        "another part than was asked for",
        |seen, answer| {
            if is_part(seen) {
                let range = format!("bytes 0-4194303/{}", 2 * fixture::PIECE + 5);
                set(answer, "Content-Range", &range);
            }
        },
        "wrong /artifacts/agent/1.0.0/b/c range",
    ),
    (
        "everything for a part",
        |seen, answer| {
            if is_part(seen) {
                answer.head.status = 200;
                set(answer, "Content-Range", "");
            }
        },
        "wrong /artifacts/agent/1.0.0/b/c range",
    ),
    (
        "everything for what is there already",
        |seen, answer| {
            if seen.target == A && seen.field("if-none-match").is_some() {
                answer.head.status = 200;
                set(answer, "Content-Length", "5");
                answer.body = b"first".to_vec();
            }
        },
        "wrong /artifacts/agent/1.0.0/a conditional",
    ),
    (
        "a cookie",
        |seen, answer| {
            if seen.target == CHANNEL {
                set(answer, "Set-Cookie", "session=1");
            }
        },
        "wrong /channels/agent/stable.json whole",
    ),
    (
        "a shorter life",
        |seen, answer| {
            if seen.target.ends_with("/release.json") {
                set(answer, "Cache-Control", "public, max-age=86400");
            }
        },
        "wrong /artifacts/agent/1.0.0/release.json whole",
    ),
    (
        "a page of its own",
        |seen, answer| {
            if is_whole(seen, A) {
                answer.head.status = 403;
            }
        },
        "wrong /artifacts/agent/1.0.0/a whole",
    ),
    (
        "a redirect to another artifact",
        |seen, answer| {
            if seen.target == REDIRECT {
                set(answer, "Location", B);
            }
        },
        "wrong /channels/agent/stable/a whole",
    ),
    (
        "another document of the same revision",
        |seen, answer| {
            if is_whole(seen, CHANNEL) {
                let at = wire::find(&answer.body, b"\"reason\": null").unwrap();
                answer.body[at + 10..at + 14].copy_from_slice(b"\"no\"");
            }
        },
        "wrong /channels/agent/stable.json whole",
    ),
    (
        "later",
        |seen, answer| {
            if seen.target == A {
                answer.head.status = 503;
            }
        },
        "unreachable /artifacts/agent/1.0.0/a whole",
    ),
];
