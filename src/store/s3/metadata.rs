//! What S3 keeps beside an object's bytes.
//!
//! Owns which fields an object has, so that S3 itself answers as the origin does when it stands in for it, and the
//! digest by which a publisher recognises what it has sent already. Never decides what is recognised: `upload.rs` does.

use std::borrow::Cow;

use object_store::{Attribute, Attributes};

use super::request::Request;
use crate::config::Channels;
use crate::model::{Digest, IMMUTABLE, Lifetime, Locator};
use crate::store::Key;

/// The field of an object that says its digest, after `x-amz-meta-`.
const SHA256: &str = "sha256";

const DOCUMENT: &str = "application/json";
const UNKNOWN: &str = "application/octet-stream";

const NO_STORE: &str = "no-store";

/// The fields of one object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Metadata {
    content_type: String,
    cache_control: Cow<'static, str>,
    sha256: Option<Digest>,
}

impl Metadata {
    /// Of an object under `key`; a document needs no type.
    pub(super) fn of(key: &Key, content_type: Option<&str>, sha256: Option<Digest>) -> Self {
        let locator = Locator::from_store_key(key.as_str());
        let lifetime = locator
            .as_ref()
            .map_or(Lifetime::NoStore, Locator::lifetime);
        let usual = match locator {
            Some(Locator::Artifact(..)) | None => UNKNOWN,
            Some(_) => DOCUMENT,
        };
        Self {
            content_type: content_type.unwrap_or(usual).to_owned(),
            cache_control: match lifetime {
                Lifetime::Immutable => IMMUTABLE.into(),
                // The default: the store does not know what a single origin is configured to say.
                Lifetime::Pointer => Channels::default().cache_control().into(),
                Lifetime::NoStore => NO_STORE.into(),
            },
            sha256,
        }
    }

    /// Of what only publishers look at: leases and notes.
    pub(super) fn private() -> Self {
        Self {
            content_type: DOCUMENT.to_owned(),
            cache_control: NO_STORE.into(),
            sha256: None,
        }
    }

    pub(super) fn to_attributes(&self) -> Attributes {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, self.content_type.clone().into());
        attributes.insert(
            Attribute::CacheControl,
            self.cache_control.to_string().into(),
        );
        if let Some(sha256) = self.sha256 {
            let name = Attribute::Metadata(Cow::Borrowed(SHA256));
            attributes.insert(name, sha256.to_hex().into());
        }
        attributes
    }

    pub(super) fn add_to<'a>(&self, request: Request<'a>) -> Request<'a> {
        let request = request
            .header("content-type", &self.content_type)
            .header("cache-control", &self.cache_control);
        match self.sha256 {
            Some(sha256) => request.header("x-amz-meta-sha256", &sha256.to_hex()),
            None => request,
        }
    }
}

/// The digest that an object was uploaded under, if it says one.
pub(super) fn stored_digest(attributes: &Attributes) -> Option<Digest> {
    let value = attributes.get(&Attribute::Metadata(Cow::Borrowed(SHA256)))?;
    Digest::parse(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(key: &str) -> Metadata {
        Metadata::of(&Key::parse(key).unwrap(), None, None)
    }

    #[test]
    fn each_kind_of_object_is_kept_by_caches_as_the_origin_says() {
        let artifact = metadata("artifacts/agent/1.0/a.bin");
        assert_eq!(
            (artifact.content_type.as_str(), &*artifact.cache_control),
            (UNKNOWN, IMMUTABLE)
        );
        let release = metadata("artifacts/agent/1.0/release.json");
        assert_eq!(
            (release.content_type.as_str(), &*release.cache_control),
            (DOCUMENT, IMMUTABLE)
        );
        assert_eq!(
            metadata("channels/agent/stable.json").cache_control,
            "public, max-age=30, stale-while-revalidate=30, stale-if-error=86400"
        );
        assert_eq!(
            metadata("artifacts/agent/1.0/retired.json").cache_control,
            NO_STORE
        );
    }

    #[test]
    fn the_digest_survives_the_way() {
        let key = Key::parse("artifacts/agent/1.0/a").unwrap();
        let sha256 = Digest::of(b"x");
        let attributes = Metadata::of(&key, Some("text/plain"), Some(sha256)).to_attributes();
        assert_eq!(stored_digest(&attributes), Some(sha256));
        assert_eq!(stored_digest(&Attributes::new()), None);
    }
}
