//! The highest bids of each ten seconds.

use std::borrow::Cow;

use projectionist_sdk::prelude::*;

/// How long a window is, in milliseconds.
const WINDOW: u64 = 10_000;

#[derive(Deserialize)]
struct NewBid<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: u64,
    #[serde(borrow)]
    extra: Cow<'a, str>,
}

#[derive(Default, Serialize, Deserialize)]
struct Highest {
    price: u64,
    /// Several where they are equal.
    bids: Vec<Bid>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Bid {
    auction: u64,
    bidder: u64,
    date_time: u64,
    extra: String,
}

/// The highest bids of each ten seconds.
///
/// Nexmark query 7: the bids joined with `MAX(price)` of each window on the price, where
/// `B.dateTime BETWEEN window_end - 10 s AND window_end`. As both ends count, a bid at the very end of a window is
/// also shown there if it is as high as the highest in it.
#[derive(Projection)]
struct HighestBids {
    /// By the window's end.
    highest: Table<u64, Highest>,
    /// The bids at the very end of a window, by that and their price.
    at_end: Table<(u64, u64), Vec<Bid>>,
}

#[projection]
impl HighestBids {
    #[on("nexmark.bid")]
    fn bid(&mut self, _event: &Event, data: NewBid<'_>) {
        let NewBid { auction, bidder, price, date_time, extra } = data;
        let bid = || Bid { auction, bidder, date_time, extra: extra.clone().into_owned() };
        if date_time % WINDOW == 0 {
            self.at_end.entry((date_time, price)).push(bid());
            if self.highest.get(date_time).is_some_and(|before| before.price == price) {
                self.highest.entry(date_time).bids.push(bid());
            }
        }
        let end = (date_time / WINDOW + 1) * WINDOW;
        let before = self.highest.get(end).map(|highest| highest.price);
        if before > Some(price) {
            return;
        }
        let highest = self.highest.entry(end);
        if before < Some(price) {
            highest.price = price;
            highest.bids.clear();
            highest.bids.extend(self.at_end.get((end, price)).into_iter().flat_map(Ref::into_owned));
        }
        highest.bids.push(bid());
    }

    /// The last windows, the latest first.
    #[query]
    fn latest(&self, limit: usize) -> Vec<(u64, Ref<'_, Highest>)> {
        self.highest.iter().rev().take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    fn bid(auction: u64, price: u64, time: u64) -> Value {
        json!({"auction": auction, "bidder": 5, "price": price, "date_time": time, "extra": ""})
    }

    fn won(auction: u64, time: u64) -> Value {
        json!({"auction": auction, "bidder": 5, "date_time": time, "extra": ""})
    }

    #[test]
    fn keeps_the_highest_of_each_window() {
        let mut harness = Harness::<HighestBids>::new();
        harness
            .event("nexmark.bid", "1", bid(1, 70, 10_001))
            .event("nexmark.bid", "2", bid(2, 90, 12_000))
            .event("nexmark.bid", "3", bid(3, 90, 19_999))
            .event("nexmark.bid", "4", bid(4, 80, 15_000))
            .event("nexmark.bid", "5", bid(5, 10, 20_001));
        let second = json!({"price": 10, "bids": [won(5, 20_001)]});
        assert_eq!(
            harness.rows("highest"),
            [
                (json!(20_000), json!({"price": 90, "bids": [won(2, 12_000), won(3, 19_999)]})),
                (json!(30_000), second.clone()),
            ]
        );
        assert_eq!(harness.query("latest", json!({"limit": 1})), json!([[30_000, second]]));
        harness.check_replay();
    }

    #[test]
    fn a_bid_at_the_end_counts_twice_if_it_is_as_high() {
        let mut harness = Harness::<HighestBids>::new();
        harness
            .event("nexmark.bid", "1", bid(1, 70, 10_001))
            .event("nexmark.bid", "2", bid(2, 70, 20_000))
            .event("nexmark.bid", "3", bid(3, 80, 20_000))
            // Late, and then as high as the one above.
            .event("nexmark.bid", "4", bid(4, 80, 10_002));
        assert_eq!(
            harness.rows("highest"),
            [
                (json!(20_000), json!({"price": 80, "bids": [won(3, 20_000), won(4, 10_002)]})),
                (json!(30_000), json!({"price": 80, "bids": [won(3, 20_000)]})),
            ]
        );
        harness.check_replay();
    }
}
