//! The one integration binary: the real executable, real sockets, a store of its own for every test that changes one.
//!
//! Nothing here imports the library: the suite knows the command line, the URLs and the bytes on the wire, and would
//! judge a rewrite in another language alike. Rules are cited as R1 to R25 (the requirements of an update origin, see
//! CONTRIBUTING) and by RFC section. Themes are named so that a run fails from basic to subtle.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should stop there and say where"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "black-box tests live in real time and in the real environment"
)]

/// A running origin, a published fixture, a client that believes nothing.
mod harness;
/// The standard release is served byte for byte.
mod wire_smoke;
