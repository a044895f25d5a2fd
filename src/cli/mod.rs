//! The command line: one file per command, each in two layers: what was typed, then what it means.
//!
//! Owns the list of commands and what all of them share. Never prints (`output.rs` does), never names a concrete
//! store (`assembly.rs` does). Read next: `publish.rs`, a typical command; `failure.rs` for the exit codes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::{
    Config, Environment, Flags, ProcessEnvironment, Resolved, log_directives, schema, wants_colours,
};
use crate::publish::PublishError;
use crate::telemetry::{self, Colours};

mod channels;
mod completions;
mod config;
mod demo;
mod edge;
mod failure;
mod get;
mod init;
mod invalidate;
mod loadtest;
mod man;
pub mod output;
mod promote;
mod prune;
mod publish;
mod purge;
mod releases;
mod retire;
mod rollback;
mod serve;
mod show;
mod simulate;
mod verify;

pub use failure::{Exit, Failure};
use output::{Output, Talk};

/// The origin of a software-update distribution: publish immutable releases, serve them, fetch and verify them.
#[derive(Parser, Debug)]
#[command(
    name = "headwater",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  headwater demo                                             see all of it at work
  headwater publish agent 1.4.2 target/agent --channel stable
  headwater serve
  headwater get agent --channel stable --from http://127.0.0.1:8080

Exit codes: 0 done, 1 failed, 2 usage, 3 refused (would break immutability), 4 not found, 5 damaged,
6 done, but the edge was not told.
Environment: HEADWATER_STORE names the store, HEADWATER_LOG what is logged (`info`, `headwater=debug`)."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Say nothing but results and errors
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Subcommand, Debug)]
enum Command {
    Init(init::Typed),
    Publish(publish::Typed),
    Promote(promote::Typed),
    Rollback(rollback::Typed),
    Invalidate(invalidate::Typed),
    Releases(releases::Typed),
    Show(show::Typed),
    Channels(channels::Typed),
    Verify(verify::Typed),
    Retire(retire::Typed),
    Prune(prune::Typed),
    Serve(serve::Typed),
    Edge(edge::Typed),
    Get(get::Typed),
    Simulate(simulate::Typed),
    Loadtest(Box<loadtest::Typed>),
    Config(config::Typed),
    Demo(demo::Typed),
    Completions(completions::Typed),
    Man(man::Typed),
}

/// What every command is handed.
struct Context {
    output: Output,
    environment: ProcessEnvironment,
    colours: Colours,
}

/// Runs the program and says how it ended.
#[must_use]
pub fn run(argv: impl IntoIterator<Item = OsString>) -> u8 {
    let colours = if wants_colours(&ProcessEnvironment) {
        Colours::Auto
    } else {
        Colours::Never
    };
    let cli = match Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        Err(error) => return output::parser_message(&error, colours).code(),
    };
    let output = Output::new(if cli.quiet { Talk::Quiet } else { Talk::Normal });
    let context = Context {
        output,
        environment: ProcessEnvironment,
        colours,
    };
    match dispatch(cli.command, &context) {
        Ok(()) => Exit::Done.code(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.code()
        }
    }
}

fn dispatch(command: Command, context: &Context) -> Result<(), Failure> {
    if !matches!(command, Command::Serve(_) | Command::Edge(_)) {
        context.start_logging("warn", telemetry::Format::Text)?;
    }
    match command {
        Command::Init(typed) => typed.run(context),
        Command::Publish(typed) => typed.run(context),
        Command::Promote(typed) => typed.run(context),
        Command::Rollback(typed) => typed.run(context),
        Command::Invalidate(typed) => typed.run(context),
        Command::Releases(typed) => typed.run(context),
        Command::Show(typed) => typed.run(context),
        Command::Channels(typed) => typed.run(context),
        Command::Verify(typed) => typed.run(context),
        Command::Retire(typed) => typed.run(context),
        Command::Prune(typed) => typed.run(context),
        Command::Serve(typed) => typed.run(context),
        Command::Edge(typed) => typed.run(context),
        Command::Get(typed) => typed.run(context),
        Command::Simulate(typed) => typed.run(context),
        Command::Loadtest(typed) => typed.run(context),
        Command::Config(typed) => typed.run(context),
        Command::Demo(typed) => typed.run(context),
        Command::Completions(typed) => typed.run(context),
        Command::Man(typed) => typed.run(context),
    }
}

impl Context {
    fn start_logging(&self, default: &str, format: telemetry::Format) -> Result<(), Failure> {
        let directives = log_directives(&self.environment);
        Ok(telemetry::start(
            directives.as_deref().unwrap_or(default),
            format,
            self.colours,
        )?)
    }

    fn load(&self, file: Option<&std::path::Path>, flags: &Flags) -> Result<Resolved, Failure> {
        Ok(Resolved::load(
            file,
            &self.environment as &dyn Environment,
            flags,
        )?)
    }
}

/// Where the store is, as every command that touches it is told.
#[derive(Args, Debug)]
struct StoreArgs {
    #[arg(
        long,
        value_name = "STORE",
        help = "A directory or s3://BUCKET[/PREFIX] [env: HEADWATER_STORE] [default: ./headwater-store]"
    )]
    store: Option<PathBuf>,

    /// Read settings from FILE; flags and environment variables override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StoreArgs {
    fn flags(&self) -> Flags {
        Flags::default().with_path(schema::STORE_PATH, "--store", self.store.clone())
    }

    fn config(&self, context: &Context) -> Result<Config, Failure> {
        Ok(context.load(self.config.as_deref(), &self.flags())?.config)
    }
}

/// A product or version that is not there: most often misspelt.
fn or_list_releases(error: PublishError) -> Failure {
    Failure::from(error).hint_on(Exit::NotFound, "`headwater releases` lists what there is")
}

/// The command line itself, for completions and man pages.
fn command_line() -> clap::Command {
    Cli::command()
}
