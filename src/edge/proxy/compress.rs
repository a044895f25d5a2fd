//! Compression at the edge (E-11): at the POP, once for each object and encoding, away from the runtime's threads.
//!
//! Owns the compressing. Never decides whether and how: `edge/policy/compression.rs` does. A body is compressed when all of it
//! is there, so that its length can be said; none is larger than 10 MB.

use std::io::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::bodies::{Blob, Filling, Piece, Reader};
use super::body::next_of;
use super::engine::Engine;
use super::node::{Asked, Node};
use super::object::{Answer, Head, Level, Source};
use crate::edge::policy::attempts::Failure;
use crate::edge::policy::compression::{Encoding, encoding, etag};
use crate::edge::policy::errors::error_storage;
use crate::edge::policy::freshness::{Storage, lifetime};
use crate::edge::policy::key::accept_encoding;

/// Digests of the bytes that are not sent any more (RFC 9530 §2, §3).
const DIGESTS: [HeaderName; 3] = [
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("digest"),
];

impl Engine {
    /// The answer, compressed where that applies. What breaks off on the way here is a failure of the layer behind.
    pub(super) async fn compressed(
        self: &Arc<Self>,
        node: &Node,
        asked: &Asked,
        answer: Answer,
    ) -> Answer {
        match self.encoding_of(node, asked, &answer) {
            None => answer,
            Some(encoding) => match self.compress(answer, encoding).await {
                Ok(compressed) => compressed,
                Err(error) => {
                    tracing::warn!(%error, "cannot compress an object");
                    self.failure(Failure::Lost)
                }
            },
        }
    }

    fn encoding_of(&self, node: &Node, asked: &Asked, answer: &Answer) -> Option<Encoding> {
        let route = self.route(asked.route);
        let is_bodiless = matches!(answer.source, Source::Nothing);
        if node.level != Level::Pop || !route.behaviour.compress || is_bodiless {
            return None;
        }
        let rules = &route.rules;
        let status = answer.status.as_u16();
        let storage = if status < 400 {
            lifetime(&answer.said, &rules.ttl)
        } else {
            error_storage(status, &answer.said, &rules.ttl, &rules.errors)
        };
        let is_kept = matches!(storage, Storage::Keep(lifetime) if !lifetime.fresh.is_zero());
        let mut headers = answer.head.headers.clone();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(answer.length?));
        let accepted = accept_encoding(&asked.headers, &route.behaviour.cache.key);
        encoding(status, &headers, is_kept, accepted, asked.is_http_1_0)
    }

    async fn compress(self: &Arc<Self>, answer: Answer, encoding: Encoding) -> io::Result<Answer> {
        let identity = self.collect(answer.source).await?;
        if Some(identity.len() as u64) != answer.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let compressed = tokio::task::spawn_blocking(move || encoding.apply(&identity));
        let compressed = compressed.await.map_err(io::Error::other)??;
        let length = compressed.len() as u64;
        let blob = Blob::new(self.bodies(), 0);
        let mut filling = Filling::new(Arc::clone(&blob), Some(length));
        let mut written = filling.push(Bytes::from(compressed)).await;
        if written.is_ok() {
            written = filling.finish().await;
        }
        if let Err(error) = written {
            filling.lose(&error); // who asked has it from memory
        }
        filling.complete();
        let mut head = Head::clone(&answer.head);
        describe(&mut head.headers, encoding);
        head.total = Some(length);
        let piece = Piece {
            span: 0..length,
            blob,
        };
        Ok(Answer {
            head: Arc::new(head),
            length: Some(length),
            source: Source::Pieces(vec![piece], Vec::new()),
            ..answer
        })
    }

    /// All of a body that has at most 10 MB.
    async fn collect(&self, source: Source) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match source {
            Source::Nothing => {}
            Source::Live(mut live) => {
                while let Some(frame) = live.next().await {
                    bytes.extend_from_slice(&frame?);
                }
            }
            Source::Pieces(pieces, interests) => {
                for mut reader in pieces.into_iter().map(Reader::new) {
                    while let Some(frame) = next_of(self, &mut reader).await? {
                        bytes.extend_from_slice(&frame);
                    }
                }
                drop(interests);
            }
        }
        Ok(bytes)
    }
}

/// The fields of the compressed form.
fn describe(headers: &mut HeaderMap, encoding: Encoding) {
    headers.insert(
        header::CONTENT_ENCODING,
        HeaderValue::from_static(encoding.name()),
    );
    if let Some(identity) = headers.remove(header::ETAG)
        && let Some(weak) = etag(&identity)
    {
        headers.insert(header::ETAG, weak);
    }
    for name in DIGESTS {
        headers.remove(name);
    }
    let is_said = headers
        .get_all(header::VARY)
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"accept-encoding"));
    if !is_said {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }

    /// Compresses. Both levels are the middle ones that a server uses for what it compresses while somebody waits.
    fn apply(self, identity: &[u8]) -> io::Result<Vec<u8>> {
        let room = Vec::with_capacity(identity.len() / 2);
        match self {
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::new(6));
                encoder.write_all(identity)?;
                encoder.finish()
            }
            Self::Brotli => {
                let mut encoder = brotli::CompressorWriter::new(room, 4096, 5, 22);
                encoder.write_all(identity)?;
                encoder.flush()?;
                Ok(encoder.into_inner())
            }
        }
    }
}
