//! The composition root: which store, which clock, which runtime, and which signals end a server.
//!
//! The only file that names a concrete store and reads the clock. Never decides anything about a release or a request.

use std::future::Future;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, StoreLocation};
use crate::model::Clock;
use crate::publish::Publisher;
use crate::server::{self, Listeners, ServeError, Surroundings};
use crate::store::disk::DirectoryStore;
use crate::store::{Store, StoreError};

/// Why the parts could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// There is nothing where the store should be.
    #[error("there is no store at `{0}`")]
    NoStore(String),
    /// The store cannot be used.
    #[error(transparent)]
    Store(StoreError),
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
}

/// What became of [`create_store`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreState {
    /// This call made it.
    Created,
    /// It was there.
    Present,
}

/// Makes the store, unless it is there.
pub fn create_store(location: &StoreLocation) -> Result<StoreState, AssemblyError> {
    match open_store(location) {
        Ok(_store) => Ok(StoreState::Present),
        Err(AssemblyError::NoStore(_)) => {
            let StoreLocation::Directory(path) = location;
            DirectoryStore::init(path).map_err(AssemblyError::Store)?;
            Ok(StoreState::Created)
        }
        Err(error) => Err(error),
    }
}

/// Opens a store that is there.
pub fn open_store(location: &StoreLocation) -> Result<Arc<dyn Store>, AssemblyError> {
    let StoreLocation::Directory(path) = location;
    match DirectoryStore::open(path) {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
            Err(AssemblyError::NoStore(path.display().to_string()))
        }
        Err(error) => Err(AssemblyError::Store(error)),
    }
}

/// A publisher to a store that is there.
pub fn publisher(location: &StoreLocation) -> Result<Publisher, AssemblyError> {
    Ok(Publisher::new(open_store(location)?, clock()))
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
    config: Config,
}

impl Origin {
    /// Opens the store and binds the sockets.
    pub fn bind(config: Config) -> Result<Self, AssemblyError> {
        let store = open_store(&config.store)?;
        let listeners = Listeners::bind(config.server.listen, config.server.admin)?;
        raise_descriptor_limit(&config);
        Ok(Self {
            listeners,
            store,
            config,
        })
    }

    /// Where devices and edges connect; a port 0 has become a real one.
    pub fn listen_address(&self) -> Result<std::net::SocketAddr, AssemblyError> {
        let address = self.listeners.data.local_addr();
        address.map_err(system("ask for the address of the listener"))
    }

    /// Where operators connect.
    pub fn admin_address(&self) -> Result<std::net::SocketAddr, AssemblyError> {
        let address = self.listeners.admin.local_addr();
        address.map_err(system("ask for the address of the admin listener"))
    }

    /// Serves until `shutdown` is cancelled and the drain has ended. Blocks.
    pub fn run(self, shutdown: &CancellationToken) -> Result<(), AssemblyError> {
        Ok(server::run(
            self.listeners,
            Surroundings {
                store: self.store,
                clock: clock(),
                access_log: Box::new(io::stdout()),
            },
            &self.config,
            shutdown,
        )?)
    }
}

/// Descriptors beside connections and artifacts: listeners, event queues, the store's own, logs.
const DESCRIPTORS_BESIDE: u64 = 256;

fn raise_descriptor_limit(config: &Config) {
    let limits = &config.limits;
    let wanted = (limits.connections_max + limits.open_artifacts_max) as u64 + DESCRIPTORS_BESIDE;
    let reachable = allow_descriptors(wanted);
    if reachable < wanted {
        tracing::warn!(
            reachable,
            wanted,
            "the limit of open files is below what `limits.connections_max` and `limits.open_artifacts_max` may need; \
             raise it (systemd: LimitNOFILE) or lower them"
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

/// A token that the first SIGTERM or SIGINT cancels. A second one ends the process at once, whatever is in flight.
pub fn cancelled_by_signals() -> Result<CancellationToken, AssemblyError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(system("start the runtime for signals"))?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        let listen = |kind: SignalKind| signal(kind).map_err(system("listen for signals"));
        (
            listen(SignalKind::terminate())?,
            listen(SignalKind::interrupt())?,
        )
    };
    let token = CancellationToken::new();
    let cancelled = token.clone();
    let wait = move || {
        runtime.block_on(async {
            next_of(&mut terminate, &mut interrupt).await;
            cancelled.cancel();
            next_of(&mut terminate, &mut interrupt).await;
        });
        std::process::exit(1);
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .map_err(system("start the thread for signals"))?;
    Ok(token)
}

async fn next_of(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
}
