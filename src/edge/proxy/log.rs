//! The edge's log: one JSON object a line, with the fields of CloudFront's standard logs.
//!
//! Owns how a request's facts become the fields of `edge/policy/record.rs`, and the thread that writes them: `log/file.rs`
//! has what becomes of lines that a disk does not take. Never delays an answer: when the disk is slower than the viewers
//! the queue fills, and lines are lost and counted.

mod file;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, REFERER, USER_AGENT,
};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use jiff::Timestamp;
use serde::Serialize;

use crate::edge::policy::admission::header_block_bytes;
use crate::edge::policy::record::{CacheHitRate, LogRecord, ResultType, date_and_time};

pub use self::file::open;

/// Lines that wait for the writer: a tenth of a second of the busiest hits that one machine serves.
const QUEUE_LINES_MAX: usize = 8192;

/// What is known of one request when its answer has ended. A line is made of it on the writer's thread.
#[derive(Clone, Debug)]
pub struct Record {
    /// When that was.
    pub ended: Timestamp,
    /// The POP, or `-` when the request named none that exists.
    pub location: Arc<str>,
    /// The distribution's domain.
    pub domain: Arc<str>,
    /// The viewer.
    pub address: SocketAddr,
    /// What it asked for.
    pub asked: Asked,
    /// What the answer's head said.
    pub answered: Answered,
    /// Body bytes handed to the connection.
    pub sent: u64,
    /// How it ended.
    pub result: ResultType,
    /// What was decided before the body.
    pub decided: ResultType,
    /// The name of an error, or what the others say.
    pub detailed: &'static str,
    /// `X-Amz-Cf-Id`.
    pub request_id: String,
    /// The positions of a 206.
    pub range: Option<(u64, u64)>,
    /// Until the answer's end.
    pub taken: Duration,
    /// Until its head.
    pub first_byte: Duration,
}

/// A request's line and fields; header values are shared, not copied.
#[derive(Clone, Debug)]
pub struct Asked {
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    forwarded_for: Option<HeaderValue>,
    bytes: u64,
}

impl Asked {
    /// What a line says of a request.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let field = |name: &HeaderName| headers.get(name).cloned();
        let line = request.method().as_str().len() + target_bytes(request.uri()) + LINE_BYTES;
        let body = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok());
        let body: u64 = body.and_then(|text| text.parse().ok()).unwrap_or(0);
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: field(&HOST),
            referer: field(&REFERER),
            user_agent: field(&USER_AGENT),
            forwarded_for: field(&HeaderName::from_static("x-forwarded-for")),
            bytes: (line + header_block_bytes(headers)) as u64 + body,
        }
    }

    /// Whether an answer with this status has no body.
    pub(super) fn is_bodiless(&self, status: StatusCode) -> bool {
        self.method == Method::HEAD
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
    }
}

/// An answer's status and what of its fields is told.
#[derive(Clone, Debug)]
pub struct Answered {
    status: u16,
    content_type: Option<HeaderValue>,
    content_length: Option<u64>,
    bytes: u64,
}

impl Answered {
    /// What a line says of an answer's head. The connection adds fields that frame the body; they are not counted.
    #[must_use]
    pub fn of<B>(response: &Response<B>, content_length: Option<u64>) -> Self {
        let status = response.status();
        let reason = status.canonical_reason().unwrap_or_default();
        let line = "HTTP/1.1 200 \r\n\r\n".len() + reason.len();
        Self {
            status: status.as_u16(),
            content_type: response.headers().get(CONTENT_TYPE).cloned(),
            content_length,
            bytes: (line + header_block_bytes(response.headers())) as u64,
        }
    }

    /// No answer: the viewer left before there was one. Status 0 is what CloudFront's text logs spell `000`.
    pub(super) fn nothing() -> Self {
        Self {
            status: 0,
            content_type: None,
            content_length: None,
            bytes: 0,
        }
    }

    /// `Content-Length`.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.content_length
    }
}

/// What stands in a request line beside method and target, and the empty line behind the fields.
const LINE_BYTES: usize = "  HTTP/1.1\r\n\r\n".len();

fn target_bytes(uri: &Uri) -> usize {
    uri.path_and_query()
        .map_or(0, |target| target.as_str().len())
}

/// CloudFront's fields and one of ours.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    record: LogRecord,
    /// `sc-bytes` without the head: what conservation is about.
    #[serde(rename = "sc-body-bytes")]
    body_bytes: u64,
}

impl From<Record> for Line {
    fn from(record: Record) -> Self {
        let Record {
            asked, answered, ..
        } = record;
        let (date, time) = date_and_time(SystemTime::from(record.ended));
        let text = |value: Option<HeaderValue>| {
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let (range_start, range_end) = record.range.unzip();
        Self {
            body_bytes: record.sent,
            record: LogRecord {
                date,
                time,
                edge_location: record.location.to_string(),
                sc_bytes: answered.bytes + record.sent,
                c_ip: record.address.ip().to_string(),
                method: asked.method.to_string(),
                host: record.domain.to_string(),
                uri_stem: asked.uri.path().to_owned(),
                status: answered.status,
                referer: text(asked.referer),
                user_agent: text(asked.user_agent),
                uri_query: asked.uri.query().map(str::to_owned),
                cookie: None,
                result_type: record.result,
                request_id: record.request_id,
                host_header: text(asked.host),
                protocol: "http",
                cs_bytes: asked.bytes,
                time_taken: record.taken.as_secs_f64(),
                forwarded_for: text(asked.forwarded_for),
                ssl_protocol: None,
                ssl_cipher: None,
                response_result_type: record.decided,
                protocol_version: if asked.version == Version::HTTP_10 {
                    "HTTP/1.0"
                } else {
                    "HTTP/1.1"
                },
                fle_status: None,
                fle_encrypted_fields: None,
                c_port: record.address.port(),
                time_to_first_byte: record.first_byte.as_secs_f64(),
                detailed_result_type: record.detailed,
                content_type: text(answered.content_type),
                content_len: answered.content_length,
                range_start,
                range_end,
            },
        }
    }
}

/// Where records go. Dropping the last clone lets the writer finish.
#[derive(Clone, Debug)]
pub struct RecordLog {
    queue: SyncSender<Record>,
    lost: Arc<AtomicU64>,
    rate: Arc<Mutex<CacheHitRate>>,
}

/// The thread that writes; join it to know that the last line is out.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
    lost: Arc<AtomicU64>,
}

impl RecordLog {
    /// Starts the writer.
    pub fn start(sink: Box<dyn Write + Send>) -> io::Result<(Self, Writer)> {
        let (queue, records) = sync_channel(QUEUE_LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let mut lines = file::Lines::new(sink, Arc::clone(&lost));
        let thread = std::thread::Builder::new()
            .name("edge-log".to_owned())
            .spawn(move || lines.write_all(&records))?;
        let writer = Writer {
            thread,
            lost: Arc::clone(&lost),
        };
        let rate = Arc::default();
        Ok((Self { queue, lost, rate }, writer))
    }

    /// Hands over a record. Never waits for a disk.
    pub fn put(&self, record: Record) {
        let (method, status) = (&record.asked.method, record.answered.status);
        self.rate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count(method, status, record.result);
        if self.queue.try_send(record).is_err() && self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("the log of requests cannot keep up; lines are lost");
        }
    }

    /// Of all records that were handed over, lost ones too.
    #[must_use]
    pub fn hit_rate(&self) -> CacheHitRate {
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Waits until everything is written, and says how much was not. The last [`RecordLog`] has to be gone.
    pub fn finish(self) {
        let _ = self.thread.join(); // a panic there has been printed
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "{lost} lines of the log of requests were lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    pub(super) fn record(status: StatusCode) -> Record {
        let request = Request::get("/a?b=c").header(HOST, "h").body(()).unwrap();
        let response = Response::builder().status(status).body(()).unwrap();
        Record {
            ended: Timestamp::UNIX_EPOCH,
            location: Arc::from("FRA56-P1"),
            domain: Arc::from("d"),
            address: "127.0.0.1:9".parse().unwrap(),
            asked: Asked::of(&request),
            answered: Answered::of(&response, Some(7)),
            sent: 7,
            result: ResultType::Hit,
            decided: ResultType::Hit,
            detailed: "Hit",
            request_id: "id".to_owned(),
            range: None,
            taken: Duration::from_millis(2),
            first_byte: Duration::from_millis(1),
        }
    }

    /// Hands what is written to a test, and waits to be allowed to go on.
    struct Sink {
        written: SyncSender<Vec<u8>>,
        allowed: Receiver<()>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.allowed.recv(); // nobody forbids it any more when the test has gone on
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_cloudfronts_fields_and_counts_heads_apart_from_bodies() {
        let line = serde_json::to_value(Line::from(record(StatusCode::OK))).unwrap();
        assert_eq!(line["date"], "1970-01-01");
        assert_eq!(line["cs-uri-stem"], "/a");
        assert_eq!(line["cs-uri-query"], "b=c");
        assert_eq!(line["sc-body-bytes"], 7);
        assert_eq!(line["sc-bytes"], "HTTP/1.1 200 OK\r\n\r\n".len() + 7);
        assert_eq!(
            line["cs-bytes"],
            "GET /a?b=c HTTP/1.1\r\nhost: h\r\n\r\n".len()
        );
        assert_eq!(line["cs(User-Agent)"], "-");
    }

    #[test]
    fn a_stuck_disk_loses_lines_and_never_stops_who_logs() {
        let (written, lines) = sync_channel(1);
        let (allow, allowed) = sync_channel(0);
        let sink = Sink { written, allowed };
        let (log, writer) = RecordLog::start(Box::new(sink)).unwrap();
        let surplus = 100;
        for _ in 0..QUEUE_LINES_MAX + file::LINES_PER_WRITE + surplus {
            log.put(record(StatusCode::OK)); // would hang here
        }
        let lost = log.lost.load(Ordering::Relaxed);
        assert!(lost > 0, "the queue has no bound");
        drop(allow);
        let reader =
            std::thread::spawn(move || lines.iter().flatten().filter(|b| *b == b'\n').count());
        drop(log);
        writer.finish();
        let written = reader.join().unwrap() as u64;
        let put = (QUEUE_LINES_MAX + file::LINES_PER_WRITE + surplus) as u64;
        assert_eq!(written + lost, put);
    }

    #[test]
    fn e15_the_hit_rate_is_that_of_the_records() {
        let (log, writer) = RecordLog::start(Box::new(io::sink())).unwrap();
        assert_eq!(log.hit_rate().percent(), None);
        for result in [
            ResultType::Hit,
            ResultType::Miss,
            ResultType::OriginShieldHit,
            ResultType::Hit,
            ResultType::Error,
        ] {
            log.put(Record {
                result,
                ..record(StatusCode::OK)
            });
        }
        assert_eq!(log.hit_rate().percent(), Some(75.0));
        drop(log);
        writer.finish();
    }
}
