//! Each bidder's last bid on each auction.

use projectionist_sdk::prelude::*;

#[derive(Default, Serialize, Deserialize)]
struct Bid {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: String,
    url: String,
    date_time: u64,
    extra: String,
}

/// Each bidder's last bid on each auction.
///
/// Nexmark query 18: of the bids only the first `OVER (PARTITION BY bidder, auction ORDER BY dateTime DESC)`; of those
/// at the same time, the last in the log.
#[derive(Projection)]
struct LastBids {
    /// By bidder and auction.
    bids: Table<(u64, u64), Bid>,
}

#[projection]
impl LastBids {
    #[on("nexmark.bid")]
    fn bid(&mut self, _event: &Event, data: Bid) {
        let bid = self.bids.entry((data.bidder, data.auction));
        if data.date_time >= bid.date_time {
            *bid = data;
        }
    }

    /// The last bids of a bidder, by auction.
    #[query]
    fn of_bidder(&self, bidder: u64) -> Vec<Ref<'_, Bid>> {
        self.bids.prefix(bidder).map(|(_, bid)| bid).collect()
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn keeps_the_last_bid() {
        let mut harness = Harness::<LastBids>::new();
        let bid = |auction: u64, bidder: u64, price: u64, time: u64| {
            json!({
                "auction": auction,
                "bidder": bidder,
                "price": price,
                "channel": "Apple",
                "url": "https://www.nexmark.com/",
                "date_time": time,
                "extra": "",
            })
        };
        harness
            .event("nexmark.bid", "1", bid(1, 5, 100, 10))
            .event("nexmark.bid", "1", bid(1, 5, 90, 11))
            .event("nexmark.bid", "2", bid(2, 5, 80, 10))
            .event("nexmark.bid", "1", bid(1, 6, 95, 10))
            // At the same time as another, and late.
            .event("nexmark.bid", "1", bid(1, 5, 91, 11))
            .event("nexmark.bid", "2", bid(2, 5, 85, 9));
        let of_5 = json!([bid(1, 5, 91, 11), bid(2, 5, 80, 10)]);
        assert_eq!(harness.query("of_bidder", json!({"bidder": 5})), of_5);
        assert_eq!(harness.rows("bids").len(), 3);
        harness.check_replay();
    }
}
