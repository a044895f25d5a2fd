//! The layers: what one request meets on its way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;

use super::Viewer;
use crate::edge::policy::cache::CacheSettings;
use crate::edge::policy::distribution::Distribution;
use crate::edge::policy::invalidation::Item;
use crate::edge::policy::record::ResultType;
use crate::edge::policy::topology::{Topology, TopologySettings};
use crate::model::Clock;

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
    /// Where large bodies are kept: a folder made and emptied by the edge. None: the system's folder for temporary files.
    pub disk: Option<PathBuf>,
    /// ⚙ Followers of a fill stream along; else they wait until it is complete.
    pub stream_along: bool,
    /// What time it is.
    pub clock: Clock,
}

/// The running edge.
pub struct Engine {
    parameters: Parameters,
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

/// The body for a viewer: from memory, from a file, or along with a fill.
pub struct Body {
    bytes: Bytes,
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        todo!()
    }
}

/// What the edge counted since it started. Conservation: `viewer_bytes = hit_bytes + fill_bytes`,
/// `origin_requests = misses + refreshes of the last layer`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Requests of viewers.
    pub viewer_requests: u64,
    /// Body bytes to viewers.
    pub viewer_bytes: u64,
    /// … that were in the POP's cache when asked for.
    pub hit_bytes: u64,
    /// … that a fill brought.
    pub fill_bytes: u64,
    /// Requests to the origin.
    pub origin_requests: u64,
    /// … because the last layer did not have the object.
    pub last_layer_misses: u64,
    /// … because it was stale there.
    pub last_layer_refreshes: u64,
    /// Body bytes from the origin.
    pub origin_bytes: u64,
    /// Requests that waited for or streamed along with another one's fill, over all layers.
    pub collapsed: u64,
    /// Requests that took the extra hop to the shield.
    pub shield_requests: u64,
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
}

impl Engine {
    /// Builds the layers.
    pub fn new(parameters: Parameters) -> Result<Arc<Self>, EngineError> {
        todo!()
    }

    /// The places, for choosing a viewer's POP.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        todo!()
    }

    /// Answers one request. Never fails: what goes wrong is an answer with `Error from cloudfront`.
    pub async fn handle(self: &Arc<Self>, viewer: Viewer, request: Request<Incoming>) -> Exchange {
        todo!()
    }

    /// Drops what the items name, on every node of every layer. Says how many objects that were.
    pub fn invalidate(&self, items: &[Item]) -> usize {
        todo!()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// Time since the engine was built.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        todo!()
    }
}
