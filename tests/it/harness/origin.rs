//! A running origin: a store, a configuration, the process, its two addresses and everything it logs.
//!
//! `Origin::shared` is for tests that only read; whatever changes a store, a limit or the process starts its own with
//! `Setup`. Kills by its own process id only, when dropped.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use tempfile::TempDir;

use super::wire::{self, Conn, Response};
use super::{PATIENCE, cli, fixture, poll};

/// What an origin is started with. The defaults are the product's own, except that a drain begins without its delay.
pub struct Setup {
    config: String,
    threads: usize,
    store: Option<Arc<StoreDir>>,
    bucket: Option<(String, Vec<(&'static str, String)>)>,
    environment: Vec<(&'static str, String)>,
}

/// A store in a directory of its own, removed with the last origin that serves it.
pub struct StoreDir(TempDir);

/// A running `headwater serve`.
pub struct Origin {
    child: Mutex<Child>,
    pid: u32,
    /// Where devices connect.
    pub data: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    log: Log,
    /// The store and the directory of the configuration file, kept until the process has ended.
    _held: (Option<Arc<StoreDir>>, TempDir),
}

/// Every line the process printed, from both streams.
type Log = Arc<Mutex<Vec<String>>>;

impl StoreDir {
    /// A directory where nothing was published yet.
    pub fn empty() -> Arc<Self> {
        Arc::new(Self(
            tempfile::Builder::new()
                .prefix("headwater-it-")
                .tempdir()
                .unwrap(),
        ))
    }

    /// A store with the standard release, shared by every origin that runs at the time.
    pub fn standard() -> Arc<Self> {
        static STANDARD: Mutex<Weak<StoreDir>> = Mutex::new(Weak::new());
        let mut slot = STANDARD.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = slot.upgrade() {
            return store;
        }
        let store = Self::empty();
        let files = tempfile::tempdir().unwrap();
        fixture::write_to(files.path());
        store
            .commands()
            .publish("agent", "1.0.0", &[files.path()], Some("stable"));
        *slot = Arc::downgrade(&store);
        store
    }

    /// A store of its own with one release `agent 1.0.0` of `files`, channel `stable`.
    pub fn with_files(files: &[(&str, &[u8])]) -> Arc<Self> {
        let store = Self::empty();
        store.publish("1.0.0", files, Some("stable"));
        store
    }

    /// Publishes a version of `agent`.
    #[track_caller]
    pub fn publish(&self, version: &str, files: &[(&str, &[u8])], channel: Option<&str>) {
        let input = tempfile::tempdir().unwrap();
        for (name, body) in files {
            let path = input.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, body).unwrap();
        }
        self.commands()
            .publish("agent", version, &[input.path()], channel);
    }

    /// The commands that change it.
    pub fn commands(&self) -> cli::Store<'_> {
        cli::Store(self.path())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The stored file of an artifact of `agent`.
    pub fn artifact(&self, version: &str, name: &str) -> PathBuf {
        self.path().join("artifacts/agent").join(version).join(name)
    }
}

impl Setup {
    /// Product defaults, two threads, the standard store.
    pub fn new() -> Self {
        Self {
            config: "[server]\ndrain_delay = \"0s\"\n".into(),
            threads: 2,
            store: None,
            bucket: None,
            environment: Vec::new(),
        }
    }

    /// The whole configuration file.
    pub fn config(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.config);
        self
    }

    /// Serving threads.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Another store than the standard one.
    pub fn store(mut self, store: &Arc<StoreDir>) -> Self {
        self.store = Some(Arc::clone(store));
        self
    }

    /// A bucket, and what the process needs in its environment to find it.
    pub fn bucket(mut self, url: &str, environment: Vec<(&'static str, String)>) -> Self {
        self.bucket = Some((url.to_owned(), environment));
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Starts it and waits until it accepts.
    #[track_caller]
    pub fn start(self) -> Origin {
        let config = tempfile::tempdir().unwrap();
        let file = config.path().join("origin.toml");
        fs::write(&file, &self.config).unwrap();
        let mut command = cli::command(["serve", "--listen", "127.0.0.1:0"]);
        command
            .args(["--admin", "127.0.0.1:0", "--access-log", "json"])
            .args(["--threads", &self.threads.to_string(), "--config"])
            .arg(&file)
            .envs(self.environment)
            .arg("--store");
        let store = if let Some((url, environment)) = self.bucket {
            command.arg(url).envs(environment);
            None
        } else {
            let store = self.store.unwrap_or_else(StoreDir::standard);
            command.arg(store.path());
            Some(store)
        };
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the executable starts");
        let log = Log::default();
        collect(child.stdout.take().unwrap(), &log);
        collect(child.stderr.take().unwrap(), &log);
        let data = await_line(&log, &mut child, "listening on http://");
        let admin = await_line(&log, &mut child, "admin on http://");
        Origin {
            pid: child.id(),
            child: Mutex::new(child),
            data,
            admin,
            log,
            _held: (store, config),
        }
    }
}

impl Origin {
    /// An origin of the standard release that other tests use at the same time: only read from it.
    #[track_caller]
    pub fn shared() -> Shared {
        static SHARED: Mutex<Weak<Origin>> = Mutex::new(Weak::new());
        let mut slot = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = slot.upgrade() {
            return Shared(origin);
        }
        let origin = Arc::new(Setup::new().start());
        *slot = Arc::downgrade(&origin);
        Shared(origin)
    }

    /// A new connection to the data listener.
    #[track_caller]
    pub fn connect(&self) -> Conn {
        Conn::open(self.data)
    }

    /// One GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str, fields: &str) -> Response {
        wire::get(self.data, target, fields)
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn request(&self, method: &str, target: &str, fields: &str) -> Response {
        wire::request(self.data, method, target, fields)
    }

    /// One GET to the admin listener.
    #[track_caller]
    pub fn admin_get(&self, target: &str) -> Response {
        wire::get(self.admin, target, "")
    }

    /// The process id, for `/proc`.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Every line printed so far.
    pub fn log(&self) -> Vec<String> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends the signal that asks for a drain.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.as_pid(), signal).expect("the process lives");
    }

    /// Limits how many descriptors the process may have from now on.
    pub fn limit_descriptors(&self, max: u64) {
        let limit = Rlimit {
            current: Some(max),
            // Inherited from here, and not ours to raise.
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        prlimit(Some(self.as_pid()), Resource::Nofile, limit).expect("a limit may be lowered");
    }

    /// Waits for the process to end by itself.
    #[track_caller]
    pub fn await_exit(&self, within: Duration) -> ExitStatus {
        poll(within, "the process ends", || self.try_exit())
    }

    /// How it ended, if it has.
    pub fn try_exit(&self) -> Option<ExitStatus> {
        self.lock_child().try_wait().unwrap()
    }

    /// Insists that it is still the same process and answers (R25).
    #[track_caller]
    pub fn assert_alive(&self) {
        assert_eq!(self.try_exit(), None, "the process ended");
        assert_eq!(self.get("/healthz", "").status, 200);
    }

    fn as_pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap()
    }

    fn lock_child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(
        clippy::print_stderr,
        reason = "shown by the test runner, for failed tests only"
    )]
    fn show_log(&self) {
        let log = self.log();
        eprintln!("--- the origin's last lines (process {}) ---", self.pid);
        for line in &log[log.len().saturating_sub(40)..] {
            eprintln!("{line}");
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        {
            let mut child = self.lock_child();
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            self.show_log();
        }
    }
}

/// A hold on the shared origin; the last one to go ends it.
pub struct Shared(Arc<Origin>);

impl Deref for Shared {
    type Target = Origin;
    fn deref(&self) -> &Origin {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The last holder's log is shown by the origin itself.
        if std::thread::panicking() && Arc::strong_count(&self.0) > 1 {
            self.0.show_log();
        }
    }
}

fn collect(stream: impl Read + Send + 'static, log: &Log) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    });
}

#[track_caller]
fn await_line(log: &Log, child: &mut Child, prefix: &str) -> SocketAddr {
    poll(PATIENCE, prefix, || {
        let lines = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found = lines.iter().find_map(|line| line.strip_prefix(prefix));
        if let Some(address) = found {
            return Some(address.trim_end_matches('/').parse().expect("an address"));
        }
        let ended = child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "`serve` ended ({ended:?}): {}",
            lines.join("\n")
        );
        None
    })
}
