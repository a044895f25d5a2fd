//! The admin listener's handler: liveness, readiness, metrics.
//!
//! Owns what "ready" means: not draining, and the store can be read. Never reachable through the data listener, and
//! never counted among its requests.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use tokio::time::{Instant, timeout};

use super::connection::{Answer, Answering, Handler};
use super::exchange::{Incoming, Record};
use super::metrics::Snapshot;
use super::origin::{Shared, plain};
use crate::http::{Method, Problem, Reply, RequestHead, healthy, problem};
use crate::telemetry::chain;

/// Less than the shortest time-out of a load balancer's health check (2 s), so that a store that hangs is reported
/// as such and not as a dead server.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1500);

/// The handler of the admin listener.
pub struct Admin {
    shared: Arc<Shared>,
    is_draining: Arc<AtomicBool>,
}

impl Admin {
    /// Looks at the origin that `shared` belongs to.
    #[must_use]
    pub fn new(shared: Arc<Shared>, is_draining: Arc<AtomicBool>) -> Self {
        Self {
            shared,
            is_draining,
        }
    }

    async fn respond(self: Rc<Self>, head: RequestHead) -> Answer {
        let reply = match head.path() {
            b"/healthz" => healthy(),
            b"/readyz" => match self.obstacle().await {
                None => text(
                    StatusCode::OK,
                    "text/plain; charset=utf-8",
                    "ready\n".into(),
                ),
                Some(why) => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "text/plain; charset=utf-8",
                    why,
                ),
            },
            b"/metrics" => {
                let snapshot = Snapshot {
                    store_errors: self.shared.index.store_errors(),
                    releases_loaded: self.shared.index.loaded_releases() as u64,
                    artifacts_open: self.shared.artifacts.len() as u64,
                    log_dropped: self
                        .shared
                        .log
                        .as_ref()
                        .map_or(0, super::access::AccessLogger::dropped),
                    is_ready: self.obstacle().await.is_none(),
                };
                let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                text(StatusCode::OK, form, self.shared.metrics.scrape(snapshot))
            }
            _ => uncached(problem(Problem::NotFound)),
        };
        plain(reply, Some(head))
    }

    /// Why no new clients should be sent here, in a line for operators.
    async fn obstacle(&self) -> Option<String> {
        if self.is_draining.load(Ordering::Relaxed) {
            return Some("draining\n".into());
        }
        match timeout(PROBE_TIMEOUT, self.shared.index.store().probe()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                let error = chain(&error);
                tracing::warn!(error, "not ready");
                Some(format!("the store cannot be read: {error}\n"))
            }
            Err(_elapsed) => Some(format!(
                "the store does not answer within {} s: `{}`\n",
                PROBE_TIMEOUT.as_secs_f32(),
                self.shared.index.store().describe(),
            )),
        }
    }
}

impl Handler for Admin {
    fn answer(self: Rc<Self>, incoming: Incoming, _now: Instant) -> Answering {
        match incoming {
            Incoming::Refused(refusal) => Answering::Now(plain(problem(refusal.into()), None)),
            Incoming::Request(head) if head.method == Method::Other => {
                Answering::Now(plain(problem(Problem::MethodNotAllowed), Some(head)))
            }
            Incoming::Request(head) => Answering::Later(Box::pin(self.respond(head))),
        }
    }

    fn observe(&self, _record: &Record) {}

    fn abandon(&self) {}
}

/// Nothing that the admin listener says may be kept, not even that there is nothing.
fn uncached(mut reply: Reply) -> Reply {
    reply
        .headers
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Reply {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Reply {
        status,
        headers,
        body: Bytes::from(body),
    }
}
