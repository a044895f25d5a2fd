//! The data listener's handler: route → plan → emit.
//!
//! Owns which object a path is, what its headers say, and which failure has which status. Never decides
//! protocol: all of that is in
//! `http/plan.rs`; what exists is in `catalog/index.rs`. A path that was asked for a moment ago is answered without
//! leaving the thread.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Empty;
use lru::LruCache;
use tokio::time::{Instant, timeout};

use super::access::AccessLogger;
use super::artifact::{Artifact, Content, Gate, OpenArtifacts};
use super::connection::{Answer, Answering, Handler};
use super::damage::Damage;
use super::exchange::{Granted, Incoming, Record};
use super::metrics::Metrics;
use super::payload::{Frame, Payload};
use super::secrets::{Guard, Secrets};
use crate::catalog::index::{FRESH_FOR, Index, IndexError, LoadedRelease, PATIENCE};
use crate::http::{
    Description, Method, Plan, Problem, Reply, Representation, RequestHead, found, healthy, plan,
    problem, reply,
};
use crate::model::{
    ArtifactName, ByteRange, ChannelName, Clock, Digest, IMMUTABLE, Lifetime, Locator, Product,
    ReleaseId,
};
use crate::telemetry::chain;

/// Release and channel documents.
const DOCUMENT_TYPE: &str = "application/json";

/// When a device should come again after a 503: the store is given a moment, the edge serves stale meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Paths remembered per thread; each holds an open artifact or a document that is in memory anyway.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

/// Longer paths are not remembered: they are rare, and memory is bounded.
const REMEMBERED_PATH_BYTES_MAX: usize = 1024;

/// What the origin's handlers on all threads share.
pub struct Shared {
    /// What exists.
    pub index: Arc<Index>,
    /// What is open.
    pub artifacts: Arc<OpenArtifacts>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where requests are logged, if they are.
    pub log: Option<AccessLogger>,
    /// What time it is, for `Last-Modified` of a release from a clock ahead of ours.
    pub clock: Clock,
    /// What a request must present one of.
    pub secrets: Secrets,
    /// `limits.ranges_max`
    pub ranges_max: usize,
    /// `Cache-Control` of everything under `/channels/`.
    pub pointer_cache_control: HeaderValue,
    /// The field that carries cache tags.
    pub cache_tag_header: Option<String>,
}

/// The handler of one thread.
pub struct Origin {
    shared: Arc<Shared>,
    guard: RefCell<Guard>,
    remembered: RefCell<LruCache<Box<[u8]>, Remembered>>,
}

/// An answer of the index, good until it is old or anything has changed.
struct Remembered {
    object: Known,
    until: Instant,
    changes: u64,
}

/// As [`Object`], but an artifact may be closed meanwhile: `limits.open_artifacts_max` counts all of them.
enum Known {
    Artifact(Weak<Artifact>),
    Document(Rc<Served>),
    Redirect(Rc<Locator>),
}

/// What a path turned out to be.
enum Object {
    Artifact(Arc<Artifact>),
    Document(Rc<Served>),
    Redirect(Rc<Locator>),
}

impl Object {
    /// The artifact that the body's frames are positions in.
    fn into_stored(self) -> Option<Arc<Artifact>> {
        match self {
            Self::Artifact(artifact) => Some(artifact).filter(|artifact| artifact.is_stored()),
            Self::Document(_) | Self::Redirect(_) => None,
        }
    }
}

/// A document in memory.
struct Served {
    representation: Representation,
    bytes: Bytes,
}

/// What is known of an object, before it is put into headers.
struct Facts<'a> {
    len: u64,
    sha256: Digest,
    last_modified: jiff::Timestamp,
    content_type: &'a str,
    lifetime: Lifetime,
    tags: &'a str,
}

/// Why there is no object to answer with.
enum Absence {
    /// 404
    Nothing,
    /// 503: the store does not answer.
    Unavailable,
    /// 500: what is stored is not what was published.
    Damaged,
}

impl Handler for Origin {
    fn answer(self: Rc<Self>, incoming: Incoming, now: Instant) -> Answering {
        self.shared.metrics.in_flight.inc();
        let head = match incoming {
            Incoming::Request(head) => head,
            Incoming::Refused(refusal) => {
                tracing::debug!(?refusal, "refused a request");
                return Answering::Now(plain(problem(refusal.into()), None));
            }
        };
        let is_health = head.path() == b"/healthz";
        if !is_health && !self.is_authorised(&head) {
            return Answering::Now(plain(problem(Problem::Forbidden), Some(head)));
        }
        if head.method == Method::Other {
            return Answering::Now(plain(problem(Problem::MethodNotAllowed), Some(head)));
        }
        if is_health {
            return Answering::Now(plain(healthy(), Some(head)));
        }
        match self.recall(head.path(), now) {
            Some(object) => self.emit(head, object, Attempt::First),
            None => Answering::Later(Box::pin(self.look_up(head))),
        }
    }

    fn observe(&self, record: &Record) {
        self.shared.metrics.in_flight.dec();
        self.shared.metrics.observe(record);
        if let Some(log) = &self.shared.log {
            log.log(record);
        }
    }

    fn abandon(&self) {
        self.shared.metrics.in_flight.dec();
    }
}

/// Whether the artifact's first piece may still be waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Prepared,
}

impl Origin {
    /// A handler that has seen nothing.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            guard: RefCell::new(shared.secrets.guard()),
            shared,
            remembered: RefCell::new(LruCache::new(REMEMBERED_MAX)),
        }
    }

    fn is_authorised(&self, head: &RequestHead) -> bool {
        let presented = head.presented_secret.as_deref().unwrap_or_default();
        self.guard.borrow_mut().admits(presented)
    }

    fn recall(&self, path: &[u8], now: Instant) -> Option<Object> {
        let mut remembered = self.remembered.borrow_mut();
        let known = remembered.get(path)?;
        if known.changes != self.shared.index.changes() || known.until <= now {
            return None;
        }
        Some(match &known.object {
            Known::Artifact(artifact) => Object::Artifact(artifact.upgrade()?),
            Known::Document(served) => Object::Document(Rc::clone(served)),
            Known::Redirect(to) => Object::Redirect(Rc::clone(to)),
        })
    }

    fn remember(&self, path: &[u8], object: &Object, changes: u64) {
        if path.len() > REMEMBERED_PATH_BYTES_MAX {
            return;
        }
        let object = match object {
            Object::Artifact(artifact) => Known::Artifact(Arc::downgrade(artifact)),
            Object::Document(served) => Known::Document(Rc::clone(served)),
            Object::Redirect(to) => Known::Redirect(Rc::clone(to)),
        };
        let known = Remembered {
            object,
            until: Instant::now() + FRESH_FOR,
            changes,
        };
        self.remembered.borrow_mut().put(path.into(), known);
    }

    async fn look_up(self: Rc<Self>, head: RequestHead) -> Answer {
        let Some(locator) = Locator::from_url_path(head.path()) else {
            return plain(problem(Problem::NotFound), Some(head));
        };
        let changes = self.shared.index.changes(); // before looking: a change meanwhile makes the answer old
        match self.find(&locator).await {
            Ok(object) => {
                self.remember(head.path(), &object, changes);
                match self.emit(head, object, Attempt::First) {
                    Answering::Now(answer) => answer,
                    Answering::Later(answer) => answer.await,
                }
            }
            Err(absence) => plain(problem(absence.into()), Some(head)),
        }
    }

    async fn find(&self, locator: &Locator) -> Result<Object, Absence> {
        match locator {
            Locator::Artifact(id, name) => self.find_artifact(id, name).await,
            Locator::ReleaseDocument(id) => {
                let found = self
                    .shared
                    .index
                    .release(id)
                    .await?
                    .ok_or(Absence::Nothing)?;
                let facts = Facts {
                    len: found.document.len() as u64,
                    sha256: found.digest,
                    last_modified: found.release.published_at,
                    content_type: DOCUMENT_TYPE,
                    lifetime: locator.lifetime(),
                    tags: &release_tags(&found),
                };
                self.document(&found.document, &facts)
            }
            Locator::Channel(product, name) => {
                let found = self.shared.index.channel(product, name).await?;
                let found = found.ok_or(Absence::Nothing)?;
                let facts = Facts {
                    len: found.document.len() as u64,
                    sha256: found.digest,
                    last_modified: found.channel.updated_at,
                    content_type: DOCUMENT_TYPE,
                    lifetime: locator.lifetime(),
                    tags: &format!("product:{product},channel:{product}/{name}"),
                };
                self.document(&found.document, &facts)
            }
            Locator::ChannelArtifact(product, channel, name) => {
                self.find_current(product, channel, name).await
            }
            Locator::Retirement(_) | Locator::Health => Err(Absence::Nothing),
        }
    }

    async fn find_artifact(&self, id: &ReleaseId, name: &ArtifactName) -> Result<Object, Absence> {
        let loaded = self
            .shared
            .index
            .release(id)
            .await?
            .ok_or(Absence::Nothing)?;
        let artifact = loaded.release.artifact(name).ok_or(Absence::Nothing)?;
        let tags = release_tags(&loaded);
        let description = self.describe(&Facts {
            len: artifact.size,
            sha256: artifact.sha256,
            last_modified: loaded.release.published_at,
            content_type: &artifact.content_type,
            lifetime: Lifetime::Immutable,
            tags: &tags,
        });
        let opening = self.shared.artifacts.open(id, artifact, &description);
        match timeout(PATIENCE, opening).await {
            Ok(Ok(open)) => Ok(Object::Artifact(open)),
            Ok(Err(damage)) => Err(note(
                &damage,
                &format!("artifacts/{}/{}/{name}", id.product, id.version),
            )),
            Err(_elapsed) => Err(IndexError::TimedOut(PATIENCE).into()),
        }
    }

    async fn find_current(
        &self,
        product: &Product,
        channel: &ChannelName,
        name: &ArtifactName,
    ) -> Result<Object, Absence> {
        let current = self
            .shared
            .index
            .channel(product, channel)
            .await?
            .ok_or(Absence::Nothing)?;
        let version = current.channel.release.version.clone();
        let id = ReleaseId {
            product: product.clone(),
            version,
        };
        let loaded = self
            .shared
            .index
            .release(&id)
            .await?
            .ok_or(Absence::Nothing)?;
        loaded.release.artifact(name).ok_or(Absence::Nothing)?;
        Ok(Object::Redirect(Rc::new(Locator::Artifact(
            id,
            name.clone(),
        ))))
    }

    /// What the headers of an object under `/artifacts/` or `/channels/` say.
    fn describe<'a>(&'a self, facts: &Facts<'a>) -> Description<'a> {
        let pointer = self
            .shared
            .pointer_cache_control
            .to_str()
            .unwrap_or_default();
        Description {
            len: facts.len,
            sha256: facts.sha256,
            last_modified: self.not_in_the_future(facts.last_modified),
            content_type: facts.content_type,
            cache_control: match facts.lifetime {
                Lifetime::Immutable => IMMUTABLE,
                Lifetime::Pointer | Lifetime::NoStore => pointer,
            },
            cache_tag: self
                .shared
                .cache_tag_header
                .as_deref()
                .map(|header| (header, facts.tags)),
            lifetime: facts.lifetime,
        }
    }

    fn document(&self, bytes: &Bytes, facts: &Facts<'_>) -> Result<Object, Absence> {
        let representation = Representation::new(&self.describe(facts)).map_err(|error| {
            tracing::error!(error = chain(&error), "cannot serve a document");
            Absence::Damaged
        })?;
        Ok(Object::Document(Rc::new(Served {
            representation,
            bytes: bytes.clone(),
        })))
    }

    /// RFC 9110 §8.8.2.1: a `Last-Modified` later than `Date` must not be sent. It happens when the publisher's clock
    /// is ahead of this one.
    fn not_in_the_future(&self, at: jiff::Timestamp) -> jiff::Timestamp {
        at.min((self.shared.clock)())
    }

    /// Decides and answers. An artifact whose first bytes are not in memory or not verified yet is prepared before
    /// the head goes out, so that damage there is a 500 and not a broken download.
    fn emit(self: Rc<Self>, head: RequestHead, object: Object, attempt: Attempt) -> Answering {
        let (representation, artifact) = match &object {
            Object::Artifact(artifact) => (&artifact.representation, Some(artifact)),
            Object::Document(served) => (&served.representation, None),
            Object::Redirect(to) => {
                let reply = found(to, &self.shared.pointer_cache_control);
                return Answering::Now(plain(reply, Some(head)));
            }
        };
        let plan = plan(&head, representation, self.shared.ranges_max);
        if let Some(artifact) = artifact
            && attempt == Attempt::First
            && head.method == Method::Get
            && let Some(first) = first_position(&plan, representation.len())
        {
            match artifact.gate(first, 1) {
                Gate::Open(_) => {}
                Gate::Prepare(index) => {
                    let artifact = Arc::clone(artifact);
                    return Answering::Later(Box::pin(self.emit_prepared(head, artifact, index)));
                }
                Gate::Changed => {
                    self.remembered.borrow_mut().pop(head.path());
                    tracing::error!(path = ?String::from_utf8_lossy(head.path()), "the file of an artifact changed");
                    return Answering::Now(plain(problem(Problem::Internal), Some(head)));
                }
            }
        }
        let Reply {
            status,
            headers,
            body,
        } = reply(&plan, representation);
        let range = match &plan {
            Plan::Part(range) => Some(Granted::One(*range)),
            Plan::Parts(multipart) => Some(Granted::Several(multipart.parts.len())),
            _ => None,
        };
        let payload = match head.method {
            // RFC 9110 §9.3.2: HEAD has the headers of GET and no body.
            Method::Head => Payload::empty(),
            _ if !body.is_empty() => Payload::one(Frame::Bytes(body)),
            _ => frames(plan, &object, representation.len()),
        };
        let artifact = object.into_stored();
        let record = Record::new(Some(head), range);
        Answering::Now(Answer {
            response: head_of(status, headers),
            payload,
            artifact,
            record,
        })
    }

    async fn emit_prepared(
        self: Rc<Self>,
        head: RequestHead,
        artifact: Arc<Artifact>,
        index: usize,
    ) -> Answer {
        let preparing = artifact.prepare(index, self.shared.artifacts.readers());
        // A file is waited for as long as its disk takes; a store on another machine may never answer.
        let prepared = match artifact.content() {
            Content::Remote(_) => timeout(PATIENCE, preparing)
                .await
                .unwrap_or(Err(Damage::TimedOut(PATIENCE))),
            Content::Mapped(_) | Content::Inline(..) => preparing.await,
        };
        if let Err(damage) = prepared {
            self.remembered.borrow_mut().pop(head.path());
            let absence = note(&damage, artifact.key().as_str());
            return plain(problem(absence.into()), Some(head));
        }
        match self.emit(head, Object::Artifact(artifact), Attempt::Prepared) {
            Answering::Now(answer) => answer,
            Answering::Later(answer) => answer.await,
        }
    }
}

/// Logs what stands in the way of an artifact, and says what that is to a client.
fn note(damage: &Damage, key: &str) -> Absence {
    let error = chain(damage);
    if damage.is_trouble() {
        tracing::warn!(error, key, "cannot get `{key}` from the store");
        Absence::Unavailable
    } else {
        tracing::error!(error, key, "cannot serve `{key}`");
        Absence::Damaged
    }
}

/// Where the first byte of the body is, if it has one.
fn first_position(plan: &Plan, len: u64) -> Option<u64> {
    match plan {
        Plan::Whole => (len > 0).then_some(0),
        Plan::Part(range) => Some(range.offset),
        Plan::Parts(multipart) => multipart.parts.first().map(|part| part.range.offset),
        Plan::NotModified | Plan::PreconditionFailed | Plan::Unsatisfiable => None,
    }
}

fn frames(plan: Plan, object: &Object, len: u64) -> Payload {
    let frame = |range: ByteRange| match object {
        Object::Artifact(artifact) => artifact.frame(range),
        Object::Document(served) => document_frame(&served.bytes, range),
        Object::Redirect(_) => Frame::default(),
    };
    match plan {
        Plan::Whole => Payload::one(frame(ByteRange::whole(len))),
        Plan::Part(range) => Payload::one(frame(range)),
        Plan::Parts(multipart) => {
            let parts = multipart.parts.into_iter();
            let parts = parts.flat_map(|part| [Frame::Bytes(part.preamble), frame(part.range)]);
            Payload::many(parts.chain([Frame::Bytes(multipart.epilogue)]))
        }
        Plan::NotModified | Plan::PreconditionFailed | Plan::Unsatisfiable => Payload::empty(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "positions inside a document in memory are small"
)]
fn document_frame(bytes: &Bytes, range: ByteRange) -> Frame {
    Frame::Bytes(bytes.slice(range.offset as usize..range.end() as usize))
}

/// An answer whose body, if any, is a small document.
pub fn plain(reply: Reply, head: Option<RequestHead>) -> Answer {
    let Reply {
        status,
        headers,
        body,
    } = reply;
    let is_head = head
        .as_ref()
        .is_some_and(|head| head.method == Method::Head);
    let payload = if is_head {
        Payload::empty()
    } else {
        Payload::one(Frame::Bytes(body))
    };
    let record = Record::new(head, None);
    Answer {
        response: head_of(status, headers),
        payload,
        artifact: None,
        record,
    }
}

fn head_of(status: StatusCode, headers: HeaderMap) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn release_tags(loaded: &LoadedRelease) -> String {
    let (product, version) = (&loaded.release.product, &loaded.release.version);
    format!("product:{product},release:{product}/{version}")
}

impl From<IndexError> for Absence {
    fn from(error: IndexError) -> Self {
        tracing::warn!(error = chain(&error), "cannot look up");
        match error {
            IndexError::Document { .. } => Self::Damaged,
            IndexError::TimedOut(_) | IndexError::Store(_) | IndexError::Stale { .. } => {
                Self::Unavailable
            }
        }
    }
}

impl From<Absence> for Problem {
    fn from(absence: Absence) -> Self {
        match absence {
            Absence::Nothing => Self::NotFound,
            Absence::Unavailable => Self::Unavailable {
                retry_after: Some(RETRY_AFTER),
            },
            Absence::Damaged => Self::Internal,
        }
    }
}
