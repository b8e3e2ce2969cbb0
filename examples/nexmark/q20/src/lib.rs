//! The bids of a category, each with its auction.

use std::rc::Rc;

use projectionist_sdk::prelude::*;

/// Only what is sold in this category counts.
const CATEGORY: u64 = 10;

#[derive(Serialize, Deserialize)]
struct Bid {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: String,
    url: String,
    date_time: u64,
    extra: String,
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
struct Expanded {
    bid: Bid,
    auction: Rc<Auction>,
}

/// The bids of category 10, each with its auction.
///
/// Nexmark query 20: `SELECT … FROM bid B JOIN auction A ON B.auction = A.id WHERE A.category = 10`, all columns of both.
#[derive(Projection)]
struct ExpandedBids {
    /// By the auction and the bid's position.
    bids: Table<(u64, u64), Expanded>,
    /// All auctions so far; nothing of one in another category is kept.
    auctions: Table<u64, Option<Rc<Auction>>>,
    /// The bids on auctions that are not known yet, with their positions.
    early: Table<u64, Vec<(u64, Bid)>>,
}

#[projection]
impl ExpandedBids {
    #[on("nexmark.auction")]
    fn opened(&mut self, _event: &Event, data: Auction) {
        let id = data.id;
        let early = self.early.take(id).unwrap_or_default();
        let auction = (data.category == CATEGORY).then(|| Rc::new(data));
        if let Some(auction) = &auction {
            for (position, bid) in early {
                self.bids.insert((id, position), Expanded { bid, auction: Rc::clone(auction) });
            }
        }
        self.auctions.insert(id, auction);
    }

    #[on("nexmark.bid")]
    fn bid(&mut self, event: &Event, data: Bid) {
        let (id, position) = (data.auction, event.position());
        match self.auctions.get(id).as_deref() {
            None => self.early.entry(id).push((position, data)),
            Some(None) => {}
            Some(Some(auction)) => {
                self.bids.insert((id, position), Expanded { bid: data, auction: Rc::clone(auction) });
            }
        }
    }

    /// The bids on an auction, in the order of the log.
    #[query]
    fn on_auction(&self, auction: u64) -> Vec<Ref<'_, Expanded>> {
        self.bids.prefix(auction).map(|(_, bid)| bid).collect()
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn joins_bids_and_auctions() {
        let mut harness = Harness::<ExpandedBids>::new();
        let bid = |auction: u64, price: u64| {
            json!({
                "auction": auction,
                "bidder": 5,
                "price": price,
                "channel": "Apple",
                "url": "https://www.nexmark.com/",
                "date_time": 12,
                "extra": "",
            })
        };
        let auction = |id: u64, category: u64| {
            json!({
                "id": id,
                "item_name": "lamp",
                "description": "",
                "initial_bid": 1,
                "reserve": 2,
                "date_time": 10,
                "expires": 20,
                "seller": 3,
                "category": category,
                "extra": "",
            })
        };
        harness
            // Their auctions come later.
            .event("nexmark.bid", "1", bid(1, 100))
            .event("nexmark.bid", "2", bid(2, 100))
            .event("nexmark.auction", "1", auction(1, 10))
            .event("nexmark.auction", "2", auction(2, 11))
            .event("nexmark.bid", "1", bid(1, 101))
            .event("nexmark.bid", "2", bid(2, 101));
        let expanded = |price| json!({"bid": bid(1, price), "auction": auction(1, 10)});
        assert_eq!(harness.rows("bids"), [(json!([1, 1]), expanded(100)), (json!([1, 5]), expanded(101))]);
        assert_eq!(harness.rows("early"), []);
        assert_eq!(harness.query("on_auction", json!({"auction": 1})), json!([expanded(100), expanded(101)]));
        harness.check_replay();
    }
}
