//! Attributes in the wrong place, or unknown.

use projectionist_sdk::prelude::*;

struct Counts;

impl Counts {
    #[on("a")]
    fn first(&mut self, _event: &Event) {}
}

#[projection(on_failure = "retry")]
impl Counts {
    #[on("a")]
    fn second(&mut self, _event: &Event) {}
}

#[projection]
impl Counts {
    #[onn("a")]
    fn third(&mut self, _event: &Event) {}
}

fn main() {}
