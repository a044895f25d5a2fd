//! `headwater promote`: points a channel at a release. Also owns how a channel's move is described.

use clap::Args;
use serde::Serialize;

use super::output::{Form, Report};
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::catalog::Channel;
use crate::model::{ChannelName, Product, ReleaseId, Version};
use crate::publish::Moved;

/// Point a channel at a release
#[derive(Args, Debug)]
#[command(after_help = "\
With --json: the channel document, and `changed`: false when the channel pointed there already.

Examples:
  headwater promote agent 1.4.2 --to stable
  headwater promote agent 1.4.2 --to stable --reason \"soaked in beta for a week\" --json")]
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
    store: StoreArgs,
}

/// A channel after a move.
#[derive(Serialize)]
pub(super) struct Move<'a> {
    #[serde(flatten)]
    channel: &'a Channel,
    changed: bool,
}

impl<'a> From<&'a Moved> for Move<'a> {
    fn from(moved: &'a Moved) -> Self {
        Self {
            channel: &moved.channel,
            changed: moved.changed,
        }
    }
}

impl Report for Move<'_> {
    fn to_text(&self) -> String {
        if self.changed {
            describe(self.channel)
        } else {
            format!("unchanged: {}", describe(self.channel))
        }
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
        let publisher = assembly::publisher(&self.store.config(context)?.store)?;
        let id = ReleaseId {
            product: self.product,
            version: self.version,
        };
        let moved = assembly::block_on(publisher.promote(&id, &self.to, self.reason))??;
        context
            .output
            .report(Form::of(self.json), &Move::from(&moved))
    }
}
