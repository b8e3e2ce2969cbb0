//! Who sells in three states, and what.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{AUCTION, PERSON};
use crate::native::{Changes, Fold, NativeEvent, Rows};

#[derive(Deserialize)]
struct Auction {
    id: u64,
    seller: u64,
    category: u64,
}

#[derive(Deserialize)]
struct Person<'a> {
    id: u64,
    name: &'a str,
    city: &'a str,
    state: &'a str,
}

#[derive(Clone, Default, Serialize)]
struct Seller {
    name: String,
    city: String,
    state: String,
}

#[derive(Default)]
pub(crate) struct Q3 {
    items: Rows<u64, Seller>,
    people: Rows<u64, Option<Seller>>,
    early: Rows<u64, Vec<u64>>,
}

impl Fold for Q3 {
    const TYPES: &'static [&'static str] = &[PERSON, AUCTION];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        if event.event_type == PERSON {
            let person: Person<'_> = serde_json::from_slice(event.data)?;
            let seller = matches!(person.state, "or" | "id" | "ca").then(|| Seller {
                name: person.name.to_owned(),
                city: person.city.to_owned(),
                state: person.state.to_owned(),
            });
            if let Some(early) = self.early.get(&person.id) {
                if let Some(seller) = &seller {
                    for auction in early {
                        *self.items.entry(auction) = seller.clone();
                    }
                }
                self.early.remove(&person.id);
            }
            *self.people.entry(&person.id) = seller;
        } else {
            let auction: Auction = serde_json::from_slice(event.data)?;
            if auction.category != 10 {
                return Ok(());
            }
            match self.people.get(&auction.seller) {
                None => self.early.entry(&auction.seller).push(auction.id),
                Some(None) => {}
                Some(Some(seller)) => *self.items.entry(&auction.id) = seller.clone(),
            }
        }
        Ok(())
    }

    fn flush(&mut self, changes: &mut Changes) -> Result<()> {
        self.items.flush(0, changes)?;
        self.people.flush(1, changes)?;
        self.early.flush(2, changes)
    }

    fn dirty_bytes(&self) -> usize {
        self.items.dirty_bytes() + self.people.dirty_bytes() + self.early.dirty_bytes()
    }
}
