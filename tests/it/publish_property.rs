//! A random series of publish, promote, rollback, retire, crash and repeat equals a plain map; only the library and
//! its crash points are used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use headwater::publish::{ErrorKind, Mode, PublishError};
use proptest::prelude::*;

use crate::support::command::run_crashing;
use crate::support::engineer::Engineer;

const SIGKILL: i32 = 9;
const VERSIONS: [&str; 3] = ["1.0.0", "2.0.0", "3.0.0"];
const CHANNELS: [&str; 2] = ["beta", "stable"];

/// One step. Versions, contents and channels are small numbers, so that steps meet.
#[derive(Clone, Debug)]
enum Step {
    Publish {
        version: usize,
        content: u8,
        crash: Option<Crash>,
    },
    Promote {
        version: usize,
        channel: usize,
        crash: Option<Crash>,
    },
    Rollback {
        channel: usize,
        crash: Option<Crash>,
    },
    Retire {
        version: usize,
        crash: Option<Crash>,
    },
    Prune {
        keep: usize,
    },
}

/// Where the step is killed.
#[derive(Clone, Copy, Debug)]
enum Crash {
    /// At some point before its commit: nothing may have happened.
    Before(usize),
    /// At the commit: it happened, although nobody was told.
    After,
}

fn crash() -> impl Strategy<Value = Option<Crash>> {
    prop_oneof![
        3 => Just(None),
        2 => (0..4_usize).prop_map(|at| Some(Crash::Before(at))),
        1 => Just(Some(Crash::After)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let (version, channel) = (0..VERSIONS.len(), 0..CHANNELS.len());
    prop_oneof![
        4 => (version.clone(), 0..2_u8, crash())
            .prop_map(|(version, content, crash)| Step::Publish { version, content, crash }),
        4 => (version.clone(), channel.clone(), crash())
            .prop_map(|(version, channel, crash)| Step::Promote { version, channel, crash }),
        2 => (channel, crash()).prop_map(|(channel, crash)| Step::Rollback { channel, crash }),
        2 => (version, crash()).prop_map(|(version, crash)| Step::Retire { version, crash }),
        1 => (0..3_usize).prop_map(|keep| Step::Prune { keep }),
    ]
}

/// What should be: the plain map.
#[derive(Clone, Default, PartialEq, Debug)]
struct Model {
    /// Version → content and whether it is retired.
    releases: BTreeMap<String, (u8, bool)>,
    /// Channel → release, previous, revision.
    channels: BTreeMap<String, (String, Option<String>, u64)>,
}

/// What a step leads to.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Outcome {
    /// It is written.
    Changed,
    /// It is as it should be already.
    Unchanged,
    Failed(ErrorKind),
}

impl Model {
    fn names(&self, version: &str) -> bool {
        let is = |name: &String| name == version;
        self.channels
            .values()
            .any(|(now, before, _)| is(now) || before.as_ref().is_some_and(is))
    }

    fn apply(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Publish {
                version, content, ..
            } => {
                let version = VERSIONS[*version].to_owned();
                match self.releases.get(&version) {
                    None => {
                        self.releases.insert(version, (*content, false));
                        Outcome::Changed
                    }
                    Some((there, false)) if there == content => Outcome::Unchanged,
                    Some(_) => Outcome::Failed(ErrorKind::Refused),
                }
            }
            Step::Promote {
                version, channel, ..
            } => self.point(CHANNELS[*channel], VERSIONS[*version].to_owned()),
            Step::Rollback { channel, .. } => {
                let channel = CHANNELS[*channel];
                match self
                    .channels
                    .get(channel)
                    .and_then(|(_, previous, _)| previous.clone())
                {
                    Some(previous) => self.point(channel, previous),
                    None => Outcome::Failed(ErrorKind::NotFound),
                }
            }
            Step::Retire { version, .. } => {
                let version = VERSIONS[*version];
                let is_named = self.names(version);
                match self.releases.get_mut(version) {
                    None => Outcome::Failed(ErrorKind::NotFound),
                    Some((_, true)) => Outcome::Unchanged,
                    Some(_) if is_named => Outcome::Failed(ErrorKind::Refused),
                    Some((_, retired)) => {
                        *retired = true;
                        Outcome::Changed
                    }
                }
            }
            Step::Prune { keep } => {
                let live = self.releases.iter().filter(|(_, (_, retired))| !retired);
                let live: Vec<String> = live.map(|(version, _)| version.clone()).collect();
                for version in &live[..live.len().saturating_sub(*keep)] {
                    if !self.names(version) {
                        self.releases.get_mut(version).unwrap().1 = true;
                    }
                }
                Outcome::Changed
            }
        }
    }

    fn point(&mut self, channel: &str, version: String) -> Outcome {
        match self.releases.get(&version) {
            None => return Outcome::Failed(ErrorKind::NotFound),
            Some((_, true)) => return Outcome::Failed(ErrorKind::Refused),
            Some(_) => {}
        }
        let next = match self.channels.get(channel) {
            Some((now, _, _)) if *now == version => return Outcome::Unchanged,
            Some((now, _, revision)) => (version, Some(now.clone()), revision + 1),
            None => (version, None, 1),
        };
        self.channels.insert(channel.to_owned(), next);
        Outcome::Changed
    }
}

/// The program under test.
struct Real {
    engineer: Engineer,
    inputs: [PathBuf; 2],
    runtime: tokio::runtime::Runtime,
}

impl Real {
    fn new() -> Self {
        let engineer = Engineer::new();
        let input = |content: u8| engineer.files(&[("a", &[content; 9]), ("b/c", &[content; 70])]);
        Self {
            inputs: [input(0), input(1)],
            engineer,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    fn apply(&self, step: &Step) -> Outcome {
        let engineer = &self.engineer;
        let changed = |is_changed| {
            if is_changed {
                Outcome::Changed
            } else {
                Outcome::Unchanged
            }
        };
        let result: Result<Outcome, PublishError> = self.runtime.block_on(async {
            match step {
                Step::Publish {
                    version, content, ..
                } => {
                    let content = [*content; 70];
                    let files: &[(&str, &[u8])] = &[("a", &content[..9]), ("b/c", &content)];
                    let done = engineer.publish("agent", VERSIONS[*version], files).await?;
                    Ok(changed(
                        done.state == headwater::publish::PublishState::Published,
                    ))
                }
                Step::Promote {
                    version, channel, ..
                } => {
                    let (version, channel) = (VERSIONS[*version], CHANNELS[*channel]);
                    Ok(changed(
                        engineer.promote("agent", version, channel).await?.changed,
                    ))
                }
                Step::Rollback { channel, .. } => Ok(changed(
                    engineer
                        .rollback("agent", CHANNELS[*channel])
                        .await?
                        .changed,
                )),
                Step::Retire { version, .. } => {
                    let listed = engineer.publisher.releases(None).await?.found;
                    engineer.retire("agent", VERSIONS[*version]).await?;
                    let was_live = listed.iter().any(|listed| {
                        listed.release.version.as_str() == VERSIONS[*version]
                            && listed.retired.is_none()
                    });
                    Ok(changed(was_live))
                }
                Step::Prune { keep } => {
                    engineer.publisher.prune(*keep, Mode::Commit).await?;
                    Ok(Outcome::Changed)
                }
            }
        });
        result.unwrap_or_else(|error| Outcome::Failed(error.kind()))
    }

    /// Runs the step with the real binary, to be killed on the way. Only steps that write come so far.
    fn crash(&self, step: &Step, crash: Crash) {
        let store = self.engineer.store.path();
        let (arguments, before): (Vec<&str>, [&str; 4]) = match step {
            Step::Publish {
                version, content, ..
            } => {
                let input: &Path = &self.inputs[usize::from(*content)];
                (
                    vec![
                        "publish",
                        "agent",
                        VERSIONS[*version],
                        input.to_str().unwrap(),
                    ],
                    [
                        "publish.reserved",
                        "store.artifact-placed:1",
                        "publish.after-artifact:2",
                        "store.document-staged",
                    ],
                )
            }
            Step::Promote {
                version, channel, ..
            } => (
                vec![
                    "promote",
                    "agent",
                    VERSIONS[*version],
                    "--to",
                    CHANNELS[*channel],
                ],
                [
                    "promote.before-swap",
                    "store.document-written",
                    "store.document-staged",
                    "promote.before-swap",
                ],
            ),
            Step::Rollback { channel, .. } => (
                vec!["rollback", "agent", "--channel", CHANNELS[*channel]],
                [
                    "promote.before-swap",
                    "store.document-written",
                    "store.document-staged",
                    "promote.before-swap",
                ],
            ),
            Step::Retire { version, .. } => (
                vec!["retire", "agent", VERSIONS[*version], "--reason", "a test"],
                [
                    "store.document-written",
                    "store.document-staged",
                    "store.document-written",
                    "store.document-staged",
                ],
            ),
            Step::Prune { .. } => return,
        };
        let at = match crash {
            Crash::Before(at) => before[at],
            Crash::After => "store.document-placed",
        };
        let ended = run_crashing(store, &arguments, at);
        assert_eq!(
            ended.signal,
            Some(SIGKILL),
            "{arguments:?} at {at}: {ended:?}"
        );
    }

    fn observe(&self) -> Model {
        let publisher = &self.engineer.publisher;
        let (releases, channels) = self.runtime.block_on(async {
            (
                publisher.releases(None).await.unwrap().found,
                publisher.channels(None).await.unwrap().found,
            )
        });
        let content = |listed: &headwater::publish::Listed| {
            let sha256 = listed.release.artifacts[0].sha256;
            u8::from(sha256 == headwater::model::Digest::of(&[1; 9]))
        };
        Model {
            releases: releases
                .iter()
                .map(|listed| {
                    (
                        listed.release.version.to_string(),
                        (content(listed), listed.retired.is_some()),
                    )
                })
                .collect(),
            channels: channels
                .into_iter()
                .map(|channel| {
                    let previous = channel
                        .previous
                        .map(|previous| previous.version.to_string());
                    let now = channel.release.version.to_string();
                    (
                        channel.channel.to_string(),
                        (now, previous, channel.revision),
                    )
                })
                .collect(),
        }
    }
}

fn crash_of(step: &Step) -> Option<Crash> {
    match step {
        Step::Publish { crash, .. }
        | Step::Promote { crash, .. }
        | Step::Rollback { crash, .. }
        | Step::Retire { crash, .. } => *crash,
        Step::Prune { .. } => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_series_of_steps_and_crashes_equals_a_plain_map(
        steps in proptest::collection::vec(step(), 1..16)
    ) {
        let real = Real::new();
        let mut model = Model::default();
        for step in &steps {
            let mut after = model.clone();
            let outcome = after.apply(step);
            match crash_of(step) {
                // A step that is refused or has nothing to do comes to no crash point.
                Some(crash) if outcome == Outcome::Changed => {
                    real.crash(step, crash);
                    if matches!(crash, Crash::After) {
                        model = after;
                    }
                }
                _ => {
                    prop_assert_eq!(real.apply(step), outcome, "{:?}", step);
                    model = after;
                }
            }
            prop_assert_eq!(&real.observe(), &model, "after {:?}", step);
            prop_assert_eq!(real.runtime.block_on(real.engineer.damage()), vec![]);
        }
    }
}
