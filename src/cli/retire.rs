//! `headwater retire`: takes a release's bytes away for good.

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::output::{Form, Report};
use super::purge::{CdnArgs, Purge};
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::model::{Product, ReleaseId, Version};

/// Take the bytes of a release away for good
#[derive(Args, Debug)]
#[command(after_help = "\
The release document stays, and the version can never be published again. A release that a channel names is refused \
(exit code 3).
With --json: {product, version, retired_at, reason}, and with a distribution `purge`, which is empty: no channel names \
the release, so that no channel document and no redirect changes, and the edge is not told anything. Copies of the release that an edge \
still has are the published bytes; `headwater invalidate --release` takes those away too.

Examples:
  headwater retire agent 1.3.0 --reason \"leaks the device key\"")]
pub(super) struct Typed {
    /// Which product
    product: Product,
    /// Which version of it
    version: Version,

    /// Why, kept beside the release document
    #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
    reason: String,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cdn: CdnArgs,

    #[command(flatten)]
    store: StoreArgs,
}

/// The reason is all that people will find of the release.
fn parse_reason(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        return Err("it has to say why, for instance \"leaks the device key\"");
    }
    Ok(text.to_owned())
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the JSON document")]
struct Retired<'a> {
    product: &'a Product,
    version: &'a Version,
    retired_at: Timestamp,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    purge: Option<Purge>,
}

impl Report for Retired<'_> {
    fn to_text(&self) -> String {
        let (product, version) = (self.product, self.version);
        let mut text = format!("retired {product} {version}\n");
        if let Some(purge) = &self.purge {
            text.push_str(&purge.describe());
            let _ = writeln!(
                text,
                "`headwater invalidate --release {product} {version}` takes what edges still have of it"
            );
        }
        text
    }
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let (config, target) = self.cdn.config(context, &self.store)?;
        let publisher = assembly::publisher(&config.store)?;
        let id = ReleaseId {
            product: self.product,
            version: self.version,
        };
        let retirement = assembly::block_on(publisher.retire(&id, self.reason))??;
        let (retired_at, reason) = (retirement.retired_at, retirement.reason);
        let retired = Retired {
            product: &id.product,
            version: &id.version,
            retired_at,
            reason,
            purge: target.map(|target| Purge::after_retirement(&target, &id)),
        };
        context.output.report(Form::of(self.json), &retired)
    }
}
