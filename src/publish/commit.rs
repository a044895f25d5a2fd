//! A publish from end to end: scan, reserve, ingest, settle, commit.
//!
//! Owns the order; never reads an input (`ingest.rs`) or writes a byte (the store) itself. What is referred to exists before the reference: the release document comes last, and its
//! creation is the commit. A crash before it leaves artifacts that nobody can see and the next publish of the version
//! uses or replaces. Never moves a channel: a release that no channel names harms nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::ingest::{Ingested, Leftover, SMALL_BYTES_MAX};
use super::scan::Input;
use super::{
    Mode, Progress, PublishError, PublishRequest, PublishState, Published, Publisher, content_type,
    ingest, records, run_blocking, scan,
};
use crate::catalog::{Artifact, Pieces, RELEASE_BYTES_MAX, Release};
use crate::crash;
use crate::model::{ArtifactName, Digest, Locator, PIECE_BYTES, Platform, ReleaseId};
use crate::store::{Created, Digests, Key, Reservation, Store, Sweep, scope_of};

/// Small files under way at one time: while some wait for the file system, others keep both hashing and writing busy.
/// More only takes memory, [`SMALL_BYTES_MAX`] each.
const SMALL_AT_ONCE: usize = 8;

/// The same for a store on another machine, whose answer to each takes tens of milliseconds.
const SMALL_AT_ONCE_REMOTE: usize = 24;

/// What is being published.
struct Draft {
    id: ReleaseId,
    notes: Option<String>,
    inputs: Vec<Input>,
    platforms: BTreeMap<ArtifactName, Platform>,
}

/// See [`Publisher::publish`].
pub(super) async fn publish(
    publisher: &Publisher,
    request: PublishRequest,
    progress: Arc<dyn Progress>,
) -> Result<Published, PublishError> {
    let mode = request.mode;
    let draft = Draft::new(request).await?;
    draft.check_document_size(publisher)?;
    let bytes = draft.inputs.iter().map(|input| input.stamp.size).sum();
    progress.total(draft.inputs.len() as u64, bytes);
    match mode {
        Mode::DryRun => rehearse(publisher, &draft, &progress).await,
        Mode::Commit => perform(publisher, &draft, &progress).await,
    }
}

/// Finds out what a publish would do. Writes nothing, and so reserves nothing.
async fn rehearse(
    publisher: &Publisher,
    draft: &Draft,
    progress: &Arc<dyn Progress>,
) -> Result<Published, PublishError> {
    let store = &*publisher.store;
    records::refuse_retired(store, &draft.id).await?;
    if let Some((release, _)) = records::release(store, &draft.id).await? {
        return confirm(store, draft, release, progress).await;
    }
    let mut digests = Vec::with_capacity(draft.inputs.len());
    for input in &draft.inputs {
        digests.push(ingest::digest(input, progress).await?);
    }
    Ok(Published {
        state: PublishState::Published,
        release: draft.release(publisher, digests),
    })
}

async fn perform(
    publisher: &Publisher,
    draft: &Draft,
    progress: &Arc<dyn Progress>,
) -> Result<Published, PublishError> {
    let store = &publisher.store;
    let reservation = store.reserve(&scope_of(&draft.id)).await?;
    crash::point("publish.reserved");
    if !store.is_remote() {
        // Best effort: the room that a dead publisher's files take may be what this one needs. Elsewhere there is room,
        // and they may be what another publish wants to go on with.
        let _ = store.sweep(Sweep::Remove).await;
    }
    records::refuse_retired(&**store, &draft.id).await?;
    if let Some((release, _)) = records::release(&**store, &draft.id).await? {
        return confirm(&**store, draft, release, progress).await;
    }
    let leftovers = remove_unwanted_leftovers(&**store, draft).await?;
    let committed = ingest_and_commit(publisher, draft, &leftovers, &*reservation, progress).await;
    if committed.is_err() && !store.is_remote() {
        // Best effort: the error that is returned matters more, and `prune` finds what stays. What has travelled to
        // another machine stays for the repeat, which sends only the rest.
        let _ = remove_all(&**store, &draft.id).await;
    }
    committed
}

async fn ingest_and_commit(
    publisher: &Publisher,
    draft: &Draft,
    leftovers: &BTreeSet<Key>,
    reservation: &dyn Reservation,
    progress: &Arc<dyn Progress>,
) -> Result<Published, PublishError> {
    let store = &publisher.store;
    let digests = ingest_all(store, draft, leftovers, progress).await?;
    store.settle(&draft.keys()?).await?;
    crash::point("publish.artifacts-settled");
    if !reservation.confirm().await? {
        // Another publisher may be replacing these artifacts by its own.
        let way_out = "nothing was published, and publishing it again sends only what is missing";
        let id = draft.id.clone();
        return Err(PublishError::ReservationLost { id, way_out });
    }
    let release = draft.release(publisher, digests);
    let document = Bytes::from(release.to_json());
    let key = records::key(&Locator::ReleaseDocument(draft.id.clone()))?;
    match store.put_new(&key, document).await? {
        Created::New => {}
        Created::Taken => return Err(PublishError::Intruder { key }), // it was free under our reservation
    }
    crash::point("publish.committed");
    Ok(Published {
        state: PublishState::Published,
        release,
    })
}

/// Puts all inputs into the store: large ones one after the other, small ones beside them.
async fn ingest_all(
    store: &Arc<dyn Store>,
    draft: &Draft,
    leftovers: &BTreeSet<Key>,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<Digests>, PublishError> {
    let small_at_once = if store.is_remote() {
        SMALL_AT_ONCE_REMOTE
    } else {
        SMALL_AT_ONCE
    };
    let mut digests: Vec<Option<Digests>> = vec![None; draft.inputs.len()];
    let mut small = JoinSet::new();
    let mut failure = None;
    for (at, input) in draft.inputs.iter().enumerate() {
        let key = records::artifact_key(&draft.id, &input.name)?;
        let leftover = if leftovers.contains(&key) {
            Leftover::SameSize
        } else {
            Leftover::None
        };
        if input.stamp.size > SMALL_BYTES_MAX {
            match ingest_one(&**store, &key, input, leftover, progress).await {
                Ok(done) => digests[at] = Some(done),
                Err(error) => failure = Some(error),
            }
        } else {
            let (store, input, progress) = (Arc::clone(store), input.clone(), Arc::clone(progress));
            small.spawn(async move {
                (
                    at,
                    ingest_one(&*store, &key, &input, leftover, &progress).await,
                )
            });
        }
        while small.len() >= small_at_once || failure.is_some() {
            match small.join_next().await {
                Some(done) => collect(done, &mut digests, &mut failure),
                None => break,
            }
        }
        if failure.is_some() {
            break;
        }
    }
    // After a failure too: what is under way must have ended before the rest is cleaned away.
    while let Some(done) = small.join_next().await {
        collect(done, &mut digests, &mut failure);
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(digests.into_iter().flatten().collect()),
    }
}

type Joined = Result<(usize, Result<Digests, PublishError>), tokio::task::JoinError>;

/// Keeps the first failure.
fn collect(done: Joined, digests: &mut [Option<Digests>], failure: &mut Option<PublishError>) {
    match done {
        Ok((at, Ok(done))) => digests[at] = Some(done),
        Ok((_, Err(error))) => *failure = failure.take().or(Some(error)),
        Err(failed) => std::panic::resume_unwind(failed.into_panic()), // nobody aborts these tasks
    }
}

/// Puts one input into the store. What a dead publish left under its key is used when it has the same bytes, else
/// replaced: that is safe because no document lists it, and the reservation is ours.
async fn ingest_one(
    store: &dyn Store,
    key: &Key,
    input: &Input,
    leftover: Leftover,
    progress: &Arc<dyn Progress>,
) -> Result<Digests, PublishError> {
    let (digests, ingested) = ingest::ingest(store, key, input, leftover, progress).await?;
    if ingested == Ingested::Taken && !is_stored(store, key, input, &digests).await? {
        store.remove(std::slice::from_ref(key)).await?;
        let silent: Arc<dyn Progress> = Arc::new(super::Silent);
        let none = Leftover::None;
        let (again, ingested) = ingest::ingest(store, key, input, none, &silent).await?;
        if again != digests {
            let path = input.path.clone();
            let what = "its bytes are others at the second reading";
            return Err(PublishError::InputChanged { path, what });
        }
        if ingested == Ingested::Taken {
            return Err(PublishError::Intruder { key: key.clone() });
        }
    }
    crash::point("publish.after-artifact");
    Ok(digests)
}

/// Whether the object under `key` has these bytes. One that cannot be read is replaced, and so is one of which a remote
/// store cannot tell: reading it all costs what sending it does.
async fn is_stored(
    store: &dyn Store,
    key: &Key,
    input: &Input,
    digests: &Digests,
) -> Result<bool, PublishError> {
    if store.is_remote() {
        let facts = ingest::facts(input, Some(digests.clone()));
        return Ok(store.holds(key, &facts).await?);
    }
    let Some(blob) = store.open(key).await? else {
        return Ok(false);
    };
    let read = ingest::digest_blob(blob, Arc::new(super::Silent)).await;
    Ok(read.is_ok_and(|(_, digest)| digest == digests.whole))
}

/// Removes what a dead publish left and this one does not have: it would stay for ever, and a file `a` of then is in
/// the way of `a/b` of now. Says what it left: objects of the right name and size.
async fn remove_unwanted_leftovers(
    store: &dyn Store,
    draft: &Draft,
) -> Result<BTreeSet<Key>, PublishError> {
    let entries = store.list(&records::prefix(&draft.id)).await?;
    let wanted: BTreeMap<Key, u64> = draft
        .keys()?
        .into_iter()
        .zip(draft.inputs.iter().map(|input| input.stamp.size))
        .collect();
    let is_wanted = |key: &Key, size| wanted.get(key) == Some(&size);
    let (kept, unwanted): (Vec<_>, Vec<_>) = entries
        .iter()
        .filter_map(|entry| Some((Key::parse(&entry.key)?, entry.size)))
        .partition(|(key, size)| is_wanted(key, *size));
    let unwanted: Vec<Key> = unwanted.into_iter().map(|(key, _)| key).collect();
    store.remove(&unwanted).await?;
    Ok(kept.into_iter().map(|(key, _)| key).collect())
}

async fn remove_all(store: &dyn Store, id: &ReleaseId) -> Result<(), PublishError> {
    if records::release(store, id).await?.is_some() {
        return Ok(()); // the document is there, although its creation was reported as failed
    }
    let entries = store.list(&records::prefix(id)).await?;
    let keys: Vec<Key> = entries
        .iter()
        .filter_map(|entry| Key::parse(&entry.key))
        .collect();
    Ok(store.remove(&keys).await?)
}

/// Compares the inputs with a release that is committed. Names come first: they cost no reading. Unchanged is only what
/// devices can still install.
async fn confirm(
    store: &dyn Store,
    draft: &Draft,
    release: Release,
    progress: &Arc<dyn Progress>,
) -> Result<Published, PublishError> {
    let id = || draft.id.clone();
    for artifact in &release.artifacts {
        if draft.input(&artifact.name).is_none() {
            let (name, published) = (artifact.name.clone(), artifact.sha256);
            return Err(PublishError::Missing {
                id: id(),
                name,
                published,
            });
        }
    }
    for input in &draft.inputs {
        let offered = ingest::digest(input, progress).await?.whole;
        let name = input.name.clone();
        match release.artifact(&name) {
            None => {
                return Err(PublishError::Added {
                    id: id(),
                    name,
                    offered,
                });
            }
            Some(artifact) if artifact.sha256 != offered => {
                let published = artifact.sha256;
                return Err(PublishError::OtherBytes {
                    id: id(),
                    name,
                    published,
                    offered,
                });
            }
            Some(_) => {}
        }
    }
    records::refuse_incomplete(store, &release).await?;
    Ok(Published {
        state: PublishState::Unchanged,
        release,
    })
}

impl Draft {
    async fn new(request: PublishRequest) -> Result<Self, PublishError> {
        let paths = request.paths;
        let draft = Self {
            id: request.id,
            notes: request.notes,
            inputs: run_blocking(move || scan::scan(&paths)).await?,
            platforms: request.platforms.into_iter().collect(),
        };
        match draft
            .platforms
            .keys()
            .find(|name| draft.input(name).is_none())
        {
            Some(name) => Err(PublishError::UnknownPlatform { name: name.clone() }),
            None => Ok(draft),
        }
    }

    fn input(&self, name: &ArtifactName) -> Option<&Input> {
        let at = self
            .inputs
            .binary_search_by(|input| input.name.cmp(name))
            .ok()?;
        self.inputs.get(at)
    }

    fn keys(&self) -> Result<Vec<Key>, PublishError> {
        let names = self.inputs.iter().map(|input| &input.name);
        names
            .map(|name| records::artifact_key(&self.id, name))
            .collect()
    }

    /// Refuses too many files before hours are spent on them: digests have one length, whatever the bytes.
    fn check_document_size(&self, publisher: &Publisher) -> Result<(), PublishError> {
        let zero = Digest::of(&[]);
        let any = |input: &Input| Digests {
            whole: zero,
            pieces: (0..input.stamp.size.div_ceil(PIECE_BYTES))
                .map(|_| zero)
                .collect(),
        };
        let release = self.release(publisher, self.inputs.iter().map(any).collect());
        let bytes = release.to_json().len() as u64;
        if bytes > RELEASE_BYTES_MAX {
            let (files, bytes_max) = (self.inputs.len(), RELEASE_BYTES_MAX);
            return Err(PublishError::TooManyFiles {
                files,
                bytes,
                bytes_max,
            });
        }
        Ok(())
    }

    fn release(&self, publisher: &Publisher, digests: Vec<Digests>) -> Release {
        let artifacts = self
            .inputs
            .iter()
            .zip(digests)
            .map(|(input, digests)| Artifact {
                name: input.name.clone(),
                size: input.stamp.size,
                sha256: digests.whole,
                content_type: content_type::of(&input.name),
                platform: self.platforms.get(&input.name).cloned(),
                pieces: Pieces {
                    size: PIECE_BYTES,
                    sha256: digests.pieces.to_vec(),
                },
            });
        let artifacts = artifacts.collect();
        Release::new(
            self.id.clone(),
            publisher.now(),
            self.notes.clone(),
            artifacts,
        )
    }
}
