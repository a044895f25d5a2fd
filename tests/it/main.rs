//! The one integration binary: the real executable, real sockets, a store of its own for every test that changes one.
//!
//! Nothing here imports the library: the suite knows the command line, the URLs and the bytes on the wire, and would
//! judge a rewrite in another language alike. Modules are grouped by theme: wire, robustness, lifecycle.
//! `HEADWATER_TEST_BIN=target/release/headwater cargo test --test it` judges another build.
//!
//! The rows of the tables cite these requirements, and RFC 9110, 9111 and 9112 by section:
//!
//! | | what an update origin must do on the wire |
//! |---|---|
//! | R1 | one valid `Host`, or 400; absolute-form is understood |
//! | R2 | a message of doubtful length or syntax is refused with its connection; a body is never a request |
//! | R3 | bodies nobody wants are drained within bounds; a refusal stays readable; no 100 before a refusal |
//! | R4 | pipelines are answered in order; `Connection` is understood in every form, also that of HTTP/1.0 |
//! | R5 | a client that half-closes gets its whole answer |
//! | R6 | heads as large as real ones are read, larger ones get 431 or 414 and cost no memory |
//! | R7 | GET and HEAD; anything else 405 with `Allow` |
//! | R8 | `Content-Length` always, never chunks; HEAD is GET without the body |
//! | R9 | a strong tag made of the content, true dates, the same on every instance |
//! | R10 | immutable lifetimes for what is immutable and for nothing else; no cookies, no `Vary` |
//! | R11 | no compression on the way |
//! | R12 | preconditions in the order of RFC 9110 §13.2.2 |
//! | R13 | 304, 412 and 416 are small, framed, and leave the connection usable |
//! | R14 | every form of one range is exact or ignored |
//! | R15 | several ranges come as `multipart/byteranges` that the strictest parser reads, at bounded cost |
//! | R16 | `If-Range` by the strong tag or the exact date only |
//! | R17 | no spelling of a path escapes; one artifact, one URL; nothing is reflected |
//! | R18 | regular files only, and nothing else blocks a thread |
//! | R19 | a deadline for the whole head; idle connections outlive a load balancer's 60 s |
//! | R20 | a stalled reader or writer is cut off, a slow one is not |
//! | R21 | stalled, idle and reset connections cost little and leave nothing |
//! | R22 | running out of descriptors is survived |
//! | R23 | a body is of one opened file: whole or broken, never torn or padded |
//! | R24 | a drain loses nobody's bytes |
//! | R25 | garbage never causes a server error |

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
