//! The edge's log: one JSON object a line, with the fields of CloudFront's standard logs.
//!
//! Owns the fields and the thread that writes them. Never delays an answer: when the disk is slower than the viewers the
//! queue fills and lines are lost and counted, and when the disk fails the log ends with a warning.

use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::edge::policy::record::ResultType;

/// Lines that wait for the writer: a tenth of a second of the busiest hits that one machine serves.
const QUEUE_LINES_MAX: usize = 8192;

/// Lines between two flushes while more are waiting. Without any waiting each line is flushed at once.
const LINES_PER_FLUSH: usize = 256;

/// What is said of one request (fact 52), under CloudFront's names.
#[derive(Clone, Debug)]
pub struct Record {
    /// `date` and `time`: when the answer ended, in UTC.
    pub ended: Timestamp,
    /// `x-edge-location`: the POP, or `-` when the request named none that exists.
    pub location: Arc<str>,
    /// `sc-bytes`: body bytes handed to the connection. Unlike CloudFront's it leaves the head out, so that it can be
    /// summed up and compared.
    pub sent: u64,
    /// `c-ip`.
    pub address: IpAddr,
    /// `c-port`.
    pub port: u16,
    /// `cs-method`.
    pub method: http::Method,
    /// `cs-uri-stem`, `cs-uri-query`.
    pub uri: http::Uri,
    /// `x-host-header`.
    pub host: Option<http::HeaderValue>,
    /// `cs-protocol-version`.
    pub version: http::Version,
    /// `sc-status`.
    pub status: u16,
    /// `x-edge-result-type`: how it ended.
    pub result: ResultType,
    /// `x-edge-response-result-type`: what was decided before the body.
    pub decided: ResultType,
    /// `x-edge-detailed-result-type`.
    pub detailed: &'static str,
    /// `x-edge-request-id`.
    pub request_id: String,
    /// `sc-content-type`.
    pub content_type: Option<http::HeaderValue>,
    /// `sc-content-len`.
    pub content_length: Option<u64>,
    /// `sc-range-start`, `sc-range-end`.
    pub range: Option<(u64, u64)>,
    /// `time-taken`, in seconds.
    pub taken: std::time::Duration,
    /// `time-to-first-byte`, in seconds.
    pub first_byte: std::time::Duration,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |value: &Option<http::HeaderValue>| {
            let bytes = value.as_ref().map(http::HeaderValue::as_bytes);
            bytes.map_or_else(
                || "-".to_owned(),
                |bytes| String::from_utf8_lossy(bytes).into_owned(),
            )
        };
        let ended = self.ended.to_zoned(TimeZone::UTC);
        let (start, end) = self.range.unzip();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("date", &ended.date())?;
        map.serialize_entry("time", &format_args!("{:.3}", ended.time()))?;
        map.serialize_entry("x-edge-location", &*self.location)?;
        map.serialize_entry("sc-bytes", &self.sent)?;
        map.serialize_entry("c-ip", &self.address)?;
        map.serialize_entry("c-port", &self.port)?;
        map.serialize_entry("cs-method", self.method.as_str())?;
        map.serialize_entry("cs-uri-stem", self.uri.path())?;
        map.serialize_entry("cs-uri-query", self.uri.query().unwrap_or("-"))?;
        map.serialize_entry("x-host-header", &text(&self.host))?;
        map.serialize_entry("cs-protocol", "http")?;
        map.serialize_entry("cs-protocol-version", &format_args!("{:?}", self.version))?;
        map.serialize_entry("sc-status", &self.status)?;
        map.serialize_entry("x-edge-result-type", &self.result)?;
        map.serialize_entry("x-edge-response-result-type", &self.decided)?;
        map.serialize_entry("x-edge-detailed-result-type", self.detailed)?;
        map.serialize_entry("x-edge-request-id", &self.request_id)?;
        map.serialize_entry("sc-content-type", &text(&self.content_type))?;
        map.serialize_entry("sc-content-len", &self.content_length)?;
        map.serialize_entry("sc-range-start", &start)?;
        map.serialize_entry("sc-range-end", &end)?;
        map.serialize_entry("time-taken", &self.taken.as_secs_f64())?;
        map.serialize_entry("time-to-first-byte", &self.first_byte.as_secs_f64())?;
        map.end()
    }
}

/// Where records go. Dropping the last clone lets the writer finish.
#[derive(Clone, Debug)]
pub struct RecordLog {
    queue: SyncSender<Record>,
    lost: Arc<AtomicU64>,
}

/// The thread that writes; join it to know that the last line is out.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

impl RecordLog {
    /// Starts the writer.
    pub fn start(sink: Box<dyn Write + Send>) -> io::Result<(Self, Writer)> {
        let (queue, records) = sync_channel(QUEUE_LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let thread = std::thread::Builder::new()
            .name("edge-log".to_owned())
            .spawn(move || {
                if let Err(error) = write(&records, BufWriter::new(sink)) {
                    tracing::warn!(%error, "cannot write the log of requests; no further request is logged");
                }
            })?;
        Ok((Self { queue, lost }, Writer(thread)))
    }

    /// Hands over a record. Never waits.
    pub fn put(&self, record: Record) {
        // A writer that has ended has said why.
        if let Err(TrySendError::Full(_record)) = self.queue.try_send(record)
            && self.lost.fetch_add(1, Ordering::Relaxed) == 0
        {
            tracing::warn!("the log of requests cannot keep up; lines are lost");
        }
    }
}

impl Drop for RecordLog {
    fn drop(&mut self) {
        // The log itself holds one count; connections hold the others.
        if Arc::strong_count(&self.lost) == 1 {
            let lost = self.lost.load(Ordering::Relaxed);
            if lost > 0 {
                tracing::warn!(lost, "{lost} lines of the log of requests were lost");
            }
        }
    }
}

impl Writer {
    /// Waits until everything is written. The last [`RecordLog`] has to be gone.
    pub fn finish(self) {
        let _ = self.0.join(); // a panic there has been printed
    }
}

/// Writes until nobody is left to send.
fn write(records: &Receiver<Record>, mut sink: impl Write) -> io::Result<()> {
    while let Ok(first) = records.recv() {
        line(&first, &mut sink)?;
        for record in records.try_iter().take(LINES_PER_FLUSH) {
            line(&record, &mut sink)?;
        }
        sink.flush()?;
    }
    Ok(())
}

fn line(record: &Record, sink: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *sink, record)?;
    sink.write_all(b"\n")
}
