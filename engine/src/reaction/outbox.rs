//! The events that others lead to: their ids, and how they get into the log.

use std::collections::BTreeMap;

use crate::{
    event::{Attribute, Block, CAUSATION, CORRELATION, Envelope, Head, Position, TIMER_DUE, Timestamp},
    log::{Append, AppendError, EventLog, LogError},
    plugin::{NewEvent, TimerChange},
    state::{BookEntry, Timer},
};

/// What a reaction's answer to an event becomes in the log. The id derives from the
/// event's position and the place in the answer, so that it is the same whenever
/// the event is answered.
pub(super) fn envelopes(
    reaction: &str,
    (block, head): (&Block, &Head),
    answer: Vec<NewEvent>,
) -> Vec<Envelope> {
    let extensions = because_of((block, head));
    let envelope = |(index, event): (usize, NewEvent)| Envelope {
        id: format!("{}-{index}", head.position),
        source: source(reaction),
        event_type: event.event_type,
        subject: event.subject,
        // When it is recorded: whenever it is appended again, it is the same event.
        time: None,
        content_type: event.content_type,
        data: event.data.into(),
        tags: event.tags,
        extensions: extensions.clone(),
    };
    answer.into_iter().enumerate().map(envelope).collect()
}

/// What the timer of an answer becomes in the log when it is due: an event about what
/// the event is about that set it.
fn of_timer(reaction: &str, (block, head): (&Block, &Head), (key, due): (&str, Timestamp)) -> Envelope {
    let subject = String::from_utf8_lossy(block.slice(head.subject)).into_owned();
    Envelope {
        // Another version that answers the same event may set it for another time.
        id: format!("{}-timer-{}-{key}", head.position, due.as_micros()),
        source: source(reaction),
        event_type: TIMER_DUE.to_owned(),
        subject: Some(subject).filter(|subject| !subject.is_empty()),
        time: None,
        content_type: "application/json".to_owned(),
        data: serde_json::json!({ "key": key, "due": due }).to_string().into_bytes().into(),
        tags: Vec::new(),
        extensions: because_of((block, head)),
    }
}

/// The timers that an answer sets, moves or cancels, as the books keep them; or why one
/// cannot be set.
pub(super) fn timers(
    log: &dyn EventLog,
    reaction: &str,
    event: &Block,
    changes: Vec<TimerChange>,
) -> Result<Vec<BookEntry>, String> {
    let Some(head) = event.heads.first() else { return Ok(Vec::new()) };
    let entry = |TimerChange { key, at }: TimerChange| {
        let Some(due) = at else { return Ok(BookEntry::TimerGone(key)) };
        let event = of_timer(reaction, (event, head), (&key, due));
        let batch = Append { events: vec![event.clone()], ..Append::default() };
        // What the log would not take later must not be set now.
        log.check(&batch).map_err(|refusal| format!("its timer {key:?} cannot be set: {refusal}"))?;
        Ok(BookEntry::TimerSet(Timer { key, due, event }))
    };
    changes.into_iter().map(entry).collect()
}

/// The source of all events of a reaction.
pub fn source(reaction: &str) -> String {
    format!("/reactions/{reaction}")
}

/// What an event that another leads to has from it.
fn because_of((block, head): (&Block, &Head)) -> BTreeMap<String, Attribute> {
    let cause = String::from_utf8_lossy(block.slice(head.id)).into_owned();
    let correlation = block.correlation(head).unwrap_or(&cause).to_owned();
    let text = |name: &str, value: String| (name.to_owned(), Attribute::String(value));
    [text(CORRELATION, correlation), text(CAUSATION, cause)].into()
}

/// What becomes of an answer in the log.
pub(super) enum Sent {
    Appended,
    /// The log does not take it, and never will; why.
    Refused(String),
}

/// Appends answers, in their order; one that the log refuses keeps none of the
/// others back. What is there already, from before a crash, is not appended again.
pub(super) async fn append(
    log: &dyn EventLog,
    answers: &[(Position, Vec<Envelope>)],
) -> Result<Vec<Sent>, LogError> {
    let events = answers.iter().flat_map(|(_, events)| events.iter().cloned()).collect();
    match log.append(Append { events, ..Append::default() }).await {
        Ok(_) => return Ok(answers.iter().map(|_| Sent::Appended).collect()),
        Err(AppendError::Log(error)) => return Err(error),
        // One of them is at fault, or they are too many at once.
        Err(_) => {}
    }
    let mut sent = Vec::with_capacity(answers.len());
    for (_, events) in answers {
        let batch = Append { events: events.clone(), ..Append::default() };
        sent.push(match log.append(batch).await {
            Ok(_) => Sent::Appended,
            Err(AppendError::Log(error)) => return Err(error),
            Err(refusal) => Sent::Refused(refusal.to_string()),
        });
    }
    Ok(sent)
}
