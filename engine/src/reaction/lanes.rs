//! Which event is next: events of one lane one after the other, lanes side by side.

use std::collections::{HashMap, VecDeque};

use crate::event::Position;

/// What decides which events wait for one another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum LaneKey {
    /// Those of one subject do.
    Subject(String),
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
    /// The events of each lane in their order; the first is the one that is running
    /// or waits to be tried again, if any.
    lanes: HashMap<LaneKey, VecDeque<Position>>,
    /// Lanes whose first event can run, in the order in which they became so.
    ready: VecDeque<LaneKey>,
}

impl Lanes {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), running: 0, lanes: HashMap::new(), ready: VecDeque::new() }
    }

    /// An event is there. Those of a lane come by ascending position. `waits`: it
    /// has failed before, and may not run until [`resume`](Self::resume).
    pub(super) fn admit(&mut self, key: LaneKey, position: Position, waits: bool) {
        let lane = self.lanes.entry(key.clone()).or_default();
        lane.push_back(position);
        if lane.len() == 1 && !waits {
            self.ready.push_back(key);
        }
    }

    /// The next event to run, if there is room for one.
    pub(super) fn next(&mut self) -> Option<(LaneKey, Position)> {
        if self.running >= self.most {
            return None;
        }
        let key = self.ready.pop_front()?;
        let position = *self.lanes.get(&key)?.front()?;
        self.running += 1;
        Some((key, position))
    }

    /// An event that ran does no longer, so that one of another lane may. Its own lane
    /// waits until it is known what follows.
    pub(super) fn ended(&mut self) {
        self.running -= 1;
    }

    /// The event that ran is handled. `next_waits`: whether the one behind it has
    /// failed before, and may not run yet.
    pub(super) fn finished(&mut self, key: &LaneKey, next_waits: impl Fn(Position) -> bool) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.pop_front();
        match lane.front() {
            None => drop(self.lanes.remove(key)),
            Some(next) if next_waits(*next) => {}
            Some(_) => self.ready.push_back(key.clone()),
        }
    }

    /// The event that ran has to run again, at once.
    pub(super) fn again(&mut self, key: &LaneKey) {
        self.ready.push_front(key.clone());
    }

    /// A lane's first event, which failed, may run. One that is not first yet will
    /// run when its turn comes.
    pub(super) fn resume(&mut self, key: &LaneKey, position: Position) {
        if self.lanes.get(key).and_then(VecDeque::front) == Some(&position) {
            self.ready.push_back(key.clone());
        }
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
        Admit(u8),
        Next,
        Finish(usize),
        Delay(usize),
        Resume(usize),
        Again(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_u8..4).prop_map(Step::Admit),
            4 => Just(Step::Next),
            3 => (0_usize..8).prop_map(Step::Finish),
            1 => (0_usize..8).prop_map(Step::Delay),
            2 => (0_usize..8).prop_map(Step::Resume),
            1 => (0_usize..8).prop_map(Step::Again),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Whatever happens, a lane's events run in order and one at a time, at most so
        /// many at once, and none is forgotten.
        #[test]
        fn lanes_keep_the_order_and_lose_nothing(steps in steps(), most in 1_usize..4) {
            let mut lanes = Lanes::new(most);
            let (mut admitted, mut running, mut waiting) = (0, Vec::new(), Vec::<(LaneKey, Position)>::new());
            let mut done: Vec<(LaneKey, Position)> = Vec::new();
            for step in steps {
                match step {
                    Step::Admit(lane) => {
                        admitted += 1;
                        let key = match lane {
                            0 => LaneKey::Alone(admitted),
                            lane => LaneKey::Subject(lane.to_string()),
                        };
                        lanes.admit(key, admitted, false);
                    }
                    Step::Next => running.extend(lanes.next()),
                    Step::Finish(index) if !running.is_empty() => {
                        let (key, position) = running.remove(index % running.len());
                        lanes.ended();
                        lanes.finished(&key, |_| false);
                        done.push((key, position));
                    }
                    Step::Delay(index) if !running.is_empty() => {
                        lanes.ended();
                        waiting.push(running.remove(index % running.len()));
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
                let keys: std::collections::HashSet<_> = running.iter().map(|(key, _)| key).collect();
                prop_assert_eq!(keys.len(), running.len(), "one at a time");
            }
            for (key, position) in waiting {
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
        }
    }
}
