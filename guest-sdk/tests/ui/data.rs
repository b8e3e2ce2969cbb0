//! Data that cannot be read, and what a handler cannot return.

use projectionist_sdk::prelude::*;

struct Data;

#[derive(Projection)]
struct Counts {
    totals: Table<String, u64>,
}

#[projection]
impl Counts {
    #[on("a")]
    fn reads(&mut self, _event: &Event, _data: Data) {}

    #[on("b")]
    fn returns(&mut self, _event: &Event) -> u64 {
        0
    }
}

fn main() {}
