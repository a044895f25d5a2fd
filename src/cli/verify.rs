//! `headwater verify`: re-hashes what is stored, or looks at what an edge answers.
//!
//! Owns the command's arguments and the report on a store; that on an edge is in `verify/through.rs`. Never looks at a
//! byte itself: `publish/` and `device/` do.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::failure::Exit;
use super::output::{Form, Report, printable, size};
use super::purge::Target;
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::device::through::Pop;
use crate::model::{Product, Version};
use crate::publish::{Damage, Verified};

mod cure;
mod through;

use through::{Breadth, OnStale, Question};

/// Compare what is stored, or what an edge answers, with what was published
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Args, Debug)]
#[command(after_help = "\
Without --through, what is stored is read and hashed again. Ends with exit code 5 when anything is damaged, and names \
each file. With --json: {releases, artifacts, bytes, damage: [{key, what}]}.

With --through, nothing that is stored is read but documents; instead every POP is asked for each channel document \
and redirect, each release document, and each artifact of the releases that channels name: whole, the piece in the \
middle, conditionally and with HEAD. Status, Location, bytes, ETag, lengths, ranges, Content-Type and Cache-Control have to be what the \
origin sends, without cookies. URLs of a retired release have to be gone. Ends with exit code
  5  when an answer is wrong, and names the URL and the POP
  1  when a POP cannot be reached, or has a channel that is newer than the store's
  0  also when a copy is only old, as caches may have it for a time; --strict makes that 1
--invalidate purges exactly the URLs that are wrong or old, waits until that is done everywhere, and asks again: the \
exit code is that of the second look.
With --json: {through, urls, pops, requests, bytes, verdicts: {good, stale, newer, unreachable, wrong}, findings: \
[{url, asked, request, verdict, what, status, bytes, pop, x_cache, age, id, requests: [{request, …}]}], purges, \
before, damage}; `before` has the findings that were purged.

Examples:
  headwater verify
  headwater verify agent 1.4.2 --json
  headwater verify --through https://updates.example.com
  headwater verify agent --through https://updates.example.com --pops 203.0.113.7 --strict
  headwater verify agent --through https://updates.example.com --invalidate --distribution-id E2QWRUHEXAMPLE
  headwater verify agent 1.4.2 --through http://127.0.0.1:8090 --pops 0,1,2")]
pub(super) struct Typed {
    /// Only this product
    product: Option<Product>,
    /// Only this version of it
    version: Option<Version>,

    #[arg(
        long,
        value_name = "URL",
        help = "Ask this edge instead of reading the store: http://host[:port] or https://host[:port]"
    )]
    through: Option<String>,

    /// Ask each of these POPs: addresses or host names, connected to in the place of the URL's host, or words for
    /// X-Edge-Pop, by which a `headwater edge` chooses
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "through")]
    pops: Vec<Pop>,

    /// Ask for every artifact, also of releases that no channel names and of retired ones
    #[arg(long, requires = "through")]
    all: bool,

    /// End with exit code 1 when a POP still has an old copy
    #[arg(long, requires = "through")]
    strict: bool,

    /// Purge the URLs whose copies are wrong or old, wait for it, and ask again
    #[arg(long, requires = "through")]
    invalidate: bool,

    #[arg(
        long,
        value_name = "ID",
        requires = "invalidate",
        help = "The CloudFront distribution to purge [env: HEADWATER_DISTRIBUTION_ID] [default: `cdn.distribution_id`]"
    )]
    distribution_id: Option<String>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct Findings<'a> {
    releases: u64,
    artifacts: u64,
    bytes: u64,
    damage: &'a [Damage],
}

impl<'a> From<&'a Verified> for Findings<'a> {
    fn from(verified: &'a Verified) -> Self {
        let Verified {
            releases,
            artifacts,
            bytes,
            damage,
        } = verified;
        Self {
            releases: *releases,
            artifacts: *artifacts,
            bytes: *bytes,
            damage,
        }
    }
}

impl Report for Findings<'_> {
    fn to_text(&self) -> String {
        let mut text = String::new();
        for damage in self.damage {
            let _ = writeln!(
                text,
                "damaged: {}: {}",
                printable(&damage.key),
                printable(&damage.what)
            );
        }
        let verdict = if self.damage.is_empty() {
            "all as published"
        } else {
            "not all as published"
        };
        let (releases, artifacts) = (self.releases, self.artifacts);
        let _ = writeln!(
            text,
            "{verdict}: releases {releases}, artifacts {artifacts}, {}",
            size(self.bytes)
        );
        text
    }
}

impl Typed {
    fn question<'a>(&'a self, through: &'a str, purge: Option<Target>) -> Question<'a> {
        let mut pops = Vec::new();
        for pop in &self.pops {
            if !pops.contains(pop) {
                pops.push(pop.clone());
            }
        }
        if pops.is_empty() {
            pops.push(Pop::Nearest);
        }
        Question {
            through,
            pops,
            product: self.product.as_ref(),
            version: self.version.as_ref(),
            breadth: if self.all {
                Breadth::All
            } else {
                Breadth::Current
            },
            stale: if self.strict {
                OnStale::Fail
            } else {
                OnStale::Tell
            },
            purge,
            form: Form::of(self.json),
        }
    }

    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let (config, purge) = if self.invalidate {
            let id = self.distribution_id.clone();
            let (config, target) = Target::needed(id, context, &self.store)?;
            (config, Some(target))
        } else {
            (self.store.config(context)?, None)
        };
        if let Some(through) = &self.through {
            let question = self.question(through, purge);
            return question.run(context, &config.store);
        }
        let publisher = assembly::publisher(&config.store)?;
        let bar = context.output.bar();
        let verify = publisher.verify(self.product.as_ref(), self.version.as_ref(), bar.clone());
        let verified = assembly::block_on(verify)?.map_err(super::or_list_releases)?;
        bar.finish();
        context
            .output
            .report(Form::of(self.json), &Findings::from(&verified))?;
        match verified.damage.len() {
            0 => Ok(()),
            1 => Err(damaged("a file is".to_owned())),
            count => Err(damaged(format!("{count} files are"))),
        }
    }
}

fn damaged(subject: String) -> Failure {
    Failure::new(Exit::Damaged, subject + " not as published").hint_on(
        Exit::Damaged,
        "restore the files from a copy of the store; their URLs can never have other bytes",
    )
}
