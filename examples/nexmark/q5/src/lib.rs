//! The auctions with the most bids in the last ten seconds.

use projectionist_sdk::prelude::*;

/// A window ends every two seconds (in milliseconds) …
const HOP: u64 = 2_000;
/// … and is five times as long.
const HOPS: u64 = 5;

#[derive(Deserialize)]
struct Bid {
    auction: u64,
    date_time: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Hottest {
    bids: u64,
    /// Several where they are equal, by id.
    auctions: Vec<u64>,
}

/// The auctions with the most bids in the last ten seconds, every two seconds.
///
/// Nexmark query 5: `count(*)` of the bids by auction in hopping windows, joined with each window's `max` of these
/// counts.
#[derive(Projection)]
struct HotItems {
    /// By the window's end.
    hottest: Table<u64, Hottest>,
    /// How many bids each auction got, by the window's end and the auction.
    counts: Table<(u64, u64), u64>,
}

#[projection]
impl HotItems {
    #[on("nexmark.bid")]
    fn bid(&mut self, _event: &Event, data: Bid) {
        let hop = data.date_time / HOP;
        for end in (hop + 1..=hop + HOPS).map(|hop| hop * HOP) {
            let count = self.counts.entry((end, data.auction));
            *count += 1;
            if self.hottest.get(end).is_some_and(|hottest| *count < hottest.bids) {
                continue;
            }
            let hottest = self.hottest.entry(end);
            if *count > hottest.bids {
                hottest.bids = *count;
                hottest.auctions.clear();
            }
            let place = hottest.auctions.partition_point(|other| *other < data.auction);
            hottest.auctions.insert(place, data.auction);
        }
    }

    /// The last windows, the latest first.
    #[query]
    fn latest(&self, limit: usize) -> Vec<(u64, Ref<'_, Hottest>)> {
        self.hottest.iter().rev().take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn counts_in_hopping_windows() {
        let mut harness = Harness::<HotItems>::new();
        let bid = |auction, time| json!({"auction": auction, "date_time": time});
        harness
            .event("nexmark.bid", "2", bid(2, 10_000))
            .event("nexmark.bid", "1", bid(1, 11_999))
            .event("nexmark.bid", "1", bid(1, 12_000))
            .event("nexmark.bid", "3", bid(3, 12_000))
            .event("nexmark.bid", "3", bid(3, 20_000));
        let hottest =
            |end: u64, bids: u64, auctions: &[u64]| (json!(end), json!({"bids": bids, "auctions": auctions}));
        assert_eq!(
            harness.rows("hottest"),
            [
                hottest(12_000, 1, &[1, 2]),
                hottest(14_000, 2, &[1]),
                hottest(16_000, 2, &[1]),
                hottest(18_000, 2, &[1]),
                hottest(20_000, 2, &[1]),
                hottest(22_000, 2, &[3]),
                hottest(24_000, 1, &[3]),
                hottest(26_000, 1, &[3]),
                hottest(28_000, 1, &[3]),
                hottest(30_000, 1, &[3]),
            ]
        );
        assert_eq!(
            harness.query("latest", json!({"limit": 1})),
            json!([[30_000, {"bids": 1, "auctions": [3]}]])
        );
        harness.check_replay();
    }
}
