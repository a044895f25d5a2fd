//! `headwater edge`: a caching edge in front of an origin, by CloudFront's documented rules.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Failure};
use crate::assembly::{self, Edge};
use crate::config::Flags;
use crate::edge::settings::{Settings, keys};
use crate::telemetry::Format;

/// Cache an origin as CloudFront is documented to do, with POPs, regional caches and an Origin Shield
#[derive(Args, Debug)]
#[command(after_help = "\
Prints `listening on http://ADDR` once it accepts. Viewers see X-Cache, Age, Via, X-Amz-Cf-Pop and X-Amz-Cf-Id, and \
choose a POP with `X-Edge-Pop: 0` (index or name); without it the viewer's address decides. Release engineers' programs \
invalidate through CloudFront's own API under /2020-05-31/ on the same port, whose signatures are not checked. SIGTERM or \
SIGINT ends it: it finishes answers in flight within `listener.drain_grace`, and ends with exit code 0; a second signal \
ends it at once. Nothing it kept outlives it.

It is a model of documented behaviour, not CloudFront. Without --config it behaves as config/edge.toml in the \
repository says, which explains every key.

Examples:
  headwater edge --origin http://127.0.0.1:8080
  headwater edge --origin http://127.0.0.1:8080 --pops 8 --shield off --json-log requests.jsonl
  headwater edge --config edge.toml --listen 127.0.0.1:0      a free port, printed on start
  curl -sI -H 'X-Edge-Pop: 2' http://127.0.0.1:8090/channels/agent/stable.json")]
pub(super) struct Typed {
    #[arg(
        long,
        value_name = "URL",
        help = "The origin, overriding the file's [default: http://127.0.0.1:8080]"
    )]
    origin: Option<String>,

    #[arg(
        long,
        value_name = "ADDR",
        help = "Where viewers connect [default: 127.0.0.1:8090]"
    )]
    listen: Option<String>,

    /// Read the distribution and the desk's parameters from FILE; flags override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[arg(
        long,
        value_name = "N",
        help = "Points of presence, each with caches of its own [default: 4]"
    )]
    pops: Option<String>,

    #[arg(
        long,
        value_name = "on|off",
        help = "One more layer before the origin, in the file's Region [default: on]"
    )]
    shield: Option<String>,

    /// Append one JSON object per request, with the fields of CloudFront's logs
    #[arg(long, value_name = "FILE")]
    json_log: Option<PathBuf>,
}

impl Typed {
    /// Flags are settings like any other: one place judges them, and reports them with the rest.
    fn settings(&self) -> Result<Settings, Failure> {
        let flags = Flags::default()
            .with(keys::ORIGIN_URL, "--origin", self.origin.clone())
            .with(keys::LISTEN, "--listen", self.listen.clone())
            .with(keys::POPS, "--pops", self.pops.clone())
            .with(keys::SHIELD, "--shield", self.shield.clone());
        Ok(Settings::load(self.config.as_deref(), &flags)?)
    }

    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let settings = self.settings()?;
        context.start_logging("info", Format::Text)?;
        // Before the socket: a signal that comes early must end this process as it would later.
        let shutdown = assembly::cancelled_by_signals()?;
        let edge = Edge::bind(settings, self.json_log.as_deref())?;
        let address = edge.listen_address()?;
        context
            .output
            .result(&format!("listening on http://{address}\n"))?;
        Ok(edge.run(&shutdown)?)
    }
}
