//! One device of the fleet: channel check, release document, download, verification.
//!
//! Owns what a device does by chance, all of it decided by the seed before the first request. Never keeps a byte.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rand_pcg::Pcg64;
use tokio::time::Instant;

use super::line::Line;
use super::tally::{End, Tally};
use super::transfer::{Break, Transfer};
use super::{Connector, LoadPlan};
use crate::catalog::{Artifact, Release};
use crate::device::check::choose;
use crate::device::{Choice, Client, DeviceError, TransferError};

/// The shortest and longest time for which a device that broke off is away, in milliseconds: a connection that was lost
/// and found, short against any bound of a run.
const PAUSE_MILLIS: std::ops::Range<u64> = 50..500;

/// What chance decided about a device.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Fate {
    number: u64,
    /// Where it breaks off, as a share of the artifact, and for how long.
    breaks: Option<(f64, Duration)>,
}

impl Fate {
    /// The same seed and number, the same fate: each device draws from a stream of its own, whenever its turn comes.
    pub(super) fn new(plan: &LoadPlan, number: u64) -> Self {
        let mut chance = Pcg64::new(plan.seed.into(), number.into());
        // All three are drawn, so that the share of those who break off changes nothing about where they do.
        let (draw, point): (f64, f64) = (chance.random(), chance.random());
        let pause = Duration::from_millis(chance.random_range(PAUSE_MILLIS));
        Self {
            number,
            breaks: (draw < plan.abort_share).then_some((point, pause)),
        }
    }

    fn turn_of(self, count: usize) -> usize {
        usize::try_from(self.number % count.max(1) as u64).unwrap_or_default()
    }

    /// Where it breaks off an artifact of `size` bytes.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a size: any byte nearby is as good"
    )]
    fn break_in(self, size: u64) -> Option<Break> {
        self.breaks.map(|(point, pause)| Break {
            at: ((size as f64 * point) as u64).min(size.saturating_sub(1)),
            pause,
        })
    }
}

/// A device that is about to update.
pub(super) struct Device<'a> {
    plan: &'a LoadPlan,
    fate: Fate,
    client: Client,
    tally: &'a Arc<Tally>,
}

impl<'a> Device<'a> {
    pub(super) fn new(
        plan: &'a LoadPlan,
        fate: Fate,
        connector: &Connector,
        tally: &'a Arc<Tally>,
    ) -> Self {
        let pop = plan.pops.map(|pops| fate.turn_of(pops.get()));
        let line = Line::new(connector.clone(), Arc::clone(tally), pop);
        let client = Client::over(
            Arc::new(line),
            plan.target.edge.clone(),
            plan.patience(),
            Arc::clone(tally) as Arc<_>,
        );
        Self {
            plan,
            fate,
            client,
            tally,
        }
    }

    /// Updates once and tells the tally how that ended.
    pub(super) async fn run(self) {
        let started = Instant::now();
        self.tally.started();
        let end = match self.update().await {
            Ok(()) => End::Verified(started.elapsed()),
            Err(error) => {
                let source = match &error {
                    DeviceError::Transfer { source, .. } => Some(source),
                    _ => None,
                };
                match (source, error.exit_code()) {
                    (Some(TransferError::OverBudget), _) => End::CutShort,
                    (_, 5) => End::Damaged(error),
                    _ => End::Failed(error),
                }
            }
        };
        self.tally.ended(end);
    }

    async fn update(&self) -> Result<(), DeviceError> {
        let target = &self.plan.target;
        let channel = self.client.check(&target.product, &target.channel).await?;
        let release = self
            .client
            .release_document(&target.product, &channel.release)
            .await?;
        let (id, artifact) = (release.id(), self.pick(&release)?.clone());
        // A tree's document is larger than all else that a device holds, and there are thousands of devices.
        drop((channel, release));
        let breaks = self.fate.break_in(artifact.size);
        Transfer::new(&self.client, self.tally, &id, &artifact, self.plan.style)
            .run(breaks)
            .await
    }

    fn pick<'r>(&self, release: &'r Release) -> Result<&'r Artifact, DeviceError> {
        let named = self.plan.artifact.clone().map(Choice::Named);
        let turn = self.fate.turn_of(release.artifacts.len());
        match (named, release.artifacts.get(turn)) {
            (None, Some(artifact)) => Ok(artifact),
            (named, _) => choose(release, &named.unwrap_or(Choice::Only)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU64, NonZeroUsize};

    use super::*;
    use crate::device::load::{Style, Target};

    fn plan(abort_share: f64, seed: u64) -> LoadPlan {
        LoadPlan {
            target: Target::parse("http://host/channels/agent/stable.json", None).unwrap(),
            artifact: None,
            devices: NonZeroUsize::MIN,
            concurrency: NonZeroUsize::MIN,
            style: Style::Whole,
            abort_share,
            seed,
            ramp: Duration::ZERO,
            pops: None,
            stall_timeout: Duration::from_secs(1),
            requests_max: NonZeroU64::MIN,
            time_max: Duration::from_secs(1),
        }
    }

    fn fates(plan: &LoadPlan) -> Vec<Fate> {
        (0..1000).map(|number| Fate::new(plan, number)).collect()
    }

    #[test]
    fn the_same_seed_is_the_same_fleet_and_another_seed_another() {
        assert_eq!(fates(&plan(0.5, 7)), fates(&plan(0.5, 7)));
        assert_ne!(fates(&plan(0.5, 7)), fates(&plan(0.5, 8)));
    }

    #[test]
    fn as_many_break_off_as_the_share_says_anywhere_in_the_artifact() {
        let all = fates(&plan(1.0, 1));
        let points: Vec<u64> = all
            .iter()
            .map(|fate| fate.break_in(1000).unwrap().at)
            .collect();
        assert!(points.iter().all(|at| *at < 1000));
        for tenth in 0..10 {
            let here = points.iter().filter(|at| **at / 100 == tenth).count();
            assert!((60..140).contains(&here), "{here} in tenth {tenth}");
        }
        let broken = |share| {
            fates(&plan(share, 1))
                .iter()
                .filter(|f| f.breaks.is_some())
                .count()
        };
        assert_eq!((broken(0.0), broken(1.0)), (0, 1000));
        assert!((250..350).contains(&broken(0.3)), "{}", broken(0.3));
    }

    #[test]
    fn a_larger_share_breaks_the_same_devices_at_the_same_points_and_more() {
        let (few, many) = (fates(&plan(0.2, 3)), fates(&plan(0.6, 3)));
        for (few, many) in few
            .iter()
            .zip(&many)
            .filter(|(few, _)| few.breaks.is_some())
        {
            assert_eq!(few, many);
        }
    }

    #[test]
    fn nobody_breaks_off_behind_the_end() {
        let fate = Fate {
            number: 0,
            breaks: Some((1.0, Duration::ZERO)),
        };
        assert_eq!(fate.break_in(10).unwrap().at, 9);
        assert_eq!(fate.break_in(0).unwrap().at, 0);
    }
}
