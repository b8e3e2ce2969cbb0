//! The average winning bid of each category.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{AUCTION, BID};
use crate::native::{Changes, Fold, NativeEvent, Rows};

#[derive(Deserialize)]
struct NewAuction {
    id: u64,
    category: u64,
    date_time: u64,
    expires: u64,
}

#[derive(Deserialize)]
struct NewBid {
    auction: u64,
    price: u64,
    date_time: u64,
}

#[derive(Default, Serialize)]
struct Category {
    auctions: u64,
    total: u64,
    average: u64,
}

#[derive(Default, Serialize)]
struct Auction {
    category: u64,
    date_time: u64,
    expires: u64,
    highest: Option<u64>,
}

#[derive(Serialize)]
struct Bid {
    price: u64,
    date_time: u64,
}

#[derive(Default)]
pub(crate) struct Q4 {
    categories: Rows<u64, Category>,
    auctions: Rows<u64, Auction>,
    early: Rows<u64, Vec<Bid>>,
}

impl Q4 {
    fn count(&mut self, id: u64, bid: Bid) {
        let Some(auction) = self.auctions.get(&id) else {
            self.early.entry(&id).push(bid);
            return;
        };
        let is_open = auction.date_time <= bid.date_time && bid.date_time <= auction.expires;
        if !is_open || auction.highest >= Some(bid.price) {
            return;
        }
        let auction = self.auctions.entry(&id);
        let category = self.categories.entry(&auction.category);
        match auction.highest {
            None => {
                category.auctions += 1;
                category.total += bid.price;
            }
            Some(before) => category.total += bid.price - before,
        }
        category.average = category.total / category.auctions;
        auction.highest = Some(bid.price);
    }
}

impl Fold for Q4 {
    const TYPES: &'static [&'static str] = &[AUCTION, BID];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        if event.event_type == BID {
            let NewBid { auction, price, date_time } = serde_json::from_slice(event.data)?;
            self.count(auction, Bid { price, date_time });
        } else {
            let NewAuction { id, category, date_time, expires } = serde_json::from_slice(event.data)?;
            *self.auctions.entry(&id) = Auction { category, date_time, expires, highest: None };
            if self.early.get(&id).is_some() {
                for bid in std::mem::take(self.early.entry(&id)) {
                    self.count(id, bid);
                }
                self.early.remove(&id);
            }
        }
        Ok(())
    }

    fn flush(&mut self, changes: &mut Changes) -> Result<()> {
        self.categories.flush(0, changes)?;
        self.auctions.flush(1, changes)?;
        self.early.flush(2, changes)
    }

    fn dirty_bytes(&self) -> usize {
        self.categories.dirty_bytes() + self.auctions.dirty_bytes() + self.early.dirty_bytes()
    }
}
