//! The balance of each account, as `examples/accounts` folds it.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Changes, Fold, NativeEvent, Rows};

#[derive(Deserialize)]
struct Deposit<'a> {
    account: &'a str,
    amount: i64,
}

#[derive(Default, Serialize)]
struct Account {
    balance: i64,
    deposits: u64,
}

#[derive(Default)]
pub(crate) struct Accounts {
    accounts: Rows<String, Account>,
}

impl Fold for Accounts {
    const TYPES: &'static [&'static str] = &["account.deposited"];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        let deposit: Deposit<'_> = serde_json::from_slice(event.data)?;
        let account = self.accounts.entry(deposit.account);
        account.balance += deposit.amount;
        account.deposits += 1;
        Ok(())
    }

    fn flush(&mut self, changes: &mut Changes) -> Result<()> {
        self.accounts.flush(0, changes)
    }

    fn dirty_bytes(&self) -> usize {
        self.accounts.dirty_bytes()
    }
}
