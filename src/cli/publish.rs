//! `headwater publish`: creates a release, and moves a channel to it where asked. Never touches the store itself.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::output::{Form, Report, size};
use super::purge::{self, CdnArgs, Purge, Teller, Told};
use super::{Context, Failure, StoreArgs};
use crate::assembly::{self, AssemblyError};
use crate::catalog::{Channel, Release};
use crate::config::StoreLocation;
use crate::model::{
    ArtifactName, ChannelName, Digest, Locator, Platform, Product, ReleaseId, Version,
};
use crate::publish::{Mode, PublishRequest, PublishState, Publisher};

/// Create an immutable release from files and folders
#[derive(Args, Debug)]
#[command(after_help = "\
A PATH that is a file becomes an artifact of its base name; of a folder every file becomes one, named by its path below \
the folder. A version is committed once and for ever: publishing the same bytes again changes nothing and succeeds, \
other bytes are refused (exit code 3).

With --json: {product, version, state: \"published\" or \"unchanged\", artifacts: [{name, size, sha256, url}], channel}. \
`channel` is the channel document after the move, null without --channel. In a dry run `state` is what a real run would \
report, and `channel` is null because no channel is moved. With --channel and a distribution there is `purge`, and the \
channel is purged as by `promote`: exit code 6 when that failed, with everything else done.

Examples:
  headwater publish agent 1.4.2 target/release/agent
  headwater publish agent 1.4.2 dist/ --channel stable --notes \"Fixes the clock\"
  headwater publish agent 1.4.2 agent-linux agent-mac --platform agent-linux=linux/x86_64 \\
      --platform agent-mac=macos/aarch64
  headwater publish debian-repo 2026-11-22 ./repository --dry-run --json")]
pub(super) struct Typed {
    /// What is updated
    product: Product,
    /// Which version of it
    version: Version,
    /// Files and folders to publish
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Point this channel at the release afterwards
    #[arg(long, value_name = "NAME")]
    channel: Option<ChannelName>,

    /// Which artifact runs on what; may be repeated
    #[arg(long, value_name = "NAME=os/arch", value_parser = parse_platform)]
    platform: Vec<(ArtifactName, Platform)>,

    /// Free text for people, kept in the release document
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,

    /// Only find out what would be done; reads the input, writes nothing
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

/// Neither part of a platform has a `=`, an artifact name may.
fn parse_platform(text: &str) -> Result<(ArtifactName, Platform), String> {
    let (name, platform) = text
        .rsplit_once('=')
        .ok_or("it has to be NAME=os/arch, for instance agent-linux=linux/x86_64")?;
    let name = ArtifactName::parse(name).map_err(|error| error.to_string())?;
    let platform = Platform::parse(platform).map_err(|error| error.to_string())?;
    Ok((name, platform))
}

#[derive(Serialize)]
struct Outcome<'a> {
    product: &'a Product,
    version: &'a Version,
    state: &'static str,
    artifacts: Vec<Line<'a>>,
    channel: Option<&'a Channel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purge: Option<Purge>,
    #[serde(skip)]
    mode: Mode,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a ArtifactName,
    size: u64,
    sha256: Digest,
    url: String,
}

impl<'a> Outcome<'a> {
    fn new(
        release: &'a Release,
        state: PublishState,
        channel: Option<&'a Channel>,
        mode: Mode,
    ) -> Self {
        let line = |artifact: &'a crate::catalog::Artifact| Line {
            name: &artifact.name,
            size: artifact.size,
            sha256: artifact.sha256,
            url: Locator::Artifact(release.id(), artifact.name.clone()).to_url_path(),
        };
        Self {
            product: &release.product,
            version: &release.version,
            state: match state {
                PublishState::Published => "published",
                PublishState::Unchanged => "unchanged",
            },
            artifacts: release.artifacts.iter().map(line).collect(),
            channel,
            purge: None,
            mode,
        }
    }
}

impl Report for Outcome<'_> {
    fn to_text(&self) -> String {
        let did = match (self.state, self.mode) {
            ("published", Mode::Commit) => "published",
            ("published", Mode::DryRun) => "would publish",
            _ => "unchanged:",
        };
        let bytes = self.artifacts.iter().map(|line| line.size).sum();
        let files = match self.artifacts.len() {
            1 => "1 artifact".to_owned(),
            count => format!("{count} artifacts"),
        };
        let mut text = format!(
            "{did} {} {}: {files}, {}\n",
            self.product,
            self.version,
            size(bytes)
        );
        if let Some(channel) = self.channel {
            text.push_str(&super::promote::describe(channel));
        }
        if let Some(purge) = &self.purge {
            text.push_str(&purge.describe());
        }
        text
    }
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let (config, edge) = self.cdn.config(context, &self.store)?;
        let form = Form::of(self.json);
        let mode = if self.dry_run {
            Mode::DryRun
        } else {
            Mode::Commit
        };
        let id = ReleaseId {
            product: self.product,
            version: self.version,
        };
        let request = PublishRequest {
            id: id.clone(),
            paths: self.paths,
            platforms: self.platform,
            notes: self.notes,
            mode,
        };
        // Moving a channel is not tried in a dry run: there is no release yet to point it at.
        let channel = self.channel.filter(|_name| mode == Mode::Commit);
        let target = Target::open(&config.store, mode)?;
        let bar = context.output.bar();
        let progress = bar.clone();
        assembly::block_on(async move {
            let teller = match channel {
                Some(_) => Teller::open_any(edge, context).await,
                None => None,
            };
            let published = target.publisher.publish(request, progress).await?;
            bar.finish();
            let moved = match &channel {
                None => None,
                Some(name) => Some(target.publisher.promote(&id, name, None).await.map_err(|error| {
                    let again = format!("the release is committed; `headwater promote {id} --to {name}` repeats the rest");
                    Failure::from(error).with_hint(again)
                })?),
            };
            let told = match &moved {
                Some(moved) => purge::after_move(teller.as_ref(), &target.publisher, moved).await,
                None => Told::default(),
            };
            let channel = moved.as_ref().map(|moved| &moved.channel);
            let outcome = Outcome::new(&published.release, published.state, channel, mode);
            let outcome = Outcome {
                purge: told.purge,
                ..outcome
            };
            context.output.report(form, &outcome)?;
            purge::outcome(teller.as_ref(), channel, told.failed)
        })?
    }
}

/// Where to publish to. A dry run without a store looks into an empty one, which is removed afterwards.
struct Target {
    publisher: Publisher,
    _empty: Option<tempfile::TempDir>,
}

impl Target {
    fn open(location: &StoreLocation, mode: Mode) -> Result<Self, AssemblyError> {
        if mode == Mode::Commit && matches!(location, StoreLocation::Directory(_)) {
            assembly::create_store(location)?;
        }
        match assembly::publisher(location) {
            Err(AssemblyError::NoStore(_)) if mode == Mode::DryRun => {
                let empty = tempfile::tempdir().map_err(|source| AssemblyError::System {
                    action: "create a temporary directory",
                    source,
                })?;
                let location = StoreLocation::Directory(empty.path().join("store"));
                assembly::create_store(&location)?;
                Ok(Self {
                    publisher: assembly::publisher(&location)?,
                    _empty: Some(empty),
                })
            }
            publisher => Ok(Self {
                publisher: publisher?,
                _empty: None,
            }),
        }
    }
}
