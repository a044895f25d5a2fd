//! The documents of the invalidation API.
//!
//! Owns their shapes, in the order of the API's own schema. Never decides what is in them.

use jiff::Timestamp;
use quick_xml::escape::escape;
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::edge::policy::invalidation::Batch;

const NAMESPACE: &str = "http://cloudfront.amazonaws.com/doc/2020-05-31/";
const DECLARATION: &str = "<?xml version=\"1.0\"?>\n";

/// What a client asks for.
pub(super) struct Asked {
    pub(super) caller_reference: String,
    pub(super) paths: Vec<String>,
}

/// Reads an `InvalidationBatch`.
pub(super) fn read_batch(body: &[u8]) -> Result<Asked, Refusal> {
    let malformed = Refusal::of(
        http::StatusCode::BAD_REQUEST,
        "MalformedXML",
        "The XML document is not well-formed, or is not an InvalidationBatch.",
    );
    let text = std::str::from_utf8(body).map_err(|_invalid| malformed.clone())?;
    let batch: ReadBatch = quick_xml::de::from_str(text).map_err(|_invalid| malformed)?;
    let paths = batch
        .paths
        .items
        .map(|items| items.paths)
        .unwrap_or_default();
    if batch.paths.quantity != paths.len() as u64 {
        return Err(Refusal::of(
            http::StatusCode::BAD_REQUEST,
            "InconsistentQuantities",
            "The value of Quantity and the size of Items don't match.",
        ));
    }
    if batch.caller_reference.is_empty() {
        return Err(Refusal::bad_argument(
            "Your request must contain a CallerReference.",
        ));
    }
    Ok(Asked {
        caller_reference: batch.caller_reference,
        paths,
    })
}

#[derive(Deserialize)]
struct ReadBatch {
    #[serde(rename = "Paths")]
    paths: ReadPaths,
    #[serde(rename = "CallerReference", default)]
    caller_reference: String,
}

#[derive(Deserialize)]
struct ReadPaths {
    #[serde(rename = "Quantity")]
    quantity: u64,
    #[serde(rename = "Items")]
    items: Option<ReadItems>,
}

#[derive(Deserialize)]
struct ReadItems {
    #[serde(rename = "Path", default)]
    paths: Vec<String>,
}

/// A batch as it is told at one moment.
pub(super) struct Seen<'a> {
    pub(super) batch: &'a Batch,
    pub(super) is_completed: bool,
    pub(super) created: Timestamp,
}

impl Seen<'_> {
    fn status(&self) -> &'static str {
        if self.is_completed {
            "Completed"
        } else {
            "InProgress"
        }
    }

    /// With milliseconds, as the service writes it.
    fn create_time(&self) -> String {
        format!("{:.3}", self.created)
    }
}

/// An `Invalidation`.
pub(super) fn invalidation(seen: &Seen<'_>) -> String {
    let batch = seen.batch;
    to_document(
        "Invalidation",
        &Invalidation {
            namespace: NAMESPACE,
            id: &batch.id,
            status: seen.status(),
            create_time: seen.create_time(),
            batch: WrittenBatch {
                paths: Paths {
                    quantity: batch.paths.len(),
                    items: Items {
                        paths: &batch.paths,
                    },
                },
                caller_reference: &batch.caller_reference,
            },
        },
    )
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Invalidation<'a> {
    #[serde(rename = "@xmlns")]
    namespace: &'static str,
    id: &'a str,
    status: &'static str,
    create_time: String,
    #[serde(rename = "InvalidationBatch")]
    batch: WrittenBatch<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenBatch<'a> {
    paths: Paths<'a>,
    caller_reference: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Paths<'a> {
    quantity: usize,
    items: Items<'a>,
}

#[derive(Serialize)]
struct Items<'a> {
    #[serde(rename = "Path")]
    paths: &'a [String],
}

/// One page of invalidations, the newest first.
pub(super) struct List<'a> {
    pub(super) marker: &'a str,
    pub(super) items_max: usize,
    pub(super) is_truncated: bool,
    pub(super) shown: &'a [Seen<'a>],
}

/// An `InvalidationList`.
pub(super) fn list(page: &List<'_>) -> String {
    let last = page.shown.last().map(|seen| seen.batch.id.as_str());
    let summaries = page.shown.iter().map(|seen| Summary {
        id: &seen.batch.id,
        create_time: seen.create_time(),
        status: seen.status(),
    });
    let summaries: Vec<Summary<'_>> = summaries.collect();
    to_document(
        "InvalidationList",
        &InvalidationList {
            namespace: NAMESPACE,
            marker: page.marker,
            next_marker: last.filter(|_| page.is_truncated),
            max_items: page.items_max,
            is_truncated: page.is_truncated,
            quantity: summaries.len(),
            items: (!summaries.is_empty()).then_some(Summaries { summaries }),
        },
    )
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InvalidationList<'a> {
    #[serde(rename = "@xmlns")]
    namespace: &'static str,
    marker: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<&'a str>,
    max_items: usize,
    is_truncated: bool,
    quantity: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Summaries<'a>>,
}

#[derive(Serialize)]
struct Summaries<'a> {
    #[serde(rename = "InvalidationSummary")]
    summaries: Vec<Summary<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary<'a> {
    id: &'a str,
    create_time: String,
    status: &'static str,
}

/// An `ErrorResponse`.
pub(super) fn error(code: &str, message: &str, request_id: &str) -> String {
    format!(
        "{DECLARATION}<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{}</Code>\
         <Message>{}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
        escape(code),
        escape(message),
        escape(request_id)
    )
}

fn to_document(root: &str, value: &impl Serialize) -> String {
    // The shapes above are of texts and numbers alone, which all have an XML form.
    let text = quick_xml::se::to_string_with_root(root, value).unwrap_or_default();
    format!("{DECLARATION}{text}")
}
