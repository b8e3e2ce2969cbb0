//! Whoever goes from rare event to rare event sees the same as who reads all.

use proptest::prelude::*;

use super::*;

/// Types by how frequent they are: the first in nearly all events.
const TYPES: [&str; 4] = ["common", "rare", "rarer", "absent"];

fn types() -> impl Strategy<Value = Vec<&'static str>> {
    let name = prop_oneof![2000 => Just(TYPES[0]), 8 => Just(TYPES[1]), 2 => Just(TYPES[2])];
    prop::collection::vec(name, 0..3000)
}

/// The positions of the events of some types, as a runner finds them; and how
/// many blocks had to be read for that.
fn found(log: &dyn EventLog, types: &[String], limit: usize) -> (Vec<Position>, usize) {
    let (mut positions, mut blocks, mut next) = (Vec::new(), 0, 1);
    while next <= log.head() {
        let (block, last) = match log.rare(next, Some(types), limit).unwrap() {
            Some(rare) => (rare.events, rare.to),
            None => {
                blocks += 1;
                let block = log.block(next).unwrap().unwrap();
                let last = block.last();
                (block.as_ref().clone(), last)
            }
        };
        assert!(last >= next, "it goes on");
        let wanted = |name: &str| types.iter().any(|wanted| wanted == name);
        let heads = block.heads.iter().filter(|head| wanted(block.name(head.event_type)));
        positions.extend(heads.map(|head| head.position).filter(|position| *position >= next));
        next = last + 1;
    }
    (positions, blocks)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rare_events_are_those_of_the_blocks(
        types in types(),
        wanted in prop::sample::subsequence(TYPES.to_vec(), 1..=4),
        limit in 1_usize..20,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), small_blocks(256)).unwrap();
        for (number, chunk) in types.chunks(100).enumerate() {
            let events = (0..).zip(chunk).map(|(index, name)| event(number * 100 + index, name, "s"));
            append(&log, batch(events)).unwrap();
        }
        let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
        let expected: Vec<Position> = (1..)
            .zip(&types)
            .filter(|(_, name)| wanted.iter().any(|wanted| wanted == *name))
            .map(|(position, _)| position)
            .collect();
        let (positions, _) = found(&log, &wanted, limit);
        prop_assert_eq!(positions, expected);
    }
}

#[test]
fn blocks_without_wanted_events_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(folder.path(), small_blocks(256)).unwrap();
    let name = |number| if number % 500 == 0 { "rare" } else { "common" };
    for start in (0..10_000).step_by(1000) {
        append(&log, batch((start..start + 1000).map(|number| event(number, name(number), "s")))).unwrap();
    }
    let (positions, blocks) = found(&log, &["rare".to_owned()], 1000);
    assert_eq!(positions.len(), 20);
    // Those that are not sealed yet are in memory, and are read.
    assert!(blocks <= 12, "{blocks} blocks of about 40 were read");
    let (positions, _) = found(&log, &["absent".to_owned()], 1000);
    assert!(positions.is_empty());
}
