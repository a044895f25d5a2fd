//! `headwater verify --through … --invalidate`: purges what is wrong or old at an edge, and looks again.
//!
//! Owns which copies are purged: those of exactly the URLs that were found so. Never decides what a URL is spelt like in a
//! purge (`cdn/purge.rs` does) or how often it is tried (`cdn/telling.rs` does).

use super::through::watched_look;
use crate::assembly;
use crate::cdn::{Batch, Change, PurgeSet, Reference};
use crate::cli::purge::{Purge, Target, Teller, rest};
use crate::cli::{Context, Failure, invalidate};
use crate::device::through::{Expect, Finding, LookPlan, Object, curable};

/// Objects of one purge: each has up to three spellings, and an edge may have 3,000 paths in progress.
const PURGE_OBJECTS_MAX: usize = 1_000;

/// What was purged, and why.
#[derive(Default)]
pub(super) struct Cure {
    /// What was sent.
    pub(super) purges: Vec<Purge>,
    /// What the purged URLs answered before.
    pub(super) before: Vec<Finding>,
    /// Why not all was sent or done.
    pub(super) failed: Option<Failure>,
}

impl Cure {
    /// Purges, waits until every POP has done it, and puts what POPs answer then in the place of what they answered.
    pub(super) async fn of(
        target: Target,
        plan: &LookPlan,
        findings: &mut [Finding],
        context: &Context,
    ) -> Result<Self, Failure> {
        let places: Vec<_> = curable(findings).into_iter().collect();
        let mut cure = Self::default();
        if places.is_empty() {
            return Ok(cure);
        }
        let objects: Vec<_> = places.iter().map(|&at| plan.objects[at].clone()).collect();
        cure.purge(target, plan, &objects, context).await;
        if cure.failed.is_none() {
            let plan = LookPlan {
                objects,
                ..plan.clone()
            };
            for again in watched_look(&plan, context).await? {
                cure.replace(findings, again, &places);
            }
        }
        Ok(cure)
    }

    async fn purge(
        &mut self,
        target: Target,
        plan: &LookPlan,
        objects: &[Object],
        context: &Context,
    ) {
        let teller = Teller::open(target, context).await;
        // An origin may still have the older document or redirect itself, which a purge that overtakes it would bring
        // back.
        let moved_at = plan
            .objects
            .iter()
            .filter_map(|object| match &object.expect {
                Expect::Channel { channel, .. } => Some(channel.updated_at),
                _ => None,
            });
        if let Some(moved_at) = moved_at.max() {
            teller.settle(rest(moved_at, assembly::now())).await;
        }
        for objects in objects.chunks(PURGE_OBJECTS_MAX) {
            let of = |object: &Object| PurgeSet::of(&Change::Object(&object.locator));
            let set = PurgeSet::union(objects.iter().map(of));
            let reference = Reference::by_hand(assembly::now(), &set);
            let told = teller.tell(&Batch { set, reference }).await;
            self.purges.extend(told.purge);
            if let Some(error) = told.failed {
                self.failed = Some(invalidate::failure(error));
                return;
            }
        }
    }

    /// `again` counts the purged objects, whose places among all are `places`.
    fn replace(&mut self, findings: &mut [Finding], again: Finding, places: &[usize]) {
        let object = places[again.object];
        let is_same = |it: &&mut Finding| it.object == object && it.asked == again.asked;
        if let Some(place) = findings.iter_mut().find(is_same) {
            let before = std::mem::replace(place, Finding { object, ..again });
            if before.worst().verdict.is_curable() {
                self.before.push(before);
            }
        }
    }
}
