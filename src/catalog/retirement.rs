//! The retirement document: why a release's bytes are gone.
//!
//! Owns its format (schema 1). Never does I/O: `publish/retention.rs` stores it, and everything that serves or moves
//! a channel looks for it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DocumentError;

/// The largest retirement document that is read, in bytes; the reason is a sentence.
pub const RETIREMENT_BYTES_MAX: u64 = 64 * 1024;

/// `retired.json` (schema 1): why a release's bytes are gone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Retirement {
    /// 1.
    pub schema: u32,
    /// Whole seconds.
    pub retired_at: Timestamp,
    /// In the operator's words.
    pub reason: String,
}

impl Retirement {
    /// The retirement document's schema that this program reads and writes.
    pub const SCHEMA: u32 = 1;

    /// A retirement at this time.
    #[must_use]
    pub fn new(at: Timestamp, reason: String) -> Self {
        Self {
            schema: Self::SCHEMA,
            retired_at: Timestamp::from_second(at.as_second()).unwrap_or(at),
            reason,
        }
    }

    /// Reads a retirement document.
    pub fn from_json(bytes: &[u8]) -> Result<Self, DocumentError> {
        super::parse_document(bytes, Self::SCHEMA)
    }

    /// The document's bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        super::print_document(self)
    }
}
