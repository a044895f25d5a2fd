//! `headwater init`: makes a store in a directory, or looks whether a bucket can be one.

use clap::Args;
use serde::Serialize;

use super::output::{Form, Report, printable};
use super::{Context, Failure, StoreArgs};
use crate::assembly::{self, AssemblyError, ConditionalWrites, StoreState};
use crate::config::StoreLocation;

/// Create a store, unless it is there
#[derive(Args, Debug)]
#[command(after_help = "\
A bucket is not created, and needs no init: this looks whether it is there and in reach, and whether its server refuses \
writes whose condition does not hold, on which every promise of the store rests. To try that it writes an object below \
`artifacts/headwater-init/` and removes it. `aws s3 mb s3://BUCKET` makes a bucket.

Examples:
  headwater init
  headwater init --store /srv/headwater
  headwater init --store s3://updates.example/prod")]
pub(super) struct Typed {
    #[command(flatten)]
    store: StoreArgs,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Initialised {
    store: String,
    state: &'static str,
    /// Only of a bucket: `honoured` or `unchecked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    conditional_writes: Option<&'static str>,
}

impl Report for Initialised {
    fn to_text(&self) -> String {
        let store = printable(&self.store);
        match (self.state, self.conditional_writes) {
            ("created", _) => format!("created the store `{store}`\n"),
            (_, Some("unchecked")) => format!(
                "the store `{store}` is there; these credentials may not write below `artifacts/{}/`, so whether its \
                 server honours conditional writes is not known\n",
                assembly::TRIAL_PRODUCT
            ),
            (_, Some(_)) => {
                format!("the store `{store}` is there, and its server honours conditional writes\n")
            }
            (_, None) => format!("the store `{store}` is there\n"),
        }
    }
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let location = self.store.config(context)?.store;
        let report = Initialised::of(&location)?;
        context.output.report(Form::of(self.json), &report)
    }
}

impl Initialised {
    fn of(location: &StoreLocation) -> Result<Self, AssemblyError> {
        let (state, conditional_writes) = match location {
            StoreLocation::Directory(_) => match assembly::create_store(location)? {
                StoreState::Created => ("created", None),
                StoreState::Present => ("present", None),
            },
            StoreLocation::S3(_) => match assembly::examine_bucket(location)? {
                ConditionalWrites::Honoured => ("present", Some("honoured")),
                ConditionalWrites::Unchecked => ("present", Some("unchecked")),
            },
        };
        Ok(Self {
            store: location.to_string(),
            state,
            conditional_writes,
        })
    }
}
