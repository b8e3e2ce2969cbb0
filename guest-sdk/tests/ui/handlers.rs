//! Handlers and queries that cannot be called.

use projectionist_sdk::prelude::*;

#[derive(Projection)]
struct Counts {
    totals: Table<String, u64>,
}

#[projection]
impl Counts {
    #[on("a", "b")]
    fn first(&mut self, _event: &Event) {}

    #[on("b")]
    fn second(&mut self, _event: &Event) {}

    #[on_any]
    fn rest(&mut self, _event: &Event) {}

    #[on("*")]
    fn all(&mut self, _event: &Event) {}

    #[on("c")]
    fn reads(&self, _event: &Event) {}

    #[on("d")]
    fn without_event(&mut self) {}

    #[on(e)]
    fn unquoted(&mut self, _event: &Event) {}

    #[on("f")]
    async fn waits(&mut self, _event: &Event) {}

    #[query]
    fn changes(&mut self) -> u64 {
        0
    }

    #[query]
    fn answers_nothing(&self) {}
}

fn main() {}
