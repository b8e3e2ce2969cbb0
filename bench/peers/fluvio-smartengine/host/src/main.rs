//! Sends events through a SmartModule; prints the result and the seconds as JSON.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    time::{Duration, Instant},
};

use fluvio_smartengine::{
    DEFAULT_SMARTENGINE_VERSION, SmartEngine, SmartModuleChainBuilder, SmartModuleConfig,
};
use fluvio_smartmodule::{Record, dataplane::smartmodule::SmartModuleInput};
use walrus::{ImportKind, Module};

/// Records a call; 100 and 10,000 are no faster.
const BATCH: usize = 1_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, file] = &arguments[..] else { panic!("takes a module and a file of events") };

    let config = SmartModuleConfig::builder()
        .smartmodule_names(vec!["accounts".to_owned()])
        .build()
        .expect("the settings are complete");
    let mut builder = SmartModuleChainBuilder::default();
    builder.add_smart_module(config, without_wasi(module));
    let mut chain = builder.initialize(&SmartEngine::new()).expect("the module is a SmartModule");

    let mut latest = HashMap::<String, String>::new();
    let mut seconds = Duration::ZERO;
    let mut lines =
        BufReader::with_capacity(1 << 20, File::open(file).expect("there is a file of events")).lines();
    loop {
        let begun = Instant::now();
        let records: Vec<_> =
            lines.by_ref().take(BATCH).map(|line| Record::new(line.expect("the events are text"))).collect();
        if records.is_empty() {
            break;
        }
        let input = SmartModuleInput::try_from_records(records, DEFAULT_SMARTENGINE_VERSION)
            .expect("the records can be encoded");
        let output = chain.process(input).expect("the module runs");
        seconds += begun.elapsed();
        // Checking is not the module's work, so it is not in the time.
        assert!(output.error.is_none(), "{:?}", output.error);
        for record in output.successes {
            let text = |data: &[u8]| String::from_utf8(data.to_vec()).expect("the module writes text");
            latest.insert(text(record.key.expect("it has an account").as_ref()), text(record.value.as_ref()));
        }
    }

    let (mut sum, mut total, mut squares) = (0i64, 0i64, 0i64);
    for account in latest.values() {
        let (balance, count) = account.split_once(',').expect("it has a balance and a count");
        let balance: i64 = balance.parse().expect("a balance is a number");
        sum += balance;
        total += count.parse::<i64>().expect("a count is a number");
        squares += balance * balance;
    }
    let result = serde_json::json!({
        "seconds": seconds.as_secs_f64(), "accounts": latest.len(), "sum": sum, "count": total, "squares": squares
    });
    println!("{result}");
}

/// The module without its imports of WASI 0.2, which only a panic would call, but for a seed that may be anything.
fn without_wasi(path: &str) -> Vec<u8> {
    let mut module = Module::from_file(path).expect("it is a module");
    let functions: Vec<_> = module
        .imports
        .iter()
        .filter(|import| import.module.starts_with("wasi:"))
        .filter_map(|import| match import.kind {
            ImportKind::Function(function) => Some((function, import.name == "insecure-seed")),
            _ => None,
        })
        .collect();
    for (function, seed) in functions {
        let replace = |(body, _): (&mut walrus::InstrSeqBuilder, &Vec<walrus::LocalId>)| {
            if !seed {
                body.unreachable();
            }
        };
        module.replace_imported_func(function, replace).expect("it is an imported function");
    }
    module.emit_wasm()
}
