//! One object at one POP: the requests, and what their bodies are.
//!
//! Owns which requests an object gets, in which order, and how long a failing one is tried. Bodies are hashed as they
//! arrive and kept nowhere. Never decides what an answer is worth: that is in `verdict.rs`.

use http::{HeaderMap, StatusCode};

use super::verdict::{
    self, Document, Expect, Facts, Fault, Question, Verdict, head_faults, is_worth_reading,
};
use super::{Answered, Object};
use crate::catalog::{Artifact, CHANNEL_BYTES_MAX};
use crate::device::check::is_temporary;
use crate::device::retry::Retry;
use crate::device::{Answer, Ask, Client, DeviceError, TransferError};
use crate::model::{ByteRange, Digest, Digester};
use crate::telemetry::chain;

/// Asks one POP for one object in every way that it is worth.
pub(super) struct Probe<'a> {
    client: &'a Client,
    object: &'a Object,
}

/// An answer whose body is over.
struct Heard {
    status: StatusCode,
    headers: HeaderMap,
    bytes: u64,
    verdict: Verdict,
}

impl Heard {
    fn answered(self, question: Question) -> Answered {
        let (status, headers) = (Some(self.status), &self.headers);
        Answered::new(question, status, headers, self.bytes, self.verdict)
    }
}

impl<'a> Probe<'a> {
    pub(super) fn new(client: &'a Client, object: &'a Object) -> Self {
        Self { client, object }
    }

    /// The whole first: it fills the cache, so that nothing after it costs the origin anything.
    pub(super) async fn run(&self) -> Vec<Answered> {
        let mut answers = vec![self.ask(Question::Whole).await];
        let is_good = answers[0].verdict == Verdict::Good;
        // What does not answer, or answers otherwise, needs no second opinion.
        if is_good {
            for &question in self.further() {
                answers.push(self.ask(question).await);
            }
        }
        answers
    }

    fn further(&self) -> &'static [Question] {
        match &self.object.expect {
            Expect::Artifact(artifact) if artifact.size > 0 => {
                &[Question::Part, Question::Conditional, Question::Head]
            }
            Expect::Artifact(_) | Expect::Release(_) => &[Question::Conditional, Question::Head],
            Expect::Channel { .. } => &[Question::Conditional],
            Expect::Redirect(_) | Expect::Gone => &[],
        }
    }

    /// Asks until there is an answer or patience ends.
    async fn ask(&self, question: Question) -> Answered {
        let mut retry = Retry::new(self.client.patience.retries_max);
        let url = self.client.url(&self.object.locator);
        loop {
            let mut refused = None;
            let failure = match self.ask_once(question, &mut refused).await {
                Ok(heard) => return heard.answered(question),
                Err(failure) => failure,
            };
            if let Err(given_up) = retry.again(&url, failure).await {
                return unreachable(question, refused, &given_up);
            }
        }
    }

    /// An answer that asks to come back later is a failure, whose head is left in `refused`.
    async fn ask_once(
        &self,
        question: Question,
        refused: &mut Option<(StatusCode, HeaderMap)>,
    ) -> Result<Heard, TransferError> {
        let Object { locator, expect } = self.object;
        let part = match question {
            Question::Part => expect.middle(),
            _ => None,
        };
        let facts = expect.facts();
        let ask = match (question, facts, part) {
            (Question::Part, Some(facts), Some((range, _))) => Ask::Part {
                range,
                of: facts.sha256,
            },
            (Question::Conditional, Some(facts), _) => Ask::UnlessIs(facts.sha256),
            (Question::Head, _, _) => Ask::Head,
            _ => Ask::Whole,
        };
        let answer = self.client.fetch(locator, ask).await?;
        if is_temporary(answer.status()) {
            *refused = Some((answer.status(), answer.headers().clone()));
            return Err(answer.unavailable());
        }
        match (facts, expect) {
            (Some(facts), _) => self.hear(question, part, &facts, answer).await,
            (None, Expect::Redirect(redirect)) => Ok(unread(&answer, |status, headers| {
                redirect.judge(status, headers)
            })),
            (None, _) => Ok(unread(&answer, verdict::judge_gone)),
        }
    }

    async fn hear(
        &self,
        question: Question,
        part: Option<(ByteRange, Digest)>,
        facts: &Facts<'_>,
        mut answer: Answer,
    ) -> Result<Heard, TransferError> {
        let (status, headers) = (answer.status(), answer.headers().clone());
        let range = part.map(|(range, _)| range);
        let mut faults = head_faults(question, range, facts, status, &headers);
        let mut bytes = 0;
        let verdict = match (&self.object.expect, question) {
            // Two machines of one POP may have two revisions: an answer with a body is judged by that.
            (Expect::Channel { .. }, Question::Whole | Question::Conditional)
                if status == StatusCode::OK =>
            {
                let document = answer.document(CHANNEL_BYTES_MAX).await?;
                bytes = document.as_ref().map_or(0, |it| it.len() as u64);
                self.judge_channel(faults, document.as_deref(), &headers)
            }
            (_, Question::Whole | Question::Part) if is_worth_reading(&faults) => {
                let fault;
                (bytes, fault) = self.digest(&mut answer, facts, part).await?;
                faults.extend(fault);
                Verdict::of(faults)
            }
            _ => Verdict::of(faults),
        };
        Ok(Heard {
            status,
            headers,
            bytes,
            verdict,
        })
    }

    fn judge_channel(
        &self,
        faults: Vec<Fault>,
        bytes: Option<&[u8]>,
        headers: &HeaderMap,
    ) -> Verdict {
        let Expect::Channel {
            channel,
            document,
            releases,
        } = &self.object.expect
        else {
            return Verdict::of(faults);
        };
        match bytes {
            None => Verdict::of(vec![Fault::Length {
                expected: document.size,
                actual: CHANNEL_BYTES_MAX,
            }]),
            Some(bytes) if Digest::of(bytes) == document.sha256 => Verdict::of(faults),
            Some(bytes) => verdict::judge_old_channel(channel, releases, *document, bytes, headers),
        }
    }

    /// Hashes a body, and looks no further than the first wrong piece of it.
    async fn digest(
        &self,
        answer: &mut Answer,
        facts: &Facts<'_>,
        part: Option<(ByteRange, Digest)>,
    ) -> Result<(u64, Option<Fault>), TransferError> {
        let artifact = match &self.object.expect {
            Expect::Artifact(artifact) => Some(artifact),
            _ => None,
        };
        let (range, sha256) = part.unwrap_or((ByteRange::whole(facts.size), facts.sha256));
        let mut body = Body::new(range, artifact.map(|artifact| &artifact.pieces.sha256[..]));
        let watcher = self.client.watcher();
        while let Some(chunk) = answer.chunk().await? {
            watcher.advance(chunk.len() as u64);
            if let Some(fault) = body.take(&chunk, artifact) {
                return Ok((body.received, Some(fault)));
            }
        }
        Ok((
            body.received,
            body.end(Document {
                size: range.len,
                sha256,
            }),
        ))
    }
}

/// A body under way: its own digest, and that of the piece which is arriving.
struct Body<'a> {
    range: ByteRange,
    pieces: &'a [Digest],
    received: u64,
    whole: Digester,
    piece: Digester,
}

impl<'a> Body<'a> {
    fn new(range: ByteRange, pieces: Option<&'a [Digest]>) -> Self {
        Self {
            range,
            pieces: pieces.unwrap_or_default(),
            received: 0,
            whole: Digester::new(),
            piece: Digester::new(),
        }
    }

    /// Every range here starts where a piece does.
    fn take(&mut self, mut bytes: &[u8], artifact: Option<&Artifact>) -> Option<Fault> {
        self.whole.update(bytes);
        let Some(artifact) = artifact else {
            self.received += bytes.len() as u64;
            return None;
        };
        while !bytes.is_empty() {
            let position = self.range.offset + self.received;
            let size = artifact.pieces.size;
            let end = ((position / size + 1) * size).min(artifact.size.max(position + 1));
            let take =
                usize::try_from(end - position).map_or(bytes.len(), |it| it.min(bytes.len()));
            let (now, rest) = bytes.split_at(take);
            self.piece.update(now);
            self.received += now.len() as u64;
            bytes = rest;
            if position + now.len() as u64 == end {
                let actual = std::mem::take(&mut self.piece).finish();
                let number = usize::try_from(position / size).unwrap_or(usize::MAX);
                let expected = self.pieces.get(number)?;
                if *expected != actual {
                    let offset = position / size * size;
                    return Some(other_bytes(
                        ByteRange::new(offset, end - offset),
                        *expected,
                        actual,
                    ));
                }
            }
        }
        None
    }

    fn end(self, expected: Document) -> Option<Fault> {
        if self.received != expected.size {
            return Some(Fault::Length {
                expected: expected.size,
                actual: self.received,
            });
        }
        let actual = self.whole.finish();
        (actual != expected.sha256).then(|| other_bytes(self.range, expected.sha256, actual))
    }
}

fn other_bytes(range: ByteRange, expected: Digest, actual: Digest) -> Fault {
    Fault::Bytes {
        first: range.offset,
        last: range.end().saturating_sub(1),
        expected: expected.to_hex(),
        actual: actual.to_hex(),
    }
}

/// Nothing is fetched of what should have no body or not be there: dropping the answer breaks it off.
fn unread(answer: &Answer, judge: impl FnOnce(StatusCode, &HeaderMap) -> Verdict) -> Heard {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let verdict = judge(status, &headers);
    Heard {
        status,
        headers,
        bytes: 0,
        verdict,
    }
}

fn unreachable(
    question: Question,
    refused: Option<(StatusCode, HeaderMap)>,
    given_up: &DeviceError,
) -> Answered {
    let why = match given_up {
        DeviceError::Transfer { tries, source, .. } => {
            format!("given up after {tries} tries: {}", chain(source))
        }
        other => chain(other),
    };
    let (status, headers) = refused.unzip();
    let headers = headers.unwrap_or_default();
    Answered::new(question, status, &headers, 0, Verdict::Unreachable(why))
}
