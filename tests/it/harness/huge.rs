//! An artifact beyond 4 GiB that costs no disk: a sparse file beside a release document written by hand.
//!
//! The only place of the suite that writes into a store as DESIGN §4 describes it; everything else publishes.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::fixture::{PIECE, sha256_hex};
use super::origin::StoreDir;

/// Where it is served.
pub const URL: &str = "/artifacts/agent/2.0.0/huge";

/// 4 GiB, 4 MiB and 10 bytes of zeros with three marks: across the border of 2^32, just beyond it, and at the end.
pub const BYTES: u64 = (4 << 30) + (4 << 20) + 10;
const MARKS: [(u64, &[u8]); 3] = [
    ((4 << 30) - 4, b"before"),
    ((4 << 30) + 2, b"beyond"),
    (BYTES - 4, b"last"),
];
/// Computed once with sha256sum: hashing it in every run would take longer than all other ranges together.
const SHA256: &str = "1f9b1afc07285bbce43b6c7a456e1ef6e198a73b163236a6daed229bdbf65474";

/// Writes the sparse artifact and its release document as DESIGN §4 has them: publishing would write 4 GiB of zeros.
pub fn store() -> Arc<StoreDir> {
    let store = StoreDir::empty();
    // Publishing creates what else a store may need.
    store.publish("1.0.0", &[("tiny", b"hello")], None);
    let path = store.artifact("2.0.0", "huge");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut options = std::fs::File::options();
    options.read(true).write(true).create_new(true);
    let file = options.open(&path).unwrap();
    file.set_len(BYTES).unwrap();
    for (at, mark) in MARKS {
        file.write_all_at(mark, at).unwrap();
    }
    let zeros = sha256_hex(&vec![0; PIECE]);
    let mut pieces = vec![zeros; usize::try_from(BYTES.div_ceil(4 << 20)).unwrap()];
    let piece = PIECE as u64;
    for (at, mark) in MARKS {
        for index in [at / piece, (at + mark.len() as u64 - 1) / piece] {
            let start = index * piece;
            let len = piece.min(BYTES - start);
            let mut bytes = vec![0; usize::try_from(len).unwrap()];
            file.read_exact_at(&mut bytes, start).unwrap();
            pieces[usize::try_from(index).unwrap()] = sha256_hex(&bytes);
        }
    }
    let document = serde_json::json!({
        "schema": 1, "product": "agent", "version": "2.0.0",
        "published_at": "2026-11-22T10:00:00Z", "notes": null,
        "artifacts": [{
            "name": "huge", "size": BYTES, "sha256": SHA256,
            "content_type": "application/octet-stream",
            "pieces": { "size": piece, "sha256": pieces },
        }],
    });
    let text = serde_json::to_string_pretty(&document).unwrap();
    std::fs::write(store.artifact("2.0.0", "release.json"), text).unwrap();
    store
}
