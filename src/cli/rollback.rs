//! `headwater rollback`: points a channel back.

use clap::Args;

use super::output::Form;
use super::promote::Move;
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::model::{ChannelName, Product};

/// Point a channel back at its previous release
#[derive(Args, Debug)]
#[command(after_help = "\
With --json: the channel document, and `changed`. A second rollback points the channel forward again: the release it \
came from is then the previous one.

Examples:
  headwater rollback agent --channel stable --reason \"1.4.2 crashes on start\"
  headwater rollback agent --channel stable --json")]
pub(super) struct Typed {
    /// Whose channel
    product: Product,

    /// The channel to move
    #[arg(long, value_name = "NAME")]
    channel: ChannelName,

    /// Why, kept in the channel document
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let publisher = assembly::publisher(&self.store.config(context)?.store)?;
        let rollback = publisher.rollback(&self.product, &self.channel, self.reason);
        let moved = assembly::block_on(rollback)??;
        context
            .output
            .report(Form::of(self.json), &Move::from(&moved))
    }
}
