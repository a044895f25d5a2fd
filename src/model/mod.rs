//! The words of Headwater as types: values that passed their check once and need no second one.
//!
//! Never does I/O, never reads a clock, imports nothing from the floors above. One word per thing:
//!
//! - **product**: what is updated; **version**: which one of it; **release**: one version of one product, immutable
//! - **artifact**: one file of a release; **channel**: a named, movable pointer to a release
//! - **publish**: create a release; **promote**: point a channel at one; **rollback**: point it back;
//!   **retire**: take a release's bytes away for good
//! - **store**: where bytes live; **object**: any of the above as served under a URL
//! - **piece**: one 4 MiB block of an artifact with a digest of its own
//!
//! Read next: `locator.rs`, the one list of everything that has a URL.

use std::sync::Arc;

use jiff::Timestamp;

pub mod digest;
pub mod locator;
pub mod names;
pub mod range;
pub mod version;

pub use digest::{Digest, Digester};
pub use locator::{IMMUTABLE, Lifetime, Locator};
pub use names::{ArtifactName, ChannelName, NameError, Platform, Product, ReleaseId, Version};
pub use range::ByteRange;

/// What time it is. Only the composition root knows; everything else is handed one of these.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The size of every piece but the last, in bytes.
///
/// 4 MiB: one digest per piece adds 8 millionths to an artifact, a resumed download repeats at most
/// that much, and a block cache in front of S3 fetches in the same unit.
pub const PIECE_BYTES: u64 = 4 * 1024 * 1024;
