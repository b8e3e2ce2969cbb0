//! What it costs to give old events their newest shape before they are folded.

use anyhow::{Result, ensure};
use projectionist::event::{Attribute, DATASCHEMA, Envelope};
use serde_json::{Value, json};

use crate::{
    Figure, Input,
    replay::{Cores, Replay},
    sized,
    workload::{
        accounts::{self, Spread},
        git_history::commits,
    },
};

/// How many deposits.
const DEPOSITS: usize = sized(1_000_000);

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let deposits = || accounts::events(DEPOSITS, 100_000, Spread::Uniform);
    let new = Replay::over("accounts", deposits()?.map(|deposit| deposit.map(in_cents)))?;
    let mut old = Replay::over("accounts", deposits()?.map(|deposit| deposit.map(paid_in)))?;
    old.upcast_by("paid-in")?;
    let [without, with, ratio] = figures("deposits", &new, &old, input)?;
    let mut figures_of_all = vec![without, with, ratio.at_least(0.5)];

    let new = Replay::over("people", commits(&input.events, split)?)?;
    let mut old = Replay::over("people", commits(&input.events, |_| Ok(()))?)?;
    old.upcast_by("split-author")?;
    figures_of_all.extend(figures("commits", &new, &old, input)?);
    Ok(figures_of_all)
}

/// Rates of folds of new events and of old ones that are upcast, and their ratio, in paired runs.
fn figures(label: &str, new: &Replay, old: &Replay, input: &Input) -> Result<[Figure; 3]> {
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
    let without = Figure::new(format!("{label} in their newest shape"), "events/s", without);
    let with = Figure::new(format!("old {label}, upcast"), "events/s", with);
    let ratio = Figure::ratio(format!("{label}: upcast over the newest shape"), &with, &without);
    Ok([without, with, ratio])
}

/// A deposit as it was recorded at first, in euros: of a hundredth of the cents.
fn paid_in(deposit: Envelope) -> Envelope {
    let data = String::from_utf8_lossy(&deposit.data).replace("\"amount\"", "\"euros\"");
    Envelope { event_type: "account.paid-in".to_owned(), data: data.into(), ..deposit }
}

/// The same as it is recorded today.
fn in_cents(deposit: Envelope) -> Envelope {
    let data = String::from_utf8_lossy(&deposit.data).replace('}', "00}");
    Envelope { data: data.into(), ..deposit }
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
