//! `headwater releases`: lists what was published.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::output::{Column, Form, Report, size, table};
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::model::{ChannelName, Product, Version};
use crate::publish::{Listed, Retirement};

/// List releases, oldest first
#[derive(Args, Debug)]
#[command(after_help = "\
With --json: an array of {product, version, published_at, artifacts, size, retired, channels}; `artifacts` is their \
number, `size` their bytes, `retired` null or the retirement document.
A release whose documents cannot be read is left out and named as an error (exit code 5).

Examples:
  headwater releases
  headwater releases agent --json")]
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
struct Releases(Vec<Row>);

#[derive(Serialize)]
struct Row {
    product: Product,
    version: Version,
    published_at: Timestamp,
    artifacts: usize,
    size: u64,
    retired: Option<Retirement>,
    channels: Vec<ChannelName>,
}

impl From<Listed> for Row {
    fn from(listed: Listed) -> Self {
        let release = listed.release;
        Self {
            published_at: release.published_at,
            artifacts: release.artifacts.len(),
            size: release.artifacts.iter().map(|artifact| artifact.size).sum(),
            product: release.product,
            version: release.version,
            retired: listed.retired,
            channels: listed.channels,
        }
    }
}

impl Report for Releases {
    fn to_text(&self) -> String {
        if self.0.is_empty() {
            return "no releases\n".to_owned();
        }
        let header = [
            ("PRODUCT", Column::Left),
            ("VERSION", Column::Left),
            ("PUBLISHED", Column::Left),
            ("ARTIFACTS", Column::Right),
            ("SIZE", Column::Right),
            ("CHANNELS", Column::Left),
        ];
        table(&header, self.0.iter().map(Row::cells))
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let names = self
            .channels
            .iter()
            .map(ChannelName::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        vec![
            self.product.to_string(),
            self.version.to_string(),
            self.published_at.to_string(),
            self.artifacts.to_string(),
            size(self.size),
            if self.retired.is_some() {
                "(retired)".to_owned()
            } else {
                names
            },
        ]
    }
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let publisher = assembly::publisher(&self.store.config(context)?.store)?;
        let listed = assembly::block_on(publisher.releases(self.product.as_ref()))?
            .map_err(super::or_list_releases)?;
        let releases = Releases(listed.found.into_iter().map(Row::from).collect());
        context.output.report(Form::of(self.json), &releases)?;
        Failure::on_damage(&listed.damage)
    }
}
