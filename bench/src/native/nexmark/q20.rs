//! The bids of a category, each with its auction.

use std::rc::Rc;

use anyhow::Result;
use serde::{Serialize, Serializer};

use super::{
    AUCTION, BID,
    payload::{Auction, Bid},
};
use crate::native::{Changes, Fold, NativeEvent, Rows};

/// An auction that many bids show.
#[derive(Clone, Default)]
struct Shared(Rc<Auction>);

impl Serialize for Shared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[derive(Default, Serialize)]
struct Expanded {
    bid: Bid,
    auction: Shared,
}

#[derive(Default)]
pub(crate) struct Q20 {
    bids: Rows<(u64, u64), Expanded>,
    auctions: Rows<u64, Option<Shared>>,
    early: Rows<u64, Vec<(u64, Bid)>>,
}

impl Fold for Q20 {
    const TYPES: &'static [&'static str] = &[AUCTION, BID];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        if event.event_type == BID {
            let bid: Bid = serde_json::from_slice(event.data)?;
            match self.auctions.get(&bid.auction) {
                None => self.early.entry(&bid.auction).push((event.position, bid)),
                Some(None) => {}
                Some(Some(auction)) => {
                    let row = self.bids.entry(&(bid.auction, event.position));
                    *row = Expanded { bid, auction: auction.clone() };
                }
            }
        } else {
            let auction: Auction = serde_json::from_slice(event.data)?;
            let id = auction.id;
            let auction = (auction.category == 10).then(|| Shared(Rc::new(auction)));
            if self.early.get(&id).is_some() {
                let early = std::mem::take(self.early.entry(&id));
                if let Some(auction) = &auction {
                    for (position, bid) in early {
                        *self.bids.entry(&(id, position)) = Expanded { bid, auction: auction.clone() };
                    }
                }
                self.early.remove(&id);
            }
            *self.auctions.entry(&id) = auction;
        }
        Ok(())
    }

    fn flush(&mut self, changes: &mut Changes) -> Result<()> {
        // They are not read again, so they are not kept.
        std::mem::take(&mut self.bids).flush(0, changes)?;
        self.auctions.flush(1, changes)?;
        self.early.flush(2, changes)
    }

    fn dirty_bytes(&self) -> usize {
        self.bids.dirty_bytes() + self.auctions.dirty_bytes() + self.early.dirty_bytes()
    }
}
