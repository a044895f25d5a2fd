//! `headwater edge`: a real caching proxy, POP → regional edge cache → optional Origin Shield → origin, with real bytes.
//!
//! Owns the running edge. Every decision is `edge/policy`'s; here bytes move. Never claims to be CloudFront. Read in the
//! order of a request: `face.rs` (the listener, which POP), `engine.rs` (the layers), `node.rs` (one cache), `fill.rs` (one
//! fetch and those who stream along), `origin.rs` and `upstream.rs` (what is behind), `compress.rs`, `object.rs` (what is
//! kept), `bodies.rs` and `disk.rs` (where its bytes are), `wish.rs`, `respond.rs` and `body.rs` (what the viewer gets),
//! `stats.rs` (what is counted), `counted.rs` and `log.rs` (what is written of it), `stall.rs` (when a viewer is given up);
//! beside them `api.rs` (CloudFront's invalidation API).

pub mod api;
mod bodies;
mod body;
mod compress;
mod counted;
mod disk;
pub mod engine;
pub mod face;
mod fill;
pub mod log;
mod node;
mod object;
mod origin;
mod respond;
pub mod sent;
mod stall;
mod stats;
mod upstream;
mod wish;

use std::net::SocketAddr;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Viewer {
    /// Its address.
    pub address: SocketAddr,
    /// The POP it is sent to: an index into the topology's POPs.
    pub pop: usize,
    /// A number of its connection, for `Placement::ByConnection`.
    pub connection: u64,
    /// Whether it speaks HTTP/1.0 (no compression, no chunked).
    pub http_1_0: bool,
}
