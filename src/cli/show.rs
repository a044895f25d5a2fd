//! `headwater show`: one release in full. Never writes.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::output::{Column, Form, Report, printable, table};
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::catalog::Release;
use crate::model::{ChannelName, Product, ReleaseId, Version};
use crate::publish::{Listed, Retirement};

/// Show one release
#[derive(Args, Debug)]
#[command(after_help = "\
With --json: the release document, and `retired` (null or the retirement document) and `channels`.

Examples:
  headwater show agent 1.4.2
  headwater show agent 1.4.2 --json | jq -r '.artifacts[] | .sha256 + \"  \" + .name' | sha256sum --check")]
pub(super) struct Typed {
    /// Which product
    product: Product,
    /// Which version of it
    version: Version,

    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    release: &'a Release,
    retired: &'a Option<Retirement>,
    channels: &'a [ChannelName],
}

impl<'a> From<&'a Listed> for Shown<'a> {
    fn from(listed: &'a Listed) -> Self {
        Self {
            release: &listed.release,
            retired: &listed.retired,
            channels: &listed.channels,
        }
    }
}

impl Report for Shown<'_> {
    fn to_text(&self) -> String {
        let release = self.release;
        let mut text = String::new();
        let mut say = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:<10} {}", printable(value));
        };
        say("release", &release.id().to_string());
        say("published", &release.published_at.to_string());
        if let Some(notes) = &release.notes {
            say("notes", notes);
        }
        let channels = self
            .channels
            .iter()
            .map(ChannelName::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        say(
            "channels",
            if channels.is_empty() {
                "none"
            } else {
                &channels
            },
        );
        if let Some(retired) = self.retired {
            say(
                "retired",
                &format!("{}: {}", retired.retired_at, retired.reason),
            );
        }
        text.push('\n');
        let header = [
            ("SIZE", Column::Right),
            ("SHA-256", Column::Left),
            ("PLATFORM", Column::Left),
            ("ARTIFACT", Column::Left),
        ];
        let rows = release.artifacts.iter().map(|artifact| {
            let platform = artifact
                .platform
                .as_ref()
                .map_or_else(|| "any".to_owned(), ToString::to_string);
            vec![
                artifact.size.to_string(),
                artifact.sha256.to_hex(),
                platform,
                artifact.name.to_string(),
            ]
        });
        text + &table(&header, rows)
    }
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let publisher = assembly::publisher(&self.store.config(context)?.store)?;
        let id = ReleaseId {
            product: self.product,
            version: self.version,
        };
        let (listed, _document) = assembly::block_on(publisher.show(&id))??;
        context
            .output
            .report(Form::of(self.json), &Shown::from(&listed))
    }
}
