//! The winning bid of each auction.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{AUCTION, BID, payload::Auction};
use crate::native::{Changes, Fold, NativeEvent, Rows};

#[derive(Deserialize)]
struct NewBid<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: u64,
    extra: &'a str,
}

#[derive(Default, Serialize)]
struct Bid {
    bidder: u64,
    price: u64,
    date_time: u64,
    extra: String,
}

#[derive(Default, Serialize)]
struct Winning {
    auction: Auction,
    bid: Bid,
}

#[derive(Default)]
pub(crate) struct Q9 {
    winning: Rows<u64, Winning>,
    unsold: Rows<u64, Auction>,
    early: Rows<u64, Vec<Bid>>,
}

/// A bid whose text is copied only if it has to be kept.
struct Offer<'a> {
    bidder: u64,
    price: u64,
    date_time: u64,
    extra: &'a str,
}

impl Offer<'_> {
    fn kept(&self) -> Bid {
        Bid {
            bidder: self.bidder,
            price: self.price,
            date_time: self.date_time,
            extra: self.extra.to_owned(),
        }
    }

    fn is_in_time(&self, auction: &Auction) -> bool {
        auction.date_time <= self.date_time && self.date_time <= auction.expires
    }

    fn beats(&self, bid: &Bid) -> bool {
        self.price > bid.price || (self.price == bid.price && self.date_time < bid.date_time)
    }
}

impl Q9 {
    fn place(&mut self, id: u64, offer: &Offer<'_>) {
        if let Some(winning) = self.winning.get(&id) {
            if offer.is_in_time(&winning.auction) && offer.beats(&winning.bid) {
                self.winning.entry(&id).bid = offer.kept();
            }
        } else if let Some(auction) = self.unsold.get(&id) {
            if offer.is_in_time(auction) {
                let auction = std::mem::take(self.unsold.entry(&id));
                self.unsold.remove(&id);
                *self.winning.entry(&id) = Winning { auction, bid: offer.kept() };
            }
        } else {
            self.early.entry(&id).push(offer.kept());
        }
    }
}

impl Fold for Q9 {
    const TYPES: &'static [&'static str] = &[AUCTION, BID];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        if event.event_type == BID {
            let NewBid { auction, bidder, price, date_time, extra } = serde_json::from_slice(event.data)?;
            self.place(auction, &Offer { bidder, price, date_time, extra });
        } else {
            let auction: Auction = serde_json::from_slice(event.data)?;
            let id = auction.id;
            *self.unsold.entry(&id) = auction;
            if self.early.get(&id).is_some() {
                for bid in std::mem::take(self.early.entry(&id)) {
                    let Bid { bidder, price, date_time, extra } = &bid;
                    let offer = Offer { bidder: *bidder, price: *price, date_time: *date_time, extra };
                    self.place(id, &offer);
                }
                self.early.remove(&id);
            }
        }
        Ok(())
    }

    fn flush(&mut self, changes: &mut Changes) -> Result<()> {
        self.winning.flush(0, changes)?;
        self.unsold.flush(1, changes)?;
        self.early.flush(2, changes)
    }

    fn dirty_bytes(&self) -> usize {
        self.winning.dirty_bytes() + self.unsold.dirty_bytes() + self.early.dirty_bytes()
    }
}
