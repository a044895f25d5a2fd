//! Lines on a disk that may be full for a while.
//!
//! Owns what is kept for a sink that failed, when it is tried again, and that no line is ever glued to a torn one. Never
//! waits on behalf of a viewer: it has a thread of its own.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::{Line, Record};

/// Lines that one write may hold: a record must not wait long for those behind it.
pub(super) const LINES_PER_WRITE: usize = 256;

/// What is kept for a sink that takes nothing: some thousand lines. What comes after is lost, and counted.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a sink that failed is left alone when no record comes.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Opens a log to append to. A torn line at its end, from a crash or a full disk, is ended first.
pub fn open(path: &Path) -> io::Result<File> {
    let mut file = File::options().create(true).append(true).open(path)?;
    let about = file.metadata()?;
    // A pipe or a device has no end to look at, and one that may only be written is taken as it is.
    if about.is_file()
        && about.len() > 0
        && let Ok(mut end) = File::open(path)
    {
        let mut last = [0];
        end.seek(SeekFrom::End(-1))?;
        end.read_exact(&mut last)?;
        if last != *b"\n" {
            let _ = file.write_all(b"\n"); // on a full disk it stays torn, and the first line goes with it
        }
    }
    Ok(file)
}

/// Lines on their way into a sink.
pub(super) struct Lines<W> {
    sink: W,
    /// Whole lines, but for the first when the sink took a part of it.
    kept: Vec<u8>,
    lost: Arc<AtomicU64>,
    /// Lines lost when the running outage began; `None`: there is none.
    outage: Option<u64>,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(sink: W, lost: Arc<AtomicU64>) -> Self {
        Self {
            sink,
            kept: Vec::new(),
            lost,
            outage: None,
        }
    }

    /// Writes until nobody is left to send. What the sink has not taken by then is lost.
    pub(super) fn write_all(&mut self, records: &Receiver<Record>) {
        loop {
            let first = if self.kept.is_empty() {
                records.recv().map_err(RecvTimeoutError::from)
            } else {
                records.recv_timeout(RETRY_AFTER)
            };
            match first {
                Ok(first) => {
                    self.keep(first);
                    for record in records.try_iter().take(LINES_PER_WRITE - 1) {
                        self.keep(record);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.write();
        }
        self.write();
        let lines = self.kept.split(|byte| *byte == b'\n').count() - 1; // each ends with one
        self.lost.fetch_add(lines as u64, Ordering::Relaxed);
    }

    fn keep(&mut self, record: Record) {
        let end = self.kept.len();
        let fits = end < KEPT_BYTES_MAX;
        if fits && serde_json::to_writer(&mut self.kept, &Line::from(record)).is_ok() {
            self.kept.push(b'\n');
        } else {
            self.kept.truncate(end);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands on what is kept, as far as the sink takes it, and tells when an outage begins and when it is over.
    fn write(&mut self) {
        let result = self.hand_on();
        let lost = self.lost.load(Ordering::Relaxed);
        match (result, self.outage) {
            (Err(error), None) => {
                self.outage = Some(lost);
                tracing::warn!(%error, "cannot write the log of requests; it is tried again");
            }
            (Ok(()), Some(before)) => {
                self.outage = None;
                let lost = lost - before;
                tracing::info!(
                    lost,
                    "the log of requests is written again; {lost} lines were lost"
                );
            }
            _ => {}
        }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let mut taken = 0;
        let result = loop {
            let rest = self.kept.get(taken..).unwrap_or_default();
            if rest.is_empty() {
                break self.sink.flush();
            }
            match self.sink.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => taken += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.kept.drain(..taken);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;
    use http::StatusCode;

    /// Takes so many bytes, then none.
    #[derive(Default)]
    struct Disk {
        written: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn put(lines: &mut Lines<Disk>, count: usize) {
        for _ in 0..count {
            lines.keep(record(StatusCode::OK));
            lines.write();
        }
    }

    fn whole_lines(disk: &Disk) -> usize {
        let text = std::str::from_utf8(&disk.written).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "a torn end");
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        text.lines().count()
    }

    #[test]
    fn a_short_outage_loses_nothing_and_tears_no_line() {
        let lost = Arc::default();
        let mut lines = Lines::new(Disk::default(), Arc::clone(&lost));
        lines.sink.room = 1_000; // some lines and a part of one
        put(&mut lines, 10);
        assert!(lines.outage.is_some() && lines.sink.room == 0);
        lines.sink.room = usize::MAX;
        put(&mut lines, 1);
        assert_eq!(lines.outage, None);
        assert_eq!(whole_lines(&lines.sink), 11);
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_long_outage_keeps_no_more_than_its_bound_and_counts_the_rest() {
        let lost: Arc<AtomicU64> = Arc::default();
        let mut lines = Lines::new(Disk::default(), Arc::clone(&lost));
        let count = 2 * KEPT_BYTES_MAX / 900;
        put(&mut lines, count);
        assert!(lines.kept.len() < KEPT_BYTES_MAX + 10_000);
        let counted = usize::try_from(lost.load(Ordering::Relaxed)).unwrap();
        assert!(counted > 0);
        lines.sink.room = usize::MAX;
        lines.write();
        assert_eq!(whole_lines(&lines.sink) + counted, count);
    }

    #[test]
    fn what_is_left_at_the_end_is_counted_as_lost() {
        let lost: Arc<AtomicU64> = Arc::default();
        let (queue, records) = std::sync::mpsc::sync_channel(10);
        for _ in 0..3 {
            queue.send(record(StatusCode::OK)).unwrap();
        }
        drop(queue);
        Lines::new(Disk::default(), Arc::clone(&lost)).write_all(&records);
        assert_eq!(lost.load(Ordering::Relaxed), 3);
    }
}
