//! The accounts fold as a SmartModule: a `filter_map` that keeps the accounts in a static and emits what has become
//! of the event's account.
//!
//! Fluvio's example `filter_hashset` keeps its state in a static too. Of the kinds of SmartModule only `aggregate`
//! keeps state itself, but one value for the whole stream.
//! <https://github.com/infinyon/fluvio/blob/master/smartmodule/examples/filter_hashset/src/lib.rs>

use std::{cell::RefCell, collections::HashMap};

use fluvio_smartmodule::{RecordData, Result, SmartModuleRecord, smartmodule};
use serde::Deserialize;

#[derive(Deserialize)]
struct Deposited<'a> {
    account: &'a str,
    amount: i64,
}

thread_local! {
    static ACCOUNTS: RefCell<HashMap<String, (i64, i64)>> = RefCell::default();
}

#[smartmodule(filter_map)]
pub fn filter_map(record: &SmartModuleRecord) -> Result<Option<(Option<RecordData>, RecordData)>> {
    let event: Deposited = serde_json::from_slice(record.value.as_ref())?;
    let (balance, count) = ACCOUNTS.with_borrow_mut(|accounts| {
        if !accounts.contains_key(event.account) {
            accounts.insert(event.account.to_owned(), (0, 0));
        }
        let account = accounts.get_mut(event.account).expect("it has been inserted");
        account.0 += event.amount;
        account.1 += 1;
        *account
    });
    Ok(Some((Some(event.account.into()), format!("{balance},{count}").into())))
}
