//! The one integration binary, a module per theme: one link instead of many, and one place for what tests may do.
//!
//! Every test binds port 0 on loopback, works in a folder of its own and needs neither network nor credentials; it
//! waits for signals or polls with a deadline, and never sleeps for a guess.
//!
//! - `publish_crash`: kill -9 at every step, two commands at once
//! - `publish_damage`: bad input, a damaged store, a full disk
//! - `publish_property`: a random series of steps and crashes equals a plain map
//! - `publish_semantics`: what publish, promote, rollback, retire and prune promise
//! - `store_contract`: every promise of the store contract, for each kind of store
//! - `store_directory`: what only a directory can get wrong

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails should fail where it stands, in its helpers too"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests drive real processes: they need the real clock, the environment and renames"
)]

mod publish_crash;
mod publish_damage;
mod publish_property;
mod publish_semantics;
mod store_contract;
mod store_directory;
mod support;
