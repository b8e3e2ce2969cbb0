//! From the parameters of a URL to the JSON object that a query takes: each is
//! read as the type that the query's JSON Schema names.

use serde_json::{Map, Value};

use crate::http::{
    parameters::{QueryString, invalid},
    problem::{Kind, Problem},
};

/// Reads the parameters that are left as a query's arguments.
pub(crate) fn from_url(mut query: QueryString, schema: &Value) -> Result<Map<String, Value>, Problem> {
    let schema = Schema { root: schema, node: schema };
    let mut arguments = Map::new();
    while let Some(name) = query.first_name() {
        let values = query.all(&name);
        let value = match schema.property(&name) {
            Some(property) => property.read(&name, values)?,
            None if schema.is_open() => single(&name, values)?.into(),
            None => {
                let known = schema.names();
                let list = match known.is_empty() {
                    true => "it takes none".to_owned(),
                    false => format!("known are: {}", known.join(", ")),
                };
                let detail = format!("the query has no parameter \"{name}\"; {list}");
                return Err(Problem::new(Kind::UnknownParameter, detail)
                    .with("parameter", name)
                    .with("known", known));
            }
        };
        arguments.insert(name, value);
    }
    Ok(arguments)
}

fn single(name: &str, mut values: Vec<String>) -> Result<String, Problem> {
    match (values.pop(), values.is_empty()) {
        (Some(value), true) => Ok(value),
        (value, _) => Err(invalid(name, &value.unwrap_or_default(), "it may stand only once")),
    }
}

/// A part of a JSON Schema.
#[derive(Clone, Copy)]
struct Schema<'a> {
    root: &'a Value,
    node: &'a Value,
}

impl<'a> Schema<'a> {
    fn at(self, node: &'a Value) -> Self {
        Self { node, ..self }.resolved()
    }

    /// Follows `$ref` within the document, and `allOf` of one.
    fn resolved(mut self) -> Self {
        // A schema that refers to itself has no end.
        for _ in 0..16 {
            let target =
                self.node.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
            let next = match (target, self.node.get("allOf").and_then(Value::as_array).map(Vec::as_slice)) {
                (Some(pointer), _) => self.root.pointer(pointer),
                (None, Some([one])) => Some(one),
                _ => None,
            };
            match next {
                Some(next) => self.node = next,
                None => break,
            }
        }
        self
    }

    fn properties(self) -> Option<&'a Map<String, Value>> {
        self.node.get("properties")?.as_object()
    }

    fn property(self, name: &str) -> Option<Self> {
        Some(self.at(self.properties()?.get(name)?))
    }

    fn names(self) -> Vec<String> {
        self.properties().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    /// Whether it says nothing about its members, or allows others.
    fn is_open(self) -> bool {
        match self.node.get("additionalProperties") {
            None => self.properties().is_none(),
            Some(Value::Bool(open)) => *open,
            Some(_) => true,
        }
    }

    /// The types that a value may have, `null` aside; empty: any.
    fn types(self) -> Vec<&'a str> {
        let mut types: Vec<&str> = match self.node.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for choice in ["anyOf", "oneOf"] {
            let choices = self.node.get(choice).and_then(Value::as_array).into_iter().flatten();
            types.extend(choices.flat_map(|choice| self.at(choice).types()));
        }
        let members = self.node.get("enum").and_then(Value::as_array).into_iter().flatten();
        if types.is_empty() && members.into_iter().any(Value::is_string) {
            types.push("string");
        }
        types.retain(|name| *name != "null");
        types
    }

    fn read(self, name: &str, values: Vec<String>) -> Result<Value, Problem> {
        if self.types() == ["array"] {
            // One value may be the whole array in JSON.
            if let [text] = values.as_slice()
                && text.starts_with('[')
                && let Ok(array @ Value::Array(_)) = serde_json::from_str(text)
            {
                return Ok(array);
            }
            let items = self.node.get("items").map(|items| self.at(items));
            let read = |text: String| match items {
                Some(items) => items.value(name, &text),
                None => Ok(text.into()),
            };
            return values.into_iter().map(read).collect();
        }
        self.value(name, &single(name, values)?)
    }

    fn value(self, name: &str, text: &str) -> Result<Value, Problem> {
        let types = self.types();
        let parsed = serde_json::from_str::<Value>(text).ok();
        let fits = |kind: &str, value: &Value| match kind {
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        match parsed {
            Some(value) if types.iter().any(|kind| fits(kind, &value)) => Ok(value),
            // Nothing is said about it: a number is more likely meant as one.
            Some(value) if types.is_empty() && !value.is_null() => Ok(value),
            _ if types.is_empty() || types.contains(&"string") => Ok(text.into()),
            _ => Err(invalid(name, text, format_args!("it should be of type {}", types.join(" or ")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(query: &str, schema: &Value) -> Result<Value, String> {
        let query = QueryString::parse(&format!("/x?{query}").parse().unwrap());
        from_url(query, schema).map(Value::from).map_err(|problem| problem.detail().to_owned())
    }

    #[test]
    fn values_become_what_the_schema_names() {
        let schema = json!({
            "type": "object",
            "properties": {
                "limit": {"type": "integer", "minimum": 0},
                "share": {"type": "number"},
                "deep": {"type": ["boolean", "null"]},
                "name": {"type": "string"},
                "types": {"type": "array", "items": {"type": "string"}},
                "numbers": {"type": "array", "items": {"type": "integer"}},
                "order": {"$ref": "#/$defs/Order"},
                "maybe": {"anyOf": [{"$ref": "#/$defs/Point"}, {"type": "null"}]},
                "any": true,
            },
            "$defs": {"Order": {"enum": ["up", "down"]}, "Point": {"type": "object"}},
        });
        for (query, expected) in [
            ("limit=3&name=7&deep=true", json!({"limit": 3, "name": "7", "deep": true})),
            ("share=1&order=up", json!({"share": 1, "order": "up"})),
            ("types=a&types=b", json!({"types": ["a", "b"]})),
            ("types=%5B%22a%22%5D&numbers=4", json!({"types": ["a"], "numbers": [4]})),
            ("maybe=%7B%22x%22%3A1%7D&any=5", json!({"maybe": {"x": 1}, "any": 5})),
            ("name=&any=x", json!({"name": "", "any": "x"})),
            ("", json!({})),
        ] {
            assert_eq!(read(query, &schema), Ok(expected), "{query}");
        }
        assert!(read("limit=many", &schema).unwrap_err().contains("type integer"));
        assert!(read("limit=1.5", &schema).unwrap_err().contains("type integer"));
        assert!(read("limit=1&limit=2", &schema).unwrap_err().contains("once"));
        let unknown = read("limt=1", &schema).unwrap_err();
        assert!(unknown.contains("limt") && unknown.contains("share"), "{unknown}");
    }

    #[test]
    fn without_a_schema_all_goes_through() {
        assert_eq!(read("a=x", &Value::Null), Ok(json!({"a": "x"})));
        assert_eq!(
            read("a=x", &json!({"properties": {}, "additionalProperties": true})),
            Ok(json!({"a": "x"}))
        );
        assert!(
            read("a=x", &json!({"type": "object", "properties": {}})).unwrap_err().contains("takes none")
        );
    }
}
