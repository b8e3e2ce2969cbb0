//! How a comparison looks to people.

use anyhow::Result;
use serde_json::Value;

use super::{
    output::{Output, note},
    table::Table,
    text,
};
use crate::query::{Compared, Comparison, RowComparison, TableComparison};

/// Shows a comparison to people.
pub fn show(name: &str, comparison: &Comparison, output: &mut Output) -> Result<()> {
    let Comparison { position, same, before, after, tables } = comparison;
    let position = text::number(*position);
    if *same {
        let keys = tables.iter().filter(|table| table.index_of.is_none()).map(|table| table.same).sum();
        let keys = text::count(keys, "key");
        output
            .line(format!("{name} at position {position}: no difference, {keys}, digest {}", after.digest))?;
        return Ok(());
    }
    let [one, other] = [before, after].map(|Compared { version, .. }| text::short(version));
    output.line(format!("{name} at position {position}: from {one} (live) to {other}"))?;
    output.line("")?;
    let mut counts = Table::new(["table", "removed", "added", "changed", "same"]);
    for TableComparison { name, removed, added, changed, same, .. } in tables {
        let numbers = [removed, added, changed, same].map(|count| text::number(*count));
        counts.row([name.clone()].into_iter().chain(numbers));
    }
    output.table(&counts)?;
    let more = show_samples(tables, output)?;
    output.flush()?;
    if more {
        note("there are more; --samples shows more of them, --list all");
    }
    Ok(())
}

/// Shows some of the rows that differ, table by table. Answers whether there are more.
pub fn show_samples(tables: &[TableComparison], output: &mut Output) -> std::io::Result<bool> {
    let mut more = false;
    for TableComparison { name, index_of, removed, added, changed, samples, .. } in tables {
        if index_of.is_none() && !samples.is_empty() {
            output.line(format!("\n{name}"))?;
            let mut show = |RowComparison { key, before, after }: &_| show_row(key, [before, after], output);
            samples.iter().try_for_each(&mut show)?;
            more |= removed + added + changed > samples.len() as u64;
        }
    }
    Ok(more)
}

/// Shows a row that differs: its values on either side, as far as it is there.
pub(super) fn show_row(
    key: &Value,
    [before, after]: [&Option<Value>; 2],
    output: &mut Output,
) -> std::io::Result<()> {
    let key = match key {
        Value::String(key) => text::printable(key),
        key => key.to_string(),
    };
    for (sign, value) in [('-', before), ('+', after)] {
        if let Some(value) = value {
            output.line(format!("{sign} {key}  {value}"))?;
        }
    }
    Ok(())
}
