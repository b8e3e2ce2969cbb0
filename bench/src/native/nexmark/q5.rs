//! The auctions with the most bids in the last ten seconds.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::BID;
use crate::native::{Changes, Fold, NativeEvent, Rows};

/// In milliseconds; a window is five of them.
const HOP: u64 = 2_000;

#[derive(Deserialize)]
struct Bid {
    auction: u64,
    date_time: u64,
}

#[derive(Default, Serialize)]
struct Hottest {
    bids: u64,
    auctions: Vec<u64>,
}

#[derive(Default)]
pub(crate) struct Q5 {
    hottest: Rows<u64, Hottest>,
    counts: Rows<(u64, u64), u64>,
}

impl Fold for Q5 {
    const TYPES: &'static [&'static str] = &[BID];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        let Bid { auction, date_time } = serde_json::from_slice(event.data)?;
        let first = date_time - date_time % HOP + HOP;
        for end in (first..first + 5 * HOP).step_by(HOP as usize) {
            let count = self.counts.entry(&(end, auction));
            *count += 1;
            if self.hottest.get(&end).is_some_and(|hottest| *count < hottest.bids) {
                continue;
            }
            let hottest = self.hottest.entry(&end);
            if *count > hottest.bids {
                hottest.bids = *count;
                hottest.auctions.clear();
            }
            let place = hottest.auctions.partition_point(|other| *other < auction);
            hottest.auctions.insert(place, auction);
        }
        Ok(())
    }

    fn flush(&mut self, changes: &mut Changes) -> Result<()> {
        self.hottest.flush(0, changes)?;
        self.counts.flush(1, changes)
    }

    fn dirty_bytes(&self) -> usize {
        self.hottest.dirty_bytes() + self.counts.dirty_bytes()
    }
}
