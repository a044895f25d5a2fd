//! `headwater promote`: points a channel at a release. Also owns how a channel's move is described and what follows it.
//! Never tells an edge itself: `purge.rs` does.

use clap::Args;
use serde::Serialize;

use super::output::{Form, Report};
use super::purge::{self, CdnArgs, Purge, Teller};
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::catalog::Channel;
use crate::model::{ChannelName, Product, ReleaseId, Version};
use crate::publish::{Moved, Publisher};

/// Point a channel at a release
#[derive(Args, Debug)]
#[command(after_help = "\
With --json: the channel document, `changed`: false when the channel pointed there already, and with a distribution \
`purge`, as `invalidate --json` prints it.

With a distribution exactly the channel's document and its redirects are purged, two seconds after the move, when every \
origin has noticed it. A purge that fails undoes nothing: exit code 6 says that the channel has moved and the edge was \
not told. The same command again sends the same purge, as does `headwater invalidate`; twice sent it is still one.

Examples:
  headwater promote agent 1.4.2 --to stable
  headwater promote agent 1.4.2 --to stable --reason \"soaked in beta for a week\" --json
  headwater promote agent 1.4.2 --to stable --distribution-id E2QWRUHEXAMPLE --wait")]
pub(super) struct Typed {
    /// Whose channel
    product: Product,
    /// Which release it shall name
    version: Version,

    /// The channel to move; created when it is new
    #[arg(long, value_name = "CHANNEL")]
    to: ChannelName,

    /// Why, kept in the channel document
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    cdn: CdnArgs,

    #[command(flatten)]
    store: StoreArgs,
}

/// A channel after a move.
#[derive(Serialize)]
pub(super) struct Move<'a> {
    #[serde(flatten)]
    channel: &'a Channel,
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    purge: Option<Purge>,
}

impl Report for Move<'_> {
    fn to_text(&self) -> String {
        let purged = self.purge.as_ref().map(Purge::describe).unwrap_or_default();
        let unchanged = if self.changed { "" } else { "unchanged: " };
        format!("{unchanged}{}{purged}", describe(self.channel))
    }
}

/// Where a channel points, as one line.
pub(super) fn describe(channel: &Channel) -> String {
    let before = match &channel.previous {
        Some(previous) => format!(" (before: {})", previous.version),
        None => String::new(),
    };
    let Channel {
        product,
        channel: name,
        revision,
        release,
        ..
    } = channel;
    format!(
        "{product} {name} is {}{before}, revision {revision}\n",
        release.version
    )
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let (config, target) = self.cdn.config(context, &self.store)?;
        let publisher = assembly::publisher(&config.store)?;
        let id = ReleaseId {
            product: self.product,
            version: self.version,
        };
        let form = Form::of(self.json);
        assembly::block_on(async {
            let teller = Teller::open_any(target, context).await;
            let moved = publisher.promote(&id, &self.to, self.reason).await?;
            finish(context, form, teller.as_ref(), &publisher, &moved).await
        })?
    }
}

/// What follows a move: the purge, then the report, then the failure of the purge if it had one.
pub(super) async fn finish(
    context: &Context,
    form: Form,
    teller: Option<&Teller>,
    publisher: &Publisher,
    moved: &Moved,
) -> Result<(), Failure> {
    let told = purge::after_move(teller, publisher, moved).await;
    let report = Move {
        channel: &moved.channel,
        changed: moved.changed,
        purge: told.purge,
    };
    context.output.report(form, &report)?;
    purge::outcome(teller, Some(&moved.channel), told.failed)
}
