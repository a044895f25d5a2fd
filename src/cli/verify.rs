//! `headwater verify`: re-hashes what is stored.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::failure::Exit;
use super::output::{Form, Report, printable, size};
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::model::{Product, Version};
use crate::publish::{Damage, Verified};

/// Compare what is stored with the release documents, byte by byte
#[derive(Args, Debug)]
#[command(after_help = "\
Ends with exit code 5 when anything is damaged, and names each file.
With --json: {releases, artifacts, bytes, damage: [{key, what}]}.

Examples:
  headwater verify
  headwater verify agent 1.4.2 --json")]
pub(super) struct Typed {
    /// Only this product
    product: Option<Product>,
    /// Only this version of it
    version: Option<Version>,

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
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let publisher = assembly::publisher(&self.store.config(context)?.store)?;
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
