//! The edge inside the simulation: one policy cache per node, fills that travel between layers, the origin behind them.
//!
//! Owns time and bytes between caches: delays, fill rates, what reaches the origin. Every decision (hit, stale, follow,
//! fetch, keep, evict) is `edge::policy`'s; this file moves what was decided, and never knows a device: both engines
//! drive it, one with each request, the other with those requests only that can change a cache.
//!
//! The channel document was invalidated at the release, so every cache begins empty. The origin behind an edge is limited
//! in bytes; requests and connections are so few there that its other limits cannot bind.

mod at_once;
mod travel;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use rustc_hash::FxHashMap;

use at_once::{Known, Life};

use super::chance::mix;
use super::origin::Origin;
use crate::edge::policy::Moment;
use crate::edge::policy::cache::{Cache, Fetch, FillId, Followers, Rules, Verdict, Want};
use crate::edge::policy::errors::ErrorTtls;
use crate::edge::policy::freshness::Directives;
use crate::edge::policy::spans::{Span, Spans};
use crate::edge::policy::topology::{Placement, Region, Topology};
use crate::fleet::outcome::{EdgeOutcome, Front, OriginOutcome};
use crate::fleet::scenario::Scenario;

/// The channel document; artifacts follow from 1 on.
pub const CHANNEL: u32 = 0;

/// A 304 has no body; its fields are about this long.
const NOT_MODIFIED_BYTES: u64 = 300;

/// A body that fits into a few packets is not shared out: it is sent at once.
const SMALL_BYTES: u64 = 64 * 1024;

/// One fill of the network. Ids are never used again within a run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Fill(u32);

/// What a POP node says to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// It has it.
    Here,
    /// It has it, stale, and asks behind the answer.
    HereButStale,
    /// It fetches it; the device is the first one, or follows.
    Coming {
        /// The fill to wait for.
        fill: Fill,
        /// Whether the device began it.
        leads: bool,
    },
}

/// A fill of a POP node is over.
#[derive(Clone, Copy, Debug)]
pub struct Notice {
    /// Which.
    pub fill: Fill,
    /// At which node.
    pub node: u32,
    /// Of what.
    pub object: u32,
    /// What those who waited do now.
    pub arrived: Arrived,
}

/// How a fill ended for those who waited for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrived {
    /// They have what they asked for.
    All,
    /// Only the one who began it has; the others ask for themselves ([`Network::ask_alone`]).
    LeaderOnly,
    /// Nobody: ask again.
    Nothing,
}

#[derive(Debug)]
struct Node {
    cache: Cache<u32>,
    /// Of the POP or the regional edge cache.
    place: usize,
    layer: Layer,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layer {
    Pop,
    Regional,
}

/// A fill on its way.
#[derive(Debug)]
struct Flight {
    node: u32,
    object: u32,
    id: FillId,
    conditional: bool,
    span: Option<Span>,
    /// Bytes that the device whose request began it gets out of it; none for a refresh behind an answer.
    on_behalf: Option<u64>,
    /// Fills of the layer before that wait for this one, the leader first.
    children: Vec<(Fill, bool)>,
    source: Source,
    /// The head of the answer is here, or on its way here since it left: when it is here, and how old the answer is then.
    head: Option<HeadAt>,
    /// It must not share another one's answer.
    is_alone: bool,
    /// What followers get.
    followers: Followers,
    /// Bytes of the body.
    length: u64,
    /// The node behind; none: the origin.
    behind: Option<u32>,
    /// The way there, one direction, in µs.
    half_rtt: u64,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Source {
    Asking,
    /// From a cache behind or from the origin in one go, since then.
    Steady(u64),
    /// Shared out among the origin's fills; its mark when it began.
    Shared(f64),
    /// Along with another fill.
    Along(Fill),
}

#[derive(Clone, Copy, Debug)]
struct HeadAt {
    at: u64,
    age_micros: u64,
}

impl HeadAt {
    fn age_at(self, now: u64) -> u64 {
        self.age_micros + now.saturating_sub(self.at)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum What {
    /// The request reaches the layer behind.
    Ask,
    /// The head of the answer reaches the node.
    Head { is_304: bool },
    /// The last byte reaches the node.
    Body,
}

/// What the edge counts.
#[derive(Clone, Debug, Default)]
pub struct EdgeCounts {
    /// Follows at every layer.
    pub collapsed: u64,
    /// Device requests that went to the origin.
    pub misses: u64,
    /// Bytes that devices got straight from the origin for them.
    pub miss_bytes: u64,
    /// Requests that took the extra hop.
    pub shield: BTreeMap<Region, u64>,
}

/// All caches and the origin.
#[derive(Debug)]
pub struct Network<'a> {
    scenario: &'a Scenario,
    /// The places.
    pub topology: Topology,
    nodes: Vec<Node>,
    sizes: Vec<u64>,
    flights: FxHashMap<Fill, Flight>,
    by_id: FxHashMap<(u32, FillId), Fill>,
    next_fill: u32,
    events: BinaryHeap<Reverse<(u64, u64, Fill, What)>>,
    sequence: u64,
    /// The origin.
    pub origin: Origin,
    now: u64,
    notices: Vec<Notice>,
    rules: [Rules; 2],
    /// By node and object.
    known: Vec<Known>,
    /// Of the channel document, and of an artifact.
    lives: [Life; 2],
    parts: FxHashMap<(u32, u32), Spans>,
    /// Whether a POP's cache holds the whole release, so that nothing is ever evicted, and a regional one.
    has_room: bool,
    has_room_behind: bool,
    /// Counters.
    pub counts: EdgeCounts,
}

impl<'a> Network<'a> {
    /// Empty caches in the topology of a scenario; none when the topology's settings are out of their limits, which a
    /// checked scenario's are not.
    #[must_use]
    pub fn new(scenario: &'a Scenario, front: Front) -> Option<Self> {
        let mut settings = scenario.edge.topology.clone();
        settings.shield = match front {
            Front::EdgeAndShield => settings.shield.or_else(|| Some("us-east-1".to_owned())),
            Front::None | Front::Edge => None,
        };
        let topology = Topology::new(settings).ok()?;
        let settings = &topology.settings;
        let of_layer = |layer, places: usize, of_place: usize, cache| {
            let of_place = of_place.max(1);
            (0..places * of_place).map(move |node| Node {
                cache: Cache::new(cache),
                place: node / of_place,
                layer,
            })
        };
        let (near, far) = (scenario.edge.pop_cache, scenario.edge.regional_cache);
        let pops = of_layer(
            Layer::Pop,
            topology.pops.len(),
            settings.nodes_per_pop,
            near,
        );
        let regionals = topology.regionals.len();
        let regionals = of_layer(Layer::Regional, regionals, settings.nodes_per_regional, far);
        let nodes: Vec<Node> = pops.chain(regionals).collect();
        let mut sizes = vec![scenario.release.channel_bytes];
        sizes.extend(
            scenario
                .release
                .artifacts
                .iter()
                .map(|artifact| artifact.bytes),
        );
        let rules = |ttl| Rules {
            ttl,
            errors: ErrorTtls::default(),
            collapse: true,
        };
        let mut network = Self {
            scenario,
            known: vec![Known::default(); nodes.len() * sizes.len()],
            lives: [Life::default(); 2],
            nodes,
            has_room: scenario.edge.pop_cache.capacity >= sizes.iter().sum(),
            has_room_behind: scenario.edge.regional_cache.capacity >= sizes.iter().sum(),
            sizes,
            flights: FxHashMap::default(),
            by_id: FxHashMap::default(),
            next_fill: 0,
            events: BinaryHeap::new(),
            sequence: 0,
            origin: Origin::new(scenario),
            now: 0,
            notices: Vec::new(),
            rules: [
                rules(scenario.edge.channels_ttl),
                rules(scenario.edge.artifacts_ttl),
            ],
            parts: FxHashMap::default(),
            topology,
            counts: EdgeCounts::default(),
        };
        network.lives = network.lives();
        Some(network)
    }

    /// The POP node that answers a device.
    #[must_use]
    pub fn pop_node(&self, pop: u16, object: u32, connection: u64) -> u32 {
        let nodes = self.topology.settings.nodes_per_pop.max(1);
        let node = self
            .topology
            .node(nodes, mix(u64::from(object)), mix(connection));
        (usize::from(pop) * nodes + node) as u32
    }

    /// How many nodes answer for an object at one POP, each with an equal share of its devices.
    #[must_use]
    pub fn nodes_of(&self, pop: u16, object: u32) -> std::ops::Range<u32> {
        let nodes = self.topology.settings.nodes_per_pop.max(1) as u32;
        match self.topology.settings.placement {
            Placement::ByKey => {
                let node = self.pop_node(pop, object, 0);
                node..node + 1
            }
            Placement::ByConnection => {
                let first = u32::from(pop) * nodes;
                first..first + nodes
            }
        }
    }

    /// Until when any request for an object at a node is a hit; zero when that is not sure.
    #[must_use]
    pub fn sure_until(&self, node: u32, object: u32) -> u64 {
        self.known[self.place(node, object)].sure_until
    }

    /// A device asks a POP node.
    pub fn ask(&mut self, node: u32, object: u32, want: Want, now: u64) -> Asked {
        self.now = now;
        if self.refresh_at_once(node, object) {
            return Asked::HereButStale;
        }
        match self.ask_cache(node, object, want) {
            Verdict::Hit(_) => Asked::Here,
            Verdict::Stale(_, fetch) => {
                if let Some(fetch) = fetch {
                    self.launch(node, object, fetch, None);
                }
                Asked::HereButStale
            }
            Verdict::Follow(id) => {
                self.counts.collapsed += 1;
                match self.by_id.get(&(node, id)) {
                    Some(&fill) => Asked::Coming { fill, leads: false },
                    None => Asked::Here,
                }
            }
            Verdict::Fetch(fetch) => {
                let wanted = self.length(object, span_of(want).as_ref());
                let fill = self.launch(node, object, fetch, Some(wanted));
                Asked::Coming { fill, leads: true }
            }
        }
    }

    /// A device that followed in vain asks for itself; the fill.
    pub fn ask_alone(&mut self, node: u32, object: u32, want: Want, now: u64) -> Fill {
        self.now = now;
        let fetch = self.ask_cache_alone(node, object, want);
        let wanted = self.length(object, span_of(want).as_ref());
        let fill = self.launch(node, object, fetch, Some(wanted));
        if let Some(flight) = self.flights.get_mut(&fill) {
            flight.is_alone = true;
        }
        fill
    }

    /// A device that led or followed a fill went away; the fill may end with it.
    pub fn left(&mut self, fill: Fill, leads: bool, now: u64) {
        self.now = now;
        let Some(flight) = self.flights.get(&fill) else {
            return;
        };
        let (node, id) = (flight.node, flight.id);
        if !self.nodes[node as usize].cache.left(id, leads) {
            self.abandon(fill);
        }
    }

    /// How many bytes of a fill have come; none when it is over.
    #[must_use]
    pub fn progress(&self, fill: Fill, now: u64) -> Option<u64> {
        let flight = self.flights.get(&fill)?;
        let steady = |since: u64| {
            let micros = now.saturating_sub(since) as f64;
            (micros * self.fill_rate()) as u64
        };
        let come = match flight.source {
            Source::Asking => 0,
            Source::Steady(since) => steady(since),
            Source::Shared(mark) => self.origin.sent_since(mark, now) as u64,
            Source::Along(behind) => {
                let since = flight.head.map_or(now, |head| head.at);
                self.progress(behind, now)
                    .map_or(flight.length, |come| come.min(steady(since)))
            }
        };
        Some(come.min(flight.length))
    }

    /// The first byte that a fill brings.
    #[must_use]
    pub fn first_byte(&self, fill: Fill) -> u64 {
        let span = self
            .flights
            .get(&fill)
            .and_then(|flight| flight.span.as_ref());
        span.map_or(0, |span| span.start)
    }

    /// When something happens next by itself.
    #[must_use]
    pub fn next_at(&self) -> u64 {
        let event = self.events.peek().map_or(u64::MAX, |event| event.0.0);
        event.min(self.origin.next_at())
    }

    /// Lets the next thing happen, which is at `now`.
    pub fn happen(&mut self, now: u64) {
        self.now = now;
        if self.origin.next_at() <= now {
            if let Some(fill) = self.origin.happen(now) {
                let half = self.half_rtt_behind(Fill(fill));
                self.push(now + half, Fill(fill), What::Body);
            }
            return;
        }
        if let Some(Reverse((_, _, fill, what))) = self.events.pop() {
            match what {
                What::Ask => self.reach_behind(fill),
                What::Head { is_304 } => self.head(fill, is_304),
                What::Body => self.body(fill),
            }
        }
    }

    /// What ended at POP nodes since the last call.
    pub fn take_notice(&mut self) -> Option<Notice> {
        self.notices.pop()
    }

    /// What was counted until `end`, when each POP served so many requests and bytes.
    #[must_use]
    pub fn finish(self, end: u64, served: &[(u64, u64)]) -> (OriginOutcome, EdgeOutcome) {
        let mut by_region: BTreeMap<Region, (u64, u64)> = BTreeMap::new();
        for (pop, (requests, bytes)) in self.topology.pops.iter().zip(served) {
            let sum = by_region.entry(pop.region).or_default();
            sum.0 += requests;
            sum.1 += bytes;
        }
        let requests: u64 = served.iter().map(|pop| pop.0).sum();
        let bytes: u64 = served.iter().map(|pop| pop.1).sum();
        let edge = EdgeOutcome {
            requests,
            bytes,
            hits: requests.saturating_sub(self.counts.misses),
            hit_bytes: bytes.saturating_sub(self.counts.miss_bytes),
            collapsed: self.counts.collapsed,
            shield_requests: self.counts.shield.into_iter().collect(),
            by_region: by_region
                .into_iter()
                .map(|(region, (requests, bytes))| (region, requests, bytes))
                .collect(),
            capacity_curve: Vec::new(),
        };
        (self.origin.finish(end), edge)
    }

    fn push(&mut self, at: u64, fill: Fill, what: What) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, fill, what)));
    }

    fn ask_cache(&mut self, node: u32, object: u32, want: Want) -> Verdict {
        self.settle(node, object);
        let rules = &self.rules[usize::from(object != CHANNEL)];
        let cache = &mut self.nodes[node as usize].cache;
        let verdict = cache.ask(&object, want, rules, Moment(self.now));
        cache.dropped();
        verdict
    }

    fn ask_cache_alone(&mut self, node: u32, object: u32, want: Want) -> Fetch {
        self.settle(node, object);
        let rules = &self.rules[usize::from(object != CHANNEL)];
        let cache = &mut self.nodes[node as usize].cache;
        cache.alone(&object, want, rules, Moment(self.now))
    }

    fn place(&self, node: u32, object: u32) -> usize {
        node as usize * self.sizes.len() + object as usize
    }

    fn rules(&self, object: u32) -> &Rules {
        &self.rules[usize::from(object != CHANNEL)]
    }

    fn said(&self, object: u32, age: Duration) -> Directives {
        let edge = &self.scenario.edge;
        let mut said = Directives {
            age,
            ..Directives::default()
        };
        if object == CHANNEL {
            said.max_age = Some(edge.channel_max_age);
            said.stale_while_revalidate = Some(edge.channel_stale);
            said.stale_if_error = Some(Duration::from_secs(86_400));
        } else {
            said.max_age = Some(Duration::from_secs(31_536_000));
        }
        said
    }

    /// Bytes per µs of one fill at most.
    fn fill_rate(&self) -> f64 {
        self.scenario.edge.fill_bps / 8e6
    }

    fn length(&self, object: u32, span: Option<&Span>) -> u64 {
        let size = self.sizes[object as usize];
        span.map_or(size, |span| {
            span.end.min(size).saturating_sub(span.start.min(size))
        })
    }

    fn launch(&mut self, node: u32, object: u32, fetch: Fetch, on_behalf: Option<u64>) -> Fill {
        let fill = Fill(self.next_fill);
        self.next_fill += 1;
        let span = fetch
            .span
            .map(|span| span.start..span.end.min(self.sizes[object as usize]));
        let place = self.place(node, object);
        self.known[place].launched();
        let behind = self.behind(node, object);
        let half_rtt = self.half_rtt(node, behind);
        self.by_id.insert((node, fetch.fill), fill);
        self.flights.insert(
            fill,
            Flight {
                node,
                object,
                id: fetch.fill,
                conditional: fetch.condition.is_some(),
                length: self.length(object, span.as_ref()),
                span,
                on_behalf,
                children: Vec::new(),
                source: Source::Asking,
                head: None,
                is_alone: false,
                followers: Followers::Share,
                behind,
                half_rtt,
            },
        );
        self.push(self.now + half_rtt, fill, What::Ask);
        fill
    }

    /// The node behind a node; none: the origin.
    fn behind(&self, node: u32, object: u32) -> Option<u32> {
        let here = &self.nodes[node as usize];
        let regional = match here.layer {
            Layer::Pop => self.topology.pops[here.place].regional,
            Layer::Regional => self
                .topology
                .shield
                .filter(|&shield| shield != here.place)?,
        };
        let settings = &self.topology.settings;
        let nodes = settings.nodes_per_regional.max(1);
        let chosen = self
            .topology
            .node(nodes, mix(u64::from(object)), mix(u64::from(node)));
        let first = self.topology.pops.len() * settings.nodes_per_pop.max(1);
        Some((first + regional * nodes + chosen) as u32)
    }

    fn half_rtt(&self, node: u32, behind: Option<u32>) -> u64 {
        let rtt = match (self.nodes[node as usize].layer, behind) {
            (_, None) => self.scenario.edge.rtt[2],
            (Layer::Pop, Some(_)) => self.scenario.edge.rtt[0],
            (Layer::Regional, Some(_)) => self.scenario.edge.rtt[1],
        };
        rtt.as_micros() as u64 / 2
    }

    /// The way of a fill to the layer behind, one direction, in µs.
    fn half_rtt_behind(&self, fill: Fill) -> u64 {
        self.flights.get(&fill).map_or(0, |flight| flight.half_rtt)
    }
}

/// The bytes that a device wants.
fn span_of(want: Want) -> Option<Span> {
    match want {
        Want::Range { first, last } => Some(first..last.map_or(u64::MAX, |last| last + 1)),
        Want::Whole | Want::Suffix(_) | Want::Head => None,
    }
}
