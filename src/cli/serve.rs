//! `headwater serve`: the origin.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Failure, StoreArgs};
use crate::assembly::{self, Origin, Service};
use crate::config::{AccessLog, Config, schema};
use crate::telemetry::Format;

/// Serve a store to devices and edges
#[derive(Args, Debug)]
#[command(after_help = "\
Prints `listening on http://ADDR` and `admin on http://ADDR`, a line each, once it accepts. SIGTERM or SIGINT ends it: \
it stops accepting, finishes downloads in flight within `server.drain_grace`, and ends with exit code 0. A second signal \
ends it at once. SIGHUP reads the file of `server.origin_secrets_path` again. It only reads the store, and does not \
create one.

Examples:
  headwater serve
  headwater serve --store /srv/headwater --listen 0.0.0.0:8080 --access-log json
  headwater serve --store s3://updates.example/prod --cache /var/cache/headwater
  headwater serve --config /etc/headwater/origin.toml
  headwater serve --listen 127.0.0.1:0 --admin 127.0.0.1:0      free ports, printed on start")]
pub(super) struct Typed {
    #[command(flatten)]
    store: StoreArgs,

    #[arg(
        long,
        value_name = "ADDR",
        help = "Where devices and edges connect [env: HEADWATER_LISTEN] [default: 127.0.0.1:8080]"
    )]
    listen: Option<String>,

    #[arg(
        long,
        value_name = "ADDR",
        help = "Where operators and health checks connect [env: HEADWATER_ADMIN] [default: 127.0.0.1:8081]"
    )]
    admin: Option<String>,

    #[arg(
        long,
        value_name = "N",
        help = "Threads that serve [env: HEADWATER_THREADS] [default: one per processor]"
    )]
    threads: Option<String>,

    #[arg(
        long,
        value_name = "DIR",
        help = "Keep blocks of artifacts in S3 over a restart [env: HEADWATER_CACHE_PATH] [default: in memory only]"
    )]
    cache: Option<PathBuf>,

    #[arg(
        long,
        value_name = "FORM",
        help = "One record per request: off, text or json [env: HEADWATER_ACCESS_LOG] [default: off]"
    )]
    access_log: Option<String>,
}

impl Typed {
    /// Flags are settings like any other: one place judges them, and reports them with the rest.
    fn config(self, context: &Context) -> Result<Config, Failure> {
        let flags = self
            .store
            .flags()
            .with(schema::LISTEN.key, "--listen", self.listen)
            .with(schema::ADMIN.key, "--admin", self.admin)
            .with(schema::THREADS, "--threads", self.threads)
            .with_path(schema::CACHE_DISK_PATH, "--cache", self.cache)
            .with(schema::ACCESS_LOG, "--access-log", self.access_log);
        Ok(context.load(self.store.config.as_deref(), &flags)?.config)
    }

    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let config = self.config(context)?;
        let format = match config.server.access_log {
            AccessLog::Json => Format::Json,
            AccessLog::Off | AccessLog::Text => Format::Text,
        };
        // While S3 is away, its client tells of each attempt; what came of them is told here, once.
        context.start_logging("info,object_store=warn", format)?;
        // Before the sockets: a signal that comes early must end this process as it would later.
        let shutdown = assembly::cancelled_by_signals()?;
        let service = Service::listen()?;
        let origin = Origin::bind(config)?;
        context.output.result(&format!(
            "listening on http://{}\nadmin on http://{}\n",
            origin.listen_address()?,
            origin.admin_address()?
        ))?;
        Ok(origin.run_as(service, &shutdown)?)
    }
}
