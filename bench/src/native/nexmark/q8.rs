//! Who joined and began to sell in the same ten seconds.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{AUCTION, PERSON};
use crate::native::{Changes, Fold, NativeEvent, Rows};

/// In milliseconds.
const WINDOW: u64 = 10_000;

#[derive(Deserialize)]
struct NewPerson {
    id: u64,
    name: String,
    date_time: u64,
}

#[derive(Deserialize)]
struct NewAuction {
    seller: u64,
    date_time: u64,
}

#[derive(Default, Serialize)]
struct Person {
    start: u64,
    name: String,
}

#[derive(Default)]
pub(crate) struct Q8 {
    new_sellers: Rows<(u64, u64), String>,
    people: Rows<u64, Person>,
    early: Rows<u64, Vec<u64>>,
}

impl Fold for Q8 {
    const TYPES: &'static [&'static str] = &[PERSON, AUCTION];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        if event.event_type == PERSON {
            let NewPerson { id, name, date_time } = serde_json::from_slice(event.data)?;
            let start = date_time - date_time % WINDOW;
            if let Some(early) = self.early.get(&id) {
                if early.contains(&start) {
                    *self.new_sellers.entry(&(start, id)) = name.clone();
                }
                self.early.remove(&id);
            }
            *self.people.entry(&id) = Person { start, name };
        } else {
            let NewAuction { seller, date_time } = serde_json::from_slice(event.data)?;
            let start = date_time - date_time % WINDOW;
            let Some(person) = self.people.get(&seller) else {
                self.early.entry(&seller).push(start);
                return Ok(());
            };
            if person.start == start && self.new_sellers.get(&(start, seller)).is_none() {
                *self.new_sellers.entry(&(start, seller)) = person.name.clone();
            }
        }
        Ok(())
    }

    fn flush(&mut self, changes: &mut Changes) -> Result<()> {
        self.new_sellers.flush(0, changes)?;
        self.people.flush(1, changes)?;
        self.early.flush(2, changes)
    }

    fn dirty_bytes(&self) -> usize {
        self.new_sellers.dirty_bytes() + self.people.dirty_bytes() + self.early.dirty_bytes()
    }
}
