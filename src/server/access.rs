//! The access log: one record per request, written when its answer ended.
//!
//! Owns the form of a record and the promise that a slow reader of the log never delays an answer: records go through
//! a bounded queue to a thread of their own, and one that finds the queue full is dropped and counted. Never decides
//! what is logged elsewhere.

use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use jiff::Timestamp;
use serde::Serialize;

use super::exchange::Record;
use crate::config::AccessLog;
use crate::model::Clock;

/// Records that may wait: some seconds of a busy server's, a few megabytes.
const QUEUE_RECORDS_MAX: usize = 16 * 1024;

/// Where records are handed in; cheap to clone.
#[derive(Clone)]
pub struct AccessLogger {
    form: AccessLog,
    clock: Clock,
    queue: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

/// A record as JSON. Field names are the same in every log and document of this program.
#[derive(Serialize)]
struct JsonRecord<'a> {
    time: Timestamp,
    method: &'a str,
    path: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    body_bytes: u64,
    bytes_sent: u64,
    duration_us: u64,
    ended: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    x_amz_cf_id: Option<&'a str>,
}

impl AccessLogger {
    /// Starts the writing thread; `None` when the log is off. The thread ends when the last clone is dropped.
    pub fn start(
        form: AccessLog,
        clock: Clock,
        output: Box<dyn Write + Send>,
    ) -> std::io::Result<Option<(Self, JoinHandle<()>)>> {
        if form == AccessLog::Off {
            return Ok(None);
        }
        let (queue, records) = sync_channel(QUEUE_RECORDS_MAX);
        let name = "headwater-log".to_owned();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || write(&records, output))?;
        Ok(Some((
            Self {
                form,
                clock,
                queue,
                dropped: Arc::default(),
            },
            thread,
        )))
    }

    /// Records dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Queues a record.
    pub fn log(&self, record: &Record) {
        let line = self.format(record);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(line)
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn format(&self, record: &Record) -> String {
        let head = record.head.as_ref();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let method = head.map_or_else(|| "-".into(), |head| text(head.method_name()));
        let path = head.map_or_else(|| "-".into(), |head| text(head.target()));
        let id = head
            .and_then(|head| head.edge_request_id.as_deref())
            .map(text);
        let range = record.range.map(|granted| granted.to_string());
        let record = JsonRecord {
            time: (self.clock)(),
            method: &method,
            path: &path,
            status: record.status,
            range,
            body_bytes: record.body_len,
            bytes_sent: record.body_sent,
            duration_us: u64::try_from(record.took.as_micros()).unwrap_or(u64::MAX),
            ended: record.ending.as_str(),
            x_amz_cf_id: id.as_deref(),
        };
        match self.form {
            AccessLog::Json => serde_json::to_string(&record).unwrap_or_default(),
            AccessLog::Text | AccessLog::Off => record.to_text(),
        }
    }
}

impl JsonRecord<'_> {
    fn to_text(&self) -> String {
        format!(
            "{time:.3} {method} {path} {status} {sent}/{body} {range} {duration}us {ended} {id}",
            time = self.time,
            method = self.method,
            path = self.path.escape_debug(),
            status = self.status,
            sent = self.bytes_sent,
            body = self.body_bytes,
            range = self.range.as_deref().unwrap_or("-"),
            duration = self.duration_us,
            ended = self.ended,
            id = self.x_amz_cf_id.unwrap_or("-").escape_debug(),
        )
    }
}

/// Writes whatever waits in one go, and flushes when nothing does.
fn write(records: &Receiver<String>, output: Box<dyn Write + Send>) {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    while let Ok(first) = records.recv() {
        let waiting = std::iter::once(first).chain(records.try_iter());
        for line in waiting {
            if writeln!(output, "{line}").is_err() {
                return; // nobody reads any more: records are counted as dropped from now on
            }
        }
        if output.flush().is_err() {
            return;
        }
    }
}
