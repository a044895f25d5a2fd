//! One artifact, verified as it arrives and thrown away.
//!
//! Owns what each answer means for a download of which only the digest is kept: go on, start over, give up. The rules
//! are those of `device/download.rs`; what is not here is the second chance of a damaged piece, because a load test
//! exists to tell of it.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::Style;
use super::tally::Tally;
use crate::catalog::Artifact;
use crate::device::check::is_temporary;
use crate::device::download::is_exactly;
use crate::device::error::DamagedRange;
use crate::device::retry::Retry;
use crate::device::{Answer, Ask, Client, DeviceError, Trace, TransferError, Watcher as _};
use crate::model::{ByteRange, Digester, Locator, ReleaseId};

/// Where and for how long a device breaks off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Break {
    /// The first byte that it does not take.
    pub(super) at: u64,
    /// How long it is away.
    pub(super) pause: Duration,
}

/// A download under way.
pub(super) struct Transfer<'a> {
    client: &'a Client,
    tally: &'a Tally,
    locator: Locator,
    artifact: &'a Artifact,
    style: Style,
    /// Whether this server can be asked for a part.
    ranges_usable: bool,
    /// How much has arrived.
    position: u64,
    /// All of that.
    whole: Digester,
    /// What belongs to the unfinished piece; fed only where pieces are asked for one by one.
    piece: Digester,
    /// Of the last answer.
    trace: Trace,
}

/// How one request ended.
enum Ended {
    /// With all that was asked for.
    Complete,
    /// Too early; another try may get further.
    Broken(TransferError),
    /// By the device's own will.
    BrokenOff(Duration),
    /// Without any bytes, because it was for a part.
    RangeRefused,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(
        client: &'a Client,
        tally: &'a Tally,
        release: &ReleaseId,
        artifact: &'a Artifact,
        style: Style,
    ) -> Self {
        Self {
            client,
            tally,
            locator: Locator::Artifact(release.clone(), artifact.name.clone()),
            artifact,
            style,
            ranges_usable: true,
            position: 0,
            whole: Digester::new(),
            piece: Digester::new(),
            trace: Trace::default(),
        }
    }

    /// Downloads and verifies.
    pub(super) async fn run(mut self, mut breaks: Option<Break>) -> Result<(), DeviceError> {
        let mut retry = Retry::new(self.client.patience.retries_max);
        let mut furthest = 0;
        while self.position < self.artifact.size {
            match self.attempt(&mut breaks).await? {
                Ended::Complete => {}
                Ended::BrokenOff(pause) => {
                    self.tally.broke_off();
                    tokio::time::sleep(pause).await;
                }
                Ended::Broken(failure) => {
                    if self.position > furthest {
                        retry.progressed();
                    }
                    let url = self.client.url(&self.locator);
                    retry.again(&url, failure).await?;
                }
                Ended::RangeRefused => {
                    self.tally.range_ignored();
                    self.ranges_usable = false;
                    self.restart();
                }
            }
            furthest = furthest.max(self.position);
        }
        self.verify_whole()
    }

    /// One request, and what its answer brings.
    async fn attempt(&mut self, breaks: &mut Option<Break>) -> Result<Ended, DeviceError> {
        let (ask, part) = self.ask();
        let answer = match self.client.fetch(&self.locator, ask).await {
            Ok(answer) => answer,
            Err(failure) => return Ok(Ended::Broken(failure)),
        };
        self.trace = answer.trace();
        match (answer.status(), part) {
            (StatusCode::OK, part) => {
                let whole = ByteRange::whole(self.artifact.size);
                self.client.check_length(&self.locator, &answer, whole)?;
                if part.is_some() {
                    self.tally.range_ignored();
                }
                self.restart();
                self.receive(answer, whole, breaks).await
            }
            (StatusCode::PARTIAL_CONTENT, Some(part)) => {
                if !is_exactly(answer.content_range(), part, self.artifact.size) {
                    return Ok(Ended::RangeRefused);
                }
                self.client.check_length(&self.locator, &answer, part)?;
                self.receive(answer, part, breaks).await
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
        let (of, offset) = (self.artifact.sha256, self.position);
        match self.style {
            _ if !self.ranges_usable => (Ask::Whole, None),
            Style::Pieces => {
                let range = ByteRange::new(offset, self.piece_end() - offset);
                (Ask::Part { range, of }, Some(range))
            }
            Style::Whole if offset == 0 => (Ask::Whole, None),
            Style::Whole => {
                let range = ByteRange::new(offset, self.artifact.size - offset);
                (Ask::Rest { offset, of }, Some(range))
            }
        }
    }

    /// Takes a body, which is `part` of the artifact. What it has beyond that is not looked at.
    async fn receive(
        &mut self,
        mut answer: Answer,
        part: ByteRange,
        breaks: &mut Option<Break>,
    ) -> Result<Ended, DeviceError> {
        while self.position < part.end() {
            let missing = part.end() - self.position;
            let mut chunk = match answer.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    let failure = TransferError::Short { missing };
                    self.tally.failed("artifact", &failure);
                    return Ok(Ended::Broken(failure));
                }
                Err(failure) => return Ok(Ended::Broken(failure)),
            };
            let until_break = breaks.map_or(u64::MAX, |it| it.at.saturating_sub(self.position));
            let wanted = missing.min(until_break);
            chunk.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
            self.digest(chunk)?;
            if let Some(Break { at, pause }) = *breaks
                && self.position >= at
            {
                *breaks = None;
                return Ok(Ended::BrokenOff(pause));
            }
        }
        Ok(Ended::Complete)
    }

    /// Feeds both digests and judges each piece at its end.
    fn digest(&mut self, mut chunk: Bytes) -> Result<(), DeviceError> {
        self.whole.update(&chunk);
        while !chunk.is_empty() {
            let left_in_piece = self.piece_end() - self.position;
            let take = usize::try_from(left_in_piece).map_or(chunk.len(), |it| it.min(chunk.len()));
            let bytes = chunk.split_to(take);
            self.tally.received(bytes.len() as u64);
            if self.style == Style::Pieces {
                self.piece.update(&bytes);
            }
            self.position += bytes.len() as u64;
            if bytes.len() as u64 == left_in_piece {
                self.judge_piece()?;
            }
        }
        Ok(())
    }

    fn judge_piece(&mut self) -> Result<(), DeviceError> {
        let pieces = &self.artifact.pieces;
        let number = (self.position - 1) / pieces.size;
        let published = usize::try_from(number)
            .ok()
            .and_then(|at| pieces.sha256.get(at));
        let actual = std::mem::take(&mut self.piece).finish();
        match published {
            Some(expected) if self.style == Style::Pieces && *expected != actual => {
                let offset = number * pieces.size;
                let range = ByteRange::new(offset, self.position - offset);
                Err(self.damaged(range, *expected, actual))
            }
            _ => Ok(()),
        }
    }

    fn verify_whole(self) -> Result<(), DeviceError> {
        let (expected, actual) = (self.artifact.sha256, self.whole.clone().finish());
        match self.style {
            _ if expected == actual => Ok(()),
            Style::Whole => {
                Err(self.damaged(ByteRange::whole(self.artifact.size), expected, actual))
            }
            Style::Pieces => Err(DeviceError::Contradiction {
                url: self.client.url(&self.locator),
                expected,
                actual,
            }),
        }
    }

    fn damaged(
        &self,
        range: ByteRange,
        expected: crate::model::Digest,
        actual: crate::model::Digest,
    ) -> DeviceError {
        DeviceError::Damaged(Box::new(DamagedRange {
            url: self.client.url(&self.locator),
            range,
            expected,
            actual,
            trace: self.trace.clone(),
        }))
    }

    /// The position after the piece that is under way.
    fn piece_end(&self) -> u64 {
        let size = self.artifact.pieces.size;
        ((self.position / size + 1) * size).min(self.artifact.size)
    }

    fn restart(&mut self) {
        self.position = 0;
        self.whole = Digester::new();
        self.piece = Digester::new();
    }
}
