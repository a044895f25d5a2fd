//! Telling an edge: how often, how long, and until what.
//!
//! Owns the attempts, the pauses between them and the wait for completion. Never speaks a protocol: a [`super::Edge`]
//! does, one attempt at a time.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::error::Outlook;
use super::{Batch, CdnError, Edge, EdgeError, Invalidation, Status};

/// The first pause between two attempts; they double up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(500);

/// A batch is complete within 25 s for 95 of 100, and then there is room for the next: no later than that.
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// Accidents in a row that are put up with: some 15 s. Whoever wrote a wrong address should not wait for `cdn.timeout`.
const ACCIDENTS_MAX: u32 = 5;

/// The pauses between two looks at an invalidation: they too double.
const LOOK_FIRST: Duration = Duration::from_millis(250);
const LOOK_MAX: Duration = Duration::from_secs(5);

/// How long is tried, and until what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// For all attempts and looks together.
    pub timeout: Duration,
    /// What ends it well.
    pub until: Until,
}

/// What ends a purge well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// The edge has accepted it, and will forget in its own time.
    Accepted,
    /// Every cache has forgotten.
    Completed,
}

/// Told how a purge goes; a command line shows it, a test counts it.
pub trait Watcher: Send + Sync {
    /// An attempt failed; the next follows after `pause`.
    fn again(&self, why: &EdgeError, pause: Duration);
    /// It is accepted and goes on, for so long now.
    fn waiting(&self, invalidation: &Invalidation, waited: Duration);
}

/// Asks an edge to forget, and waits as long as `patience` says.
pub async fn tell(
    edge: &dyn Edge,
    batch: &Batch,
    patience: Patience,
    watcher: &dyn Watcher,
) -> Result<Invalidation, CdnError> {
    let mut attempts = Attempts {
        deadline: Instant::now() + patience.timeout,
        accidents: 0,
        pauses: 0,
        last: None,
        watcher,
    };
    let invalidation = loop {
        match timeout_at(attempts.deadline, accept(edge, batch)).await {
            Ok(Ok(accepted)) => break accepted,
            Ok(Err(error)) => attempts.pause(error).await?,
            Err(_late) => {}
        }
        if attempts.is_over() {
            return Err(CdnError::NotAccepted {
                timeout: patience.timeout,
                source: attempts.last,
            });
        }
    };
    match patience.until {
        Until::Accepted => Ok(invalidation),
        Until::Completed => complete(edge, invalidation, patience.timeout, attempts).await,
    }
}

/// One attempt. CloudFront documents that a repeat is answered with the first invalidation; there are reports that it
/// refuses it instead, and then the first one is looked for.
async fn accept(edge: &dyn Edge, batch: &Batch) -> Result<Invalidation, EdgeError> {
    match edge.create(batch).await {
        Err(EdgeError::ReferenceUsed) => {
            let found = edge.find(&batch.reference).await?;
            found.ok_or(EdgeError::ReferenceUsed)
        }
        outcome => outcome,
    }
}

async fn complete(
    edge: &dyn Edge,
    mut invalidation: Invalidation,
    timeout: Duration,
    mut attempts: Attempts<'_>,
) -> Result<Invalidation, CdnError> {
    let started = Instant::now();
    let mut look = LOOK_FIRST;
    while invalidation.status != Status::Completed {
        attempts.watcher.waiting(&invalidation, started.elapsed());
        sleep(look.min(attempts.left())).await;
        look = (look * 2).min(LOOK_MAX);
        match timeout_at(attempts.deadline, edge.get(&invalidation.id)).await {
            Ok(Ok(seen)) => {
                attempts.accidents = 0;
                invalidation = seen;
            }
            Ok(Err(error)) => attempts
                .pause(error)
                .await
                .map_err(|why| CdnError::Unseen {
                    id: invalidation.id.clone(),
                    source: Box::new(why),
                })?,
            Err(_late) => {}
        }
        if invalidation.status != Status::Completed && attempts.is_over() {
            let id = invalidation.id;
            return Err(CdnError::Incomplete { id, timeout });
        }
    }
    Ok(invalidation)
}

/// The failures so far.
struct Attempts<'a> {
    deadline: Instant,
    /// In a row, that were nobody's being busy.
    accidents: u32,
    pauses: u32,
    last: Option<EdgeError>,
    watcher: &'a dyn Watcher,
}

impl Attempts<'_> {
    /// Waits before the next attempt, unless there should be none.
    async fn pause(&mut self, error: EdgeError) -> Result<(), CdnError> {
        match error.outlook() {
            Outlook::Never => return Err(error.into()),
            Outlook::Soon => self.accidents = 0,
            Outlook::Perhaps => self.accidents += 1,
        }
        if self.accidents == ACCIDENTS_MAX {
            return Err(CdnError::Repeatedly {
                attempts: self.accidents,
                source: error,
            });
        }
        let pause = pause(self.pauses, chance()).min(self.left());
        self.pauses += 1;
        self.watcher.again(&error, pause);
        self.last = Some(error);
        sleep(pause).await;
        Ok(())
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// Doubles up to a limit; half of it is left to chance (0 to 1), so that twenty promotes of one pipeline that were all
/// turned away do not come back together.
fn pause(pauses: u32, chance: f64) -> Duration {
    let ceiling = PAUSE_FIRST
        .saturating_mul(1 << pauses.min(16))
        .min(PAUSE_MAX);
    ceiling.mul_f64(0.5 + chance / 2.0)
}

/// The standard library's hash keys are random for each process and differ from call to call.
fn chance() -> f64 {
    f64::from(u16::try_from(RandomState::new().hash_one(()) >> 48).unwrap_or_default())
        / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::cdn::error::Cause;
    use crate::cdn::{Change, PurgeSet, Reference};
    use crate::model::Locator;

    type Answer = Result<Invalidation, EdgeError>;

    /// Answers from two lists; the last entry of each is repeated. Counts what it is asked.
    #[derive(Debug)]
    struct Scripted {
        creates: Mutex<Vec<Answer>>,
        gets: Mutex<Vec<Answer>>,
        known: Option<Invalidation>,
        asked: Mutex<Vec<&'static str>>,
        told: Mutex<Vec<Duration>>,
    }

    fn next(script: &Mutex<Vec<Answer>>) -> Answer {
        let mut script = script.lock().unwrap();
        if script.len() > 1 {
            script.remove(0)
        } else {
            script[0].clone()
        }
    }

    impl Scripted {
        fn new(creates: Vec<Answer>, gets: Vec<Answer>) -> Self {
            Self {
                creates: Mutex::new(creates),
                gets: Mutex::new(gets),
                known: None,
                asked: Mutex::default(),
                told: Mutex::default(),
            }
        }

        fn count(&self, what: &str) -> usize {
            let asked = self.asked.lock().unwrap();
            asked.iter().filter(|asked| **asked == what).count()
        }

        async fn tell(&self, timeout: u64, until: Until) -> Result<Invalidation, CdnError> {
            let set = PurgeSet::of(&Change::Object(&Locator::Health));
            let reference = Reference::by_hand(jiff::Timestamp::UNIX_EPOCH, &set);
            let batch = Batch { set, reference };
            let timeout = Duration::from_secs(timeout);
            tell(self, &batch, Patience { timeout, until }, self).await
        }
    }

    #[async_trait]
    impl Edge for Scripted {
        async fn create(&self, _batch: &Batch) -> Answer {
            self.asked.lock().unwrap().push("create");
            next(&self.creates)
        }

        async fn get(&self, id: &str) -> Answer {
            assert_eq!(id, "I1");
            self.asked.lock().unwrap().push("get");
            next(&self.gets)
        }

        async fn find(&self, _reference: &Reference) -> Result<Option<Invalidation>, EdgeError> {
            self.asked.lock().unwrap().push("find");
            Ok(self.known.clone())
        }
    }

    impl Watcher for Scripted {
        fn again(&self, _why: &EdgeError, pause: Duration) {
            self.told.lock().unwrap().push(pause);
        }

        fn waiting(&self, _invalidation: &Invalidation, waited: Duration) {
            self.told.lock().unwrap().push(waited);
        }
    }

    fn seen(status: Status) -> Invalidation {
        Invalidation {
            id: "I1".to_owned(),
            status,
            created_at: None,
        }
    }

    fn busy() -> EdgeError {
        EdgeError::Busy {
            code: "TooManyInvalidationsInProgress".to_owned(),
        }
    }

    fn unreachable() -> EdgeError {
        EdgeError::Unreachable {
            endpoint: "CloudFront".to_owned(),
            source: Cause("connection refused".to_owned()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_that_is_busy_is_asked_again_until_it_accepts() {
        let mut creates = vec![Err(busy()); 20];
        creates.push(Ok(seen(Status::InProgress)));
        let edge = Scripted::new(creates, Vec::new());
        let started = Instant::now();
        let accepted = edge.tell(900, Until::Accepted).await;
        assert_eq!(accepted, Ok(seen(Status::InProgress)));
        assert_eq!(edge.count("create"), 21);
        let told = edge.told.lock().unwrap().clone();
        assert_eq!(
            told.iter().sum::<Duration>().as_secs(),
            started.elapsed().as_secs()
        );
        assert!(
            told[0] <= PAUSE_FIRST && told[19] >= PAUSE_MAX / 2,
            "{told:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_that_stays_busy_costs_the_timeout_and_no_more() {
        let edge = Scripted::new(vec![Err(busy())], Vec::new());
        let started = Instant::now();
        let error = edge.tell(60, Until::Completed).await.unwrap_err();
        let timeout = Duration::from_secs(60);
        let source = Some(busy());
        assert_eq!(error, CdnError::NotAccepted { timeout, source });
        assert!(started.elapsed() >= timeout);
        assert!(
            started.elapsed() < timeout + Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn accidents_in_a_row_end_it_long_before_the_timeout() {
        let edge = Scripted::new(vec![Err(unreachable())], Vec::new());
        let started = Instant::now();
        let error = edge.tell(900, Until::Accepted).await.unwrap_err();
        let (attempts, source) = (ACCIDENTS_MAX, unreachable());
        assert_eq!(error, CdnError::Repeatedly { attempts, source });
        assert_eq!(edge.count("create"), 5);
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn accidents_between_which_something_was_answered_are_not_in_a_row() {
        let mut creates = Vec::new();
        for _ in 0..3 {
            creates.extend(vec![Err(unreachable()); 4]);
            creates.push(Err(busy()));
        }
        creates.push(Ok(seen(Status::InProgress)));
        let edge = Scripted::new(creates, Vec::new());
        assert!(edge.tell(900, Until::Accepted).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_change_is_not_tried_again() {
        let denied = EdgeError::Denied {
            code: "AccessDenied".to_owned(),
            detail: None,
        };
        let edge = Scripted::new(vec![Err(denied.clone())], Vec::new());
        let error = edge.tell(900, Until::Accepted).await.unwrap_err();
        assert_eq!(error, CdnError::Edge(denied));
        assert_eq!(edge.count("create"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_waited_for_until_it_is_complete_through_accidents_and_throttling() {
        let mut gets = vec![Ok(seen(Status::InProgress)); 4];
        gets.extend([
            Err(busy()),
            Err(unreachable()),
            Ok(seen(Status::InProgress)),
        ]);
        gets.push(Ok(seen(Status::Completed)));
        let edge = Scripted::new(vec![Ok(seen(Status::InProgress))], gets);
        let done = edge.tell(900, Until::Completed).await;
        assert_eq!(done, Ok(seen(Status::Completed)));
        assert_eq!((edge.count("create"), edge.count("get")), (1, 8));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_complete_at_once_is_not_looked_at_again() {
        let edge = Scripted::new(vec![Ok(seen(Status::Completed))], Vec::new());
        assert!(edge.tell(1, Until::Completed).await.is_ok());
        assert_eq!(edge.count("get"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_completes_is_named_after_the_timeout() {
        let in_progress = Ok(seen(Status::InProgress));
        let edge = Scripted::new(vec![in_progress.clone()], vec![in_progress]);
        let started = Instant::now();
        let error = edge.tell(30, Until::Completed).await.unwrap_err();
        let (id, timeout) = ("I1".to_owned(), Duration::from_secs(30));
        assert_eq!(error, CdnError::Incomplete { id, timeout });
        assert!(
            started.elapsed() < timeout + Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_accepted_and_cannot_be_looked_at_is_named_as_accepted() {
        let denied = EdgeError::Denied {
            code: "AccessDenied".to_owned(),
            detail: None,
        };
        let rows = [
            (denied.clone(), CdnError::Edge(denied)),
            (
                unreachable(),
                CdnError::Repeatedly {
                    attempts: ACCIDENTS_MAX,
                    source: unreachable(),
                },
            ),
        ];
        for (answer, why) in rows {
            let edge = Scripted::new(vec![Ok(seen(Status::InProgress))], vec![Err(answer)]);
            let error = edge.tell(900, Until::Completed).await.unwrap_err();
            let (id, source) = ("I1".to_owned(), Box::new(why));
            assert_eq!(error, CdnError::Unseen { id, source });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reference_that_was_used_finds_the_invalidation_that_used_it() {
        let used = || vec![Err(EdgeError::ReferenceUsed)];
        let mut edge = Scripted::new(used(), vec![Ok(seen(Status::Completed))]);
        edge.known = Some(seen(Status::InProgress));
        let done = edge.tell(30, Until::Completed).await;
        assert_eq!(done, Ok(seen(Status::Completed)));
        assert_eq!((edge.count("create"), edge.count("find")), (1, 1));
        let edge = Scripted::new(used(), Vec::new());
        let error = edge.tell(30, Until::Completed).await.unwrap_err();
        assert_eq!(error, CdnError::Edge(EdgeError::ReferenceUsed));
    }

    #[test]
    fn chance_takes_at_most_half_of_a_pause() {
        let ceilings: Vec<_> = (0..8).map(|n| pause(n, 1.0).as_millis()).collect();
        assert_eq!(
            ceilings,
            [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]
        );
        assert_eq!(pause(0, 0.0), PAUSE_FIRST / 2);
        assert_eq!(pause(u32::MAX, 1.0), PAUSE_MAX);
        let spread: Vec<_> = (0..64).map(|_| chance()).collect();
        assert!(
            spread.iter().all(|share| (0.0..=1.0).contains(share)),
            "{spread:?}"
        );
        assert!(
            spread
                .iter()
                .any(|share| share.to_bits() != spread[0].to_bits())
        );
    }
}
