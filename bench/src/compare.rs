//! How fast two states are compared, row by row.

use std::ops::ControlFlow;

use anyhow::{Result, ensure};
use projectionist::state::{Change, Durability, StateFolder, VersionState, compare};

use crate::{Figure, Input, native::now, sized};

/// Rows of each state.
const KEYS: u64 = sized(1_000_000) as u64;
/// One row in so many differs.
const DIFFERS: u64 = 100;

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let (one, other) = (state(folder.path(), "one", 0)?, state(folder.path(), "other", 1)?);
    let (before, after) = (one.view()?, other.view()?);
    let mut rates = Vec::new();
    for _ in 0..input.runs {
        let begun = now();
        let mut seen = 0;
        let found = compare((&before, Some(0)), (&after, Some(0)), |_| {
            seen += 1;
            ControlFlow::Continue(())
        })?;
        rates.push(KEYS as f64 / begun.elapsed().as_secs_f64());
        ensure!(found.changed == KEYS / DIFFERS && seen == found.changed, "{found:?}");
    }
    Ok(vec![Figure::new("two states, one row in a hundred differs", "keys/s", rates).at_least(1_000_000.0)])
}

/// A state whose rows are of the size of an account; some differ by `mark`.
fn state(folder: &std::path::Path, digest: &str, mark: u64) -> Result<VersionState> {
    let tables = ["accounts".to_owned()];
    let folder = StateFolder::new(folder);
    let state = folder.open("compare", digest, &tables, 1, 64 << 20)?;
    let rows: Vec<_> = (0..KEYS)
        .map(|key| {
            let changed = if key % DIFFERS == 0 { mark } else { 0 };
            (format!("account-{key:07}"), format!("{{balance: {key}, count: {changed}}}"))
        })
        .collect();
    let changes = rows.iter().map(|(key, value)| Change {
        table: 0,
        key: key.as_bytes(),
        value: Some(value.as_bytes()),
    });
    state.partitions()[0].commit(changes, 1, KEYS, None, Durability::Durable)?;
    drop(state);
    Ok(folder.open("compare", digest, &tables, 1, 64 << 20)?)
}
