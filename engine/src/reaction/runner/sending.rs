//! How what events lead to gets into the log: after it is committed, in the order of the
//! commits, beside what is handled meanwhile.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::Runner;
use crate::{
    clock,
    log::LogError,
    projection::Halt,
    reaction::outbox::{self, Sent},
    state::{BookEntry, DeadLetter, Outgoing},
};

/// What is being appended.
pub(super) struct Sending {
    outgoing: Outgoing,
    task: JoinHandle<Result<Vec<Sent>, LogError>>,
}

impl Sending {
    /// What has become of it in the log, once it is there; never, if nothing is being
    /// appended.
    pub(super) async fn ended(sending: &mut Option<Self>) -> Result<Vec<Sent>, Halt> {
        let Some(sending) = sending else { return std::future::pending().await };
        let sent = (&mut sending.task).await;
        sent.map_err(|_| Halt::of_host("what appends events has ended"))?.map_err(Halt::of_host)
    }
}

impl Runner {
    /// Lets the next of what is committed be appended, unless something is already.
    pub(super) fn send(&mut self) {
        if self.sending.is_some() {
            return;
        }
        if let Some(outgoing) = self.outbox.pop_front() {
            let (log, answers) = (Arc::clone(&self.log), Arc::clone(&outgoing.answers));
            let task = tokio::spawn(async move { outbox::append(&*log, &answers).await });
            self.sending = Some(Sending { outgoing, task });
        }
    }

    /// Takes note of what has been appended by now, without waiting.
    pub(super) async fn take_sent(&mut self) -> Result<(), Halt> {
        if self.sending.as_ref().is_some_and(|sending| sending.task.is_finished()) {
            let sent = Sending::ended(&mut self.sending).await?;
            self.sent(sent)?;
        }
        Ok(())
    }

    /// Waits until all that is committed is appended.
    pub(super) async fn send_all(&mut self) -> Result<(), Halt> {
        loop {
            self.send();
            if self.sending.is_none() {
                return Ok(());
            }
            let sent = Sending::ended(&mut self.sending).await?;
            self.sent(sent)?;
        }
    }

    /// What was being appended is, as far as the log takes it.
    pub(super) fn sent(&mut self, sent: Vec<Sent>) -> Result<(), Halt> {
        let Some(Sending { outgoing: Outgoing { number, answers }, .. }) = self.sending.take() else {
            return Ok(());
        };
        let (now, mut appended, mut refused) = (self.now(), 0, 0);
        for ((position, events), sent) in answers.iter().zip(sent) {
            match sent {
                Sent::Appended => appended += events.len() as u64,
                Sent::Refused(reason) => {
                    let reason = format!("what it leads to cannot be appended: {reason}");
                    tracing::warn!(plugin = self.version.name(), position, reason, "a dead letter");
                    let event = self.source.recorded_at(*position)?;
                    self.entries.extend(DeadLetter::of(&event, reason, 1, now).map(BookEntry::Dead));
                    refused += 1;
                }
            }
        }
        self.entries.push(BookEntry::Gone(number));
        self.told.update(|activity| {
            activity.appended += appended;
            activity.given_up += refused;
        });
        // Nothing is lost if this is: it is appended again, and known.
        self.eventual_since.get_or_insert_with(clock::instant);
        Ok(())
    }
}
