//! An origin as a service: what systemd is told of it, and what it does at SIGHUP.
//!
//! Owns when an origin says that it is ready, alive, reloading and stopping (`sd_notify(3)`), on a thread of its own.
//! Never touches a connection, and never ends the process: a server that is stuck is no longer said to be alive, and
//! the manager does the rest. Without `NOTIFY_SOCKET` nobody is told anything; the crate reads it, and `WATCHDOG_USEC`.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::runtime::Runtime;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use super::signals::hangups;
use super::{AssemblyError, Origin, system};
use crate::config::reading::print_span;
use crate::config::{ConfigError, Server};
use crate::server::{Pulse, Secrets, Watch};
use crate::telemetry::chain;

/// How often a thread beats between two messages that all is well: one beat may come late, or two, and a message is
/// still not sent on old news.
const BEATS_PER_MESSAGE: u32 = 8;

/// This process as a service: from here on SIGHUP does not end it.
pub struct Service {
    runtime: Runtime,
    hangups: Signal,
    /// `sd_watchdog_enabled(3)` asks for a message in half of the time that the manager waits.
    alive_every: Option<Duration>,
}

impl Service {
    /// Begins to listen.
    pub fn listen() -> Result<Self, AssemblyError> {
        let (runtime, hangups) = hangups()?;
        let patience = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero());
        Ok(Self {
            runtime,
            hangups,
            alive_every: patience.map(|patience| patience / 2),
        })
    }

    /// How often each thread of the server has to show that it makes progress.
    pub(super) fn beat_every(&self) -> Option<Duration> {
        self.alive_every.map(|every| every / BEATS_PER_MESSAGE)
    }

    /// Starts the thread that attends to `origin`.
    pub(super) fn attend(
        self,
        origin: &Origin,
        pulse: &Arc<Pulse>,
        shutdown: &CancellationToken,
    ) -> Result<Attended, AssemblyError> {
        let Self {
            runtime,
            hangups,
            alive_every,
        } = self;
        let what = format!(
            "serving {} on {}, admin on {}",
            origin.config.store,
            origin.listen_address()?,
            origin.admin_address()?
        );
        let attendant = Attendant {
            what: what.replace(char::is_control, " "), // a line break would begin another message
            server: origin.config.server.clone(),
            secrets: origin.secrets.clone(),
            shutdown: shutdown.clone(),
        };
        let watch = Watch::new(Arc::clone(pulse));
        let ended = CancellationToken::new();
        let end = ended.clone();
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = end.cancelled() => (),
                    () = attendant.attend(watch, alive_every, hangups) => (),
                }
            });
            runtime.shutdown_background(); // a file that cannot be read must not keep the process
        };
        let thread = std::thread::Builder::new()
            .name("service".to_owned())
            .spawn(work)
            .map_err(system("start the thread of the service"))?;
        Ok(Attended { ended, thread })
    }
}

/// An origin that is attended to.
pub(super) struct Attended {
    ended: CancellationToken,
    thread: JoinHandle<()>,
}

impl Attended {
    /// The origin has ended.
    pub(super) fn end(self) {
        self.ended.cancel();
        let _ = self.thread.join(); // a panic there has been printed
    }
}

/// What became of new secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reloaded {
    Done,
    Refused,
}

struct Attendant {
    /// A line for `systemctl status`.
    what: String,
    server: Server,
    secrets: Secrets,
    shutdown: CancellationToken,
}

impl Attendant {
    /// Goes on until it is dropped.
    async fn attend(&self, mut watch: Watch, alive_every: Option<Duration>, hangups: Signal) {
        // The sockets were bound and the store was looked at before; the first beats say that all threads accept.
        watch.all_have_beaten().await;
        tell(&[NotifyState::Ready, NotifyState::Status(&self.what)]);
        tokio::join!(
            self.say_alive(watch, alive_every),
            self.reload_at(hangups),
            self.say_stopping(),
        );
    }

    /// Says nothing while a thread makes no progress. One that goes on within the manager's patience is forgiven.
    async fn say_alive(&self, mut watch: Watch, every: Option<Duration>) {
        let Some(every) = every else {
            return;
        };
        loop {
            tokio::time::sleep(every).await;
            watch.all_have_beaten().await;
            tell(&[NotifyState::Watchdog]);
        }
    }

    async fn say_stopping(&self) {
        self.shutdown.cancelled().await;
        let within = print_span(self.server.drain_delay + self.server.drain_grace);
        let status = format!("draining, for {within} at most");
        tell(&[NotifyState::Stopping, NotifyState::Status(&status)]);
    }

    async fn reload_at(&self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            // A service that stops must not say that it is ready again; its last requests still meet the new secrets.
            if !self.shutdown.is_cancelled() {
                say_reloading();
            }
            let reloaded = self.reload().await;
            let status = match reloaded {
                Reloaded::Done => self.what.clone(),
                Reloaded::Refused => {
                    format!(
                        "{}; new origin secrets were refused, see the log",
                        self.what
                    )
                }
            };
            if !self.shutdown.is_cancelled() {
                tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
            }
        }
    }

    /// Takes the new secrets, or keeps those before and says why.
    async fn reload(&self) -> Reloaded {
        if self.server.origin_secrets_path.is_none() {
            tracing::info!("nothing to read again: `server.origin_secrets_path` names no file");
            return Reloaded::Done;
        }
        let server = self.server.clone();
        let read = tokio::task::spawn_blocking(move || server.accepted_secrets());
        let error = match read.await {
            Ok(Ok(accepted)) => {
                tracing::info!(secrets = accepted.len(), "read the origin secrets again");
                self.secrets.replace(accepted);
                return Reloaded::Done;
            }
            Ok(Err(error)) => in_a_line(&error),
            Err(gone) => chain(&gone),
        };
        tracing::error!(error, "cannot take new origin secrets; those before stay");
        Reloaded::Refused
    }
}

/// With the time, by which a manager tells this reload from one that it asked for before (systemd 253 and later).
fn say_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(error = chain(&error), "cannot read the monotonic clock"),
    }
}

/// One message, whole or not at all. A manager that does not listen is no reason to stop serving.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(error = chain(&error), "cannot tell the service manager");
    }
}

/// What the command line prints below each other.
fn in_a_line(error: &ConfigError) -> String {
    match error {
        ConfigError::Invalid { problems } => {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            lines.join("; ")
        }
        other => chain(other),
    }
}
