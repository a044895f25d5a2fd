//! The runtime on which all talk with S3 happens.
//!
//! Owns the threads. The threads that serve drive no connection to S3, so that neither slows the other, and connections
//! outlive whoever asked first. What is started here ends with its asker, but for the release of reservations,
//! which a program that ends still waits for. Never knows what is said.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// How long a program that ends waits for the removal of its reservations. One that stays keeps the next publisher
/// waiting until it expires, and harms nobody.
const RELEASE_GRACE: Duration = Duration::from_secs(5);

/// A runtime that may be dropped anywhere.
#[derive(Debug)]
pub(super) struct Io {
    /// Invariant: there until the drop.
    runtime: Option<Runtime>,
    handle: Handle,
    /// Reservations that are being given up, by scope.
    releases: Mutex<HashMap<String, JoinHandle<()>>>,
}

impl Io {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("s3")
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
            releases: Mutex::default(),
        })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs `work` there; dropping the returned future ends it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match AbortOnDropHandle::new(self.handle.spawn(work)).await {
            Ok(done) => done,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            Err(_ended) => std::future::pending().await, // the runtime outlives `self`
        }
    }

    /// Runs the release of a reservation to its end, whoever leaves.
    pub(super) fn release(&self, scope: String, work: impl Future<Output = ()> + Send + 'static) {
        let task = self.handle.spawn(work);
        self.releases().insert(scope, task);
    }

    /// Waits until an earlier reservation of `scope` is given up.
    pub(super) async fn released(&self, scope: &str) {
        let task = self.releases().remove(scope);
        if let Some(task) = task {
            let _ = task.await; // one that failed is like one of another machine
        }
    }

    fn releases(&self) -> std::sync::MutexGuard<'_, HashMap<String, JoinHandle<()>>> {
        self.releases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let releases = std::mem::take(&mut *self.releases());
        if releases.values().any(|task| !task.is_finished()) {
            let (sender, receiver) = std::sync::mpsc::sync_channel(1);
            runtime.spawn(async move {
                for task in releases.into_values() {
                    let _ = task.await;
                }
                let _ = sender.send(()); // whoever waits may have given up
            });
            let _ = receiver.recv_timeout(RELEASE_GRACE);
        }
        runtime.shutdown_background(); // waiting is not allowed inside of asynchronous code
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_runs_elsewhere_and_ends_with_its_asker() {
        let io = Io::start().unwrap();
        let name = io.run(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(name.await.as_deref(), Some("s3"));
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let asked = io.run(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(10), asked)
                .await
                .is_err()
        );
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_end_waits_for_a_release() {
        let io = Io::start().unwrap();
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        io.release("a".to_owned(), async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            done.store(true, Ordering::SeqCst);
        });
        drop(io);
        assert!(is_done.load(Ordering::SeqCst));
    }
}
