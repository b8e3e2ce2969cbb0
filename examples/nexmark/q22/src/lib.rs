//! Each bid with the folders of its URL.

use std::borrow::Cow;

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct Bid<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: String,
    #[serde(borrow)]
    url: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct Folders {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: String,
    dir1: Option<String>,
    dir2: Option<String>,
    dir3: Option<String>,
}

/// Each bid with the folders of its URL.
///
/// Nexmark query 22: `SELECT auction, bidder, price, channel, SPLIT_INDEX(url, '/', 3) dir1, … FROM bid`, up to the
/// fifth part.
#[derive(Projection)]
struct UrlFolders {
    /// By the bid's position.
    bids: Table<u64, Folders>,
}

#[projection]
impl UrlFolders {
    #[on("nexmark.bid")]
    fn bid(&mut self, event: &Event, data: Bid<'_>) {
        let Bid { auction, bidder, price, channel, url } = data;
        // Before the first folder: the scheme, nothing, the host.
        let mut folders = url.split('/').skip(3).map(str::to_owned);
        let [dir1, dir2, dir3] = std::array::from_fn(|_| folders.next());
        self.bids.insert(event.position(), Folders { auction, bidder, price, channel, dir1, dir2, dir3 });
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn splits_each_url() {
        let mut harness = Harness::<UrlFolders>::new();
        let bid = |url| json!({"auction": 1, "bidder": 2, "price": 3, "channel": "Apple", "url": url});
        harness.event("nexmark.bid", "1", bid("https://www.nexmark.com/a/b_c/d/item.htm?query=1")).event(
            "nexmark.bid",
            "1",
            bid("https://www.nexmark.com/a"),
        );
        let folders = |dir1: Value, dir2: Value, dir3: Value| {
            json!({
                "auction": 1, "bidder": 2, "price": 3, "channel": "Apple", "dir1": dir1, "dir2": dir2, "dir3": dir3
            })
        };
        assert_eq!(
            harness.rows("bids"),
            [
                (json!(1), folders(json!("a"), json!("b_c"), json!("d"))),
                (json!(2), folders(json!("a"), json!(null), json!(null))),
            ]
        );
        harness.check_replay();
    }
}
