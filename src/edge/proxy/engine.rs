//! The layers: what one request meets on its way.
//!
//! Owns the nodes and how they are joined, and the first decisions about a request: limits, methods, who answers it.
//! Never holds a byte (`bodies.rs`) and never writes an answer's fields (`respond.rs`). Read next: `node.rs`.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, request};
use hyper::body::{Body as _, Incoming};
use jiff::Timestamp;

pub use super::body::Body;
pub use super::stats::Stats;

use super::Viewer;
use super::bodies::{Bodies, lock};
use super::node::{Asked, Found, Look, Node, moment};
use super::object::Level;
use super::stats::Counters;
use super::upstream::Pool;
use super::wish::Wish;
use crate::edge::policy::Moment;
use crate::edge::policy::admission::admit;
use crate::edge::policy::cache::{CacheSettings, Rules};
use crate::edge::policy::distribution::{Behaviour, Distribution, OriginLink};
use crate::edge::policy::invalidation::Item;
use crate::edge::policy::key::key;
use crate::edge::policy::limits::Meter;
use crate::edge::policy::record::ResultType;
use crate::edge::policy::topology::{Topology, TopologySettings};
use crate::model::Clock;

/// `x-edge-detailed-result-type` above a quota.
pub(super) const LIMIT_EXCEEDED: &str = "LimitExceeded";

/// What an engine is built from.
#[derive(Clone)]
pub struct Parameters {
    /// The distribution.
    pub distribution: Arc<Distribution>,
    /// POPs, nodes, shield.
    pub topology: TopologySettings,
    /// ⚙ Each POP node's cache.
    pub pop_cache: CacheSettings,
    /// ⚙ Each regional node's and the shield's cache.
    pub regional_cache: CacheSettings,
    /// Bodies up to this size are kept in memory, larger ones in files; bytes.
    pub memory_object_max: u64,
    /// Bytes of bodies in memory, over all nodes and fills in flight.
    pub memory_max: u64,
    /// Where large bodies are kept: a folder in which the edge makes files without names. None: the system's folder for
    /// temporary files.
    pub disk: Option<PathBuf>,
    /// ⚙ Followers of a fill stream along; else they wait until it is complete.
    pub stream_along: bool,
    /// What time it is.
    pub clock: Clock,
}

/// The running edge.
pub struct Engine {
    parameters: Parameters,
    topology: Topology,
    routes: Vec<Route>,
    pops: Vec<Vec<Arc<Node>>>,
    regionals: Vec<Vec<Arc<Node>>>,
    bodies: Arc<Bodies>,
    pub(super) counters: Arc<Counters>,
    pub(super) meter: Mutex<Meter>,
    started: Timestamp,
    requests: AtomicU64,
}

/// A behaviour, and what is derived from it once.
pub(super) struct Route {
    pub(super) behaviour: Behaviour,
    pub(super) rules: Rules,
    /// Which of a node's pools.
    pub(super) link: usize,
}

/// An answer for a viewer, and what its log line will say.
pub struct Exchange {
    /// Head (with `X-Cache`, `Age`, `Via`, `X-Amz-Cf-Pop`, `X-Amz-Cf-Id`) and body.
    pub response: Response<Body>,
    /// What happened, as far as it is known before the body.
    pub record: Decided,
}

/// The part of a log line that is decided before the body.
#[derive(Clone, Debug)]
pub struct Decided {
    /// `x-edge-response-result-type`.
    pub result: ResultType,
    /// `x-edge-detailed-result-type`: such as `OriginShieldHit`, or the name of an origin error.
    pub detailed: &'static str,
    /// The request's id (`X-Amz-Cf-Id`).
    pub request_id: String,
    /// `sc-range-start`, `sc-range-end` of a 206.
    pub range: Option<(u64, u64)>,
    /// `sc-content-len`, when known.
    pub content_length: Option<u64>,
}

/// Why an edge cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The folder for bodies.
    #[error("cannot use `{0}` for large bodies")]
    Disk(PathBuf, #[source] std::io::Error),
    /// The topology.
    #[error(transparent)]
    Topology(#[from] crate::edge::policy::topology::TopologyError),
    /// An origin that cannot be asked.
    #[error("the origin `{0}` is not `http://host[:port]`")]
    Origin(String),
}

impl Engine {
    /// Builds the layers.
    pub fn new(parameters: Parameters) -> Result<Arc<Self>, EngineError> {
        let topology = Topology::new(parameters.topology.clone())?;
        let folder = parameters.disk.clone().unwrap_or_else(std::env::temp_dir);
        let bodies = Bodies::new(&folder, parameters.memory_object_max, parameters.memory_max)
            .map_err(|error| EngineError::Disk(folder, error))?;
        let counters = Arc::new(Counters::default());
        let (routes, links) = routes(&parameters.distribution);
        let node = |level, place, settings| {
            let pools = links.iter().map(|link| {
                Pool::new(link, &counters).ok_or_else(|| EngineError::Origin(link.url.clone()))
            });
            let pools = pools.collect::<Result<Box<[_]>, EngineError>>()?;
            Ok::<_, EngineError>(Node::new(level, place, settings, pools))
        };
        let nodes = |level, place, settings: CacheSettings, count: usize| {
            (0..count.max(1))
                .map(|_| node(level, place, settings))
                .collect::<Result<Vec<_>, _>>()
        };
        let settings = &topology.settings;
        let pops = (0..topology.pops.len())
            .map(|pop| {
                nodes(
                    Level::Pop,
                    pop,
                    parameters.pop_cache,
                    settings.nodes_per_pop,
                )
            })
            .collect::<Result<_, _>>()?;
        let regionals = (0..topology.regionals.len())
            .map(|regional| {
                let level = if topology.shield == Some(regional) {
                    Level::Shield
                } else {
                    Level::Regional
                };
                let count = settings.nodes_per_regional;
                nodes(level, regional, parameters.regional_cache, count)
            })
            .collect::<Result<_, _>>()?;
        Ok(Arc::new(Self {
            started: (parameters.clock)(),
            meter: Mutex::new(Meter::new(parameters.distribution.limits)),
            topology,
            routes,
            pops,
            regionals,
            bodies: Arc::new(bodies),
            counters,
            requests: AtomicU64::new(unpredictable()),
            parameters,
        }))
    }

    /// The places, for choosing a viewer's POP.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Answers one request. Never fails: what goes wrong is an answer with `Error from cloudfront`.
    pub async fn handle(self: &Arc<Self>, viewer: Viewer, request: Request<Incoming>) -> Exchange {
        self.counters
            .viewer_requests
            .fetch_add(1, Ordering::Relaxed);
        let (parts, body) = request.into_parts();
        let asked = self.asked(&viewer, parts);
        if !lock(&self.meter).request(self.now()) {
            return self.refusal(&asked, StatusCode::SERVICE_UNAVAILABLE, LIMIT_EXCEEDED);
        }
        let behaviour = &self.routes[asked.route].behaviour;
        let has_body = !body.is_end_stream();
        if let Err(refused) = admit(
            &asked.method,
            &asked.uri,
            &asked.headers,
            has_body,
            behaviour,
        ) {
            let status = StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::FORBIDDEN);
            let mut exchange = self.refusal(&asked, status, refused.detailed_result_type());
            if refused.closes() {
                let close = HeaderValue::from_static("close");
                exchange
                    .response
                    .headers_mut()
                    .insert(header::CONNECTION, close);
            }
            return exchange;
        }
        let is_read = matches!(asked.method, Method::GET | Method::HEAD);
        let is_cached = is_read || (behaviour.cache_options && asked.method == Method::OPTIONS);
        if !is_cached || has_body || behaviour.cache.is_disabled() {
            return Box::pin(self.forward(asked, has_body.then_some(body))).await;
        }
        self.cached(asked).await
    }

    async fn cached(self: &Arc<Self>, asked: Asked) -> Exchange {
        let wish = Wish::read(&asked.method, &asked.headers);
        let node = self.pop_node(&asked);
        // A hit is answered without a task.
        let found = match node.look(self, asked.route, &asked.key, wish.want()) {
            Some(Look::Found(found)) => found,
            look => return Box::pin(self.slow(&node, &Arc::new(asked), wish, look)).await,
        };
        match self.respond(&asked, &wish, found) {
            Ok(exchange) => exchange,
            Err(_needs_whole) => Box::pin(self.whole(&node, &Arc::new(asked), wish)).await,
        }
    }

    async fn slow(
        self: &Arc<Self>,
        node: &Arc<Node>,
        asked: &Arc<Asked>,
        wish: Wish,
        look: Option<Look>,
    ) -> Exchange {
        let found = node.find(self, asked, wish.want(), look).await;
        match self.respond(asked, &wish, found) {
            Ok(exchange) => exchange,
            Err(_needs_whole) => self.whole(node, asked, wish).await,
        }
    }

    /// A part was asked for, but the whole is the answer.
    async fn whole(self: &Arc<Self>, node: &Arc<Node>, asked: &Arc<Asked>, wish: Wish) -> Exchange {
        let wish = wish.of_whole();
        let look = node.look(self, asked.route, &asked.key, wish.want());
        let found: Found = node.find(self, asked, wish.want(), look).await;
        match self.respond(asked, &wish, found) {
            Ok(exchange) => exchange,
            Err(found) => self.as_it_is(asked, *found),
        }
    }

    fn asked(&self, viewer: &Viewer, parts: request::Parts) -> Asked {
        let route = self.route_of(parts.uri.path());
        let domain = &self.parameters.distribution.domain;
        let in_key = &self.routes[route].behaviour.cache.key;
        let key = key(domain, &parts.method, &parts.uri, &parts.headers, in_key);
        Asked {
            key_hash: hash_of(key.0.as_bytes()),
            key,
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            route,
            pop: viewer.pop.min(self.pops.len() - 1),
            connection: hash_of(&viewer.connection.to_le_bytes()),
            viewer: viewer.address.ip(),
            id: self.request_id(),
            is_http_1_0: viewer.http_1_0,
        }
    }

    /// Drops what the items name, on every node of every layer. Says how many objects that were.
    pub fn invalidate(&self, items: &[Item]) -> usize {
        let nodes = self.pops.iter().chain(&self.regionals).flatten();
        nodes
            .map(|node| {
                let mut inner = lock(&node.inner);
                let count = inner.cache.invalidate(&mut |key, tags| {
                    items.iter().any(|item| item.matches(key.path(), tags))
                });
                let swept = inner.sweep();
                drop(inner);
                drop(swept);
                count
            })
            .sum()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.stats()
    }

    /// Bytes of bodies in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.bodies.used()
    }

    /// Fetches in flight that a cache knows of, over all nodes.
    #[must_use]
    pub fn fills_in_flight(&self) -> usize {
        let nodes = self.pops.iter().chain(&self.regionals).flatten();
        nodes.map(|node| lock(&node.inner).cache.fills()).sum()
    }

    /// Time since the engine was built.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        Duration::try_from((self.parameters.clock)().duration_since(self.started))
            .unwrap_or_default() // a clock that was set back
    }

    pub(super) fn time(&self) -> Timestamp {
        (self.parameters.clock)()
    }

    pub(super) fn now(&self) -> Moment {
        moment(self.uptime())
    }

    pub(super) fn route(&self, route: usize) -> &Route {
        &self.routes[route]
    }

    pub(super) fn bodies(&self) -> &Arc<Bodies> {
        &self.bodies
    }

    pub(super) fn distribution(&self) -> &Distribution {
        &self.parameters.distribution
    }

    pub(super) fn streams_along(&self) -> bool {
        self.parameters.stream_along
    }

    fn route_of(&self, path: &str) -> usize {
        let ordered = &self.parameters.distribution.ordered;
        let matching = ordered
            .iter()
            .position(|behaviour| behaviour.pattern.matches(path));
        matching.unwrap_or(ordered.len())
    }

    pub(super) fn pop_node(&self, asked: &Asked) -> Arc<Node> {
        let nodes = &self.pops[asked.pop];
        let node = self
            .topology
            .node(nodes.len(), asked.key_hash, asked.connection);
        Arc::clone(&nodes[node])
    }

    /// The node behind a node, `None` for the origin (E-9). What is not GET or HEAD skips the regional layer (fact 54).
    pub(super) fn next(&self, node: &Node, asked: &Asked) -> Option<Arc<Node>> {
        let place = match node.level {
            Level::Pop if matches!(asked.method, Method::GET | Method::HEAD) => {
                self.topology.pops[node.place].regional
            }
            Level::Regional => self.topology.shield?,
            Level::Pop | Level::Shield => return None,
        };
        if node.level == Level::Regional {
            self.counters
                .shield_requests
                .fetch_add(1, Ordering::Relaxed);
        }
        let nodes = &self.regionals[place];
        let node = self
            .topology
            .node(nodes.len(), asked.key_hash, asked.connection);
        Some(Arc::clone(&nodes[node]))
    }

    /// Different for each request, and not to be guessed from another one's: 54 letters and digits.
    fn request_id(&self) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut state = self
            .requests
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mut id = String::with_capacity(56);
        for _ in 0..6 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^= bits >> 31;
            for _ in 0..9 {
                id.push(char::from(ALPHABET[(bits & 63) as usize]));
                bits >>= 6;
            }
        }
        id.push_str("==");
        id
    }
}

/// The standard library's hash keys are the system's random numbers.
fn unpredictable() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

/// A hash that is the same in every run: it decides about placement.
fn hash_of(bytes: &[u8]) -> u64 {
    use std::hash::Hasher as _;
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

/// One route for each behaviour, the default one last; behaviours that talk to the origin alike share connections.
fn routes(distribution: &Distribution) -> (Vec<Route>, Vec<OriginLink>) {
    let mut links: Vec<OriginLink> = Vec::new();
    let behaviours = distribution.ordered.iter().chain([&distribution.default]);
    let routes = behaviours.map(|behaviour| {
        let link = links.iter().position(|link| *link == behaviour.origin);
        let link = link.unwrap_or_else(|| {
            links.push(behaviour.origin.clone());
            links.len() - 1
        });
        Route {
            rules: Rules {
                ttl: behaviour.cache.ttl,
                errors: behaviour.error_ttls.clone(),
                collapse: behaviour.collapses(),
            },
            link,
            behaviour: behaviour.clone(),
        }
    });
    let routes = routes.collect();
    (routes, links)
}

/// A future that breaks the circle of layers that ask layers.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
