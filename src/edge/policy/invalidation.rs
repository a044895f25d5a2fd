//! E-13: invalidations: what a batch removes, when, and within which quotas.
//!
//! Owns the quotas, the idempotency of `CallerReference`, the delay, and the ledger of batches. Never touches a cache
//! (callers apply what is due to each) and never rolls dice (callers hand the numbers in). Paths, wildcards and tags:
//! `invalidation/item.rs`.

use std::time::Duration;

use super::Moment;

mod item;

pub use self::item::{Item, PATH_CHARS_MAX, TAG_CHARS_MAX};

/// Paths and tags in progress, at most (fact 77). Wildcards do not count here.
pub const PATHS_IN_PROGRESS_MAX: usize = 3_000;

/// Wildcards in progress, at most (fact 77).
pub const WILDCARDS_IN_PROGRESS_MAX: usize = 15;

/// How many batches are remembered: months of releases, and not all memory.
const BATCHES_MAX: usize = 1_000;

/// Why a batch is refused. The API names each by a code.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidationError {
    /// `InvalidArgument`.
    #[error("{0}")]
    InvalidArgument(String),
    /// `InvalidationBatchAlreadyExists`: the same reference with other content.
    #[error("the caller reference `{0}` was used for another batch")]
    AlreadyExists(String),
    /// `TooManyInvalidationsInProgress`.
    #[error("{0}")]
    TooManyInProgress(String),
    /// `BatchTooLarge`.
    #[error("{0}")]
    BatchTooLarge(String),
    /// `NoSuchInvalidation`.
    #[error("there is no invalidation `{0}`")]
    NoSuchInvalidation(String),
}

/// One accepted batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// `I…`, 14 characters.
    pub id: String,
    /// As given.
    pub caller_reference: String,
    /// As given, in the given order.
    pub paths: Vec<String>,
    /// When it was accepted.
    pub created: Moment,
    /// When it takes effect.
    pub effective: Moment,
    /// When its status becomes `Completed`.
    pub completed: Moment,
}

impl Batch {
    /// Whether it is reported as `Completed`; until then it is `InProgress` and counts towards the quotas.
    #[must_use]
    pub fn is_completed(&self, now: Moment) -> bool {
        self.completed <= now
    }
}

/// ⚙ How long one batch takes (fact 78: under 5 s and under 25 s for 95 of 100).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Delay {
    /// Until it takes effect.
    pub effective: Duration,
    /// Until it is reported complete; not before it is effective.
    pub completed: Duration,
}

impl Delay {
    /// Draws one from two independent numbers, each uniform in `[0, 1)`: lognormal, with the documented percentiles.
    ///
    /// Both parts come from one draw: a batch that is slow to take effect is slow to be reported.
    #[must_use]
    pub fn draw(first: f64, second: f64) -> Self {
        // 95 of 100 normal numbers are below this.
        const Z_95: f64 = 1.644_853_626_951_472_2;
        // ⚙ The width is not published; so that the median is 44 % of the 95th percentile.
        const SIGMA: f64 = 0.5;
        // Box and Muller; `1 - first` keeps zero out of the logarithm.
        let radius = (-2.0 * (1.0 - first).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * second).cos();
        let part = |p95: f64| Duration::from_secs_f64(p95 * (SIGMA * (normal - Z_95)).exp());
        Self {
            effective: part(5.0),
            completed: part(25.0),
        }
    }
}

/// All batches of a distribution.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The oldest first.
    batches: Vec<Batch>,
    accepted: u64,
}

impl Ledger {
    /// Accepts a batch, or finds the one that this is a repeat of.
    pub fn create(
        &mut self,
        caller_reference: &str,
        paths: &[String],
        delay: Delay,
        now: Moment,
    ) -> Result<Batch, InvalidationError> {
        if caller_reference.is_empty() {
            let why = "the caller reference is empty".to_owned();
            return Err(InvalidationError::InvalidArgument(why));
        }
        let asked = Load::of(paths)?;
        let mut known = self.batches.iter();
        if let Some(batch) = known.find(|batch| batch.caller_reference == caller_reference) {
            return if batch.paths == paths {
                Ok(batch.clone())
            } else {
                let reference = caller_reference.to_owned();
                Err(InvalidationError::AlreadyExists(reference))
            };
        }
        self.check_quotas(asked, now)?;
        self.accepted += 1;
        // Whoever asked for what is due at this very moment asked before: it is due from the next on.
        let effective = now.after(delay.effective.max(Duration::from_micros(1)));
        let batch = Batch {
            id: id(self.accepted),
            caller_reference: caller_reference.to_owned(),
            paths: paths.to_vec(),
            created: now,
            effective,
            completed: now.after(delay.completed).max(effective),
        };
        self.batches.push(batch.clone());
        self.forget(now);
        Ok(batch)
    }

    /// One batch.
    pub fn get(&self, id: &str) -> Result<&Batch, InvalidationError> {
        let found = self.batches.iter().find(|batch| batch.id == id);
        found.ok_or_else(|| InvalidationError::NoSuchInvalidation(id.to_owned()))
    }

    /// All batches, the newest first.
    pub fn list(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter().rev()
    }

    /// The batches that took effect after `since` and not after `now`, with their parsed items.
    #[must_use]
    pub fn due(&self, since: Moment, now: Moment) -> Vec<Item> {
        let batches = self.batches.iter();
        let due = batches.filter(|batch| since < batch.effective && batch.effective <= now);
        due.flat_map(|batch| batch.paths.iter().flat_map(|path| Item::parse(path)))
            .collect()
    }

    fn check_quotas(&self, asked: Load, now: Moment) -> Result<(), InvalidationError> {
        if asked.paths > PATHS_IN_PROGRESS_MAX {
            return Err(InvalidationError::BatchTooLarge(format!(
                "the batch has {} paths; allowed: {PATHS_IN_PROGRESS_MAX}",
                asked.paths
            )));
        }
        let running = self.batches.iter().filter(|batch| !batch.is_completed(now));
        let load = running.fold(asked, |sum, batch| sum.and(Load::of(&batch.paths)));
        let quotas = [
            ("paths", load.paths, PATHS_IN_PROGRESS_MAX),
            ("wildcards", load.wildcards, WILDCARDS_IN_PROGRESS_MAX),
        ];
        match quotas.into_iter().find(|(_, count, max)| count > max) {
            Some((what, count, max)) => Err(InvalidationError::TooManyInProgress(format!(
                "{count} {what} would be in progress; allowed: {max}; wait until earlier batches are completed"
            ))),
            None => Ok(()),
        }
    }

    /// Drops the oldest batches that are over, so that a ledger does not grow for ever.
    fn forget(&mut self, now: Moment) {
        let surplus = self.batches.len().saturating_sub(BATCHES_MAX);
        let mut left = surplus;
        self.batches.retain(|batch| {
            let goes = left > 0 && batch.is_completed(now);
            left -= usize::from(goes);
            !goes
        });
    }
}

/// What a batch counts towards the quotas.
#[derive(Clone, Copy, Default)]
struct Load {
    paths: usize,
    wildcards: usize,
}

impl Load {
    /// Checks every item on the way.
    fn of(paths: &[String]) -> Result<Self, InvalidationError> {
        if paths.is_empty() {
            let why = "the batch is empty".to_owned();
            return Err(InvalidationError::InvalidArgument(why));
        }
        paths.iter().try_fold(Self::default(), |load, path| {
            Ok(match Item::parse(path)? {
                Item::Prefix(_) => Self {
                    wildcards: load.wildcards + 1,
                    ..load
                },
                Item::Path(_) | Item::Tag(_) => Self {
                    paths: load.paths + 1,
                    ..load
                },
            })
        })
    }

    fn and(self, other: Result<Self, InvalidationError>) -> Self {
        let other = other.unwrap_or_default();
        Self {
            paths: self.paths + other.paths,
            wildcards: self.wildcards + other.wildcards,
        }
    }
}

/// An id like CloudFront's: `I` and 13 letters and digits, never the same for two numbers.
fn id(number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    // A bijection of 64 bits (the finaliser of `SplitMix64`), and 36^13 is more than 2^64.
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    let mut text = String::from("I");
    for _ in 0..13 {
        let digit = usize::try_from(bits % 36).unwrap_or_default();
        text.push(char::from(DIGITS[digit]));
        bits /= 36;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(second: u64) -> Moment {
        Moment::default().after(Duration::from_secs(second))
    }

    const DELAY: Delay = Delay {
        effective: Duration::from_secs(5),
        completed: Duration::from_secs(25),
    };

    fn paths(of: &[&str]) -> Vec<String> {
        of.iter().map(|path| (*path).to_owned()).collect()
    }

    fn numbered(count: usize, suffix: &str) -> Vec<String> {
        (0..count).map(|n| format!("/{n}{suffix}")).collect()
    }

    #[test]
    fn a_batch_takes_effect_and_completes_after_its_delay() {
        let mut ledger = Ledger::default();
        let created = moment(100);
        let batch = ledger.create("r", &paths(&["/a", "#t"]), DELAY, created);
        let batch = batch.unwrap();
        let items = [Item::Path("/a".into()), Item::Tag("t".into())];
        assert_eq!(ledger.due(created, moment(104)), []);
        assert_eq!(ledger.due(moment(104), moment(105)), items);
        assert_eq!(ledger.due(moment(105), moment(999)), []);
        assert!(!batch.is_completed(moment(124)) && batch.is_completed(moment(125)));
    }

    #[test]
    fn a_batch_without_delay_is_due_even_for_who_asked_at_the_same_moment() {
        let mut ledger = Ledger::default();
        let now = moment(7);
        assert_eq!(ledger.due(moment(0), now), []);
        ledger
            .create("r", &paths(&["/a"]), Delay::default(), now)
            .unwrap();
        assert_eq!(ledger.due(now, moment(8)), [Item::Path("/a".into())]);
    }

    #[test]
    fn a_repeat_is_the_same_batch_and_a_reference_is_never_used_twice() {
        let mut ledger = Ledger::default();
        let first = ledger
            .create("r", &paths(&["/a", "/b"]), DELAY, moment(0))
            .unwrap();
        let again = ledger
            .create("r", &paths(&["/a", "/b"]), DELAY, moment(900))
            .unwrap();
        assert_eq!(again, first, "T61");
        let other = ledger.create("r", &paths(&["/a"]), DELAY, moment(900));
        assert_eq!(
            other,
            Err(InvalidationError::AlreadyExists("r".into())),
            "T61"
        );
        assert_eq!(ledger.list().count(), 1);
        let second = ledger
            .create("s", &paths(&["/a", "/b"]), DELAY, moment(900))
            .unwrap();
        let ids: Vec<&str> = ledger.list().map(|batch| batch.id.as_str()).collect();
        assert_eq!(ids, [&second.id, &first.id]);
        assert_eq!(ledger.get(&first.id), Ok(&first));
        let unknown = ledger.get("I0");
        assert_eq!(
            unknown,
            Err(InvalidationError::NoSuchInvalidation("I0".into()))
        );
    }

    #[test]
    fn what_is_in_progress_is_limited() {
        // Name, batch in progress, second batch, when that is asked for, whether it is accepted.
        let rows = [
            (
                "T62 3,000 paths",
                numbered(2_999, ""),
                numbered(1, ""),
                0,
                true,
            ),
            (
                "T62 3,001 paths",
                numbered(3_000, ""),
                numbered(1, ""),
                24,
                false,
            ),
            (
                "T62 the first is over",
                numbered(3_000, ""),
                numbered(1, ""),
                25,
                true,
            ),
            (
                "T62 a tag is a path",
                numbered(3_000, ""),
                paths(&["#t"]),
                0,
                false,
            ),
            (
                "T62 15 wildcards",
                numbered(14, "*"),
                numbered(1, "*"),
                0,
                true,
            ),
            (
                "T62 16 wildcards",
                numbered(15, "*"),
                numbered(1, "*"),
                24,
                false,
            ),
            (
                "T62 a wildcard is no path",
                numbered(3_000, ""),
                numbered(1, "*"),
                0,
                true,
            ),
        ];
        for (name, first, second, at, is_accepted) in rows {
            let mut ledger = Ledger::default();
            ledger.create("1", &first, DELAY, moment(0)).unwrap();
            let result = ledger.create("2", &second, DELAY, moment(at));
            match (result, is_accepted) {
                (Ok(_), true) | (Err(InvalidationError::TooManyInProgress(_)), false) => {}
                (result, _) => panic!("{name}: {result:?}"),
            }
        }
        let too_large = Ledger::default().create("1", &numbered(3_001, ""), DELAY, moment(0));
        assert!(
            matches!(too_large, Err(InvalidationError::BatchTooLarge(_))),
            "T62"
        );
    }

    #[test]
    fn a_batch_of_nothing_or_by_nobody_is_refused_and_leaves_nothing() {
        let mut ledger = Ledger::default();
        for (reference, items) in [
            ("r", paths(&[])),
            ("", paths(&["/a"])),
            ("r", paths(&["a"])),
        ] {
            let result = ledger.create(reference, &items, DELAY, moment(0));
            assert!(
                matches!(result, Err(InvalidationError::InvalidArgument(_))),
                "{result:?}"
            );
        }
        assert_eq!(ledger.list().count(), 0);
    }

    #[test]
    fn a_ledger_forgets_the_oldest_that_are_over_and_no_others() {
        let mut ledger = Ledger::default();
        for number in 0..1_100_u64 {
            let reference = number.to_string();
            ledger
                .create(&reference, &paths(&["/a"]), DELAY, moment(0))
                .unwrap();
        }
        assert_eq!(ledger.list().count(), 1_100, "all are in progress");
        ledger
            .create("last", &paths(&["/a"]), DELAY, moment(60))
            .unwrap();
        assert_eq!(ledger.list().count(), BATCHES_MAX);
        assert_eq!(ledger.list().next().unwrap().caller_reference, "last");
        assert_eq!(ledger.list().last().unwrap().caller_reference, "101");
    }

    #[test]
    fn ids_look_like_cloudfronts_and_differ() {
        let ids: std::collections::BTreeSet<String> = (0..10_000).map(id).collect();
        assert_eq!(ids.len(), 10_000);
        let is_like = |id: &String| {
            let is_upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
            id.len() == 14 && id.starts_with('I') && id.chars().all(is_upper)
        };
        assert!(ids.iter().all(is_like));
    }

    #[test]
    fn ninety_five_of_a_hundred_delays_are_below_the_documented_seconds() {
        // A grid instead of random numbers: the share is then exact to the width of a cell.
        let steps = 400_u32;
        let unit = |step: u32| (f64::from(step) + 0.5) / f64::from(steps);
        let draws =
            || (0..steps).flat_map(|a| (0..steps).map(move |b| Delay::draw(unit(a), unit(b))));
        let share = |is_below: &dyn Fn(Delay) -> bool| {
            let below = draws().filter(|delay| is_below(*delay)).count();
            f64::from(u32::try_from(below).unwrap()) / f64::from(steps * steps)
        };
        let effective = share(&|delay| delay.effective < Duration::from_secs(5));
        let completed = share(&|delay| delay.completed < Duration::from_secs(25));
        assert!((effective - 0.95).abs() < 0.002, "{effective}");
        assert!((completed - 0.95).abs() < 0.002, "{completed}");
        assert!(draws().all(|delay| delay.effective <= delay.completed));
        assert_eq!(
            Delay::draw(0.0, 0.0).effective,
            Delay::draw(0.0, 0.5).effective
        );
    }
}
