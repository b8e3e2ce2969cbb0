//! The program: one file a command.
//!
//! Each command is a module with `Args`, what its command line takes, and
//! `run`, what it does; who has read one has read all. Those that keep or
//! change a data folder: [`serve`], [`import`], [`export`]. Those that ask a
//! running server: [`events`], [`trace`], [`status`], [`get`], [`query`],
//! [`compare`], [`what_if`], [`verify`], [`history`], [`step`], [`deploy`], [`mirror`], [`promote`],
//! [`rollback`], [`abort`], [`deployments`], [`schemas`], [`dead_letters`], [`purge`]. Those for
//! authors of plug-ins, which need neither: [`new`], [`build`], [`run`], [`test`]; and [`fixture`],
//! which writes for the last of them what it finds in a log.
//!
//! Beside them: [`settings`] (file, environment, flags), [`exit`] (exit codes
//! and errors), `logging.rs`, `support/` (what commands share) and `template/`
//! (the files that `new` writes).
//!
//! Not here: anything that the library could not do without a command line.

pub mod abort;
pub mod build;
pub mod compare;
pub mod dead_letters;
pub mod deploy;
pub mod deployments;
pub mod events;
pub mod exit;
pub mod export;
pub mod fixture;
pub mod get;
pub mod history;
pub mod import;
mod logging;
pub mod mirror;
pub mod new;
pub mod promote;
pub mod purge;
pub mod query;
pub mod rollback;
pub mod run;
pub mod schemas;
pub mod serve;
pub mod settings;
pub mod status;
pub mod step;
pub mod support;
pub mod test;
pub mod trace;
pub mod verify;
pub mod version;
pub mod what_if;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use self::{settings::Settings, support::output::Output};

/// Runs WebAssembly plug-ins that fold an append-only event log into state.
#[derive(Debug, Parser)]
#[command(name = "projectionist", version, after_help = exit::HELP, propagate_version = false)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// What all commands take.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Read settings from this file [default: projectionist.toml, if it is there]
    #[arg(long, global = true, env = "PROJECTIONIST_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON, for machines
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    logging: logging::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the engine: follow the log, fold it through the plug-ins, answer over HTTP
    Serve(serve::Args),
    /// Append events from files or standard input; can be repeated safely
    Import(import::Args),
    /// Write events to a file or standard output, one JSON document a line
    Export(export::Args),
    /// Show events of the log, or follow it
    Events(events::Args),
    /// Show what led to an event and what came of it, as a tree
    Trace(trace::Args),
    /// Show what is deployed and how it does
    Status(status::Args),
    /// Read a table, or one key of it
    Get(get::Args),
    /// Ask a plug-in one of its queries
    Query(query::Args),
    /// Compare what other code makes of the same history with what the live version made of it
    Compare(compare::Args),
    /// Check that a projection's state is what its code makes of history, however that is folded
    Verify(verify::Args),
    /// Show what would have come of another history: without some events, or with others
    WhatIf(what_if::Args),
    /// Show what became of a row: each event that changed it, with its value before and after
    History(history::Args),
    /// Step through history: event by event, the event, the rows that it changed, and what the plug-in printed
    Step(step::Args),
    /// Send a component to the server, to take over or to be put on trial
    Deploy(deploy::Args),
    /// Ask a candidate a share of what readers ask, and show where it answers otherwise
    Mirror(mirror::Args),
    /// Let a candidate on trial take over
    Promote(promote::Args),
    /// Make a version live again that was live before
    Rollback(rollback::Args),
    /// Give up a candidate
    Abort(abort::Args),
    /// Show all that ever happened to a plug-in
    Deployments(deployments::Args),
    /// Show the types of events, and register what events of them must fit
    Schemas(schemas::Args),
    /// Show the events that a reaction could not handle, try them again, or drop them
    DeadLetters(dead_letters::Args),
    /// Delete the state of a plug-in whose file has been removed
    Purge(purge::Args),
    /// Create a plug-in crate, ready to build and test
    New(new::Args),
    /// Build a plug-in crate into the plug-ins folder
    Build(build::Args),
    /// Fold a file of events through a plug-in, without a server
    Run(run::Args),
    /// Give a plug-in the events of fixtures, and see whether all is as they expect
    Test(test::Args),
    /// Write a fixture of what has happened
    Fixture(fixture::Args),
    /// Show the program's version and the plug-in interface that it speaks
    Version(version::Args),
}

/// What a command gets beside its own arguments.
pub struct Context {
    /// What the settings file says.
    pub settings: Settings,
    /// Where the answer goes.
    pub output: Output,
}

/// The program: reads the command line, runs the command, reports how it ended.
pub fn main() -> ExitCode {
    // A panic is a fault of ours. Say so in a line; the location is for the report.
    std::panic::set_hook(Box::new(|panic| {
        let location =
            panic.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        support::output::note(format!("internal error{location}: {message}; please report it"));
    }));
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(cli.run());
            // A thread that waits for standard input must not keep us.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(anyhow::Error::from(error).context("the program's threads could not be started")),
    };
    exit::report(result)
}

impl Cli {
    async fn run(self) -> anyhow::Result<()> {
        let settings = Settings::load(self.common.config.as_deref())?;
        let usual = match self.command {
            Command::Serve(_) => logging::Usual::Work,
            Command::Test(_) | Command::Fixture(_) => logging::Usual::Errors,
            _ => logging::Usual::Warnings,
        };
        self.common.logging.start(&settings, usual)?;
        let mut context = Context { settings, output: Output::standard(self.common.json) };
        let result = self.command.run(&mut context).await;
        let flushed = context.output.flush();
        result.and(flushed.map_err(Into::into))
    }
}

impl Command {
    async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        match self {
            Self::Serve(args) => serve::run(args, context).await,
            Self::Import(args) => import::run(args, context).await,
            Self::Export(args) => export::run(args, context).await,
            Self::Events(args) => events::run(args, context).await,
            Self::Trace(args) => trace::run(args, context).await,
            Self::Status(args) => status::run(args, context).await,
            Self::Get(args) => get::run(args, context).await,
            Self::Query(args) => query::run(args, context).await,
            Self::Compare(args) => compare::run(args, context).await,
            Self::Verify(args) => verify::run(args, context).await,
            Self::WhatIf(args) => what_if::run(args, context).await,
            Self::History(args) => history::run(args, context).await,
            Self::Step(args) => step::run(args, context).await,
            Self::Deploy(args) => deploy::run(args, context).await,
            Self::Mirror(args) => mirror::run(args, context).await,
            Self::Promote(args) => promote::run(args, context).await,
            Self::Rollback(args) => rollback::run(args, context).await,
            Self::Abort(args) => abort::run(args, context).await,
            Self::Deployments(args) => deployments::run(args, context).await,
            Self::Schemas(args) => schemas::run(args, context).await,
            Self::DeadLetters(args) => dead_letters::run(args, context).await,
            Self::Purge(args) => purge::run(args, context).await,
            Self::New(args) => new::run(args, context).await,
            Self::Build(args) => build::run(args, context).await,
            Self::Run(args) => run::run(args, context).await,
            Self::Test(args) => test::run(args, context).await,
            Self::Fixture(args) => fixture::run(args, context).await,
            Self::Version(args) => version::run(args, context).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
