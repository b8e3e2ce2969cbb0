use proptest::prelude::*;

use super::*;

fn key(key: &str) -> Vec<u8> {
    key.as_bytes().to_vec()
}

fn put(table: u32, of: &str) -> Changed {
    Changed { table, key: key(of), put: true }
}

fn removed(table: u32, of: &str) -> Changed {
    Changed { put: false, ..put(table, of) }
}

fn rows(start: Bound<&str>, end: Bound<&str>) -> Read {
    Read::Rows { table: 1, start: start.map(key), end: end.map(key) }
}

#[test]
fn what_was_read_is_seen_to_change() {
    let some = rows(Bound::Included("b"), Bound::Excluded("d"));
    let all = rows(Bound::Unbounded, Bound::Unbounded);
    let [empty, filled] = [true, false].map(|was| Read::Empty { table: 1, was });
    let reads = [Read::row(1, b"b"), some, all, empty, filled];
    for (changed, seen_by) in [
        (put(1, "a"), [false, false, true, true, false]),
        (put(1, "b"), [true, true, true, true, false]),
        (put(1, "c"), [false, true, true, true, false]),
        (put(1, "d"), [false, false, true, true, false]),
        (removed(1, "b"), [true, true, true, false, true]),
        (put(2, "b"), [false; 5]),
    ] {
        assert_eq!(reads.each_ref().map(|read| read.sees(&changed)), seen_by, "{changed:?}");
    }
}

#[test]
fn what_two_have_read_overlaps() {
    let (b, all) = (Read::row(1, b"b"), rows(Bound::Unbounded, Bound::Unbounded));
    let [empty, filled] = [true, false].map(|was| Read::Empty { table: 1, was });
    for (one, other, overlap) in [
        (&b, &Read::row(1, b"b"), true),
        (&b, &Read::row(1, b"c"), false),
        (&b, &Read::row(2, b"b"), false),
        (&b, &rows(Bound::Included("a"), Bound::Excluded("b")), false),
        (&b, &rows(Bound::Included("a"), Bound::Included("b")), true),
        (&b, &rows(Bound::Included("c"), Bound::Unbounded), false),
        (&b, &all, true),
        (&all, &all, true),
        (&b, &empty, true),
        (&all, &filled, false),
    ] {
        assert_eq!(one.overlaps(other), overlap, "{one:?} {other:?}");
        assert_eq!(other.overlaps(one), overlap, "{other:?} {one:?}");
    }
}

/// What an event reads of one table, where it calls, and what it changes: rows by number.
#[derive(Clone, Debug)]
struct Script {
    before: Vec<u8>,
    calls: bool,
    after: Vec<u8>,
    /// One that calls changes only rows that it has read before.
    changes: Vec<u8>,
}

/// One that is at work.
struct Work {
    position: Position,
    since: u64,
    reads: Reads,
    /// How many steps it has made.
    step: usize,
    /// What each row was when it began.
    view: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    New,
    Works,
    InLine(u64),
    KeptBack,
    Done,
}

const ROWS: u8 = 4;

fn script() -> impl Strategy<Value = Script> {
    let some = || prop::collection::vec(0..ROWS, 0..3);
    (some(), any::<bool>(), some(), some()).prop_map(|(before, calls, after, changes)| {
        let changes = changes.into_iter().filter(|row| !calls || before.contains(row)).collect();
        Script { before, calls, after, changes }
    })
}

proptest! {
    /// Whatever is handled at the same time: what an event has read is what it would read
    /// at the end, the rows that its call came from are the same whenever it is handled,
    /// and all come to an end.
    #[test]
    fn events_are_as_if_handled_one_after_the_other(
        scripts in prop::collection::vec(script(), 1..8),
        turns in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
    ) {
        let isolation = Isolation::default();
        let mut rows = vec![0_u64; ROWS.into()];
        let mut states = vec![State::New; scripts.len()];
        let mut called: HashMap<Position, Vec<u64>> = HashMap::new();
        let mut works: Vec<Work> = Vec::new();
        let mut kept: Vec<Work> = Vec::new();
        // After the turns that are given, each in its turn until all is done.
        let given = turns.iter().map(|turn| turn.index(scripts.len()));
        let rest = (0..2000 * scripts.len()).map(|turn| turn % scripts.len());
        for event in given.chain(rest) {
            let (position, script) = (event as Position, &scripts[event]);
            match states[event] {
                State::New => {
                    let reads = isolation.reads(position);
                    let (since, view) = (isolation.now(), rows.clone());
                    works.push(Work { position, since, reads, step: 0, view });
                    states[event] = State::Works;
                }
                State::InLine(ends) if ends != isolation.ends() => states[event] = State::New,
                State::Works => {
                    let index = works.iter().position(|work| work.position == position);
                    let index = index.expect("it is at work");
                    let work = &mut works[index];
                    let step = work.step;
                    work.step += 1;
                    let reads = script.before.len() + usize::from(script.calls) + script.after.len();
                    if step == script.before.len() && script.calls {
                        match isolation.claim(position, work.since, &work.reads) {
                            Claim::Granted => {
                                let seen: Vec<u64> =
                                    script.before.iter().map(|row| work.view[usize::from(*row)]).collect();
                                let first = called.entry(position).or_insert_with(|| seen.clone());
                                prop_assert_eq!(&*first, &seen, "the call of {} is another one", position);
                            }
                            refused => {
                                let work = works.remove(index);
                                let ended = Ended {
                                    position, since: work.since, reads: &work.reads, changed: None,
                                };
                                let admission = isolation.admit(ended, false);
                                states[event] = match refused {
                                    Claim::InLine(ends) if admission == Admission::Admitted => State::InLine(ends),
                                    _ => State::New,
                                };
                            }
                        }
                    } else if step < reads {
                        let row = match step < script.before.len() {
                            true => script.before[step],
                            false => script.after[step - script.before.len() - usize::from(script.calls)],
                        };
                        noted(&work.reads).push(Read::row(0, &[row]));
                    } else {
                        kept.push(works.remove(index));
                        states[event] = State::KeptBack;
                        // As the runner settles what is finished.
                        loop {
                            let count = kept.len();
                            let mut settled = |work: Work, force| {
                                let script = &scripts[work.position as usize];
                                let changed = script.changes.iter().map(|row| Changed { table: 0, key: vec![*row], put: true });
                                let ended = Ended {
                                    position: work.position, since: work.since, reads: &work.reads, changed: Some(changed.collect()),
                                };
                                match isolation.admit(ended, force) {
                                    Admission::KeptBack => return Some(work),
                                    Admission::Conflicts => states[work.position as usize] = State::New,
                                    Admission::Admitted => {
                                        for row in script.before.iter().chain(&script.after) {
                                            let row = usize::from(*row);
                                            assert_eq!(work.view[row], rows[row], "event {} has read what is no more", work.position);
                                        }
                                        for row in script.changes.iter().collect::<BTreeSet<_>>() {
                                            rows[usize::from(*row)] += 1;
                                        }
                                        states[work.position as usize] = State::Done;
                                    }
                                }
                                None
                            };
                            kept = std::mem::take(&mut kept).into_iter().filter_map(|work| settled(work, false)).collect();
                            if kept.is_empty() || kept.len() < count {
                                if kept.is_empty() { break; }
                                continue;
                            }
                            let is_kept = |position| kept.iter().any(|work| work.position == position);
                            if isolation.has_caller_besides(is_kept) { break; }
                            let caller = kept.iter().position(|work| isolation.has_called(work.position));
                            let work = kept.remove(caller.expect("nobody else keeps them back"));
                            settled(work, true);
                        }
                    }
                }
                _ => {}
            }
        }
        prop_assert!(states.iter().all(|state| *state == State::Done), "{states:?}");
    }
}
