//! Deposits into accounts.

use anyhow::Result;
use projectionist::event::Envelope;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use rand_distr::{Distribution as _, Zipf};

const SEED: u64 = 1;

/// How often each account is met.
#[derive(Clone, Copy)]
pub(crate) enum Spread {
    Uniform,
    /// With exponent 0.99, as the YCSB benchmarks have it.
    Zipf,
}

/// So many deposits into so many accounts.
pub(crate) fn events(
    count: usize,
    accounts: u64,
    spread: Spread,
) -> Result<impl Iterator<Item = Result<Envelope>>> {
    let mut random = SmallRng::seed_from_u64(SEED);
    let zipf = Zipf::new(accounts as f64, 0.99)?;
    Ok((0..count).map(move |number| {
        let account = match spread {
            Spread::Uniform => random.random_range(0..accounts),
            // Scattered, so that the frequent ones do not lie side by side.
            Spread::Zipf => (zipf.sample(&mut random) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % accounts,
        };
        Ok(deposit(number, account, random.random_range(1..1000)))
    }))
}

/// The subject of an account, which is also its key.
pub(crate) fn name(account: u64) -> String {
    format!("acct-{account:07}")
}

pub(crate) fn deposit(number: usize, account: u64, amount: i64) -> Envelope {
    let account = name(account);
    Envelope {
        id: number.to_string(),
        source: "/bank".to_owned(),
        event_type: "account.deposited".to_owned(),
        content_type: "application/json".to_owned(),
        data: format!(r#"{{"account":"{account}","amount":{amount}}}"#).into(),
        subject: Some(account),
        time: None,
        tags: Vec::new(),
        extensions: Default::default(),
    }
}

/// Deposits among others of which nobody wants to know: one in so many.
pub(crate) fn sparse(count: usize, one_in: usize) -> impl Iterator<Item = Result<Envelope>> {
    (0..count).map(move |number| {
        let mut event = deposit(number, (number % 10_000) as u64, 1);
        if number % one_in != 0 {
            event.event_type = "account.viewed".to_owned();
        }
        Ok(event)
    })
}
