//! `headwater get`: the device. Never downloads anything itself: `device/` does.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::output::{Form, Report, printable, size};
use super::{Context, Failure};
use crate::assembly;
use crate::device::{self, Choice, DeviceError, GetRequest, Got, GotState};
use crate::model::{ArtifactName, ChannelName, Digest, Platform, Product, Version};

/// Fetch what a channel names: check, download, resume, verify, rename into place
#[derive(Args, Debug)]
#[command(after_help = "\
A download that broke off is taken up where it ended, also by the next run. Nothing gets its final name before its \
SHA-256 is the published one.
With --json: {product, channel, version, artifact, size, sha256, path, state, bytes_transferred, bytes_resumed}; `state` \
is \"current\" (it was in place), \"downloaded\" or \"resumed\".

Examples:
  headwater get agent --channel stable --from http://127.0.0.1:8080
  headwater get agent --channel stable --from https://updates.example.com \\
      --platform linux/x86_64 --output /opt/agent
  headwater get agent --channel beta --from https://updates.example.com --artifact agent.zst --json")]
pub(super) struct Typed {
    /// What to update
    product: Product,

    /// The channel to follow
    #[arg(long, value_name = "NAME")]
    channel: ChannelName,

    #[arg(
        long,
        value_name = "URL",
        help = "The edge or origin: http://host[:port] or https://host[:port]"
    )]
    from: String,

    /// Which artifact, when the release has several
    #[arg(long, value_name = "NAME", conflicts_with = "platform")]
    artifact: Option<ArtifactName>,

    /// The artifact for this platform
    #[arg(long, value_name = "os/arch")]
    platform: Option<Platform>,

    /// The folder to put it in
    #[arg(long, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Five more tries bridge an edge's or an origin's restart; an outage is left to the next run, which resumes.
const RETRIES_MAX: u32 = 5;

/// Twice a bad mobile line's worst pause; after that the connection is dead.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct Outcome<'a> {
    product: &'a Product,
    channel: &'a ChannelName,
    version: &'a Version,
    artifact: &'a ArtifactName,
    size: u64,
    sha256: Digest,
    path: String,
    state: &'static str,
    bytes_transferred: u64,
    bytes_resumed: u64,
}

impl<'a> Outcome<'a> {
    fn new(product: &'a Product, channel: &'a ChannelName, got: &'a Got) -> Self {
        Self {
            product,
            channel,
            version: &got.version,
            artifact: &got.artifact,
            size: got.size,
            sha256: got.sha256,
            path: got.path.display().to_string(),
            state: match got.state {
                GotState::Current => "current",
                GotState::Downloaded => "downloaded",
                GotState::Resumed => "resumed",
            },
            bytes_transferred: got.bytes_transferred,
            bytes_resumed: got.bytes_resumed,
        }
    }
}

impl Report for Outcome<'_> {
    fn to_text(&self) -> String {
        let how = match self.state {
            "current" => "was in place".to_owned(),
            "resumed" => {
                format!(
                    "{} fetched, {} kept",
                    size(self.bytes_transferred),
                    size(self.bytes_resumed)
                )
            }
            _ => format!("{} fetched", size(self.bytes_transferred)),
        };
        let Self {
            product,
            version,
            sha256,
            path,
            ..
        } = self;
        format!(
            "{product} {version} is in `{}`: {how}, sha256 {sha256}\n",
            printable(path)
        )
    }
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let choice = match (self.artifact, self.platform) {
            (Some(name), _) => Choice::Named(name),
            (None, Some(platform)) => Choice::For(platform),
            (None, None) => Choice::Only,
        };
        let request = GetRequest {
            from: self.from,
            product: self.product.clone(),
            channel: self.channel.clone(),
            choice,
            output: self.output,
            retries_max: RETRIES_MAX,
            stall_timeout: STALL_TIMEOUT,
        };
        let bar = context.output.bar();
        let got = assembly::block_on(device::get(request, bar.clone()))?.map_err(with_way_out)?;
        bar.finish();
        let outcome = Outcome::new(&self.product, &self.channel, &got);
        context.output.report(Form::of(self.json), &outcome)
    }
}

fn with_way_out(error: DeviceError) -> Failure {
    let hint = match &error {
        DeviceError::Ambiguous { .. } => "choose with --artifact NAME or --platform os/arch",
        DeviceError::Transfer { .. } => "what arrived is kept; the same command takes it up again",
        _ => return Failure::from(error),
    };
    Failure::from(error).with_hint(hint)
}
