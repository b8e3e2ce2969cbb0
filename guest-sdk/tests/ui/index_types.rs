//! An index of another type than its field.

use projectionist_sdk::prelude::*;

#[derive(Default, Serialize, Deserialize)]
struct Item {
    count: u64,
}

#[derive(Projection)]
struct Items {
    #[index(by_count: String = count)]
    items: Table<String, Item>,
}

fn main() {}
