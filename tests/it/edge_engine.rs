//! The running edge in this process: real sockets on both sides, a clock moved by hand.
//!
//! What is looked at is what can be seen from outside: bytes and fields at the viewer, requests at the origin, and that the
//! engine's own counters agree with both.

/// Everything at once.
mod crowd;
/// A disk for bodies that is full.
mod disk_full;
/// Hits, misses, refreshes, collapsing, those who break off.
mod fills;
/// The origin that is slow, wrong or away; stale answers.
mod origins;
/// Ranges, conditions, methods, compression.
mod requests;
mod rig;
/// Layers, the shield, invalidations, where bodies are kept.
mod topology;
