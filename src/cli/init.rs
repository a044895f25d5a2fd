//! `headwater init`: makes a store.

use clap::Args;
use serde::Serialize;

use super::output::{Form, Report, printable};
use super::{Context, Failure, StoreArgs};
use crate::assembly::{self, StoreState};
use crate::config::StoreLocation;

/// Create a store, unless it is there
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  headwater init
  headwater init --store /srv/headwater")]
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
}

impl Report for Initialised {
    fn to_text(&self) -> String {
        match self.state {
            "created" => format!("created the store `{}`\n", printable(&self.store)),
            _ => format!("the store `{}` is there\n", printable(&self.store)),
        }
    }
}

impl Typed {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let location = self.store.config(context)?.store;
        let state = match assembly::create_store(&location)? {
            StoreState::Created => "created",
            StoreState::Present => "present",
        };
        let StoreLocation::Directory(path) = &location else {
            todo!()
        };
        let store = path.display().to_string();
        context
            .output
            .report(Form::of(self.json), &Initialised { store, state })
    }
}
