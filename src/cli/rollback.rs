//! `headwater rollback`: points a channel back.

use clap::Args;

use super::output::Form;
use super::promote::finish;
use super::purge::{CdnArgs, Teller};
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::model::{ChannelName, Product};

/// Point a channel back at its previous release
#[derive(Args, Debug)]
#[command(after_help = "\
With --json: what `promote --json` prints. A second rollback points the channel forward again: the release it came from \
is then the previous one.

With a distribution the channel is purged as after `promote`. When that fails (exit code 6) the channel has moved all \
the same: `headwater invalidate` repeats the purge, the rollback itself would move it forward again.

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
    cdn: CdnArgs,

    #[command(flatten)]
    store: StoreArgs,
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let (config, target) = self.cdn.config(context, &self.store)?;
        let publisher = assembly::publisher(&config.store)?;
        let form = Form::of(self.json);
        assembly::block_on(async {
            let teller = Teller::open_any(target, context).await;
            let rollback = publisher.rollback(&self.product, &self.channel, self.reason);
            let moved = rollback.await?;
            finish(context, form, teller.as_ref(), &publisher, &moved).await
        })?
    }
}
