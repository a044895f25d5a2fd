//! One artifact, from its URL into its place.
//!
//! Owns what each answer means for the bytes that are already here: go on, start over, fetch a piece again, wait, give
//! up. Bytes reach the final name only through `part.rs`, which verifies them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use super::check::is_temporary;
use super::error::{DamagedRange, DeviceError, Trace, TransferError};
use super::part::{self, BadPiece, Part};
use super::retry::Retry;
use super::{Answer, Ask, Client, GotState, Watcher};
use crate::catalog::Artifact;
use crate::model::{ByteRange, Locator, ReleaseId};

/// An artifact that is in place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivered {
    /// Where it is.
    pub path: PathBuf,
    /// How it came there.
    pub state: GotState,
    /// Artifact bytes that crossed the network in this call, those that were of no use too.
    pub bytes_transferred: u64,
    /// Artifact bytes kept from an earlier, broken call.
    pub bytes_resumed: u64,
}

impl Client {
    /// Puts `artifact` into the folder `output` under the last segment of its name, unless it is there. What an
    /// earlier call left unfinished is verified and taken up; what this call leaves unfinished is kept.
    pub async fn download(
        &self,
        release: &ReleaseId,
        artifact: &Artifact,
        output: &Path,
    ) -> Result<Delivered, DeviceError> {
        let path = part::target(output, &artifact.name);
        let opened = {
            let (path, artifact, output) = (path.clone(), artifact.clone(), output.to_owned());
            blocking(move || {
                if part::is_in_place(&path, &artifact)? {
                    return Ok(None);
                }
                part::prepare(&output, &artifact)?;
                Part::open(&output, &artifact).map(Some)
            })
            .await?
        };
        match opened {
            None => Ok(Delivered {
                path,
                state: GotState::Current,
                bytes_transferred: 0,
                bytes_resumed: 0,
            }),
            Some(part) => Download::new(self, release, artifact, part).run().await,
        }
    }

    /// Refuses an answer that cannot be `part` of the artifact: something else answers under its URL.
    pub(super) fn check_length(
        &self,
        locator: &Locator,
        answer: &Answer,
        part: ByteRange,
    ) -> Result<(), DeviceError> {
        match answer.content_length() {
            Some(actual) if actual != part.len => Err(DeviceError::WrongLength {
                url: self.url(locator),
                expected: part.len,
                actual,
                trace: answer.trace(),
            }),
            _ => Ok(()),
        }
    }
}

/// A download under way.
struct Download<'a> {
    client: &'a Client,
    watcher: Arc<dyn Watcher>,
    locator: Locator,
    artifact: &'a Artifact,
    /// Locked only for one step at a time, by the blocking thread that takes it.
    part: Arc<Mutex<Part>>,
    ranges: Ranges,
    /// The pieces that did not match once. The last of them is asked for alone, and none is a third time.
    suspects: Vec<ByteRange>,
    transferred: u64,
    resumed: u64,
}

/// Whether this server can be asked for a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ranges {
    Usable,
    /// It answered such a request with nonsense, or refused it.
    Unusable,
}

/// How one request ended.
enum Ended {
    /// With all that was asked for.
    Complete,
    /// Too early; another try may get further.
    Broken(TransferError),
    /// With bytes that are not the published ones.
    Bad(BadPiece, Trace),
    /// Without any, because it was for a part.
    RangeRefused,
}

impl<'a> Download<'a> {
    fn new(client: &'a Client, release: &ReleaseId, artifact: &'a Artifact, part: Part) -> Self {
        let resumed = part.len();
        Self {
            client,
            watcher: client.watcher(),
            locator: Locator::Artifact(release.clone(), artifact.name.clone()),
            artifact,
            part: Arc::new(Mutex::new(part)),
            ranges: Ranges::Usable,
            suspects: Vec::new(),
            transferred: 0,
            resumed,
        }
    }

    async fn run(mut self) -> Result<Delivered, DeviceError> {
        self.watcher.start(self.artifact.size, self.len());
        let mut retry = Retry::new(self.client.patience.retries_max);
        // Only what was never here before is progress: a server without ranges that always breaks in the middle
        // would otherwise be asked for ever.
        let mut furthest = self.len();
        while self.len() < self.artifact.size {
            match self.attempt().await? {
                Ended::Complete => {}
                Ended::Broken(failure) => {
                    if self.len() > furthest {
                        retry.progressed();
                    }
                    retry
                        .again(&self.client.url(&self.locator), failure)
                        .await?;
                }
                Ended::Bad(bad, trace) => self.suspect(bad, trace)?,
                Ended::RangeRefused => self.ranges = Ranges::Unusable,
            }
            furthest = furthest.max(self.len());
        }
        self.finish().await
    }

    /// One request, and what its answer brings.
    async fn attempt(&mut self) -> Result<Ended, DeviceError> {
        let (ask, part) = self.ask();
        let answer = match self.client.fetch(&self.locator, ask).await {
            Ok(answer) => answer,
            Err(failure) => return Ok(Ended::Broken(failure)),
        };
        match (answer.status(), part) {
            (StatusCode::OK, _) => {
                let whole = ByteRange::whole(self.artifact.size);
                // Before anything is dropped: a portal's login page must not cost the partial file.
                self.client.check_length(&self.locator, &answer, whole)?;
                if self.len() > 0 {
                    self.with_part(Part::restart).await?;
                    self.dropped();
                }
                self.receive(answer, whole).await
            }
            (StatusCode::PARTIAL_CONTENT, Some(part)) => {
                if !is_exactly(answer.content_range(), part, self.artifact.size) {
                    return Ok(Ended::RangeRefused);
                }
                self.client.check_length(&self.locator, &answer, part)?;
                self.receive(answer, part).await
            }
            (StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED, Some(_)) => {
                Ok(Ended::RangeRefused)
            }
            (status, _) if is_temporary(status) => Ok(Ended::Broken(answer.unavailable())),
            _ => Err(self.client.refused(&self.locator, &answer)),
        }
    }

    /// What to ask for next, and which part of the artifact that is.
    fn ask(&self) -> (Ask, Option<ByteRange>) {
        let of = self.artifact.sha256;
        let offset = self.len();
        match self.suspects.last() {
            _ if self.ranges == Ranges::Unusable => (Ask::Whole, None),
            Some(suspect) if offset < suspect.end() => {
                let range = ByteRange::new(offset, suspect.end() - offset);
                (Ask::Part { range, of }, Some(range))
            }
            _ if offset == 0 => (Ask::Whole, None),
            _ => {
                let range = ByteRange::new(offset, self.artifact.size - offset);
                (Ask::Rest { offset, of }, Some(range))
            }
        }
    }

    /// Appends a body, which is `part` of the artifact, as it arrives. What a body has beyond that is not looked at:
    /// the digests decide about the bytes that belong here.
    async fn receive(&mut self, mut answer: Answer, part: ByteRange) -> Result<Ended, DeviceError> {
        let mut missing = part.len;
        let mut batch = Batch::new();
        loop {
            let next = answer.chunk().await;
            if let Ok(Some(chunk)) = &next {
                let mut chunk = chunk.clone();
                chunk.truncate(usize::try_from(missing).unwrap_or(usize::MAX));
                let bytes = chunk.len() as u64;
                missing -= bytes;
                self.transferred += bytes;
                self.watcher.advance(bytes);
                batch.push(chunk);
            }
            if batch.is_due() || missing == 0 || !matches!(next, Ok(Some(_))) {
                let chunks = batch.take();
                if let Some(bad) = self.with_part(move |part| part.append(&chunks)).await? {
                    return Ok(Ended::Bad(bad, answer.trace()));
                }
            }
            match next {
                _ if missing == 0 => return Ok(Ended::Complete),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Ended::Broken(TransferError::Short { missing })),
                Err(failure) => return Ok(Ended::Broken(failure)),
            }
        }
    }

    /// A piece that does not match is fetched once more: a disk or a cache may have flipped a bit on one way. The
    /// second time it is what the edge has.
    fn suspect(&mut self, bad: BadPiece, trace: Trace) -> Result<(), DeviceError> {
        if self.suspects.contains(&bad.range) {
            return Err(DeviceError::Damaged(Box::new(DamagedRange {
                url: self.client.url(&self.locator),
                range: bad.range,
                expected: bad.expected,
                actual: bad.actual,
                trace,
            })));
        }
        tracing::debug!(
            offset = bad.range.offset,
            "fetching a damaged piece of {} again{trace}",
            self.client.url(&self.locator)
        );
        self.suspects.push(bad.range);
        self.dropped();
        Ok(())
    }

    /// Bytes that were counted are gone.
    fn dropped(&mut self) {
        self.resumed = self.resumed.min(self.len());
        self.watcher.start(self.artifact.size, self.len());
    }

    async fn finish(self) -> Result<Delivered, DeviceError> {
        let path = self.with_part(Part::finish).await?;
        let path = path.map_err(|actual| DeviceError::Contradiction {
            url: self.client.url(&self.locator),
            expected: self.artifact.sha256,
            actual,
        })?;
        Ok(Delivered {
            path,
            state: match self.resumed {
                0 => GotState::Downloaded,
                _ => GotState::Resumed,
            },
            bytes_transferred: self.transferred,
            bytes_resumed: self.resumed,
        })
    }

    fn len(&self) -> u64 {
        lock(&self.part).len()
    }

    /// Does something to the partial file where waiting for a disk holds nobody up.
    async fn with_part<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Part) -> T + Send + 'static,
    ) -> T {
        let part = Arc::clone(&self.part);
        blocking(move || step(&mut lock(&part))).await
    }
}

/// Bytes on their way to the disk: one hop to a blocking thread for each batch, not for each read of the socket.
struct Batch {
    chunks: Vec<Bytes>,
    bytes: usize,
    since: Instant,
}

impl Batch {
    const BYTES_DUE: usize = 1024 * 1024;
    /// On a slow link, what a killed process may lose of its progress.
    const AGE_DUE: Duration = Duration::from_secs(1);

    fn new() -> Self {
        Self {
            chunks: Vec::new(),
            bytes: 0,
            since: Instant::now(),
        }
    }

    fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }

    fn is_due(&self) -> bool {
        self.bytes >= Self::BYTES_DUE || self.since.elapsed() >= Self::AGE_DUE
    }

    fn take(&mut self) -> Vec<Bytes> {
        std::mem::replace(self, Self::new()).chunks
    }
}

/// RFC 9110 §14.4: a 206 whose `Content-Range` is not the one that was asked for must not be appended.
pub(super) fn is_exactly(content_range: Option<&str>, part: ByteRange, size: u64) -> bool {
    let last = part.end().saturating_sub(1);
    let expected = format!("bytes {}-{last}/{size}", part.offset);
    content_range.is_some_and(|actual| actual.trim().eq_ignore_ascii_case(&expected))
}

/// A poisoned lock means a panic in the middle of a step; what is on disk is verified again by the next call.
fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(step: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(step).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being shut down, and this future with it.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}
