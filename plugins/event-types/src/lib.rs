//! How many events of each type there are, and when the first and the last came.

use projectionist_sdk::prelude::*;

#[derive(Default, Serialize, Deserialize)]
struct EventType {
    count: u64,
    first: Seen,
    last: Seen,
}

/// Where in the log an event stands, and when it happened.
#[derive(Default, Serialize, Deserialize)]
struct Seen {
    position: u64,
    time: Timestamp,
}

/// How many events of each type there are, and when the first and the last came.
#[derive(Projection)]
struct EventTypes {
    #[index(by_count: u64 = count)]
    types: Table<String, EventType>,
}

#[projection]
impl EventTypes {
    #[on_any]
    fn any(&mut self, event: &Event) {
        let seen = || Seen { position: event.position(), time: event.time() };
        let of_type = self.types.entry(event.event_type());
        if of_type.count == 0 {
            of_type.first = seen();
        }
        of_type.count += 1;
        of_type.last = seen();
    }

    /// The types with the most events.
    #[query]
    fn most(&self, limit: Option<usize>) -> Vec<(String, u64)> {
        let types = self.types_by_count().iter().rev().take(limit.unwrap_or(10));
        types.map(|(name, of_type)| (name, of_type.count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::{Harness, event};

    use super::*;

    #[test]
    fn counts_and_remembers_first_and_last() {
        let mut harness = Harness::<EventTypes>::new();
        harness
            .fold(event("placed").time("2024-05-01T10:00:00Z"))
            .fold(event("paid").time("2024-05-01T10:01:00Z"))
            .fold(event("placed").time("2024-05-01T09:00:00Z"));
        assert_eq!(
            harness.rows("types"),
            [
                (
                    json!("paid"),
                    json!({
                        "count": 1,
                        "first": {"position": 2, "time": "2024-05-01T10:01:00Z"},
                        "last": {"position": 2, "time": "2024-05-01T10:01:00Z"},
                    })
                ),
                (
                    json!("placed"),
                    json!({
                        "count": 2,
                        "first": {"position": 1, "time": "2024-05-01T10:00:00Z"},
                        "last": {"position": 3, "time": "2024-05-01T09:00:00Z"},
                    })
                ),
            ]
        );
        assert_eq!(harness.query("most", json!({})), json!([["placed", 2], ["paid", 1]]));
        harness.check_replay();
    }
}
