//! The Nexmark queries as `examples/nexmark` folds them: the same tables, the
//! same keys and values, one file a query.
//!
//! | file | tables, by number |
//! | --- | --- |
//! | `q1.rs` | 0 `bids` |
//! | `q3.rs` | 0 `items`, 1 `people`, 2 `early` |
//! | `q4.rs` | 0 `categories`, 1 `auctions`, 2 `early` |
//! | `q5.rs` | 0 `hottest`, 1 `counts` |
//! | `q7.rs` | 0 `highest`, 1 `at_end` |
//! | `q8.rs` | 0 `new_sellers`, 1 `people`, 2 `early` |
//! | `q9.rs` | 0 `winning`, 1 `unsold`, 2 `early` |
//! | `q18.rs` | 0 `bids` |
//! | `q20.rs` | 0 `bids`, 1 `auctions`, 2 `early` |
//! | `q22.rs` | 0 `bids` |
//!
//! `payload.rs`: events that are kept whole. What each table holds and why, the
//! plug-ins say. Not here: the SDK, nor anything that these folds would share
//! with the plug-ins; only so is it a comparison.

mod payload;
mod q1;
mod q18;
mod q20;
mod q22;
mod q3;
mod q4;
mod q5;
mod q7;
mod q8;
mod q9;

pub(crate) use q1::Q1;
pub(crate) use q3::Q3;
pub(crate) use q4::Q4;
pub(crate) use q5::Q5;
pub(crate) use q7::Q7;
pub(crate) use q8::Q8;
pub(crate) use q9::Q9;
pub(crate) use q18::Q18;
pub(crate) use q20::Q20;
pub(crate) use q22::Q22;

const PERSON: &str = "nexmark.person";
const AUCTION: &str = "nexmark.auction";
const BID: &str = "nexmark.bid";
