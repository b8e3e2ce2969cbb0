//! The average winning bid of each category.

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct NewAuction {
    id: u64,
    category: u64,
    date_time: u64,
    expires: u64,
}

#[derive(Deserialize)]
struct NewBid {
    auction: u64,
    price: u64,
    date_time: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Category {
    /// Those with a bid.
    auctions: u64,
    /// Of their highest bids.
    total: u64,
    /// Rounded down, as the average of integers is in the SQL.
    average: u64,
}

#[derive(Serialize, Deserialize)]
struct Auction {
    category: u64,
    date_time: u64,
    expires: u64,
    highest: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Bid {
    price: u64,
    date_time: u64,
}

/// The average winning bid of each category.
///
/// Nexmark query 4: each auction's highest bid between its opening and its end,
/// `SELECT MAX(B.price) … GROUP BY A.id, A.category`, and of these `AVG(final) … GROUP BY category`.
#[derive(Projection)]
struct CategoryPrices {
    categories: Table<u64, Category>,
    auctions: Table<u64, Auction>,
    /// The bids on auctions that are not known yet.
    early: Table<u64, Vec<Bid>>,
}

#[projection]
impl CategoryPrices {
    #[on("nexmark.auction")]
    fn opened(&mut self, _event: &Event, data: NewAuction) {
        let NewAuction { id, category, date_time, expires } = data;
        self.auctions.insert(id, Auction { category, date_time, expires, highest: None });
        for bid in self.early.take(id).unwrap_or_default() {
            self.count(id, bid);
        }
    }

    #[on("nexmark.bid")]
    fn bid(&mut self, _event: &Event, data: NewBid) {
        self.count(data.auction, Bid { price: data.price, date_time: data.date_time });
    }

    fn count(&mut self, id: u64, bid: Bid) {
        let Some(auction) = self.auctions.get(id) else {
            self.early.entry(id).push(bid);
            return;
        };
        let is_open = (auction.date_time..=auction.expires).contains(&bid.date_time);
        if !is_open || auction.highest >= Some(bid.price) {
            return;
        }
        // Only what is taken out to be changed is written again.
        let Some(auction) = self.auctions.get_mut(id) else { return };
        let category = self.categories.entry(auction.category);
        category.auctions += u64::from(auction.highest.is_none());
        category.total += bid.price - auction.highest.unwrap_or(0);
        category.average = category.total / category.auctions;
        auction.highest = Some(bid.price);
    }

    /// The categories with their averages.
    #[query]
    fn averages(&self) -> Vec<(u64, u64)> {
        self.categories.iter().map(|(id, category)| (id, category.average)).collect()
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn averages_the_highest_bids() {
        let mut harness = Harness::<CategoryPrices>::new();
        let auction = |id, category| json!({"id": id, "category": category, "date_time": 10, "expires": 20});
        let bid = |auction, price, time| json!({"auction": auction, "price": price, "date_time": time});
        harness
            // Before its auction in the log, but not in time.
            .event("nexmark.bid", "1", bid(1, 100, 10))
            .event("nexmark.auction", "1", auction(1, 10))
            .event("nexmark.auction", "2", auction(2, 10))
            .event("nexmark.auction", "3", auction(3, 11))
            .event("nexmark.bid", "1", bid(1, 90, 11))
            .event("nexmark.bid", "2", bid(2, 51, 20))
            // Too soon, too late.
            .event("nexmark.bid", "2", bid(2, 900, 9))
            .event("nexmark.bid", "3", bid(3, 900, 21));
        assert_eq!(
            harness.rows("categories"),
            [(json!(10), json!({"auctions": 2, "total": 151, "average": 75}))]
        );
        harness.event("nexmark.bid", "2", bid(2, 60, 12));
        assert_eq!(harness.query("averages", json!({})), json!([[10, 80]]));
        harness.check_replay();
    }
}
