//! Handlers without tables.

use projectionist_sdk::prelude::*;

struct Counts;

#[projection]
impl Counts {
    #[on("a")]
    fn first(&mut self, _event: &Event) {}
}

fn main() {}
