//! The cache against naive models, on random input.
//!
//! Owns a world with an origin whose objects change, requests that come in any order, and what must hold whatever
//! happens. Never repeats the cache's logic: bytes are bits of a word, lifetimes are asked of `freshness.rs`.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::edge::policy::freshness::{Lifetime, Phase, Storage, lifetime};

const KEYS: u8 = 3;

/// What can happen. Indexes are taken modulo what there is.
#[derive(Clone, Debug)]
enum Event {
    Ask(u8, Want),
    Alone(u8),
    /// The origin answers some fill; how is in the dice.
    Answer(usize, u8),
    /// Some body ends: complete, short or given up.
    End(usize, u8),
    Leave(usize, bool),
    Pass(u64),
    /// The origin has another version from now on.
    Change(u8),
    Invalidate(u8),
    Sweep,
}

fn want() -> impl Strategy<Value = Want> {
    prop_oneof![
        3 => Just(Want::Whole),
        3 => (0..70_u64, 0..20_u64).prop_map(|(first, more)| Want::Range {
            first,
            last: Some(first + more),
        }),
        1 => (0..70_u64).prop_map(|first| Want::Range { first, last: None }),
        1 => (0..70_u64).prop_map(Want::Suffix),
        1 => Just(Want::Head),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..KEYS, want()).prop_map(|(key, want)| Event::Ask(key, want)),
        1 => (0..KEYS).prop_map(Event::Alone),
        8 => (any::<usize>(), any::<u8>()).prop_map(|(nth, dice)| Event::Answer(nth, dice)),
        8 => (any::<usize>(), any::<u8>()).prop_map(|(nth, dice)| Event::End(nth, dice)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(nth, leader)| Event::Leave(nth, leader)),
        3 => (0..8_u64).prop_map(Event::Pass),
        1 => (0..KEYS).prop_map(Event::Change),
        1 => (0..KEYS).prop_map(Event::Invalidate),
        2 => Just(Event::Sweep),
    ]
}

fn parameters() -> impl Strategy<Value = (CacheSettings, Rules)> {
    let fill_range = prop_oneof![
        Just(FillRange::Exact),
        Just(FillRange::Aligned(16)),
        Just(FillRange::Whole)
    ];
    let leader_abort = prop_oneof![
        Just(LeaderAbort::Discard),
        Just(LeaderAbort::ContinueForFollowers),
        Just(LeaderAbort::Continue),
    ];
    let full = prop_oneof![Just(FullAfterParts::Whole), Just(FullAfterParts::Gaps)];
    // Room for one to all of the objects, each of which counts the least there is.
    let capacity = (1..8_u64).prop_map(|objects| objects * OBJECT_COST_MIN);
    (
        fill_range,
        leader_abort,
        full,
        capacity,
        0..3_u64,
        any::<bool>(),
    )
        .prop_map(
            |(fill_range, leader_abort, full_after_parts, capacity, min, collapse)| {
                let settings = CacheSettings {
                    capacity,
                    fill_range,
                    full_after_parts,
                    leader_abort,
                };
                let mut rules = rules();
                rules.ttl.min = Duration::from_secs(min);
                rules.ttl.max = Duration::from_secs(30);
                rules.collapse = collapse;
                (settings, rules)
            },
        )
}

/// Bytes as the bits of a word: objects here are shorter than 64 bytes.
fn bits(span: &Span) -> u64 {
    (0..64)
        .filter(|byte| span.contains(byte))
        .fold(0, |bits, byte| bits | 1 << byte)
}

/// What a request wants, resolved by hand.
fn wanted(want: Want, total: u64) -> u64 {
    match want {
        Want::Whole => bits(&(0..total)),
        Want::Range { first, last } => {
            let end = last.map_or(total, |last| last + 1).min(total);
            bits(&(first.min(end)..end))
        }
        Want::Suffix(len) => bits(&(total.saturating_sub(len)..total)),
        Want::Head => 0,
    }
}

/// What the world knows of an object that the cache was given.
#[derive(Clone, Debug)]
struct Known {
    key: u8,
    status: u16,
    version: u64,
    total: u64,
    bytes: u64,
    confirmed: Moment,
    lifetime: Lifetime,
}

/// What the world knows of a fill.
#[derive(Clone, Debug)]
struct Running {
    id: FillId,
    key: u8,
    fetch: Fetch,
    /// What a 304 would confirm. Objects of the same version may follow each other under one key.
    base: Option<ObjectId>,
    /// Others may follow it, as far as the world can tell.
    is_open: bool,
    answer: Option<(ObjectId, Span)>,
    is_answered: bool,
}

struct World {
    cache: Cache<u8>,
    rules: Rules,
    now: Moment,
    versions: [u64; KEYS as usize],
    objects: BTreeMap<ObjectId, Known>,
    gone: BTreeSet<ObjectId>,
    fills: Vec<Running>,
    capacity: u64,
}

impl World {
    fn new(settings: CacheSettings, rules: Rules) -> Self {
        Self {
            cache: Cache::new(settings),
            rules,
            now: moment(1),
            versions: [1; KEYS as usize],
            objects: BTreeMap::new(),
            gone: BTreeSet::new(),
            fills: Vec::new(),
            capacity: settings.capacity,
        }
    }

    fn total(&self, key: u8) -> u64 {
        // Another version often has another size, sometimes none at all.
        (37 * self.versions[usize::from(key)] + 11 * u64::from(key)) % 64
    }

    fn perform(&mut self, event: Event) {
        match event {
            Event::Ask(key, want) => self.ask(key, want),
            Event::Alone(key) => {
                let fetch = self.cache.alone(&key, Want::Whole, &self.rules, self.now);
                self.begin(key, fetch, false);
            }
            Event::Answer(nth, dice) => self.answer(nth, dice),
            Event::End(nth, dice) => self.end(nth, dice),
            Event::Leave(nth, is_leader) => {
                if let Some(at) = self.pick(nth, |_| true) {
                    let id = self.fills[at].id;
                    if !self.cache.left(id, is_leader) {
                        self.fills.remove(at);
                        self.cache.finished(id, End::Abandoned, self.now);
                    }
                }
            }
            Event::Pass(seconds) => self.now = self.now.after(Duration::from_secs(seconds)),
            Event::Change(key) => self.versions[usize::from(key)] += 1,
            Event::Invalidate(key) => {
                self.cache.invalidate(&mut |of, _| *of == key);
                let fills = self.fills.iter_mut();
                fills
                    .filter(|fill| fill.key == key)
                    .for_each(|fill| fill.is_open = false);
                assert_eq!(
                    self.cache.peek(&key, self.now).map(|seen| seen.stored),
                    None
                );
            }
            Event::Sweep => {
                for id in self.cache.dropped() {
                    assert!(self.gone.insert(id), "{id:?} is dropped twice");
                }
            }
        }
        self.check();
    }

    fn pick(&self, nth: usize, is_meant: impl Fn(&Running) -> bool) -> Option<usize> {
        let meant: Vec<usize> = (0..self.fills.len())
            .filter(|at| is_meant(&self.fills[*at]))
            .collect();
        (!meant.is_empty()).then(|| meant[nth % meant.len()])
    }

    fn ask(&mut self, key: u8, want: Want) {
        match self.cache.ask(&key, want, &self.rules, self.now) {
            Verdict::Hit(stored) => {
                assert_eq!(self.served(key, Some(want), stored), Phase::Fresh);
            }
            Verdict::Stale(stored, behind) => {
                let phase = self.served(key, Some(want), stored);
                assert!(
                    phase != Phase::Fresh && phase != Phase::Expired,
                    "{phase:?}"
                );
                if let Some(fetch) = behind {
                    let base = Some(stored.object);
                    let mut others = self.fills.iter();
                    let twice = others.any(|fill| fill.is_open && fill.base == base);
                    assert!(!twice, "two fetches behind {base:?}");
                    self.begin(key, fetch, true);
                }
            }
            Verdict::Follow(id) => {
                let fill = self.fills.iter().find(|fill| fill.id == id);
                let fill = fill.expect("what is followed is in flight");
                assert!(
                    fill.key == key && fill.is_open && self.rules.collapse,
                    "{fill:?}"
                );
            }
            Verdict::Fetch(fetch) => self.begin(key, fetch, self.rules.collapse),
        }
    }

    /// Whatever is served is here, whole enough, and not too old. Says how old it is.
    fn served(&self, key: u8, want: Option<Want>, stored: Stored) -> Phase {
        let known = &self.objects[&stored.object];
        assert!(!self.gone.contains(&stored.object), "{stored:?} is gone");
        assert_eq!((known.key, known.status), (key, stored.status));
        let age = self.now.since(known.confirmed);
        assert_eq!(stored.age, age);
        assert!(
            age <= known.lifetime.limit.max(known.lifetime.fresh),
            "{stored:?}"
        );
        if known.status == 200 {
            let total = stored.total.expect("totals are announced here");
            assert_eq!(total, known.total);
            if let Some(want) = want {
                let lacking = wanted(want, total) & !known.bytes;
                assert_eq!(lacking, 0, "{want:?} of {known:?}");
            }
        }
        known.lifetime.phase(age)
    }

    fn begin(&mut self, key: u8, fetch: Fetch, is_open: bool) {
        let seen = self.cache.peek(&key, self.now);
        let base = seen
            .filter(|_| fetch.condition.is_some())
            .map(|seen| seen.stored.object);
        if is_open && !fetch.head {
            let asked = (&fetch.span, fetch.suffix, base);
            let alike = |other: &&Running| {
                let is_there = other.key == key && other.is_open;
                is_there && (&other.fetch.span, other.fetch.suffix, other.base) == asked
            };
            let other = self.fills.iter().find(alike);
            assert!(other.is_none(), "{fetch:?} beside {other:?}");
        }
        self.fills.push(Running {
            id: fetch.fill,
            key,
            is_open: is_open && !fetch.head,
            fetch,
            base,
            answer: None,
            is_answered: false,
        });
    }

    /// The origin's answer to a fill: 304 and 206 where they are due, else 200; errors when the dice say so.
    fn answer(&mut self, nth: usize, dice: u8) {
        let Some(at) = self.pick(nth, |fill| !fill.is_answered) else {
            return;
        };
        let mut fill = self.fills[at].clone();
        let version = self.versions[usize::from(fill.key)];
        let total = self.total(fill.key);
        let etag = format!("\"{version}\"");
        let is_same = fill
            .fetch
            .condition
            .as_ref()
            .and_then(|on| on.etag.as_deref())
            == Some(etag.as_bytes());
        let span = match (&fill.fetch.span, fill.fetch.suffix) {
            (Some(span), _) => Some(span.start.min(total)..span.end.min(total)),
            (None, Some(len)) => Some(total.saturating_sub(len)..total),
            (None, None) => None,
        };
        let head = match (dice % 8, span.filter(|_| dice % 16 < 12)) {
            (0, _) => status(if dice < 128 { 503 } else { 404 }),
            _ if is_same => status(304),
            (1, _) => ok(&etag).sized(Some(total)).forbidden(),
            (_, Some(span)) if span.is_empty() => status(416),
            (_, Some(span)) => AnswerHead {
                total: Some(total),
                ..part(&etag, span)
            },
            (_, None) => ok(&etag).sized(Some(total)),
        };
        let head = head.max_age(u64::from(dice % 13));
        let head = if dice % 3 == 0 { head.swr(5) } else { head };
        let head = if dice % 5 == 0 {
            head.sie(u64::from(dice % 7))
        } else {
            head
        };
        fill.is_answered = true;
        let reaction = self.cache.answered(fill.id, &head, &self.rules, self.now);
        fill.is_open &= reaction.followers() == Followers::Share;
        match reaction {
            Reaction::Keep(id, _) => {
                let part = head.span.clone().unwrap_or(0..head.length.unwrap_or(0));
                self.learn(id, fill.key, version, &head);
                fill.answer = Some((id, part));
            }
            Reaction::Refreshed(stored, _) => {
                fill.is_open = false;
                let is_current = self
                    .cache
                    .iter(self.now)
                    .any(|(_, seen)| seen.stored.object == stored.object);
                if let (true, Storage::Keep(lifetime)) =
                    (is_current, lifetime(&head.said, &self.rules.ttl))
                {
                    let known = self.objects.get_mut(&stored.object).unwrap();
                    (known.confirmed, known.lifetime) = (self.now, lifetime);
                }
                assert!(!self.gone.contains(&stored.object));
            }
            Reaction::StandIn(stored) => {
                fill.is_open = false;
                assert_ne!(self.served(fill.key, None, stored), Phase::Expired);
            }
            Reaction::Pass => fill.is_open = false,
        }
        self.fills[at] = fill;
    }

    /// What the cache is given under this id. A part of another version must never get an id that is in use.
    fn learn(&mut self, id: ObjectId, key: u8, version: u64, head: &AnswerHead) {
        let is_error = head.status >= 400;
        let (total, status) = match (is_error, head.total) {
            (true, _) => (0, head.status),
            (false, total) => (total.or(head.length).unwrap(), 200),
        };
        let lifetime = match is_error {
            false => match lifetime(&head.said, &self.rules.ttl) {
                Storage::Keep(lifetime) => lifetime,
                Storage::Pass => panic!("kept although it may not be"),
            },
            true => {
                let fresh = head
                    .said
                    .max_age
                    .unwrap_or_default()
                    .max(Duration::from_secs(10));
                Lifetime {
                    fresh,
                    stale_while_revalidate: Duration::ZERO,
                    stale_if_error: Some(Duration::ZERO),
                    limit: fresh,
                }
            }
        };
        let confirmed = self.now;
        let known = self.objects.entry(id).or_insert(Known {
            key,
            status,
            version,
            total,
            bytes: 0,
            confirmed,
            lifetime,
        });
        assert_eq!(
            (known.key, known.version, known.total),
            (key, version, total)
        );
        (known.confirmed, known.lifetime) = (confirmed, lifetime);
    }

    fn end(&mut self, nth: usize, dice: u8) {
        let Some(at) = self.pick(nth, |fill| fill.is_answered || dice % 4 == 0) else {
            return;
        };
        let fill = self.fills.remove(at);
        let end = match (dice % 8, &fill.answer) {
            (0, _) => End::Short,
            (1, _) => End::Abandoned,
            (_, Some((_, span))) => End::Complete(span.end - span.start),
            (_, None) => End::Complete(0),
        };
        self.cache.finished(fill.id, end, self.now);
        let kept = fill.answer.filter(|_| matches!(end, End::Complete(_)));
        if let Some((id, span)) = kept
            && let Some(known) = self.objects.get_mut(&id)
        {
            known.bytes |= bits(&span);
        }
    }

    /// What holds after every event.
    fn check(&self) {
        let mut sum = 0;
        for (key, seen) in self.cache.iter(self.now) {
            let known = &self.objects[&seen.stored.object];
            assert!(
                !self.gone.contains(&seen.stored.object),
                "{:?} is kept and gone",
                seen.stored
            );
            assert_eq!(known.key, *key);
            let bytes = seen.spans.iter().map(bits).fold(0, |all, span| all | span);
            // Bytes may be here that an invalidated fill brought nowhere; never bytes that nobody brought.
            assert_eq!(bytes & !known.bytes, 0, "{seen:?}");
            sum += seen.spans.len();
        }
        assert_eq!(self.cache.bytes(), sum);
        assert!(self.cache.bytes() <= self.capacity);
        assert!(self.cache.slots.cost() <= self.capacity);
        assert_eq!(self.cache.fills(), self.fills.len());
    }

    /// Every fill ends and everything is invalidated: then nothing is left, and every id was given back.
    fn wind_up(mut self) {
        while !self.fills.is_empty() {
            self.end(0, 0);
        }
        self.perform(Event::Sweep);
        self.cache.invalidate(&mut |_, _| true);
        self.perform(Event::Sweep);
        assert_eq!(self.cache.bytes(), 0);
        assert_eq!(self.cache.iter(self.now).count(), 0);
        let given: BTreeSet<ObjectId> = self.objects.keys().copied().collect();
        assert_eq!(given, self.gone, "every object is dropped in the end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_nothing_wrong_old_or_gone_is_served(
        (settings, rules) in parameters(),
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(settings, rules);
        for event in events {
            world.perform(event);
        }
        world.wind_up();
    }

    #[test]
    fn it_misses_exactly_what_a_naive_lru_misses(
        capacity in 0..8_000_u64,
        sizes in prop::collection::vec(0..3_000_u64, 12),
        requests in prop::collection::vec(0..12_usize, 1..200),
    ) {
        let settings = CacheSettings { capacity, ..settings() };
        let mut cache: Cache<usize> = Cache::new(settings);
        // The most recently used last.
        let mut naive: Vec<usize> = Vec::new();
        let cost = |key: &usize| sizes[*key].max(OBJECT_COST_MIN);
        for key in requests {
            let verdict = cache.ask(&key, Want::Whole, &rules(), moment(0));
            let is_hit = matches!(verdict, Verdict::Hit(_));
            let held = naive.iter().position(|held| *held == key);
            prop_assert_eq!(is_hit, held.is_some(), "{} in {:?}", key, naive);
            if let Verdict::Fetch(fetch) = verdict {
                let answer = ok("\"a\"").max_age(1_000).sized(Some(sizes[key]));
                let _ = cache.answered(fetch.fill, &answer, &rules(), moment(0));
                cache.finished(fetch.fill, End::Complete(sizes[key]), moment(0));
            }
            if let Some(held) = held {
                naive.remove(held);
            }
            if cost(&key) <= capacity {
                naive.push(key);
            }
            while naive.iter().map(cost).sum::<u64>() > capacity {
                naive.remove(0);
            }
        }
    }
}
