//! The rows T1 to T63 of the edge's test plan: each is cited by a test, so that none is lost with a test that is rewritten.
//!
//! Owns where a citation counts. Never judges whether a test shows what it cites.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::sources::SourceFile;

const ROWS: RangeInclusive<usize> = 1..=63;

/// One finding for each row that no test cites.
pub(super) fn missing(files: &[SourceFile]) -> Vec<String> {
    let cited: BTreeSet<&str> = files.iter().flat_map(words_of_tests).collect();
    ROWS.map(|row| format!("T{row}"))
        .filter(|row| !cited.contains(row.as_str()))
        .map(|row| format!("no test below src/edge or tests/it cites {row}"))
        .collect()
}

/// The words of a file's tests. A file's header speaks of all rows at once; that is no citation.
fn words_of_tests(file: &SourceFile) -> Vec<&str> {
    let is_test = file.path.starts_with("tests/it/") && !file.path.starts_with("tests/it/tidy");
    let is_edge = file.path.starts_with("src/edge/");
    let is_unit_test = file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
    let text = if is_test || is_edge && is_unit_test {
        file.text.as_str()
    } else if is_edge {
        let begin = file.text.find("#[cfg(test)]").unwrap_or(file.text.len());
        &file.text[begin..]
    } else {
        ""
    };
    text.lines()
        .filter(|line| !line.starts_with("//!"))
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .collect()
}

#[test]
fn a_row_that_is_cited_by_no_test_is_found() {
    let all: Vec<String> = ROWS.map(|row| format!("\"T{row} x\"")).collect();
    let (all, but_t24) = (all.join("\n"), all.join("\n").replace("T24 ", "T240 "));
    let tested = format!("#[cfg(test)]\n{all}");
    for (path, text, found) in [
        ("tests/it/edge_wire.rs", all.clone(), 0),
        ("src/edge/policy/key.rs", tested.clone(), 0),
        ("src/edge/policy/key.rs", all.clone(), 63),
        ("src/edge/policy/key/tests.rs", all.clone(), 0),
        ("src/edge/policy/key/tests/paths.rs", all.clone(), 0),
        ("src/store/disk.rs", tested, 63),
        ("tests/it/tidy/rows.rs", all, 63),
        ("tests/it/edge_wire.rs", but_t24, 1),
        ("tests/it/edge_wire.rs", "//! T1 to T63".to_owned(), 63),
    ] {
        let missing = missing(&[SourceFile::imagined(path, &text)]);
        assert_eq!(missing.len(), found, "{path}: {missing:?}");
        assert!(found != 1 || missing[0].ends_with("T24"), "{missing:?}");
    }
}
