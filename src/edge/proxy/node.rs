//! One cache node: what it knows and what it keeps, and how a request finds its object there.
//!
//! Owns the lock around one `edge/policy/cache.rs` machine, the objects by their ids, and the fills in flight. Never
//! holds the lock while it waits. Read next: `fill.rs`.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::HeaderMap;
use http::{Method, StatusCode, Uri};
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use super::bodies::{Piece, lock};
use super::engine::Engine;
use super::fill::{Fill, Interest, Outcome, Phase};
use super::object::{Answer, Level, Object, Source};
use super::upstream::Pool;
use crate::edge::policy::Moment;
use crate::edge::policy::cache::{
    Cache, CacheSettings, Fetch, FillId, ObjectId, Stored, Validators, Verdict, Want,
};
use crate::edge::policy::freshness::Directives;
use crate::edge::policy::key::Key;
use crate::edge::policy::spans::{OPEN, Span};

/// How often a request asks its cache again after a fill that did not bring what it wants. Each time something came of
/// it: another part of the object, or another version.
const ROUNDS_MAX: usize = 64;

/// One request of a viewer, as all layers see it.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) route: usize,
    pub(super) key: Key,
    pub(super) key_hash: u64,
    pub(super) pop: usize,
    pub(super) connection: u64,
    pub(super) viewer: IpAddr,
    pub(super) id: String,
    pub(super) is_http_1_0: bool,
}

/// One cache node.
pub(super) struct Node {
    pub(super) level: Level,
    /// Which regional edge cache, or which POP.
    pub(super) place: usize,
    /// Its connections, by link.
    pub(super) pools: Box<[Arc<Pool>]>,
    pub(super) inner: Mutex<Inner>,
}

pub(super) struct Inner {
    pub(super) cache: Cache<Key>,
    pub(super) objects: FxHashMap<ObjectId, Arc<Object>>,
    pub(super) fills: FxHashMap<FillId, Arc<Fill>>,
}

/// How a request got its object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    /// It was here.
    Hit,
    /// It was here and the origin said 304.
    Refreshed,
    /// It was fetched.
    Fetched,
    /// Another request was fetching it.
    Joined,
}

/// What a request found.
pub(super) struct Found {
    pub(super) object: Arc<Object>,
    pub(super) how: How,
    pub(super) age: Duration,
    /// The layer behind that had it.
    pub(super) hit_at: Option<Level>,
    /// It is stale, here or in a layer behind.
    pub(super) is_stale: bool,
    /// The answer is the whole object although a part was asked for (fact 31, T33, T34).
    pub(super) is_whole: bool,
    /// Not kept: exactly this was answered.
    pub(super) passed: Option<Passed>,
    /// Keep the fills going that it is read along with.
    pub(super) interests: Vec<Interest>,
    /// Its last bytes are handed on when this cache knows that all is here: who asks again at once meets a hit.
    pub(super) gate: Option<Arc<Fill>>,
}

/// An answer that is not kept.
pub(super) struct Passed {
    pub(super) status: StatusCode,
    pub(super) span: Option<Span>,
    pub(super) length: Option<u64>,
    pub(super) source: Source,
}

/// What a look into the cache came to.
pub(super) enum Look {
    Found(Found),
    /// Serve this and run the fill behind it.
    Stale(Found, Arc<Fill>, Fetch),
    Follow(Arc<Fill>, Interest),
    Lead(Arc<Fill>, Fetch, Interest),
}

impl Inner {
    /// Forgets the objects that the cache does not need any more. They are returned so that they are dropped after the
    /// lock.
    #[must_use]
    pub(super) fn sweep(&mut self) -> Vec<Arc<Object>> {
        let dropped = self.cache.dropped();
        dropped
            .iter()
            .filter_map(|id| self.objects.remove(id))
            .collect()
    }

    fn begin(&mut self, node: &Arc<Node>, fetch: &Fetch) -> Arc<Fill> {
        let fill = Fill::new(fetch.fill, node);
        self.fills.insert(fetch.fill, Arc::clone(&fill));
        fill
    }
}

impl Node {
    pub(super) fn new(
        level: Level,
        place: usize,
        settings: CacheSettings,
        pools: Box<[Arc<Pool>]>,
    ) -> Arc<Self> {
        Arc::new(Self {
            level,
            place,
            pools,
            inner: Mutex::new(Inner {
                cache: Cache::new(settings),
                objects: FxHashMap::default(),
                fills: FxHashMap::default(),
            }),
        })
    }

    /// Asks the cache. `None` when it names what is not here, which it never should.
    pub(super) fn look(
        self: &Arc<Self>,
        engine: &Engine,
        route: usize,
        key: &Key,
        want: Want,
    ) -> Option<Look> {
        let rules = &engine.route(route).rules;
        let now = engine.now();
        let mut inner = lock(&self.inner);
        match inner.cache.ask(key, want, rules, now) {
            Verdict::Hit(stored) => Some(Look::Found(inner.stored(stored, How::Hit)?)),
            Verdict::Stale(stored, fetch) => {
                let found = inner.stored(stored, How::Hit).map(|found| Found {
                    is_stale: true,
                    ..found
                });
                match fetch {
                    Some(fetch) => {
                        let fill = inner.begin(self, &fetch);
                        Some(Look::Stale(found?, fill, fetch))
                    }
                    None => Some(Look::Found(found?)),
                }
            }
            Verdict::Follow(id) => {
                let fill = Arc::clone(inner.fills.get(&id)?);
                let interest = fill.interest(false);
                Some(Look::Follow(fill, interest))
            }
            Verdict::Fetch(fetch) => {
                let fill = inner.begin(self, &fetch);
                let interest = fill.interest(true);
                Some(Look::Lead(fill, fetch, interest))
            }
        }
    }

    /// The object, from here or from behind. Ends with whatever the origin said.
    pub(super) async fn find(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        asked: &Arc<Asked>,
        want: Want,
        look: Option<Look>,
    ) -> Found {
        let mut look = look;
        let mut earlier = None;
        for _ in 0..ROUNDS_MAX {
            let found = match look {
                Some(Look::Found(found)) => Some(found),
                Some(Look::Stale(found, fill, fetch)) => {
                    fill.start(engine, asked, fetch, None);
                    Some(found)
                }
                Some(Look::Follow(fill, interest)) => {
                    engine.counters.collapsed.fetch_add(1, Ordering::Relaxed);
                    earlier.get_or_insert(How::Joined);
                    self.follow(engine, asked, want, (fill, interest)).await
                }
                Some(Look::Lead(fill, fetch, interest)) => {
                    let found = lead(engine, asked, want, (fill, fetch, interest)).await;
                    earlier = Some(How::Fetched);
                    found
                }
                None => Some(self.alone(engine, asked, want).await),
            };
            if let Some(mut found) = found {
                if let (How::Hit, false, Some(earlier)) = (found.how, found.is_stale, earlier) {
                    found.how = earlier;
                }
                return found;
            }
            look = self.look(engine, asked.route, &asked.key, want);
        }
        self.alone(engine, asked, want).await
    }

    /// Waits for another request's fill. `None`: ask the cache again.
    async fn follow(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        asked: &Arc<Asked>,
        want: Want,
        (fill, interest): (Arc<Fill>, Interest),
    ) -> Option<Found> {
        match fill.outcome().await {
            Outcome::Kept(object, age, hit_at) => {
                let is_here = object
                    .span_of(want)
                    .is_some_and(|span| object.covers(&span));
                if !engine.streams_along() || !is_here {
                    fill.over().await;
                    return None;
                }
                Some(Found {
                    object,
                    how: How::Joined,
                    age,
                    hit_at,
                    is_stale: false,
                    is_whole: false,
                    passed: None,
                    interests: vec![interest],
                    gate: Some(fill),
                })
            }
            Outcome::Stored(object, age, is_stale) => {
                let span = object.span_of(want);
                span.is_some_and(|span| object.covers(&span))
                    .then(|| Found {
                        object,
                        how: How::Hit,
                        age,
                        hit_at: None,
                        is_stale,
                        is_whole: false,
                        passed: None,
                        interests: Vec::new(),
                        gate: None,
                    })
            }
            Outcome::Alone => Some(self.alone(engine, asked, want).await),
            Outcome::Nothing => None,
        }
    }

    /// A fetch that shares nothing.
    async fn alone(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        asked: &Arc<Asked>,
        want: Want,
    ) -> Found {
        let rules = &engine.route(asked.route).rules;
        let (fill, fetch) = {
            let mut inner = lock(&self.inner);
            let fetch = inner.cache.alone(&asked.key, want, rules, engine.now());
            (inner.begin(self, &fetch), fetch)
        };
        let interest = fill.interest(true);
        match lead(engine, asked, want, (fill, fetch, interest)).await {
            Some(found) => found,
            None => engine.no_answer(),
        }
    }
}

/// Runs a fill and waits for its answer. `None`: ask the cache again.
async fn lead(
    engine: &Arc<Engine>,
    asked: &Arc<Asked>,
    want: Want,
    (fill, fetch, interest): (Arc<Fill>, Fetch, Interest),
) -> Option<Found> {
    let (sender, receiver) = oneshot::channel();
    fill.start(engine, asked, fetch, Some(sender));
    let mut found = receiver.await.ok()?;
    let is_here = found.passed.is_some()
        || found.is_whole
        || found
            .object
            .span_of(want)
            .is_some_and(|span| found.object.covers(&span));
    if !is_here {
        fill.over().await;
        return None;
    }
    if found.gate.is_some() {
        found.interests.push(interest);
    }
    Some(found)
}

impl Inner {
    pub(super) fn stored(&self, stored: Stored, how: How) -> Option<Found> {
        Some(Found {
            object: Arc::clone(self.objects.get(&stored.object)?),
            how,
            age: stored.age,
            hit_at: None,
            is_stale: false,
            is_whole: false,
            passed: None,
            interests: Vec::new(),
            gate: None,
        })
    }
}

impl Found {
    /// As the layer in front is answered.
    pub(super) fn into_answer(self, here: Level, want: Want, known: Option<&Validators>) -> Answer {
        let head = Arc::clone(&self.object.head);
        let hit_at = match self.how {
            How::Hit => Some(here),
            _ => self.hit_at,
        };
        let is_stale = self.is_stale;
        let said = Directives {
            age: self.age,
            ..head.said
        };
        let answer = |status, span, length, source| Answer {
            status,
            head: Arc::clone(&head),
            span,
            length,
            said,
            source,
            hit_at,
            is_stale,
        };
        if let Some(passed) = self.passed {
            let Passed {
                status,
                span,
                length,
                mut source,
            } = passed;
            if let Source::Pieces(_, interests) = &mut source {
                interests.extend(self.interests);
            }
            return answer(status, span, length, source);
        }
        let total = head.total;
        if head.status == StatusCode::OK
            && known.is_some_and(|known| head.validators().confirms(known))
        {
            return answer(StatusCode::NOT_MODIFIED, None, None, Source::Nothing);
        }
        if want == Want::Head {
            return answer(head.status, None, total, Source::Nothing);
        }
        if let (Want::Range { .. } | Want::Suffix(_), Some(total), StatusCode::OK, false) =
            (want, total, head.status, self.is_whole)
            && let Some(span) = self.object.span_of(want)
        {
            if span.start >= total {
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                return answer(status, None, Some(0), Source::Nothing);
            }
            let pieces = self.object.cut(&span);
            let length = Some(span.end - span.start);
            let source = Source::Pieces(pieces, self.interests);
            return answer(StatusCode::PARTIAL_CONTENT, Some(span), length, source);
        }
        let pieces = self.object.cut(&(0..total.unwrap_or(u64::MAX)));
        answer(
            head.status,
            None,
            total,
            Source::Pieces(pieces, self.interests),
        )
    }
}

/// What a layer asks the one behind for the sake of a fetch.
pub(super) fn want_of(fetch: &Fetch) -> Want {
    match &fetch.span {
        _ if fetch.head => Want::Head,
        None => fetch.suffix.map_or(Want::Whole, Want::Suffix),
        Some(span) => Want::Range {
            first: span.start,
            last: (span.end != OPEN).then(|| span.end - 1),
        },
    }
}

/// What becomes of an answer in the cache, applied to the objects.
pub(super) struct Kept {
    pub(super) id: ObjectId,
    pub(super) object: Arc<Object>,
    pub(super) pieces: Vec<Piece>,
}

impl Inner {
    /// A fill's answer is kept as this object, whose bytes will be in these pieces.
    pub(super) fn keep(&mut self, id: ObjectId, answer: &Answer, pieces: Vec<Piece>) -> Kept {
        let mut head = Arc::clone(&answer.head);
        if head.status == StatusCode::PARTIAL_CONTENT {
            let mut whole = (*head).clone();
            whole.status = StatusCode::OK;
            head = Arc::new(whole);
        }
        let object = match self.objects.get(&id) {
            Some(old) => old.with(head, &pieces),
            None => Object {
                head,
                pieces: pieces.clone(),
            },
        };
        let object = Arc::new(object);
        self.objects.insert(id, Arc::clone(&object));
        Kept { id, object, pieces }
    }

    /// A fill ended: what it brought stays, with its length now known, or goes.
    pub(super) fn end(&mut self, kept: &Kept, complete: Option<u64>) {
        let Some(object) = self.objects.get(&kept.id) else {
            return;
        };
        let changed = match complete {
            None => object.without(&kept.pieces),
            Some(bytes) if object.head.total.is_none() => {
                let mut head = (*object.head).clone();
                head.total = Some(bytes);
                let mut object = object.with(Arc::new(head), &[]);
                for piece in &mut object.pieces {
                    piece.span.end = piece.span.end.min(bytes);
                }
                object
            }
            Some(_) => return,
        };
        self.objects.insert(kept.id, Arc::new(changed));
    }
}

/// The phases that a fill is waited for by.
pub(super) fn is_answered(phase: &Phase) -> bool {
    !matches!(phase, Phase::Asked)
}

/// The time as the machine counts it.
pub(super) fn moment(since: Duration) -> Moment {
    Moment::default().after(since)
}
