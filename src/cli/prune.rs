//! `headwater prune`: retention.
//!
//! Owns the command's arguments and its report. Never decides what is old: `publish/retention.rs` does.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::output::{Form, Report, printable, size};
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::model::{Product, Version};
use crate::publish::{Mode, Pruned};

/// Retire old releases and remove left-overs of broken publishes
#[derive(Args, Debug)]
#[command(after_help = "\
Of each product the newest N releases stay, and every release that a channel names, now or as its previous one.
A release whose documents cannot be read stays, and so does every release of a product with such a channel; the rest is \
done, and the documents are named as an error (exit code 5).
With PRODUCT nothing of another product is asked for, so that a role for one product may do it. Left-overs that cannot \
be told to be a product's stay. A product of which there is nothing is an error (exit code 4).
With --json: {retired: [{product, version}], litter: [{key, size}], bytes, dry_run}.

Examples:
  headwater prune --keep 10 --dry-run
  headwater prune --keep 10
  headwater prune agent --keep 10")]
pub(super) struct Typed {
    /// Only this product
    product: Option<Product>,

    /// How many releases of each product stay, at least 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,

    /// Only find out what would be done
    #[arg(long)]
    dry_run: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct Outcome<'a> {
    retired: Vec<Retired<'a>>,
    litter: Vec<Litter<'a>>,
    bytes: u64,
    dry_run: bool,
}

#[derive(Serialize)]
struct Retired<'a> {
    product: &'a Product,
    version: &'a Version,
}

#[derive(Serialize)]
struct Litter<'a> {
    key: &'a str,
    size: u64,
}

impl<'a> Outcome<'a> {
    fn new(pruned: &'a Pruned, mode: Mode) -> Self {
        let retired = pruned.retired.iter().map(|id| Retired {
            product: &id.product,
            version: &id.version,
        });
        let litter = pruned
            .litter
            .iter()
            .map(|(key, size)| Litter { key, size: *size });
        Self {
            retired: retired.collect(),
            litter: litter.collect(),
            bytes: pruned.bytes,
            dry_run: mode == Mode::DryRun,
        }
    }
}

impl Report for Outcome<'_> {
    fn to_text(&self) -> String {
        let (retire, remove, free) = if self.dry_run {
            ("would retire", "would remove", "would free")
        } else {
            ("retired", "removed", "freed")
        };
        let mut text = String::new();
        for Retired { product, version } in &self.retired {
            let _ = writeln!(text, "{retire} {product} {version}");
        }
        for litter in &self.litter {
            let _ = writeln!(text, "{remove} {}", printable(litter.key));
        }
        let _ = writeln!(text, "{free} {}", size(self.bytes));
        text
    }
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let publisher = assembly::publisher(&self.store.config(context)?.store)?;
        let mode = if self.dry_run {
            Mode::DryRun
        } else {
            Mode::Commit
        };
        let keep = self.keep as usize;
        let pruned = assembly::block_on(async {
            match &self.product {
                Some(product) => publisher.prune_product(product, keep, mode).await,
                None => publisher.prune(keep, mode).await,
            }
        })?
        .map_err(super::or_list_releases)?;
        context
            .output
            .report(Form::of(self.json), &Outcome::new(&pruned, mode))?;
        Failure::on_damage(&pruned.damage)
    }
}
