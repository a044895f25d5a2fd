//! Files to publish and serve: any size, no holes, no two alike.
//!
//! Owns their contents. Never decides where they go.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// How much is generated at a time; a multiple of eight.
const BLOCK_BYTES: usize = 1 << 20;

/// Writes a file of `len` bytes that no compression or deduplication can shrink, the same for the same `seed`.
pub fn write_file(path: &Path, len: u64, seed: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut state = seed;
    let mut block = vec![0; BLOCK_BYTES];
    let mut left = len;
    while left > 0 {
        for word in block.chunks_exact_mut(8) {
            word.copy_from_slice(&split_mix(&mut state).to_le_bytes());
        }
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        file.write_all(&block[..part])?;
        left -= part as u64;
    }
    Ok(())
}

/// `SplitMix64`: a few instructions for each word, and no pattern that a disk or a hash could profit from.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
