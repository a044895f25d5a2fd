//! Threads that read and hash for those that serve.
//!
//! Owns how many there are and how they keep out of the way. Never knows what is read.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::damage::Damage;

/// How much a reader asks the disk for at once, and how long it keeps a processor: hashing this much takes less than a
/// tenth of a millisecond. Also its only buffer.
pub const READ_BYTES: usize = 128 * 1024;

/// Threads that read and hash for those that serve, without getting into their way: few at a time, at a low priority,
/// and a tenth of a millisecond at a stretch. A flood of cold downloads then slows itself down and not the hot ones.
#[derive(Clone, Debug)]
pub struct Readers {
    runtime: tokio::runtime::Handle,
    permits: Arc<Semaphore>,
}

/// How much nicer than the serving threads. Beside a serving thread that never rests two readers keep a sixth of
/// its processor, so that cold downloads go on; whatever hot requests leave over is theirs anyway.
const READER_NICENESS: i32 = 10;

/// Readers at work for each processor: one may wait for a disk while another hashes. More would only queue for the
/// processor, where they outweigh the serving thread together.
const READERS_PER_PROCESSOR: usize = 2;

impl Readers {
    /// A runtime for at most `threads_max` readers; keep it alive as long as the handle is used. It has a timer, and
    /// no sockets.
    pub fn start(threads_max: usize) -> io::Result<(tokio::runtime::Runtime, Self)> {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = (processors * READERS_PER_PROCESSOR).clamp(1, threads_max.max(1));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .max_blocking_threads(threads)
            .thread_name("headwater-read")
            .on_thread_start(|| {
                // On Linux this is the calling thread's own value; refused, all threads are equal, which is only slower.
                let _ = rustix::process::setpriority_process(None, READER_NICENESS);
            })
            .build()?;
        let readers = Self {
            runtime: runtime.handle().clone(),
            permits: Arc::new(Semaphore::new(threads)),
        };
        Ok((runtime, readers))
    }

    /// Where work that waits belongs, so that it goes on when the connection it was begun for is gone.
    #[must_use]
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    /// Has a reader do what blocks or hashes.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Damage> + Send + 'static,
    ) -> Result<T, Damage> {
        let _permit = self.permits.acquire().await;
        match self.runtime.spawn_blocking(work).await {
            Ok(outcome) => outcome,
            Err(gone) => Err(Damage::Unreadable(io::Error::other(gone))),
        }
    }
}
