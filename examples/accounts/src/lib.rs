//! The balance of each account, from its deposits.

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct Deposit<'a> {
    account: &'a str,
    amount: i64,
}

#[derive(Default, Serialize, Deserialize)]
struct Account {
    balance: i64,
    deposits: u64,
}

/// The balance of each account, and how many deposits made it.
#[derive(Projection)]
struct Accounts {
    accounts: Table<String, Account>,
}

#[projection(partition_by = subject)]
impl Accounts {
    #[on("account.deposited")]
    fn deposited(&mut self, _event: &Event, data: Deposit<'_>) {
        let account = self.accounts.entry(data.account);
        account.balance += data.amount;
        account.deposits += 1;
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn sums_deposits_by_account() {
        let mut harness = Harness::<Accounts>::new();
        harness
            .event("account.deposited", "acct-1", json!({"account": "acct-1", "amount": 5}))
            .event("account.deposited", "acct-2", json!({"account": "acct-2", "amount": 7}))
            .event("account.deposited", "acct-1", json!({"account": "acct-1", "amount": 1}));
        assert_eq!(
            harness.rows("accounts"),
            [
                (json!("acct-1"), json!({"balance": 6, "deposits": 2})),
                (json!("acct-2"), json!({"balance": 7, "deposits": 1})),
            ]
        );
        harness.check_replay();
    }
}
