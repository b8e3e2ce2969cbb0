//! What it costs to give old events their newest shape before they are folded.

use anyhow::{Result, ensure};
use projectionist::event::{Attribute, DATASCHEMA, Envelope};
use serde_json::{Value, json};

use crate::{
    Figure, Input,
    replay::{Cores, Replay},
    workload::git_history::commits,
};

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let new = Replay::over("people", commits(&input.events, split)?)?;
    let mut old = Replay::over("people", commits(&input.events, |_| Ok(()))?)?;
    old.upcast_by("split-author")?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..input.runs {
        let (plain, upcast) = (new.component(Cores::One, 1)?, old.component(Cores::One, 1)?);
        ensure!(
            plain.checkpoint == upcast.checkpoint,
            "{:?} is not {:?}",
            upcast.checkpoint,
            plain.checkpoint
        );
        without.push(plain.rate());
        with.push(upcast.rate());
    }
    let without = Figure::new("commits in their newest shape", "events/s", without);
    let with = Figure::new("old commits, upcast", "events/s", with);
    let ratio = Figure::ratio("upcast over the newest shape", &with, &without).at_least(0.5);
    Ok(vec![without, with, ratio])
}

/// What `split-author` makes of a commit.
fn split(commit: &mut Envelope) -> Result<()> {
    let mut data: Value = serde_json::from_slice(&commit.data)?;
    let author = data["author"].as_str().unwrap_or_default().to_owned();
    let (name, pseudonym) = match author.rsplit_once('-') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => (name, Some(number)),
        _ => (author.as_str(), None),
    };
    (data["name"], data["pseudonym"]) = (json!(name), json!(pseudonym));
    commit.data = serde_json::to_vec(&data)?.into();
    let schema = Attribute::String("/schemas/git.commit.authored/2".to_owned());
    commit.extensions.insert(DATASCHEMA.to_owned(), schema);
    Ok(())
}
