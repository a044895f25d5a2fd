//! The standard release `agent 1.0.0`, channel `stable`: made from arithmetic, so that every test knows every byte.
//!
//! Never touches a store; `origin` publishes what is written here.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// The piece size of release documents, and so a place where an origin may go wrong by one.
pub const PIECE: usize = 4 << 20;

/// Where the standard release's artifacts are served.
pub const BASE: &str = "/artifacts/agent/1.0.0/";

/// The channel document of the standard release.
pub const CHANNEL: &str = "/channels/agent/stable.json";

/// One artifact of the standard release.
pub struct Artifact {
    pub name: &'static str,
    pub body: Vec<u8>,
}

/// All of them. `big` is larger than the two socket buffers of a loopback connection together.
pub static ARTIFACTS: LazyLock<Vec<Artifact>> = LazyLock::new(|| {
    let made = |name, len, seed| Artifact {
        name,
        body: bytes(seed, len),
    };
    vec![
        Artifact {
            name: "tiny",
            body: b"hello".to_vec(),
        },
        made("empty", 0, 1),
        made("page", 4096, 2),
        made("piece-less-one", PIECE - 1, 3),
        made("piece", PIECE, 4),
        made("piece-plus-one", PIECE + 1, 5),
        made("big", 24 * 1024 * 1024 + 123, 6),
        made("a/b/c", 64, 7),
        made("libfoo_1%3a2.0+b1~rc1_amd64.deb", 1000, 8),
        made("with space.bin", 10, 9),
        made("naïve-日本.txt", 20, 10),
        Artifact {
            name: "index.html",
            body: b"<!doctype html><title>x</title>\n".repeat(64),
        },
        Artifact {
            name: "notes.json",
            body: b"{\"notes\":[1,2,3]}\n".to_vec(),
        },
    ]
});

/// The bytes of an artifact of the standard release.
#[track_caller]
pub fn body(name: &str) -> &'static [u8] {
    let found = ARTIFACTS.iter().find(|artifact| artifact.name == name);
    &found.expect("a name of the standard release").body
}

/// Writes the standard release's files below `dir`.
pub fn write_to(dir: &Path) {
    for artifact in ARTIFACTS.iter() {
        let path = dir.join(artifact.name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &artifact.body).unwrap();
    }
}

/// `len` bytes that look random, never repeat at a short distance and are the same in every run (xorshift64).
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next_u64().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A sequence that looks random and is the same in every run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

/// The strong entity tag that an artifact with these bytes must have, quotes included.
pub fn etag(body: &[u8]) -> String {
    format!("\"{}\"", sha256_hex(body))
}

/// The `Repr-Digest` that an artifact with these bytes must have (RFC 9530).
pub fn repr_digest(body: &[u8]) -> String {
    use base64::Engine as _;
    let digest = Sha256::digest(body);
    let text = base64::engine::general_purpose::STANDARD.encode(digest);
    format!("sha-256=:{text}:")
}

/// The SHA-256 of `bytes` as documents have it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
}

/// The URL of an artifact of the standard release.
pub fn url(name: &str) -> String {
    format!("{BASE}{}", escape(name))
}

/// The URL form of a name: all but RFC 3986's unreserved characters and `/` are escaped.
pub fn escape(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(byte));
            }
            _ => write!(text, "%{byte:02X}").unwrap(),
        }
        text
    })
}
