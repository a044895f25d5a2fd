//! The cache's rules as tables: who asks, what is answered, what becomes of it.
//!
//! Owns the script language of the tables: a case is a list of moments, actions and what the cache says to them, in one
//! short line. Never checks a rule itself: `lookup.rs` (E-3 to E-6), `ranges.rs` (E-7), `fills.rs` (E-8, E-12, E-13),
//! `chain.rs` (E-9), `model.rs` (against a naive model, on random input).

mod chain;
#[expect(clippy::too_many_lines, reason = "a table has no branches")]
mod fills;
#[expect(clippy::too_many_lines, reason = "a table has no branches")]
mod lookup;
mod model;
#[expect(clippy::too_many_lines, reason = "a table has no branches")]
mod ranges;

use std::time::Duration;

use super::*;
use crate::edge::policy::freshness::Directives;
use crate::edge::policy::spans::OPEN;

pub(super) const KEY: &str = "/a";

/// One thing that happens.
pub(super) enum Do {
    Ask(&'static str, Want),
    Alone(Want),
    Answer(u64, AnswerHead),
    End(u64, End),
    LeaderLeft(u64),
    FollowerLeft(u64),
    /// Drops what has this key or this tag.
    Invalidate(&'static str),
    Dropped,
    Bytes,
}

/// Second, action, what the cache says.
pub(super) type Step = (u64, Do, &'static str);

/// One row of a table.
pub(super) struct Case {
    name: &'static str,
    pub(super) settings: CacheSettings,
    pub(super) rules: Rules,
    steps: Vec<Step>,
}

/// A case under DefaultTTL and MaxTTL of a day, exact ranges, and everything else as in a new distribution.
pub(super) fn case<const N: usize>(name: &'static str, steps: [Step; N]) -> Case {
    Case {
        name,
        settings: settings(),
        rules: rules(),
        steps: steps.into(),
    }
}

impl Case {
    pub(super) fn with(mut self, change: impl FnOnce(&mut CacheSettings, &mut Rules)) -> Self {
        change(&mut self.settings, &mut self.rules);
        self
    }
}

pub(super) fn settings() -> CacheSettings {
    CacheSettings {
        capacity: 1 << 30,
        fill_range: FillRange::Exact,
        full_after_parts: FullAfterParts::Gaps,
        leader_abort: LeaderAbort::Discard,
    }
}

pub(super) fn rules() -> Rules {
    let day = Duration::from_secs(86_400);
    Rules {
        ttl: Ttl {
            min: Duration::ZERO,
            default: day,
            max: day,
        },
        errors: ErrorTtls::default(),
        collapse: true,
    }
}

pub(super) fn moment(second: u64) -> Moment {
    Moment::default().after(Duration::from_secs(second))
}

pub(super) fn get() -> Do {
    Do::Ask(KEY, Want::Whole)
}

pub(super) fn head() -> Do {
    Do::Ask(KEY, Want::Head)
}

/// `Range: bytes=first-last`.
pub(super) fn range(first: u64, last: u64) -> Do {
    let last = Some(last);
    Do::Ask(KEY, Want::Range { first, last })
}

/// `Range: bytes=first-`.
pub(super) fn range_from(first: u64) -> Do {
    Do::Ask(KEY, Want::Range { first, last: None })
}

/// `Range: bytes=-len`.
pub(super) fn suffix(len: u64) -> Do {
    Do::Ask(KEY, Want::Suffix(len))
}

pub(super) fn end(fill: u64, bytes: u64) -> Do {
    Do::End(fill, End::Complete(bytes))
}

/// 200 with 100 bytes.
pub(super) fn ok(etag: &str) -> AnswerHead {
    AnswerHead {
        length: Some(100),
        ..bare(200, etag)
    }
}

/// 206 with some of 100 bytes.
pub(super) fn part(etag: &str, span: Span) -> AnswerHead {
    AnswerHead {
        length: Some(span.end - span.start),
        span: Some(span),
        total: Some(100),
        ..bare(206, etag)
    }
}

pub(super) fn status(status: u16) -> AnswerHead {
    bare(status, "")
}

fn bare(status: u16, etag: &str) -> AnswerHead {
    AnswerHead {
        status,
        said: Directives::default(),
        validators: Validators {
            etag: (!etag.is_empty()).then(|| etag.as_bytes().into()),
            last_modified: None,
        },
        length: Some(0),
        span: None,
        total: None,
        tags: Vec::new(),
    }
}

/// What a table says of an answer's caching.
pub(super) trait Says {
    fn max_age(self, seconds: u64) -> Self;
    fn swr(self, seconds: u64) -> Self;
    fn sie(self, seconds: u64) -> Self;
    fn forbidden(self) -> Self;
    fn tagged(self, tag: &str) -> Self;
    fn sized(self, length: Option<u64>) -> Self;
}

impl Says for AnswerHead {
    fn max_age(mut self, seconds: u64) -> Self {
        self.said.max_age = Some(Duration::from_secs(seconds));
        self
    }

    fn swr(mut self, seconds: u64) -> Self {
        self.said.stale_while_revalidate = Some(Duration::from_secs(seconds));
        self
    }

    fn sie(mut self, seconds: u64) -> Self {
        self.said.stale_if_error = Some(Duration::from_secs(seconds));
        self
    }

    fn forbidden(mut self) -> Self {
        self.said.forbids = true;
        self
    }

    fn tagged(mut self, tag: &str) -> Self {
        self.tags.push(tag.into());
        self
    }

    fn sized(mut self, length: Option<u64>) -> Self {
        self.length = length;
        self
    }
}

/// Plays each case on a cache of its own.
pub(super) fn play(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        let mut cache = Cache::new(case.settings);
        for (at, (second, action, expected)) in case.steps.into_iter().enumerate() {
            let said = perform(&mut cache, action, &case.rules, moment(second));
            assert_eq!(said, expected, "{}, step {}", case.name, at + 1);
        }
    }
}

fn perform(cache: &mut Cache<&'static str>, action: Do, rules: &Rules, now: Moment) -> String {
    match action {
        Do::Ask(key, want) => verdict(&cache.ask(&key, want, rules, now)),
        Do::Alone(want) => fetch(&cache.alone(&KEY, want, rules, now)),
        Do::Answer(fill, head) => reaction(cache.answered(FillId(fill), &head, rules, now)),
        Do::End(fill, end) => {
            cache.finished(FillId(fill), end, now);
            String::new()
        }
        Do::LeaderLeft(fill) => goes_on(cache.left(FillId(fill), true)),
        Do::FollowerLeft(fill) => goes_on(cache.left(FillId(fill), false)),
        Do::Invalidate(what) => {
            let mut doomed = |key: &&str, tags: &[Box<str>]| {
                *key == what || tags.iter().any(|tag| **tag == *what)
            };
            cache.invalidate(&mut doomed).to_string()
        }
        Do::Dropped => {
            let ids: Vec<String> = cache.dropped().iter().map(|id| id.0.to_string()).collect();
            ids.join(" ")
        }
        Do::Bytes => cache.bytes().to_string(),
    }
}

fn goes_on(goes_on: bool) -> String {
    if goes_on { "goes on" } else { "ends" }.to_owned()
}

/// `hit 1 (5s)`, `stale 1 (5s) + fetch 2 if "a"`, `follow 1`, `fetch 1 0-99`.
fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Hit(of) => format!("hit {}", stored(of)),
        Verdict::Stale(of, None) => format!("stale {}", stored(of)),
        Verdict::Stale(of, Some(behind)) => format!("stale {} + {}", stored(of), fetch(behind)),
        Verdict::Follow(fill) => format!("follow {}", fill.0),
        Verdict::Fetch(of) => fetch(of),
    }
}

/// `1 (5s)`, with the status unless it is 200.
fn stored(of: &Stored) -> String {
    let status = match of.status {
        200 => String::new(),
        status => format!(" {status}"),
    };
    format!("{}{status} ({}s)", of.object.0, of.age.as_secs())
}

/// `fetch 2 if "a" since D 50-99 of 1`: conditions, positions as on the wire, and the object to which it adds.
fn fetch(of: &Fetch) -> String {
    let mut text = format!("fetch {}", of.fill.0);
    let text_of = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    if let Some(etag) = of.condition.as_ref().and_then(|on| on.etag.as_deref()) {
        text += &format!(" if {}", text_of(etag));
    }
    if let Some(date) = of
        .condition
        .as_ref()
        .and_then(|on| on.last_modified.as_deref())
    {
        text += &format!(" since {}", text_of(date));
    }
    match (&of.span, of.suffix) {
        (Some(span), _) if span.end == OPEN => text += &format!(" {}-", span.start),
        (Some(span), _) => text += &format!(" {}-{}", span.start, span.end - 1),
        (None, Some(len)) => text += &format!(" -{len}"),
        (None, None) => {}
    }
    if let Some(parts) = of.parts {
        text += &format!(" of {}", parts.object.0);
    }
    if of.head {
        text += " by HEAD";
    }
    text
}

/// `keep 1`, `refreshed 1 (0s)`, `stand-in 1 (20s)`, `pass`; `, alone` when followers are released.
fn reaction(reaction: Reaction) -> String {
    let alone = |followers| match followers {
        Followers::Share => "",
        Followers::Release => ", alone",
    };
    match reaction {
        Reaction::Keep(id, to) => format!("keep {}{}", id.0, alone(to)),
        Reaction::Refreshed(of, to) => format!("refreshed {}{}", stored(&of), alone(to)),
        Reaction::StandIn(of) => format!("stand-in {}", stored(&of)),
        Reaction::Pass => "pass".to_owned(),
    }
}
