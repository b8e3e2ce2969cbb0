//! JSON as a table: a row an element, a column a field.

use serde_json::{Map, Value};

use super::{table::Table, text};

/// The keys and values of a table's rows, side by side. Key and value columns
/// are named by what they hold; a value that is no object has one column.
pub fn rows(rows: &[(&Value, &Value)]) -> Table {
    let key_parts = rows.iter().map(|(key, _)| parts(key).len()).max().unwrap_or(1);
    let columns = Columns::of(rows.iter().map(|(_, value)| *value));
    let keys = match key_parts {
        1 => vec!["key".to_owned()],
        _ => (1..=key_parts).map(|part| format!("key {part}")).collect(),
    };
    let mut table = Table::new(keys.into_iter().chain(columns.headings("value")));
    for (key, value) in rows {
        let mut cells: Vec<String> = parts(key).iter().map(cell).collect();
        cells.resize(key_parts, String::new());
        table.row(cells.into_iter().chain(columns.cells(Some(value))));
    }
    table
}

/// Any JSON for people: a table for an array or an object of alike elements,
/// indented JSON for everything else. Ends with a line break.
pub fn show(value: &Value, widest: usize) -> String {
    match value {
        Value::Array(elements)
            if !elements.is_empty() && (alike(elements) || elements.iter().all(is_scalar)) =>
        {
            let columns = Columns::of(elements.iter());
            let mut table = Table::new(columns.headings("value"));
            for element in elements {
                table.row(columns.cells(Some(element)));
            }
            table.render(widest)
        }
        Value::Array(_) | Value::Object(_) => {
            let text = serde_json::to_string_pretty(value).expect("JSON always encodes");
            format!("{text}\n")
        }
        scalar => format!("{}\n", text::printable(&cell(scalar))),
    }
}

fn alike(elements: &[Value]) -> bool {
    elements.iter().all(Value::is_object) || elements.iter().all(Value::is_array)
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

fn parts(key: &Value) -> &[Value] {
    match key {
        Value::Array(parts) => parts,
        scalar => std::slice::from_ref(scalar),
    }
}

/// How values spread over columns: objects by field, arrays by element, and
/// what stands in an array once more.
enum Columns {
    Fields(Vec<String>),
    Elements(Vec<Columns>),
    One,
}

impl Columns {
    fn of<'a>(values: impl Iterator<Item = &'a Value> + Clone) -> Self {
        if values.clone().all(Value::is_object) {
            let mut fields: Vec<String> = Vec::new();
            for field in values.filter_map(Value::as_object).flat_map(Map::keys) {
                if !fields.contains(field) {
                    fields.push(field.clone());
                }
            }
            return Self::Fields(fields);
        }
        if values.clone().all(Value::is_array) {
            let count = values.clone().filter_map(Value::as_array).map(Vec::len).max().unwrap_or(0);
            let inner = |index| {
                let elements: Vec<&Value> = values.clone().filter_map(|value| value.get(index)).collect();
                match elements.iter().all(|element| element.is_object()) {
                    true => Self::of(elements.into_iter()),
                    false => Self::One,
                }
            };
            return Self::Elements((0..count).map(inner).collect());
        }
        Self::One
    }

    /// `name`: what the column is called where nothing else tells.
    fn headings(&self, name: &str) -> Vec<String> {
        match self {
            Self::Fields(fields) => fields.clone(),
            Self::Elements(inner) => {
                (1..).zip(inner).flat_map(|(index, inner)| inner.headings(&index.to_string())).collect()
            }
            Self::One => vec![name.to_owned()],
        }
    }

    fn cells(&self, value: Option<&Value>) -> Vec<String> {
        match self {
            Self::Fields(fields) => {
                let field = |name| value.and_then(|value| value.get(name)).map(cell).unwrap_or_default();
                fields.iter().map(field).collect()
            }
            Self::Elements(inner) => {
                let element = |index: usize| value.and_then(|value| value.get(index));
                inner.iter().enumerate().flat_map(|(index, inner)| inner.cells(element(index))).collect()
            }
            Self::One => vec![value.map(cell).unwrap_or_default()],
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(value) => match value.as_u64() {
            Some(whole) => text::number(whole),
            None => value.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_column_a_field() {
        let data = [
            (json!("Cargo.lock"), json!({"changes": 1238, "last_author": "author-1"})),
            (json!("README.md"), json!({"changes": 2, "gone": true})),
        ];
        expect![[r#"
            key         changes  last_author  gone
            Cargo.lock    1,238  author-1
            README.md         2               true
        "#]]
        .assert_eq(&rows(&data.each_ref().map(|(key, value)| (key, value))).render(40));
    }

    #[test]
    fn keys_of_several_parts() {
        let data = [(json!(["2017-08-29", "a"]), json!(3)), (json!(["2017-08-30", "b"]), json!(null))];
        expect![[r#"
            key 1       key 2  value
            2017-08-29  a          3
            2017-08-30  b          –
        "#]]
        .assert_eq(&rows(&data.each_ref().map(|(key, value)| (key, value))).render(40));
    }

    #[test]
    fn query_answers() {
        expect![[r#"
            1           2
            Cargo.lock  1,238
            Cargo.toml  {"deep":1}
        "#]]
        .assert_eq(&show(&json!([["Cargo.lock", 1238], ["Cargo.toml", {"deep": 1}]]), 40));
        expect![[r#"
            1           changes  author
            Cargo.lock    1,238  a
            Cargo.toml      972
        "#]]
        .assert_eq(&show(
            &json!([["Cargo.lock", {"changes": 1238, "author": "a"}], ["Cargo.toml", {"changes": 972}]]),
            40,
        ));
        assert_eq!(show(&json!(5), 40), "5\n");
        assert_eq!(show(&json!([]), 40), "[]\n");
        assert_eq!(show(&json!({"a": 1}), 40), "{\n  \"a\": 1\n}\n");
    }
}
