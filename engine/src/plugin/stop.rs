//! Why an instance was stopped, in words.

use std::time::Duration;

use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

use super::{
    description::Kind,
    guest::{Guest, Meter},
    units::format_size,
};

/// How much of a guest's own words a reason quotes.
const QUOTED: usize = 1000;

/// A call from the guest that the host refuses, ending the instance. Displayed
/// as a predicate: "it …".
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("{}", Meter::cpu_refusal(*.limit))]
    Cpu { limit: Duration },
    #[error(
        "wanted to wait for a timer: time stands still in a projection, so that a replay gives the same \
         state; use the event's own times"
    )]
    Timer,
    #[error(
        "asked for random bytes while folding, which would make every replay differ: derive them from the \
         event's id (`event.random()` and `event.uuid()` in the SDK)"
    )]
    Random,
    #[error("asked for {asked} random bytes at once: {most} at most")]
    ManyRandom { asked: u64, most: u64 },
    #[error("asked for random bytes, which the system does not give: {reason}")]
    NoRandom { reason: String },
    #[error("called {function}: a {of}'s sandbox has no {kind}")]
    Refused { function: String, of: Kind, kind: &'static str },
    #[error("asked for table {table}, but describes only {tables}")]
    UnknownTable { table: u32, tables: usize },
    #[error("read more than {} of its state in one call to the host: read it in parts", format_size(*.limit))]
    AnswerTooLarge { limit: u64 },
    #[error("could not read its state: {0}")]
    State(String),
}

/// Ends a call that has failed: why, as a predicate ("used more than …").
pub(super) fn explain(store: &mut Store<Guest>, error: &wasmtime::Error, flushing: bool) -> String {
    let guest = store.data_mut();
    tracing::debug!(target: "plugin", name = &*guest.plugin, "stopped: {error:?}");
    let words = guest.printer.end();
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return stop.to_string();
    }
    if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        return quoting(format!("called exit with status {status}"), &words);
    }
    if let Some(refusal) = guest.meter.refusal.take() {
        return match panic_message(&words) {
            Some(message) => format!("{refusal}; it then panicked: {message}"),
            None => refusal,
        };
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let reason = match panic_message(&words) {
            Some(message) => format!("panicked: {message}"),
            None => quoting(describe(*trap).to_owned(), &words),
        };
        return match guest.wanted_files {
            true => format!("{reason}; it looked for files, and a projection's sandbox has none"),
            false => reason,
        };
    }
    let text = format!("{error:#}");
    if text.contains("fuel allocated for hostcalls") {
        return match flushing {
            true => flush_refusal(guest.meter.limits.flush),
            false => "handed over more than 64 MiB to the host in one call".to_owned(),
        };
    }
    let cause = error.root_cause().to_string();
    quoting(format!("failed: {}", cause.lines().next().unwrap_or("for no known reason")), &words)
}

pub(super) fn flush_refusal(limit: u64) -> String {
    format!("flushes more than {} at once (limits.flush)", format_size(limit))
}

fn describe(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "recursed until its stack was full",
        Trap::MemoryOutOfBounds => {
            "reached outside its memory (endless recursion does that too, when it overflows the guest's own stack)"
        }
        Trap::UnreachableCodeReached => "aborted (`unreachable`)",
        Trap::IntegerDivisionByZero => "divided by zero",
        Trap::IntegerOverflow => "overflowed an integer",
        Trap::BadConversionToInteger => "converted a float that is no integer",
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => {
            "called a function that does not exist"
        }
        Trap::CannotEnterComponent => "was called after it had been stopped",
        _ => "broke a rule of WebAssembly",
    }
}

/// Adds the last line that the guest printed, which usually says why.
fn quoting(reason: String, words: &[String]) -> String {
    match words.last() {
        Some(line) => format!("{reason}; its last words: {}", shortened(line)),
        None => reason,
    }
}

/// Finds Rust's panic message among the lines of `stderr`.
fn panic_message(words: &[String]) -> Option<String> {
    let start = words.iter().rposition(|line| line.contains("panicked at "))?;
    let place = words[start].split("panicked at ").nth(1)?.trim_end_matches(':');
    let message: Vec<_> = words[start + 1..]
        .iter()
        .take_while(|line| !line.starts_with("note: "))
        .map(String::as_str)
        .collect();
    Some(format!("{} ({place})", shortened(&message.join(" "))))
}

/// So much of a guest's words as fits into a reason.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_found_among_other_lines() {
        let words = |lines: &[&str]| lines.iter().map(|line| line.to_string()).collect::<Vec<_>>();
        let lines = words(&[
            "warning: low on film",
            "thread '<unnamed>' (1) panicked at src/lib.rs:10:5:",
            "no such account:",
            "ab-17",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
        ]);
        assert_eq!(panic_message(&lines).as_deref(), Some("no such account: ab-17 (src/lib.rs:10:5)"));
        assert_eq!(panic_message(&words(&["all is well"])), None);
    }
}
