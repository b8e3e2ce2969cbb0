//! Each bid with the folders of its URL.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::BID;
use crate::native::{Changes, Fold, NativeEvent, Rows};

#[derive(Deserialize)]
struct Bid<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: String,
    url: &'a str,
}

#[derive(Default, Serialize)]
struct Folders {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: String,
    dir1: Option<String>,
    dir2: Option<String>,
    dir3: Option<String>,
}

#[derive(Default)]
pub(crate) struct Q22 {
    bids: Rows<u64, Folders>,
}

impl Fold for Q22 {
    const TYPES: &'static [&'static str] = &[BID];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        let Bid { auction, bidder, price, channel, url } = serde_json::from_slice(event.data)?;
        let mut parts = url.split('/');
        let dir1 = parts.nth(3).map(str::to_owned);
        let dir2 = parts.next().map(str::to_owned);
        let dir3 = parts.next().map(str::to_owned);
        *self.bids.entry(&event.position) = Folders { auction, bidder, price, channel, dir1, dir2, dir3 };
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
