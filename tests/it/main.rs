//! The one integration binary, a module per theme: one link instead of many, and one place for what tests may do.
//!
//! Most of it drives the real executable over real sockets and would judge a rewrite in another language alike; the
//! store suites drive the library. Every test binds port 0 on loopback, works in a folder of its own and needs no
//! credentials; it waits for signals or polls with a deadline, and never sleeps for a guess. Rules of the wire are
//! cited as R1 to R25 (see CONTRIBUTING) and by RFC section.

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
    reason = "tests drive real processes: they need the real clock, the environment and renames"
)]
#![allow(
    clippy::too_many_lines,
    reason = "a table of cases is one list, however long"
)]

/// A running origin, a published fixture, a client that believes nothing.
mod harness;
/// Folders, stores and child processes for the store and publish suites.
mod support;

/// The house rules, read off the sources.
mod tidy;

// The store and publishing.
/// Kill -9 at every step, and two at once.
mod publish_crash;
/// Full disks, missing permissions, flipped bytes.
mod publish_damage;
/// Any series of operations and crashes equals a plain map.
mod publish_property;
/// What publish, promote, rollback, retire and prune promise.
mod publish_semantics;
/// Every promise of the store contract, for each kind of store.
mod store_contract;
/// What only a directory can get wrong.
mod store_directory;

// The command line and its configuration.
/// The whole story, and that it leaves nothing behind.
mod cli_demo;
/// Exit codes, error texts.
mod cli_errors;
/// Help texts, completions, manual pages.
mod cli_help;
/// What each command prints, for people and as JSON.
mod cli_results;
/// A private folder and environment for each command.
mod cli_sandbox;
/// The two lines, signals.
mod cli_serve;
/// The simulation of a fleet: scenarios, the JSON document, refusals, seeds.
mod cli_simulate;
/// What goes where, broken pipes, quiet.
mod cli_streams;
/// `config/origin.toml` against the schema.
mod config_file;
/// Every file under `config/` is read by something, and holds no secret; what the image runs.
mod config_folder;
/// Precedence, limits at the edge and one past it, problems, secrets.
mod config_values;
/// The report of a simulation in a real browser, on a desk and on a phone.
mod fleet_report;
/// The commands with a bucket as their store.
mod s3_cli;
/// Where credentials come from, and that none is printed.
mod s3_credentials;
/// What systemd is told, over a socket like its own.
mod serve_notify;
/// Origin secrets in a file, read again at SIGHUP.
mod serve_secrets;

// The wire: what every answer must be, byte by byte.
/// R24: the drain.
mod lifecycle_drain;
/// Access records and metrics.
mod lifecycle_records;
/// R21, R22: memory, descriptors, connections.
mod robustness_load;
/// R23: files that change under a running origin, and releases that come and go.
mod robustness_store;
/// R19, R20: deadlines.
mod robustness_timeouts;
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

// S3.
/// Terraform's plan against the server's own configuration, and both worlds against each other.
mod infrastructure;
/// Every command under the role that Terraform makes for its product, and what that role is refused.
mod publisher_policy;
/// Every command on a bucket.
mod s3_commands;
/// A publisher to a bucket that is killed, and what its memory is.
mod s3_crash;
/// S3 slow, busy, broken, gone: what commands do then, and say.
mod s3_faults;
/// Publishing to a bucket: what is sent again, who waits, what is left.
mod s3_publish;
/// An origin over a bucket: what it fetches, what it keeps, that two are one.
mod s3_serve;
/// The same while the bucket is slow, wrong, or away.
mod s3_serve_faults;
/// What only a bucket can get wrong.
mod store_s3;
/// The two servers and the proxy that the tests of S3 stand on.
mod test_servers;

// The purge.
/// A channel's move and its purge, end to end with `headwater edge`.
mod cdn_edge;
/// What every failure of a purge says, against a control plane that answers by a script.
mod cdn_failures;
/// The same adapter against CloudFront by others.
mod cdn_moto;

// The edge.
/// CloudFront's invalidation API, driven by its own SDK.
mod edge_api;
/// `edge` as a process: what viewers see, the limits, the drain.
mod edge_cli;
/// The layers with real bytes, in this process.
mod edge_engine;
/// The log of requests: a line for each, whatever becomes of it.
mod edge_log;
/// A thousand devices at the same instant against a cold edge: what the origin still sees.
mod edge_offload;
/// `config/edge.toml` and files like it.
mod edge_settings;
/// The public HTTP cache test suite, with every failure explained.
mod edge_suite;
/// The rules that need real bytes: collapsing, broken fills, the origin's view, conservation, clients.
mod edge_wire;
/// What an edge answers, compared with the store: `verify --through`.
mod verify_through;

// The fleet.
/// Two engines, closed forms, another simulator.
mod fleet_engines;

// Devices and real clients.
/// A real apt repository as one release, used by apt.
mod apt_repository;
/// The reference client against an edge that cuts, lies, stalls and forgets.
mod device;
/// A fleet of devices: what it verifies, counts, refuses, and where it stops.
mod loadtest;
/// Clients that must work unmodified.
mod real_clients;
/// Five versions of a real program, published one after the other.
mod real_releases;
