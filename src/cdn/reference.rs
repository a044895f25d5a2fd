//! The caller's name for an invalidation: whoever sends the same one twice has sent one.
//!
//! Owns what makes two purges the same. Never reads a clock: the time of a purge by hand is handed in.

use std::fmt;

use jiff::Timestamp;

use super::purge::PurgeSet;
use crate::model::{ChannelName, Digest, Digester, Product};

/// Characters of a reference, at most. CloudFront documents no limit for invalidations; 128 is what its sister services
/// document for theirs.
pub const CHARS_MAX: usize = 128;

/// Characters of the digest that are kept: 80 bits. Two purges of one distribution never share them by accident.
const FINGERPRINT_CHARS: usize = 20;

/// The caller's name for an invalidation.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reference(String);

/// A channel as it is after a move.
#[derive(Clone, Copy, Debug)]
pub struct Position<'a> {
    /// Whose channel.
    pub product: &'a Product,
    /// Which one.
    pub channel: &'a ChannelName,
    /// Which move it was.
    pub revision: u64,
    /// The channel document.
    pub document: &'a [u8],
}

impl Reference {
    /// The purge that belongs to a move: the same for everyone who reads the same channel document.
    ///
    /// The digest covers the document and the set. Without the first, a store that was set up anew would name its
    /// revision 1 as the old store did, and CloudFront would answer with that purge of long ago and do nothing; without
    /// the second, a later version that spells a set differently would be refused for reusing the name.
    #[must_use]
    pub fn of_move(position: Position<'_>, set: &PurgeSet) -> Self {
        let Position {
            product,
            channel,
            revision,
            document,
        } = position;
        let what = format!("{product}/{channel}/{revision}");
        Self::new(&what, document, set)
    }

    /// A purge that somebody asks for at this moment: a new one each time.
    #[must_use]
    pub fn by_hand(at: Timestamp, set: &PurgeSet) -> Self {
        Self::new(&format!("by-hand/{at}"), at.to_string().as_bytes(), set)
    }

    /// `headwater/{what}/{fingerprint}`; a `what` that is too long loses its beginning, since revisions stand at its
    /// end and the fingerprint covers all of it.
    fn new(what: &str, distinct: &[u8], set: &PurgeSet) -> Self {
        const PREFIX: &str = "headwater/";
        let mut digester = Digester::new();
        for part in [what.as_bytes(), distinct] {
            digester.update(&(part.len() as u64).to_be_bytes());
            digester.update(part);
        }
        for path in set.paths() {
            digester.update(path.as_bytes());
            digester.update(b"\n");
        }
        let fingerprint = fingerprint(&digester.finish());
        let room = CHARS_MAX - PREFIX.len() - 1 - FINGERPRINT_CHARS;
        let kept = &what[what.len().saturating_sub(room)..];
        Self(format!("{PREFIX}{kept}/{fingerprint}"))
    }

    /// As it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn fingerprint(digest: &Digest) -> String {
    digest.to_hex().chars().take(FINGERPRINT_CHARS).collect()
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cdn::purge::{Change, Redirects};

    fn set(product: &Product, channel: &ChannelName, redirects: Redirects<'_>) -> PurgeSet {
        PurgeSet::of(&Change::Channel {
            product,
            channel,
            redirects,
        })
    }

    fn of(product: &str, channel: &str, revision: u64, document: &[u8]) -> String {
        let product = Product::parse(product).unwrap();
        let channel = ChannelName::parse(channel).unwrap();
        let set = set(&product, &channel, Redirects::Any);
        let position = Position {
            product: &product,
            channel: &channel,
            revision,
            document,
        };
        Reference::of_move(position, &set).as_str().to_owned()
    }

    #[test]
    fn a_reference_says_what_it_is_about_and_a_repeat_is_the_same() {
        let reference = of("agent", "stable", 7, b"document");
        assert!(
            reference.starts_with("headwater/agent/stable/7/"),
            "{reference}"
        );
        assert_eq!(
            reference.len(),
            "headwater/agent/stable/7/".len() + FINGERPRINT_CHARS
        );
        assert_eq!(reference, of("agent", "stable", 7, b"document"));
    }

    #[test]
    fn whatever_differs_between_two_purges_differs_in_the_reference() {
        let references: BTreeSet<String> = [
            of("agent", "stable", 7, b"document"),
            of("agent", "stable", 8, b"document"),
            of("agent", "stable", 7, b"of a new store"),
            of("agent", "beta", 7, b"document"),
            of("agen", "t-stable", 7, b"document"),
            of(&"a".repeat(64), &"b".repeat(64), 7, b"document"),
            of(&"c".repeat(64), &"b".repeat(64), 7, b"document"),
        ]
        .into();
        assert_eq!(references.len(), 7, "{references:?}");
        let product = Product::parse("agent").unwrap();
        let channel = ChannelName::parse("stable").unwrap();
        let position = Position {
            product: &product,
            channel: &channel,
            revision: 7,
            document: b"document",
        };
        let other = set(&product, &channel, Redirects::Of(BTreeSet::new()));
        let other = Reference::of_move(position, &other);
        assert!(!references.contains(other.as_str()), "another set");
    }

    #[test]
    fn the_longest_names_keep_the_limit_and_the_revision() {
        let reference = of(&"p".repeat(64), &"c".repeat(64), u64::MAX, b"document");
        assert_eq!(reference.len(), CHARS_MAX, "{reference}");
        assert!(
            reference.contains(&format!("/{}/", u64::MAX)),
            "{reference}"
        );
        let just_fits = of(&"p".repeat(64), &"c".repeat(30), 7, b"document");
        assert_eq!(just_fits.len(), CHARS_MAX);
        assert!(just_fits.starts_with(&format!("headwater/{}/", "p".repeat(64))));
    }

    #[test]
    fn a_purge_by_hand_is_a_new_one_each_time() {
        let product = Product::parse("agent").unwrap();
        let channel = ChannelName::parse("stable").unwrap();
        let set = set(&product, &channel, Redirects::Any);
        let at = |text: &str| Reference::by_hand(text.parse().unwrap(), &set);
        let first = at("2026-11-22T10:00:00.000001Z");
        assert!(
            first
                .as_str()
                .starts_with("headwater/by-hand/2026-11-22T10:00:00.000001Z/")
        );
        assert_ne!(first, at("2026-11-22T10:00:00.000002Z"));
    }
}
