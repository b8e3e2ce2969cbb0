//! Who sells in three states, and what.

use projectionist_sdk::prelude::*;

/// Only what is sold in this category counts …
const CATEGORY: u64 = 10;
/// … and only from these states. The generator writes them in lower case.
const STATES: [&str; 3] = ["or", "id", "ca"];

#[derive(Deserialize)]
struct Auction {
    id: u64,
    seller: u64,
    category: u64,
}

#[derive(Deserialize)]
struct Person {
    id: u64,
    name: String,
    city: String,
    state: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Seller {
    name: String,
    city: String,
    state: String,
}

/// Who sells in Oregon, Idaho or California in category 10, and for what auctions.
///
/// Nexmark query 3: `SELECT P.name, P.city, P.state, A.id FROM auction A JOIN person P ON A.seller = P.id`
/// where the category is 10 and the state `or`, `id` or `ca`.
#[derive(Projection)]
struct LocalItems {
    /// By auction.
    items: Table<u64, Seller>,
    /// All persons so far; none of a person from elsewhere is kept.
    people: Table<u64, Option<Seller>>,
    /// The auctions of sellers who are not known yet.
    early: Table<u64, Vec<u64>>,
}

#[projection]
impl LocalItems {
    #[on("nexmark.person")]
    fn joined(&mut self, _event: &Event, data: Person) {
        let Person { id, name, city, state } = data;
        let seller = STATES.contains(&state.as_str()).then_some(Seller { name, city, state });
        let early = self.early.take(id).unwrap_or_default();
        if let Some(seller) = &seller {
            early.into_iter().for_each(|auction| self.items.insert(auction, seller.clone()));
        }
        self.people.insert(id, seller);
    }

    #[on("nexmark.auction")]
    fn opened(&mut self, _event: &Event, data: Auction) {
        if data.category != CATEGORY {
            return;
        }
        match self.people.get(data.seller).as_deref() {
            None => self.early.entry(data.seller).push(data.id),
            Some(None) => {}
            Some(Some(seller)) => self.items.insert(data.id, seller.clone()),
        }
    }

    /// What is sold in a state: auctions and sellers.
    #[query]
    fn in_state(&self, state: &str, limit: Option<usize>) -> Vec<(u64, Ref<'_, Seller>)> {
        let items = self.items.iter().filter(|(_, seller)| seller.state == state);
        items.take(limit.unwrap_or(100)).collect()
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn joins_auctions_and_local_sellers() {
        let mut harness = Harness::<LocalItems>::new();
        let person = |id, name, state| json!({"id": id, "name": name, "city": "bend", "state": state});
        let auction = |id, seller, category| json!({"id": id, "seller": seller, "category": category});
        harness
            .event("nexmark.person", "1", person(1, "ann", "or"))
            .event("nexmark.person", "2", person(2, "bob", "wa"))
            .event("nexmark.auction", "10", auction(10, 1, 10))
            .event("nexmark.auction", "11", auction(11, 1, 11))
            .event("nexmark.auction", "12", auction(12, 2, 10))
            // Their sellers come later.
            .event("nexmark.auction", "13", auction(13, 3, 10))
            .event("nexmark.auction", "14", auction(14, 4, 10))
            .event("nexmark.person", "3", person(3, "cyd", "ca"))
            .event("nexmark.person", "4", person(4, "dan", "wy"));
        let seller = |name, state| json!({"name": name, "city": "bend", "state": state});
        assert_eq!(
            harness.rows("items"),
            [(json!(10), seller("ann", "or")), (json!(13), seller("cyd", "ca"))]
        );
        assert_eq!(harness.rows("early"), []);
        assert_eq!(harness.query("in_state", json!({"state": "ca"})), json!([[13, seller("cyd", "ca")]]));
        harness.check_replay();
    }
}
