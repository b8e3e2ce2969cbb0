//! A point in the log's time: a position, or when it was recorded.

use std::str::FromStr;

use super::{EventLog, LogError};
use crate::event::{Position, Timestamp};

/// A point in the log's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// When all events up to this one had happened; 0: none had.
    Position(Position),
    /// When the log had recorded all events up to this time, itself included.
    Recorded(Timestamp),
}

impl FromStr for Moment {
    type Err = String;

    /// Reads a position or a time as RFC 3339 has it.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(position) = text.parse() {
            return Ok(Self::Position(position));
        }
        let time = text.parse().map(Self::Recorded);
        time.map_err(|_| format!("\"{text}\" is neither a position nor a time like 2026-05-01T12:00:00Z"))
    }
}

impl Moment {
    /// The position of the last event that had been recorded by then; 0 if none had. Positions
    /// that the log has not reached yet are answered as they are.
    pub fn position(self, log: &dyn EventLog) -> Result<Position, LogError> {
        let time = match self {
            Self::Position(position) => return Ok(position),
            Self::Recorded(time) => time.as_micros(),
        };
        // What is at `before` had been recorded, what is at `after` had not: times only grow.
        let (mut before, mut after) = (0, log.head().saturating_add(1));
        while after - before > 1 {
            let Some(block) = log.block(before + (after - before) / 2)? else { break };
            let recorded = block.heads.partition_point(|head| head.recorded <= time);
            match recorded {
                0 => after = block.first(),
                all if all == block.len() => before = block.last(),
                some => return Ok(block.heads[some - 1].position),
            }
        }
        Ok(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Append, MemoryLog, Selection, tests::event};

    #[tokio::test]
    async fn a_time_is_the_last_position_that_was_recorded_by_then() {
        let log = MemoryLog::default();
        assert_eq!(Moment::Recorded(Timestamp::from_micros(i64::MAX)).position(&log).unwrap(), 0);
        for number in 0..300 {
            let events = vec![event(number, "tick", "")];
            log.append(Append { events, ..Append::default() }).await.unwrap();
        }
        let recorded: Vec<_> =
            log.read(&Selection::default()).unwrap().iter().map(|event| event.recorded.as_micros()).collect();
        for time in recorded.iter().flat_map(|time| [time - 1, *time, time + 1]) {
            let expected = recorded.partition_point(|recorded| *recorded <= time) as Position;
            let found = Moment::Recorded(Timestamp::from_micros(time)).position(&log).unwrap();
            assert_eq!(found, expected, "at {time}");
        }
    }

    #[test]
    fn moments_are_positions_or_times() {
        assert_eq!("17".parse(), Ok(Moment::Position(17)));
        let time = "1970-01-01T00:00:01Z".parse();
        assert_eq!(time, Ok(Moment::Recorded(Timestamp::from_micros(1_000_000))));
        assert!("yesterday".parse::<Moment>().unwrap_err().contains("2026-05-01"));
    }
}
