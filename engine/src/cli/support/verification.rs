//! What came of a verification, as people see it.

use std::time::Duration;

use anyhow::Result;

use super::{comparison, output::Output, table::Table, text};
use crate::state::catalog::{EventNamed, FoundDifference, Verdict, Verification};

/// Shows what came of a verification. Why there is no verdict, if there is none, is left to the caller.
pub fn show(name: &str, verification: &Verification, output: &mut Output) -> Result<()> {
    if verification.verdict != Verdict::Failed {
        output.line(format!("{name}: {}", verdict(verification)))?;
        ways(verification, output)?;
    }
    match &verification.difference {
        Some(found) => difference(found, output),
        None => Ok(()),
    }
}

/// The verdict in a line.
pub fn verdict(verification: &Verification) -> String {
    let Verification { verdict, position, began, micros, reason, .. } = verification;
    let (position, took) = (text::number(*position), text::duration(Duration::from_micros(*micros)));
    match verdict {
        Verdict::Verified => format!("verified up to position {position}, begun {began}, in {took}"),
        Verdict::Differs => {
            format!("differs, folded again up to position {position}, begun {began}, in {took}")
        }
        Verdict::Failed => {
            let reason = text::printable(reason.as_deref().unwrap_or_default());
            format!("could not be verified, begun {began}: {reason}")
        }
    }
}

/// What differs, the event, the rows.
pub fn difference(found: &FoundDifference, output: &mut Output) -> Result<()> {
    let FoundDifference { summary, before, after, event, count, rows } = found;
    output.line(format!("\n{}", text::printable(summary)))?;
    if let Some(EventNamed { position, id, r#type, subject }) = event {
        let position = text::number(*position);
        let [id, r#type] = [id, r#type].map(|text| text::printable(text));
        let subject = subject.as_deref().map(|subject| format!(" about {}", text::printable(subject)));
        let subject = subject.unwrap_or_default();
        output.line(format!("from position {position} on: event {id} of type {type}{subject}"))?;
    }
    if rows.is_empty() {
        return Ok(());
    }
    output.line(format!("\n- {before}\n+ {after}"))?;
    let mut table = None;
    for row in rows {
        if table.replace(&row.table) != Some(&row.table) {
            output.line(format!("\n{}", row.table))?;
        }
        comparison::show_row(&row.key, [&row.before, &row.after], output)?;
    }
    let more = count.saturating_sub(rows.len() as u64);
    if more > 0 {
        output.line(format!("\nand {} more", text::count(more, "row")))?;
    }
    Ok(())
}

fn ways(verification: &Verification, output: &mut Output) -> Result<()> {
    let mut table = Table::new(["folded", "digest", "dead letters", "took"]);
    for fold in &verification.folds {
        table.row([
            fold.way.clone(),
            fold.digest.clone().unwrap_or_else(|| "halted".to_owned()),
            text::number(fold.dead_letters),
            text::duration(Duration::from_micros(fold.micros)),
        ]);
    }
    if let Some(digest) = &verification.digest {
        table.row(["as it stands", digest, "", ""]);
    }
    output.table(&table)?;
    Ok(())
}
