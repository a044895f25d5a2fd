//! Refreshes of a busy POP that need not travel, because all of their way is known already.
//!
//! Owns when that is so, and what a POP's cache is still to be told of them. The cache decides as ever: it is told of the
//! last of them before it is asked again, and of no other, because a refresh leaves nothing of those before it. Never
//! used while a fill of the same object is on its way. Read next: `travel.rs`.

use super::{CHANNEL, Network};
use crate::edge::policy::Moment;
use crate::edge::policy::cache::{End, Verdict, Want};
use crate::edge::policy::freshness::{Storage, lifetime};

/// How long an answer is served from its making on, in µs.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Life {
    pub(super) fresh: u64,
    /// Stale, while a refresh runs behind; none: not at all.
    stale: Option<u64>,
}

impl Life {
    pub(super) fn of(storage: &Storage) -> Self {
        let Storage::Keep(lifetime) = storage else {
            return Self::default();
        };
        let window = lifetime.stale_while_revalidate;
        let until = lifetime.fresh.saturating_add(window).min(lifetime.limit);
        Self {
            fresh: lifetime.fresh.as_micros() as u64,
            stale: (!window.is_zero()).then_some(until.as_micros() as u64),
        }
    }
}

/// What is known of an object at a node without asking its cache. Zero: nothing.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Known {
    /// Until when any request is a hit, whatever else happens; exclusive.
    pub(super) sure_until: u64,
    /// Until when it is served stale, and no refresh runs; inclusive.
    stale_until: u64,
    owed: Option<Refresh>,
}

impl Known {
    /// All of an object is there since `now`, when it was of this age.
    pub(super) fn learn(&mut self, life: Life, age_micros: u64, now: u64) {
        self.sure_until = now + life.fresh.saturating_sub(age_micros);
        let stale = life.stale.and_then(|stale| stale.checked_sub(age_micros));
        self.stale_until = stale.map_or(0, |stale| now + stale);
    }

    /// A fill is on its way.
    pub(super) fn launched(&mut self) {
        self.stale_until = 0;
    }
}

/// A refresh that a cache is still to be told of: when it was asked for and confirmed, and the age of what confirmed it.
#[derive(Clone, Copy, Debug)]
struct Refresh {
    asked: u64,
    confirmed: u64,
    age_micros: u64,
}

impl Network<'_> {
    /// How long an object's answer lives.
    pub(super) fn life(&self, object: u32) -> Life {
        self.lives[usize::from(object != CHANNEL)]
    }

    pub(super) fn lives(&self) -> [Life; 2] {
        [CHANNEL, CHANNEL + 1].map(|object| {
            let said = self.said(object, std::time::Duration::ZERO);
            Life::of(&lifetime(&said, &self.rules(object).ttl))
        })
    }

    /// Serves a stale object of a POP node and refreshes it at once, if the cache behind is sure to confirm it: whoever comes
    /// before the confirmation is served what is here, as after it. That is most of what a busy POP does.
    pub(super) fn refresh_at_once(&mut self, node: u32, object: u32) -> bool {
        let at = self.place(node, object);
        let known = self.known[at];
        if self.now < known.sure_until || self.now > known.stale_until {
            return false;
        }
        let Some(behind) = self.behind(node, object) else {
            return false;
        };
        let half = self.half_rtt(node, Some(behind));
        let there = self.now + half;
        let sure = self.sure_until(behind, object);
        if sure <= there {
            return false;
        }
        let life = self.life(object);
        let age_micros = life.fresh.saturating_sub(sure - there);
        let known = &mut self.known[at];
        known.learn(life, age_micros, there + half);
        known.owed = Some(Refresh {
            asked: self.now,
            confirmed: there + half,
            age_micros,
        });
        true
    }

    /// Tells a cache of the last refresh that it was not told of. It may call it a fetch rather than a refresh behind an
    /// answer, because it does not know of those before; what is kept in the end is the same.
    pub(super) fn settle(&mut self, node: u32, object: u32) {
        let at = self.place(node, object);
        let Some(refresh) = self.known[at].owed.take() else {
            return;
        };
        let answer = self.confirmation(object, refresh.age_micros);
        let rules = &self.rules[usize::from(object != CHANNEL)];
        let cache = &mut self.nodes[node as usize].cache;
        let verdict = cache.ask(&object, Want::Whole, rules, Moment(refresh.asked));
        if let Verdict::Stale(_, Some(fetch)) | Verdict::Fetch(fetch) = verdict {
            let confirmed = Moment(refresh.confirmed);
            cache.answered(fetch.fill, &answer, rules, confirmed);
            cache.finished(fetch.fill, End::Complete(0), confirmed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Asked;
    use super::*;
    use crate::fleet::cost::Prices;
    use crate::fleet::outcome::Front;
    use crate::fleet::scenario::Scenario;

    const SECOND: u64 = 1_000_000;

    /// Which of many requests at busy POPs were served at once, how many reached the origin, and how many refreshes did
    /// not travel; the cache behind may be left out of what is known.
    fn driven(front: Front, knows_behind: bool) -> (Vec<bool>, u64, u64) {
        let prices = Prices::embedded().unwrap();
        let mut scenario = Scenario::embedded(&prices.instances).unwrap();
        scenario.edge.pop_cache.capacity = 1 << 42;
        scenario.edge.regional_cache.capacity = 1 << 42;
        let mut network = Network::new(&scenario, front).unwrap();
        network.has_room_behind = knows_behind;
        let (mut served, mut at_once) = (Vec::new(), 0);
        for turn in 0..20_000_u64 {
            // From ten POPs in turn, each every seven seconds: sometimes soon after the copy behind expired.
            let now = turn * 7 * SECOND / 10;
            while network.next_at() <= now {
                network.happen(network.next_at());
                while network.take_notice().is_some() {}
            }
            let node = network.pop_node((turn % 10) as u16, CHANNEL, 0);
            let asked = network.ask(node, CHANNEL, Want::Whole, now);
            served.push(!matches!(asked, Asked::Coming { .. }));
            at_once +=
                u64::from(network.sure_until(node, CHANNEL) > now && asked == Asked::HereButStale);
        }
        let requests = network.finish(14_000 * SECOND, &[]).0.requests;
        (served, requests, at_once)
    }

    #[test]
    fn a_refresh_that_does_not_travel_leaves_what_one_that_travels_leaves() {
        for front in [Front::Edge, Front::EdgeAndShield] {
            let (served, requests, at_once) = driven(front, true);
            assert_eq!((served, requests, 0), driven(front, false), "{front:?}");
            assert!(at_once > 1_000, "{at_once}");
        }
    }
}
