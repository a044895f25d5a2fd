//! The order of versions.
//!
//! Owns which of two releases is the newer one. Never looks at channels: what a device should run is a channel's
//! business, not the greatest version's.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::Version;

/// Orders two releases of one product from older to newer.
///
/// Versions that parse as semver are ordered as semver (<https://semver.org/#spec-item-11>), the others by publish
/// time. The two kinds never interleave, semver counts as newer: a mixed order would not be transitive.
#[must_use]
pub fn compare(a: (&Version, Timestamp), b: (&Version, Timestamp)) -> Ordering {
    let by_time = || a.1.cmp(&b.1).then_with(|| a.0.as_str().cmp(b.0.as_str()));
    match (
        semver::Version::parse(a.0.as_str()),
        semver::Version::parse(b.0.as_str()),
    ) {
        // Build metadata has no precedence, so that publish time decides between 1.0.0+a and 1.0.0+b.
        (Ok(x), Ok(y)) => x.cmp_precedence(&y).then_with(by_time),
        (Ok(_), Err(_)) => Ordering::Greater,
        (Err(_), Ok(_)) => Ordering::Less,
        (Err(_), Err(_)) => by_time(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(versions: &[(&str, i64)]) -> Vec<String> {
        let mut all: Vec<_> = versions
            .iter()
            .map(|(text, second)| {
                (
                    Version::parse(text).unwrap(),
                    Timestamp::from_second(*second).unwrap(),
                )
            })
            .collect();
        all.sort_by(|a, b| compare((&a.0, a.1), (&b.0, b.1)));
        all.into_iter()
            .map(|(version, _)| version.to_string())
            .collect()
    }

    #[test]
    fn semver_is_ordered_by_number_not_by_text_or_time() {
        assert_eq!(
            sorted(&[("1.10.0", 1), ("1.9.0", 2), ("1.10.0-rc.1", 3)]),
            ["1.9.0", "1.10.0-rc.1", "1.10.0"]
        );
    }

    #[test]
    fn other_versions_are_ordered_by_publish_time_and_before_semver() {
        assert_eq!(
            sorted(&[("2024-b", 1), ("0.0.1", 0), ("2024-a", 2)]),
            ["2024-b", "2024-a", "0.0.1"]
        );
    }

    #[test]
    fn build_metadata_leaves_the_decision_to_publish_time() {
        assert_eq!(
            sorted(&[("1.0.0+a", 9), ("1.0.0+b", 3)]),
            ["1.0.0+b", "1.0.0+a"]
        );
    }
}
