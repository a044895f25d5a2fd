//! Everything that has a URL or a place in the store.
//!
//! The one closed list: it alone knows the URL path, the store key and the cache lifetime of each kind of object,
//! so that adding a kind is a compile error wherever it matters. Never does I/O; what exists is the catalog's business.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use super::{ArtifactName, ChannelName, Product, ReleaseId, Version};

/// One object, or a redirect to one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Locator {
    /// The bytes of an artifact.
    Artifact(ReleaseId, ArtifactName),
    /// `release.json`, the document whose creation commits a publish.
    ReleaseDocument(ReleaseId),
    /// `retired.json`: the release's bytes were taken away for good. Stored, never served.
    Retirement(ReleaseId),
    /// A channel document.
    Channel(Product, ChannelName),
    /// An artifact of whatever release a channel names now: a redirect, nothing stored.
    ChannelArtifact(Product, ChannelName, ArtifactName),
    /// The liveness probe.
    Health,
}

/// How long an edge may keep an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lifetime {
    /// The URL never names other bytes.
    Immutable,
    /// The object changes with its channel.
    Pointer,
    /// Never cached.
    NoStore,
}

/// The `Cache-Control` of [`Lifetime::Immutable`], wherever it is said: a year is the longest that caches heed, and
/// RFC 8246 spares the question whether it still holds.
pub const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// RFC 3986 §2.3: all but the unreserved characters are escaped. `+` too, which S3 would read as a space.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Locator {
    /// Reads the path of a URL, still percent-encoded and without its query. `None` is "not found": a path that no
    /// legal name encodes to. Each segment is decoded exactly once, after the split, so that `%2F` is never `/`.
    #[must_use]
    pub fn from_url_path(path: &[u8]) -> Option<Self> {
        if path == b"/healthz" {
            return Some(Self::Health);
        }
        let mut segments = path.strip_prefix(b"/")?.splitn(4, |byte| *byte == b'/');
        let kind = segments.next()?;
        let product = Product::parse(&decode_segment(segments.next()?)?).ok()?;
        let third = decode_segment(segments.next()?)?;
        let rest = segments.next().map(decode_name);
        match (kind, rest) {
            (b"artifacts", Some(name)) => {
                let release = ReleaseId {
                    product,
                    version: Version::parse(&third).ok()?,
                };
                match name?.as_str() {
                    "release.json" => Some(Self::ReleaseDocument(release)),
                    name => Some(Self::Artifact(release, ArtifactName::parse(name).ok()?)),
                }
            }
            (b"channels", None) => Some(Self::Channel(
                product,
                ChannelName::parse(third.strip_suffix(".json")?).ok()?,
            )),
            (b"channels", Some(name)) => Some(Self::ChannelArtifact(
                product,
                ChannelName::parse(&third).ok()?,
                ArtifactName::parse(&name?).ok()?,
            )),
            _ => None,
        }
    }

    /// The canonical URL path, percent-encoded.
    #[must_use]
    pub fn to_url_path(&self) -> String {
        self.to_string()
            .split('/')
            .map(|s| utf8_percent_encode(s, ESCAPED).to_string())
            .collect::<Vec<_>>()
            .join("/")
    }

    /// The key in the store: the URL path, decoded, without its leading slash. `None` where nothing is stored.
    #[must_use]
    pub fn to_store_key(&self) -> Option<String> {
        match self {
            Self::Artifact(..)
            | Self::ReleaseDocument(_)
            | Self::Retirement(_)
            | Self::Channel(..) => Some(self.to_string()[1..].to_owned()),
            Self::ChannelArtifact(..) | Self::Health => None,
        }
    }

    /// Reads a store key, the inverse of [`Locator::to_store_key`]. `None` for what is stored under no legal name.
    #[must_use]
    pub fn from_store_key(key: &str) -> Option<Self> {
        let mut segments = key.splitn(4, '/');
        let kind = segments.next()?;
        let product = Product::parse(segments.next()?).ok()?;
        let third = segments.next()?;
        match (kind, segments.next()) {
            ("artifacts", Some(name)) => {
                let release = ReleaseId {
                    product,
                    version: Version::parse(third).ok()?,
                };
                match name {
                    "release.json" => Some(Self::ReleaseDocument(release)),
                    "retired.json" => Some(Self::Retirement(release)),
                    name => Some(Self::Artifact(release, ArtifactName::parse(name).ok()?)),
                }
            }
            ("channels", None) => Some(Self::Channel(
                product,
                ChannelName::parse(third.strip_suffix(".json")?).ok()?,
            )),
            _ => None,
        }
    }

    /// How long an edge may keep the answer.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        match self {
            Self::Artifact(..) | Self::ReleaseDocument(_) => Lifetime::Immutable,
            Self::Channel(..) | Self::ChannelArtifact(..) => Lifetime::Pointer,
            Self::Retirement(_) | Self::Health => Lifetime::NoStore,
        }
    }
}

/// The decoded path.
impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Artifact(id, name) => {
                write!(f, "/artifacts/{}/{}/{name}", id.product, id.version)
            }
            Self::ReleaseDocument(id) => {
                write!(f, "/artifacts/{}/{}/release.json", id.product, id.version)
            }
            Self::Retirement(id) => {
                write!(f, "/artifacts/{}/{}/retired.json", id.product, id.version)
            }
            Self::Channel(product, channel) => write!(f, "/channels/{product}/{channel}.json"),
            Self::ChannelArtifact(product, channel, name) => {
                write!(f, "/channels/{product}/{channel}/{name}")
            }
            Self::Health => f.write_str("/healthz"),
        }
    }
}

/// Decodes one segment; refuses what would hide a separator or a malformed escape.
fn decode_segment(segment: &[u8]) -> Option<String> {
    if segment.contains(&b'%') {
        let mut at = 0;
        while let Some(escape) = segment[at..].iter().position(|byte| *byte == b'%') {
            let digits = segment.get(at + escape + 1..at + escape + 3)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            at += escape + 3;
        }
    }
    let text = percent_decode(segment).decode_utf8().ok()?;
    (!text.is_empty() && !text.contains('/')).then(|| text.into_owned())
}

fn decode_name(path: &[u8]) -> Option<String> {
    let segments: Option<Vec<_>> = path
        .split(|byte| *byte == b'/')
        .map(decode_segment)
        .collect();
    Some(segments?.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn release() -> ReleaseId {
        ReleaseId {
            product: Product::parse("agent").unwrap(),
            version: Version::parse("1.0+b1").unwrap(),
        }
    }

    #[test]
    fn a_debian_name_is_decoded_exactly_once() {
        let path = "/artifacts/agent/1.0%2Bb1/libfoo_1%253a2.0%2Bb1~rc1_amd64.deb";
        let name = ArtifactName::parse("libfoo_1%3a2.0+b1~rc1_amd64.deb").unwrap();
        assert_eq!(
            Locator::from_url_path(path.as_bytes()),
            Some(Locator::Artifact(release(), name.clone()))
        );
        assert_eq!(Locator::Artifact(release(), name).to_url_path(), path);
    }

    #[test]
    fn a_plus_stays_a_plus_and_an_escaped_letter_is_the_letter() {
        assert_eq!(
            Locator::from_url_path(b"/artifacts/%61gent/1.0+b1/%74iny"),
            Some(Locator::Artifact(
                release(),
                ArtifactName::parse("tiny").unwrap()
            ))
        );
    }

    #[test]
    fn no_second_spelling_reaches_an_artifact() {
        for path in [
            "/artifacts/agent/1.0/a%2Fb",
            "/artifacts/agent/1.0//a",
            "/artifacts//agent/1.0/a",
            "/artifacts/agent/1.0/a/",
            "/artifacts/agent/1.0/./a",
            "/artifacts/agent/1.0/%2e%2e/a",
            "/artifacts/agent/1.0/%c0%ae%c0%ae/a",
            "/artifacts/agent/1.0/a%00",
            "/artifacts/agent/1.0/a%5Cb",
            "/artifacts/agent/1.0/a%zz",
            "/artifacts/agent/1.0/a%4",
            "/artifacts/agent/1.0/retired.json",
            "/artifacts/agent/1.0/",
            "/artifacts/agent/1.0",
            "/channels/agent/stable",
            "/channels/agent/.json",
            "/Artifacts/agent/1.0/a",
            "artifacts/agent/1.0/a",
            "/",
            "",
            "*",
        ] {
            assert_eq!(Locator::from_url_path(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn the_store_key_is_the_decoded_path() {
        let name = ArtifactName::parse("a b/c%d").unwrap();
        assert_eq!(
            Locator::Artifact(release(), name).to_store_key().unwrap(),
            "artifacts/agent/1.0+b1/a b/c%d"
        );
        assert_eq!(Locator::Health.to_store_key(), None);
    }

    #[test]
    fn every_stored_object_survives_its_key() {
        let product = Product::parse("agent").unwrap();
        for locator in [
            Locator::Artifact(release(), ArtifactName::parse("a b/c%d").unwrap()),
            Locator::ReleaseDocument(release()),
            Locator::Retirement(release()),
            Locator::Channel(product, ChannelName::parse("stable").unwrap()),
        ] {
            let key = locator.to_store_key().unwrap();
            assert_eq!(Locator::from_store_key(&key), Some(locator), "{key}");
        }
        for key in [
            "artifacts/agent/1.0",
            "channels/agent/x/y.json",
            ".headwater/tmp/1",
            "artifacts/agent/1.0/../x",
        ] {
            assert_eq!(Locator::from_store_key(key), None, "{key}");
        }
    }

    proptest! {
        #[test]
        fn every_legal_name_survives_its_url(
            product in "[a-z0-9][a-z0-9._-]{0,63}",
            version in "[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}",
            name in "[^/\\\\\\p{Cc}]{1,40}(/[^/\\\\\\p{Cc}]{1,40}){0,3}",
        ) {
            let id = ReleaseId { product: Product::parse(&product).unwrap(), version: Version::parse(&version).unwrap() };
            if let Ok(name) = ArtifactName::parse(&name) {
                let channel = Locator::ChannelArtifact(id.product.clone(), ChannelName::parse(&product).unwrap(), name.clone());
                for locator in [Locator::Artifact(id.clone(), name), Locator::ReleaseDocument(id), channel] {
                    prop_assert_eq!(Locator::from_url_path(locator.to_url_path().as_bytes()), Some(locator));
                }
            }
        }

        #[test]
        fn whatever_a_path_decodes_to_stays_inside_the_store(path in proptest::collection::vec(any::<u8>(), 0..80)) {
            let path = [b"/artifacts/p/1/".as_slice(), &path].concat();
            if let Some(locator) = Locator::from_url_path(&path) {
                let key = locator.to_store_key().unwrap();
                prop_assert!(key.starts_with("artifacts/p/1/"));
                prop_assert!(key.split('/').all(|s| !s.is_empty() && s != "." && s != ".."));
            }
        }
    }
}
