//! The origin's server: sockets in, answers out.
//!
//! Owns threads, listeners and the drain. One thread per `server.threads` with a runtime of its own serves devices and
//! edges; the calling thread serves the admin listener; readers (see `readers.rs`) wait for disks. Only reads the
//! store. Read in the order of a request: `worker.rs` accepts, `connection.rs` keeps the deadlines, `wire.rs` is the
//! socket under hyper, `origin.rs` answers, `artifact.rs` and `transmit.rs` get an artifact's bytes to the socket.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use http::HeaderValue;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use crate::catalog::index::Index;
use crate::config::Config;
use crate::http::HeadLimits;
use crate::model::Clock;
use crate::store::Store;

mod access;
mod admin;
mod artifact;
mod blocks;
mod connection;
mod damage;
mod exchange;
mod metrics;
mod origin;
mod payload;
mod pulse;
mod readers;
mod secrets;
mod transmit;
mod wire;
mod worker;

use self::access::AccessLogger;
use self::admin::Admin;
use self::artifact::OpenArtifacts;
use self::blocks::Blocks;
use self::connection::{Handler, Site};
use self::metrics::Metrics;
use self::origin::{Origin, Shared};
pub use self::pulse::{Pulse, Watch};
use self::readers::Readers;
pub use self::secrets::Secrets;
use self::wire::Rules;
use self::worker::Places;

/// Admin connections: a few probes and scrapers; the limit keeps a broken one from taking all descriptors.
const ADMIN_CONNECTIONS_MAX: usize = 256;

/// Documents are small and disks answer in microseconds; a worker needs few threads to wait for them.
const BLOCKING_THREADS_PER_WORKER: usize = 8;

/// Connections that may wait to be accepted: `net.core.somaxconn` of a current kernel, which is also its upper limit.
const BACKLOG: i32 = 4096;

/// A server that failed as a whole: a listener, a thread.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub struct ServeError {
    /// What was tried.
    pub action: String,
    /// Why it failed.
    pub source: io::Error,
}

impl ServeError {
    fn new(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self { action, source }
    }
}

/// The two sockets of a server, bound before anything else starts, so that port 0 works and its number is known.
#[derive(Debug)]
pub struct Listeners {
    /// Devices and edges.
    pub data: TcpListener,
    /// Operators.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds both.
    pub fn bind(data: SocketAddr, admin: SocketAddr) -> Result<Self, ServeError> {
        let bound = |key: &str, addr: SocketAddr| {
            listen(addr).map_err(ServeError::new(format!("listen on `{key}` = {addr}")))
        };
        Ok(Self {
            data: bound("server.listen", data)?,
            admin: bound("server.admin", admin)?,
        })
    }
}

/// A socket that listens, ready for a runtime.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(addr),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?; // a restarted server must not wait for old connections in TIME_WAIT
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What the composition root gives a server beside its configuration.
pub struct Surroundings {
    /// Where bytes live.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Clock,
    /// Where access records go.
    pub access_log: Box<dyn Write + Send>,
    /// What a request must present one of.
    pub secrets: Secrets,
    /// What shows that every thread makes progress.
    pub pulse: Arc<Pulse>,
}

/// Serves until `shutdown` is cancelled and the drain has ended. Blocks the calling thread; starts its own threads.
///
/// # Errors
/// When a thread cannot be started or a listener cannot be used. A connection's failure is never an error here.
pub fn run(
    listeners: Listeners,
    surroundings: Surroundings,
    config: &Config,
    shutdown: &CancellationToken,
) -> Result<(), ServeError> {
    let Surroundings {
        store,
        clock,
        access_log,
        secrets,
        pulse,
    } = surroundings;
    let (reading, readers) =
        Readers::start(config.limits.store_reads_max).map_err(ServeError::new("start readers"))?;
    let log = AccessLogger::start(config.server.access_log, Arc::clone(&clock), access_log)
        .map_err(ServeError::new("start the access log"))?;
    let (log, log_thread) = log.unzip();
    let surroundings = Shareable {
        store,
        clock,
        log,
        secrets,
    };
    let shared = Arc::new(share(config, surroundings, &readers)?);
    let seed = Seed {
        config: config.clone(),
        is_secret_asked_for: shared.secrets.is_asked_for(),
        pulse,
        tokens: Tokens::new(),
        readers,
    };
    let places = Places::new(config.limits.connections_max);
    // Every descriptor that serving takes is taken before the first request is answered.
    let overseeing = Ground::new(listeners.admin)?;
    let mut grounds = Vec::new();
    for _ in 0..config.server.threads.get() {
        let listener = listeners.data.try_clone();
        grounds.push(Ground::new(
            listener.map_err(ServeError::new("share the listener"))?,
        )?);
    }
    drop(listeners.data); // the workers' clones are the last ones, so that a drain closes the socket
    let mut workers = Vec::new();
    for (number, ground) in grounds.into_iter().enumerate() {
        let (seed, shared, places) = (seed.clone(), Arc::clone(&shared), places.clone());
        let work = move || {
            let metrics = Arc::clone(&shared.metrics);
            seed.serve(number, ground, Origin::new(shared), (places, metrics))
        };
        workers.push(spawn(format!("headwater-{number}"), work)?);
    }
    let outcome = seed.oversee(overseeing, &shared, shutdown, workers);
    if let Some(blocks) = shared.artifacts.blocks() {
        blocks.close();
    }
    reading.shutdown_background(); // a reader that waits for a dead disk must not keep the process
    drop(shared);
    if let Some(thread) = log_thread {
        let _ = thread.join(); // the last records are written; a panic there has been printed
    }
    outcome
}

/// What becomes [`Shared`] with the configuration.
struct Shareable {
    store: Arc<dyn Store>,
    clock: Clock,
    log: Option<AccessLogger>,
    secrets: Secrets,
}

/// What the handlers on all threads share.
fn share(config: &Config, with: Shareable, readers: &Readers) -> Result<Shared, ServeError> {
    let store = with.store;
    let limits = &config.limits;
    let cache_control = HeaderValue::from_str(&config.channels.cache_control());
    let index = Index::new(
        Arc::clone(&store),
        limits.store_reads_max,
        limits.store_stale_max,
    );
    let metrics = Arc::new(Metrics::new());
    let blocks = if store.is_remote() {
        Some(Arc::new(open_blocks(config, readers, &metrics)?))
    } else {
        None
    };
    Ok(Shared {
        index: Arc::new(index),
        artifacts: Arc::new(OpenArtifacts::new(
            store,
            blocks,
            readers.clone(),
            limits.open_artifacts_max,
        )),
        metrics,
        log: with.log,
        clock: with.clock,
        secrets: with.secrets,
        ranges_max: limits.ranges_max,
        pointer_cache_control: cache_control.map_err(|invalid| ServeError {
            action: "make Cache-Control".into(),
            source: io::Error::other(invalid),
        })?,
        cache_tag_header: config.server.cache_tag_header.clone(),
    })
}

fn open_blocks(
    config: &Config,
    readers: &Readers,
    metrics: &Metrics,
) -> Result<Blocks, ServeError> {
    let (cache, fetches_max) = (&config.cache, config.limits.store_reads_max);
    let action = match &cache.disk_path {
        Some(path) => format!(
            "open the block cache `cache.disk_path` = {}",
            path.display()
        ),
        None => "open the block cache".to_owned(),
    };
    Blocks::open(cache, fetches_max, readers.clone(), metrics.blocks.clone())
        .map_err(ServeError::new(action))
}

/// How a drain proceeds: `stop` first, `kill` when the grace is over.
#[derive(Clone, Debug)]
struct Tokens {
    /// Answers are the last of their connections.
    draining: Arc<AtomicBool>,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Tokens {
    fn new() -> Self {
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        Self {
            draining: Arc::default(),
            stop,
            kill,
        }
    }

    /// Ends everything at once.
    fn end(&self) {
        self.draining.store(true, Ordering::Relaxed); // first: connections look at it before they ask the others
        self.stop.cancel();
        self.kill.cancel();
    }
}

/// What a thread grows its site from.
#[derive(Clone)]
struct Seed {
    config: Config,
    is_secret_asked_for: bool,
    pulse: Arc<Pulse>,
    tokens: Tokens,
    readers: Readers,
}

impl Seed {
    fn site<H: Handler>(&self, handler: H, tokens: &Tokens) -> Rc<Site<H>> {
        let limits = &self.config.limits;
        let server = &self.config.server;
        let head = HeadLimits {
            head_bytes_max: limits.head_bytes_max,
            fields_max: limits.head_fields_max,
            uri_bytes_max: limits.uri_bytes_max,
        };
        let header = &server.origin_secret_header;
        let secret_header = self.is_secret_asked_for.then(|| header.clone());
        Rc::new(Site {
            handler: Rc::new(handler),
            rules: Rc::new(Rules {
                limits: limits.clone(),
                head,
                secret_header,
                draining: Arc::clone(&tokens.draining),
            }),
            readers: self.readers.clone(),
            // Children: a connection's wait for its drain never meets another thread's on one lock.
            stop: tokens.stop.child_token(),
            kill: tokens.kill.child_token(),
        })
    }

    /// One worker's thread.
    fn serve<H: Handler>(
        &self,
        number: usize,
        ground: Ground,
        handler: H,
        (places, metrics): (Places, Arc<Metrics>),
    ) -> io::Result<()> {
        let site = self.site(handler, &self.tokens);
        let outcome = LocalSet::new().block_on(&ground.runtime, async {
            tokio::task::spawn_local(Arc::clone(&self.pulse).beat(number));
            worker::run(ground.listener, site, places, metrics).await
        });
        if outcome.is_ok() {
            self.pulse.has_served(number);
        }
        ground.runtime.shutdown_background(); // a look at a dead disk must not keep the process
        outcome
    }

    /// The calling thread: serves the admin listener, and leads the drain.
    fn oversee(
        &self,
        ground: Ground,
        shared: &Arc<Shared>,
        shutdown: &CancellationToken,
        workers: Vec<JoinHandle<io::Result<()>>>,
    ) -> Result<(), ServeError> {
        let is_draining = Arc::clone(&self.tokens.draining);
        // The admin listener outlives the data listener: /readyz must say 503 while downloads finish.
        let tokens = Tokens::new();
        let site = self.site(
            Admin::new(Arc::clone(shared), Arc::clone(&is_draining)),
            &tokens,
        );
        let outcome = LocalSet::new()
            .block_on(&ground.runtime, async {
                let overseer = self.pulse.overseer();
                tokio::task::spawn_local(Arc::clone(&self.pulse).beat(overseer));
                let places = Places::new(ADMIN_CONNECTIONS_MAX);
                let serving = worker::run(ground.listener, site, places, Arc::new(Metrics::new()));
                let serving = tokio::task::spawn_local(serving);
                let joined = tokio::task::spawn_blocking(move || join(workers));
                let mut joined = std::pin::pin!(joined);
                let outcome = tokio::select! {
                    // Workers end before a shutdown only when they fail.
                    outcome = &mut joined => outcome,
                    () = shutdown.cancelled() => {
                        is_draining.store(true, Ordering::Relaxed);
                        self.drain().await;
                        joined.await
                    }
                };
                // Also after a worker failed: the others must not go on with nobody to lead their drain.
                self.tokens.end();
                tokens.end();
                let _ = serving.await;
                outcome.unwrap_or_else(|gone| Err(io::Error::other(gone)))
            })
            .map_err(ServeError::new("serve"));
        ground.runtime.shutdown_background(); // nor must a probe of a dead disk
        outcome
    }

    /// Lame duck, then stop, then kill in the background when the grace is over.
    async fn drain(&self) {
        let server = &self.config.server;
        tracing::info!(delay = ?server.drain_delay, grace = ?server.drain_grace, "draining");
        if server.drain_delay > Duration::ZERO {
            tokio::time::sleep(server.drain_delay).await;
        }
        self.tokens.stop.cancel();
        let (kill, grace) = (self.tokens.kill.clone(), server.drain_grace);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(grace).await;
            kill.cancel();
        });
    }
}

fn join(workers: Vec<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    for worker in workers {
        match worker.join() {
            Ok(outcome) => outcome?,
            Err(_panic) => return Err(io::Error::other("a serving thread panicked")),
        }
    }
    Ok(())
}

fn spawn<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, ServeError> {
    let action = format!("start thread `{name}`");
    std::thread::Builder::new()
        .name(name)
        .spawn(work)
        .map_err(ServeError::new(action))
}

/// What a thread serves from.
struct Ground {
    runtime: Runtime,
    listener: TcpListener,
}

impl Ground {
    fn new(listener: TcpListener) -> Result<Self, ServeError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_PER_WORKER)
            .build()
            .map_err(ServeError::new("start a runtime"))?;
        Ok(Self { runtime, listener })
    }
}
