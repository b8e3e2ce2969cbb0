//! A reaction that does not say what a new version does, and others that say what
//! there is not.

use projectionist_sdk::prelude::*;

#[derive(Reaction)]
struct Silent {}

#[reaction]
impl Silent {
    #[on("a")]
    fn a(&mut self, _event: &Event) {}
}

#[derive(Reaction)]
struct Lanes {}

#[reaction(new_version = "continue", lane = "two")]
impl Lanes {
    #[on("a")]
    fn a(&mut self, _event: &Event) {}
}

#[derive(Reaction)]
struct Numbers {}

#[reaction(new_version = "continue")]
impl Numbers {
    #[on("a")]
    fn a(&mut self, _event: &Event) -> u64 {
        1
    }
}

fn main() {}
