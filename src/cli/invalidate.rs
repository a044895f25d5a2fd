//! `headwater invalidate`: makes an edge forget copies, without moving anything.
//!
//! Owns what may be asked for by hand. Never spells a path (`cdn/purge.rs` does); what follows a move by itself stands in
//! `purge.rs`.

use clap::Args;

use super::failure::Exit;
use super::output::{Form, Report};
use super::purge::{CdnArgs, Purge, Teller, WAY_OUT, of_channel, rest};
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::catalog::Channel;
use crate::cdn::{Batch, By, CdnError, Change, EdgeError, PurgeSet, Reference};
use crate::config::Config;
use crate::model::{ChannelName, Locator, Product, ReleaseId, Version};
use crate::publish::Publisher;

/// Make an edge forget a channel, a release or one URL
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Args, Debug)]
#[command(
    override_usage = "headwater invalidate [OPTIONS] PRODUCT CHANNEL\n       \
                      headwater invalidate [OPTIONS] --release PRODUCT VERSION\n       \
                      headwater invalidate [OPTIONS] --path PATH",
    after_help = "\
PRODUCT CHANNEL sends the purge that belongs to the last move of the channel: its document and its redirects. \
`promote`, `rollback` and `publish --channel` have sent the same one when a distribution is configured; sent again it is \
still one purge, so that this repeats one that failed, and with --wait waits for one that goes on. --again makes it a new \
one, for an edge location that has got something wrong.
--release is for a bad edge location or a release that was retired: published bytes never change, so that no other \
command purges them. By path it takes one of the 15 wildcards that may be in progress; --by-tag needs a distribution \
that reads tags. Neither --release nor --path looks into the store.

With --json: {distribution_id, id, status: \"InProgress\", \"Completed\", \"failed\" or \"dry-run\", paths, reference, \
created_at}. Ends with exit code 4 when there is no such channel or distribution.

Examples:
  headwater invalidate agent stable --distribution-id E2QWRUHEXAMPLE --wait
  headwater invalidate --release agent 1.4.1 --by-tag
  headwater invalidate --path /artifacts/agent/1.4.1/agent.tar.zst --dry-run"
)]
pub(super) struct Typed {
    /// Whose channel
    #[arg(required_unless_present_any = ["release", "path"], conflicts_with_all = ["release", "path"])]
    product: Option<Product>,
    /// Which channel
    #[arg(required_unless_present_any = ["release", "path"])]
    channel: Option<ChannelName>,

    /// Forget every object of this release
    #[arg(long, num_args = 2, value_names = ["PRODUCT", "VERSION"], conflicts_with = "path")]
    release: Option<Vec<String>>,

    /// Name the release by its cache tag instead of its path
    // Beside another argument that excludes `--release`, a demand for it would not be enforced.
    #[arg(long, requires = "release", conflicts_with_all = ["product", "channel", "path"])]
    by_tag: bool,

    /// Forget this URL path
    #[arg(long, value_name = "PATH", value_parser = parse_path)]
    path: Option<Locator>,

    /// Purge a channel even if that was done since it moved
    #[arg(long, conflicts_with_all = ["release", "path"])]
    again: bool,

    /// Only say what would be purged
    #[arg(long)]
    dry_run: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cdn: CdnArgs,

    #[command(flatten)]
    store: StoreArgs,
}

/// A path that nothing could ever be served under would be purged without effect, and nobody would know.
fn parse_path(text: &str) -> Result<Locator, &'static str> {
    Locator::from_url_path(text.as_bytes()).ok_or(
        "it has to be the path of an artifact, a release document, a channel or a redirect, percent-encoded and \
         without a query, such as /channels/agent/stable.json",
    )
}

impl Report for Purge {
    fn to_text(&self) -> String {
        self.describe()
    }
}

/// What is asked for, once the arguments make sense.
enum Asked {
    /// What the store says of this channel. The store is open by now: to open a bucket blocks.
    Channel(Publisher, Product, ChannelName),
    ByHand(PurgeSet),
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let (config, target) = self.cdn.config(context, &self.store)?;
        let Some(target) = target else {
            return Err(Failure::new(Exit::Usage, "no distribution is named").with_hint(WAY_OUT));
        };
        let (form, is_again, is_dry) = (Form::of(self.json), self.again, self.dry_run);
        let asked = self.asked(&config)?;
        assembly::block_on(async {
            let (batch, moved_at) = batch(asked, is_again).await?;
            if is_dry {
                return context
                    .output
                    .report(form, &Purge::planned(&target, &batch));
            }
            let teller = Teller::open(target, context).await;
            if let Some(moved_at) = moved_at {
                teller.settle(rest(moved_at, assembly::now())).await;
            }
            let told = teller.tell(&batch).await;
            if let Some(purge) = &told.purge {
                context.output.report(form, purge)?;
            }
            told.failed.map_or(Ok(()), |error| Err(failure(error)))
        })?
    }

    fn asked(self, config: &Config) -> Result<Asked, Failure> {
        let usage = |text: String| Failure::new(Exit::Usage, text);
        let by = if self.by_tag { By::Tag } else { By::Path };
        if by == By::Tag && config.server.cache_tag_header.is_none() {
            let text = "`--by-tag` needs tags, and `server.cache_tag_header` = \"\" sends none";
            return Err(usage(text.to_owned()));
        }
        match (
            self.product,
            self.channel,
            self.release.as_deref(),
            self.path,
        ) {
            (Some(product), Some(channel), ..) => {
                let publisher = assembly::publisher(&config.store)?;
                Ok(Asked::Channel(publisher, product, channel))
            }
            (_, _, Some([product, version]), _) => {
                let product = Product::parse(product);
                let version = Version::parse(version);
                let id = ReleaseId {
                    product: product.map_err(|error| usage(format!("`--release`: {error}")))?,
                    version: version.map_err(|error| usage(format!("`--release`: {error}")))?,
                };
                Ok(Asked::ByHand(PurgeSet::of(&Change::Release(&id, by))))
            }
            (.., Some(locator)) => Ok(Asked::ByHand(PurgeSet::of(&Change::Object(&locator)))),
            _ => Err(usage("name a channel, a release or a path".to_owned())),
        }
    }
}

/// What is purged, and for a channel when it moved.
async fn batch(asked: Asked, is_again: bool) -> Result<(Batch, Option<jiff::Timestamp>), Failure> {
    let by_hand = |set: PurgeSet| {
        let reference = Reference::by_hand(assembly::now(), &set);
        Batch { set, reference }
    };
    match asked {
        Asked::Channel(publisher, product, name) => {
            let channel: Channel = publisher.channel(&product, &name).await?;
            let batch = of_channel(&publisher, &channel).await;
            let batch = if is_again { by_hand(batch.set) } else { batch };
            Ok((batch, Some(channel.updated_at)))
        }
        Asked::ByHand(set) => Ok((by_hand(set), None)),
    }
}

/// Nothing has moved here, so that this is a failure like any other.
pub(super) fn failure(error: CdnError) -> Failure {
    match &error {
        CdnError::Edge(EdgeError::NoDistribution(_)) => Failure::new(Exit::NotFound, error),
        _ if error.accepted().is_some() => Failure::new(Exit::Failed, error)
            .with_hint("it goes on by itself; nothing has to be repeated"),
        _ => Failure::new(Exit::Failed, error),
    }
}
