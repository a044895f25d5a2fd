//! The one integration binary: the real executable, real sockets, a store of its own for every test that changes one.
//!
//! Nothing here but `device` imports the library: the suite knows the command line, the URLs and the bytes on the wire,
//! and would judge a rewrite in another language alike. Rules are cited as R1 to R25 (the requirements of an update
//! origin, see CONTRIBUTING) and by RFC section. Themes are named so that a run fails from basic to subtle.

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

/// An apt repository as a release, used by apt itself.
mod apt_repository;
/// The device against an edge that cuts, lies, stalls and forgets.
mod device;
/// A running origin, a published fixture, a client that believes nothing.
mod harness;
/// Other people's clients, unmodified.
mod real_clients;
/// Consecutive versions of a real program, published, promoted, rolled back and fetched.
mod real_releases;
