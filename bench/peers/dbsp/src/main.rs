//! The accounts fold as a DBSP circuit in memory; prints the result and the seconds as JSON.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    time::{Duration, Instant},
};

use anyhow::Result;
use dbsp::{
    IndexedZSetHandle, OrdIndexedZSet, OutputHandle, Runtime,
    circuit::CircuitConfig,
    mimalloc::MiMalloc,
    typed_batch::{IndexedZSetReader, SpineSnapshot},
    utils::Tup2,
};
use serde::Deserialize;

// As in dbsp's own benchmark: https://docs.rs/crate/dbsp/0.349.0/source/benches/input_map_ingest.rs
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Events a transaction: the fastest of those that were tried.
const BATCH: usize = 1_000_000;

type Input = IndexedZSetHandle<String, i64>;
// A transaction takes several steps; a plain `output` has no more than the last one's changes.
type Output = OutputHandle<SpineSnapshot<OrdIndexedZSet<String, Tup2<i64, i64>>>>;

#[derive(Deserialize)]
struct Deposited {
    account: String,
    amount: i64,
}

fn main() -> Result<()> {
    let file = std::env::args().nth(1).expect("takes a file of events");
    // All input comes before the commit. "Client code that does this can enable further optimizations by setting this
    // field to false": https://docs.rs/dbsp/0.349.0/dbsp/circuit/struct.CircuitConfig.html
    let config = CircuitConfig::with_workers(1).with_allow_input_during_commit(false);
    let (mut circuit, (input, output)): (_, (Input, Output)) = Runtime::init_circuit(config, |circuit| {
        let (deposits, input) = circuit.add_input_indexed_zset::<String, i64>();
        let accounts = deposits.aggregate_linear(|amount: &i64| Tup2(*amount, 1i64));
        Ok((input, accounts.accumulate_output()))
    })?;

    let mut latest = HashMap::<String, (i64, i64)>::new();
    let mut seconds = Duration::ZERO;
    let mut lines = BufReader::with_capacity(1 << 20, File::open(file)?).lines();
    loop {
        let begun = Instant::now();
        let mut batch = Vec::with_capacity(BATCH);
        for line in lines.by_ref().take(BATCH) {
            let event: Deposited = serde_json::from_str(&line?)?;
            batch.push(Tup2(event.account, Tup2(event.amount, 1)));
        }
        if batch.is_empty() {
            break;
        }
        input.append(&mut batch);
        circuit.transaction()?;
        let changes = output.concat();
        seconds += begun.elapsed();
        // Checking is not the circuit's work, so it is not in the time.
        for (account, Tup2(balance, count), weight) in changes.iter() {
            if weight > 0 {
                latest.insert(account, (balance, count));
            }
        }
    }
    circuit.kill().expect("the circuit stands still");

    let result = serde_json::json!({
        "seconds": seconds.as_secs_f64(),
        "accounts": latest.len(),
        "sum": latest.values().map(|(balance, _)| balance).sum::<i64>(),
        "count": latest.values().map(|(_, count)| count).sum::<i64>(),
        "squares": latest.values().map(|(balance, _)| balance * balance).sum::<i64>(),
    });
    println!("{result}");
    Ok(())
}
