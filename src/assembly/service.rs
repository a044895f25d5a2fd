//! What a running origin does for whoever manages it as a service: at SIGHUP it reads its secrets again.
//!
//! Owns the thread that waits for this. Never touches a connection, and never ends the process.

use std::thread::JoinHandle;

use tokio::runtime::Runtime;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use super::signals::hangups;
use super::{AssemblyError, Origin, system};
use crate::config::{ConfigError, Server};
use crate::server::Secrets;
use crate::telemetry::chain;

/// This process as a service: from here on SIGHUP does not end it.
pub struct Service {
    runtime: Runtime,
    hangups: Signal,
}

impl Service {
    /// Begins to listen.
    pub fn listen() -> Result<Self, AssemblyError> {
        let (runtime, hangups) = hangups()?;
        Ok(Self { runtime, hangups })
    }

    /// Starts the thread that attends to `origin`.
    pub(super) fn attend(self, origin: &Origin) -> Result<Attended, AssemblyError> {
        let Self { runtime, hangups } = self;
        let attendant = Attendant {
            server: origin.config.server.clone(),
            secrets: origin.secrets.clone(),
        };
        let ended = CancellationToken::new();
        let end = ended.clone();
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = end.cancelled() => (),
                    () = attendant.attend(hangups) => (),
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

struct Attendant {
    server: Server,
    secrets: Secrets,
}

impl Attendant {
    async fn attend(&self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            self.reload().await;
        }
    }

    /// Takes the new secrets, or keeps those before and says why.
    async fn reload(&self) {
        if self.server.origin_secrets_path.is_none() {
            tracing::info!("nothing to read again: `server.origin_secrets_path` names no file");
            return;
        }
        let server = self.server.clone();
        let read = tokio::task::spawn_blocking(move || server.accepted_secrets());
        match read.await {
            Ok(Ok(accepted)) => {
                tracing::info!(secrets = accepted.len(), "read the origin secrets again");
                self.secrets.replace(accepted);
            }
            Ok(Err(error)) => tracing::error!(
                error = in_a_line(&error),
                "cannot take new origin secrets; those before stay"
            ),
            Err(gone) => tracing::error!(
                error = chain(&gone),
                "cannot take new origin secrets; those before stay"
            ),
        }
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
