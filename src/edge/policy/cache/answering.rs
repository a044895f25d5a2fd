//! E-3, E-4, E-5, E-7, E-8: what becomes of an answer, and of what was kept before it.
//!
//! Owns refreshing, replacing, merging of parts, standing in for errors, and what of a body is kept when it ended. Never
//! says what is cacheable: `freshness.rs` and `errors.rs` do.

use std::hash::Hash;
use std::time::Duration;

use super::object::{Arrival, Object};
use super::{
    AnswerHead, Cache, End, Fill, FillId, Followers, Kind, ObjectId, Reaction, Rules, Stage,
};
use crate::edge::policy::Moment;
use crate::edge::policy::errors::error_storage;
use crate::edge::policy::freshness::{Directives, Lifetime, Storage, lifetime};
use crate::edge::policy::spans::Span;

/// An answer and how it is to be judged.
#[derive(Clone, Copy)]
struct Answered<'a> {
    head: &'a AnswerHead,
    rules: &'a Rules,
    now: Moment,
}

impl<K: Clone + Eq + Hash> Cache<K> {
    /// The head of a fill's answer came.
    pub fn answered(
        &mut self,
        fill: FillId,
        answer: &AnswerHead,
        rules: &Rules,
        now: Moment,
    ) -> Reaction {
        let Some(mut filling) = self.fills.remove(&fill) else {
            return Reaction::Pass; // It was abandoned.
        };
        let answered = Answered {
            head: answer,
            rules,
            now,
        };
        filling.stage = Stage::Passing;
        let reaction = match answer.status {
            304 if filling.is_conditional => self.refreshed(&filling, answered),
            500.. => match self.stand_in(&filling, answered) {
                Some(stored) => stored,
                None => self.failed(&mut filling, answered),
            },
            400.. => self.failed(&mut filling, answered),
            _ if filling.head => Reaction::Pass,
            // It answers a condition of the viewer's own, which says nothing about the object.
            304 => Reaction::Pass,
            206 => self.part(&mut filling, answered),
            _ => self.whole(&mut filling, answered),
        };
        if reaction.followers() == Followers::Release {
            filling.close();
        }
        self.fills.insert(fill, filling);
        reaction
    }

    /// A fill's body ended. Bytes count as kept from here on.
    pub fn finished(&mut self, fill: FillId, end: End, now: Moment) {
        let Some(filling) = self.fills.remove(&fill) else {
            return;
        };
        let at = filling.slot;
        self.slots.at_mut(at).fills.retain(|id| *id != fill);
        if let Some(base) = filling.base {
            self.unpin(at, base);
        }
        let is_poisoned = filling.is_poisoned();
        match (filling.stage, end) {
            (Stage::Asked | Stage::Passing, _) => {}
            (Stage::Whole(mut object, announced), End::Complete(came))
                if announced.is_none_or(|announced| announced == came) =>
            {
                object.complete(came);
                let fits = object.bytes() <= self.settings.capacity;
                if fits && !is_poisoned && !object.is_useless(now) {
                    self.keep(at, object);
                } else {
                    self.dropped.push(object.id);
                }
            }
            (Stage::Whole(object, _), _) => self.dropped.push(object.id),
            (Stage::Part(id, span), end) => {
                self.unpin(at, id);
                let is_all = end == End::Complete(span.end - span.start);
                self.keep_part(at, id, is_all.then_some(span));
            }
        }
        self.make_room(at);
        self.slots.tidy(at);
    }

    /// 304 to a condition: what is here is good again (T13: no byte of a body moves).
    fn refreshed(&mut self, fill: &Fill, answered: Answered<'_>) -> Reaction {
        let Answered { head, rules, now } = answered;
        let Some(base) = fill.base else {
            return Reaction::Pass;
        };
        let slot = self.slots.at_mut(fill.slot);
        let Some(object) = slot.object.as_mut().filter(|object| object.id == base) else {
            // It left meanwhile, but its bytes wait for this answer.
            let detached = self.detached.get(&base);
            return detached.map_or(Reaction::Pass, |object| {
                Reaction::Refreshed(object.stored(now), Followers::Share)
            });
        };
        let said = refreshed_directives(&object.said, &head.said);
        let storage = lifetime(&said, &rules.ttl);
        let reaction = match storage {
            Storage::Keep(lifetime) => {
                object.refresh(&said, &lifetime, now);
                object.validators.update(&head.validators);
                Reaction::Refreshed(object.stored(now), followers(&lifetime))
            }
            Storage::Pass => Reaction::Refreshed(object.stored(now), Followers::Release),
        };
        self.discard(fill.slot, Kind::Error);
        if storage == Storage::Pass {
            self.discard(fill.slot, Kind::Object);
        }
        reaction
    }

    /// E-4, E-5: the origin failed, but the stale object may be served.
    fn stand_in(&mut self, fill: &Fill, answered: Answered<'_>) -> Option<Reaction> {
        let Answered { head, rules, now } = answered;
        let object = self.slots.at_mut(fill.slot).object.as_mut();
        let object = object.filter(|object| fill.base == Some(object.id))?;
        if !object.may_stand_in(now) && !object.is_served_stale(now) {
            return None;
        }
        // T20: the origin is left alone for the error-caching minimum TTL.
        object.retry_at = now.after(rules.errors.of(head.status));
        Some(Reaction::StandIn(object.stored(now)))
    }

    /// An error that reaches the viewer.
    fn failed(&mut self, fill: &mut Fill, answered: Answered<'_>) -> Reaction {
        let Answered { head, rules, now } = answered;
        let object = self.slots.at_mut(fill.slot).object.as_mut();
        if let Some(object) = object.filter(|object| fill.base == Some(object.id))
            && head.status < 500
        {
            object.is_denied = true; // T21: the 4xx is the answer, not the object.
        }
        if fill.head {
            return Reaction::Pass; // A GET needs the body that a HEAD does not bring.
        }
        let storage = error_storage(head.status, &head.said, &rules.ttl, &rules.errors);
        let Storage::Keep(lifetime) = storage else {
            return Reaction::Pass;
        };
        self.bring(fill, head, &lifetime, now)
    }

    /// A whole object that is no error, also in answer to a request for a part (T31).
    fn whole(&mut self, fill: &mut Fill, answered: Answered<'_>) -> Reaction {
        let Answered { head, rules, now } = answered;
        match lifetime(&head.said, &rules.ttl) {
            Storage::Keep(lifetime) => self.bring(fill, head, &lifetime, now),
            Storage::Pass => {
                // What was here is not what the origin has now.
                if fill.base.is_some() && !fill.is_poisoned() {
                    self.discard(fill.slot, Kind::Object);
                }
                Reaction::Pass
            }
        }
    }

    fn bring(
        &mut self,
        fill: &mut Fill,
        head: &AnswerHead,
        lifetime: &Lifetime,
        now: Moment,
    ) -> Reaction {
        let id = self.new_object_id();
        let object = Object::new(id, &Arrival::new(head, head.length, lifetime), now);
        fill.stage = Stage::Whole(Box::new(object), head.length);
        (fill.span, fill.suffix) = (None, None);
        Reaction::Keep(id, followers(lifetime))
    }

    /// A part of an object: added to the parts that are here, or else the first of a new object (T36).
    fn part(&mut self, fill: &mut Fill, answered: Answered<'_>) -> Reaction {
        let Answered { head, rules, now } = answered;
        let Some(span) = part_span(head) else {
            return Reaction::Pass; // Which bytes these are it does not say, or wrongly.
        };
        let storage = lifetime(&head.said, &rules.ttl);
        let Storage::Keep(lifetime) = storage else {
            return Reaction::Pass;
        };
        let slot = self.slots.at_mut(fill.slot);
        let is_same = |object: &Object| {
            let is_ok = object.status == 200 && object.total.is_some();
            is_ok
                && object.total == head.total
                && object.validators.is_same_strong(&head.validators)
        };
        let id = if fill.is_poisoned() {
            self.poisoned_part(head, &lifetime, now)
        } else if let Some(object) = slot.object.as_mut().filter(|object| is_same(object)) {
            object.refresh(&head.said, &lifetime, now);
            object.pins += 1;
            object.id
        } else {
            self.discard(fill.slot, Kind::Object);
            let id = self.new_object_id();
            let mut object = Object::new(id, &Arrival::new(head, head.total, &lifetime), now);
            object.status = 200;
            object.pins = 1;
            self.slots.at_mut(fill.slot).object = Some(object);
            self.slots.changed(fill.slot);
            self.make_room(fill.slot);
            id
        };
        self.discard(fill.slot, Kind::Error);
        fill.stage = Stage::Part(id, span.clone());
        (fill.span, fill.suffix, fill.total) = (Some(span), None, head.total);
        Reaction::Keep(id, followers(&lifetime))
    }

    /// Where the part that an invalidated fill brings is kept until it is delivered.
    fn poisoned_part(&mut self, head: &AnswerHead, lifetime: &Lifetime, now: Moment) -> ObjectId {
        let id = self.new_object_id();
        let mut object = Object::new(id, &Arrival::new(head, head.total, lifetime), now);
        object.pins = 1;
        self.detached.insert(id, object);
        id
    }

    /// A whole object or an error came to its end.
    fn keep(&mut self, at: usize, object: Box<Object>) {
        let is_error = object.status >= 400;
        self.discard(at, Kind::Error);
        let slot = self.slots.at_mut(at);
        if is_error {
            // A stale object may outlive a failure of the origin, but not its word that there is no such thing.
            let is_denied = object.status < 500;
            slot.error = Some(object);
            if is_denied && slot.object.as_ref().is_some_and(|object| object.is_denied) {
                self.discard(at, Kind::Object);
            }
        } else {
            let replaced = slot.object.replace(*object);
            if let Some(replaced) = replaced {
                self.release(replaced);
            }
        }
        self.slots.changed(at);
        self.slots.touch(at);
    }

    /// A part came to its end, or broke off (`None`).
    fn keep_part(&mut self, at: usize, id: ObjectId, span: Option<Span>) {
        let slot = self.slots.at_mut(at);
        let Some(object) = slot.object.as_mut().filter(|object| object.id == id) else {
            return;
        };
        if let Some(span) = span {
            object.add(span);
        }
        let is_nothing = object.bytes() == 0 && !object.is_whole() && object.pins == 0;
        if is_nothing || object.bytes() > self.settings.capacity {
            self.discard(at, Kind::Object);
        } else {
            self.slots.changed(at);
            self.slots.touch(at);
        }
    }

    /// A fill does not need an object any more.
    fn unpin(&mut self, at: usize, id: ObjectId) {
        let object = self.slots.at_mut(at).object.as_mut();
        if let Some(object) = object.filter(|object| object.id == id) {
            object.pins -= 1;
        } else if let Some(object) = self.detached.get_mut(&id) {
            object.pins -= 1;
            if object.pins == 0 {
                self.detached.remove(&id);
                self.dropped.push(id);
            }
        }
    }
}

impl<'a> Arrival<'a> {
    fn new(head: &'a AnswerHead, total: Option<u64>, lifetime: &'a Lifetime) -> Self {
        Self {
            status: head.status,
            said: &head.said,
            validators: &head.validators,
            tags: &head.tags,
            total,
            lifetime,
        }
    }
}

fn followers(lifetime: &Lifetime) -> Followers {
    if lifetime.is_shared() {
        Followers::Share
    } else {
        Followers::Release
    }
}

/// RFC 9111 §4.3.4: what a 304 says replaces what was said; what it leaves out stays.
fn refreshed_directives(was: &Directives, said: &Directives) -> Directives {
    let age = said.age;
    let is_silent = Directives {
        age: Duration::ZERO,
        varies_on_everything: false,
        ..*said
    } == Directives::default();
    Directives {
        age,
        ..if is_silent { *was } else { *said }
    }
}

/// The bytes of a 206, if it says so consistently.
fn part_span(head: &AnswerHead) -> Option<Span> {
    let span = head.span.clone().filter(|span| !span.is_empty())?;
    let is_inside = head.total.is_none_or(|total| span.end <= total);
    let is_announced = head
        .length
        .is_none_or(|length| length == span.end - span.start);
    (is_inside && is_announced).then_some(span)
}
