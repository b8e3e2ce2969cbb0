//! The page of benchmarks: `docs/benchmarks.md`, its charts, and the figures
//! behind both in `docs/benchmarks/results.json`.
//!
//! A run of some benchmarks replaces their figures and leaves the others as they
//! were, so the page says of each when and on which machine it was measured.
//! What other systems reached comes from `bench/peers/results.json`.

mod chart;
mod machine;
mod markdown;
mod peers;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::Figure;

/// The figures of one benchmark.
#[derive(Serialize, Deserialize)]
pub(crate) struct Section {
    name: String,
    about: String,
    /// The day it was measured.
    day: String,
    machine: machine::Machine,
    figures: Vec<Figure>,
}

impl Section {
    pub(crate) fn new(name: &str, about: &str, figures: Vec<Figure>) -> Self {
        let machine = machine::Machine::this();
        Self { name: name.to_owned(), about: about.to_owned(), day: machine::today(), machine, figures }
    }
}

/// Brings the page in a folder (`docs`) up to date with what was measured.
pub(crate) fn write(docs: &Path, measured: Vec<Section>) -> Result<()> {
    let folder = docs.join("benchmarks");
    fs::create_dir_all(&folder)?;
    let file = folder.join("results.json");
    let mut sections: Vec<Section> = match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{}", file.display()))?,
        Err(_) => Vec::new(),
    };
    let mut new: BTreeMap<String, Section> =
        measured.into_iter().map(|section| (section.name.clone(), section)).collect();
    for section in &mut sections {
        if let Some(new) = new.remove(&section.name) {
            *section = new;
        }
    }
    sections.extend(new.into_values());
    let order = |section: &Section| crate::BENCHMARKS.iter().position(|known| known.name == section.name);
    sections.retain(|section| order(section).is_some());
    sections.sort_by_key(order);
    fs::write(&file, serde_json::to_string_pretty(&sections)? + "\n")?;
    for section in &sections {
        if let Some(svg) = chart::bars(&section.figures) {
            fs::write(folder.join(format!("{}.svg", section.name)), svg)?;
        }
    }
    let peers = peers::Peers::read()?;
    if let Some(svg) = peers.chart(&sections) {
        fs::write(folder.join("peers.svg"), svg)?;
    }
    fs::write(docs.join("benchmarks.md"), markdown::page(&sections, &peers)?)?;
    println!("\nwritten: {}", docs.join("benchmarks.md").display());
    Ok(())
}
