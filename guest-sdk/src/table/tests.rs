//! A table behaves as a sorted map, whatever is cached, dropped and flushed.

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use proptest::{collection::vec, prelude::*};

use crate::{
    context::{CACHE_BYTES, Committed, Entries},
    harness::stored::Stored,
    prelude::*,
    runner::{Runner, State},
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Item {
    count: u64,
    group: u8,
}

#[derive(Projection)]
struct Items {
    #[index(by_count: u64 = count)]
    #[index(by_group: (u8, u64) = (group, count))]
    indexed: Table<String, Item>,
    plain: Table<(u8, String), u64>,
}

#[projection]
impl Items {
    #[on_any]
    fn any(&mut self, _event: &Event) {}
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, u64, u8),
    Insert(u8, u64),
    Remove(u8),
    Take(u8),
    GetMut(u8),
    Get(u8),
    Between(u8, u8),
    GroupReversed(u8),
    CountFrom(u64),
    BothEnds(Vec<bool>),
    Flush,
    Answer,
}

fn step() -> impl Strategy<Value = Step> {
    // Few keys, so that the same ones come again.
    let key = || 0..24_u8;
    prop_oneof![
        6 => (key(), 0..4_u64, 0..3_u8).prop_map(|(key, count, group)| Step::Add(key, count, group)),
        2 => (key(), 0..4_u64).prop_map(|(key, count)| Step::Insert(key, count)),
        2 => key().prop_map(Step::Remove),
        1 => key().prop_map(Step::Take),
        1 => key().prop_map(Step::GetMut),
        3 => key().prop_map(Step::Get),
        1 => (key(), key()).prop_map(|(start, end)| Step::Between(start, end)),
        1 => (0..3_u8).prop_map(Step::GroupReversed),
        1 => (0..5_u64).prop_map(Step::CountFrom),
        1 => vec(any::<bool>(), 0..40).prop_map(Step::BothEnds),
        2 => Just(Step::Flush),
        1 => Just(Step::Answer),
    ]
}

fn name(key: u8) -> String {
    // Some longer than a slot holds in place.
    format!("{}{key}", "k".repeat(usize::from(key % 3) * 12))
}

fn pair(key: u8) -> (u8, String) {
    (key % 4, name(key))
}

/// What the tables must hold.
#[derive(Default)]
struct Model {
    indexed: BTreeMap<String, Item>,
    plain: BTreeMap<(u8, String), u64>,
}

impl Model {
    fn by_count(&self) -> Vec<(String, Item)> {
        let mut rows: Vec<_> = self.indexed.clone().into_iter().collect();
        rows.sort_by(|a, b| (a.1.count, &a.0).cmp(&(b.1.count, &b.0)));
        rows
    }

    fn check(&self, items: &Items) {
        let owned = |(key, item): (String, Ref<'_, Item>)| (key, item.into_owned());
        assert!(items.indexed.iter().map(owned).eq(self.indexed.clone()));
        assert!(items.indexed_by_count().iter().map(owned).eq(self.by_count()));
        assert!(items.indexed_by_count().iter().rev().map(owned).eq(self.by_count().into_iter().rev()));
        assert!(
            items.plain.iter().rev().map(|(key, value)| (key, *value)).eq(self
                .plain
                .clone()
                .into_iter()
                .rev())
        );
    }

    fn apply(&mut self, items: &mut Items, step: &Step) {
        match *step {
            Step::Add(key, count, group) => {
                for item in [items.indexed.entry(name(key)), self.indexed.entry(name(key)).or_default()] {
                    item.count += count;
                    item.group = group;
                }
                *items.plain.entry(pair(key)) += count;
                *self.plain.entry(pair(key)).or_default() += count;
            }
            Step::Insert(key, count) => {
                let item = Item { count, group: 7 };
                items.indexed.insert(name(key), item.clone());
                self.indexed.insert(name(key), item);
                items.plain.insert(pair(key), count);
                self.plain.insert(pair(key), count);
            }
            Step::Remove(key) => {
                items.indexed.remove(name(key));
                self.indexed.remove(&name(key));
                items.plain.remove(pair(key));
                self.plain.remove(&pair(key));
            }
            Step::Take(key) => {
                assert_eq!(items.indexed.take(name(key)), self.indexed.remove(&name(key)));
                assert_eq!(items.plain.take(pair(key)), self.plain.remove(&pair(key)));
            }
            Step::GetMut(key) => {
                let (item, expected) = (items.indexed.get_mut(name(key)), self.indexed.get_mut(&name(key)));
                assert_eq!(item, expected);
                if let (Some(item), Some(expected)) = (item, expected) {
                    item.count = 1;
                    expected.count = 1;
                }
            }
            Step::Get(key) => {
                assert_eq!(items.indexed.get(name(key)).as_deref(), self.indexed.get(&name(key)));
                assert_eq!(items.plain.get((key % 4, name(key))).as_deref(), self.plain.get(&pair(key)));
                assert_eq!(items.plain.contains(pair(key)), self.plain.contains_key(&pair(key)));
            }
            Step::Between(start, end) => {
                let (start, end) = (name(start.min(end)), name(start.max(end)));
                let (start, end) = if start <= end { (start, end) } else { (end, start) };
                let expected: Vec<_> = self.indexed.range(start.clone()..=end.clone()).collect();
                let found: Vec<_> = items.indexed.range(&start..=&end).collect();
                assert_eq!(found.len(), expected.len());
                assert!(found.iter().zip(expected).all(|(a, b)| a.0 == *b.0 && a.1 == *b.1));
                assert_eq!(
                    items.indexed.starts_with("kkkkkkkkkkkk").count(),
                    self.indexed.keys().filter(|key| key.len() > 10).count()
                );
                let prefixed: Vec<_> = items.plain.prefix(1).map(|(key, _)| key).collect();
                assert_eq!(prefixed, self.plain.keys().filter(|key| key.0 == 1).cloned().collect::<Vec<_>>());
            }
            Step::GroupReversed(group) => {
                let mut expected: Vec<_> = self
                    .indexed
                    .iter()
                    .filter(|(_, item)| item.group == group)
                    .map(|(key, item)| (item.count, key.clone()))
                    .collect();
                expected.sort();
                let found = items.indexed_by_group().prefix(group);
                assert!(found.rev().map(|(key, item)| (item.count, key)).eq(expected.into_iter().rev()));
            }
            Step::CountFrom(count) => {
                let rows = self.by_count();
                let expected =
                    rows.iter().filter(|(_, item)| item.count >= count).map(|(key, _)| key.clone());
                assert!(items.indexed_by_count().range(count..).map(|(key, _)| key).eq(expected));
                let expected = rows.iter().filter(|(_, item)| item.count < count).map(|(key, _)| key.clone());
                assert!(items.indexed_by_count().range(..count).map(|(key, _)| key).eq(expected));
                let expected =
                    rows.iter().filter(|(_, item)| item.count == count).map(|(key, _)| key.clone());
                assert!(items.indexed_by_count().equal_to(count).map(|(key, _)| key).eq(expected));
            }
            Step::BothEnds(ref fronts) => {
                let (mut found, mut expected) = (items.indexed.iter(), self.indexed.iter());
                for front in fronts {
                    let (found, expected) = match front {
                        true => (found.next(), expected.next()),
                        false => (found.next_back(), expected.next_back()),
                    };
                    assert_eq!(found.as_ref().map(|(key, item)| (key, &**item)), expected);
                }
            }
            Step::Flush | Step::Answer => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equals_a_sorted_map(
        steps in vec(step(), 1..120),
        cache_bytes in prop_oneof![Just(0), Just(1000), Just(6000), Just(CACHE_BYTES)],
    ) {
        let stored = Rc::new(Stored::new(Items::tables().len()));
        let mut runner = Runner::<Items>::new(stored.clone(), cache_bytes);
        let mut model = Model::default();
        for step in &steps {
            runner.step(|items| model.apply(items, step));
            match step {
                Step::Flush => stored.commit(&runner.flush()),
                Step::Answer => {
                    // Another instance sees what is committed.
                    stored.commit(&runner.flush());
                    Runner::<Items>::new(stored.clone(), cache_bytes).step(|items| model.check(items));
                }
                _ => {}
            }
        }
        runner.step(|items| model.check(items));
        stored.commit(&runner.flush());
        runner.step(|items| model.check(items));
        Runner::<Items>::new(stored, cache_bytes).step(|items| model.check(items));
    }
}

/// Counts what the host is asked.
struct Asked {
    stored: Stored,
    gets: Cell<u64>,
}

impl Committed for Asked {
    fn get(&self, table: u32, key: &[u8]) -> Option<Vec<u8>> {
        self.gets.set(self.gets.get() + 1);
        self.stored.get(table, key)
    }

    fn scan(&self, table: u32, start: &[u8], end: Option<&[u8]>, reverse: bool, limit: u32) -> Entries {
        self.stored.scan(table, start, end, reverse, limit)
    }

    fn is_empty(&self, table: u32) -> bool {
        self.stored.is_empty(table)
    }
}

fn asked() -> Rc<Asked> {
    Rc::new(Asked { stored: Stored::new(Items::tables().len()), gets: Cell::new(0) })
}

#[test]
fn a_table_that_began_empty_is_never_asked_for_a_row() {
    let host = asked();
    let mut runner = Runner::<Items>::new(host.clone(), CACHE_BYTES);
    for number in 0..1000_u64 {
        runner.step(|items| *items.plain.entry((0, number.to_string())) += 1);
        if number % 100 == 0 {
            host.stored.commit(&runner.flush());
        }
    }
    assert_eq!(host.gets.get(), 0);
}

#[test]
fn a_table_that_is_only_written_keeps_nothing_that_is_flushed() {
    let host = asked();
    let mut runner = Runner::<Items>::new(host.clone(), CACHE_BYTES);
    for number in 0..100_u64 {
        runner.step(|items| items.plain.insert((0, number.to_string()), number));
    }
    host.stored.commit(&runner.flush());
    assert_eq!((runner.held(), host.gets.get()), (0, 0));
    runner.step(|items| items.plain.remove((0, "7")));
    host.stored.commit(&runner.flush());
    runner.step(|items| {
        assert_eq!(items.plain.get((0, "8")).as_deref(), Some(&8));
        assert!(!items.plain.contains((0, "7")));
        assert_eq!(items.plain.iter().count(), 99);
    });
}

#[test]
fn what_was_read_stays_at_hand() {
    let host = asked();
    let mut before = Runner::<Items>::new(host.clone(), CACHE_BYTES);
    before.step(|items| items.plain.insert((1, "a"), 5));
    host.stored.commit(&before.flush());

    let mut runner = Runner::<Items>::new(host.clone(), CACHE_BYTES);
    for _ in 0..3 {
        runner.step(|items| {
            assert_eq!(items.plain.get((1, "a")).as_deref(), Some(&5));
            assert!(!items.plain.contains((1, "b")));
            assert!(!items.plain.contains((1, "b")));
        });
    }
    assert_eq!(host.gets.get(), 2, "once for the row that is there, once for the one that is not");
}

#[test]
fn the_cache_stays_within_its_limit() {
    let host = asked();
    let limit = 100_000;
    let mut runner = Runner::<Items>::new(host.clone(), limit);
    for number in 0..20_000_u64 {
        runner.step(|items| *items.plain.entry((0, (number % 5000).to_string())) += 1);
        if number % 50 == 0 {
            host.stored.commit(&runner.flush());
        }
        assert!(runner.held() < limit + 20_000, "{}", runner.held());
    }
    assert!(host.gets.get() > 1000, "the state is larger than the cache");
    runner.step(|items| assert!(items.plain.iter().all(|(_, count)| *count == 4)));
}

#[test]
fn changes_that_cancel_out_are_not_flushed() {
    let mut runner = Runner::<Items>::new(asked(), CACHE_BYTES);
    runner.step(|items| items.indexed.entry("a").count = 3);
    runner.step(|items| items.indexed.remove("a"));
    assert!(runner.flush().list.is_empty());
}

#[test]
fn rows_that_were_never_there_are_not_asked_for_even_when_others_were_dropped() {
    let host = asked();
    let mut runner = Runner::<Items>::new(host.clone(), 4 << 20);
    for number in 0..100_000_u64 {
        runner.step(|items| *items.plain.entry((0, number.to_string())) += 1);
        if number % 1_000 == 0 {
            host.stored.commit(&runner.flush());
        }
    }
    assert!(runner.held() < 5 << 20, "rows were dropped");
    assert!(host.gets.get() < 5_000, "{} of 100,000 were asked for", host.gets.get());
    host.stored.commit(&runner.flush());
    runner.step(|items| assert!(items.plain.iter().all(|(_, count)| *count == 1)));
}
