//! Payments of old, in euros, as deposits in cents, which `accounts` sums.

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct PaidIn<'a> {
    account: &'a str,
    euros: i64,
}

#[derive(Serialize)]
struct Deposit<'a> {
    account: &'a str,
    amount: i64,
}

struct PaidInEuros;

/// Payments of old, in euros, as deposits in cents.
#[upcaster]
impl PaidInEuros {
    #[upcast(from("account.paid-in"), to("account.deposited"))]
    fn in_cents(old: PaidIn<'_>) -> Deposit<'_> {
        Deposit { account: old.account, amount: old.euros * 100 }
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::{UpcasterHarness, event};

    use super::*;

    #[test]
    fn a_euro_is_a_hundred_cents() {
        let old = event("account.paid-in").data(json!({"account": "acct-1", "euros": 5}));
        let made = UpcasterHarness::<PaidInEuros>::new().upcast(old);
        assert_eq!(made, [json!({"account": "acct-1", "amount": 500})]);
    }
}
