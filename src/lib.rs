//! Headwater: the origin of a software-update distribution.
//!
//! The binary is `main.rs` and nothing more; all of it is here, in floors. A module imports only from strictly lower
//! floors, and a test (`tests/it/tidy.rs`) enforces it:
//!
//! | floor | modules | what they own |
//! |---|---|---|
//! | 7 | `main.rs`, `lib.rs` | argv → exit code; this map |
//! | 6 | [`cli`] | what was typed, what it means, what is printed |
//! | 5 | [`assembly`] | which store, which clock, which runtime: the only place that names concrete ones |
//! | 4 | [`server`], [`publish`], [`device`] | serving, publishing, and the reference client |
//! | 4 | [`edge::proxy`], [`fleet`] | the caching proxy; the simulation of a release to a whole fleet |
//! | 3 | [`catalog`] | releases and channels: their documents and their index |
//! | 3 | [`cdn`] | what a change makes stale at the edge, and how CloudFront is told |
//! | 3 | [`edge::policy`], [`edge::settings`] | CloudFront's documented rules, pure; the file that describes a distribution |
//! | 2 | [`store`], [`http`] | where bytes live; the protocol as pure functions, from a request head to a plan |
//! | 2 | [`aws`] | region, credentials and endpoints from the usual places |
//! | 1 | [`config`], [`telemetry`], [`crash`] | every setting with its limits; log lines; where a test may kill |
//! | 0 | [`model`] | names, digests, versions, and the one list of everything that has a URL |
//!
//! Start reading at [`model`] for the words, then [`publish`] and [`server`] for the two walks through the system.

pub mod assembly;
pub mod aws;
pub mod catalog;
pub mod cdn;
pub mod cli;
pub mod config;
pub mod crash;
pub mod device;
pub mod edge;
pub mod fleet;
pub mod http;
pub mod model;
pub mod publish;
pub mod server;
pub mod store;
pub mod telemetry;
