//! Which event is next: events of one lane one after the other, lanes side by side.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use foldhash::fast::RandomState;

use crate::event::Position;

/// What decides which events wait for one another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum LaneKey {
    /// Those of one subject do, or of one key that the reaction has worked out.
    Named(Arc<str>),
    /// Without a subject, an event waits for nobody.
    Alone(Position),
    /// All do.
    One,
}

/// Lanes with events that are not handled yet.
#[derive(Debug)]
pub(super) struct Lanes {
    /// How many events may be handled side by side.
    most: usize,
    running: usize,
    lanes: HashMap<LaneKey, Lane, RandomState>,
    /// Lanes whose first event can run, in the order in which they became so.
    ready: VecDeque<LaneKey>,
}

#[derive(Debug)]
struct Lane {
    /// In their order.
    events: VecDeque<Position>,
    first: First,
}

/// How the first event of a lane is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    Ready,
    /// It runs, or has run and it is not known yet what follows.
    Runs,
    /// It has failed, and may not run yet.
    Waits,
}

impl Lanes {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), running: 0, lanes: HashMap::default(), ready: VecDeque::new() }
    }

    /// An event is there. Those of a lane come in their order. `waits`: it has failed
    /// before, and may not run until [`resume`](Self::resume).
    pub(super) fn admit(&mut self, key: LaneKey, position: Position, waits: bool) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.events.push_back(position);
            return;
        }
        let first = if waits { First::Waits } else { First::Ready };
        if first == First::Ready {
            self.ready.push_back(key.clone());
        }
        self.lanes.insert(key, Lane { events: [position].into(), first });
    }

    /// The next event to run, if there is room for one.
    pub(super) fn next(&mut self) -> Option<(LaneKey, Position)> {
        if self.running >= self.most {
            return None;
        }
        let key = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        lane.first = First::Runs;
        self.running += 1;
        Some((key, *lane.events.front()?))
    }

    /// The event that [`next`](Self::next) would give.
    pub(super) fn peek(&self) -> Option<Position> {
        if self.running >= self.most {
            return None;
        }
        self.lanes.get(self.ready.front()?)?.events.front().copied()
    }

    /// An event that ran does no longer, so that one of another lane may. Its own lane
    /// stands until it is known what follows.
    pub(super) fn ended(&mut self) {
        self.running -= 1;
    }

    /// The event that ran is handled. `waits`: whether the one behind it has failed
    /// before, and may not run yet.
    pub(super) fn finished(&mut self, key: &LaneKey, waits: impl Fn(Position) -> bool) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.events.pop_front();
        match lane.events.front() {
            None => drop(self.lanes.remove(key)),
            Some(next) if waits(*next) => lane.first = First::Waits,
            Some(_) => {
                lane.first = First::Ready;
                self.ready.push_back(key.clone());
            }
        }
    }

    /// The event that ran has failed; its lane waits with it.
    pub(super) fn failed(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.first = First::Waits;
        }
    }

    /// The event that ran has to run again, before all others.
    pub(super) fn again(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.first = First::Ready;
            self.ready.push_front(key.clone());
        }
    }

    /// An event that waited may run, before those that have never run, if it is the
    /// first of its lane; if not, it will when its turn comes.
    pub(super) fn resume(&mut self, key: &LaneKey, position: Position) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.first == First::Waits && lane.events.front() == Some(&position) {
            lane.first = First::Ready;
            self.ready.push_front(key.clone());
        }
    }

    /// Lets an event that is the first of its lane, and may run, run before all others.
    /// Answers whether it is.
    pub(super) fn prefer(&mut self, key: &LaneKey, position: Position) -> bool {
        let is_ready = |lane: &Lane| lane.first == First::Ready && lane.events.front() == Some(&position);
        let is_preferred = self.lanes.get(key).is_some_and(is_ready);
        if is_preferred {
            self.ready.retain(|ready| ready != key);
            self.ready.push_front(key.clone());
        }
        is_preferred
    }

    /// How many events run.
    #[cfg(test)]
    fn running(&self) -> usize {
        self.running
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Admit(u8, bool),
        Next,
        Finish(usize),
        Fail(usize),
        Resume(usize),
        Again(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_u8..4, any::<bool>()).prop_map(|(lane, waits)| Step::Admit(lane, waits)),
            4 => Just(Step::Next),
            3 => (0_usize..8).prop_map(Step::Finish),
            1 => (0_usize..8).prop_map(Step::Fail),
            3 => (0_usize..8).prop_map(Step::Resume),
            1 => (0_usize..8).prop_map(Step::Again),
        ];
        prop::collection::vec(step, 0..200)
    }

    /// Events that wait, with their lanes. A lane is told once of each that it may run.
    type Waiting = Vec<(LaneKey, Position)>;

    fn waits(waiting: &Waiting) -> impl Fn(Position) -> bool {
        |position| waiting.iter().any(|event| event.1 == position)
    }

    proptest! {
        /// Whatever happens, a lane's events run in order and one at a time, at most so
        /// many at once, none that waits, and none is forgotten.
        #[test]
        fn lanes_keep_the_order_and_lose_nothing(steps in steps(), most in 1_usize..4) {
            let mut lanes = Lanes::new(most);
            let (mut admitted, mut running, mut waiting) = (0, Vec::new(), Waiting::new());
            let mut done: Vec<(LaneKey, Position)> = Vec::new();
            for step in steps {
                match step {
                    Step::Admit(lane, waits) => {
                        admitted += 1;
                        let key = match lane {
                            0 => LaneKey::Alone(admitted),
                            lane => LaneKey::Named(lane.to_string().into()),
                        };
                        if waits {
                            waiting.push((key.clone(), admitted));
                        }
                        lanes.admit(key, admitted, waits);
                    }
                    Step::Next => running.extend(lanes.next()),
                    Step::Finish(index) if !running.is_empty() => {
                        let (key, position) = running.remove(index % running.len());
                        lanes.ended();
                        lanes.finished(&key, waits(&waiting));
                        done.push((key, position));
                    }
                    Step::Fail(index) if !running.is_empty() => {
                        let failed = running.remove(index % running.len());
                        lanes.ended();
                        lanes.failed(&failed.0);
                        waiting.push(failed);
                    }
                    Step::Resume(index) if !waiting.is_empty() => {
                        let (key, position) = waiting.remove(index % waiting.len());
                        lanes.resume(&key, position);
                    }
                    Step::Again(index) if !running.is_empty() => {
                        lanes.ended();
                        lanes.again(&running.remove(index % running.len()).0);
                    }
                    _ => {}
                }
                prop_assert_eq!(lanes.running(), running.len());
                prop_assert!(running.len() <= most);
                prop_assert!(running.iter().all(|event| !waiting.contains(event)), "what waits does not run");
                let keys: std::collections::HashSet<_> = running.iter().map(|(key, _)| key).collect();
                prop_assert_eq!(keys.len(), running.len(), "one at a time");
            }
            for (key, position) in std::mem::take(&mut waiting) {
                lanes.resume(&key, position);
            }
            loop {
                for (key, position) in std::mem::take(&mut running) {
                    lanes.ended();
                    lanes.finished(&key, |_| false);
                    done.push((key, position));
                }
                running.extend(lanes.next());
                if running.is_empty() {
                    break;
                }
            }
            for (key, _) in &done {
                let of_lane: Vec<_> = done.iter().filter(|event| event.0 == *key).map(|event| event.1).collect();
                prop_assert!(of_lane.is_sorted(), "in order");
            }
            let all: BTreeSet<Position> = done.iter().map(|event| event.1).collect();
            prop_assert_eq!(all, (1..=admitted).collect());
            prop_assert_eq!(done.len() as u64, admitted);
            prop_assert!(lanes.lanes.is_empty() && lanes.ready.is_empty());
        }
    }
}
