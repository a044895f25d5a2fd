//! An engine.

use super::Progress;
use crate::fleet::outcome::{Front, Outcome};
use crate::fleet::scenario::Scenario;

pub(super) fn run(
    scenario: &Scenario,
    front: Front,
    seed: u64,
    progress: &dyn Progress,
) -> Outcome {
    todo!()
}
