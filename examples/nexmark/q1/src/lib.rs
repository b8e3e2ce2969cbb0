//! The price of each bid in euros.

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct Bid {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: u64,
    extra: String,
}

#[derive(Serialize, Deserialize)]
struct Converted {
    auction: u64,
    bidder: u64,
    /// The SQL's decimal has three places, so this is exact.
    price_thousandths: u64,
    date_time: u64,
    extra: String,
}

/// The price of each bid in euros.
///
/// Nexmark query 1: `SELECT auction, bidder, 0.908 * price, dateTime, extra FROM bid`.
#[derive(Projection)]
struct CurrencyConversion {
    /// By the bid's position.
    bids: Table<u64, Converted>,
}

#[projection]
impl CurrencyConversion {
    #[on("nexmark.bid")]
    fn bid(&mut self, event: &Event, data: Bid) {
        let Bid { auction, bidder, price, date_time, extra } = data;
        let converted = Converted { auction, bidder, price_thousandths: price * 908, date_time, extra };
        self.bids.insert(event.position(), converted);
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn converts_each_bid() {
        let mut harness = Harness::<CurrencyConversion>::new();
        let bid = json!({"auction": 1, "bidder": 2, "price": 1001, "date_time": 7, "extra": "x"});
        harness.event("nexmark.auction", "1", json!({})).event("nexmark.bid", "1", bid);
        let converted =
            json!({"auction": 1, "bidder": 2, "price_thousandths": 908_908, "date_time": 7, "extra": "x"});
        assert_eq!(harness.rows("bids"), [(json!(2), converted)]);
        harness.check_replay();
    }
}
