//! E-9: caches behind caches, as the topology places them.
//!
//! Owns a chain POP → regional edge cache → Origin Shield whose bodies have no bytes. Never says which cache a POP uses:
//! `topology.rs` does.

use super::*;
use crate::edge::policy::topology::{Placement, Topology, TopologySettings};

/// All caches of an edge in front of one origin.
struct Edge {
    topology: Topology,
    pops: Vec<Cache<u32>>,
    regionals: Vec<Cache<u32>>,
    shield: Option<Cache<u32>>,
    origin_requests: usize,
    shield_hops: usize,
}

/// Where a request is.
#[derive(Clone, Copy)]
enum Place {
    Pop(usize),
    Regional(usize),
    Shield,
}

impl Edge {
    fn new(pops: usize, shield: Option<&str>) -> Self {
        let topology = Topology::new(TopologySettings {
            pops,
            nodes_per_pop: 1,
            nodes_per_regional: 1,
            placement: Placement::ByKey,
            shield: shield.map(str::to_owned),
        });
        let topology = topology.unwrap();
        let caches = |count: usize| (0..count).map(|_| Cache::new(settings())).collect();
        Self {
            pops: caches(topology.pops.len()),
            regionals: caches(topology.regionals.len()),
            shield: topology.shield.map(|_| Cache::new(settings())),
            topology,
            origin_requests: 0,
            shield_hops: 0,
        }
    }

    fn cache(&mut self, place: Place) -> &mut Cache<u32> {
        match place {
            Place::Pop(pop) => &mut self.pops[pop],
            Place::Regional(regional) => &mut self.regionals[regional],
            Place::Shield => self.shield.as_mut().unwrap(),
        }
    }

    /// The layer behind; `None` is the origin. The shield is a regional edge cache: what it serves itself takes no hop.
    fn behind(&self, place: Place) -> Option<Place> {
        match place {
            Place::Pop(pop) => match (self.topology.pops[pop].regional, self.topology.shield) {
                (regional, shield) if Some(regional) == shield => Some(Place::Shield),
                (regional, _) => Some(Place::Regional(regional)),
            },
            Place::Regional(_) => self.topology.shield.map(|_| Place::Shield),
            Place::Shield => None,
        }
    }

    /// Sends a request as far as it has to go, and brings nothing back yet. The fills it led, the last one first.
    fn ask(&mut self, place: Place, key: u32, now: Moment) -> Vec<(Place, FillId)> {
        let Verdict::Fetch(fetch) = self.cache(place).ask(&key, Want::Whole, &rules(), now) else {
            return Vec::new();
        };
        let mut led = match self.behind(place) {
            Some(behind) => {
                self.shield_hops += usize::from(matches!(
                    (place, behind),
                    (Place::Regional(_), Place::Shield)
                ));
                self.ask(behind, key, now)
            }
            None => {
                self.origin_requests += 1;
                Vec::new()
            }
        };
        led.push((place, fetch.fill));
        led
    }

    /// The answer of the origin arrives in all fills.
    fn answer(&mut self, led: Vec<(Place, FillId)>, now: Moment) {
        for (place, fill) in led {
            let cache = self.cache(place);
            let answer = ok("\"a\"").max_age(1_000);
            let _ = cache.answered(fill, &answer, &rules(), now);
            cache.finished(fill, End::Complete(100), now);
        }
    }

    /// Each POP asks once, one after the other (`true`: all before the first answer). Requests that reached the origin.
    fn all_pops_ask(&mut self, second: u64, at_once: bool) -> usize {
        let (before, now) = (self.origin_requests, moment(second));
        let mut waiting = Vec::new();
        for pop in 0..self.pops.len() {
            let led = self.ask(Place::Pop(pop), 7, now);
            if at_once {
                waiting.extend(led);
            } else {
                self.answer(led, now);
            }
        }
        self.answer(waiting, now);
        self.origin_requests - before
    }

    fn invalidate(&mut self) {
        let caches = self.pops.iter_mut().chain(&mut self.regionals);
        for cache in caches.chain(&mut self.shield) {
            cache.invalidate(&mut |key, _| *key == 7);
        }
    }
}

#[test]
fn a_cold_object_that_every_pop_wants_is_fetched_once_per_last_cache() {
    // Name, shield, one request to the origin per regional edge cache or one in all, hops to the shield.
    let rows = [
        ("T45 without shield", None, 13, 0),
        ("T45, T46 with shield", Some("eu-central-1"), 1, 12),
    ];
    for (name, shield, expected, hops) in rows {
        for at_once in [false, true] {
            let mut edge = Edge::new(600, shield);
            assert_eq!(edge.all_pops_ask(0, at_once), expected, "{name}, {at_once}");
            assert_eq!(edge.shield_hops, hops, "{name}, {at_once}");
            assert_eq!(
                edge.all_pops_ask(1, at_once),
                0,
                "{name}: every layer keeps it"
            );
        }
    }
}

#[test]
fn an_invalidation_reaches_every_layer() {
    for shield in [None, Some("us-east-1")] {
        let mut edge = Edge::new(100, shield);
        let cold = edge.all_pops_ask(0, false);
        edge.invalidate();
        assert_eq!(edge.all_pops_ask(1, false), cold, "T47 {shield:?}");
        edge.regionals.iter_mut().for_each(|cache| {
            cache.invalidate(&mut |_, _| true);
        });
        assert_eq!(edge.all_pops_ask(2, false), 0, "T47 the POPs still have it");
    }
}

#[test]
fn a_hop_is_charged_exactly_where_the_topology_says_so() {
    let edge = Edge::new(600, Some("eu-central-1"));
    for pop in 0..600 {
        let goes_through_regional =
            matches!(edge.behind(Place::Pop(pop)), Some(Place::Regional(_)));
        assert_eq!(edge.topology.shield_hop(pop), goes_through_regional, "T46");
    }
}
