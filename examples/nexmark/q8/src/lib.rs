//! Who joined and began to sell in the same ten seconds.

use projectionist_sdk::prelude::*;

/// How long a window is, in milliseconds.
const WINDOW: u64 = 10_000;

#[derive(Deserialize)]
struct NewPerson {
    id: u64,
    name: String,
    date_time: u64,
}

#[derive(Deserialize)]
struct NewAuction {
    seller: u64,
    date_time: u64,
}

#[derive(Serialize, Deserialize)]
struct Person {
    /// When the window in which they joined began.
    start: u64,
    name: String,
}

/// Who joined and began to sell in the same ten seconds.
///
/// Nexmark query 8: `SELECT P.id, P.name, P.starttime`, persons and the sellers of auctions each grouped by tumbling
/// windows, joined on person and window.
#[derive(Projection)]
struct NewSellers {
    /// Their names, by the window's start and the person.
    new_sellers: Table<(u64, u64), String>,
    people: Table<u64, Person>,
    /// The windows of auctions of sellers who are not known yet.
    early: Table<u64, Vec<u64>>,
}

#[projection]
impl NewSellers {
    #[on("nexmark.person")]
    fn joined(&mut self, _event: &Event, data: NewPerson) {
        let NewPerson { id, name, date_time } = data;
        let start = start_of(date_time);
        if self.early.take(id).is_some_and(|early| early.contains(&start)) {
            self.new_sellers.insert((start, id), name.clone());
        }
        self.people.insert(id, Person { start, name });
    }

    #[on("nexmark.auction")]
    fn opened(&mut self, _event: &Event, data: NewAuction) {
        let start = start_of(data.date_time);
        match self.people.get(data.seller) {
            None => self.early.entry(data.seller).push(start),
            Some(person) if person.start != start => {}
            Some(person) => {
                let key = (start, data.seller);
                if !self.new_sellers.contains(key) {
                    self.new_sellers.insert(key, person.name.clone());
                }
            }
        }
    }

    /// The new sellers of the window that begins then (in milliseconds since 1970).
    #[query]
    fn during(&self, start: u64) -> Vec<(u64, Ref<'_, String>)> {
        self.new_sellers.prefix(start).map(|((_, id), name)| (id, name)).collect()
    }
}

fn start_of(date_time: u64) -> u64 {
    date_time / WINDOW * WINDOW
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn joins_within_a_window() {
        let mut harness = Harness::<NewSellers>::new();
        let person = |id, name, time| json!({"id": id, "name": name, "date_time": time});
        let auction = |seller, time| json!({"seller": seller, "date_time": time});
        harness
            .event("nexmark.person", "1", person(1, "ann", 10_000))
            .event("nexmark.person", "2", person(2, "bob", 11_000))
            .event("nexmark.auction", "50", auction(1, 19_999))
            .event("nexmark.auction", "51", auction(1, 19_999))
            .event("nexmark.auction", "52", auction(2, 20_000))
            // Their sellers come later.
            .event("nexmark.auction", "53", auction(3, 20_000))
            .event("nexmark.auction", "54", auction(4, 20_000))
            .event("nexmark.person", "3", person(3, "cyd", 21_000))
            .event("nexmark.person", "4", person(4, "dan", 30_000));
        assert_eq!(
            harness.rows("new_sellers"),
            [(json!([10_000, 1]), json!("ann")), (json!([20_000, 3]), json!("cyd"))]
        );
        assert_eq!(harness.rows("early"), []);
        assert_eq!(harness.query("during", json!({"start": 20_000})), json!([[3, "cyd"]]));
        harness.check_replay();
    }
}
