//! The winning bid of each auction.

use std::borrow::Cow;

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct NewBid<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: u64,
    #[serde(borrow)]
    extra: Cow<'a, str>,
}

impl NewBid<'_> {
    fn is_in_time(&self, auction: &Auction) -> bool {
        (auction.date_time..=auction.expires).contains(&self.date_time)
    }

    /// The higher one wins, of equal ones the earlier.
    fn beats(&self, other: &Bid) -> bool {
        self.price > other.price || (self.price == other.price && self.date_time < other.date_time)
    }

    /// Most bids are not kept, and their texts not copied.
    fn kept(self) -> Bid {
        let Self { bidder, price, date_time, extra, .. } = self;
        Bid { bidder, price, date_time, extra: extra.into_owned() }
    }
}

#[derive(Serialize, Deserialize)]
struct Auction {
    id: u64,
    item_name: String,
    description: String,
    initial_bid: u64,
    reserve: u64,
    date_time: u64,
    expires: u64,
    seller: u64,
    category: u64,
    extra: String,
}

#[derive(Serialize, Deserialize)]
struct Bid {
    bidder: u64,
    price: u64,
    date_time: u64,
    extra: String,
}

#[derive(Serialize, Deserialize)]
struct Winning {
    auction: Auction,
    bid: Bid,
}

/// The winning bid of each auction.
///
/// Nexmark query 9: auctions joined with the bids between their opening and their end, of which only the first
/// `OVER (PARTITION BY A.id ORDER BY B.price DESC, B.dateTime ASC)`.
#[derive(Projection)]
struct WinningBids {
    /// By auction.
    winning: Table<u64, Winning>,
    /// Auctions without a bid.
    unsold: Table<u64, Auction>,
    /// The bids on auctions that are not known yet.
    early: Table<u64, Vec<Bid>>,
}

#[projection]
impl WinningBids {
    #[on("nexmark.auction")]
    fn opened(&mut self, _event: &Event, data: Auction) {
        let id = data.id;
        self.unsold.insert(id, data);
        for Bid { bidder, price, date_time, extra } in self.early.take(id).unwrap_or_default() {
            self.place(NewBid { auction: id, bidder, price, date_time, extra: extra.into() });
        }
    }

    #[on("nexmark.bid")]
    fn bid(&mut self, _event: &Event, data: NewBid<'_>) {
        self.place(data);
    }

    fn place(&mut self, bid: NewBid<'_>) {
        let id = bid.auction;
        if let Some(winning) = self.winning.get(id) {
            if !bid.is_in_time(&winning.auction) || !bid.beats(&winning.bid) {
                return;
            }
            // Only what is taken out to be changed is written again.
            if let Some(winning) = self.winning.get_mut(id) {
                winning.bid = bid.kept();
            }
            return;
        }
        match self.unsold.get(id) {
            None => self.early.entry(id).push(bid.kept()),
            Some(auction) if !bid.is_in_time(&auction) => {}
            Some(_) => {
                if let Some(auction) = self.unsold.take(id) {
                    self.winning.insert(id, Winning { auction, bid: bid.kept() });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    fn auction(id: u64) -> Value {
        json!({
            "id": id,
            "item_name": "lamp",
            "description": "",
            "initial_bid": 1,
            "reserve": 2,
            "date_time": 10,
            "expires": 20,
            "seller": 3,
            "category": 10,
            "extra": "",
        })
    }

    #[test]
    fn the_highest_bid_in_time_wins() {
        let mut harness = Harness::<WinningBids>::new();
        let bid = |auction, bidder, price, time| json!({"auction": auction, "bidder": bidder, "price": price, "date_time": time, "extra": ""});
        harness
            // Before its auction in the log, but not in time.
            .event("nexmark.bid", "1", bid(1, 5, 100, 15))
            .event("nexmark.auction", "1", auction(1))
            .event("nexmark.auction", "2", auction(2))
            .event("nexmark.bid", "2", bid(2, 5, 100, 21));
        let winning = |bidder: u64, price: u64, time: u64| {
            let bid = json!({"bidder": bidder, "price": price, "date_time": time, "extra": ""});
            [(json!(1), json!({"auction": auction(1), "bid": bid}))]
        };
        assert_eq!(harness.rows("winning"), winning(5, 100, 15));
        harness.event("nexmark.bid", "1", bid(1, 6, 100, 16)).event("nexmark.bid", "1", bid(1, 7, 900, 9));
        assert_eq!(harness.rows("winning"), winning(5, 100, 15));
        harness.event("nexmark.bid", "1", bid(1, 8, 100, 14));
        assert_eq!(harness.rows("winning"), winning(8, 100, 14));
        harness.event("nexmark.bid", "1", bid(1, 9, 101, 20));
        assert_eq!(harness.rows("winning"), winning(9, 101, 20));
        assert_eq!(harness.rows("unsold"), [(json!(2), auction(2))]);
        assert_eq!(harness.rows("early"), []);
        harness.check_replay();
    }
}
