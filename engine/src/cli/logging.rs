//! What the program tells about its work, on standard error.

use std::io::{self, IsTerminal};

use anyhow::anyhow;
use clap::ValueEnum;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::{
    exit::{Exit, Failure},
    settings::Settings,
};

/// Options for logging.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Args {
    /// What to log: error, warn, info, debug, trace, or a filter like projectionist::log=debug
    /// [default: info for serve, error for test and fixture, warn for other commands]
    #[arg(long, global = true, env = "PROJECTIONIST_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// Log more; twice: still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "log")]
    verbose: u8,
    /// How to log
    #[arg(long, global = true, env = "PROJECTIONIST_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<Format>,
}

/// In which form to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A line an entry, for people.
    #[default]
    Text,
    /// A JSON document an entry.
    Json,
}

/// What a command logs where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usual {
    /// Its work: it runs for long.
    Work,
    /// What somebody should know.
    Warnings,
    /// Only what is wrong with the host: what becomes of events is its answer.
    Errors,
}

impl Args {
    /// Starts logging as flags, environment and settings file say.
    pub(crate) fn start(&self, settings: &Settings, usual: Usual) -> anyhow::Result<()> {
        let text = self.filter(settings.log.as_deref(), usual);
        let filter = EnvFilter::try_new(&text).map_err(|error| {
            Failure::new(Exit::Usage, format!("the log filter \"{text}\" cannot be read: {error}"))
                .hint("write a level (info), or levels by module (warn,projectionist::log=debug)")
        })?;
        let terminal = io::stderr().is_terminal();
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
        let started = match self.log_format.or(settings.log_format).unwrap_or_default() {
            Format::Text => builder.with_ansi(terminal && no_color_unset()).with_target(false).try_init(),
            Format::Json => builder.json().flatten_event(true).try_init(),
        };
        started.map_err(|error| anyhow!("logging could not be started: {error}"))
    }

    fn filter(&self, from_file: Option<&str>, usual: Usual) -> String {
        let long_running = usual == Usual::Work;
        // Wasmtime and its compiler say much that only their authors can use.
        match (self.verbose, self.log.as_deref().or(from_file)) {
            (0, Some(filter)) => filter.to_owned(),
            (0, None) if long_running => "warn,projectionist=info".to_owned(),
            (0, None) if usual == Usual::Errors => "error".to_owned(),
            (0, None) => "warn".to_owned(),
            (1, _) if long_running => "info,projectionist=debug".to_owned(),
            (1, _) => "warn,projectionist=info".to_owned(),
            (2, _) => "info,projectionist=debug".to_owned(),
            (_, _) => "debug,projectionist=trace".to_owned(),
        }
    }
}

/// See no-color.org.
pub(super) fn no_color_unset() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
