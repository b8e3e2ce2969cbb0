//! What has become of a value, field by field, for people.

use serde_json::Value;

use super::text;

/// A field that is another one now, or the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `+`: it is new; `-`: it is gone; `~`: it has changed.
    pub sign: char,
    /// The names of the fields on the way to it (`address.city`), and the numbers of
    /// elements; empty: the value itself.
    pub path: String,
    /// What it was, and is.
    pub text: String,
}

impl Difference {
    /// It in one line: `~ changes: 1 → 2`.
    pub fn line(&self) -> String {
        let Self { sign, path, text } = self;
        match path.as_str() {
            "" => format!("{sign} {text}"),
            path => format!("{sign} {path}: {text}"),
        }
    }
}

/// What differs between a row's values; none: there is no such row.
pub fn differences(before: Option<&Value>, after: Option<&Value>) -> Vec<Difference> {
    let mut found = Vec::new();
    match (before, after) {
        // A whole row comes or goes: one line a field.
        (None, Some(Value::Object(fields))) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| walk(name, None, Some(value), &mut found));
        }
        (Some(Value::Object(fields)), None) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| walk(name, Some(value), None, &mut found));
        }
        _ => walk("", before, after, &mut found),
    }
    found
}

fn walk(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    let within = |name: &str| match path {
        "" => text::printable(name),
        path => format!("{path}.{}", text::printable(name)),
    };
    let (sign, text) = match (before, after) {
        (before, after) if before == after => return,
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            for (name, value) in before {
                walk(&within(name), Some(value), after.get(name), found);
            }
            for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                walk(&within(name), None, Some(value), found);
            }
            return;
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                walk(&within(&index.to_string()), before.get(index), after.get(index), found);
            }
            return;
        }
        (Some(before), Some(after)) => ('~', format!("{} → {}", shown(before), shown(after))),
        (None, Some(after)) => ('+', shown(after)),
        (Some(before), None) => ('-', shown(before)),
        (None, None) => return,
    };
    found.push(Difference { sign, path: path.to_owned(), text });
}

/// A value in one line.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text::printable(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(before: Option<Value>, after: Option<Value>) -> Vec<String> {
        differences(before.as_ref(), after.as_ref()).iter().map(Difference::line).collect()
    }

    #[test]
    fn fields_that_differ_are_named() {
        let before = json!({"changes": 1, "by": {"name": "a", "old": true}, "tags": ["x", "y"], "same": 1});
        let after =
            json!({"changes": 2, "by": {"name": "b"}, "tags": ["x", "z", "w"], "same": 1, "new": null});
        let expected = [
            "~ changes: 1 → 2",
            "~ by.name: a → b",
            "- by.old: true",
            "~ tags.1: y → z",
            "+ tags.2: w",
            "+ new: null",
        ];
        assert_eq!(lines(Some(before), Some(after)), expected);
    }

    #[test]
    fn rows_come_and_go() {
        assert_eq!(lines(None, Some(json!({"a": 1, "b": "two\n"}))), ["+ a: 1", "+ b: two\\n"]);
        assert_eq!(lines(Some(json!(7)), None), ["- 7"]);
        assert_eq!(lines(None, Some(json!({}))), ["+ {}"]);
        assert_eq!(lines(Some(json!(null)), Some(json!({"a": 1}))), ["~ null → {\"a\":1}"]);
    }
}
