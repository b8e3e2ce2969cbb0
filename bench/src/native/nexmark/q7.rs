//! The highest bids of each ten seconds.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::BID;
use crate::native::{Changes, Fold, NativeEvent, Rows};

/// In milliseconds.
const WINDOW: u64 = 10_000;

#[derive(Deserialize)]
struct NewBid<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: u64,
    extra: &'a str,
}

#[derive(Default, Serialize)]
struct Highest {
    price: u64,
    bids: Vec<Bid>,
}

#[derive(Clone, Serialize)]
struct Bid {
    auction: u64,
    bidder: u64,
    date_time: u64,
    extra: String,
}

#[derive(Default)]
pub(crate) struct Q7 {
    highest: Rows<u64, Highest>,
    at_end: Rows<(u64, u64), Vec<Bid>>,
}

impl Fold for Q7 {
    const TYPES: &'static [&'static str] = &[BID];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        let NewBid { auction, bidder, price, date_time, extra } = serde_json::from_slice(event.data)?;
        let bid = || Bid { auction, bidder, date_time, extra: extra.to_owned() };
        if date_time % WINDOW == 0 {
            self.at_end.entry(&(date_time, price)).push(bid());
            if self.highest.get(&date_time).is_some_and(|before| before.price == price) {
                self.highest.entry(&date_time).bids.push(bid());
            }
        }
        let end = date_time - date_time % WINDOW + WINDOW;
        let highest = self.highest.get(&end).map(|highest| highest.price);
        if highest > Some(price) {
            return Ok(());
        }
        let row = self.highest.entry(&end);
        if highest < Some(price) {
            row.price = price;
            row.bids.clear();
            row.bids.extend(self.at_end.get(&(end, price)).into_iter().flatten().cloned());
        }
        row.bids.push(bid());
        Ok(())
    }

    fn flush(&mut self, changes: &mut Changes) -> Result<()> {
        self.highest.flush(0, changes)?;
        self.at_end.flush(1, changes)
    }

    fn dirty_bytes(&self) -> usize {
        self.highest.dirty_bytes() + self.at_end.dirty_bytes()
    }
}
