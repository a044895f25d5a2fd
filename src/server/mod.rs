//! The origin's server.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::store::Store;

/// A server that failed as a whole: a listener, a thread.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
pub struct ServeError {
    /// What was tried.
    pub action: String,
    /// Why it failed.
    pub source: std::io::Error,
}

/// The two sockets of a server, bound before anything else starts, so that port 0 works and tests know the ports.
#[derive(Debug)]
pub struct Listeners {
    /// Devices and edges.
    pub data: TcpListener,
    /// Operators.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds both.
    pub fn bind(_data: SocketAddr, _admin: SocketAddr) -> Result<Self, ServeError> {
        Err(ServeError {
            action: "placeholder".into(),
            source: std::io::ErrorKind::Other.into(),
        })
    }
}

/// Serves until `shutdown` is cancelled and the drain has ended. Blocks the calling thread; starts its own threads.
pub fn run(
    _listeners: Listeners,
    _store: Arc<dyn Store>,
    _config: &Config,
    _shutdown: &CancellationToken,
) -> Result<(), ServeError> {
    Ok(())
}
