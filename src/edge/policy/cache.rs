//! E-3, E-6, E-8, E-12: one cache, as a state machine without I/O.
//!
//! Owns what a cache knows of each object (lifetime, validators, which bytes) and which fills are in flight. Never holds
//! the bytes: its user keeps them by [`ObjectId`], moves them, and reports what happened. The caching proxy and the fleet
//! simulation are two users of this one machine.
//!
//! A request:
//!
//! ```text
//! ask ─► Hit ───────────────► serve the object; a range beyond its total is a 416
//!    ├─► Stale(fetch?) ─────► serve the object at once; carry out the fetch behind it
//!    ├─► Follow(fill) ──────► wait for the fill's head (below), then do as its leader does
//!    └─► Fetch(fetch) ──────► lead: ask the layer behind, report the head
//!
//! answered ─► Keep(object) ─► read the body along; bytes that the fill does not bring (Fetch::span says which it does)
//!    │                        are in `Fetch::parts` if that is the same object: else ask again
//!    ├─► Refreshed(object) ─► serve the object
//!    ├─► StandIn(object) ───► serve the object although it is stale
//!    └─► Pass ──────────────► the leader delivers the answer, a follower fetches alone
//! ```
//!
//! A fill: every [`Fetch`] that was handed out, also by [`Cache::alone`] and behind a `Stale`, ends in one
//! [`Cache::finished`], whatever came between.
//!
//! ```text
//! Fetch ─► asked ─┬─► answered: Keep, the body comes ─┬─► finished(Complete): kept, can be hit
//!                 │                                   └─► finished(Short | Abandoned): nothing of it is kept
//!                 ├─► answered: anything else ──────────► finished: nothing to keep
//!                 └─► left by all, or no answer ────────► finished(Abandoned)
//! ```
//!
//! An object: `absent ─► parts ─► whole`, by fills that complete; each is *fresh*, then *stale* (served stale at once in
//! the window of `stale-while-revalidate`; after that asked for, and a stand-in when the origin fails), and leaves when it
//! is replaced, invalidated or the least recently used. Its id is then in [`Cache::dropped`], once, as soon as no fill
//! serves from it. A part in flight when its object leaves is delivered and not kept.
//!
//! Read next: `cache/asking.rs` (requests), `cache/answering.rs` (answers), `cache/object.rs` (windows of time and bytes),
//! `cache/slots.rs` (recency and room).

mod answer;
mod answering;
mod asking;
mod object;
mod slots;
#[cfg(test)]
mod tests;

use std::hash::Hash;
use std::time::Duration;

use rustc_hash::FxHashMap;

pub use self::answer::{
    ANSWER_BYTES_MAX, AnswerFault, AnswerHead, Followers, Reaction, Validators, is_same_weak,
    is_weak,
};
use self::object::Object;
pub use self::slots::OBJECT_COST_MIN;
use self::slots::Slots;
use super::Moment;
use super::errors::ErrorTtls;
use super::freshness::Ttl;
use super::spans::{FillRange, FullAfterParts, Span, Spans};

/// ⚙ What AWS does not publish about one cache node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheSettings {
    /// Bytes of bodies it may keep (E-12: least recently used goes first). Small objects count [`OBJECT_COST_MIN`].
    pub capacity: u64,
    /// How far the miss of a range is enlarged.
    pub fill_range: FillRange,
    /// What a full GET fetches when parts are here.
    pub full_after_parts: FullAfterParts,
    /// What happens when the one who started a fill goes away.
    pub leader_abort: LeaderAbort,
}

/// ⚙ Fact 45, and what it leaves open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaderAbort {
    /// The fill ends and nothing is kept; followers ask again.
    Discard,
    /// The fill goes on while someone follows it; with nobody left it ends and nothing is kept.
    ContinueForFollowers,
    /// The fill always goes on to its end.
    Continue,
}

/// What of a behaviour decides here.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The times of the cache policy.
    pub ttl: Ttl,
    /// Error-caching minimum TTLs.
    pub errors: ErrorTtls,
    /// Whether requests may share a fill (E-6).
    pub collapse: bool,
}

/// One kept version of an object. A replaced object has another id, so that a reader of the old one is not disturbed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ObjectId(pub u64);

/// One fetch from the layer behind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FillId(pub u64);

/// What is wanted of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// GET of all of it.
    Whole,
    /// GET of the bytes from `first` to `last` (inclusive), or to the end.
    Range {
        /// The first position.
        first: u64,
        /// The last position.
        last: Option<u64>,
    },
    /// GET of the last so many bytes.
    Suffix(u64),
    /// HEAD: answered from a cached GET; a miss goes on as HEAD and is not kept (fact 38, a choice of the model).
    Head,
}

/// What a cache says to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Serve what is kept. Of a range beyond its `total` there is nothing to serve: that is a 416.
    Hit(Stored),
    /// Serve what is kept although it is stale; run the fetch, if there is one, behind it (E-4).
    Stale(Stored, Option<Fetch>),
    /// Another request is fetching this: wait for it (E-6).
    Follow(FillId),
    /// Ask the layer behind.
    Fetch(Fetch),
}

/// A kept object that may be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Which.
    pub object: ObjectId,
    /// Its status: errors are kept too. 200 for an object made of parts.
    pub status: u16,
    /// How old it is, for the `Age` field.
    pub age: Duration,
    /// The size of the whole representation, once known.
    pub total: Option<u64>,
}

/// A fetch to make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// Report with this.
    pub fill: FillId,
    /// Make it conditional on these: the object is here, but stale.
    pub condition: Option<Validators>,
    /// Ask for these bytes only; `end` is [`OPEN`](super::spans::OPEN) when it is open. `None`: the whole object.
    ///
    /// It is the first run of bytes that the request lacks, enlarged. When kept parts lie in the middle of what is
    /// wanted, some may still be lacking after it: ask again for the rest.
    pub span: Option<Span>,
    /// Ask for the last so many bytes: where they begin is not known. `span` is `None` then.
    pub suffix: Option<u64>,
    /// The object of which the other wanted bytes are here: the answer adds to it, if it turns out to be the same.
    pub parts: Option<Stored>,
    /// Ask by HEAD.
    pub head: bool,
}

/// How a fill's body ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// As announced, or (without `Content-Length`) with the connection; so many bytes came.
    Complete(u64),
    /// Before its announced length: delivered, not kept.
    Short,
    /// Given up because nobody wanted it any more.
    Abandoned,
}

/// One cache node's knowledge, by keys of type `K`.
#[derive(Debug)]
pub struct Cache<K> {
    settings: CacheSettings,
    slots: Slots<K>,
    fills: FxHashMap<FillId, Fill>,
    /// Objects that left while fills needed them.
    detached: FxHashMap<ObjectId, Object>,
    dropped: Vec<ObjectId>,
    /// Ids are never used twice.
    objects_made: u64,
    fills_made: u64,
}

/// A fill in flight.
#[derive(Debug)]
struct Fill {
    /// The slot of its key. A slot with fills is never freed.
    slot: usize,
    /// The bytes asked for, and once it is answered those that come; `None`: all.
    span: Option<Span>,
    suffix: Option<u64>,
    /// The size of the object of which a part comes.
    total: Option<u64>,
    head: bool,
    /// The answer may be a 304.
    is_conditional: bool,
    /// The stale object that the leader could be served; pinned.
    base: Option<ObjectId>,
    access: Access,
    stage: Stage,
    /// Whether the request that started it is still there; a background fetch has none that could leave.
    leader: Leader,
    followers: u32,
}

/// Who may follow a fill.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    /// Anyone.
    Open,
    /// Nobody new.
    Closed,
    /// Nobody new, and nothing of it is kept: it was invalidated.
    Poisoned,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leader {
    Here,
    Gone,
    Nobody,
}

#[derive(Debug)]
enum Stage {
    /// No head yet.
    Asked,
    /// A whole object comes; `Some` is how many bytes were announced.
    Whole(Box<Object>, Option<u64>),
    /// A part of this object comes; it is pinned.
    Part(ObjectId, Span),
    /// Nothing to keep.
    Passing,
}

/// What is known of a kept object, for reports and tests.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Peek<'a> {
    /// Id, status, age, size.
    pub stored: Stored,
    /// Whether it is served without asking.
    pub is_fresh: bool,
    /// Which bytes are here.
    pub spans: &'a Spans,
    /// `ETag`, `Last-Modified`.
    pub validators: &'a Validators,
    /// Its cache tags.
    pub tags: &'a [Box<str>],
}

/// What is known of a fill in flight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InFlight {
    /// The bytes asked for, and once it is answered those that come; `None`: the whole object.
    pub span: Option<Span>,
    /// Requests that follow it.
    pub followers: u32,
    /// Whether a new request may follow it.
    pub is_open: bool,
}

impl<K: Clone + Eq + Hash> Cache<K> {
    /// An empty cache.
    #[must_use]
    pub fn new(settings: CacheSettings) -> Self {
        Self {
            settings,
            slots: Slots::default(),
            fills: FxHashMap::default(),
            detached: FxHashMap::default(),
            dropped: Vec::new(),
            objects_made: 0,
            fills_made: 0,
        }
    }

    /// One request that led (`leader`) or followed a fill broke off. Whether the fill must go on; if not, end it and
    /// report [`End::Abandoned`].
    ///
    /// Those who got all they wanted have not left: the leader of an enlarged range is served before its fill ends, and
    /// that must not end it.
    pub fn left(&mut self, fill: FillId, leader: bool) -> bool {
        let Some(fill) = self.fills.get_mut(&fill) else {
            return false;
        };
        if leader {
            fill.leader = Leader::Gone;
        } else {
            fill.followers = fill.followers.saturating_sub(1);
        }
        let goes_on = match (fill.leader, self.settings.leader_abort) {
            (Leader::Here | Leader::Nobody, _) => true,
            (Leader::Gone, LeaderAbort::Discard) => false,
            (Leader::Gone, LeaderAbort::ContinueForFollowers) => fill.followers > 0,
            // An answer that is not kept has no use but for those who are there.
            (Leader::Gone, LeaderAbort::Continue) => {
                fill.followers > 0 || !matches!(fill.stage, Stage::Passing)
            }
        };
        if !goes_on {
            fill.close(); // Nobody may follow what is about to end.
        }
        goes_on
    }

    /// Drops every object, and forgets every fill in flight, for which `doomed` (told the key and the tags) is true.
    /// Says how many objects that were.
    ///
    /// Such a fill is delivered to those who wait for it and not kept. The tags of an answer that has not come yet are
    /// not known: those of the stale object that it is to confirm stand in for them.
    pub fn invalidate(&mut self, doomed: &mut dyn FnMut(&K, &[Box<str>]) -> bool) -> usize {
        let mut objects = Vec::new();
        let mut poisoned = Vec::new();
        for (at, key, slot) in self.slots.iter() {
            let kept_tags = slot.object.as_ref().map_or(&[][..], |object| &object.tags);
            if slot.object.is_some() && doomed(key, kept_tags) {
                objects.push((at, Kind::Object));
            }
            if let Some(error) = &slot.error
                && doomed(key, &error.tags)
            {
                objects.push((at, Kind::Error));
            }
            for id in &slot.fills {
                let tags = match self.fills.get(id).map(|fill| &fill.stage) {
                    Some(Stage::Whole(object, _)) => &object.tags,
                    _ => kept_tags,
                };
                if doomed(key, tags) {
                    poisoned.push(*id);
                }
            }
        }
        for id in poisoned {
            if let Some(fill) = self.fills.get_mut(&id) {
                fill.access = Access::Poisoned;
            }
        }
        for (at, kind) in &objects {
            self.discard(*at, *kind);
            self.slots.tidy(*at);
        }
        objects.len()
    }

    /// Objects whose bytes are not needed any more since the last call: evicted, replaced, invalidated, never finished.
    pub fn dropped(&mut self) -> Vec<ObjectId> {
        std::mem::take(&mut self.dropped)
    }

    /// Bytes of bodies kept.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.slots.bytes()
    }

    /// What is kept for a key: its object, or else its error. Uses nothing: recency stays as it is.
    #[must_use]
    pub fn peek(&self, key: &K, now: Moment) -> Option<Peek<'_>> {
        let slot = self.slots.at(self.slots.find(key)?);
        let object = slot.kept().next()?;
        Some(peek(object, now))
    }

    /// All that is kept, errors included, in no particular but always the same order.
    pub fn iter(&self, now: Moment) -> impl Iterator<Item = (&K, Peek<'_>)> {
        self.slots
            .iter()
            .flat_map(move |(_, key, slot)| slot.kept().map(move |object| (key, peek(object, now))))
    }

    /// A fill in flight.
    #[must_use]
    pub fn fill(&self, fill: FillId) -> Option<InFlight> {
        self.fills.get(&fill).map(|fill| InFlight {
            span: fill.span.clone(),
            followers: fill.followers,
            is_open: fill.is_open(),
        })
    }

    /// How many fills are in flight.
    #[must_use]
    pub fn fills(&self) -> usize {
        self.fills.len()
    }

    /// Takes an object or error out of its slot.
    fn discard(&mut self, at: usize, kind: Kind) {
        let slot = self.slots.at_mut(at);
        let taken = match kind {
            Kind::Object => slot.object.take(),
            Kind::Error => slot.error.take().map(|error| *error),
        };
        if let Some(object) = taken {
            self.release(object);
            self.slots.changed(at);
        }
    }

    /// An object left: its bytes can go, unless a fill still serves from it.
    fn release(&mut self, object: Object) {
        if object.pins == 0 {
            self.dropped.push(object.id);
        } else {
            self.detached.insert(object.id, object);
        }
    }

    /// Room for what was just kept in a slot: the least recently used others go first, itself when that is not enough.
    fn make_room(&mut self, at: usize) {
        while self.slots.cost() > self.settings.capacity {
            let victim = self.slots.evictable(at).unwrap_or(at);
            self.discard(victim, Kind::Error);
            self.discard(victim, Kind::Object);
            self.slots.tidy(victim);
        }
    }

    fn new_object_id(&mut self) -> ObjectId {
        self.objects_made += 1;
        ObjectId(self.objects_made)
    }
}

/// Which of a slot's two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Object,
    Error,
}

impl Fill {
    /// Whether a new request may follow it.
    fn is_open(&self) -> bool {
        self.access == Access::Open && !matches!(self.stage, Stage::Passing)
    }

    fn close(&mut self) {
        if self.access == Access::Open {
            self.access = Access::Closed;
        }
    }

    /// Whether nothing of it may be kept.
    fn is_poisoned(&self) -> bool {
        self.access == Access::Poisoned
    }
}

fn peek(object: &Object, now: Moment) -> Peek<'_> {
    Peek {
        stored: object.stored(now),
        is_fresh: object.is_fresh(now),
        spans: object.spans(),
        validators: &object.validators,
        tags: &object.tags,
    }
}
