//! Chains of upcasters against a plain model.

use std::sync::{Arc, OnceLock};

use projectionist_test_guests::component_bytes;
use proptest::{collection::vec, prelude::*};

use super::{Upcaster, UpcasterConflict, Upcasters, Upcasting};
use crate::{
    event::{Attribute, Block, BlockBuilder, DATASCHEMA, Envelope, Timestamp},
    plugin::{Host, HostSettings, Settings, description::Kind},
};

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// An upcaster from one shape to another, each written as `type` or `type schema`.
fn upcaster(name: &str, from: &str, to: &str) -> Upcaster {
    static HOST: OnceLock<Host> = OnceLock::new();
    let host = HOST.get_or_init(|| Host::new(HostSettings::default()).unwrap());
    let mut settings = "[values]\n".to_owned();
    for (setting, shape) in [("from", from), ("to", to)] {
        let (event_type, schema) = shape.split_once(' ').unwrap_or((shape, ""));
        settings += &format!("{setting} = \"{event_type}\"\n");
        if !schema.is_empty() {
            settings += &format!("{setting}-schema = \"{schema}\"\n");
        }
    }
    let settings = Settings::parse(&settings).unwrap();
    let plugin = block_on(host.load(name, &component_bytes("upcasts"), &settings)).unwrap();
    assert_eq!(plugin.kind(), Kind::Upcaster);
    Upcaster { plugin, digest: format!("digest of {name}") }
}

/// `a` becomes `a 2`, that `b`, and that `c`; `x` becomes `y`.
fn chain() -> &'static Arc<Upcasters> {
    static CHAIN: OnceLock<Arc<Upcasters>> = OnceLock::new();
    CHAIN.get_or_init(|| {
        let steps = [("1", "a", "a 2"), ("3", "b", "c"), ("2", "a 2", "b"), ("other", "x", "y")];
        let all = steps
            .into_iter()
            .try_fold(Upcasters::default(), |all, (name, from, to)| all.with(upcaster(name, from, to)));
        Arc::new(all.unwrap())
    })
}

/// An event as the tests see it: position, type, dataschema, data.
type Plain = (u64, String, Option<String>, String);

fn block(events: &[Plain]) -> Block {
    let mut builder = BlockBuilder::new();
    for (position, event_type, dataschema, data) in events {
        let text = |name: &str, value: &str| (name.to_owned(), Attribute::String(value.to_owned()));
        let correlation = text("correlationid", &format!("c-{position}"));
        let dataschema = dataschema.as_deref().map(|uri| text(DATASCHEMA, uri));
        let envelope = Envelope {
            id: format!("id-{position}"),
            source: "/test".into(),
            event_type: event_type.clone(),
            subject: Some(format!("s/{position}")),
            time: None,
            content_type: "application/json".into(),
            data: data.clone().into(),
            tags: vec![format!("t-{position}")],
            extensions: dataschema.into_iter().chain([correlation]).collect(),
        };
        builder.push(*position, Timestamp::from_micros(*position as i64), 7, &envelope);
    }
    builder.build()
}

fn plain(block: &Block) -> Vec<Plain> {
    let one = |event: crate::event::Event| {
        let (position, version, envelope) = (event.position, event.version, event.envelope);
        // All else is what it was.
        assert_eq!((envelope.id.as_str(), version), (format!("id-{position}").as_str(), 7));
        assert_eq!(envelope.subject, Some(format!("s/{position}")));
        assert_eq!(envelope.tags, [format!("t-{position}")]);
        assert_eq!(event.recorded, Timestamp::from_micros(position as i64));
        let correlation = Attribute::String(format!("c-{position}"));
        assert_eq!(envelope.extensions["correlationid"], correlation);
        let dataschema = envelope.dataschema().map(str::to_owned);
        let data = String::from_utf8(envelope.data.to_vec()).unwrap();
        (position, envelope.event_type, dataschema, data)
    };
    block.events().map(one).collect()
}

/// What becomes of an event, one step after the other.
fn model(event: Plain) -> Vec<Plain> {
    let (position, event_type, dataschema, data) = event;
    let (to, dataschema) = match (event_type.as_str(), dataschema.as_deref()) {
        ("a", None) => ("a", Some("2")),
        ("a", Some("2")) => ("b", None),
        ("b", None) => ("c", None),
        ("x", None) => ("y", None),
        _ => return vec![(position, event_type, dataschema, data)],
    };
    let all: Vec<String> = match data.as_str() {
        "same" => vec![data],
        count => (1..=count.parse::<u32>().unwrap_or(0)).map(|number| number.to_string()).collect(),
    };
    let dataschema = dataschema.map(str::to_owned);
    all.into_iter().flat_map(|data| model((position, to.to_owned(), dataschema.clone(), data))).collect()
}

fn events() -> impl Strategy<Value = Vec<Plain>> {
    let event_type = prop::sample::select(vec!["a", "b", "c", "x", "z"]);
    let dataschema = prop::sample::select(vec![None, Some("2"), Some("3")]);
    let data = prop::sample::select(vec!["0", "1", "2", "3", "same"]);
    vec((event_type, dataschema, data), 0..40).prop_map(|events| {
        let plain = |(position, (event_type, dataschema, data)): (u64, (&str, Option<&str>, &str))| {
            (position, event_type.to_owned(), dataschema.map(str::to_owned), data.to_owned())
        };
        (1..).zip(events).map(plain).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However the log is cut into blocks, and whichever instance it was.
    #[test]
    fn a_chain_makes_of_events_what_its_steps_do(events in events(), cut in 1..20usize) {
        let mut upcasting = Upcasting::new(Arc::clone(chain()));
        let expected: Vec<Plain> = events.iter().cloned().flat_map(model).collect();
        let mut newest = Vec::new();
        for events in events.chunks(cut) {
            newest.extend(plain(&block_on(upcasting.newest(block(events))).unwrap()));
        }
        prop_assert_eq!(newest, expected);
    }
}

#[test]
fn only_those_upcasters_count_that_events_go_through() {
    let of = |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let digests =
            chain().digests(Some(&wanted)).into_iter().map(|digest| digest.replace("digest of ", ""));
        (digests.collect::<Vec<_>>(), chain().sources(wanted))
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(of(&["z"]), (names(&[]), names(&["z"])));
    assert_eq!(of(&["y"]), (names(&["other"]), names(&["y", "x"])));
    assert_eq!(of(&["c"]), (names(&["1", "2", "3"]), names(&["c", "a", "b"])));
    assert_eq!(of(&["b", "z"]).0, ["1", "2", "3"], "what it has wanted so far is made into others");
    assert_eq!(of(&["a"]).0, ["1", "2"], "what becomes of `b` later is not its business");
    assert_eq!(chain().digests(None).len(), 4);
}

#[test]
fn of_one_shape_there_is_one_way_and_none_back() {
    let taken = chain().with(upcaster("again", "a", "q"));
    assert!(matches!(taken.err(), Some(UpcasterConflict::Taken { other, .. }) if other == "1"));
    let circle = chain().with(upcaster("back", "c", "a"));
    let error = circle.err().unwrap();
    assert!(matches!(error, UpcasterConflict::Circle { .. }), "{error}");
    assert!(error.to_string().contains("type \"c\" without dataschema"), "{error}");
    assert!(chain().with(upcaster("on", "c", "c 2")).is_ok());
}

#[test]
fn the_event_at_fault_is_told_and_the_next_block_goes_on() {
    let mut upcasting = Upcasting::new(Arc::clone(chain()));
    for data in ["fails", "panics"] {
        let at = |position: u64, data: &str| (position, "x".to_owned(), None, data.to_owned());
        let events = [at(4, "1"), at(5, "same"), at(6, data), at(7, "1")];
        let halt = block_on(upcasting.newest(block(&events))).unwrap_err();
        assert!(!halt.host && halt.event.as_ref().is_some_and(|event| event.position == 6), "{halt}");
        let reason = halt.to_string();
        assert!(reason.contains("the upcaster \"other\"") && reason.contains("as it was told"), "{reason}");
        let newest = block_on(upcasting.newest(block(&events[..2]))).unwrap();
        assert_eq!(newest.len(), 2);
    }
}
