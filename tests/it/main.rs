//! The one integration binary, a module per theme: one link instead of many, and one place for what tests may do.
//!
//! - `config_file`: `config/origin.toml` against the schema
//! - `config_values`: precedence, limits at the edge and one past it, problems, secrets
//! - `cli_help`: help texts, completions, manual pages
//! - `cli_errors`: exit codes, error texts
//! - `cli_results`: what each command prints, for people and as JSON
//! - `cli_streams`: what goes where, broken pipes, quiet
//! - `cli_serve`: the two lines, signals
//! - `cli_demo`: the whole story, and that it leaves nothing behind

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

mod cli_demo;
mod cli_errors;
mod cli_help;
mod cli_results;
mod cli_sandbox;
mod cli_serve;
mod cli_streams;
mod config_file;
mod config_values;
