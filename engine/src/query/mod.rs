//! Reading state: tables, plug-in queries, waiting for a position.

mod call;
mod wait;

pub use call::{Answer, AskError, call};
pub use wait::{WaitError, wait};
