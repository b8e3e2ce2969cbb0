//! What a projection may consist of, seen from outside.

use projectionist_sdk::{
    Attribute,
    harness::{Harness, event},
    prelude::*,
};

#[derive(Deserialize)]
struct Placed<'a> {
    item: &'a str,
    count: u64,
}

#[derive(Deserialize)]
struct Filter {
    at_least: u64,
}

/// What was ordered,
/// and when.
///
/// Not part of the summary.
#[derive(Projection)]
struct Orders {
    #[index(by_count: (u64, String) = |count| (*count, "x"))]
    items: Table<String, u64>,
    notes: Table<(String, i32), String>,
}

#[projection(on_failure = "dead-letter")]
impl Orders {
    #[on("order.placed", "order.repeated")]
    fn placed(&mut self, _event: &Event, data: Placed<'_>) -> Result<(), String> {
        if data.count == 0 {
            return Err(format!("nobody orders 0 of {}", data.item));
        }
        *self.items.entry(data.item) += data.count;
        Ok(())
    }

    #[on("order.cancelled")]
    fn cancelled(&mut self, _event: &Event, data: Placed<'_>) {
        self.items.remove(data.item);
    }

    #[on("*")]
    fn any(&mut self, event: &Event) {
        let mut note = |number, text: String| self.notes.insert((event.id(), number), text);
        note(1, format!("{} {} {}", event.event_type(), event.source(), event.version()));
        note(2, format!("{:?} {:?} {:?}", event.tags(), event.correlation(), event.causation()));
        note(3, format!("{} {} {:?}", event.time(), event.recorded(), event.lateness()));
        note(
            4,
            format!(
                "{:?} {:?}",
                event.extension("n"),
                event.extension("none").and_then(Attribute::as_integer)
            ),
        );
        note(5, format!("{} {}", event.uuid(0), event.random().below(1000)));
    }

    /// The count of an item.
    #[query]
    fn count(&self, item: &str) -> Result<u64, QueryError> {
        self.items.get(item).map(|count| *count).ok_or(QueryError::NotFound)
    }

    #[query]
    fn choose(&self, items: Vec<String>, filter: Filter, since: Option<Date>) -> Vec<String> {
        let chosen = |item: &String| self.items.get(item).is_some_and(|count| *count >= filter.at_least);
        items.into_iter().filter(chosen).chain(since.map(|date| date.to_string())).collect()
    }
}

#[test]
fn describes_itself() {
    let harness = Harness::<Orders>::new();
    assert_eq!(
        harness.describe(),
        json!({
            "sdk": concat!("projectionist-sdk ", env!("CARGO_PKG_VERSION")),
            "summary": "What was ordered, and when.",
            "on-failure": "dead-letter",
            "tables": [
                {"name": "items", "key": ["string"]},
                {"name": "items.by_count", "key": ["integer", "string", "string"], "index-of": "items"},
                {"name": "notes", "key": ["string", "integer"]},
            ],
            "queries": [
                {
                    "name": "count",
                    "summary": "The count of an item.",
                    "parameters": {
                        "type": "object",
                        "properties": {"item": {"type": "string"}},
                        "required": ["item"],
                        "additionalProperties": false,
                    },
                },
                {
                    "name": "choose",
                    "parameters": {
                        "type": "object",
                        "properties": {
                            "items": {"type": "array", "items": {"type": "string"}},
                            "filter": {},
                            "since": {"type": "string", "format": "date"},
                        },
                        "required": ["items", "filter"],
                        "additionalProperties": false,
                    },
                },
            ],
        })
    );
}

#[test]
fn folds_and_answers() {
    let mut harness = Harness::<Orders>::new();
    harness
        .event("order.placed", "1", json!({"item": "tea", "count": 2}))
        .fold(event("order.repeated").message_pack(json!({"item": "tea", "count": 3})))
        .event("order.placed", "2", json!({"item": "milk", "count": 1}))
        .event("order.cancelled", "2", json!({"item": "milk", "count": 1}));
    assert_eq!(harness.query("count", json!({"item": "tea"})), json!(5));
    assert_eq!(harness.try_query("count", json!({"item": "milk"})), Err(QueryError::NotFound));
    let choice = json!({"items": ["tea", "milk"], "filter": {"at_least": 1}, "since": "2024-05-01"});
    assert_eq!(harness.query("choose", choice), json!(["tea", "2024-05-01"]));
    harness.check_replay();
}

#[test]
fn wrong_arguments_are_explained() {
    let mut harness = Harness::<Orders>::new();
    let mut check = |query: &str, arguments, expected: &str| {
        assert_eq!(harness.try_query(query, arguments), Err(QueryError::BadArguments(expected.to_owned())));
    };
    check("count", json!({}), "parameter `item` is missing");
    check("count", json!({"item": 7}), "parameter `item`: invalid type: integer `7`, expected a string");
    check("count", json!({"item": "tea", "x": 1}), "there is no parameter `x`; the query takes `item`");
    check("count", json!([]), "the arguments must be a JSON object");
    check("counts", json!({}), "there is no query `counts`");
}

#[test]
fn failures_name_the_event_and_the_reason() {
    let check = |data, expected: &str| {
        let mut harness = Harness::<Orders>::new();
        harness.event("order.cancelled", "1", json!({"item": "tea", "count": 1}));
        let failed = harness.try_fold(event("order.placed").data(data));
        assert_eq!(failed.err().as_deref(), Some(expected));
    };
    check(json!({"item": "tea", "count": 0}), "the event at 2 (`order.placed`): nobody orders 0 of tea");
    check(
        json!({"count": "many", "item": "tea"}),
        "the event at 2 (`order.placed`): the data of `order.placed` cannot be read: at `count`: invalid type: \
         string \"many\", expected u64 at line 1 column 15",
    );
}

#[test]
fn gives_all_that_an_event_has() {
    let mut harness = Harness::<Orders>::new();
    harness.fold(
        event("seen")
            .id("e-1")
            .source("/door")
            .subject("ann")
            .time("2024-05-01T10:00:00Z")
            .recorded("2024-05-01T10:00:01.5Z")
            .tag("a")
            .tag("b")
            .correlation("c-1")
            .extension("n", 7),
    );
    let notes: Vec<_> = harness.rows("notes").into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        notes,
        [
            "seen /door 1",
            r#"["a", "b"] Some("c-1") None"#,
            "2024-05-01T10:00:00Z 2024-05-01T10:00:01.5Z 1.5s",
            "Some(Integer(7)) None",
            "473a6d64-03b5-8b01-b2c5-5e4c7736ee01 675",
        ]
    );
}

/// What each tenant's invoices add up to.
#[derive(Projection)]
struct Invoices {
    totals: Table<String, u64>,
}

#[projection(partition_by = |event| event.tags().into_iter().find(|tag| tag.starts_with("tenant:")))]
impl Invoices {
    #[on("invoice.sent")]
    fn sent(&mut self, event: &Event, amount: u64) {
        for tag in event.tags().into_iter().filter(|tag| tag.starts_with("tenant:")) {
            *self.totals.entry(tag) += amount;
        }
    }
}

#[test]
fn a_key_may_be_any_part_of_an_event() {
    let mut harness = Harness::<Invoices>::new();
    for (tenant, amount) in [("tenant:a", 3), ("tenant:b", 5), ("tenant:a", 4), ("other", 9)] {
        harness.fold(event("invoice.sent").tag(tenant).data(json!(amount)));
    }
    assert_eq!(harness.rows("totals"), [(json!("tenant:a"), json!(7)), (json!("tenant:b"), json!(5))]);
    assert_eq!(harness.describe()["partition-by"], "key");
    harness.check_replay();
}
