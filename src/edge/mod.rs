//! The edge: what CloudFront is documented to do, as a pure core and as a real caching proxy.
//!
//! Owns nothing itself. [`policy`] (floor 3) holds every rule and does no I/O; [`settings`] (floor 3) reads the file that
//! describes a distribution; [`proxy`] (floor 4) moves real bytes by those rules; `fleet/` simulates by the same ones.
//! It is a model of documented behaviour, never CloudFront itself.

pub mod policy;
pub mod proxy;
pub mod settings;
