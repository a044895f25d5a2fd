//! The one integration binary, a module per theme: one link instead of many, and one place for what tests may do.
//!
//! Every test binds port 0 on loopback, works in a folder of its own and needs neither network nor credentials; it
//! waits for signals or polls with a deadline, and never sleeps for a guess.
//!
//! - `tidy`: the house rules, read off the sources

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

mod tidy;
