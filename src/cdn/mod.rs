//! The edge in front of the origin, as far as a publisher must tell it something.
//!
//! Owns what a change makes stale at an edge, as a pure function, and how CloudFront is told. Never moves a channel
//! (`publish/` does), never decides whether an edge is told (`cli/` does).
