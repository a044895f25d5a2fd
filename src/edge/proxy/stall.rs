//! A viewer's socket: it gives up on a peer who takes nothing, and lets the kernel send files.
//!
//! Owns the deadline of a write, and which of two ways bytes go: what stands for a part of a file (`sent.rs`) by
//! `sendfile`, all else as hyper does it. Never looks at a byte, and the deadline costs nothing while the peer reads.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::sent::SentFiles;

/// A viewer's socket.
pub(super) struct Stalling {
    socket: TcpStream,
    sent: Arc<SentFiles>,
    timeout: Duration,
    /// Runs while a write waits for the peer.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Stalling {
    pub(super) fn new(socket: TcpStream, timeout: Duration, sent: &Arc<SentFiles>) -> Self {
        Self {
            socket,
            sent: Arc::clone(sent),
            timeout,
            deadline: None,
        }
    }

    /// Starts, keeps or stops the clock by what a write came to.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.deadline = None;
            return outcome;
        }
        let timeout = self.timeout;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + timeout)));
        if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut found = None;
        let copied = slices.iter().take_while(|slice| {
            found = self.sent.find(slice);
            found.is_none()
        });
        // What comes before a part of a file goes alone: it is a head.
        let copied = &slices[..copied.count()];
        let (Some((file, position)), Some(slice), true) =
            (found, slices.get(copied.len()), copied.is_empty())
        else {
            return Pin::new(&mut self.socket).poll_write_vectored(context, copied);
        };
        let (socket, mut from) = (&self.socket, position);
        loop {
            ready!(socket.poll_write_ready(context))?;
            let send = || {
                let sent = rustix::fs::sendfile(socket, &*file, Some(&mut from), slice.len());
                sent.map_err(io::Error::from)
            };
            match socket.try_io(Interest::WRITABLE, send) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl AsyncRead for Stalling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stalling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.judge(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.poll_send(context, slices);
        self.judge(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Buf as _;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::super::disk::Disk;
    use super::*;

    const MIB: usize = 1 << 20;

    async fn pair(timeout: Duration, disk: &Disk) -> (Stalling, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let viewer = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, viewer) = tokio::join!(listener.accept(), viewer);
        let socket = Stalling::new(accepted.unwrap().0, timeout, disk.sent());
        (socket, viewer.unwrap())
    }

    async fn write(socket: &mut Stalling, slices: &[&[u8]]) -> io::Result<usize> {
        let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        poll_fn(|context| Pin::new(&mut *socket).poll_write_vectored(context, &slices)).await
    }

    fn pattern() -> Vec<u8> {
        (0..=250).cycle().take(8 * MIB).collect()
    }

    #[tokio::test]
    async fn what_stands_for_a_file_arrives_as_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        let (bytes, extent) = (pattern(), disk.allocate(8 << 20).unwrap());
        extent.write(&[bytes.clone().into()], 0).unwrap();
        let mut part = extent.part(5, 7 << 20).unwrap();
        let (mut socket, mut viewer) = pair(Duration::from_secs(60), &disk).await;
        let reading = tokio::spawn(async move {
            let mut received = Vec::new();
            viewer.read_to_end(&mut received).await.unwrap();
            received
        });
        let head = write(&mut socket, &[b"head", &part, b"tail"]).await;
        assert_eq!(head.unwrap(), 4, "the rest is not copied along");
        while !part.is_empty() {
            let sent = write(&mut socket, &[&part, b"tail"]).await.unwrap();
            part.advance(sent); // never more: the tail goes by another way
        }
        drop(socket);
        let received = reading.await.unwrap();
        assert!(received[..4] == *b"head");
        assert!(received[4..4 + 7 * MIB] == bytes[5..5 + 7 * MIB]);
    }

    #[tokio::test]
    async fn what_waits_in_a_socket_outlives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        let (bytes, extent) = (pattern(), disk.allocate(8 << 20).unwrap());
        extent.write(&[bytes.clone().into()], 0).unwrap();
        let (mut socket, mut viewer) = pair(Duration::from_millis(100), &disk).await;
        let mut part = extent.part(0, 8 << 20).unwrap();
        let mut sent = 0;
        let stalled = loop {
            assert!(!part.is_empty(), "the sockets hold all of it");
            match write(&mut socket, &[&part]).await {
                Ok(count) => {
                    sent += count;
                    part.advance(count);
                }
                Err(error) => break error,
            }
        };
        assert_eq!(stalled.kind(), io::ErrorKind::TimedOut);
        assert!(sent > 0);
        drop((part, extent));
        // Whatever takes its place.
        for _ in 0..4 {
            let other = disk.allocate(8 << 20).unwrap();
            other.write(&[vec![0; 8 * MIB].into()], 0).unwrap();
        }
        drop(socket);
        let mut received = Vec::new();
        viewer.read_to_end(&mut received).await.unwrap();
        assert!(received == bytes[..sent], "{} of {sent}", received.len());
    }
}
