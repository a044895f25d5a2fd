//! A fleet of devices that update at the same time and keep nothing: the load test.
//!
//! Owns how many devices there are, when each starts, and the two bounds that end a run whatever happens. Every device
//! is a real one: a connection of its own, the chain of trust of `check.rs`, every byte verified. Never prints, never
//! writes to a disk. Read next: `device.rs` for one device, `transfer.rs` for its download, `tally.rs` for what is
//! counted.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::client::Edge;
use super::transport::{self, Connector};
use super::{DeviceError, Patience};
use crate::model::{ArtifactName, ChannelName, Product};

mod device;
mod line;
mod outcome;
mod tally;
mod target;
mod transfer;

pub use outcome::{Devices, Ended, FirstBytes, LoadOutcome, Snapshot, Spread};
pub use target::{Target, TargetError};

use device::{Device, Fate};
use tally::Tally;

/// Two more tries than none bridge one dead instance behind a load balancer; more would hide an outage from the table.
const RETRIES_MAX: u32 = 2;

/// How often an onlooker is told how things stand: often enough for a person, too seldom to cost anything.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What a load test does.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Which channel of which server.
    pub target: Target,
    /// The artifact that every device downloads. None: each one of the release's, in turn.
    pub artifact: Option<ArtifactName>,
    /// How many devices update.
    pub devices: NonZeroUsize,
    /// How many of them at a time, at most.
    pub concurrency: NonZeroUsize,
    /// How an artifact is asked for.
    pub style: Style,
    /// The share of devices that break off once, at any point of the artifact, and resume.
    pub abort_share: f64,
    /// Decides who breaks off, where, and for how long: the same seed, the same fleet.
    pub seed: u64,
    /// Starts are spread evenly over this time; zero: all at the same instant.
    pub ramp: Duration,
    /// Devices name one of so many POPs in `X-Edge-Pop`, in turn. None: they name none.
    pub pops: Option<NonZeroUsize>,
    /// How long a connect, or a wait for the next byte, may take.
    pub stall_timeout: Duration,
    /// No device sends a request beyond this number.
    pub requests_max: NonZeroU64,
    /// After this time whatever is in flight is broken off.
    pub time_max: Duration,
}

/// How an artifact is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// With one request, and one more after a break.
    Whole,
    /// Piece by piece, each verified by its own digest.
    Pieces,
}

/// Is told how a run stands, several times a second.
pub trait Onlooker: Send + Sync {
    /// So it stands now.
    fn look(&self, now: &Snapshot);
}

/// Runs the fleet until every device is done, a bound is reached, or `stop` is cancelled.
pub async fn run(
    plan: LoadPlan,
    stop: CancellationToken,
    onlooker: Arc<dyn Onlooker>,
) -> Result<LoadOutcome, DeviceError> {
    let connector = transport::connector(plan.target.edge.security(), plan.stall_timeout, None)?;
    let tally = Arc::new(Tally::new(plan.requests_max));
    let plan = Arc::new(plan);
    let started = Instant::now();
    let deadline = started.checked_add(plan.time_max);
    let mut workers = spawn_workers(&plan, &connector, &tally, started);
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        tokio::select! {
            biased;
            () = at(deadline) => break Ended::TimeBound,
            () = stop.cancelled() => break Ended::Interrupted,
            _ = looks.tick() => onlooker.look(&tally.snapshot(started.elapsed())),
            joined = workers.join_next() => match joined {
                Some(Ok(())) => {}
                Some(Err(failure)) => {
                    if let Ok(panic) = failure.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
                None if tally.is_over_budget() => break Ended::RequestsBound,
                None => break Ended::AllDone,
            },
        }
    };
    // Before anything else is looked at: a dropped transfer is still counted by its bytes.
    workers.shutdown().await;
    onlooker.look(&tally.snapshot(started.elapsed()));
    Ok(tally.outcome(plan.devices.get() as u64, ended, started.elapsed()))
}

/// A bound too far away for the clock never comes.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Each worker is one device after the other, so that no more than `concurrency` exist at a time.
fn spawn_workers(
    plan: &Arc<LoadPlan>,
    connector: &Connector,
    tally: &Arc<Tally>,
    started: Instant,
) -> JoinSet<()> {
    let count = plan.concurrency.min(plan.devices).get();
    let (next, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Barrier::new(count)));
    let mut workers = JoinSet::new();
    for _ in 0..count {
        let (plan, tally) = (Arc::clone(plan), Arc::clone(tally));
        let (connector, next, gate) = (connector.clone(), Arc::clone(&next), Arc::clone(&gate));
        workers.spawn(async move {
            // A task that is spawned early must not be ahead of the others.
            gate.wait().await;
            while !tally.is_over_budget() {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= plan.devices.get() as u64 {
                    return;
                }
                tokio::time::sleep_until(started + share_of(plan.ramp, number, plan.devices)).await;
                let fate = Fate::new(&plan, number);
                Device::new(&plan, fate, &connector, &tally).run().await;
            }
        });
    }
    workers
}

/// When device `number` of `devices` starts.
fn share_of(ramp: Duration, number: u64, devices: NonZeroUsize) -> Duration {
    let nanos = ramp.as_nanos() * u128::from(number) / devices.get() as u128;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl LoadPlan {
    fn patience(&self) -> Patience {
        Patience {
            stall_timeout: self.stall_timeout,
            retries_max: RETRIES_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_spreads_the_starts_evenly_over_its_time() {
        let devices = NonZeroUsize::new(4).unwrap();
        let starts: Vec<u128> = (0..4)
            .map(|number| share_of(Duration::from_secs(2), number, devices).as_millis())
            .collect();
        assert_eq!(starts, [0, 500, 1000, 1500]);
        assert_eq!(share_of(Duration::ZERO, 3, devices), Duration::ZERO);
    }
}
