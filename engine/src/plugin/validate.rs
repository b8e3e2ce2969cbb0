//! Checks what a plug-in says about itself.

use std::collections::HashSet;

use super::description::{Description, Kind, Lane, OnFailure, Shape, TableDescription, UpcastDescription};
use crate::event::OWN_TYPES;

/// How much a description may hold.
const MOST_NAMES: usize = 1000;
const LONGEST_NAME: usize = 128;

/// Reads the answer of `describe`.
pub(super) fn parse(json: &str) -> Result<Description, String> {
    // serde would read an array as the fields in their order.
    if !json.trim_start().starts_with('{') {
        return Err("its answer is no description: it must be a JSON object".to_owned());
    }
    let description: Description =
        serde_json::from_str(json).map_err(|error| format!("its answer is no description: {error}"))?;
    check(&description)?;
    Ok(description)
}

/// Whether a plug-in of this kind may describe itself so.
pub(super) fn fits_kind(description: &Description, kind: Kind) -> Result<(), String> {
    match kind {
        Kind::Upcaster => return fits_upcaster(description),
        _ if !description.upcasts.is_empty() => {
            return Err("it says what it makes of old events (`upcasts`), which only upcasters do".to_owned());
        }
        _ => {}
    }
    match kind {
        Kind::Projection if description.new_version.is_some() => {
            Err("it says what a new version does (`new-version`), which only reactions do: a new version of a \
                 projection folds all of history anew"
                .to_owned())
        }
        Kind::Reaction if description.new_version.is_none() => {
            Err("a reaction has to say what a new version of it does (`new-version`; in the SDK \
                 `#[reaction(new_version = \"…\")]`): \"continue\" goes on from where the old version stood, with \
                 the state that it left; \"rebuild\" makes its tables anew of all of history first, without effects"
                .to_owned())
        }
        Kind::Reaction if description.partition_by.is_some() => {
            Err("it says by what its events are divided (`partition-by`), which only projections do: a reaction \
                 has lanes"
                .to_owned())
        }
        Kind::Projection | Kind::Reaction | Kind::Upcaster => Ok(()),
    }
}

/// An upcaster says what it makes of which events, and nothing else.
fn fits_upcaster(description: &Description) -> Result<(), String> {
    let Description { events, tables, queries, partition_by, on_failure, new_version, lane, upcasts, .. } =
        description;
    let strange = [
        ("events", events.is_some()),
        ("tables", !tables.is_empty()),
        ("queries", !queries.is_empty()),
        ("partition-by", partition_by.is_some()),
        ("on-failure", on_failure.is_some()),
        ("new-version", new_version.is_some()),
        ("lane", *lane != Lane::default()),
    ];
    if let Some((field, _)) = strange.iter().find(|(_, is_there)| *is_there) {
        return Err(format!(
            "it says `{field}`, which an upcaster does not have: it has no state and no choice"
        ));
    }
    if upcasts.is_empty() {
        return Err("an upcaster has to say what it makes of which events (`upcasts`)".to_owned());
    }
    let mut taken = HashSet::new();
    for UpcastDescription { from, to } in upcasts {
        for Shape { event_type, dataschema } in [from, to] {
            if event_type.is_empty() || dataschema.as_deref() == Some("") {
                return Err(
                    "in `upcasts` a type or a dataschema is empty; leave a dataschema out for events \
                            that name none"
                        .to_owned(),
                );
            }
            if event_type.starts_with(OWN_TYPES) {
                return Err(format!(
                    "events of type {event_type:?} are the engine's own: they stay as they are"
                ));
            }
        }
        if from == to {
            return Err(format!(
                "it makes events of {from} into the same: a new shape has a name of its own"
            ));
        }
        if !taken.insert(from) {
            return Err(format!("it takes events of {from} twice"));
        }
    }
    Ok(())
}

/// Whether a plug-in of this kind may do so with what it cannot handle, as it says itself
/// or its settings do.
pub(super) fn on_failure_fits(chosen: Option<OnFailure>, kind: Kind) -> Result<(), String> {
    match (kind, chosen) {
        (Kind::Projection, Some(OnFailure::HoldLane)) => {
            Err("it or its settings file says `on-failure` = \"hold-lane\", \
             which only reactions have: a projection can \"halt\" or go on with a \"dead-letter\""
                .to_owned())
        }
        (Kind::Reaction, Some(OnFailure::Halt)) => {
            Err("it or its settings file says `on-failure` = \"halt\", which \
             only projections do: a reaction can put a \"dead-letter\" aside or \"hold-lane\""
                .to_owned())
        }
        _ => Ok(()),
    }
}

fn check(description: &Description) -> Result<(), String> {
    for (what, count) in [
        ("types of events", description.events.as_ref().map_or(0, Vec::len)),
        ("tables", description.tables.len()),
        ("queries", description.queries.len()),
    ] {
        if count > MOST_NAMES {
            return Err(format!("{count} {what}: {MOST_NAMES} at most"));
        }
    }
    for event_type in description.events.iter().flatten() {
        if event_type.is_empty() {
            return Err("it subscribes to an event type with an empty name".to_owned());
        }
    }
    let mut names = HashSet::new();
    for (number, table) in description.tables.iter().enumerate() {
        check_name("table", &table.name)?;
        if !names.insert(table.name.as_str()) {
            return Err(format!("there are two tables named {:?}", table.name));
        }
        if table.key.is_empty() {
            return Err(format!("the key of table {:?} has no parts", table.name));
        }
        check_index(table, &description.tables[..number])?;
    }
    let mut names = HashSet::new();
    for query in &description.queries {
        check_name("query", &query.name)?;
        if !names.insert(query.name.as_str()) {
            return Err(format!("there are two queries named {:?}", query.name));
        }
        if !query.parameters.is_null() && !query.parameters.is_object() {
            return Err(format!("the parameters of query {:?} are no JSON Schema object", query.name));
        }
    }
    Ok(())
}

fn check_index(index: &TableDescription, earlier: &[TableDescription]) -> Result<(), String> {
    let Some(of) = &index.index_of else { return Ok(()) };
    let name = &index.name;
    let Some(table) = earlier.iter().find(|table| table.name == *of) else {
        return Err(format!("{name:?} is an index of {of:?}, which is no table before it"));
    };
    if table.index_of.is_some() {
        return Err(format!("{name:?} is an index of {of:?}, which is an index itself"));
    }
    if !index.key.ends_with(&table.key) || index.key.len() == table.key.len() {
        return Err(format!("the key of index {name:?} must be what it sorts by, then the key of {of:?}"));
    }
    Ok(())
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(legal) {
        return Err(format!(
            "{name:?} is no name for a {what}: 1 to {LONGEST_NAME} lower-case letters, digits, '.', '_' and '-'"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_ignored() {
        let json = r#"{"sdk":"x","future":[1],"events":["a"],"tables":[{"name":"files","key":["string"],"shade":1},
            {"name":"files.by-size","key":["integer","string"],"index-of":"files"}],
            "queries":[{"name":"top","parameters":{"type":"object"}}],"on-failure":"dead-letter"}"#;
        let description = parse(json).unwrap();
        assert_eq!(description.tables.len(), 2);
        assert_eq!(parse("{}"), Ok(Description::default()));
    }

    #[test]
    fn wrong_fields_are_named() {
        for (json, reason) in [
            ("", "no description"),
            ("[]", "no description"),
            (r#"{"events":[""]}"#, "empty name"),
            (
                r#"{"tables":[{"name":"a","key":["string"]},{"name":"a","key":["string"]}]}"#,
                "two tables named \"a\"",
            ),
            (r#"{"tables":[{"name":"a b","key":["string"]}]}"#, "\"a b\" is no name for a table"),
            (r#"{"tables":[{"name":"a","key":[]}]}"#, "has no parts"),
            (r#"{"tables":[{"name":"a","key":["decimal"]}]}"#, "unknown variant `decimal`"),
            (r#"{"tables":[{"name":"a.b","key":["string"],"index-of":"a"}]}"#, "which is no table before it"),
            (
                r#"{"tables":[{"name":"a","key":["string"]},{"name":"a.b","key":["string"],"index-of":"a"}]}"#,
                "must be what it sorts by",
            ),
            (r#"{"queries":[{"name":"q"},{"name":"q"}]}"#, "two queries named \"q\""),
            (r#"{"queries":[{"name":"q","parameters":[]}]}"#, "no JSON Schema"),
            (r#"{"on-failure":"ignore"}"#, "unknown variant `ignore`"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }
}
