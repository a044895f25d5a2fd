//! An artifact in the store, as far as its blocks are concerned: where it is, what each block must be, how to ask.
//!
//! Owns the pin: all blocks of an artifact are read from the object that was there when the first one was asked for,
//! or from none. Never judges bytes: `blocks.rs` does.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use foyer::Code;
use tokio::sync::Mutex;

use crate::catalog;
use crate::model::{ByteRange, Digest, PIECE_BYTES};
use crate::server::artifact::piece_range;
use crate::server::damage::Damage;
use crate::store::{Content, Key, Remote, Store, StoreError};

/// Names a block, in memory and on disk: which artifact, by its digest, and which of its pieces. Equal artifacts of two
/// releases share their blocks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BlockKey {
    artifact: [u8; 32],
    index: u64,
}

impl Code for BlockKey {
    fn encode(&self, writer: &mut impl io::Write) -> foyer::Result<()> {
        let written = writer.write_all(&self.artifact);
        written.map_err(foyer::Error::io_error)?;
        self.index.encode(writer)
    }

    fn decode(reader: &mut impl io::Read) -> foyer::Result<Self> {
        let mut artifact = [0; 32];
        let read = reader.read_exact(&mut artifact);
        read.map_err(foyer::Error::io_error)?;
        let index = u64::decode(reader)?;
        Ok(Self { artifact, index })
    }

    fn estimated_size(&self) -> usize {
        size_of::<Self>()
    }
}

/// An artifact in the store.
#[derive(Debug)]
pub struct Source {
    store: Arc<dyn Store>,
    key: Key,
    size: u64,
    sha256: Digest,
    pieces: Box<[Digest]>,
    /// The object that blocks are read from, once it was asked for.
    pinned: Mutex<Option<Arc<dyn Remote>>>,
}

impl Source {
    /// Knows what `artifact` must be; asks nothing yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, key: Key, artifact: &catalog::Artifact) -> Self {
        Self {
            store,
            key,
            size: artifact.size,
            sha256: artifact.sha256,
            pieces: artifact.pieces.sha256.clone().into(),
            pinned: Mutex::default(),
        }
    }

    /// Where it is stored.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The name of a block.
    #[must_use]
    pub fn block(&self, index: usize) -> BlockKey {
        BlockKey {
            artifact: *self.sha256.as_bytes(),
            index: index as u64,
        }
    }

    /// Where in the artifact a block is.
    #[must_use]
    pub fn range(&self, index: usize) -> ByteRange {
        piece_range(index, self.size)
    }

    /// What a block must be.
    ///
    /// # Panics
    /// When the artifact has no such block, which its release document excludes.
    #[must_use]
    pub fn digest(&self, index: usize) -> Digest {
        self.pieces[index]
    }

    /// Reads a block as the store has it.
    pub async fn read(&self, range: ByteRange) -> Result<Bytes, Damage> {
        if range.len == self.size {
            return self.read_whole().await;
        }
        let object = self.object().await?;
        Ok(object.read(range).await?)
    }

    /// The next block is read from what the store has then.
    pub async fn forget(&self) {
        *self.pinned.lock().await = None;
    }

    /// One request instead of two.
    async fn read_whole(&self) -> Result<Bytes, Damage> {
        match self.store.read(&self.key, PIECE_BYTES).await {
            Ok(Some(document)) if document.bytes.len() as u64 == self.size => Ok(document.bytes),
            Ok(Some(document)) => Err(self.wrong_size(document.bytes.len() as u64)),
            Ok(None) => Err(Damage::Missing),
            Err(error) if error.source.kind() == io::ErrorKind::FileTooLarge => {
                let actual = self.store.stat(&self.key).await?;
                Err(actual.map_or(Damage::Missing, |actual| self.wrong_size(actual)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The pinned object. One asks for it; whoever comes meanwhile waits for the answer.
    async fn object(&self) -> Result<Arc<dyn Remote>, Damage> {
        let mut pinned = self.pinned.lock().await;
        if let Some(object) = &*pinned {
            return Ok(Arc::clone(object));
        }
        let blob = self.store.open(&self.key).await?.ok_or(Damage::Missing)?;
        if blob.size != self.size {
            return Err(self.wrong_size(blob.size));
        }
        let Content::Remote(object) = blob.content else {
            let unsupported = io::ErrorKind::Unsupported.into();
            return Err(StoreError::new("read blocks of", &self.key, unsupported).into());
        };
        Ok(Arc::clone(pinned.insert(object)))
    }

    fn wrong_size(&self, actual: u64) -> Damage {
        Damage::Size {
            expected: self.size,
            actual,
        }
    }
}
