//! The keys of what is elsewhere: the bucket and how it is reached, the blocks kept of it, the edge that is told.
//!
//! Owns how these keys are read and what they ask of one another. Never takes a credential: no key is one. Read next: `location.rs` for
//! what a bucket and an endpoint are, `schema.rs` for defaults and limits.

use std::path::PathBuf;
use std::time::Duration;

use super::location::{Place, STORE_FORMS, parse_place, read_endpoint, read_region, shown};
use super::raw::{Setting, Source, Value};
use super::schema;
use super::validate::{Reader, expected, read_boolean, read_path, text_of};
use super::{Cache, Cdn, CdnKind, S3Location, StoreLocation};

/// How a bucket is reached: the keys of `[store]` beside its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Access {
    pub(super) region: Option<String>,
    pub(super) endpoint_url: Option<String>,
    pub(super) path_style: Option<bool>,
    pub(super) request_timeout: Duration,
}

/// A text that is set, read by `read`; an empty one says that there is none.
fn read_optional<T>(
    setting: &Setting,
    wanted: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match text_of(setting, wanted)? {
        "" => Ok(None),
        text => read(text).map(Some),
    }
}

impl Reader {
    pub(super) fn access(&mut self) -> Access {
        Access {
            region: self
                .take(schema::STORE_REGION, |setting| {
                    read_optional(setting, "the name of a region, as text", read_region)
                })
                .flatten(),
            endpoint_url: self.endpoint(schema::STORE_ENDPOINT_URL),
            path_style: self
                .take(schema::STORE_PATH_STYLE, read_path_style)
                .flatten(),
            request_timeout: self.span(&schema::REQUEST_TIMEOUT),
        }
    }

    fn endpoint(&mut self, key: &'static str) -> Option<String> {
        self.take(key, |setting| {
            read_optional(setting, "an address, as text", read_endpoint)
        })
        .flatten()
    }

    pub(super) fn store(&mut self, access: &Access) -> StoreLocation {
        let way_out = format!("HEADWATER_STORE or --store has to name {STORE_FORMS}");
        self.refuse_left_open(schema::STORE_PATH, &way_out);
        let place = self.take(schema::STORE_PATH, |setting| match &setting.value {
            Value::Path(path) => match path.to_str() {
                Some(text) => parse_place(text),
                None => Ok(Place::Directory(path.clone())),
            },
            Value::Text(text) => parse_place(text),
            other => Err(expected(
                other,
                "a directory or s3://BUCKET[/PREFIX], as text",
            )),
        });
        match place {
            None => StoreLocation::Directory(PathBuf::from(schema::STORE_PATH_DEFAULT)),
            Some(Place::Directory(path)) => StoreLocation::Directory(path),
            Some(Place::Bucket { bucket, prefix }) => StoreLocation::S3(S3Location {
                bucket,
                prefix,
                region: access.region.clone(),
                endpoint_url: access.endpoint_url.clone(),
                path_style: access.path_style,
                request_timeout: access.request_timeout,
            }),
        }
    }

    pub(super) fn cache(&mut self) -> Cache {
        Cache {
            memory_bytes: self.count(&schema::CACHE_MEMORY_BYTES) as u64,
            disk_path: self
                .take(schema::CACHE_DISK_PATH, |setting| {
                    read_path(setting, "the path of a directory, as text")
                })
                .flatten(),
            disk_bytes: self.count(&schema::CACHE_DISK_BYTES) as u64,
            read_ahead_blocks: self.count(&schema::READ_AHEAD_BLOCKS),
        }
    }

    pub(super) fn cdn(&mut self) -> Cdn {
        let kind = self.take(schema::CDN_KIND, read_kind);
        let distribution_id = self
            .take(schema::CDN_DISTRIBUTION_ID, |setting| {
                read_optional(setting, "the identity of a distribution, as text", read_id)
            })
            .flatten();
        // Naming a distribution is enough: somebody who adds `--distribution-id` wants it told.
        let source = self.sources.get(schema::CDN_DISTRIBUTION_ID).cloned();
        let is_implied = distribution_id.is_some() && !self.sources.contains_key(schema::CDN_KIND);
        if let (Some(source), true) = (source, is_implied) {
            self.sources.insert(schema::CDN_KIND, source);
        }
        Cdn {
            kind: match kind {
                Some(kind) => kind,
                None if is_implied => CdnKind::CloudFront,
                None => CdnKind::None,
            },
            distribution_id,
            endpoint_url: self.endpoint(schema::CDN_ENDPOINT_URL),
            wait: self
                .take(schema::CDN_WAIT, read_boolean)
                .unwrap_or_default(),
            timeout: self.span(&schema::CDN_TIMEOUT),
        }
    }

    /// What the keys of `[cache]` ask of one another.
    pub(super) fn check_cache(&mut self, cache: &Cache) {
        let blocks = schema::blocks_needed(cache.read_ahead_blocks);
        let needed = (blocks * schema::BLOCK_BYTES) as u64;
        if cache.memory_bytes < needed {
            let what = format!(
                "`cache.memory_bytes` is {} and `cache.read_ahead_blocks` is {}; two downloads with so many blocks \
                 ahead need {needed} ({blocks} blocks of 4 MiB)",
                cache.memory_bytes, cache.read_ahead_blocks
            );
            let (memory, ahead) = (
                schema::CACHE_MEMORY_BYTES.key,
                schema::READ_AHEAD_BLOCKS.key,
            );
            self.blame(ahead, memory, what);
        }
        if cache.disk_path.is_none() && cache.disk_bytes != schema::CACHE_DISK_BYTES.default as u64
        {
            let what = format!(
                "`cache.disk_bytes` is {} and `cache.disk_path` names no directory; without one nothing is kept on disk",
                cache.disk_bytes
            );
            self.blame(schema::CACHE_DISK_BYTES.key, schema::CACHE_DISK_PATH, what);
        }
    }

    /// What the keys of `[cdn]` ask of one another.
    pub(super) fn check_cdn(&mut self, cdn: &Cdn) {
        let (kind, id) = (schema::CDN_KIND, schema::CDN_DISTRIBUTION_ID);
        match (cdn.kind, &cdn.distribution_id) {
            (CdnKind::CloudFront, None) => {
                let what = "`cdn.kind` is \"cloudfront\"; then `cdn.distribution_id` has to name the distribution";
                self.blame(kind, id, what.to_owned());
            }
            (CdnKind::None, Some(named)) => {
                // In one file "none" switches off what the next line describes; a flag or a variable that is
                // contradicted by a file was meant to have an effect.
                let is_from_file = matches!(self.sources.get(id), Some(Source::File(..)));
                if !is_from_file {
                    let what = format!(
                        "`cdn.distribution_id` is `{named}` and `cdn.kind` is \"none\"; leave `cdn.kind` out, or set \
                         \"cloudfront\""
                    );
                    self.blame(id, kind, what);
                }
            }
            (CdnKind::CloudFront, Some(_)) | (CdnKind::None, None) => {}
        }
    }
}

fn read_path_style(setting: &Setting) -> Result<Option<bool>, String> {
    match &setting.value {
        Value::Boolean(is_path_style) => Ok(Some(*is_path_style)),
        Value::Text(text) if text == "auto" => Ok(None),
        Value::Text(text) => Err(format!(
            "is `{}`; it has to be true, false or \"auto\"",
            shown(text)
        )),
        other => Err(expected(other, "true, false or \"auto\"")),
    }
}

/// As a file has it.
pub(super) fn print_path_style(path_style: Option<bool>) -> String {
    path_style.map_or_else(|| "\"auto\"".to_owned(), |is_set| is_set.to_string())
}

fn read_kind(setting: &Setting) -> Result<CdnKind, String> {
    let wanted = "\"none\" or \"cloudfront\"";
    let text = text_of(setting, wanted)?;
    CdnKind::parse(text).ok_or_else(|| format!("is `{}`; it has to be {wanted}", shown(text)))
}

fn read_id(text: &str) -> Result<String, String> {
    let is_id = text.len() <= schema::DISTRIBUTION_ID_CHARS_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_id {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "is `{}`; it has to be letters and digits such as EDFDVBD6EXAMPLE",
            shown(text)
        ))
    }
}
