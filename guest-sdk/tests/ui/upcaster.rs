//! Upcasters that say too little, take too much, or give back what they got.

use projectionist_sdk::prelude::*;

struct Empty;

#[upcaster]
impl Empty {
    fn helper() {}
}

struct Wrong;

#[upcaster]
impl Wrong {
    #[upcast("a")]
    fn unsaid(old: Value) -> Value {
        old
    }

    #[upcast(from("b"), to("b"))]
    fn same(old: Value) -> Value {
        old
    }

    #[upcast(from("c"), to("c", "/2"))]
    fn remembers(&mut self, old: Value) -> Value {
        old
    }

    #[upcast(from("d"), to("d", "/2"))]
    fn nothing(old: Value) {}

    #[upcast(from("e"), to("e", "/2"))]
    fn once(old: Value) -> Value {
        old
    }

    #[upcast(from("e"), to("e", "/3"))]
    fn twice(old: Value) -> Value {
        old
    }
}

struct Unreadable;
struct Data;

#[upcaster]
impl Unreadable {
    #[upcast(from("a"), to("a", "/2"))]
    fn data(old: Value) -> Data {
        Data
    }
}

fn main() {}
