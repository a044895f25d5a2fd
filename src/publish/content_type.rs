//! The media type of an artifact, from its name.
//!
//! Owns the additions to the common table. Never looks at bytes: a guess from content could change with the guesser.

use crate::model::ArtifactName;

/// What nothing is known about. A device stores it, a browser downloads it.
const UNKNOWN: &str = "application/octet-stream";

/// What update artifacts are called and the common table does not know, or knows for another thing.
const ADDITIONS: &[(&str, &str)] = &[
    ("zst", "application/zstd"), // RFC 8878 §7.1
    ("xz", "application/x-xz"),
    ("lzma", "application/x-lzma"),
    ("deb", "application/vnd.debian.binary-package"),
    ("rpm", "application/x-rpm"),
    ("whl", "application/zip"),
    ("apk", "application/vnd.android.package-archive"),
    ("sig", "application/pgp-signature"), // RFC 3156 §7
    ("asc", "application/pgp-signature"),
    ("sha256", "text/plain; charset=utf-8"),
    ("img", UNKNOWN),
    ("efi", UNKNOWN),
];

/// The media type that the artifact's URL will have for ever.
pub(super) fn of(name: &ArtifactName) -> String {
    let base = name.as_str().rsplit('/').next().unwrap_or_default();
    let Some((_, extension)) = base.rsplit_once('.') else {
        // `Packages`, `Release`, `summary`, executables: which of them are text, a name does not say.
        return UNKNOWN.to_owned();
    };
    let extension = extension.to_ascii_lowercase();
    if let Some((_, known)) = ADDITIONS.iter().find(|(e, _)| *e == extension) {
        return (*known).to_owned();
    }
    let Some(guess) = mime_guess::from_ext(&extension).first_raw() else {
        return UNKNOWN.to_owned();
    };
    // Without a charset a browser guesses one; what is published today is UTF-8.
    if guess.starts_with("text/") && !guess.contains(';') {
        return format!("{guess}; charset=utf-8");
    }
    guess.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_decides_the_media_type() {
        for (name, expected) in [
            ("agent-linux-x86_64.tar.zst", "application/zstd"),
            (
                "pool/libfoo_1%3a2.0_amd64.deb",
                "application/vnd.debian.binary-package",
            ),
            ("a.json", "application/json"),
            ("a.XZ", "application/x-xz"),
            ("a.tar.gz", "application/gzip"),
            ("notes.txt", "text/plain; charset=utf-8"),
            ("dists/stable/Release", UNKNOWN),
            ("v1.2/agent", UNKNOWN),
            ("agent.unheard-of", UNKNOWN),
        ] {
            assert_eq!(of(&ArtifactName::parse(name).unwrap()), expected, "{name}");
        }
    }
}
