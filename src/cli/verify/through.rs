//! `headwater verify --through`: what an edge answers, compared with what the store says.
//!
//! Owns which objects are worth asking for, the report, and how a run ends. Never asks itself: `device/through` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::cure::Cure;
use crate::assembly;
use crate::catalog::{Channel, Pointer, Release};
use crate::cli::failure::Exit;
use crate::cli::output::{Column, Form, Report, printable, size, table};
use crate::cli::purge::{Purge, Target};
use crate::cli::{Context, Failure, or_list_releases};
use crate::device::through::{
    Answered, Document, Expect, Finding, LookPlan, Object, Pop, Presence, Redirect, Verdict, look,
};
use crate::model::{ArtifactName, Digest, Locator, Product, Version};
use crate::publish::{Damage, Inventory, PublishError, Stated, StatedChannel, StatedRelease};

/// Two more tries bridge a reset connection or an edge's hiccup; what fails longer is worth telling.
const RETRIES_MAX: u32 = 2;

/// As a device waits.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What was typed.
pub(super) struct Question<'a> {
    pub(super) through: &'a str,
    pub(super) pops: Vec<Pop>,
    pub(super) product: Option<&'a Product>,
    pub(super) version: Option<&'a Version>,
    pub(super) breadth: Breadth,
    pub(super) stale: OnStale,
    /// Whether, and where, copies are purged that are wrong or old.
    pub(super) purge: Option<Target>,
    pub(super) form: Form,
}

/// How many artifacts are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Breadth {
    /// Those of releases that a channel names now; of each retired release its first.
    Current,
    /// All of every release.
    All,
}

/// What an old copy means for the exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OnStale {
    /// Nothing: caches may have them for a time.
    Tell,
    /// Not done yet.
    Fail,
}

impl Question<'_> {
    pub(super) fn run(
        self,
        context: &Context,
        store: &crate::config::StoreLocation,
    ) -> Result<(), Failure> {
        let publisher = assembly::publisher(store)?;
        let inventory = assembly::block_on(publisher.inventory(self.product))?;
        let inventory = inventory.map_err(or_list_releases)?;
        let objects = objects(&inventory, self.product, self.version, self.breadth);
        let objects = objects.map_err(or_list_releases)?;
        let plan = LookPlan {
            through: self.through.to_owned(),
            pops: self.pops,
            objects,
            retries_max: RETRIES_MAX,
            stall_timeout: STALL_TIMEOUT,
        };
        assembly::block_on(async {
            let mut findings = watched_look(&plan, context).await?;
            let cure = match self.purge {
                Some(target) => Cure::of(target, &plan, &mut findings, context).await?,
                None => Cure::default(),
            };
            let summary = Summary::new(&plan, &findings, &cure, &inventory.damage);
            context.output.report(self.form, &summary)?;
            let ended = end(&findings, &inventory.damage, self.stale);
            match cure.failed {
                None => ended,
                Some(failed) => Err(and(failed, ended)),
            }
        })?
    }
}

/// A purge that failed is told of beside what it was to set right, and alone where nothing else is a failure.
fn and(purge: Failure, ended: Result<(), Failure>) -> Failure {
    match ended {
        Ok(()) => purge,
        Err(mut ended) => {
            let purge = format!("and the purge failed: {}", purge.chain());
            ended.details.push(purge);
            ended
        }
    }
}

/// With a progress bar.
pub(super) async fn watched_look(
    plan: &LookPlan,
    context: &Context,
) -> Result<Vec<Finding>, Failure> {
    let bar = context.output.bar();
    let findings = look(plan, bar.clone()).await?;
    bar.finish();
    Ok(findings)
}

/// What is asked for: channels with their redirects, then releases with their artifacts, each in the store's order.
fn objects(
    inventory: &Inventory,
    product: Option<&Product>,
    version: Option<&Version>,
    breadth: Breadth,
) -> Result<Vec<Object>, PublishError> {
    let is_wanted =
        |stated: &&StatedRelease| version.is_none_or(|it| *it == stated.release.version);
    let releases: Vec<_> = inventory.releases.iter().filter(is_wanted).collect();
    if let (Some(product), Some(version)) = (product, version)
        && releases.is_empty()
        && inventory.damage.is_empty()
    {
        let (product, version) = (product.clone(), version.clone());
        return Err(PublishError::NoRelease(crate::model::ReleaseId {
            product,
            version,
        }));
    }
    // Who names a version wants that release, and all of it.
    let (breadth, mut objects) = match version {
        Some(_) => (Breadth::All, Vec::new()),
        None => (breadth, channels(inventory)),
    };
    let current: BTreeSet<_> = inventory
        .channels
        .iter()
        .map(|stated| (&stated.channel.product, &stated.channel.release.version))
        .collect();
    for stated in releases {
        let release = &stated.release;
        let is_current = current.contains(&(&release.product, &release.version));
        let artifacts_max = match (breadth, stated.is_retired) {
            (Breadth::All, _) => usize::MAX,
            (Breadth::Current, true) => 1,
            (Breadth::Current, false) if is_current => usize::MAX,
            (Breadth::Current, false) => 0,
        };
        objects.extend(of_release(stated, artifacts_max));
    }
    Ok(objects)
}

fn channels(inventory: &Inventory) -> Vec<Object> {
    let mut digests: BTreeMap<&Product, BTreeMap<Version, Digest>> = BTreeMap::new();
    for StatedRelease {
        release, document, ..
    } in &inventory.releases
    {
        let of_product = digests.entry(&release.product).or_default();
        of_product.insert(release.version.clone(), document.sha256);
    }
    let digests: BTreeMap<_, _> = digests
        .into_iter()
        .map(|(product, digests)| (product, Arc::new(digests)))
        .collect();
    let mut objects = Vec::new();
    for StatedChannel {
        channel,
        document: stated,
    } in &inventory.channels
    {
        let releases = digests.get(&channel.product).cloned().unwrap_or_default();
        objects.push(Object {
            locator: Locator::Channel(channel.product.clone(), channel.channel.clone()),
            expect: Expect::Channel {
                channel: channel.clone(),
                document: document(*stated),
                releases: Arc::clone(&releases),
            },
        });
        objects.extend(redirects(inventory, channel, &releases));
    }
    objects
}

/// By each name of the release that a channel names, and of the one before.
fn redirects(
    inventory: &Inventory,
    channel: &Channel,
    releases: &Arc<BTreeMap<Version, Digest>>,
) -> Vec<Object> {
    let of = |pointer: &Pointer| {
        let is_it = |stated: &&StatedRelease| {
            let Release {
                product, version, ..
            } = &stated.release;
            (product, version) == (&channel.product, &pointer.version)
        };
        let stated = inventory.releases.iter().find(is_it)?;
        Some(&stated.release)
    };
    // What the store cannot read, nobody can say the names of.
    let Some(current) = of(&channel.release) else {
        return Vec::new();
    };
    let before = channel.previous.as_ref().and_then(of);
    let names = |release: &'_ Release| -> BTreeSet<ArtifactName> {
        let artifacts = release.artifacts.iter();
        artifacts.map(|artifact| artifact.name.clone()).collect()
    };
    let here = names(current);
    let gone = &before.map(names).unwrap_or_default() - &here;
    let object = |name: ArtifactName, presence| Object {
        locator: Locator::ChannelArtifact(
            channel.product.clone(),
            channel.channel.clone(),
            name.clone(),
        ),
        expect: Expect::Redirect(Redirect {
            release: current.id(),
            name,
            presence,
            releases: Arc::clone(releases),
        }),
    };
    let here = here.into_iter().map(|name| object(name, Presence::Here));
    let gone = gone.into_iter().map(|name| object(name, Presence::Gone));
    here.chain(gone).collect()
}

fn of_release(stated: &StatedRelease, artifacts_max: usize) -> impl Iterator<Item = Object> {
    let id = stated.release.id();
    let or_gone = |expect| {
        if stated.is_retired {
            Expect::Gone
        } else {
            expect
        }
    };
    let itself = Object {
        locator: Locator::ReleaseDocument(id.clone()),
        expect: or_gone(Expect::Release(document(stated.document))),
    };
    let artifacts = stated.release.artifacts.iter().take(artifacts_max);
    let artifacts = artifacts.map(move |artifact| Object {
        locator: Locator::Artifact(id.clone(), artifact.name.clone()),
        expect: or_gone(Expect::Artifact(artifact.clone())),
    });
    std::iter::once(itself).chain(artifacts)
}

fn document(stated: Stated) -> Document {
    let Stated { size, sha256 } = stated;
    Document { size, sha256 }
}

/// The report, for programs as it stands.
#[derive(Serialize)]
struct Summary<'a> {
    through: &'a str,
    urls: usize,
    pops: Vec<String>,
    requests: usize,
    bytes: u64,
    verdicts: BTreeMap<&'static str, usize>,
    findings: Vec<Row<'a>>,
    /// What was sent to the edge.
    purges: &'a [Purge],
    /// What the purged URLs answered before.
    before: Vec<Row<'a>>,
    damage: &'a [Damage],
}

/// One URL at one POP, by the answer that is worth least.
#[derive(Serialize)]
struct Row<'a> {
    url: &'a str,
    asked: String,
    #[serde(flatten)]
    worst: Line<'a>,
    requests: Vec<Line<'a>>,
}

impl<'a> Row<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            url: &finding.url,
            asked: finding.asked.to_string(),
            worst: Line::of(finding.worst()),
            requests: finding.answers.iter().map(Line::of).collect(),
        }
    }

    /// Everything that a table has no room for.
    fn describe(&self) -> String {
        let Line {
            request,
            verdict,
            what,
            pop,
            ..
        } = &self.worst;
        let place = place(&self.asked, *pop);
        let (url, what) = (printable(self.url), printable(what));
        format!("{verdict}: {url} {place}, {request}: {what}\n")
    }
}

/// One request.
#[derive(Serialize)]
struct Line<'a> {
    request: &'static str,
    verdict: &'static str,
    what: String,
    status: Option<u16>,
    bytes: u64,
    pop: Option<&'a str>,
    x_cache: Option<&'a str>,
    age: Option<u64>,
    id: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(answered: &'a Answered) -> Self {
        let way = &answered.way;
        Self {
            request: answered.question.as_str(),
            verdict: answered.verdict.as_str(),
            what: answered.verdict.to_string(),
            status: answered.status.map(|status| status.as_u16()),
            bytes: answered.bytes,
            pop: way.pop.as_deref(),
            x_cache: way.x_cache.as_deref(),
            age: way.age,
            id: way.id.as_deref(),
        }
    }
}

impl<'a> Summary<'a> {
    fn new(
        plan: &'a LookPlan,
        findings: &'a [Finding],
        cure: &'a Cure,
        damage: &'a [Damage],
    ) -> Self {
        let answers = || findings.iter().flat_map(|finding| &finding.answers);
        let mut verdicts = BTreeMap::new();
        for finding in findings {
            *verdicts
                .entry(finding.worst().verdict.as_str())
                .or_default() += 1;
        }
        Self {
            through: &plan.through,
            urls: plan.objects.len(),
            pops: plan.pops.iter().map(ToString::to_string).collect(),
            requests: answers().count(),
            bytes: answers().map(|answer| answer.bytes).sum(),
            verdicts,
            findings: findings.iter().map(Row::of).collect(),
            purges: &cure.purges,
            before: cure.before.iter().map(Row::of).collect(),
            damage,
        }
    }

    fn table(&self) -> String {
        let header = [
            ("VERDICT", Column::Left),
            ("ASKED", Column::Left),
            ("POP", Column::Left),
            ("X-CACHE", Column::Left),
            ("AGE", Column::Right),
            ("URL", Column::Left),
            ("X-AMZ-CF-ID", Column::Left),
        ];
        let cells = |row: &Row<'_>| {
            let worst = &row.worst;
            let or_dash = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), printable);
            vec![
                worst.verdict.to_owned(),
                row.asked.clone(),
                or_dash(worst.pop),
                or_dash(worst.x_cache),
                worst
                    .age
                    .map_or_else(|| "-".to_owned(), |age| age.to_string()),
                printable(row.url),
                or_dash(worst.id),
            ]
        };
        table(&header, self.findings.iter().map(cells))
    }
}

impl Report for Summary<'_> {
    fn to_text(&self) -> String {
        let mut text = if self.findings.is_empty() {
            String::new()
        } else {
            self.table()
        };
        let odd = |row: &&Row<'_>| row.worst.verdict != Verdict::Good.as_str();
        text.extend(
            self.before
                .iter()
                .map(|row| format!("was {}", row.describe())),
        );
        text.extend(self.purges.iter().map(Purge::describe));
        text.extend(self.findings.iter().filter(odd).map(Row::describe));
        let counts: Vec<_> = self
            .verdicts
            .iter()
            .map(|(verdict, count)| format!("{verdict} {count}"))
            .collect();
        let (urls, pops, requests) = (self.urls, self.pops.len(), self.requests);
        let _ = writeln!(
            text,
            "URLs {urls}, POPs {pops}: {}; requests {requests}, {}",
            if counts.is_empty() {
                "nothing to ask for".to_owned()
            } else {
                counts.join(", ")
            },
            size(self.bytes)
        );
        text
    }
}

/// Where an answer came from: the POP that was asked, and what it calls itself.
fn place(asked: &str, pop: Option<&str>) -> String {
    match pop {
        Some(pop) if pop == asked => format!("at {pop}"),
        Some(pop) => format!("at {} (asked: {asked})", printable(pop)),
        None => format!("(asked: {asked})"),
    }
}

/// Wrong beats damage in the store beats no answer beats stale.
fn end(findings: &[Finding], damage: &[Damage], on_stale: OnStale) -> Result<(), Failure> {
    let those = |is: fn(&Verdict) -> bool| -> Vec<&Finding> {
        let findings = findings.iter();
        findings.filter(|it| is(&it.worst().verdict)).collect()
    };
    let wrong = those(|verdict| matches!(verdict, Verdict::Wrong(_)));
    if !wrong.is_empty() {
        return Err(failure(Exit::Damaged, "not as published", &wrong).with_hint(
            "compare with the origin behind the edge; what only the edge has wrong, a purge of the URL removes",
        ));
    }
    Failure::on_damage(damage)?;
    let unjudged = those(|it| matches!(it, Verdict::Unreachable(_) | Verdict::Newer { .. }));
    if !unjudged.is_empty() {
        return Err(failure(
            Exit::Failed,
            "without an answer to judge",
            &unjudged,
        ));
    }
    let stale = those(|verdict| matches!(verdict, Verdict::Stale(_)));
    match on_stale {
        OnStale::Fail if !stale.is_empty() => Err(failure(Exit::Failed, "not yet new", &stale)
            .with_hint("wait until the copies are too old, or purge the URLs")),
        OnStale::Fail | OnStale::Tell => Ok(()),
    }
}

/// The details of an error fit a screen; the report has all of them.
const DETAILS_MAX: usize = 20;

fn failure(exit: Exit, what: &str, findings: &[&Finding]) -> Failure {
    let line = |finding: &&Finding| {
        let pop = finding.worst().way.pop.as_deref();
        let place = place(&finding.asked.to_string(), pop);
        format!("{} {place}", printable(&finding.url))
    };
    if let [one] = findings {
        return Failure::new(exit, format!("{} is {what}", line(one)));
    }
    let mut details: Vec<_> = findings.iter().take(DETAILS_MAX).map(line).collect();
    if let Some(more) = findings.len().checked_sub(DETAILS_MAX).filter(|it| *it > 0) {
        details.push(format!("and {more} more"));
    }
    let mut failure = Failure::new(exit, format!("{} answers are {what}", findings.len()));
    failure.details = details;
    failure
}
