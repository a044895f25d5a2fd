//! One thread that accepts and serves.
//!
//! Owns accepting: the limit on connections, what happens without free descriptors, and the order of a drain as one
//! thread sees it. Every worker has its own runtime and its own clone of the listening socket, so that a connection
//! never moves between threads. Never reads a request.

use std::io;
use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::connection::{Handler, Site, serve};
use super::metrics::Metrics;
use crate::telemetry::chain;

/// How long accepting rests after a failure that does not go away by itself, such as no free descriptor: long enough
/// not to spin, short enough that a client in the backlog hardly notices.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Unsent bytes that the kernel holds for one client before it asks for more. As much as one write takes: a fast link
/// never runs dry, a slow client shows its progress every hundred kilobytes, which is what the stall deadline goes by,
/// and thousands of slow ones do not fill the machine with copies (the kernel's own limit is megabytes each).
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// Connections of all workers together.
#[derive(Clone, Debug)]
pub struct Places {
    taken: Arc<AtomicUsize>,
    max: usize,
}

impl Places {
    /// So many.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            taken: Arc::default(),
            max,
        }
    }

    fn take(&self) -> Option<Place> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.taken));
        (taken < self.max).then_some(place)
    }
}

/// One connection's place; free again when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts and serves until the site's `stop`, then until every connection has ended or `kill`.
pub async fn run<H: Handler>(
    listener: StdListener,
    site: Rc<Site<H>>,
    places: Places,
    metrics: Arc<Metrics>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let tracker = TaskTracker::new();
    let admit = |stream: TcpStream| admit(stream, &site, &places, &metrics, &tracker);
    loop {
        let accepted = tokio::select! {
            biased;
            () = site.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => {
                crate::crash::point("worker.accepted");
                admit(stream);
            }
            Err(error) => {
                metrics.accept_errors.inc();
                if !is_about_one_connection(&error) {
                    tracing::warn!(error = chain(&error), "cannot accept");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }
    // Whoever completed the handshake before the listener closes was promised an answer.
    while let Some(Ok((stream, _peer))) = now_or_never(listener.accept()).await {
        admit(stream);
    }
    drop(listener);
    tracker.close();
    tracker.wait().await;
    Ok(())
}

fn admit<H: Handler>(
    stream: TcpStream,
    site: &Rc<Site<H>>,
    places: &Places,
    metrics: &Arc<Metrics>,
    tracker: &TaskTracker,
) {
    let Some(place) = places.take() else {
        metrics.connections_refused.inc();
        refuse(&stream);
        return;
    };
    if let Err(error) = prepare(&stream) {
        tracing::debug!(error = chain(&error), "a connection ended before it began");
        return;
    }
    let (site, metrics) = (Rc::clone(site), Arc::clone(metrics));
    metrics.connections_open.inc();
    tracker.spawn_local(async move {
        serve(stream, site).await;
        metrics.connections_open.dec();
        drop(place);
    });
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?; // answers are written whole; waiting for more gains nothing
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

/// Above the limit a client is told to come again rather than left waiting; what it sent is not read.
fn refuse(stream: &TcpStream) {
    const ANSWER: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncache-control: no-store\r\n\
        content-length: 0\r\nconnection: close\r\n\r\n";
    let _ = stream.try_write(ANSWER); // a fresh socket has room for it; a client that is gone needs none
}

/// Errors that accept(2) reports for a connection that died in the backlog; the listener is fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Polls once.
async fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match future.as_mut().poll(cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
