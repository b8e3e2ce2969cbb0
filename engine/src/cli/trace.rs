//! `trace`: what an event led to, as a tree.

use std::collections::HashMap;

use anyhow::Result;
use serde::Deserialize;

use super::{
    Context,
    exit::{Exit, Failure},
    support::{client::Place, log::Log, table::Table, text},
};
use crate::{event::Position, log::Selection};

/// Show what led to an event and what came of it, as a tree
///
/// Events belong together by their `correlationid`, and hang below the event that
/// their `causationid` names.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The id of any event of the story, or a correlationid
    id: String,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let log = Log::open(&args.place, &context.settings, false).await?;
    let mut story = read(&log, &args.id).await?;
    // The event may stand in the middle of a story that began with another.
    let begun_with = story.iter().find(|event| event.id == args.id).and_then(|event| event.correlation());
    if let Some(beginning) = begun_with.filter(|beginning| **beginning != args.id).cloned() {
        story = read(&log, &beginning).await?;
    }
    if story.is_empty() {
        let message = format!("no event has the id \"{}\" or carries it as its correlationid", args.id);
        return Err(Failure::new(Exit::NotFound, message)
            .hint("`projectionist events --json` shows the ids of events")
            .into());
    }
    match context.output.is_json() {
        true => story.iter().try_for_each(|event| context.output.line(&event.json))?,
        false => context.output.table(&table(&story))?,
    }
    Ok(())
}

/// The events of a correlation, in order.
async fn read(log: &Log, correlation: &str) -> Result<Vec<Traced>> {
    let selection = Selection { correlation: Some(correlation.to_owned()), ..Selection::default() };
    let mut story = Vec::new();
    log.read(&selection, false, |line| {
        let event: Traced = serde_json::from_slice(line)?;
        story.push(Traced { json: String::from_utf8_lossy(line).into_owned(), ..event });
        Ok(())
    })
    .await?;
    Ok(story)
}

/// What is shown of an event.
#[derive(Deserialize)]
struct Traced {
    position: Position,
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    subject: String,
    recorded: String,
    correlationid: Option<serde_json::Value>,
    causationid: Option<serde_json::Value>,
    /// All of it.
    #[serde(skip)]
    json: String,
}

impl Traced {
    fn correlation(&self) -> Option<&String> {
        as_text(self.correlationid.as_ref())
    }

    fn causation(&self) -> Option<&String> {
        as_text(self.causationid.as_ref())
    }
}

/// Others may use the names for attributes of other types.
fn as_text(attribute: Option<&serde_json::Value>) -> Option<&String> {
    match attribute {
        Some(serde_json::Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The story as a tree, in the order of the log.
fn table(story: &[Traced]) -> Table {
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); story.len()];
    let mut tops = Vec::new();
    for (index, event) in story.iter().enumerate() {
        // A cause comes before what it causes, so nothing goes in a circle.
        match event.causation().and_then(|cause| by_id.get(cause.as_str())) {
            Some(cause) => below[*cause].push(index),
            None => tops.push(index),
        }
        by_id.entry(&event.id).or_insert(index);
    }
    let mut table = Table::new(["event", "position", "recorded", "subject", "id"]);
    // What is still to be shown, the next one last: the event, what stands before
    // it, and before what hangs below it.
    let mut left: Vec<(usize, String, String)> =
        tops.into_iter().rev().map(|top| (top, String::new(), String::new())).collect();
    while let Some((index, before, before_below)) = left.pop() {
        let event = &story[index];
        table.row([
            format!("{before}{}", event.event_type),
            text::number(event.position),
            event.recorded.clone(),
            event.subject.clone(),
            event.id.clone(),
        ]);
        for (place, child) in below[index].iter().rev().enumerate() {
            let (branch, trunk) = if place == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            left.push((*child, format!("{before_below}{branch}"), format!("{before_below}{trunk}")));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn event(position: Position, id: &str, event_type: &str, cause: Option<&str>) -> Traced {
        Traced {
            position,
            id: id.to_owned(),
            event_type: event_type.to_owned(),
            subject: "account/7".to_owned(),
            recorded: "2026-01-01T00:00:00Z".to_owned(),
            correlationid: cause.map(|_| "a".into()),
            causationid: cause.map(Into::into),
            json: String::new(),
        }
    }

    #[test]
    fn a_story_is_shown_as_a_tree() {
        let story = [
            event(3, "a", "account.created", None),
            event(4, "b", "mail.asked-for", Some("a")),
            event(5, "c", "reminder.set", Some("a")),
            event(9, "d", "mail.sent", Some("b")),
            event(11, "e", "mail.opened", Some("d")),
            event(12, "f", "reminder.sent", Some("c")),
            event(1_000, "g", "account.found", Some("elsewhere")),
        ];
        expect![[r#"
            event                 position  recorded              subject    id
            account.created              3  2026-01-01T00:00:00Z  account/7  a
            ├─ mail.asked-for            4  2026-01-01T00:00:00Z  account/7  b
            │  └─ mail.sent              9  2026-01-01T00:00:00Z  account/7  d
            │     └─ mail.opened        11  2026-01-01T00:00:00Z  account/7  e
            └─ reminder.set              5  2026-01-01T00:00:00Z  account/7  c
               └─ reminder.sent         12  2026-01-01T00:00:00Z  account/7  f
            account.found            1,000  2026-01-01T00:00:00Z  account/7  g
        "#]]
        .assert_eq(&table(&story).render(60));
    }
}
