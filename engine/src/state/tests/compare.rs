//! What `compare` promises: it says of two states what their entries say.

use std::{collections::BTreeSet, ops::ControlFlow};

use super::*;

/// The state that these changes lead to, in two partitions.
fn state(owned: &[Owned]) -> VersionState {
    let state = VersionState::in_memory(&tables(&["a", "b"]), 2).unwrap();
    let home = |key: &[u8]| key.len() % 2;
    for (number, partition) in state.partitions().iter().enumerate() {
        let own: Vec<_> = owned.iter().filter(|(_, key, _)| home(key) == number).cloned().collect();
        partition.commit(changes(&own), 1, 1, None, Durability::Eventual).unwrap();
        state.advance(number, 1, Some(Arc::new(partition.snapshot().unwrap())));
    }
    state
}

proptest! {
    #[test]
    fn differences_are_those_of_the_entries(
        one in proptest::collection::vec(any_change(), 0..40),
        more in proptest::collection::vec(any_change(), 0..10),
    ) {
        let mut models = [vec![BTreeMap::new(), BTreeMap::new()], vec![BTreeMap::new(), BTreeMap::new()]];
        let other: Vec<_> = one.iter().chain(&more).cloned().collect();
        apply(&mut models[0], &one);
        apply(&mut models[1], &other);
        let states = [state(&one), state(&other)];
        let [before, after] = states.each_ref().map(|state| state.view().unwrap());
        for (table, (left, right)) in (0_u32..).zip(models[0].iter().zip(&models[1])) {
            let keys: BTreeSet<_> = left.keys().chain(right.keys()).collect();
            let expected: Vec<_> = keys
                .into_iter()
                .map(|key| (key.clone(), left.get(key).cloned(), right.get(key).cloned()))
                .filter(|(_, before, after)| before != after)
                .collect();
            let mut seen = Vec::new();
            let table = Some(table);
            let found = compare((&before, table), (&after, table), |row| {
                let owned = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
                seen.push((row.key.to_vec(), owned(row.before), owned(row.after)));
                ControlFlow::Continue(())
            })
            .unwrap();
            prop_assert_eq!(&seen, &expected);
            let removed = expected.iter().filter(|(_, _, after)| after.is_none()).count() as u64;
            let added = expected.iter().filter(|(_, before, _)| before.is_none()).count() as u64;
            let changed = expected.len() as u64 - removed - added;
            let same = left.len() as u64 - removed - changed;
            prop_assert_eq!(found, Differences { removed, added, changed, same });

            // A table that is not there is as good as an empty one.
            let none = compare((&before, table), (&after, None), |_| ControlFlow::Continue(())).unwrap();
            prop_assert_eq!(none, Differences { removed: left.len() as u64, ..Differences::default() });
        }
    }
}
