//! What is asked: scenarios from the command line and from patches.

use std::{collections::BTreeSet, io::Read as _};

use anyhow::Result;
use serde::Serialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};

use crate::{
    cli::{
        exit::{Exit, Failure},
        support::{client::Problem, ndjson::Input, output::note},
    },
    log::altered::Alteration,
};

/// So many alterations that met no event are named.
const NAMED: usize = 10;

/// How history is altered.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(super) struct Given {
    /// Leave out the event with this id; can be repeated
    #[arg(long, value_name = "ID")]
    leave_out_id: Vec<String>,
    /// Leave out all events of this type; can be repeated
    #[arg(long, value_name = "TYPE")]
    leave_out_type: Vec<String>,
    /// Leave out all events about this subject; can be repeated
    #[arg(long, value_name = "SUBJECT")]
    leave_out_subject: Vec<String>,
    /// A file of alterations, one a line, or - for standard input; can be repeated
    #[arg(long, value_name = "FILE")]
    patch: Vec<Input>,
}

/// All scenarios that are asked for.
pub(super) struct Question {
    pub(super) scenarios: Vec<Scenario>,
}

/// A history that did not happen, as it was given.
#[derive(Serialize)]
pub(super) struct Scenario {
    name: String,
    alterations: Vec<Box<RawValue>>,
    /// Where each alteration stands, for people.
    #[serde(skip)]
    places: Vec<String>,
}

/// The body of the request.
#[derive(Serialize)]
struct Body<'a> {
    scenarios: &'a [Scenario],
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<&'a str>,
}

impl Given {
    /// The scenarios; whether each can be meant is found here, where lines have numbers.
    pub(super) fn question(&self) -> Result<Question> {
        let mut scenarios = Vec::from_iter(self.left_out()?);
        let mut names = BTreeSet::from_iter(scenarios.iter().map(|scenario| scenario.name.clone()));
        for input in &self.patch {
            let mut scenario = read(input)?;
            // `a/patch.ndjson` and `b/patch.ndjson`.
            if !names.insert(scenario.name.clone()) {
                scenario.name = input.to_string();
                if !names.insert(scenario.name.clone()) {
                    return Err(Failure::new(Exit::Usage, format!("{input} is given twice")).into());
                }
            }
            scenarios.push(scenario);
        }
        Ok(Question { scenarios })
    }

    /// What is left out by arguments.
    fn left_out(&self) -> Result<Option<Scenario>> {
        let given = [
            ("id", &self.leave_out_id),
            ("type", &self.leave_out_type),
            ("subject", &self.leave_out_subject),
        ];
        let mut scenario =
            Scenario { name: "left-out".to_owned(), alterations: Vec::new(), places: Vec::new() };
        for (what, values) in given {
            for value in values {
                scenario.alterations.push(to_raw_value(&json!({"leave-out": {what: value}}))?);
                scenario.places.push(format!("--leave-out-{what} {value}"));
            }
        }
        Ok((!scenario.alterations.is_empty()).then_some(scenario))
    }
}

/// Reads a patch.
fn read(input: &Input) -> Result<Scenario, Failure> {
    let mut text = String::new();
    let read = match input {
        Input::Stdin => std::io::stdin().read_to_string(&mut text),
        Input::File(path) => std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::new(Exit::Input, format!("{input} cannot be read: {error}")))?;
    let name = match input {
        Input::File(path) => path.file_stem().map(|stem| stem.to_string_lossy().into_owned()),
        Input::Stdin => None,
    };
    let name = name.unwrap_or_else(|| input.to_string());
    let mut scenario = Scenario { name, alterations: Vec::new(), places: Vec::new() };
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let place = format!("{input}, line {number}");
        Alteration::from_slice(line.as_bytes())
            .map_err(|error| Failure::new(Exit::Input, format!("{place}: {error}")))?;
        let line = RawValue::from_string(line.trim().to_owned()).expect("an alteration is JSON");
        scenario.alterations.push(line);
        scenario.places.push(place);
    }
    match scenario.alterations.is_empty() {
        true => Err(Failure::new(Exit::Input, format!("{input} has no alterations"))
            .hint("write one a line, such as {\"leave-out\": {\"type\": \"…\"}}")),
        false => Ok(scenario),
    }
}

impl Question {
    /// The request's body.
    pub(super) fn body(&self, component: Option<&str>, settings: Option<&str>) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec(&Body { scenarios: &self.scenarios, component, settings })?)
    }

    /// An error of the server; where it blames an alteration, says where that stands.
    pub(super) fn blamed(&self, error: anyhow::Error) -> anyhow::Error {
        let place = error.downcast_ref::<Problem>().and_then(|problem| {
            let scenario = problem.text("scenario");
            let scenario = self.scenarios.iter().find(|own| own.name == scenario)?;
            scenario.places.get(problem.number("alteration")?.checked_sub(1)?)
        });
        match place {
            Some(place) => error.context(place.clone()),
            None => error,
        }
    }
}

impl Scenario {
    /// Where alterations stand, which are counted from 1.
    pub(super) fn places(&self, alterations: &[u64]) -> impl Iterator<Item = &str> {
        if alterations.len() > NAMED {
            note(format!("{}: {} alterations met no event, among them", self.name, alterations.len()));
        }
        let place = |number: &u64| self.places.get((*number as usize).checked_sub(1)?).map(String::as_str);
        alterations.iter().take(NAMED).filter_map(place)
    }
}
