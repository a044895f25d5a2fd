//! How a fill travels: to the layer behind, perhaps to the origin, and back with a head and a body.
//!
//! Owns the events of one fill and who rides along. Never decides what is kept or shared: it asks the caches.

use std::time::Duration;

use super::{
    Arrived, CHANNEL, Fill, Flight, HeadAt, Layer, NOT_MODIFIED_BYTES, Network, Notice,
    SMALL_BYTES, Source, What,
};
use crate::edge::policy::Moment;
use crate::edge::policy::cache::{AnswerHead, End, Followers, Reaction, Validators, Verdict, Want};
use crate::edge::policy::spans::Span;

impl Network<'_> {
    /// A fill's request reaches the layer behind.
    pub(super) fn reach_behind(&mut self, fill: Fill) {
        let Some(flight) = self.flights.get(&fill) else {
            return;
        };
        let (object, on_behalf) = (flight.object, flight.on_behalf);
        let (asking, is_alone) = (flight.node, flight.is_alone);
        let want = want_of(flight.span.as_ref());
        let Some(node) = flight.behind else {
            self.reach_origin(fill);
            return;
        };
        if self.nodes[asking as usize].layer == Layer::Regional {
            let place = self.nodes[asking as usize].place;
            let region = self.topology.regionals[place].region;
            *self.counts.shield.entry(region).or_default() += 1;
        }
        let verdict = if is_alone {
            Verdict::Fetch(self.ask_cache_alone(node, object, want))
        } else {
            self.ask_cache(node, object, want)
        };
        match verdict {
            Verdict::Hit(stored) => self.answer_from_cache(fill, stored.age.as_micros() as u64),
            Verdict::Stale(stored, fetch) => {
                if let Some(fetch) = fetch {
                    self.launch(node, object, fetch, None);
                }
                self.answer_from_cache(fill, stored.age.as_micros() as u64);
            }
            Verdict::Follow(id) => {
                self.counts.collapsed += 1;
                if let Some(&behind) = self.by_id.get(&(node, id)) {
                    self.ride_along(fill, behind, false);
                }
            }
            Verdict::Fetch(fetch) => {
                let behind = self.launch(node, object, fetch, on_behalf);
                if let Some(flight) = self.flights.get_mut(&behind) {
                    flight.is_alone = is_alone;
                }
                self.ride_along(fill, behind, true);
            }
        }
    }

    /// The head of an answer leaves for a node, half a round trip away: a 304 if the node asked for one, because what is
    /// under a versioned name never changes, and the channel does not change again within a run.
    fn send_head(&mut self, fill: Fill, age_micros: u64) {
        let Some(flight) = self.flights.get_mut(&fill) else {
            return;
        };
        let at = self.now + flight.half_rtt;
        flight.head = Some(HeadAt { at, age_micros });
        let is_304 = flight.conditional;
        self.push(at, fill, What::Head { is_304 });
    }

    fn answer_from_cache(&mut self, fill: Fill, age_micros: u64) {
        self.send_head(fill, age_micros);
        let rate = self.fill_rate();
        let Some(flight) = self.flights.get_mut(&fill) else {
            return;
        };
        let at = flight.head.map_or(self.now, |head| head.at);
        flight.source = Source::Steady(at);
        if !flight.conditional {
            let micros = (flight.length as f64 / rate).ceil() as u64;
            self.push(at + micros, fill, What::Body);
        }
    }

    fn ride_along(&mut self, fill: Fill, behind: Fill, leads: bool) {
        if let Some(flight) = self.flights.get_mut(&fill) {
            flight.source = Source::Along(behind);
        }
        let Some(flight) = self.flights.get_mut(&behind) else {
            return;
        };
        flight.children.push((fill, leads));
        if let Some(head) = flight.head.filter(|head| head.at <= self.now) {
            self.send_head(fill, head.age_at(self.now));
        }
    }

    fn reach_origin(&mut self, fill: Fill) {
        let Some(flight) = self.flights.get_mut(&fill) else {
            return;
        };
        let half = flight.half_rtt;
        let is_304 = flight.conditional;
        let length = if is_304 {
            NOT_MODIFIED_BYTES
        } else {
            flight.length
        };
        if let Some(wanted) = flight.on_behalf {
            self.counts.misses += 1;
            self.counts.miss_bytes += if is_304 { 0 } else { wanted.min(length) };
        }
        self.send_head(fill, 0);
        if length < SMALL_BYTES {
            self.origin.answer(self.now, length);
            if let Some(flight) = self.flights.get_mut(&fill) {
                flight.source = Source::Steady(self.now + half);
            }
            if !is_304 {
                self.push(self.now + half, fill, What::Body);
            }
        } else {
            let mark = self.origin.start(self.now, length, fill.0);
            if let Some(flight) = self.flights.get_mut(&fill) {
                flight.source = Source::Shared(mark);
            }
        }
    }

    /// The head of an answer reaches a node.
    pub(super) fn head(&mut self, fill: Fill, is_304: bool) {
        let Some(flight) = self.flights.get(&fill) else {
            return;
        };
        let (node, object, id) = (flight.node, flight.object, flight.id);
        let age_micros = flight.head.map_or(0, |head| head.age_micros);
        let answer = self.answer_head(flight, is_304, age_micros);
        let rules = &self.rules[usize::from(object != CHANNEL)];
        let cache = &mut self.nodes[node as usize].cache;
        let reaction = cache.answered(id, &answer, rules, Moment(self.now));
        if reaction.followers() == Followers::Release {
            self.release_followers(fill);
        }
        match reaction {
            Reaction::Refreshed(..) | Reaction::StandIn(_) => {
                let cache = &mut self.nodes[node as usize].cache;
                cache.finished(id, End::Complete(0), Moment(self.now));
                self.learn(node, object, age_micros);
                self.end(fill, true);
            }
            Reaction::Keep(..) | Reaction::Pass => self.tell_children_the_head(fill, age_micros),
        }
    }

    fn answer_head(&self, flight: &Flight, is_304: bool, age_micros: u64) -> AnswerHead {
        let head = self.confirmation(flight.object, age_micros);
        if is_304 {
            return head;
        }
        let span = flight.span.clone();
        AnswerHead {
            status: if span.is_some() { 206 } else { 200 },
            length: Some(flight.length),
            total: span.as_ref().map(|_| self.sizes[flight.object as usize]),
            span,
            ..head
        }
    }

    /// A 304.
    pub(super) fn confirmation(&self, object: u32, age_micros: u64) -> AnswerHead {
        AnswerHead {
            status: 304,
            said: self.said(object, Duration::from_micros(age_micros)),
            validators: Validators {
                etag: Some(Box::from(*b"\"release\"")),
                last_modified: None,
            },
            length: None,
            total: None,
            span: None,
            tags: Vec::new(),
        }
    }

    fn tell_children_the_head(&mut self, fill: Fill, age_micros: u64) {
        let children = self
            .flights
            .get(&fill)
            .map(|flight| flight.children.clone());
        for (child, _) in children.unwrap_or_default() {
            self.send_head(child, age_micros);
        }
    }

    /// Nobody may share this answer: the leader has it, the others go for their own.
    fn release_followers(&mut self, fill: Fill) {
        let Some(flight) = self.flights.get_mut(&fill) else {
            return;
        };
        flight.followers = Followers::Release;
        let children = std::mem::take(&mut flight.children);
        let (leader, others) = children.into_iter().partition(|child| child.1);
        flight.children = leader;
        for (child, _) in others {
            if let Some(flight) = self.flights.get_mut(&child) {
                flight.is_alone = true;
            }
            self.push(self.now, child, What::Ask);
        }
    }

    /// The last byte reaches a node.
    pub(super) fn body(&mut self, fill: Fill) {
        let Some(flight) = self.flights.get(&fill) else {
            return;
        };
        let (node, object, id, length) = (flight.node, flight.object, flight.id, flight.length);
        let span = flight.span.clone();
        let age = flight.head.map_or(0, |head| head.age_at(self.now));
        let cache = &mut self.nodes[node as usize].cache;
        cache.finished(id, End::Complete(length), Moment(self.now));
        let size = self.sizes[object as usize];
        let is_whole = span.is_none_or(|span| {
            let parts = self.parts.entry((node, object)).or_default();
            parts.insert(span);
            parts.len() >= size
        });
        if is_whole {
            self.learn(node, object, age);
        }
        self.end(fill, true);
    }

    /// A node holds all of an object, of this age.
    fn learn(&mut self, node: u32, object: u32, age_micros: u64) {
        let has_room = match self.nodes[node as usize].layer {
            Layer::Pop => self.has_room,
            Layer::Regional => self.has_room_behind,
        };
        if has_room {
            let at = self.place(node, object);
            let (life, now) = (self.life(object), self.now);
            self.known[at].learn(life, age_micros, now);
        }
    }

    /// A fill is over; who waited for it goes on.
    fn end(&mut self, fill: Fill, has_arrived: bool) {
        let Some(flight) = self.flights.remove(&fill) else {
            return;
        };
        self.by_id.remove(&(flight.node, flight.id));
        if self.nodes[flight.node as usize].layer == Layer::Pop {
            self.notices.push(Notice {
                fill,
                node: flight.node,
                object: flight.object,
                arrived: match (has_arrived, flight.followers) {
                    (false, _) => Arrived::Nothing,
                    (true, Followers::Share) => Arrived::All,
                    (true, Followers::Release) => Arrived::LeaderOnly,
                },
            });
        }
        for (child, _) in flight.children {
            if has_arrived {
                let age = flight.head.map_or(0, |head| head.age_at(self.now));
                self.pass_on(child, age);
            } else {
                self.push(self.now, child, What::Ask);
            }
        }
    }

    /// What a child waited for is in the cache behind it.
    fn pass_on(&mut self, child: Fill, age_micros: u64) {
        let rate = self.fill_rate();
        let Some(flight) = self.flights.get(&child) else {
            return;
        };
        let half = flight.half_rtt;
        let own = (flight.length as f64 / rate).ceil() as u64;
        match flight.head {
            _ if flight.conditional && flight.head.is_some() => {}
            // Its bytes came along with those behind; the last ones are half a round trip away.
            Some(head) if self.scenario.edge.stream_along => {
                self.push((head.at + own).max(self.now + half), child, What::Body);
            }
            Some(_) => self.push(self.now + half + own, child, What::Body),
            // What is behind was refreshed: served from what is kept there.
            None => self.answer_from_cache(child, age_micros),
        }
    }

    /// Nobody wants a fill any more.
    pub(super) fn abandon(&mut self, fill: Fill) {
        let Some(flight) = self.flights.get(&fill) else {
            return;
        };
        let (node, id, source) = (flight.node, flight.id, flight.source);
        let cache = &mut self.nodes[node as usize].cache;
        cache.finished(id, End::Abandoned, Moment(self.now));
        cache.dropped();
        match source {
            Source::Shared(_) => self.origin.cancel(self.now, fill.0),
            Source::Along(behind) => {
                let leads = self.flights.get_mut(&behind).is_some_and(|flight| {
                    let leads = flight.children.contains(&(fill, true));
                    flight.children.retain(|child| child.0 != fill);
                    leads
                });
                self.left(behind, leads, self.now);
            }
            Source::Asking | Source::Steady(_) => {}
        }
        self.end(fill, false);
    }
}

fn want_of(span: Option<&Span>) -> Want {
    span.map_or(Want::Whole, |span| Want::Range {
        first: span.start,
        last: Some(span.end - 1),
    })
}
