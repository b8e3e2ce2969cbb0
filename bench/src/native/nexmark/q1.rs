//! The price of each bid in euros.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::BID;
use crate::native::{Changes, Fold, NativeEvent, Rows};

#[derive(Deserialize)]
struct Bid {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: u64,
    extra: String,
}

#[derive(Default, Serialize)]
struct Converted {
    auction: u64,
    bidder: u64,
    price_thousandths: u64,
    date_time: u64,
    extra: String,
}

#[derive(Default)]
pub(crate) struct Q1 {
    bids: Rows<u64, Converted>,
}

impl Fold for Q1 {
    const TYPES: &'static [&'static str] = &[BID];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        let bid: Bid = serde_json::from_slice(event.data)?;
        *self.bids.entry(&event.position) = Converted {
            auction: bid.auction,
            bidder: bid.bidder,
            price_thousandths: bid.price * 908,
            date_time: bid.date_time,
            extra: bid.extra,
        };
        Ok(())
    }

    fn flush(&mut self, changes: &mut Changes) -> Result<()> {
        // Nothing is read again, so nothing is kept.
        std::mem::take(&mut self.bids).flush(0, changes)
    }

    fn dirty_bytes(&self) -> usize {
        self.bids.dirty_bytes()
    }
}
