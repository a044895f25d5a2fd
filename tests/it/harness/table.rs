//! Tables of cases: every row runs, and the failure names all rows that failed. Never knows what a row means.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `check` on every row; a row that panics does not keep the others from running.
#[track_caller]
pub fn each_row<R>(rows: &[R], name: impl Fn(&R) -> String, check: impl Fn(&R)) {
    let failed: Vec<String> = rows
        .iter()
        .filter(|row| catch_unwind(AssertUnwindSafe(|| check(row))).is_err())
        .map(name)
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} rows failed:\n  {}",
        failed.len(),
        rows.len(),
        failed.join("\n  ")
    );
}
