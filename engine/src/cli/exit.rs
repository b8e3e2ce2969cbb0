//! How the program ends: exit codes, and errors that know theirs.

use std::{fmt, io, process::ExitCode};

use super::support::client::Problem;

/// What the program's exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Ok = 0,
    /// Something failed that no other code names; or the answer to what was asked is no.
    Failed = 1,
    /// The command line or the settings are wrong. clap uses the same number.
    Usage = 2,
    /// No server answers.
    Unreachable = 3,
    /// There is no such plug-in, table, key or query.
    NotFound = 4,
    /// The input is malformed, or it conflicts with what is there.
    Input = 5,
    /// It exists but cannot answer now: it replays, has failed or was retired.
    Unavailable = 6,
}

/// The exit codes, as `--help` shows them.
pub const HELP: &str = "\
Exit codes:
  0  all went well
  1  something failed, or the answer is no: what was compared or verified differs, or a fixture failed
  2  wrong usage or settings
  3  no server answers
  4  not found: no such plug-in, table, key or query
  5  malformed input, or it conflicts with what is there
  6  not available now: still replaying, failed, or retired";

/// An error that knows which exit code it stands for and what to do about it.
#[derive(Debug)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// What went wrong.
    pub message: String,
    /// What to do, if that is not in the message.
    pub hint: Option<String>,
}

impl Failure {
    /// An error without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// Says what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {}", hint.replace('\n', "\n  ")),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// How a command ends that has said all there is to say.
#[derive(Debug, thiserror::Error)]
#[error("the answer is no")]
pub struct Verdict(pub Exit);

/// Reports how a command ended, on standard error, and gives the exit code.
pub(crate) fn report(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::from(Exit::Ok as u8) };
    if closed_output(&error) {
        // Whoever read our output has seen enough (`projectionist events | head`).
        return ExitCode::from(Exit::Ok as u8);
    }
    if let Some(Verdict(exit)) = error.downcast_ref() {
        return ExitCode::from(*exit as u8);
    }
    let exit = exit_of(&error);
    // `{:#}`: with what caused it, in one line. Standard error may be closed too.
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("error: {error:#}\n"));
    ExitCode::from(exit as u8)
}

/// The exit code that an error stands for.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    let failure = error.downcast_ref::<Failure>().map(|failure| failure.exit);
    let problem = || error.downcast_ref::<Problem>().map(Problem::exit);
    failure.or_else(problem).unwrap_or(Exit::Failed)
}

fn closed_output(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_stands_on_its_own_lines() {
        let failure = Failure::new(Exit::Unreachable, "no server").hint("start one\nor name one");
        assert_eq!(failure.to_string(), "no server\n  start one\n  or name one");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(closed_output(&anyhow::Error::from(closed).context("writing")));
        assert!(!closed_output(&Failure::new(Exit::Failed, "other").into()));
    }
}
