//! Reactions: events answered with effects.
//!
//! - [`Run`] (`run.rs`): a reaction at work, started and stopped.
//! - [`Rebuild`] (`rebuild.rs`): a version that makes its tables anew of all of history.
//! - [`Handle`] (`handle.rs`): what others see of it and can ask it.
//! - `runner.rs`: the loop that gives events to instances, commits what comes of
//!   them, and appends what they lead to.
//! - `lanes.rs`: which event is next: one after the other within a lane, lanes side
//!   by side.
//! - `handling.rs`: one event, answered by an instance.
//! - `reads.rs`: what an instance reads meanwhile. `isolation.rs`: so those that run at the
//!   same time do not overwrite each other's changes, nor change what a call came from.
//! - `backlog.rs`: the events that are known and not handled, and so how far all
//!   are.
//! - `calls.rs`: what it calls over HTTP meanwhile.
//! - `setbacks.rs`: events that have failed. `retry.rs`: when a failed event is tried again, and when it is given up.
//! - `timers.rs`: when it wants to be told of something.
//! - `outbox.rs`: the events that others lead to: their ids, and how they get into
//!   the log.
//!
//! What an event leads to is committed, with the changes of tables, before it is
//! appended; its id says what it answers. So after a crash at any moment it is
//! appended again, and the log knows it or takes it: it is there once.
//!
//! Not here: which version of a reaction runs (`deploy`), and how instances are
//! kept in their sandbox (`plugin`).

mod backlog;
mod calls;
mod handle;
mod handling;
mod isolation;
mod lanes;
mod outbox;
mod reads;
mod rebuild;
mod retry;
mod run;
mod runner;
mod setbacks;
mod timers;

pub use calls::{BreakerStatus, CallsStatus, Counts, Refusal, Script};
pub use handle::{Activity, Handle, LetterError, Letters, Rest, What};
pub use outbox::source;
pub use rebuild::{Rebuild, is_spoilt, rebuild};
pub use run::{Run, start, start_scripted};
