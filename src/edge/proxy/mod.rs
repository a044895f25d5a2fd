//! `headwater edge`: a real caching proxy, POP → regional edge cache → optional Origin Shield → origin, with real bytes.
//!
//! Owns the running edge. Every decision is `edge/policy`'s; here bytes move. Never claims to be CloudFront. Read in the
//! order of a request: `face.rs` (the listener, which POP, the log line), `engine.rs` (the layers), `fill.rs` (one fetch and
//! those who stream along), `bodies.rs` (where bytes are kept), `upstream.rs` (the origin), `api.rs` (CloudFront's
//! invalidation API).

pub mod api;
mod counted;
pub mod engine;
pub mod face;
pub mod log;
mod stall;

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
