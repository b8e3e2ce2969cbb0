use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    plugin::description::{Description, KeyPart, TableDescription},
    state::{
        Change, Durability, PartitionState,
        key::{Part, encode},
    },
};

fn described(name: &str, key: &[KeyPart], index_of: Option<&str>) -> TableDescription {
    TableDescription { name: name.to_owned(), key: key.to_vec(), index_of: index_of.map(str::to_owned) }
}

fn description() -> Description {
    use KeyPart::*;
    let tables = vec![
        described("files", &[String], None),
        described("files.by-author", &[String, String], Some("files")),
        described("days", &[String, Integer], None),
        described("other", &[Bytes, Float, Boolean], None),
        described("other.by-size", &[Integer, Bytes, Float, Boolean], Some("other")),
    ];
    Description { tables, ..Description::default() }
}

/// A plug-in's state, written as its SDK would.
struct Fixture {
    state: PartitionState,
    description: Description,
}

impl Fixture {
    fn new(entries: &[(u32, Vec<Part>, Vec<u8>)]) -> Self {
        let description = description();
        let tables: Vec<_> = description.tables.iter().map(|table| table.name.clone()).collect();
        let state = PartitionState::in_memory(&tables).unwrap();
        let keys: Vec<_> = entries.iter().map(|(_, key, _)| encode(key)).collect();
        let changes = entries.iter().zip(&keys).map(|((table, _, value), key)| Change {
            table: *table,
            key,
            value: Some(value),
        });
        state.commit(changes, 17, 1, None, Durability::Eventual).unwrap();
        Self { state, description }
    }

    /// Files with their authors, and what was written on which day.
    fn history() -> Self {
        let text = |text: &str| Part::String(text.to_owned());
        let mut entries = Vec::new();
        for (file, author) in [
            ("Cargo.toml", "ann"),
            ("src/lib.rs", "bob"),
            ("src/main.rs", "ann"),
            ("srcs", "cy"),
            ("[x", "bob"),
        ] {
            entries.push((0, vec![text(file)], packed(&json!({ "author": author }))));
            entries.push((1, vec![text(author), text(file)], Vec::new()));
        }
        for (day, number) in [("2024-01", 9), ("2024-01", 10), ("2024-02", -1), ("2025-01", 1)] {
            entries.push((2, vec![text(day), Part::Integer(number)], packed(&json!(number))));
        }
        Self::new(&entries)
    }

    fn page(&self, table: &str, read: &TableRead) -> Result<TablePage, QueryError> {
        read_table(&self.state.view().unwrap(), &self.description, table, read)
    }

    fn row(&self, table: &str, path: &str) -> Result<Option<Row>, QueryError> {
        let segments: Vec<_> = path.split('/').map(str::to_owned).collect();
        read_key(&self.state.view().unwrap(), &self.description, table, &segments)
    }

    /// The keys of a page, as JSON.
    fn keys(&self, table: &str, read: &TableRead) -> Value {
        self.page(table, read).unwrap().rows.into_iter().map(|row| row.key).collect()
    }

    fn refusal(&self, table: &str, read: &TableRead) -> String {
        let error = self.page(table, read).unwrap_err();
        assert!(error.is_request_fault(), "{error:?}");
        error.to_string()
    }
}

fn packed(value: &Value) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn reads_rows_in_the_order_of_their_keys() {
    let history = Fixture::history();
    let page = history.page("files", &TableRead { limit: 2, ..TableRead::default() }).unwrap();
    assert_eq!(page.position, 17);
    assert_eq!(
        serde_json::to_value(&page.rows).unwrap(),
        json!([
            { "key": "Cargo.toml", "value": { "author": "ann" } },
            { "key": "[x", "value": { "author": "bob" } },
        ])
    );
    let reverse = TableRead { reverse: true, ..TableRead::default() };
    assert_eq!(
        history.keys("days", &reverse),
        json!([["2025-01", 1], ["2024-02", -1], ["2024-01", 10], ["2024-01", 9]])
    );
    assert_eq!(history.page("days", &reverse).unwrap().next, None);
}

#[test]
fn prefixes_and_bounds_say_it_in_text_or_in_parts() {
    let history = Fixture::history();
    let prefix = |table, text| history.keys(table, &TableRead { prefix: some(text), ..TableRead::default() });
    assert_eq!(prefix("files", "src/"), json!(["src/lib.rs", "src/main.rs"]));
    assert_eq!(prefix("files", "src"), json!(["src/lib.rs", "src/main.rs", "srcs"]));
    assert_eq!(prefix("files", r#"["["]"#), json!(["[x"]));
    assert_eq!(prefix("files", ""), prefix("files", "[]"));
    assert_eq!(prefix("days", "2024"), json!([["2024-01", 9], ["2024-01", 10], ["2024-02", -1]]));
    assert_eq!(prefix("days", r#"["2024-01", 9]"#), json!([["2024-01", 9]]));
    assert_eq!(prefix("days", r#"["2024", 9]"#), json!([]));

    let between = |table, start, end| {
        let read = TableRead { start: some(start), end: some(end), ..TableRead::default() };
        history.keys(table, &read)
    };
    assert_eq!(between("files", "src/lib.rs", "srcs"), json!(["src/lib.rs", "src/main.rs"]));
    assert_eq!(between("days", "2024-01", "2024-02"), json!([["2024-01", 9], ["2024-01", 10]]));
    assert_eq!(between("days", r#"["2024-01", 10]"#, "2025"), json!([["2024-01", 10], ["2024-02", -1]]));
    assert_eq!(between("files", "srcs", "src/"), json!([]));
    let all = TableRead { prefix: some("src/"), start: some("src/m"), ..TableRead::default() };
    assert_eq!(history.keys("files", &all), json!(["src/main.rs"]));
}

#[test]
fn an_index_gives_the_rows_of_its_table() {
    let history = Fixture::history();
    let by_author = TableRead { index: some("by-author"), ..TableRead::default() };
    assert_eq!(
        history.keys("files", &by_author),
        json!(["Cargo.toml", "src/main.rs", "[x", "src/lib.rs", "srcs"])
    );
    let of_bob = TableRead { prefix: some(r#"["bob", ""]"#), reverse: true, ..by_author.clone() };
    let page = history.page("files", &of_bob).unwrap();
    assert_eq!(
        serde_json::to_value(page.rows).unwrap(),
        json!([
            { "key": "src/lib.rs", "value": { "author": "bob" } },
            { "key": "[x", "value": { "author": "bob" } },
        ])
    );
    let first = history.page("files", &TableRead { limit: 2, ..by_author.clone() }).unwrap();
    let second = TableRead { cursor: first.next.clone(), ..by_author };
    assert_eq!(history.keys("files", &second), json!(["[x", "src/lib.rs", "srcs"]));
    let elsewhere = TableRead { cursor: first.next, ..TableRead::default() };
    assert!(history.refusal("files", &elsewhere).contains("no cursor of \"files\""));
}

#[test]
fn an_index_that_was_not_kept_up_is_the_plug_ins_fault() {
    let entry = (1, vec![Part::String("ann".into()), Part::String("gone".into())], Vec::new());
    let error = Fixture::new(&[entry])
        .page("files", &TableRead { index: some("by-author"), ..TableRead::default() })
        .unwrap_err();
    assert!(!error.is_request_fault());
    assert_eq!(
        error.to_string(),
        "index \"files.by-author\" has an entry [\"ann\",\"gone\"] for which its table has no row: the plug-in did not keep it up"
    );
}

#[test]
fn finds_a_row_by_its_path() {
    let history = Fixture::history();
    let key = |table, path| history.row(table, path).unwrap().map(|row| row.key);
    assert_eq!(key("files", "src/lib.rs"), Some(json!("src/lib.rs")));
    assert_eq!(key("files", "src"), None);
    assert_eq!(key("days", "2024-02/-1"), Some(json!(["2024-02", -1])));
    let error = |table, path| history.row(table, path).unwrap_err().to_string();
    assert_eq!(
        error("days", "2024-02"),
        "no key of table \"days\": it has 2 parts (string/integer), the path has 1"
    );
    assert_eq!(error("days", "2024-02/x"), "no key of table \"days\": \"x\" is no integer of 64 bits");
    assert_eq!(
        error("days", "a/99999999999999999999"),
        "no key of table \"days\": \"99999999999999999999\" is no integer of 64 bits"
    );
    assert_eq!(error("nope", "x"), "there is no table \"nope\"; tables: files, days, other");
}

#[test]
fn every_type_of_part_can_be_written() {
    let key = vec![Part::Bytes(vec![0, 255, 62]), Part::Float(-0.5), Part::Boolean(true)];
    let nan = vec![Part::Bytes(vec![]), Part::Float(f64::INFINITY), Part::Boolean(false)];
    let fixture = Fixture::new(&[(3, key, packed(&json!(1))), (3, nan, packed(&json!(2)))]);
    let shown = json!(["AP8+", -0.5, true]);
    for path in ["AP8-/-0.5/true", "AP8-/-5e-1/true"] {
        assert_eq!(fixture.row("other", path).unwrap().unwrap().key, shown);
    }
    assert_eq!(fixture.row("other", "/inf/false").unwrap().unwrap().key, json!(["", "inf", false]));
    // What a read shows can be passed on as it is.
    for row in fixture.page("other", &TableRead::default()).unwrap().rows {
        let read = TableRead { prefix: Some(row.key.to_string()), ..TableRead::default() };
        assert_eq!(fixture.page("other", &read).unwrap().rows, [row]);
    }
}

#[test]
fn what_is_wrong_is_said() {
    let history = Fixture::history();
    let ask = |read: TableRead| history.refusal("days", &read);
    let default = TableRead::default;
    let limit = |limit| ask(TableRead { limit, ..default() });
    assert_eq!(
        limit(10_001),
        "`limit`: 10001 is not from 1 to 10000; for more rows follow `next` from page to page"
    );
    assert!(limit(0).contains("0 is not from 1"));
    assert_eq!(
        ask(TableRead { index: some("by-author"), ..default() }),
        "table \"days\" has no index \"by-author\"; it has no indexes"
    );
    assert!(
        history
            .refusal("files", &TableRead { index: some("x"), ..default() })
            .ends_with("indexes: by-author")
    );
    assert_eq!(
        ask(TableRead { prefix: some(r#"["a", 1, 2]"#), ..default() }),
        "`prefix`: has 3 parts, the table's keys have 2 (string/integer)"
    );
    assert_eq!(ask(TableRead { start: some(r#"["a", "b"]"#), ..default() }), "`start`: \"b\" is no integer");
    let text = ask(TableRead { end: some("[x"), ..default() });
    assert!(text.contains("if it is text, write [\"[x\"]"), "{text}");
    for cursor in ["", "AAAA", "nonsense!", "AQAAAAAC"] {
        assert!(ask(TableRead { cursor: some(cursor), ..default() }).contains("no cursor"), "{cursor}");
    }
}

#[test]
fn what_a_plug_in_wrote_wrongly_is_named() {
    let key = vec![Part::String("a".into())];
    let error = Fixture::new(&[(0, key, vec![0xc1])]).page("files", &TableRead::default()).unwrap_err();
    assert!(!error.is_request_fault());
    assert_eq!(
        error.to_string(),
        "table \"files\" has an entry that cannot be shown, under key \"a\": the value is not MessagePack: the one marker that has no meaning at byte 1"
    );
}

#[test]
fn a_page_does_not_grow_without_bound() {
    let large = packed(&json!("x".repeat(3 << 20)));
    let entries: Vec<_> =
        (0..7).map(|n| (2, vec![Part::String("a".into()), Part::Integer(n)], large.clone())).collect();
    let fixture = Fixture::new(&entries);
    let page = fixture.page("days", &TableRead::default()).unwrap();
    assert_eq!(page.rows.len(), 2);
    let rest = fixture.page("days", &TableRead { cursor: page.next, ..TableRead::default() }).unwrap();
    assert_eq!(rest.rows[0].key, json!(["a", 2]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Pages of any size, one behind the other, are the whole table.
    #[test]
    fn pages_add_up(
        keys in proptest::collection::btree_set("[ab\u{0}ÿ]{0,4}", 0..40),
        limit in 1_usize..9,
        reverse: bool,
        by_index: bool,
        prefix in proptest::option::of("[ab\u{0}ÿ]{0,1}"),
    ) {
        let text = |text: &str| Part::String(text.to_owned());
        let author = |key: &str| key.chars().last().unwrap_or('-').to_string();
        let mut entries = Vec::new();
        for key in &keys {
            entries.push((0, vec![text(key)], packed(&json!(key))));
            entries.push((1, vec![text(&author(key)), text(key)], Vec::new()));
        }
        let fixture = Fixture::new(&entries);
        let begins = |text: &str| prefix.as_deref().is_none_or(|prefix| text.starts_with(prefix));
        let mut expected: Vec<String> = keys.into_iter().filter(|key| if by_index { begins(&author(key)) } else { begins(key) }).collect();
        if by_index {
            expected.sort_by_key(|key| (author(key), key.clone()));
        }
        if reverse {
            expected.reverse();
        }

        let mut read = TableRead { prefix, limit, reverse, index: by_index.then(|| "by-author".to_owned()), ..TableRead::default() };
        let mut found = Vec::new();
        loop {
            let page = fixture.page("files", &read).unwrap();
            prop_assert!(page.rows.len() <= limit);
            prop_assert!(page.next.is_none() || page.rows.len() == limit);
            for row in page.rows {
                prop_assert_eq!(&row.key, &row.value);
                found.push(row.key.as_str().unwrap().to_owned());
            }
            read.cursor = page.next;
            if read.cursor.is_none() {
                break;
            }
        }
        prop_assert_eq!(found, expected);
    }
}
