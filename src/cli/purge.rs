//! What follows a channel's move when an edge is in front: the flags for it, the purge, and the message when it failed.
//!
//! Owns that a failed purge undoes nothing, and that every failure says how long it matters and what repeats it. Never
//! decides what is purged (`cdn/purge.rs` does) or how often it is tried (`cdn/telling.rs` does).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::failure::Exit;
use super::output::Output;
use super::{Context, Failure, StoreArgs};
use crate::assembly;
use crate::catalog::Channel;
use crate::cdn::purge::SETTLE;
use crate::cdn::reference::Position;
use crate::cdn::{
    Batch, CdnError, Change, Edge, Patience, PurgeSet, Redirects, Reference, Status, Until, tell,
};
use crate::config::{CdnKind, Channels, Config, schema};
use crate::model::{ArtifactName, ReleaseId};
use crate::publish::{Moved, Publisher};

/// Which edge is told, as every command that moves a channel is told.
#[derive(Args, Debug)]
pub(super) struct CdnArgs {
    #[arg(
        long,
        value_name = "ID",
        help = "The CloudFront distribution to purge [env: HEADWATER_DISTRIBUTION_ID] [default: `cdn.distribution_id`]"
    )]
    distribution_id: Option<String>,

    /// Wait until every edge location has purged [default: `cdn.wait`]
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,

    /// Only ask for the purge
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
}

/// The distribution that a command tells, before anything is done.
pub(super) struct Target {
    distribution: String,
    endpoint_url: Option<String>,
    patience: Patience,
    channels: Channels,
    /// Typed again in the command that repeats a purge: what was typed here and is in no file.
    flags: Vec<String>,
}

impl Target {
    /// The configuration, and the distribution that a command cannot do without, whose purges it waits for.
    pub(super) fn needed(
        distribution_id: Option<String>,
        context: &Context,
        store: &StoreArgs,
    ) -> Result<(Config, Self), Failure> {
        let arguments = CdnArgs {
            distribution_id,
            wait: false,
            no_wait: false,
        };
        let (config, target) = arguments.config(context, store)?;
        let none = || Failure::new(Exit::Usage, "no distribution is named").with_hint(WAY_OUT);
        let mut target = target.ok_or_else(none)?;
        target.patience.until = Until::Completed;
        Ok((config, target))
    }
}

impl CdnArgs {
    /// The configuration, and the distribution that it or a flag names; `None` when there is none.
    pub(super) fn config(
        &self,
        context: &Context,
        store: &StoreArgs,
    ) -> Result<(Config, Option<Target>), Failure> {
        let wait = match (self.wait, self.no_wait) {
            (true, _) => Some(("--wait", "true")),
            (false, true) => Some(("--no-wait", "false")),
            (false, false) => None,
        };
        let (flag, is_awaited) = wait.unzip();
        let flags = store
            .flags()
            .with(
                schema::CDN_DISTRIBUTION_ID,
                "--distribution-id",
                self.distribution_id.clone(),
            )
            .with(
                schema::CDN_WAIT,
                flag.unwrap_or("--wait"),
                is_awaited.map(str::to_owned),
            );
        let config = context.load(store.config.as_deref(), &flags)?.config;
        let target = self.target(&config, store)?;
        Ok((config, target))
    }

    fn target(&self, config: &Config, store: &StoreArgs) -> Result<Option<Target>, Failure> {
        let named = match config.cdn.kind {
            CdnKind::None => None,
            CdnKind::CloudFront => config.cdn.distribution_id.clone(),
        };
        let Some(distribution) = named else {
            return if self.wait {
                let error = "`--wait` waits for a purge, and no distribution is named";
                Err(Failure::new(Exit::Usage, error).with_hint(WAY_OUT))
            } else {
                Ok(None)
            };
        };
        Ok(Some(Target {
            distribution,
            endpoint_url: config.cdn.endpoint_url.clone(),
            patience: Patience {
                timeout: config.cdn.timeout,
                until: if config.cdn.wait {
                    Until::Completed
                } else {
                    Until::Accepted
                },
            },
            channels: config.channels.clone(),
            flags: self.typed(store),
        }))
    }

    fn typed(&self, store: &StoreArgs) -> Vec<String> {
        let path = |path: &Option<std::path::PathBuf>| {
            let path = path.as_ref()?;
            Some(path.display().to_string())
        };
        let id = self.distribution_id.clone();
        let flags = [
            ("--store", path(&store.store)),
            ("--config", path(&store.config)),
            ("--distribution-id", id),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(flag, value)| Some((flag, value?)));
        flags
            .flat_map(|(flag, value)| [flag.to_owned(), quoted(&value)])
            .collect()
    }
}

/// Said to whoever asks for a purge of nothing in particular.
pub(super) const WAY_OUT: &str = "`--distribution-id ID` or `cdn.distribution_id` names one";

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What an edge was told.
#[derive(Serialize)]
pub(super) struct Purge {
    distribution_id: String,
    id: Option<String>,
    status: &'static str,
    paths: Vec<String>,
    reference: Option<String>,
    created_at: Option<Timestamp>,
}

impl Purge {
    /// A purge of which nothing is known but what was to be purged.
    fn unsent(target: &Target, status: &'static str, set: &PurgeSet) -> Self {
        Self {
            distribution_id: target.distribution.clone(),
            id: None,
            status,
            paths: set.paths(),
            reference: None,
            created_at: None,
        }
    }

    /// Nothing has to be purged after a release was retired, and nobody was asked.
    pub(super) fn after_retirement(target: &Target, id: &ReleaseId) -> Self {
        Self::unsent(target, "none", &PurgeSet::of(&Change::Retired(id)))
    }

    /// What would be purged.
    pub(super) fn planned(target: &Target, batch: &Batch) -> Self {
        Self {
            reference: Some(batch.reference.to_string()),
            ..Self::unsent(target, "dry-run", &batch.set)
        }
    }

    /// One line for people.
    pub(super) fn describe(&self) -> String {
        let paths = self.paths.join(" ");
        match (&self.id, self.status) {
            (Some(id), status) => {
                let since = self.created_at.map(|at| format!(", asked for at {at}"));
                format!(
                    "purge {id} is {status}{}: {paths}\n",
                    since.unwrap_or_default()
                )
            }
            (None, "dry-run") => format!("would purge {paths}\n"),
            (None, "none") => "nothing to purge: no channel names it\n".to_owned(),
            (None, _) => format!("not purged: {paths}\n"),
        }
    }
}

/// An edge that can be told.
pub(super) struct Teller {
    pub(super) target: Target,
    edge: Arc<dyn Edge>,
    output: Output,
}

/// How a purge went: what to report, and what to fail with after that.
#[derive(Default)]
pub(super) struct Told {
    pub(super) purge: Option<Purge>,
    pub(super) failed: Option<CdnError>,
}

impl Teller {
    /// When there is one to be told.
    pub(super) async fn open_any(target: Option<Target>, context: &Context) -> Option<Self> {
        match target {
            Some(target) => Some(Self::open(target, context).await),
            None => None,
        }
    }

    pub(super) async fn open(target: Target, context: &Context) -> Self {
        let edge = assembly::cdn(target.distribution.clone(), target.endpoint_url.as_deref());
        Self {
            edge: edge.await,
            output: context.output,
            target,
        }
    }

    /// Sends one batch, and waits as long as the flags say.
    pub(super) async fn tell(&self, batch: &Batch) -> Told {
        let line = self.output.edge_line();
        line.say("telling the edge");
        let told = tell(&*self.edge, batch, self.target.patience, &line).await;
        let (status, id) = match &told {
            Ok(accepted) => (accepted.status.as_str(), Some(accepted.id.as_str())),
            Err(error) => match error.accepted() {
                Some(id) => (Status::InProgress.as_str(), Some(id)),
                None => ("failed", None),
            },
        };
        let purge = Purge {
            id: id.map(str::to_owned),
            status,
            reference: Some(batch.reference.to_string()),
            created_at: told.as_ref().ok().and_then(|accepted| accepted.created_at),
            ..Purge::unsent(&self.target, status, &batch.set)
        };
        Told {
            purge: Some(purge),
            failed: told.err(),
        }
    }

    /// Purges what a move has made stale, when no origin answers with the older channel any more.
    async fn after_move(&self, publisher: &Publisher, moved: &Moved) -> Told {
        let batch = of_channel(publisher, &moved.channel).await;
        let rest = if moved.changed {
            SETTLE
        } else {
            rest(moved.channel.updated_at, assembly::now())
        };
        self.settle(rest).await;
        self.tell(&batch).await
    }

    /// Lets origins notice a move.
    pub(super) async fn settle(&self, rest: Duration) {
        if !rest.is_zero() {
            let line = self.output.edge_line();
            line.say("waiting until every origin has noticed");
            tokio::time::sleep(rest).await;
        }
    }
}

/// What is left of [`SETTLE`] since a move, at most that and the fraction of a second that its time does not tell.
pub(super) fn rest(updated_at: Timestamp, now: Timestamp) -> Duration {
    let longest = SETTLE + Duration::from_secs(1);
    let since = now.duration_since(updated_at).max(SignedDuration::ZERO);
    longest.saturating_sub(since.unsigned_abs())
}

/// What belongs to a channel as it is now.
pub(super) async fn of_channel(publisher: &Publisher, channel: &Channel) -> Batch {
    let names = names(publisher, channel).await;
    let set = PurgeSet::of(&Change::Channel {
        product: &channel.product,
        channel: &channel.channel,
        redirects: names.as_ref().map_or(Redirects::Any, |names| {
            Redirects::Of(names.iter().collect())
        }),
    });
    let position = Position {
        product: &channel.product,
        channel: &channel.channel,
        revision: channel.revision,
        document: &channel.to_json(),
    };
    let reference = Reference::of_move(position, &set);
    Batch { set, reference }
}

/// The names that the channel redirects or did before its last move; `None` when one of the releases cannot be read.
async fn names(publisher: &Publisher, channel: &Channel) -> Option<BTreeSet<ArtifactName>> {
    let mut names = BTreeSet::new();
    for pointer in [Some(&channel.release), channel.previous.as_ref()]
        .into_iter()
        .flatten()
    {
        let id = ReleaseId {
            product: channel.product.clone(),
            version: pointer.version.clone(),
        };
        let (listed, _document) = publisher.show(&id).await.ok()?;
        names.extend(
            listed
                .release
                .artifacts
                .into_iter()
                .map(|artifact| artifact.name),
        );
    }
    Some(names)
}

/// Tells the edge of a move, when there is one. Never fails: what failed is in the value, so that the move is reported
/// first.
pub(super) async fn after_move(
    teller: Option<&Teller>,
    publisher: &Publisher,
    moved: &Moved,
) -> Told {
    match teller {
        Some(teller) => teller.after_move(publisher, moved).await,
        None => Told::default(),
    }
}

/// The failure of a command whose channel has moved.
pub(super) fn outcome(
    teller: Option<&Teller>,
    channel: Option<&Channel>,
    failed: Option<CdnError>,
) -> Result<(), Failure> {
    let (Some(teller), Some(channel), Some(error)) = (teller, channel, failed) else {
        return Ok(());
    };
    let Target {
        channels, flags, ..
    } = &teller.target;
    let seconds = |span: Duration| span.as_secs();
    let (age, extra) = (
        seconds(channels.max_age),
        seconds(channels.stale_while_revalidate),
    );
    let Channel {
        product,
        channel: name,
        revision,
        release,
        ..
    } = channel;
    let details = vec![
        format!(
            "{product} {name} is {}, revision {revision}: nothing of that is undone",
            release.version
        ),
        format!(
            "edges may serve the older channel for up to {} s more (max-age {age} s and stale-while-revalidate {extra} s)",
            age + extra
        ),
    ];
    let mut words = vec![format!("headwater invalidate {product} {name}")];
    words.extend(flags.iter().cloned());
    if teller.target.patience.until == Until::Completed {
        words.push("--wait".to_owned());
    }
    let hint = format!("`{}` repeats the purge alone", words.join(" "));
    let failure = Failure::new(Exit::Untold, Untold::from(error));
    Err(failure.with_details(details).with_hint(hint))
}

/// What a move is told to have failed with.
#[derive(Debug, thiserror::Error)]
enum Untold {
    #[error("the channel has moved, but the edge was not told")]
    NotTold(#[source] CdnError),
    #[error("the channel has moved and the edge was told, but has not said that it is done")]
    NotDone(#[source] CdnError),
}

impl From<CdnError> for Untold {
    fn from(error: CdnError) -> Self {
        if error.accepted().is_some() {
            Self::NotDone(error)
        } else {
            Self::NotTold(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_anything_special_is_quoted_for_a_shell() {
        for (word, expected) in [
            ("s3://bucket/prefix", "s3://bucket/prefix"),
            ("./a b", "'./a b'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn a_move_of_a_while_ago_is_not_waited_for() {
        let moved: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let rest_at = |text: &str| rest(moved, text.parse().unwrap()).as_millis();
        assert_eq!(rest_at("2026-11-22T10:00:00Z"), 3_000);
        assert_eq!(rest_at("2026-11-22T10:00:01.5Z"), 1_500);
        assert_eq!(rest_at("2026-11-22T10:00:03Z"), 0);
        assert_eq!(rest_at("2026-11-23T10:00:00Z"), 0);
        // A clock that is behind never makes it longer.
        assert_eq!(rest_at("2026-11-22T09:00:00Z"), 3_000);
    }
}
