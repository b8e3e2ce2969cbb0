//! Registering, checking and counting, over a log in memory.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::{CheckedLog, DocumentError, Registration, SchemaError, Schemas, Usage};
use crate::{
    event::{Attribute, DATASCHEMA, Envelope, TIMER_DUE},
    log::{Append, AppendError, Appended, EventLog, LogSettings, MemoryLog},
    state::SchemaStore,
};

struct Bench {
    schemas: Arc<Schemas>,
    log: CheckedLog,
}

impl Bench {
    fn new(required: bool) -> Self {
        Self::over(MemoryLog::default(), required)
    }

    fn over(log: MemoryLog, required: bool) -> Self {
        let log: Arc<dyn EventLog> = Arc::new(log);
        let store = SchemaStore::in_memory().unwrap();
        let schemas = Arc::new(Schemas::open(store, Arc::clone(&log), required).unwrap());
        Self { log: CheckedLog::new(log, Arc::clone(&schemas)), schemas }
    }

    fn register(&self, dataschema: &str, schema: serde_json::Value) -> Result<Registration, SchemaError> {
        self.schemas.register("t", dataschema, &schema.to_string(), Some(true))
    }

    fn append(&self, events: impl IntoIterator<Item = Envelope>) -> Result<Appended, AppendError> {
        let batch = Append { events: events.into_iter().collect(), ..Append::default() };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(self.log.append(batch))
    }

    /// The path and reason of what is refused.
    #[track_caller]
    fn refused(&self, event: Envelope) -> (String, String) {
        let head = self.log.head();
        let checked = self.log.check(&Append { events: vec![event.clone()], ..Append::default() });
        let refused = self.append([event]);
        assert_eq!(self.log.head(), head, "nothing is appended");
        assert_eq!(checked.unwrap_err().to_string(), refused.as_ref().unwrap_err().to_string());
        match refused {
            Err(AppendError::Misfit { index: 0, misfit }) => {
                (misfit.faults[0].path.clone(), misfit.faults[0].reason.clone())
            }
            other => panic!("it was not refused for its schema: {other:?}"),
        }
    }
}

fn event(id: impl ToString, dataschema: &str, data: serde_json::Value) -> Envelope {
    let extension = (DATASCHEMA.to_owned(), Attribute::String(dataschema.to_owned()));
    Envelope {
        id: id.to_string(),
        source: "/test".to_owned(),
        event_type: "t".to_owned(),
        subject: None,
        time: None,
        content_type: "application/json".to_owned(),
        data: data.to_string().into(),
        tags: Vec::new(),
        extensions: Some(extension).filter(|_| !dataschema.is_empty()).into_iter().collect(),
    }
}

fn named() -> serde_json::Value {
    json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})
}

#[test]
fn events_must_fit_the_version_that_they_name() {
    let bench = Bench::new(false);
    assert_eq!(bench.register("", named()).unwrap(), Registration::New);
    assert_eq!(bench.register("/2", json!({"type": "integer"})).unwrap(), Registration::New);
    bench.append([event(1, "", json!({"name": "x"})), event(2, "/2", json!(5))]).unwrap();

    let (path, reason) = bench.refused(event(3, "", json!({"name": 5})));
    assert_eq!((path.as_str(), reason.as_str()), ("/data/name", "5 is not of type \"string\""));
    let (path, reason) = bench.refused(event(3, "", json!({})));
    assert_eq!((path.as_str(), reason.as_str()), ("/data", "\"name\" is a required property"));
    let (path, _) = bench.refused(event(3, "/2", json!({"name": "x"})));
    assert_eq!(path, "/data");
    let (path, reason) = bench.refused(event(3, "/3", json!({})));
    assert_eq!(path, "/dataschema");
    assert_eq!(
        reason,
        "\"/3\" is not registered for this type; registered are: the one without a name, \"/2\""
    );

    let text = Envelope { content_type: "text/plain".into(), ..event(3, "", json!("x")) };
    assert_eq!(bench.refused(text).0, "/datacontenttype");
    let broken = Envelope { data: "{".into(), ..event(3, "", json!("x")) };
    assert_eq!(bench.refused(broken).0, "/data");
    let nothing = Envelope { data: "".into(), content_type: String::new(), ..event(3, "", json!("x")) };
    assert_eq!(bench.refused(nothing).1, "null is not of type \"object\"");

    // Of a batch nothing is appended, and it is said which event is at fault.
    let other = Envelope { event_type: "other".into(), ..event(4, "", json!([])) };
    let refused = bench.append([other.clone(), event(5, "", json!(null))]).unwrap_err();
    assert!(matches!(refused, AppendError::Misfit { index: 1, .. }), "{refused}");
    assert_eq!(bench.log.head(), 2);
    bench.append([other]).unwrap();
}

#[test]
fn what_is_switched_off_is_not_checked() {
    let bench = Bench::new(false);
    bench.register("", named()).unwrap();
    bench.schemas.set_check("t", false).unwrap();
    bench.append([event(1, "", json!(5))]).unwrap();
    bench.schemas.set_check("t", true).unwrap();
    bench.refused(event(2, "", json!(5)));
    // To append again what is there is never wrong.
    let again = bench.append([event(1, "", json!(5))]).unwrap();
    assert_eq!((again.known, again.position), (1, 1));
    assert!(matches!(bench.schemas.set_check("other", true), Err(SchemaError::Unknown { .. })));
}

#[test]
fn much_is_checked_elsewhere_with_the_same_result() {
    let bench = Bench::new(false);
    bench.register("", named()).unwrap();
    let large = "x".repeat(100_000);
    bench.append([event(1, "", json!({ "name": large }))]).unwrap();
    let (path, reason) = bench.refused(event(2, "", json!({"name": [large]})));
    assert_eq!((path.as_str(), reason.as_str()), ("/data/name", "the value is not of type \"string\""));
}

#[test]
fn types_without_a_schema_can_be_refused_but_not_the_engines_own() {
    let bench = Bench::new(true);
    assert_eq!(bench.refused(event(1, "", json!({}))).0, "/type");
    let timer = Envelope { event_type: TIMER_DUE.into(), ..event(1, "", json!({})) };
    bench.append([timer]).unwrap();
    bench.register("", named()).unwrap();
    bench.append([event(2, "", json!({"name": "x"}))]).unwrap();
}

#[test]
fn a_schema_stays_once_an_event_has_relied_upon_it() {
    let bench = Bench::new(false);
    bench.append([event(1, "", json!({"name": 1}))]).unwrap();
    // What was there before is no reason against mending it.
    bench.register("", named()).unwrap();
    assert_eq!(bench.register("", named()).unwrap(), Registration::Known);
    assert_eq!(bench.register("", json!({"type": "object"})).unwrap(), Registration::Replaced);
    bench.schemas.remove("t", "").unwrap();
    assert!(matches!(bench.schemas.remove("t", ""), Err(SchemaError::Unknown { .. })));
    bench.register("", named()).unwrap();

    bench.append([event(2, "", json!({"name": "x"}))]).unwrap();
    let refused = bench.register("", json!(true)).unwrap_err();
    assert!(matches!(refused, SchemaError::InUse { position: 2, .. }), "{refused}");
    assert!(matches!(bench.schemas.remove("t", ""), Err(SchemaError::InUse { .. })));
    assert_eq!(bench.register("", named()).unwrap(), Registration::Known);
    bench.register("/2", json!(true)).unwrap();
    bench.schemas.remove("t", "/2").unwrap();
}

#[test]
fn documents_that_cannot_be_used_are_refused() {
    let bench = Bench::new(false);
    let refused = |schema: &str| match bench.schemas.register("t", "", schema, None) {
        Err(SchemaError::Document(error)) => error,
        other => panic!("it was not refused: {other:?}"),
    };
    assert!(matches!(refused("{"), DocumentError::NotJson { .. }));
    assert!(matches!(refused("5"), DocumentError::NotASchema { .. }));
    let wrong = refused(r#"{"properties": {"a": {"type": "strin"}}}"#);
    assert!(
        matches!(&wrong, DocumentError::NotASchema { path, .. } if path == "/properties/a/type"),
        "{wrong}"
    );
    for elsewhere in ["https://example.com/x.json", "other.json", "/etc/passwd", "file:///etc/passwd"] {
        let error = refused(&json!({"properties": {"a": {"$ref": elsewhere}}}).to_string());
        assert!(matches!(error, DocumentError::Elsewhere { .. }), "{error}");
    }
    assert!(matches!(refused(r##"{"$ref": "#/$defs/none"}"##), DocumentError::NotASchema { .. }));
    assert!(matches!(refused(&" ".repeat(2 << 20)), DocumentError::TooLarge { .. }));
    for name in ["", TIMER_DUE] {
        assert!(matches!(bench.schemas.register(name, "", "true", None), Err(SchemaError::Name { .. })));
    }
    let within = json!({"$defs": {"a": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/a"}}});
    bench.schemas.register("t", "", &within.to_string(), Some(true)).unwrap();
    bench.refused(event(1, "", json!({"a": 1})));
}

proptest! {
    /// However the log is cut into blocks, and however often it is counted meanwhile.
    #[test]
    fn counts_are_those_of_a_plain_count(
        kinds in vec((0..3usize, 0..4usize), 0..120),
        block_events in 1..20usize,
        counted in vec(any::<bool>(), 120),
    ) {
        let settings = LogSettings { block_events, ..LogSettings::default() };
        let bench = Bench::over(MemoryLog::new(settings), false);
        let mut expected: BTreeMap<(String, String), (u64, u64, u64)> = BTreeMap::new();
        for (position, ((event_type, version), count)) in (1..).zip(kinds.iter().zip(counted)) {
            let dataschema = ["", "/1", "/2", "urn:x"][*version].to_owned();
            let mut event = event(position, &dataschema, json!({}));
            event.event_type = format!("type-{event_type}");
            let correlation = Attribute::String(format!("c-{position}"));
            event.extensions.insert("correlationid".into(), correlation);
            event.extensions.insert("attempt".into(), Attribute::Integer(position as i64));
            let entry = expected.entry((event.event_type.clone(), dataschema)).or_insert((0, position, 0));
            *entry = (entry.0 + 1, entry.1, position);
            bench.append([event]).unwrap();
            if count {
                bench.schemas.count(Duration::MAX).unwrap();
            }
        }
        let told = bench.schemas.count(Duration::MAX).unwrap();
        prop_assert_eq!(told.to, told.head);
        let versions = told.types.into_iter().flat_map(|of_type| {
            let name = of_type.name;
            of_type.versions.into_iter().map(move |version| ((name.clone(), version.dataschema), version.usage))
        });
        let plain = |Usage { events, first, last }: Usage| (events, first.position, last.position);
        let told: BTreeMap<_, _> = versions.map(|(key, usage)| (key, plain(usage.unwrap()))).collect();
        prop_assert_eq!(told, expected);
    }
}
