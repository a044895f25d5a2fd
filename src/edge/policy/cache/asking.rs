//! E-3, E-4, E-6: what a cache says to a request.
//!
//! Owns the order of the questions: fresh, known to fail, stale but served, being fetched, to be fetched. Never changes
//! what is kept, but for its recency. Read next: `answering.rs`.

use std::hash::Hash;

use super::object::{Object, span_of};
use super::{
    Access, Cache, CacheSettings, Fetch, Fill, FillId, Leader, Rules, Stage, Validators, Verdict,
    Want,
};
use crate::edge::policy::Moment;
use crate::edge::policy::spans::{FullAfterParts, Span};

/// A request at its slot.
#[derive(Clone, Copy)]
struct Asked<'a> {
    at: usize,
    want: Want,
    rules: &'a Rules,
    now: Moment,
}

/// Whether a fetch may be shared with those who ask later.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Shared,
    Alone,
}

impl<K: Clone + Eq + Hash> Cache<K> {
    /// What to do with a request.
    ///
    /// A fresh hit costs one look into the map and a move in the list of recency; nothing is allocated.
    pub fn ask(&mut self, key: &K, want: Want, rules: &Rules, now: Moment) -> Verdict {
        let at = self.slots.find_or_make(key);
        self.slots.touch(at);
        let slot = self.slots.at(at);
        if let Some(object) = &slot.object
            && object.is_fresh(now)
            && object.covers(want)
        {
            return Verdict::Hit(object.stored(now));
        }
        if let Some(error) = &slot.error
            && error.is_fresh(now)
        {
            // What may stand in for an answer may stand in for a kept one.
            let stand_in = slot.object.as_ref().filter(|object| {
                error.status >= 500 && object.covers(want) && object.may_stand_in(now)
            });
            return match stand_in {
                Some(object) => Verdict::Stale(object.stored(now), None),
                None => Verdict::Hit(error.stored(now)),
            };
        }
        let asked = Asked {
            at,
            want,
            rules,
            now,
        };
        if let Some(stale) = self.ask_stale(asked) {
            return stale;
        }
        if rules.collapse
            && let Some(fill) = self.to_follow(at, want)
        {
            return self.follow(fill);
        }
        Verdict::Fetch(self.fetch(asked, Sharing::of(rules), Leader::Here))
    }

    /// A fetch that shares nothing: for followers of an answer that was not to be shared.
    pub fn alone(&mut self, key: &K, want: Want, rules: &Rules, now: Moment) -> Fetch {
        let at = self.slots.find_or_make(key);
        self.slots.touch(at);
        let asked = Asked {
            at,
            want,
            rules,
            now,
        };
        self.fetch(asked, Sharing::Alone, Leader::Here)
    }

    /// The object is stale, but all that is wanted is here and may be served at once.
    fn ask_stale(&mut self, asked: Asked<'_>) -> Option<Verdict> {
        let Asked { at, want, now, .. } = asked;
        let slot = self.slots.at(at);
        let object = slot.object.as_ref()?;
        if object.is_fresh(now) || !object.covers(want) {
            return None;
        }
        let stored = object.stored(now);
        let is_held_off = now < object.retry_at;
        if object.is_served_stale(now) {
            let is_asked_for = slot.fills.iter().any(|id| {
                self.fills
                    .get(id)
                    .is_some_and(|fill| fill.base == Some(stored.object) && fill.is_open())
            });
            let behind = (!is_held_off && !is_asked_for).then(|| {
                // Shared in any case: there is one per node, whoever asks (T15).
                self.fetch(asked, Sharing::Shared, Leader::Nobody)
            });
            return Some(Verdict::Stale(stored, behind));
        }
        // E-5, T20: after the origin failed it is left alone for a while.
        (is_held_off && object.may_stand_in(now)).then_some(Verdict::Stale(stored, None))
    }

    /// A fill in flight that brings what this request would fetch.
    fn to_follow(&self, at: usize, want: Want) -> Option<FillId> {
        let slot = self.slots.at(at);
        let covering = slot.object.as_ref().filter(|object| object.covers(want));
        let brings = |fill: &Fill| match (fill.base, covering) {
            // A 304 brings no bytes: only who could be served the stale object may wait for its confirmation.
            (Some(base), Some(object)) => base == object.id,
            (Some(_), None) | (None, Some(_)) => false,
            (None, None) => fill.brings(want, slot.object.as_ref()),
        };
        let open = |id: &&FillId| {
            self.fills
                .get(id)
                .is_some_and(|fill| fill.is_open() && brings(fill))
        };
        slot.fills.iter().find(open).copied()
    }

    fn follow(&mut self, fill: FillId) -> Verdict {
        if let Some(fill) = self.fills.get_mut(&fill) {
            fill.followers += 1;
        }
        Verdict::Follow(fill)
    }

    fn fetch(&mut self, asked: Asked<'_>, sharing: Sharing, leader: Leader) -> Fetch {
        let Asked {
            at,
            want,
            rules,
            now,
        } = asked;
        self.fills_made += 1;
        let id = FillId(self.fills_made);
        let settings = self.settings;
        let slot = self.slots.at_mut(at);
        let (mut fetch, mut base) = (Fetch::whole(id), None);
        match &mut slot.object {
            Some(object) if object.covers(want) => {
                object.pins += 1;
                base = Some(object.id);
                fetch.condition = condition(object, rules);
                // What is whole here stays whole for those who come later. Parts are confirmed by one of them, also for
                // a HEAD: so anyone can wait for it.
                if !object.is_whole() {
                    let part = match want {
                        Want::Head => object.spans().iter().next().cloned(),
                        _ => span_of(want, object.total),
                    };
                    fetch.ask_for(want, part, settings, object.total);
                }
            }
            Some(object) => {
                fetch.head = want == Want::Head;
                let is_whole_again =
                    want == Want::Whole && settings.full_after_parts == FullAfterParts::Whole;
                if !is_whole_again {
                    fetch.parts = Some(object.stored(now));
                    let wanted = span_of(want, object.total);
                    let gap = object.first_gap(want).or(wanted);
                    fetch.ask_for(want, gap, settings, object.total);
                }
                // Then nothing that is here is of use.
                fetch.parts = fetch.parts.filter(|_| fetch.span.is_some());
            }
            None => {
                fetch.head = want == Want::Head;
                if want != Want::Whole {
                    fetch.ask_for(want, span_of(want, None), settings, None);
                }
            }
        }
        slot.fills.push(id);
        // A HEAD brings nothing to share.
        let is_open = sharing == Sharing::Shared && !fetch.head;
        let fill = Fill {
            slot: at,
            span: fetch.span.clone(),
            suffix: fetch.suffix,
            total: None,
            head: fetch.head,
            is_conditional: fetch.condition.is_some(),
            base,
            access: if is_open {
                Access::Open
            } else {
                Access::Closed
            },
            stage: Stage::Asked,
            leader,
            followers: 0,
        };
        self.fills.insert(id, fill);
        fetch
    }
}

impl Fetch {
    /// Asks for the whole object, without a condition.
    fn whole(fill: FillId) -> Self {
        Self {
            fill,
            condition: None,
            span: None,
            suffix: None,
            parts: None,
            head: false,
        }
    }

    /// Restricts it to what is missing, as far as the parameters let it.
    fn ask_for(
        &mut self,
        want: Want,
        missing: Option<Span>,
        settings: CacheSettings,
        total: Option<u64>,
    ) {
        match (missing, want) {
            _ if self.head => {}
            (Some(missing), _) => self.span = settings.fill_range.enlarge(&missing, total),
            (None, Want::Suffix(len)) if settings.fill_range.is_partial() => {
                self.suffix = Some(len);
            }
            (None, _) => {}
        }
    }
}

impl Fill {
    /// Whether it brings the first run of bytes that a request lacks.
    fn brings(&self, want: Want, object: Option<&Object>) -> bool {
        if self.head {
            return false;
        }
        let known_total = self.total.or(object.and_then(|object| object.total));
        match (&self.span, self.suffix, want) {
            (None, None, _) => true,
            (None, Some(len), Want::Suffix(wanted)) => wanted <= len,
            (Some(span), _, _) => {
                let lacking = match object {
                    Some(object) => object.first_gap(want),
                    None => span_of(want, None),
                };
                // A fill up to the end of the object brings what is wanted up to the end.
                let end = match (lacking.as_ref(), known_total) {
                    (Some(lacking), Some(total)) if span.end >= total => span.end.max(lacking.end),
                    _ => span.end,
                };
                lacking.is_some_and(|lacking| span.start <= lacking.start && lacking.end <= end)
            }
            _ => false,
        }
    }
}

impl Sharing {
    fn of(rules: &Rules) -> Self {
        if rules.collapse {
            Self::Shared
        } else {
            Self::Alone
        }
    }
}

/// The validators to confirm a stale object by (T11, T12: byte for byte as they came).
fn condition(object: &Object, rules: &Rules) -> Option<Validators> {
    // Fact 16: what varies on everything is asked for anew every time.
    let is_never_the_same = object.said.varies_on_everything && rules.ttl.min.is_zero();
    let is_useful = !object.validators.is_empty() && !is_never_the_same;
    is_useful.then(|| object.validators.clone())
}
