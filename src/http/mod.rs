//! All of the protocol, pure: bytes of a request in, decisions and headers out.
//!
//! Never does I/O, never reads a clock, never touches an object's bytes; those move in `server/`. Read in the order
//! of a request:
//!
//! 1. `head.rs`: received bytes → [`Inspection`]. The only parser of requests in the program, and a strict one;
//!    its two halves are `request_line.rs` (method, target, version) and `fields.rs` (framing, `Host`, the rest).
//! 2. `representation.rs`: the facts of the object that the path names, as header values made once.
//! 3. `plan.rs`: head + facts → [`Plan`], by way of `conditional.rs` (RFC 9110 §13) and `range.rs` (§14).
//! 4. `reply.rs`: plan → status and header fields. `problem.rs`: everything that goes wrong, as RFC 9457.

mod conditional;
mod fields;
mod head;
mod plan;
mod problem;
mod range;
mod reply;
mod representation;
mod request_line;
#[cfg(test)]
mod testing;

pub use head::{HeadLimits, HttpVersion, Inspection, Method, Refusal, RequestHead, inspect};
pub use plan::{Multipart, Part, Plan, plan};
pub use problem::{Problem, problem};
pub use range::{Selection, select};
pub use reply::{Reply, found, healthy, reply};
pub use representation::{Description, Representation, RepresentationError};
