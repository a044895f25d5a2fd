//! Names: products, channels, versions, artifacts, platforms.
//!
//! Owns the rules of which names are legal; a value of one of these types obeys them. Never touches a path or a
//! URL: `locator.rs` turns names into both.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name that breaks its rule: which kind of name, the text, and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {kind}: {rule}")]
pub struct NameError {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

/// The longest part of a refused name that is repeated in a message.
const SHOWN_CHARS_MAX: usize = 120;

impl NameError {
    fn new(kind: &'static str, text: &str, rule: &'static str) -> Self {
        Self {
            kind,
            text: text
                .chars()
                .take(SHOWN_CHARS_MAX)
                .flat_map(char::escape_debug)
                .collect(),
            rule,
        }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:expr, $is_legal:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks `text` against the rule of this kind of name.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                if $is_legal(text) { Ok(Self(text.into())) } else { Err(NameError::new($kind, text, $rule)) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
    };
}

name! {
    /// What is updated.
    Product, "a product", SLUG_RULE, is_slug
}
name! {
    /// A named, movable pointer to a release.
    ChannelName, "a channel", SLUG_RULE, is_slug
}
name! {
    /// One version of a product. Ordered by [`super::version`], never by its text.
    Version, "a version",
    "1 to 128 of A-Z a-z 0-9 . _ + ~ - and the first a letter or a digit", is_version
}
name! {
    /// The name of one file of a release; may contain `/`.
    ArtifactName, "an artifact name",
    "1 to 1024 bytes of UTF-8 in segments of 1 to 255 bytes between `/`, without `.`, `..`, backslash or control \
     characters; `release.json` and `retired.json` are reserved",
    is_artifact_name
}

const SLUG_RULE: &str = "1 to 64 of a-z 0-9 . _ - and the first a letter or a digit";

fn is_slug(text: &str) -> bool {
    let bytes = text.as_bytes();
    let legal = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    (1..=64).contains(&bytes.len()) && bytes[0].is_ascii_alphanumeric() && bytes.iter().all(legal)
}

fn is_version(text: &str) -> bool {
    let bytes = text.as_bytes();
    let legal = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'~' | b'-');
    (1..=128).contains(&bytes.len()) && bytes[0].is_ascii_alphanumeric() && bytes.iter().all(legal)
}

fn is_artifact_name(text: &str) -> bool {
    (1..=1024).contains(&text.len())
        && !RESERVED_NAMES.contains(&text)
        && !text.chars().any(|c| c.is_control() || c == '\\')
        && text
            .split('/')
            .all(|s| (1..=255).contains(&s.len()) && s != "." && s != "..")
}

/// Names that the store itself uses beside the artifacts of a release.
const RESERVED_NAMES: [&str; 2] = ["release.json", "retired.json"];

/// A release by name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ReleaseId {
    /// What is updated.
    pub product: Product,
    /// Which version of it.
    pub version: Version,
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.product, self.version)
    }
}

/// The operating system and processor that an artifact is for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "PlatformText")]
pub struct Platform {
    os: Box<str>,
    arch: Box<str>,
}

#[derive(Deserialize)]
struct PlatformText {
    os: String,
    arch: String,
}

impl Platform {
    const RULE: &'static str = "os/arch, each 1 to 32 of a-z 0-9 . _ -";

    /// Parses `os/arch`, for instance `linux/x86_64`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let refuse = || NameError::new("a platform", text, Self::RULE);
        let (os, arch) = text.split_once('/').ok_or_else(refuse)?;
        Self::from_parts(os, arch).ok_or_else(refuse)
    }

    fn from_parts(os: &str, arch: &str) -> Option<Self> {
        let legal = |part: &str| is_slug(part) && part.len() <= 32;
        (legal(os) && legal(arch)).then(|| Self {
            os: os.into(),
            arch: arch.into(),
        })
    }

    /// The platform that this program was built for.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self {
            os: std::env::consts::OS.into(),
            arch: std::env::consts::ARCH.into(),
        }
    }
}

impl TryFrom<PlatformText> for Platform {
    type Error = NameError;
    fn try_from(text: PlatformText) -> Result<Self, NameError> {
        Self::from_parts(&text.os, &text.arch).ok_or_else(|| {
            NameError::new(
                "a platform",
                &format!("{}/{}", text.os, text.arch),
                Self::RULE,
            )
        })
    }
}

impl std::str::FromStr for Platform {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_file_names_are_artifact_names() {
        let name = "pool/main/libf/libfoo_1%3a2.0+b1~rc1_amd64.deb";
        assert_eq!(ArtifactName::parse(name).unwrap().as_str(), name);
    }

    #[test]
    fn names_that_could_leave_their_release_are_refused() {
        for name in [
            "", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\\b", "a\0", "a\nb", "a\u{85}b",
        ] {
            assert!(ArtifactName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_documents_of_a_release_cannot_be_artifacts_of_it() {
        assert!(ArtifactName::parse("release.json").is_err());
        assert!(ArtifactName::parse("retired.json").is_err());
        assert!(ArtifactName::parse("sub/release.json").is_ok());
    }

    #[test]
    fn lengths_are_checked_at_the_edge_and_one_past_it() {
        assert!(Product::parse(&"a".repeat(64)).is_ok());
        assert!(Product::parse(&"a".repeat(65)).is_err());
        assert!(Version::parse(&"1".repeat(128)).is_ok());
        assert!(Version::parse(&"1".repeat(129)).is_err());
        assert!(ArtifactName::parse(&"a".repeat(255)).is_ok());
        assert!(ArtifactName::parse(&"a".repeat(256)).is_err());
        let long = [
            "a".repeat(255),
            "a".repeat(255),
            "a".repeat(255),
            "a".repeat(256),
        ]
        .join("/");
        assert_eq!(long.len(), 1024);
        assert!(ArtifactName::parse(&format!("{}/{}", &long[..767], "a".repeat(255))).is_ok());
        assert!(ArtifactName::parse(&format!("{long}b")).is_err());
    }

    #[test]
    fn products_are_lower_case_and_start_with_a_letter_or_digit() {
        assert!(Product::parse("agent-2.x_y").is_ok());
        for text in ["", "Agent", ".agent", "-agent", "a/b", "a b", "ä"] {
            assert!(Product::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_text_and_the_rule_without_control_characters() {
        let refusal = Version::parse("1\u{1b}[2J").unwrap_err().to_string();
        assert!(
            refusal.starts_with("`1\\u{1b}[2J` is not a version: 1 to 128 of"),
            "{refusal}"
        );
    }
}
