//! One fetch and those who stream along.
//!
//! Owns a fill from the question to its end: who waits for it, what its answer becomes, the moving of its bytes into a
//! body. Runs as a task of its own, so that whoever asked may go away. Never decides whether it goes on without them:
//! the cache does (`LeaderAbort`). Read next: `bodies.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::bodies::{Blob, BlobEnd, Filling, Piece, cut, lock};
use super::engine::Engine;
use super::node::{Asked, Found, How, Kept, Node, is_answered};
use super::object::{Answer, Level, Object, Source};
use super::origin::passed;
use super::upstream::Live;
use crate::edge::policy::cache::{End, Fetch, FillId, Followers, Reaction};

/// One fetch from the layer behind.
pub(super) struct Fill {
    id: FillId,
    node: Arc<Node>,
    phase: watch::Sender<Phase>,
    /// How many are attached.
    attached: AtomicUsize,
    /// The cache does not want it any more.
    disowned: CancellationToken,
    /// … and nobody reads along.
    deserted: CancellationToken,
}

/// How far it is.
#[derive(Clone)]
pub(super) enum Phase {
    /// The layer behind was asked.
    Asked,
    /// It answered.
    Answered(Outcome),
    /// The cache knows that it ended.
    Over(Outcome),
}

/// What its answer became, for those who follow.
#[derive(Clone)]
pub(super) enum Outcome {
    /// An object that grows.
    Kept(Arc<Object>, Duration, Option<Level>),
    /// What was here: fresh again, or (true) stale and standing in.
    Stored(Arc<Object>, Duration, bool),
    /// Nothing that may be shared.
    Alone,
    /// It ended without an answer.
    Nothing,
}

/// Says, by living, that somebody wants a fill to go on.
pub(super) struct Interest {
    fill: Arc<Fill>,
    is_leader: bool,
    is_satisfied: bool,
}

impl Interest {
    /// Whoever has it got all that was wanted: that is not leaving.
    pub(super) fn satisfied(mut self) {
        self.is_satisfied = true;
    }
}

impl Fill {
    pub(super) fn new(id: FillId, node: &Arc<Node>) -> Arc<Self> {
        Arc::new(Self {
            id,
            node: Arc::clone(node),
            phase: watch::Sender::new(Phase::Asked),
            attached: AtomicUsize::new(0),
            disowned: CancellationToken::new(),
            deserted: CancellationToken::new(),
        })
    }

    pub(super) fn interest(self: &Arc<Self>, is_leader: bool) -> Interest {
        self.attached.fetch_add(1, Ordering::AcqRel);
        Interest {
            fill: Arc::clone(self),
            is_leader,
            is_satisfied: false,
        }
    }

    /// The cache does not want it any more: it lives for those who are attached.
    fn disown(&self) {
        self.disowned.cancel();
        if self.attached.load(Ordering::Acquire) == 0 {
            self.deserted.cancel();
        }
    }

    /// Waits for its answer.
    pub(super) async fn outcome(&self) -> Outcome {
        let mut phase = self.phase.subscribe();
        let answered = phase.wait_for(is_answered).await;
        match answered.as_deref() {
            Ok(Phase::Answered(outcome) | Phase::Over(outcome)) => outcome.clone(),
            Ok(Phase::Asked) | Err(_) => Outcome::Nothing,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Over(_))
    }

    /// Waits for its end.
    pub(super) async fn over(&self) {
        let mut phase = self.phase.subscribe();
        // The sender is a field of this very fill: there is no error.
        let _ = phase
            .wait_for(|phase| matches!(phase, Phase::Over(_)))
            .await;
    }

    /// Runs it.
    pub(super) fn start(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        asked: &Arc<Asked>,
        fetch: Fetch,
        leader: Option<oneshot::Sender<Found>>,
    ) {
        let run = Run {
            fill: Arc::clone(self),
            engine: Arc::clone(engine),
            kept: None,
            is_settled: false,
        };
        tokio::spawn(run.run(Arc::clone(asked), fetch, leader));
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let fill = &self.fill;
        if !self.is_satisfied && !fill.is_over() {
            let (goes_on, swept) = {
                let mut inner = lock(&fill.node.inner);
                let goes_on = inner.cache.left(fill.id, self.is_leader);
                (goes_on, inner.sweep())
            };
            drop(swept);
            if !goes_on {
                fill.disowned.cancel();
            }
        }
        if fill.attached.fetch_sub(1, Ordering::AcqRel) == 1 && fill.disowned.is_cancelled() {
            fill.deserted.cancel();
        }
    }
}

/// What an answer became.
enum Became {
    Kept(Kept, Followers, Option<Filling>),
    Stored(Arc<Object>, How, Duration, Followers, bool),
    Passed,
}

/// A fill that runs. When it is dropped in the middle, the cache is told.
struct Run {
    fill: Arc<Fill>,
    engine: Arc<Engine>,
    kept: Option<Kept>,
    is_settled: bool,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.settle(End::Abandoned);
    }
}

impl Run {
    async fn run(
        mut self,
        asked: Arc<Asked>,
        fetch: Fetch,
        leader: Option<oneshot::Sender<Found>>,
    ) {
        let fill = Arc::clone(&self.fill);
        let asking = self.engine.behind(&fill.node, &asked, &fetch);
        let answer = tokio::select! {
            answer = asking => answer,
            () = fill.disowned.cancelled() => return, // nobody got anything of it: followers ask again
        };
        let answer = self.engine.compressed(&fill.node, &asked, answer).await;
        let is_partial = fetch.span.is_some() || fetch.suffix.is_some();
        let is_whole = is_partial && answer.status == http::StatusCode::OK;
        match self.decide(&asked, &answer) {
            Became::Kept(kept, followers, writer) => {
                let found = found(&kept.object, How::Fetched, answer.age(), answer.hit_at);
                let found = Found {
                    is_whole,
                    is_stale: answer.is_stale,
                    gate: Some(Arc::clone(&fill)),
                    ..found
                };
                self.announce(match followers {
                    Followers::Share => {
                        let object = Arc::clone(&kept.object);
                        Outcome::Kept(object, answer.age(), answer.hit_at)
                    }
                    Followers::Release => Outcome::Alone,
                });
                give(leader, found);
                let pieces = kept.pieces.clone();
                self.kept = Some(kept);
                self.body(answer, pieces, writer).await;
            }
            Became::Stored(object, how, age, followers, is_stale) => {
                self.announce(match followers {
                    Followers::Share => Outcome::Stored(Arc::clone(&object), age, is_stale),
                    Followers::Release => Outcome::Alone,
                });
                self.settle(End::Complete(0));
                let found = found(&object, how, age, None);
                give(leader, Found { is_stale, ..found });
            }
            Became::Passed => {
                self.announce(Outcome::Alone);
                self.settle(End::Complete(answer.length.unwrap_or(0)));
                give(leader, passed(answer));
            }
        }
    }

    /// Tells the cache of the answer, and does to the objects what it says.
    fn decide(&self, asked: &Asked, answer: &Answer) -> Became {
        let rules = &self.engine.route(asked.route).rules;
        let head = answer.to_head();
        let now = self.engine.now();
        let mut inner = lock(&self.fill.node.inner);
        let reaction = inner.cache.answered(self.fill.id, &head, rules, now);
        let became = match reaction {
            Reaction::Keep(id, followers) => {
                let (pieces, writer) = self.pieces(answer);
                Became::Kept(inner.keep(id, answer, pieces), followers, writer)
            }
            Reaction::Refreshed(stored, followers) => {
                let refreshed = inner.objects.get(&stored.object).map(|object| {
                    Arc::new(Object {
                        head: Arc::new(object.head.refreshed_by(&answer.head)),
                        pieces: object.pieces.clone(),
                    })
                });
                match refreshed {
                    Some(object) => {
                        inner.objects.insert(stored.object, Arc::clone(&object));
                        let how = if answer.is_stale {
                            How::Hit
                        } else {
                            How::Refreshed
                        };
                        Became::Stored(object, how, stored.age, followers, answer.is_stale)
                    }
                    None => Became::Passed,
                }
            }
            Reaction::StandIn(stored) => match inner.objects.get(&stored.object) {
                Some(object) => {
                    let object = Arc::clone(object);
                    Became::Stored(object, How::Hit, stored.age, Followers::Share, true)
                }
                None => Became::Passed,
            },
            Reaction::Pass => Became::Passed,
        };
        let swept = inner.sweep();
        drop(inner);
        drop(swept);
        became
    }

    /// Where the bytes of an answer will be, and who writes them there.
    fn pieces(&self, answer: &Answer) -> (Vec<Piece>, Option<Filling>) {
        let start = answer.span.as_ref().map_or(0, |span| span.start);
        match &answer.source {
            Source::Pieces(pieces, _) => (pieces.clone(), None),
            Source::Nothing => {
                let blob = Blob::of(self.engine.bodies(), bytes::Bytes::new());
                let span = start..start;
                (vec![Piece { span, blob }], None)
            }
            Source::Live(_) => {
                let blob = Blob::new(self.engine.bodies(), start);
                let end = answer.length.map_or(u64::MAX, |length| start + length);
                let filling = Filling::new(Arc::clone(&blob), answer.length);
                let span = start..end;
                (vec![Piece { span, blob }], Some(filling))
            }
        }
    }

    /// Moves the body, or watches it coming.
    async fn body(&mut self, answer: Answer, pieces: Vec<Piece>, writer: Option<Filling>) {
        let fill = Arc::clone(&self.fill);
        match (answer.source, writer) {
            (Source::Live(live), Some(filling)) => {
                let blob = pieces.first().map(|piece| Arc::clone(&piece.blob));
                let fills = self.pump(*live, filling, answer.length);
                let is_complete = tokio::select! {
                    is_complete = fills => is_complete,
                    () = fill.deserted.cancelled() => false,
                };
                if !is_complete {
                    self.settle(End::Short);
                    if let Some(blob) = blob {
                        cut(&blob);
                    }
                }
            }
            (Source::Pieces(_, interests), _) => {
                let end = tokio::select! {
                    biased;
                    () = loss(&pieces) => End::Abandoned,
                    end = arrival(&pieces) => end,
                    () = fill.disowned.cancelled() => End::Abandoned,
                };
                self.settle(end);
                if end == End::Abandoned {
                    fill.disown();
                    // The cache is done with it, but those who read along are not.
                    tokio::select! {
                        _ = arrival(&pieces) => {}
                        () = fill.deserted.cancelled() => {}
                    }
                }
                if matches!(end, End::Complete(_)) {
                    interests.into_iter().for_each(Interest::satisfied);
                }
            }
            _ => self.settle(End::Complete(0)),
        }
    }

    /// Moves the bytes of the origin's answer into the blob. False when it broke off.
    async fn pump(&mut self, mut live: Live, mut filling: Filling, length: Option<u64>) -> bool {
        let fill = Arc::clone(&self.fill);
        let mut arrived = 0;
        loop {
            let frame = tokio::select! {
                biased;
                () = fill.disowned.cancelled(), if !self.is_settled => {
                    // Those who read along get the rest; nothing is kept.
                    self.settle(End::Abandoned);
                    continue;
                }
                frame = live.next() => frame,
            };
            match frame {
                Some(Ok(bytes)) => {
                    arrived += bytes.len() as u64;
                    if let Err(error) = filling.push(bytes).await {
                        self.lose(&mut filling, &error);
                    }
                }
                Some(Err(_broken)) => return false,
                None => break,
            }
        }
        if length.is_some_and(|length| length != arrived) {
            return false;
        }
        match filling.finish().await {
            Ok(()) => self.settle(End::Complete(arrived)),
            Err(error) => self.lose(&mut filling, &error),
        }
        filling.complete();
        true
    }

    /// The body cannot be kept. The origin is well, so those who read along get it all.
    fn lose(&mut self, filling: &mut Filling, error: &std::io::Error) {
        self.settle(End::Abandoned); // first: nobody comes to it any more
        filling.lose(error);
        self.fill.disown();
    }

    fn announce(&self, outcome: Outcome) {
        self.fill.phase.send_replace(Phase::Answered(outcome));
    }

    /// Tells the cache and those who wait that it ended. Only the first time counts.
    fn settle(&mut self, end: End) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let complete = match end {
            End::Complete(bytes) => Some(bytes),
            End::Short | End::Abandoned => None,
        };
        let swept = {
            let mut inner = lock(&self.fill.node.inner);
            inner.cache.finished(self.fill.id, end, self.engine.now());
            inner.fills.remove(&self.fill.id);
            if let Some(kept) = &self.kept {
                inner.end(kept, complete);
            }
            inner.sweep()
        };
        drop(swept);
        self.fill.phase.send_modify(|phase| {
            *phase = Phase::Over(match phase {
                Phase::Asked => Outcome::Nothing,
                Phase::Answered(outcome) | Phase::Over(outcome) => outcome.clone(),
            });
        });
    }
}

fn found(object: &Arc<Object>, how: How, age: Duration, hit_at: Option<Level>) -> Found {
    Found {
        object: Arc::clone(object),
        how,
        age,
        hit_at,
        is_stale: false,
        is_whole: false,
        passed: None,
        interests: Vec::new(),
        gate: None,
    }
}

/// The leader may be gone; what it would have got is dropped then.
fn give(leader: Option<oneshot::Sender<Found>>, found: Found) {
    if let Some(leader) = leader {
        let _ = leader.send(found);
    }
}

/// Waits until it is clear that the layer behind cannot keep one of the pieces; for ever when it can.
async fn loss(pieces: &[Piece]) {
    std::future::poll_fn(|cx| {
        let lost = pieces
            .iter()
            .filter(|piece| piece.blob.poll_lost(cx).is_ready());
        if lost.count() > 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Waits until the pieces have come from behind.
async fn arrival(pieces: &[Piece]) -> End {
    let mut arrived = 0;
    for piece in pieces {
        let from = piece.span.start - piece.blob.start();
        let (len, end) = if piece.span.end == u64::MAX {
            piece.blob.grown_to(u64::MAX).await
        } else {
            piece
                .blob
                .grown_to(piece.span.end - piece.blob.start())
                .await
        };
        let came = len
            .min(piece.span.end.saturating_sub(piece.blob.start()))
            .saturating_sub(from);
        arrived += came;
        let is_open = piece.span.end == u64::MAX;
        let is_short = if is_open {
            end != Some(BlobEnd::Complete)
        } else {
            came < piece.span.end - piece.span.start
        };
        if is_short {
            return End::Short;
        }
    }
    End::Complete(arrived)
}
