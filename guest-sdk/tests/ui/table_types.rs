//! Keys and values that cannot be in a table, and keys of another table.

use projectionist_sdk::prelude::*;

struct Point;

#[derive(Projection)]
struct Places {
    by_point: Table<Point, u64>,
}

#[derive(Projection)]
struct Values {
    points: Table<String, Point>,
}

fn look_up(items: &Table<String, u64>) -> bool {
    items.contains(7)
}

fn main() {}
