//! Both logs answer as the model does: the same outcomes, the same events for
//! any selection, whatever the block sizes, and after opening anew.

use proptest::prelude::*;

use super::{
    model::{Model, appends, outcome, plain, selections},
    *,
};

#[derive(Clone, Debug)]
enum Step {
    Append(Append),
    Read(Selection),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => appends().prop_map(Step::Append),
        6 => selections().prop_map(Step::Read),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

/// All blocks of a log hold its events, once each and in order; each is found by its id.
fn check_blocks(log: &dyn EventLog) {
    let mut position = 1;
    while let Some(block) = log.block(position).unwrap() {
        assert!(block.first() <= position && position <= block.last());
        for head in &block.heads[(position - block.first()) as usize..] {
            assert_eq!(head.position, position);
            position += 1;
        }
    }
    assert_eq!(position, log.head() + 1);
    for event in all(log) {
        let Envelope { source, id, .. } = &event.envelope;
        assert_eq!(log.find(source, id).unwrap(), Some(event.position));
    }
    assert_eq!(log.find("/test", "never there").unwrap(), None);
    let recorded: Vec<_> = all(log).iter().map(|event| event.recorded).collect();
    assert!(recorded.is_sorted());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn embedded_log_and_model(steps in steps(), block_events in prop_oneof![Just(1), Just(7), Just(64)], block_bytes in prop_oneof![Just(100), Just(1 << 20)]) {
        let folder = tempfile::tempdir().unwrap();
        let settings = LogSettings { block_bytes, ..small_blocks(block_events) };
        let mut log = EmbeddedLog::open(folder.path(), settings.clone()).unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append(batch) => {
                    let expected = model.append(&batch);
                    prop_assert_eq!(outcome(append(&log, batch)), expected);
                }
                Step::Read(selection) => prop_assert_eq!(plain(log.read(&selection).unwrap()), model.read(&selection)),
                Step::Reopen => {
                    drop(log);
                    log = EmbeddedLog::open(folder.path(), settings.clone()).unwrap();
                }
            }
            prop_assert_eq!(log.head(), model.events.len() as u64);
        }
        check_blocks(&log);
        prop_assert_eq!(plain(all(&log)), model.read(&Selection::default()));
    }

    #[test]
    fn memory_log_and_model(steps in steps(), block_events in prop_oneof![Just(1), Just(7), Just(64)]) {
        let log = MemoryLog::new(small_blocks(block_events));
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append(batch) => {
                    let expected = model.append(&batch);
                    prop_assert_eq!(outcome(append(&log, batch)), expected);
                }
                Step::Read(selection) => prop_assert_eq!(plain(log.read(&selection).unwrap()), model.read(&selection)),
                Step::Reopen => {}
            }
        }
        check_blocks(&log);
        prop_assert_eq!(plain(all(&log)), model.read(&Selection::default()));
    }
}
