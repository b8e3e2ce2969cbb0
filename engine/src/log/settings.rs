//! Limits and sizes of a log.

use super::{Append, AppendError};
use crate::event::Envelope;

/// Limits and sizes of a log. All may differ from one start to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How large an event may be: its payload and all its attributes.
    pub max_event_bytes: usize,
    /// How long `id`, `source`, `type` and `subject` may each be.
    pub max_attribute_bytes: usize,
    /// How many events a batch may hold.
    pub max_batch_events: usize,
    /// How large a batch may be.
    pub max_batch_bytes: usize,
    /// A block is full when it holds so many events (1 to 32,768) …
    pub block_events: usize,
    /// … or so many bytes.
    pub block_bytes: usize,
    /// How many bytes of recently used blocks are kept for readers to share.
    pub block_cache_bytes: usize,
    /// How many bytes of its file the storage keeps in memory.
    pub storage_cache_bytes: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            max_event_bytes: 1 << 20,
            max_attribute_bytes: 4096,
            max_batch_events: 10_000,
            max_batch_bytes: 16 << 20,
            block_events: 4096,
            block_bytes: 4 << 20,
            block_cache_bytes: 32 << 20,
            storage_cache_bytes: 64 << 20,
        }
    }
}

impl LogSettings {
    /// The same, with what can't work put right.
    pub(super) fn sane(mut self) -> Self {
        // The index counts an event's place in its block with 16 bits, and a
        // block's spans count bytes with 32. A block may come out twice as
        // large.
        self.block_events = self.block_events.clamp(1, 1 << 15);
        self.block_bytes = self.block_bytes.clamp(1, 1 << 29);
        self.max_event_bytes = self.max_event_bytes.min(1 << 30);
        self
    }

    /// Whether a block is full.
    pub(super) fn is_full(&self, events: usize, bytes: usize) -> bool {
        events >= self.block_events || bytes >= self.block_bytes
    }

    /// Checks a batch for all that can be told without looking into the log.
    pub(super) fn check(&self, batch: &Append) -> Result<(), AppendError> {
        self.check_sizes(&batch.events)?;
        for (index, envelope) in batch.events.iter().enumerate() {
            envelope.validate().map_err(|error| AppendError::Invalid { index, reason: error.to_string() })?;
        }
        Ok(())
    }

    /// Whether a batch of these events is small enough. An event that is too
    /// large is told before the batch is, for no smaller batch could take it.
    pub fn check_sizes(&self, events: &[Envelope]) -> Result<(), AppendError> {
        let mut bytes = 0;
        for (index, envelope) in events.iter().enumerate() {
            let size = size(envelope);
            let whole = Limit { what: "", unit: "bytes", most: self.max_event_bytes, setting: EVENT_BYTES };
            whole.check(size, Some(index))?;
            let subject = envelope.subject.as_deref().unwrap_or_default();
            for (what, value) in [
                ("id", &envelope.id[..]),
                ("source", &envelope.source),
                ("type", &envelope.event_type),
                ("subject", subject),
            ] {
                let limit = Limit { what, unit: "bytes", most: self.max_attribute_bytes, setting: None };
                limit.check(value.len(), Some(index))?;
            }
            bytes += size;
        }
        let events_limit =
            Limit { what: "", unit: "events", most: self.max_batch_events, setting: BATCH_EVENTS };
        events_limit.check(events.len(), None)?;
        Limit { what: "", unit: "bytes", most: self.max_batch_bytes, setting: BATCH_BYTES }.check(bytes, None)
    }
}

const EVENT_BYTES: Option<&str> = Some("max-event-bytes");
const BATCH_EVENTS: Option<&str> = Some("max-batch-events");
const BATCH_BYTES: Option<&str> = Some("max-batch-bytes");

/// How much of something there may be.
struct Limit {
    /// The attribute; empty: all of it.
    what: &'static str,
    unit: &'static str,
    most: usize,
    setting: Option<&'static str>,
}

impl Limit {
    /// `event`: which of the batch; none: the batch itself.
    fn check(self, size: usize, event: Option<usize>) -> Result<(), AppendError> {
        let Self { what, unit, most: limit, setting } = self;
        if size <= limit {
            return Ok(());
        }
        let whole = match event {
            Some(index) => format!("event {index} of the batch"),
            None => "the batch".to_owned(),
        };
        let what = if what.is_empty() { whole } else { format!("{what} of {whole}") };
        Err(AppendError::TooLarge { event, what, size, unit, limit, setting })
    }
}

/// How many bytes an event takes, without the fixed part that all have.
pub(super) fn size(envelope: &Envelope) -> usize {
    use crate::event::Attribute::String;
    let extensions = envelope
        .extensions
        .iter()
        .map(|(name, value)| name.len() + if let String(text) = value { text.len() } else { 8 });
    envelope.id.len()
        + envelope.source.len()
        + envelope.event_type.len()
        + envelope.subject.as_ref().map_or(0, |subject| subject.len())
        + envelope.content_type.len()
        + envelope.data.len()
        + envelope.tags.iter().map(|tag| tag.len()).sum::<usize>()
        + extensions.sum::<usize>()
}
