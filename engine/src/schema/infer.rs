//! A schema for events that have none, inferred from their data: it takes all of them, and
//! says as much about them as can be said without guessing.
//!
//! - [`Inference`] (here): data observed, the schema made.
//! - `shape.rs`: what has been seen at one place of the data.
//! - `strings.rs`: what strings there have in common.

mod shape;
mod strings;

use serde_json::{Map, Value};

use self::shape::Shape;

/// Data observed one after the other.
#[derive(Debug, Default)]
pub struct Inference {
    shape: Shape,
}

impl Inference {
    /// Takes note of one event's data; `null` for an event without data.
    pub fn observe(&mut self, data: &Value) {
        self.shape.observe(data);
    }

    /// How many have been observed.
    pub fn observed(&self) -> u64 {
        self.shape.count()
    }

    /// A schema that takes all that has been observed.
    pub fn schema(&self, title: &str) -> Value {
        let mut schema = Map::new();
        schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        schema.insert("title".into(), title.into());
        self.shape.describe(&mut schema);
        schema.into()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::{collection::vec, prelude::*};
    use serde_json::json;

    use super::*;
    use crate::schema::Document;

    fn inferred(documents: &[Value]) -> Value {
        let mut inference = Inference::default();
        documents.iter().for_each(|document| inference.observe(document));
        assert_eq!(inference.observed(), documents.len() as u64);
        inference.schema("test")
    }

    fn documents() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            Just("2026-03-31T12:00:00Z".to_owned()),
            Just("2026-03-31".to_owned()),
            Just("a@b.c".to_owned()),
            Just("https://example.com/x".to_owned()),
            Just("67e55044-10b1-426f-9247-bb680e5fe0c8".to_owned()),
            "[a-c]{0,2}",
            any::<String>(),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Value::from),
                vec(("[a-d]|[a-z]{0,6}", inner), 0..6).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_inferred_schema_takes_all_that_it_was_inferred_from(
            kinds in vec(documents(), 1..12),
            picked in vec(any::<prop::sample::Index>(), 0..400),
        ) {
            // Each once, and many of them again and again, so that there are enumerations.
            let again = picked.iter().map(|index| index.get(&kinds).clone());
            let all: Vec<Value> = kinds.iter().cloned().chain(again).collect();
            let schema = inferred(&all);
            let document = Document::new(schema.clone()).expect("a schema");
            for data in &all {
                prop_assert_eq!(document.faults(data), [], "{} by {}", data, schema);
            }
        }
    }

    #[test]
    fn objects_with_many_different_fields_are_maps() {
        let many: Vec<Value> = (0..300)
            .map(|n| json!({ format!("file-{n}"): {"size": n}, format!("file-{}", n + 1): {"size": null} }))
            .collect();
        let schema = inferred(&many);
        assert_eq!(schema["properties"], Value::Null);
        assert_eq!(schema["additionalProperties"]["properties"]["size"]["type"], json!(["null", "integer"]));
        let document = Document::new(schema).unwrap();
        assert!(many.iter().all(|data| document.fits(data)));
    }

    #[test]
    fn what_can_be_said_is_said() {
        let event = |n: usize| {
            let mut event = json!({
                "author": format!("Author {n}"),
                "at": format!("2026-03-31T12:00:{:02}Z", n % 60),
                "kind": if n.is_multiple_of(2) { "added" } else { "removed" },
                "lines": n,
                "share": n as f64 / 7.0,
                "tags": ["a", n],
                "parent": if n.is_multiple_of(3) { Value::Null } else { json!({"id": n}) },
            });
            if n.is_multiple_of(5) {
                event["merged"] = true.into();
            }
            event
        };
        let schema = inferred(&(0..200).map(event).collect::<Vec<_>>());
        expect![[r#"
            {
              "$schema": "https://json-schema.org/draft/2020-12/schema",
              "title": "test",
              "type": "object",
              "properties": {
                "at": {
                  "type": "string",
                  "format": "date-time"
                },
                "author": {
                  "type": "string"
                },
                "kind": {
                  "type": "string",
                  "enum": [
                    "added",
                    "removed"
                  ]
                },
                "lines": {
                  "type": "integer"
                },
                "merged": {
                  "type": "boolean"
                },
                "parent": {
                  "type": [
                    "null",
                    "object"
                  ],
                  "properties": {
                    "id": {
                      "type": "integer"
                    }
                  },
                  "required": [
                    "id"
                  ]
                },
                "share": {
                  "type": "number"
                },
                "tags": {
                  "type": "array",
                  "items": {
                    "type": [
                      "integer",
                      "string"
                    ]
                  }
                }
              },
              "required": [
                "at",
                "author",
                "kind",
                "lines",
                "parent",
                "share",
                "tags"
              ]
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&schema).unwrap());
    }
}
