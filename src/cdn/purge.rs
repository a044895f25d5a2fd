//! What a change makes stale at an edge: a pure function from the change to the fewest paths or tags that name it.
//!
//! Owns which URLs change when something moves, and how they are spelt for CloudFront. Never asks a store or an edge,
//! never names an artifact's URL unless somebody asked for exactly that: those never change.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::model::{ArtifactName, ChannelName, Locator, Product, ReleaseId};

/// How long after a move an origin may still answer with the older channel: what it read last and what a thread of it
/// remembers are good for 400 ms each, and in between it may wait a second for a bucket. A purge that overtakes it makes
/// the edge fetch the old document once more, and keep it.
pub const SETTLE: Duration = Duration::from_secs(2);

/// Characters of a path, at most.
pub const PATH_CHARS_MAX: usize = 4_000;

/// Something that happened, or that somebody wants to happen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change<'a> {
    /// A channel points somewhere else, or exists now.
    Channel {
        /// Whose channel.
        product: &'a Product,
        /// Which one.
        channel: &'a ChannelName,
        /// What it redirects, and redirected before.
        redirects: Redirects<'a>,
    },
    /// A release's bytes were taken away.
    Retired(&'a ReleaseId),
    /// All copies of a release are to go.
    Release(&'a ReleaseId, By),
    /// The copies of one object are to go.
    Object(&'a Locator),
}

/// The artifact names below a channel whose redirects have moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Redirects<'a> {
    /// These: of the release it names now and of the one before.
    Of(BTreeSet<&'a ArtifactName>),
    /// Any: there are many, or nobody can say which.
    Any,
}

/// How the copies of a release are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// By where they are.
    Path,
    /// By the tag that the origin sent with them; of use only where the distribution reads tags.
    Tag,
}

/// One thing to forget, as the API spells it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Item {
    /// Exactly this URL path.
    Path(String),
    /// Every URL path that begins so; the `*` is not part of it.
    Prefix(String),
    /// Every object with this tag; the `#` is not part of it.
    Tag(String),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Tag(tag) => write!(f, "#{tag}"),
        }
    }
}

/// What is to be forgotten, in a fixed order. A handful at most, where 3,000 paths and 15 wildcards may be in progress.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PurgeSet(Vec<Item>);

impl PurgeSet {
    /// The fewest items that name all that a change makes stale, and nothing else.
    #[must_use]
    pub fn of(change: &Change<'_>) -> Self {
        Self(match change {
            Change::Channel {
                product,
                channel,
                redirects,
            } => channel_items(product, channel, redirects),
            // No channel names a release that is retired, so no document and no redirect changes. Its own URLs answer
            // 404 from now on, but what an edge has of them are the right bytes: they go with `Change::Release`.
            Change::Retired(_) => Vec::new(),
            Change::Release(id, By::Path) => release_prefixes(id),
            Change::Release(id, By::Tag) => {
                vec![Item::Tag(format!("release:{}/{}", id.product, id.version))]
            }
            Change::Object(locator) => spellings(locator).into_iter().map(Item::Path).collect(),
        })
    }

    /// Several sets as one, each item once.
    #[must_use]
    pub fn union(sets: impl IntoIterator<Item = Self>) -> Self {
        let items: BTreeSet<_> = sets.into_iter().flat_map(|set| set.0).collect();
        Self(items.into_iter().collect())
    }

    /// Whether there is nothing to forget.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is to be forgotten.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.0
    }

    /// As the API spells it.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

/// The document, and what is redirected. A wildcard is billed as one path, so that from the second name on it is the
/// smaller set; below that a path is, since only 15 wildcards may be in progress and 3,000 paths.
fn channel_items(product: &Product, channel: &ChannelName, redirects: &Redirects<'_>) -> Vec<Item> {
    let document = Locator::Channel(product.clone(), channel.clone());
    let mut items = vec![Item::Path(document.to_url_path())];
    // The slash ends the channel's name: `stable2` and `stable.json` are beside it, not below.
    let all = || Item::Prefix(format!("/channels/{product}/{channel}/"));
    match redirects {
        Redirects::Any => items.push(all()),
        Redirects::Of(names) => {
            let urls = names.iter().flat_map(|name| {
                let name = (*name).clone();
                spellings(&Locator::ChannelArtifact(
                    product.clone(),
                    channel.clone(),
                    name,
                ))
            });
            let mut urls: Vec<String> = urls.take(2).collect();
            match (urls.pop(), urls.is_empty()) {
                (None, _) => {}
                (Some(only), true) => items.push(Item::Path(only)),
                (Some(_), false) => items.push(all()),
            }
        }
    }
    items
}

/// Everything below a release. The slash ends the version: `1.4` is not the beginning of `1.4.2`.
fn release_prefixes(id: &ReleaseId) -> Vec<Item> {
    let document = spellings(&Locator::ReleaseDocument(id.clone()));
    let prefix = |url: String| url.strip_suffix("release.json").map(str::to_owned);
    document
        .into_iter()
        .filter_map(prefix)
        .map(Item::Prefix)
        .collect()
}

/// RFC 1738 §2.2 "unsafe", which CloudFront wants encoded, and of the others only what would end a path or be a
/// wildcard.
const UNSAFE: &AsciiSet = &UNSAFE_BUT_TILDE.add(b'~');

/// The same as people and today's libraries have it: RFC 3986 made `~` an unreserved character.
const UNSAFE_BUT_TILDE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'?')
    .add(b'*');

/// The URL path of an object in each spelling under which an edge may keep it, the canonical one first.
///
/// CloudFront's guide: encode what RFC 1738 calls unsafe and nothing else, "or CloudFront will not invalidate the old
/// version". Headwater's own documents encode more (`+`, `@`), so a copy may be kept under either spelling; AWS does
/// not say whether they are one. Almost every name has one spelling.
fn spellings(locator: &Locator) -> Vec<String> {
    let decoded = locator.to_string();
    let spelt = |set| utf8_percent_encode(&decoded, set).to_string();
    let mut spellings = vec![locator.to_url_path()];
    for other in [spelt(UNSAFE_BUT_TILDE), spelt(UNSAFE)] {
        if !spellings.contains(&other) {
            spellings.push(other);
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn product(text: &str) -> Product {
        Product::parse(text).unwrap()
    }

    fn channel(text: &str) -> ChannelName {
        ChannelName::parse(text).unwrap()
    }

    fn name(text: &str) -> ArtifactName {
        ArtifactName::parse(text).unwrap()
    }

    fn release(version: &str) -> ReleaseId {
        ReleaseId {
            product: product("agent"),
            version: crate::model::Version::parse(version).unwrap(),
        }
    }

    /// What CloudFront's guide says an item means.
    fn is_meant(set: &PurgeSet, url: &str) -> bool {
        set.items().iter().any(|item| match item {
            Item::Path(path) => path == url,
            Item::Prefix(prefix) => url.starts_with(prefix.as_str()),
            Item::Tag(_) => false,
        })
    }

    fn moved(names: &[&str]) -> Vec<String> {
        let names: Vec<ArtifactName> = names.iter().map(|text| name(text)).collect();
        let (product, channel) = (product("agent"), channel("stable"));
        let change = Change::Channel {
            product: &product,
            channel: &channel,
            redirects: Redirects::Of(names.iter().collect()),
        };
        PurgeSet::of(&change).paths()
    }

    #[test]
    fn a_move_is_its_document_and_its_redirects_by_the_fewest_items() {
        const DOCUMENT: &str = "/channels/agent/stable.json";
        const ALL: &str = "/channels/agent/stable/*";
        let rows: [(&[&str], &[&str]); 8] = [
            (&[], &[DOCUMENT]),
            (&["tool"], &[DOCUMENT, "/channels/agent/stable/tool"]),
            (
                &["tool", "tool"],
                &[DOCUMENT, "/channels/agent/stable/tool"],
            ),
            (&["a/b.c"], &[DOCUMENT, "/channels/agent/stable/a/b.c"]),
            (&["tool-1.0", "tool-1.1"], &[DOCUMENT, ALL]),
            // One name with two spellings is two URLs.
            (&["libfoo_2.0+b1.deb"], &[DOCUMENT, ALL]),
            (&["a~b"], &[DOCUMENT, ALL]),
            // One spelling, whoever writes it.
            (&["a b"], &[DOCUMENT, "/channels/agent/stable/a%20b"]),
        ];
        for (names, expected) in rows {
            assert_eq!(moved(names), expected, "{names:?}");
        }
    }

    #[test]
    fn names_that_nobody_knows_are_all_names() {
        let (product, channel) = (product("agent"), channel("stable"));
        let change = Change::Channel {
            product: &product,
            channel: &channel,
            redirects: Redirects::Any,
        };
        let expected = ["/channels/agent/stable.json", "/channels/agent/stable/*"];
        assert_eq!(PurgeSet::of(&change).paths(), expected);
    }

    #[test]
    fn a_retired_release_makes_nothing_stale() {
        assert!(PurgeSet::of(&Change::Retired(&release("1.0"))).is_empty());
    }

    #[test]
    fn a_release_is_its_tag_or_every_spelling_of_its_folder() {
        let rows: [(&str, By, &[&str]); 6] = [
            ("1.4.2", By::Tag, &["#release:agent/1.4.2"]),
            ("1.0+b1", By::Tag, &["#release:agent/1.0+b1"]),
            ("1.4.2", By::Path, &["/artifacts/agent/1.4.2/*"]),
            (
                "1.0+b1",
                By::Path,
                &["/artifacts/agent/1.0%2Bb1/*", "/artifacts/agent/1.0+b1/*"],
            ),
            (
                "1.0~rc1",
                By::Path,
                &["/artifacts/agent/1.0~rc1/*", "/artifacts/agent/1.0%7Erc1/*"],
            ),
            (
                "1.0+b~1",
                By::Path,
                &[
                    "/artifacts/agent/1.0%2Bb~1/*",
                    "/artifacts/agent/1.0+b~1/*",
                    "/artifacts/agent/1.0+b%7E1/*",
                ],
            ),
        ];
        for (version, by, expected) in rows {
            let set = PurgeSet::of(&Change::Release(&release(version), by));
            assert_eq!(set.paths(), expected, "{version}");
        }
        let set = PurgeSet::of(&Change::Release(&release("1.4"), By::Path));
        assert!(is_meant(&set, "/artifacts/agent/1.4/release.json"));
        assert!(!is_meant(&set, "/artifacts/agent/1.4.2/release.json"));
    }

    #[test]
    fn one_object_is_its_url_in_every_spelling() {
        let rows: [(&str, &[&str]); 3] = [
            ("a/b", &["/artifacts/agent/1/a/b"]),
            ("50%*?", &["/artifacts/agent/1/50%25%2A%3F"]),
            (
                "a+b ä",
                &[
                    "/artifacts/agent/1/a%2Bb%20%C3%A4",
                    "/artifacts/agent/1/a+b%20%C3%A4",
                ],
            ),
        ];
        for (artifact, expected) in rows {
            let locator = Locator::Artifact(release("1"), name(artifact));
            let set = PurgeSet::of(&Change::Object(&locator));
            assert_eq!(set.paths(), expected, "{artifact}");
        }
    }

    #[test]
    fn the_longest_legal_names_are_legal_paths() {
        let (product, channel) = (product(&"p".repeat(64)), channel(&"c".repeat(64)));
        let segment = "ä".repeat(127);
        let longest = name(&[segment.as_str(); 4].join("/"));
        let channel_artifact = Locator::ChannelArtifact(product.clone(), channel, longest.clone());
        let id = ReleaseId {
            product,
            version: crate::model::Version::parse(&"1".repeat(128)).unwrap(),
        };
        for locator in [channel_artifact, Locator::Artifact(id, longest)] {
            for path in PurgeSet::of(&Change::Object(&locator)).paths() {
                assert!(path.len() <= PATH_CHARS_MAX, "{}", path.len());
                assert!(path.len() > 3_000, "{}", path.len());
            }
        }
    }

    const NAME: &str = "[a-c+~@ *?%ä]{1,3}(/[a-c+~]{1,2})?";

    proptest! {
        #[test]
        fn a_purge_covers_every_changed_url_and_no_other_channel(
            names in proptest::collection::vec(NAME, 0..4),
            others in proptest::collection::vec(NAME, 0..4),
            other_channel in "(stabl|stable|stable[.2-]|stable[.]json|beta|s)",
            other_product in "(agent|agen|agent2|agent[.]x)",
        ) {
            let names: Vec<ArtifactName> =
                names.iter().filter_map(|text| ArtifactName::parse(text).ok()).collect();
            let (own_product, own) = (product("agent"), channel("stable"));
            let set = PurgeSet::of(&Change::Channel {
                product: &own_product,
                channel: &own,
                redirects: Redirects::Of(names.iter().collect()),
            });
            prop_assert!(set.items().len() <= 2, "{:?}", set.paths());
            let document = Locator::Channel(own_product.clone(), own.clone());
            prop_assert!(is_meant(&set, &document.to_url_path()));
            for name in &names {
                let redirect =
                    Locator::ChannelArtifact(own_product.clone(), own.clone(), name.clone());
                for url in spellings(&redirect) {
                    prop_assert!(is_meant(&set, &url), "{url}: {:?}", set.paths());
                    prop_assert_eq!(Locator::from_url_path(url.as_bytes()), Some(redirect.clone()));
                }
            }
            let (other_product, other_channel) = (product(&other_product), channel(&other_channel));
            let is_other = (&other_product, &other_channel) != (&own_product, &own);
            if is_other {
                let document = Locator::Channel(other_product.clone(), other_channel.clone());
                prop_assert!(!is_meant(&set, &document.to_url_path()), "{document}: {:?}", set.paths());
            }
            for name in others.iter().filter_map(|text| ArtifactName::parse(text).ok()) {
                let id = ReleaseId { product: own_product.clone(), version: release("1").version };
                let artifact = Locator::Artifact(id, name.clone());
                prop_assert!(!is_meant(&set, &artifact.to_url_path()));
                if is_other {
                    let redirect =
                        Locator::ChannelArtifact(other_product.clone(), other_channel.clone(), name);
                    for url in spellings(&redirect) {
                        prop_assert!(!is_meant(&set, &url), "{url}: {:?}", set.paths());
                    }
                }
            }
        }

        #[test]
        fn every_path_is_legal_and_the_quotas_are_far(
            version in "[A-Za-z0-9][A-Za-z0-9._+~-]{0,20}",
            artifact in "[^/\\\\\\p{Cc}]{1,40}(/[^/\\\\\\p{Cc}]{1,40}){0,3}",
        ) {
            let id = release(&version);
            let by_path = PurgeSet::of(&Change::Release(&id, By::Path));
            let wildcards = by_path.paths().iter().filter(|path| path.ends_with('*')).count();
            prop_assert!(wildcards <= 3);
            let Ok(artifact) = ArtifactName::parse(&artifact) else { return Ok(()) };
            let locator = Locator::Artifact(id, artifact);
            prop_assert!(is_meant(&by_path, &locator.to_url_path()));
            for path in PurgeSet::of(&Change::Object(&locator)).paths() {
                prop_assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(!path.contains(['*', '?', '#']), "{path}");
                prop_assert_eq!(Locator::from_url_path(path.as_bytes()), Some(locator.clone()));
            }
        }
    }
}
