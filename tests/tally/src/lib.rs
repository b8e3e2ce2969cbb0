//! A plug-in that is folded in partitions, whose answers tell whether they are
//! of one piece: of a state at position `p` the total is `p`. Anything else is
//! a mixture of partitions at different positions.

use projectionist_sdk::prelude::*;

/// How many events each group of subjects had.
#[derive(Projection)]
pub struct Tally {
    /// By group, which is what stands before the slash in a subject.
    #[index(by_events: u64 = |events| events)]
    groups: Table<String, u64>,
}

#[projection(partition_by = group)]
impl Tally {
    #[on_any]
    fn any(&mut self, event: &Event) {
        *self.groups.entry(group(event)) += 1;
    }

    /// How many events there were.
    #[query]
    fn total(&self) -> u64 {
        self.groups.iter().map(|(_, events)| *events).sum()
    }

    /// The groups with the most events, the most first.
    #[query]
    fn largest(&self, limit: usize) -> Vec<(String, u64)> {
        self.groups_by_events().iter().rev().take(limit).map(|(group, events)| (group, *events)).collect()
    }
}

fn group<'a>(event: &'a Event<'a>) -> &'a str {
    event.subject().split_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn counts_by_group() {
        let mut harness = Harness::<Tally>::new();
        for subject in ["a/1", "b/1", "a/2", "c", ""] {
            harness.event("counted", subject, json!(null));
        }
        assert_eq!(harness.query("total", json!({})), json!(5));
        assert_eq!(harness.query("largest", json!({"limit": 1})), json!([["a", 2]]));
        assert_eq!(harness.describe()["partition-by"], "key");
        harness.check_replay();
    }

    /// Counts all events in one row.
    #[derive(Projection)]
    struct Sum {
        sums: Table<String, u64>,
    }

    #[projection(partition_by = subject)]
    impl Sum {
        #[on_any]
        fn any(&mut self, _event: &Event) {
            *self.sums.entry("all") += 1;
        }
    }

    #[test]
    #[should_panic(
        expected = "row \"all\" of table `sums` is changed at events with different partition keys"
    )]
    fn a_row_that_belongs_to_two_keys_is_found_out() {
        let mut harness = Harness::<Sum>::new();
        harness.event("counted", "a", json!(null)).event("counted", "b", json!(null)).check_replay();
    }

    /// Greets the second one who comes by the name of the first.
    #[derive(Projection)]
    struct Greetings {
        greetings: Table<String, u64>,
    }

    #[projection(partition_by = subject)]
    impl Greetings {
        #[on_any]
        fn any(&mut self, event: &Event) {
            let others = self.greetings.iter().count() as u64;
            self.greetings.insert(event.subject(), others);
        }
    }

    #[test]
    #[should_panic(expected = "a handler must only read rows of its own key")]
    fn reading_rows_of_other_keys_is_found_out() {
        let mut harness = Harness::<Greetings>::new();
        harness.event("came", "ann", json!(null)).event("came", "bob", json!(null)).check_replay();
    }
}
