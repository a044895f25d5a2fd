//! What is simulated: the fleet, the release, the edge, the origin.
//!
//! Owns what a scenario is, the limits of its values, and what the command line may change in one; `scenario/file.rs`
//! reads the files of `config/scenarios/`. Never simulates.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::edge::policy::cache::CacheSettings;
use crate::edge::policy::freshness::Ttl;
use crate::edge::policy::topology::{Region, TopologySettings};
use crate::fleet::document::within;
use crate::fleet::units::{as_f64, print_count, print_duration, print_size, round};

mod file;

pub use file::DEFAULT_NAME;

/// Devices: the largest fleets in the world have one or two billion.
pub const DEVICES: RangeInclusive<u64> = 1..=10_000_000_000;
/// The size of an artifact: CloudFront keeps up to 50 GB of one answer (fact 34), and a device has to hold it.
pub const ARTIFACT_BYTES: RangeInclusive<u64> = 1..=50_000_000_000;
/// All bytes of a release: counts of bytes end at 18 EB, and what is sent varies.
const RELEASE_BYTES_MAX: f64 = 1e19;
/// A window: below a minute there is no series to look at, above 30 days the next release is out.
pub const WINDOW: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);
/// A horizon: 90 days are 129,600 steps of a minute.
pub const HORIZON: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(90 * 24 * 3600);

/// A release to a fleet.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name: `desktop-app`.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// How many devices.
    pub devices: u64,
    /// The time over which the fleet learns of the release, and over which `mean_gbps` is taken.
    pub window: Duration,
    /// The simulation goes on until every device is done, but not longer than this after the release.
    pub horizon: Duration,
    /// What is released.
    pub release: Release,
    /// How devices learn of it.
    pub discovery: Discovery,
    /// Devices' lines.
    pub devices_line: Line,
    /// Aborts, resumes, ranges.
    pub transfer: Transfer,
    /// Where devices are: shares that sum up to 1.
    pub regions: Vec<(Region, f64)>,
    /// The edge.
    pub edge: EdgeSettings,
    /// The origin.
    pub origin: OriginSettings,
}

/// What is released.
#[derive(Clone, Debug)]
pub struct Release {
    /// The size of a channel document's answer, headers included, bytes.
    pub channel_bytes: u64,
    /// The artifacts, each with its share of the fleet (os × arch × full or delta); shares sum up to 1.
    pub artifacts: Vec<Artifact>,
}

/// One artifact.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its share of the fleet.
    pub share: f64,
}

/// When devices ask.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The curve.
    pub curve: Curve,
    /// The share of the fleet that asks within 15 minutes ("check now", a push), uniformly, beside the curve.
    pub push_share: f64,
    /// Diurnal: `online(t) = 1 - amplitude/2 + amplitude/2 · sin(…)` by region; 0 for a flat one.
    pub diurnal_amplitude: f64,
    /// Staged release: from this time on, this share of the fleet may have it. Ascending; a device that asks before its
    /// stage asks again at its next poll. Empty: everyone at once.
    pub stages: Vec<(Duration, f64)>,
}

/// How the first ask after the release is spread.
#[derive(Clone, Debug)]
pub enum Curve {
    /// Every device polls with this period (± jitter, uniform) at a phase of its own: a plateau. Polls go on afterwards.
    PhaseRandom {
        /// The period.
        period: Duration,
        /// Half the width of the fuzz.
        jitter: Duration,
    },
    /// At the same wall-clock second, plus up to `spread`, once per `period`.
    Cron {
        /// When, after the release.
        at: Duration,
        /// Uniform delay.
        spread: Duration,
        /// Again after this.
        period: Duration,
    },
    /// Linear ramp, plateau, exponential decay (a flash crowd). One ask per device.
    Ramp {
        /// Length of the ramp.
        ramp: Duration,
        /// Length of the plateau.
        sustained: Duration,
        /// Time constant of the decay.
        decay: Duration,
    },
}

/// Devices' lines: lognormal, capped, with a slow tail; drawn as one of [`Line::CLASSES`] equally likely classes.
#[derive(Clone, Debug)]
pub struct Line {
    /// Median, bit/s.
    pub median_bps: f64,
    /// σ of the natural logarithm.
    pub sigma: f64,
    /// Upper cap, bit/s.
    pub cap_bps: f64,
    /// Share of slow lines.
    pub slow_share: f64,
    /// Slow lines are uniform up to this, bit/s.
    pub slow_bps: f64,
}

impl Line {
    /// How many classes a line is drawn from, so that both engines share one distribution.
    pub const CLASSES: usize = 40;
}

/// Aborts, resumes, ranges.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The chance that an attempt is cut, at a uniform point.
    pub abort_probability: f64,
    /// Mean of the exponential pause before the resume.
    pub resume_after: Duration,
    /// Fetch by ranges of so many bytes; none: one GET.
    pub range_bytes: Option<u64>,
    /// A request that got no connection or no byte for this long has failed.
    pub stall_timeout: Duration,
    /// First pause after a failure; doubles, with full jitter, up to `backoff_max`.
    pub backoff: Duration,
    /// Cap of the pause.
    pub backoff_max: Duration,
    /// A device that failed so often gives up until its next poll would be: it counts as failed.
    pub attempts_max: u32,
    /// A device whose update took longer than this after it learnt of it is late.
    pub late_after: Duration,
}

/// The edge.
#[derive(Clone, Debug)]
pub struct EdgeSettings {
    /// POPs, nodes, shield.
    pub topology: TopologySettings,
    /// ⚙ Each POP node's cache.
    pub pop_cache: CacheSettings,
    /// ⚙ Each regional node's (and the shield's) cache.
    pub regional_cache: CacheSettings,
    /// TTLs for `/artifacts/*`.
    pub artifacts_ttl: Ttl,
    /// TTLs for `/channels/*`.
    pub channels_ttl: Ttl,
    /// The origin's `max-age` of a channel document, its `stale-while-revalidate`.
    pub channel_max_age: Duration,
    /// `stale-while-revalidate` of a channel document.
    pub channel_stale: Duration,
    /// One-way delays are half of these: POP–regional, regional–shield, last layer–origin.
    pub rtt: [Duration; 3],
    /// How fast one fill runs between two layers and from the origin, at most, bit/s (single flow: 5 Gb/s).
    pub fill_bps: f64,
    /// ⚙ Followers of a fill stream along; else they wait until it is complete.
    pub stream_along: bool,
}

/// The Auto Scaling group behind its load balancer.
#[derive(Clone, Debug)]
pub struct OriginSettings {
    /// `m7g.large`.
    pub instance_type: String,
    /// Its network baseline, bit/s.
    pub baseline_bps: f64,
    /// The internet gateway's cap per instance, bit/s (5 Gb/s below 32 vCPU).
    pub gateway_bps: f64,
    /// Requests per second that one instance answers.
    pub requests_per_second: f64,
    /// Connections that one instance holds; above: 503.
    pub connections_max: u64,
    /// Group size: minimum (and at the start).
    pub instances_min: u64,
    /// Group size: maximum.
    pub instances_max: u64,
    /// Target tracking on network out: share of the baseline.
    pub target_utilisation: f64,
    /// Metric period + alarm time + boot and warm-up.
    pub metric_period: Duration,
    /// How long the alarm needs.
    pub alarm_after: Duration,
    /// Boot and warm-up of an instance.
    pub warm_up: Duration,
    /// Scale-in only after this long below the target.
    pub scale_in_after: Duration,
}

/// What the command line may change in a scenario.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// So many devices.
    pub devices: Option<u64>,
    /// Every artifact has this size.
    pub artifact_bytes: Option<u64>,
    /// The fleet learns of the release in this time: every time of the discovery, and the horizon, is stretched or
    /// squeezed in proportion.
    pub window: Option<Duration>,
}

/// Why a change is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{flag}` {what}")]
pub struct ChangeError {
    /// Which one.
    pub flag: &'static str,
    /// Its value, and what is allowed.
    pub what: String,
}

impl Scenario {
    /// The scenario with these changes.
    pub fn with(mut self, changes: &Changes) -> Result<Self, ChangeError> {
        let refused = |flag| move |what| ChangeError { flag, what };
        if let Some(devices) = changes.devices {
            self.devices = within(devices, &DEVICES, print_count).map_err(refused("--devices"))?;
        }
        if let Some(bytes) = changes.artifact_bytes {
            let bytes =
                within(bytes, &ARTIFACT_BYTES, print_size).map_err(refused("--artifact-size"))?;
            for artifact in &mut self.release.artifacts {
                artifact.bytes = bytes;
            }
        }
        if let Some(what) = self.excess() {
            let flag = match changes.devices {
                Some(_) => "--devices",
                None => "--artifact-size",
            };
            return Err(ChangeError { flag, what });
        }
        if let Some(window) = changes.window {
            let window = within(window, &WINDOW, print_duration).map_err(refused("--window"))?;
            let factor = window.as_secs_f64() / self.window.as_secs_f64();
            let horizon = self.horizon.mul_f64(factor);
            self.horizon = within(horizon, &HORIZON, print_duration)
                .map_err(|what| format!("stretches the horizon with it, which {what}"))
                .map_err(refused("--window"))?;
            self.discovery.stretch(factor);
            self.window = window;
        }
        Ok(self)
    }

    /// What is wrong when so many devices fetch more bytes than can be counted.
    fn excess(&self) -> Option<String> {
        let artifacts = self.release.artifacts.iter();
        let each: f64 = artifacts.map(|one| one.share * as_f64(one.bytes)).sum();
        (as_f64(self.devices) * each > RELEASE_BYTES_MAX).then(|| {
            format!(
                "makes {} devices fetch {} each; allowed: {} in all, so take fewer devices or smaller artifacts",
                print_count(self.devices),
                print_size(round(each)),
                print_size(round(RELEASE_BYTES_MAX)),
            )
        })
    }
}

impl Discovery {
    fn stretch(&mut self, factor: f64) {
        let stretch = |time: &mut Duration| *time = time.mul_f64(factor);
        match &mut self.curve {
            Curve::PhaseRandom { period, jitter } => [period, jitter].map(stretch),
            Curve::Cron { at, spread, .. } => [at, spread].map(stretch),
            Curve::Ramp {
                ramp,
                sustained,
                decay,
            } => {
                stretch(decay);
                [ramp, sustained].map(stretch)
            }
        };
        for (at, _share) in &mut self.stages {
            stretch(at);
        }
    }
}
