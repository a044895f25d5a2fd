//! E-13: one item of an invalidation: a path, a prefix or a tag.
//!
//! Owns the grammar of items and what they match. Never says when: `invalidation.rs` does.

use super::InvalidationError;

/// Characters of a path, at most (fact 76).
pub const PATH_CHARS_MAX: usize = 4_000;

/// Characters of a tag, at most (fact 79).
pub const TAG_CHARS_MAX: usize = 256;

/// Enough of an item to recognise it in a message.
const SHOWN_CHARS_MAX: usize = 80;

/// One item of a batch.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Item {
    /// Exactly this path.
    Path(String),
    /// Every path that begins so: `*` was its last character.
    Prefix(String),
    /// Every object with this tag (lower case).
    Tag(String),
}

impl Item {
    /// Reads `/path`, `/prefix*` or `#tag`.
    ///
    /// A path begins with a slash, as the API wants it: one that does not would never match anything. What is not a
    /// printing ASCII character has to be percent-encoded, as it is in the URL that it names.
    pub fn parse(text: &str) -> Result<Self, InvalidationError> {
        let refused = |why: &str| {
            let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            Err(InvalidationError::InvalidArgument(format!(
                "`{shown}` cannot be invalidated: {why}"
            )))
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refused("it has characters that must be percent-encoded");
        }
        if let Some(tag) = text.strip_prefix('#') {
            return match tag.len() {
                0 => refused("a tag follows the `#`"),
                1..=TAG_CHARS_MAX if tag.contains(',') => refused("a tag has no comma"),
                // Fact 79. Taken as a character it would match nothing, and whoever wrote it would not know.
                1..=TAG_CHARS_MAX if tag.ends_with('*') => refused("a tag has no wildcard"),
                1..=TAG_CHARS_MAX => Ok(Self::Tag(tag.to_ascii_lowercase())),
                _ => refused("a tag has at most 256 characters"),
            };
        }
        if !text.starts_with('/') {
            return refused("it begins neither with `/` (a path) nor with `#` (a tag)");
        }
        if text.len() > PATH_CHARS_MAX {
            return refused("a path has at most 4,000 characters");
        }
        if has_broken_escape(text) {
            return refused("a `%` is followed by two hexadecimal digits");
        }
        match text.split_once('*') {
            None => Ok(Self::Path(text.to_owned())),
            Some((prefix, "")) => Ok(Self::Prefix(prefix.to_owned())),
            Some(_) => refused("`*` may only be the last character"),
        }
    }

    /// Whether an object with this path (with its query if that is in the key) and these tags is meant.
    #[must_use]
    pub fn matches(&self, path: &str, tags: &[Box<str>]) -> bool {
        match self {
            Self::Path(meant) => path == meant,
            Self::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Self::Tag(meant) => tags.iter().any(|tag| **tag == *meant.as_str()),
        }
    }
}

/// Whether a `%` of the path (a query may have any) begins no escape. One that a `*` cuts off may still become one.
fn has_broken_escape(text: &str) -> bool {
    let path = text.split('?').next().unwrap_or_default();
    path.split('%').skip(1).any(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        digits < 2 && &rest[digits..] != "*"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_a_path_a_prefix_or_a_tag() {
        let long = format!("/{}", "a".repeat(3_999));
        let too_long = format!("{long}a");
        let tag = format!("#{}", "t".repeat(256));
        let too_long_tag = format!("{tag}t");
        let rows = [
            (
                "T58 path",
                "/a/b.json",
                Some(Item::Path("/a/b.json".into())),
            ),
            (
                "T58 with a query",
                "/a?x=1&y=2",
                Some(Item::Path("/a?x=1&y=2".into())),
            ),
            (
                "T58 4,000 characters",
                &long,
                Some(Item::Path(long.clone())),
            ),
            ("T58 4,001 characters", &too_long, None),
            ("T58 no slash", "a/b.json", None),
            ("T58 empty", "", None),
            ("T58 not encoded", "/a b", None),
            ("T58 not ASCII", "/ä", None),
            ("T58 no escape", "/%zz", None),
            ("T58 half an escape", "/%2", None),
            ("T58 a bare %", "/a%/b", None),
            ("T58 an escape", "/%2f", Some(Item::Path("/%2f".into()))),
            (
                "T58 a query may have any",
                "/a?x=%zz",
                Some(Item::Path("/a?x=%zz".into())),
            ),
            ("T59 no escape", "/%zz*", None),
            (
                "T59 an escape cut off",
                "/a%2*",
                Some(Item::Prefix("/a%2".into())),
            ),
            ("T59 prefix", "/a/*", Some(Item::Prefix("/a/".into()))),
            ("T59 everything", "/*", Some(Item::Prefix("/".into()))),
            ("T59 inside", "/a/*/b", None),
            ("T59 twice", "/a/**", None),
            (
                "T60 tag, in lower case",
                "#Release:1.4",
                Some(Item::Tag("release:1.4".into())),
            ),
            ("T60 no wildcard", "#a*", None),
            (
                "T60 a star within is a character",
                "#a*b",
                Some(Item::Tag("a*b".into())),
            ),
            ("T60 256 characters", &tag, Some(Item::Tag("t".repeat(256)))),
            ("T60 257 characters", &too_long_tag, None),
            ("T60 no tag", "#", None),
            ("T60 a comma", "#a,b", None),
        ];
        for (name, text, expected) in rows {
            match (Item::parse(text), expected) {
                (Ok(item), Some(expected)) => assert_eq!(item, expected, "{name}"),
                (Err(InvalidationError::InvalidArgument(_)), None) => {}
                (result, _) => panic!("{name}: {result:?}"),
            }
        }
    }

    #[test]
    fn an_item_means_exactly_what_it_names() {
        let tags: [Box<str>; 2] = ["release:1.4".into(), "product:agent".into()];
        let rows = [
            ("T58 the path", "/a.json", "/a.json", true),
            ("T58 another case", "/A.json", "/a.json", false),
            ("T58 more of it", "/a", "/a.json", false),
            (
                "T58 its query is part of it",
                "/a.json",
                "/a.json?x=1",
                false,
            ),
            ("T59 prefix", "/a*", "/a.json", true),
            ("T59 the prefix itself", "/a*", "/a", true),
            ("T59 also with a query", "/a*", "/a?x=1", true),
            ("T59 another prefix", "/b*", "/a.json", false),
            (
                "T60 tag, whatever the path",
                "#RELEASE:1.4",
                "/a.json",
                true,
            ),
            ("T60 part of a tag", "#release:1", "/a.json", false),
        ];
        for (name, item, path, expected) in rows {
            let item = Item::parse(item).unwrap();
            assert_eq!(item.matches(path, &tags), expected, "{name}");
        }
    }
}
