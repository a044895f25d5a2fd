//! `headwater simulate`: a release to a whole fleet, without and with an edge, and the bill.
//!
//! Owns the simulation. The edge inside it is `edge/policy`, the same rules that the caching proxy follows; every result
//! is of a model of documented behaviour and says so. Never touches the network. Read next: `scenario.rs` (what is
//! simulated), `engine/` (how), `outcome.rs` (what comes out), `summary.rs` (what is told of it), `cost.rs`, `report/`.

pub mod comparison;
pub mod cost;
pub mod document;
pub mod engine;
pub mod outcome;
pub mod parameters;
pub mod regions;
pub mod report;
pub mod rows;
pub mod scenario;
pub mod summary;
pub mod units;
pub mod verdict;
