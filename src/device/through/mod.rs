//! Whether an edge answers what the store says: every POP, every object, every way to ask for it.
//!
//! Owns how many requests are on their way at a time and in which order findings are reported. Never reads a
//! store: it is handed what to expect. Read next: `verdict.rs` and `redirect.rs` for what is right, late or wrong, `probe.rs` for the requests,
//! `pop.rs` for how a POP is reached.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use tokio::task::JoinSet;

use super::{Client, DeviceError, Patience, Watcher};
use crate::model::Locator;

mod lifetime;
mod pop;
mod probe;
mod redirect;
mod verdict;

pub use lifetime::Allowed;
pub use pop::{Pop, PopError};
pub use redirect::{Presence, Redirect};
pub use verdict::{Document, Expect, Fault, Question, Stale, Verdict};

/// Objects that are asked for at a time, over all POPs. Enough to hide the way to a far POP, too few to be noticed by
/// an edge or to be taken for an attack by what guards it.
const AT_ONCE: usize = 4;

/// Objects after which a POP that has answered nothing at all is not asked for more: one that swallows every packet
/// costs a minute and a half for each.
const SILENT_MAX: usize = 4;

/// One URL and what the store says of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    /// Where it is.
    pub locator: Locator,
    /// What must be there.
    pub expect: Expect,
}

/// What to look at, and where.
#[derive(Clone, Debug)]
pub struct LookPlan {
    /// The edge: `http://host[:port]` or `https://…`, without a path.
    pub through: String,
    /// Each of them is asked for each object.
    pub pops: Vec<Pop>,
    /// Documents are small; artifacts are read to their end.
    pub objects: Vec<Object>,
    /// How often a failing request is made again.
    pub retries_max: u32,
    /// How long a connect, or a wait for the next byte, may take.
    pub stall_timeout: Duration,
}

/// What one POP answers for one URL.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// The object's place in the plan.
    pub object: usize,
    /// The full URL.
    pub url: String,
    /// The POP that was asked.
    pub asked: Pop,
    /// Every request, in order; one at least.
    pub answers: Vec<Answered>,
}

/// One request, and what its answer is worth.
#[derive(Clone, PartialEq, Debug)]
pub struct Answered {
    /// How the object was asked for.
    pub question: Question,
    /// `None`: there was no answer.
    pub status: Option<StatusCode>,
    /// Of the body, as far as it was looked at.
    pub bytes: u64,
    /// What the answer says of its way.
    pub way: Way,
    /// What it is worth.
    pub verdict: Verdict,
}

/// What an answer says of the cache that it came through.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Way {
    /// `X-Amz-Cf-Pop`
    pub pop: Option<String>,
    /// `X-Cache`
    pub x_cache: Option<String>,
    /// `Age`, in seconds
    pub age: Option<u64>,
    /// `X-Amz-Cf-Id`: what the edge's operator will ask for.
    pub id: Option<String>,
}

const X_AMZ_CF_POP: HeaderName = HeaderName::from_static("x-amz-cf-pop");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const X_AMZ_CF_ID: HeaderName = HeaderName::from_static("x-amz-cf-id");

impl Way {
    fn of(headers: &HeaderMap) -> Self {
        let field = |name| headers.get(name).map(verdict::shown);
        Self {
            pop: field(X_AMZ_CF_POP),
            x_cache: field(X_CACHE),
            age: lifetime::age(headers),
            id: field(X_AMZ_CF_ID),
        }
    }
}

impl Answered {
    fn new(
        question: Question,
        status: Option<StatusCode>,
        headers: &HeaderMap,
        bytes: u64,
        verdict: Verdict,
    ) -> Self {
        Self {
            question,
            status,
            bytes,
            way: Way::of(headers),
            verdict,
        }
    }
}

impl Finding {
    /// The answer that is worth least, the first of them.
    #[must_use]
    pub fn worst(&self) -> &Answered {
        let mut worst = &self.answers[0];
        for answer in &self.answers[1..] {
            if answer.verdict > worst.verdict {
                worst = answer;
            }
        }
        worst
    }
}

/// The places in the plan of all objects that a purge can set right, in order, each once.
#[must_use]
pub fn curable(findings: &[Finding]) -> BTreeSet<usize> {
    let curable = |finding: &&Finding| finding.worst().verdict.is_curable();
    let findings = findings.iter().filter(curable);
    findings.map(|finding| finding.object).collect()
}

/// Asks every POP for every object. A POP that does not answer is a finding like any other; an error is only what makes
/// every request senseless.
pub async fn look(plan: &LookPlan, watcher: Arc<dyn Watcher>) -> Result<Vec<Finding>, DeviceError> {
    let patience = Patience {
        stall_timeout: plan.stall_timeout,
        retries_max: plan.retries_max,
    };
    let clients = plan
        .pops
        .iter()
        .map(|pop| Client::at(&plan.through, pop, patience, Arc::clone(&watcher)))
        .collect::<Result<Vec<_>, _>>()?;
    let hearings: Vec<_> = clients.iter().map(|_| Arc::<Hearing>::default()).collect();
    let each: u64 = plan.objects.iter().map(Object::bytes).sum();
    watcher.start(each * clients.len() as u64, 0);
    let (mut findings, mut asking) = (Vec::new(), JoinSet::new());
    for (number, object) in plan.objects.iter().enumerate() {
        for ((client, pop), hearing) in clients.iter().zip(&plan.pops).zip(&hearings) {
            while asking.len() >= AT_ONCE {
                findings.extend(next(&mut asking).await);
            }
            let hearing = Arc::clone(hearing);
            asking.spawn(ask(
                client.clone(),
                hearing,
                pop.clone(),
                number,
                object.clone(),
            ));
        }
    }
    while let Some(finding) = next(&mut asking).await {
        findings.push(finding);
    }
    let place = |pop: &Pop| plan.pops.iter().position(|it| it == pop);
    findings.sort_by_key(|finding| (finding.object, place(&finding.asked)));
    Ok(findings)
}

async fn ask(
    client: Client,
    hearing: Arc<Hearing>,
    asked: Pop,
    number: usize,
    object: Object,
) -> Finding {
    let answers = if hearing.is_hopeless() {
        let why = "not asked for: this POP has answered nothing so far".to_owned();
        let (none, verdict) = (HeaderMap::new(), Verdict::Unreachable(why));
        vec![Answered::new(Question::Whole, None, &none, 0, verdict)]
    } else {
        probe::Probe::new(&client, &object).run().await
    };
    hearing.note(&answers);
    Finding {
        object: number,
        url: client.url(&object.locator),
        asked,
        answers,
    }
}

/// Whether a POP has answered anything.
#[derive(Default)]
struct Hearing {
    has_answered: AtomicBool,
    silent: AtomicUsize,
}

impl Hearing {
    fn note(&self, answers: &[Answered]) {
        if answers.iter().any(|answer| answer.status.is_some()) {
            self.has_answered.store(true, Ordering::Relaxed);
        } else {
            self.silent.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_hopeless(&self) -> bool {
        let silent = self.silent.load(Ordering::Relaxed);
        silent >= SILENT_MAX && !self.has_answered.load(Ordering::Relaxed)
    }
}

async fn next(asking: &mut JoinSet<Finding>) -> Option<Finding> {
    match asking.join_next().await? {
        Ok(finding) => Some(finding),
        // Nobody aborts one: it panicked.
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

impl Object {
    /// What one POP will send of it.
    fn bytes(&self) -> u64 {
        let part = self.expect.middle().map_or(0, |(range, _)| range.len);
        self.expect.facts().map_or(0, |facts| facts.size) + part
    }
}
