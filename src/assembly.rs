//! The composition root: which store, which clock, which runtime.
//!
//! The only place that names a concrete store (in `assembly/store.rs`) and reads the clock. Never decides anything about
//! a release or a request.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError};
use crate::edge::policy::invalidation::Item;
use crate::edge::proxy::api::Control;
use crate::edge::proxy::engine::{Engine, EngineError, Parameters, Stats};
use crate::edge::proxy::face::Face;
use crate::edge::proxy::log::{self, RecordLog, Writer};
use crate::edge::proxy::sent::SENT_FILES_MAX;
use crate::edge::settings::Settings;
use crate::model::Clock;
use crate::server::{self, Listeners, Pulse, Secrets, ServeError, Surroundings};
use crate::store::{Store, StoreError};

mod cdn;
mod service;
mod signals;
mod store;

pub use cdn::{cdn, now};
pub use service::Service;
pub use signals::cancelled_by_signals;
pub use store::{
    ConditionalWrites, StoreState, TRIAL_PRODUCT, create_store, examine_bucket, open_store,
    publisher,
};

/// Why the parts could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// There is nothing where the store should be.
    #[error("there is no store at `{0}`")]
    NoStore(String),
    /// There is no bucket of that name.
    #[error(transparent)]
    NoBucket(StoreError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(StoreError),
    /// The AWS settings name a region or an address that is none.
    #[error("{name} in the AWS settings {what}")]
    AwsSetting {
        /// Which: the name, and where it may stand.
        name: &'static str,
        /// What is wrong with it, without a value that may hold a credential.
        what: String,
    },
    /// The file of origin secrets cannot be used.
    #[error(transparent)]
    Secrets(ConfigError),
    /// A server speaks S3 and ignores what every promise of the store rests on.
    #[error("the server behind `{0}` ignores conditional writes")]
    Unconditional(String),
    /// The operating system refuses something that every run needs.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The server failed as a whole.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// An edge cannot have its address.
    #[error("cannot listen on `listener.listen` = {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// An edge cannot log its requests.
    #[error("cannot open the log of requests `{path}`")]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An edge cannot be built.
    #[error(transparent)]
    Edge(#[from] EngineError),
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
fn clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// Runs one command to its end. Several threads: an ingest hashes one chunk while it writes another.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, AssemblyError> {
    Ok(runtime()?.block_on(future))
}

fn runtime() -> Result<Runtime, AssemblyError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(system("start the runtime"))
}

fn system(action: &'static str) -> impl FnOnce(io::Error) -> AssemblyError {
    move |source| AssemblyError::System { action, source }
}

/// An origin whose sockets are bound and whose store is open: nothing that depends on the machine can fail any more.
#[derive(Debug)]
pub struct Origin {
    listeners: Listeners,
    store: Arc<dyn Store>,
    secrets: Secrets,
    config: Config,
}

impl Origin {
    /// Reads the secrets, opens the store and binds the sockets.
    pub fn bind(config: Config) -> Result<Self, AssemblyError> {
        let accepted = config.server.accepted_secrets();
        let secrets = Secrets::new(accepted.map_err(AssemblyError::Secrets)?);
        let store = store::open_store_to_serve(&config.store)?;
        let listeners = Listeners::bind(config.server.listen, config.server.admin)?;
        let limits = &config.limits;
        raise_descriptor_limit(
            limits.connections_max + limits.open_artifacts_max,
            "`limits.connections_max` and `limits.open_artifacts_max`",
        );
        Ok(Self {
            listeners,
            store,
            secrets,
            config,
        })
    }

    /// Where devices and edges connect; a port 0 has become a real one.
    pub fn listen_address(&self) -> Result<SocketAddr, AssemblyError> {
        let address = self.listeners.data.local_addr();
        address.map_err(system("ask for the address of the listener"))
    }

    /// Where operators connect.
    pub fn admin_address(&self) -> Result<SocketAddr, AssemblyError> {
        let address = self.listeners.admin.local_addr();
        address.map_err(system("ask for the address of the admin listener"))
    }

    /// Serves until `shutdown` is cancelled and the drain has ended. Blocks.
    pub fn run(self, shutdown: &CancellationToken) -> Result<(), AssemblyError> {
        let pulse = Pulse::new(self.config.server.threads, None);
        self.run_with(pulse, shutdown)
    }

    /// As [`Origin::run`], as a service: its manager is told how it is, and at SIGHUP it reads its secrets again.
    pub fn run_as(
        self,
        service: Service,
        shutdown: &CancellationToken,
    ) -> Result<(), AssemblyError> {
        let pulse = Pulse::new(self.config.server.threads, service.beat_every());
        let attended = service.attend(&self, &pulse, shutdown)?;
        let outcome = self.run_with(pulse, shutdown);
        attended.end();
        outcome
    }

    fn run_with(
        self,
        pulse: Arc<Pulse>,
        shutdown: &CancellationToken,
    ) -> Result<(), AssemblyError> {
        Ok(server::run(
            self.listeners,
            Surroundings {
                store: self.store,
                clock: clock(),
                access_log: Box::new(io::stdout()),
                secrets: self.secrets,
                pulse,
            },
            &self.config,
            shutdown,
        )?)
    }
}

/// An edge whose socket is bound and whose log is open.
pub struct Edge {
    listener: TcpListener,
    log: Option<(RecordLog, Writer)>,
    engine: Arc<Engine>,
    runtime: Runtime,
    settings: Settings,
}

/// Bodies that an edge has open at a time, beside one descriptor for each viewer.
const OPEN_BODIES: usize = 1024;

impl Edge {
    /// Binds the socket, opens the log (a file that is there grows), builds the layers.
    pub fn bind(settings: Settings, log: Option<&Path>) -> Result<Self, AssemblyError> {
        let address = settings.listener.listen;
        let listener =
            server::listen(address).map_err(|source| AssemblyError::Listen { address, source })?;
        let log = log.map(start_log).transpose()?;
        let wanted = settings.listener.connections_max + OPEN_BODIES + SENT_FILES_MAX;
        raise_descriptor_limit(wanted, "`listener.connections_max`");
        let runtime = runtime()?;
        let engine = {
            let _inside = runtime.enter();
            Engine::new(parameters(&settings))?
        };
        Ok(Self {
            listener,
            log,
            engine,
            runtime,
            settings,
        })
    }

    /// Where viewers connect; a port 0 has become a real one.
    pub fn listen_address(&self) -> Result<SocketAddr, AssemblyError> {
        let address = self.listener.local_addr();
        address.map_err(system("ask for the address of the listener"))
    }

    /// A hold on it for whoever runs it in his own process.
    #[must_use]
    pub fn desk(&self) -> Desk {
        Desk(Arc::clone(&self.engine))
    }

    /// Serves until `shutdown` is cancelled and the drain has ended. Blocks.
    pub fn run(self, shutdown: &CancellationToken) -> Result<(), AssemblyError> {
        let (log, writer) = self.log.unzip();
        let distribution = self.settings.distribution;
        let control = Control::new(
            Arc::clone(&self.engine),
            distribution.id,
            self.settings.invalidation,
            &clock(),
        );
        let face = Face {
            engine: self.engine,
            control: Arc::new(control),
            listener: self.settings.listener,
            domain: Arc::from(distribution.domain),
            log,
            clock: clock(),
        };
        let served = self.runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener)
                .map_err(system("hand the listener to the runtime"))?;
            face.serve(listener, shutdown.clone()).await;
            Ok(())
        });
        // Fills that nobody waits for any more must not keep the process; what holds the log goes with them.
        self.runtime.shutdown_timeout(FILLS_GRACE);
        if let Some(writer) = writer {
            writer.finish();
        }
        served
    }
}

/// An edge of this process, past its API: what it counts, and purges that take effect at once.
#[derive(Clone)]
pub struct Desk(Arc<Engine>);

impl Desk {
    /// What it has counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// Drops what the paths name, as CloudFront's API spells them; says how many copies that were.
    #[must_use]
    pub fn purge(&self, paths: &[String]) -> usize {
        // What is no path of that API names nothing.
        let items = paths.iter().filter_map(|path| Item::parse(path).ok());
        self.0.invalidate(&items.collect::<Vec<_>>())
    }
}

/// Long enough for tasks to be dropped, with the files they have open.
const FILLS_GRACE: Duration = Duration::from_secs(1);

fn parameters(settings: &Settings) -> Parameters {
    Parameters {
        distribution: Arc::new(settings.distribution.clone()),
        topology: settings.topology.clone(),
        pop_cache: settings.pop_cache,
        regional_cache: settings.regional_cache,
        memory_object_max: settings.memory_object_max,
        memory_max: settings.memory_max,
        disk: settings.disk.clone(),
        stream_along: settings.stream_along,
        clock: clock(),
    }
}

fn start_log(path: &Path) -> Result<(RecordLog, Writer), AssemblyError> {
    let failed = |source| AssemblyError::Log {
        path: path.to_owned(),
        source,
    };
    let file = log::open(path).map_err(failed)?;
    RecordLog::start(Box::new(file)).map_err(failed)
}

/// Descriptors beside connections and bodies: listeners, event queues, the store's own, logs.
const DESCRIPTORS_BESIDE: u64 = 256;

/// `keys` are the settings that ask for so many.
fn raise_descriptor_limit(wanted: usize, keys: &str) {
    let wanted = wanted as u64 + DESCRIPTORS_BESIDE;
    let reachable = allow_descriptors(wanted);
    if reachable < wanted {
        tracing::warn!(
            reachable,
            wanted,
            "the limit of open files is below what {keys} may need; raise it (systemd: LimitNOFILE) or lower them"
        );
    }
}

/// Raises this process's limit of open files to `wanted`, as far as it may, and says how many it may have then.
/// Service managers and shells leave the soft limit at 1,024 for programs that use `select`; this one does not.
#[must_use]
pub fn allow_descriptors(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let reachable = now.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let current = now.current.unwrap_or(u64::MAX);
    if current >= reachable {
        return current;
    }
    let raised = Rlimit {
        current: Some(reachable),
        maximum: now.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => reachable,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            current
        }
    }
}
