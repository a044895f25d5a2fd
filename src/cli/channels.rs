//! `headwater channels`: where every channel points.

use clap::Args;
use serde::Serialize;

use super::output::{Column, Form, Report, printable, table};
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::catalog::Channel;
use crate::model::Product;

/// List channels and where they point
#[derive(Args, Debug)]
#[command(after_help = "\
With --json: an array of channel documents.
A channel whose document cannot be read is left out and named as an error (exit code 5).

Examples:
  headwater channels
  headwater channels agent --json")]
pub(super) struct Typed {
    /// Only this product's
    product: Option<Product>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Channels(Vec<Channel>);

impl Report for Channels {
    fn to_text(&self) -> String {
        if self.0.is_empty() {
            return "no channels\n".to_owned();
        }
        let header = [
            ("PRODUCT", Column::Left),
            ("CHANNEL", Column::Left),
            ("RELEASE", Column::Left),
            ("BEFORE", Column::Left),
            ("REVISION", Column::Right),
            ("MOVED", Column::Left),
            ("REASON", Column::Left),
        ];
        table(&header, self.0.iter().map(cells))
    }
}

fn cells(channel: &Channel) -> Vec<String> {
    let before = channel
        .previous
        .as_ref()
        .map(|pointer| pointer.version.to_string());
    vec![
        channel.product.to_string(),
        channel.channel.to_string(),
        channel.release.version.to_string(),
        before.unwrap_or_default(),
        channel.revision.to_string(),
        channel.updated_at.to_string(),
        printable(channel.reason.as_deref().unwrap_or_default()),
    ]
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let publisher = assembly::publisher(&self.store.config(context)?.store)?;
        let channels = assembly::block_on(publisher.channels(self.product.as_ref()))?
            .map_err(super::or_list_releases)?;
        context
            .output
            .report(Form::of(self.json), &Channels(channels.found))?;
        Failure::on_damage(&channels.damage)
    }
}
