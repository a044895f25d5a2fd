//! E-3, E-6, E-8, E-12: one cache, as a state machine without I/O.
//!
//! Owns what a cache knows of each object (lifetime, validators, which bytes) and which fills are in flight. Never holds
//! the bytes: its user keeps them by [`ObjectId`], moves them, and reports what happened. The caching proxy and the fleet
//! simulation are two users of this one machine.
//!
//! ```text
//! ask ─► Hit | Stale ─► serve
//!    └─► Follow(fill) ─► wait for that fill, then serve what it brought or ask again
//!    └─► Fetch(fill)  ─► ask the layer behind ─► answered(fill) ─► … body … ─► finished(fill)
//! ```

use std::hash::Hash;
use std::marker::PhantomData;
use std::time::Duration;

use super::Moment;
use super::errors::ErrorTtls;
use super::freshness::{Directives, Ttl};
use super::spans::{FillRange, FullAfterParts, Span};

/// ⚙ What AWS does not publish about one cache node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheSettings {
    /// Bytes of bodies it may keep (E-12: least recently used goes first).
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

/// `ETag` and `Last-Modified`, byte for byte as the origin sent them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<Box<[u8]>>,
    /// `Last-Modified`.
    pub last_modified: Option<Box<[u8]>>,
}

/// What a cache says to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Serve what is kept.
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
    /// Its status: errors are kept too.
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
    /// Ask for these bytes only; `end` is `u64::MAX` when it is open. `None`: the whole object.
    pub span: Option<Span>,
    /// Ask by HEAD.
    pub head: bool,
}

/// The head of an answer from behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnswerHead {
    /// Its status. An origin that did not answer is a 502 or 504 with no directives (T22).
    pub status: u16,
    /// What it says about caching.
    pub said: Directives,
    /// `ETag`, `Last-Modified`.
    pub validators: Validators,
    /// The bytes that the body will have, when it says so (`Content-Length`).
    pub length: Option<u64>,
    /// For 206: which bytes these are.
    pub span: Option<Span>,
    /// For 206: of how many.
    pub total: Option<u64>,
    /// Cache tags, lower case (fact 79).
    pub tags: Vec<Box<str>>,
}

/// What becomes of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// Deliver it to the leader and the followers, and keep it as this object: after [`Cache::finished`] it can be hit.
    Keep(ObjectId),
    /// 304: what was kept is fresh again; serve that to the leader and the followers.
    Refreshed(Stored),
    /// The origin failed; serve what was kept to the leader and the followers (E-4, E-5).
    StandIn(Stored),
    /// Deliver it to the leader alone. Followers fetch for themselves ([`Cache::alone`]).
    Pass,
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
    keys: PhantomData<K>,
}

impl<K: Clone + Eq + Hash> Cache<K> {
    /// An empty cache.
    #[must_use]
    pub fn new(settings: CacheSettings) -> Self {
        Self {
            settings,
            keys: PhantomData,
        }
    }

    /// What to do with a request.
    pub fn ask(&mut self, key: &K, want: Want, rules: &Rules, now: Moment) -> Verdict {
        todo!()
    }

    /// A fetch that shares nothing: for followers of an answer that was not to be shared.
    pub fn alone(&mut self, key: &K, want: Want, rules: &Rules, now: Moment) -> Fetch {
        todo!()
    }

    /// The head of a fill's answer came.
    pub fn answered(
        &mut self,
        fill: FillId,
        answer: &AnswerHead,
        rules: &Rules,
        now: Moment,
    ) -> Reaction {
        todo!()
    }

    /// A fill's body ended. Bytes count as kept from here on.
    pub fn finished(&mut self, fill: FillId, end: End, now: Moment) {
        todo!()
    }

    /// One request that led (`leader`) or followed a fill went away. Whether the fill must go on.
    pub fn left(&mut self, fill: FillId, leader: bool) -> bool {
        todo!()
    }

    /// Drops every object, and forgets every fill in flight, for which `doomed` (told the key and the tags) is true.
    pub fn invalidate(&mut self, doomed: &mut dyn FnMut(&K, &[Box<str>]) -> bool) -> usize {
        todo!()
    }

    /// Objects whose bytes are not needed any more since the last call: evicted, replaced, invalidated, never finished.
    pub fn dropped(&mut self) -> Vec<ObjectId> {
        todo!()
    }

    /// Bytes of bodies kept.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        todo!()
    }
}
