//! The protocol of multipart uploads: its six requests and their documents.
//!
//! Owns the XML. Never decides which part is sent or which upload is abandoned (`upload.rs`, `sweep.rs`).

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};

use super::failure::Cause;
use super::metadata::Metadata;
use super::request::{Caller, Failed, Request};
use crate::model::Digest;

/// How long S3 may take to make one object of ten thousand parts: it says minutes, and sends nothing but spaces meanwhile.
const COMPLETION_TIME: Duration = Duration::from_secs(600);

/// Where a part's digest stands.
const CHECKSUM: &str = "x-amz-checksum-sha256";

/// An upload that has begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct UploadName {
    /// Of the object, with the store's prefix.
    pub(super) key: String,
    pub(super) id: String,
}

/// A part that S3 has.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Part {
    #[serde(rename = "PartNumber")]
    pub(super) number: u32,
    pub(super) size: u64,
    /// Real S3 always names one.
    #[serde(rename = "ETag")]
    pub(super) tag: Option<String>,
    /// In base64.
    #[serde(rename = "ChecksumSHA256")]
    pub(super) checksum: Option<String>,
}

/// A part as the completion names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Done {
    #[serde(rename = "PartNumber")]
    pub(super) number: u32,
    #[serde(rename = "ETag", skip_serializing_if = "Option::is_none")]
    pub(super) tag: Option<String>,
    #[serde(rename = "ChecksumSHA256")]
    pub(super) checksum: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Begun {
    upload_id: String,
}

#[derive(Serialize)]
#[serde(rename = "CompleteMultipartUpload")]
struct Completion<'a> {
    #[serde(rename = "Part")]
    parts: &'a [Done],
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parts {
    #[serde(rename = "Part", default)]
    found: Vec<Part>,
    #[serde(default)]
    is_truncated: bool,
    next_part_number_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Uploads {
    #[serde(rename = "Upload", default)]
    found: Vec<Listed>,
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    upload_id: String,
}

fn parse<T: for<'de> Deserialize<'de>>(body: &Bytes) -> Result<T, Failed> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| Failed {
        cause: Cause::Broken(error),
        is_repeated: false,
    };
    let text = std::str::from_utf8(body).map_err(|error| failed(error.into()))?;
    quick_xml::de::from_str(text).map_err(|error| failed(error.into()))
}

impl Caller {
    pub(super) async fn begin(&self, key: &str, metadata: &Metadata) -> Result<UploadName, Failed> {
        let request = Request::new(Method::POST, key, &[("uploads", "")])
            .header("x-amz-checksum-algorithm", "SHA256")
            .header("content-length", "0");
        let request = metadata.add_to(request);
        let begun: Begun = parse(&self.send(request).await?.body)?;
        Ok(UploadName {
            key: key.to_owned(),
            id: begun.upload_id,
        })
    }

    /// Sends one part. S3 compares it with its digest before it keeps it.
    pub(super) async fn put_part(
        &self,
        upload: &UploadName,
        number: u32,
        body: Bytes,
        digest: Digest,
    ) -> Result<Done, Failed> {
        let text = number.to_string();
        let query = [("partNumber", text.as_str()), ("uploadId", &upload.id)];
        let checksum = digest.to_base64();
        let request = Request::new(Method::PUT, &upload.key, &query)
            .header(CHECKSUM, &checksum)
            .body(body, digest);
        let response = self.send(request).await?;
        Ok(Done {
            number,
            tag: response.header("etag").map(str::to_owned),
            checksum,
        })
    }

    /// Makes an object of all parts, unless there is one under its key.
    pub(super) async fn complete(&self, upload: &UploadName, parts: &[Done]) -> Result<(), Failed> {
        let document = quick_xml::se::to_string(&Completion { parts });
        let document = document.map_err(|error| Failed {
            cause: Cause::Broken(error.into()),
            is_repeated: false,
        })?;
        let digest = Digest::of(document.as_bytes());
        let query = [("uploadId", upload.id.as_str())];
        let request = Request {
            longer: COMPLETION_TIME,
            ..Request::new(Method::POST, &upload.key, &query)
        };
        let request = request
            .header("if-none-match", "*")
            .header("content-type", "application/xml")
            .body(document.into(), digest);
        self.send(request).await.map(drop)
    }

    pub(super) async fn abort(&self, upload: &UploadName) -> Result<(), Failed> {
        let query = [("uploadId", upload.id.as_str())];
        let request = Request::new(Method::DELETE, &upload.key, &query);
        match self.send(request).await {
            Err(failed) if failed.cause.code() == "NoSuchUpload" => Ok(()),
            result => result.map(drop),
        }
    }

    /// The parts that S3 has of an upload; `None` when there is no such upload (any more).
    pub(super) async fn parts(&self, upload: &UploadName) -> Result<Option<Vec<Part>>, Failed> {
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let mut query = vec![("uploadId", upload.id.as_str())];
            query.extend(
                marker
                    .as_deref()
                    .map(|marker| ("part-number-marker", marker)),
            );
            let request = Request::new(Method::GET, &upload.key, &query);
            let page: Parts = match self.send(request).await {
                Ok(response) => parse(&response.body)?,
                Err(failed) if failed.cause.code() == "NoSuchUpload" => return Ok(None),
                Err(failed) => return Err(failed),
            };
            found.extend(page.found);
            marker = page.next_part_number_marker;
            if !page.is_truncated || marker.is_none() {
                return Ok(Some(found));
            }
        }
    }

    /// The uploads below `prefix` that have begun and not ended.
    pub(super) async fn uploads(&self, prefix: &str) -> Result<Vec<UploadName>, Failed> {
        let mut found = Vec::new();
        let mut marker: Option<(String, String)> = None;
        loop {
            let mut query = vec![("uploads", ""), ("prefix", prefix)];
            if let Some((key, id)) = &marker {
                query.push(("key-marker", key));
                query.push(("upload-id-marker", id));
            }
            let response = self.send(Request::new(Method::GET, "", &query)).await?;
            let page: Uploads = parse(&response.body)?;
            found.extend(page.found.into_iter().map(|listed| UploadName {
                key: listed.key,
                id: listed.upload_id,
            }));
            marker = page.next_key_marker.zip(page.next_upload_id_marker);
            if !page.is_truncated || marker.is_none() {
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_names_its_parts_in_order() {
        let part = |number, tag: Option<&str>| Done {
            number,
            tag: tag.map(str::to_owned),
            checksum: "x=".to_owned(),
        };
        let parts = [part(1, Some("\"a\"")), part(2, None)];
        let text = quick_xml::se::to_string(&Completion { parts: &parts }).unwrap();
        assert_eq!(
            text,
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag>\
             <ChecksumSHA256>x=</ChecksumSHA256></Part><Part><PartNumber>2</PartNumber>\
             <ChecksumSHA256>x=</ChecksumSHA256></Part></CompleteMultipartUpload>"
        );
    }

    #[test]
    fn listed_parts_are_read_with_and_without_what_some_servers_leave_out() {
        let text = "<?xml version=\"1.0\"?><ListPartsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Bucket>b</Bucket><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>\
            <Part><PartNumber>1</PartNumber><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
            <ChecksumSHA256>c=</ChecksumSHA256><Size>5</Size></Part>\
            <Part><PartNumber>2</PartNumber><Size>6</Size></Part></ListPartsResult>";
        let page: Parts = parse(&Bytes::from_static(text.as_bytes())).unwrap();
        assert_eq!(page.found.len(), 2);
        assert_eq!(page.found[0].tag.as_deref(), Some("\"e\""));
        assert_eq!(page.found[1].checksum, None);
        assert!(page.is_truncated && page.next_part_number_marker.as_deref() == Some("2"));
    }

    #[test]
    fn an_empty_list_of_uploads_is_a_list() {
        let text = "<ListMultipartUploadsResult><Bucket>b</Bucket><KeyMarker/></ListMultipartUploadsResult>";
        let page: Uploads = parse(&Bytes::from_static(text.as_bytes())).unwrap();
        assert!(page.found.is_empty() && !page.is_truncated);
    }
}
