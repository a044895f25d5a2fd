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
#![allow(
    clippy::too_many_lines,
    reason = "a table of cases is one list, however long"
)]

/// A running origin, a published fixture, a client that believes nothing.
mod harness;

// The wire: what every answer must be, byte by byte.
/// R12, R13: preconditions.
mod wire_conditionals;
/// R2 to R5: where requests end, and what becomes of the connection.
mod wire_framing;
/// R1, R2, R25: which heads are requests at all.
mod wire_head;
/// R6: how large a request may be.
mod wire_limits;
/// R7 to R11: methods and metadata.
mod wire_methods;
/// R15: several ranges.
mod wire_multirange;
/// R17, R18: paths.
mod wire_paths;
/// R14, R16: one range.
mod wire_ranges;

// Under pressure: time, number, damage.
/// R21, R22: memory, descriptors, connections.
mod robustness_load;
/// R23: files that change under a running origin, and releases that come and go.
mod robustness_store;
/// R19, R20: deadlines.
mod robustness_timeouts;

// From start to end.
/// R24: the drain.
mod lifecycle_drain;
/// Access records and metrics.
mod lifecycle_records;
