//! What is not a struct of tables.

use projectionist_sdk::prelude::*;

#[derive(Projection)]
struct Counts {
    total: u64,
}

#[derive(Projection)]
struct Unnamed(Table<String, u64>);

#[derive(Projection)]
struct Indexed {
    #[index(by_count = count)]
    items: Table<String, u64>,
}

fn main() {}
