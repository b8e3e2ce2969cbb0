//! The latest event of each subject.

use projectionist_sdk::prelude::*;

#[derive(Serialize, Deserialize)]
struct Subject {
    version: u64,
    position: u64,
    #[serde(rename = "type")]
    event_type: String,
    time: Timestamp,
    /// The event's data; null where they are neither JSON nor MessagePack.
    data: Value,
}

/// The latest event of each subject: its version, position, type and data.
#[derive(Projection)]
struct Subjects {
    #[index(by_position: u64 = position)]
    subjects: Table<String, Subject>,
}

#[projection(partition_by = subject)]
impl Subjects {
    #[on_any]
    fn any(&mut self, event: &Event) {
        if event.subject().is_empty() {
            return;
        }
        let subject = Subject {
            version: event.version(),
            position: event.position(),
            event_type: event.event_type().to_owned(),
            time: event.time(),
            data: event.decode().unwrap_or_default(),
        };
        self.subjects.insert(event.subject(), subject);
    }

    /// The subjects with the latest events, the latest first.
    #[query]
    fn latest(&self, limit: Option<usize>) -> Vec<(String, Ref<'_, Subject>)> {
        self.subjects_by_position().iter().rev().take(limit.unwrap_or(10)).collect()
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::{Harness, event};

    use super::*;

    #[test]
    fn keeps_the_latest_event_of_each_subject() {
        let mut harness = Harness::<Subjects>::new();
        harness
            .event("placed", "order-1", json!({"amount": 3}))
            .event("placed", "order-2", json!({"amount": 5}))
            .fold(event("photographed").subject("order-2").bytes("image/png", [1, 2, 3]))
            .fold(event("paid").subject("order-1").message_pack(7).time("2024-05-01T10:00:00Z"))
            .fold(event("told"));
        assert_eq!(
            harness.query("latest", json!({})),
            json!([
                ["order-1", {"version": 2, "position": 4, "type": "paid", "time": "2024-05-01T10:00:00Z", "data": 7}],
                [
                    "order-2",
                    {
                        "version": 2,
                        "position": 3,
                        "type": "photographed",
                        "time": "1970-01-01T00:00:00Z",
                        "data": null
                    }
                ],
            ])
        );
        harness.check_replay();
    }
}
