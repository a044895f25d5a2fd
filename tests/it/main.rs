//! The integration tests: one binary, one module per theme.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop; clippy.toml knows only functions marked `#[test]`"
)]

mod publish_damage; // bad input, a damaged store, a full disk
mod publish_semantics; // what publish, promote, rollback, retire and prune promise
mod store_contract; // every promise of the store contract, for each kind of store
mod store_directory; // what only a directory can get wrong
mod support;
