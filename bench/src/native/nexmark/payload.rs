//! Payloads with all that they have, for queries that keep whole events.

use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Auction {
    pub(super) id: u64,
    pub(super) item_name: String,
    pub(super) description: String,
    pub(super) initial_bid: u64,
    pub(super) reserve: u64,
    pub(super) date_time: u64,
    pub(super) expires: u64,
    pub(super) seller: u64,
    pub(super) category: u64,
    pub(super) extra: String,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Bid {
    pub(super) auction: u64,
    pub(super) bidder: u64,
    pub(super) price: u64,
    pub(super) channel: String,
    pub(super) url: String,
    pub(super) date_time: u64,
    pub(super) extra: String,
}
