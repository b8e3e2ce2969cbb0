//! Each bidder's last bid on each auction.

use anyhow::Result;

use super::{BID, payload::Bid};
use crate::native::{Changes, Fold, NativeEvent, Rows};

#[derive(Default)]
pub(crate) struct Q18 {
    bids: Rows<(u64, u64), Bid>,
}

impl Fold for Q18 {
    const TYPES: &'static [&'static str] = &[BID];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        let bid: Bid = serde_json::from_slice(event.data)?;
        let last = self.bids.entry(&(bid.bidder, bid.auction));
        if bid.date_time >= last.date_time {
            *last = bid;
        }
        Ok(())
    }

    fn flush(&mut self, changes: &mut Changes) -> Result<()> {
        self.bids.flush(0, changes)
    }

    fn dirty_bytes(&self) -> usize {
        self.bids.dirty_bytes()
    }
}
