//! Other systems with the same work as `accounts`, as `bench/peers/run` measured
//! them: their table, and the chart that sets them beside Projectionist.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{
    Section,
    chart::{self, Bar},
};
use crate::Figure;

/// The benchmark with the same work, and what of it stands beside the peers.
pub(super) const WORK: &str = "accounts";
const NATIVE: &str = "100,000 accounts: native fold";
const PROJECTIONIST: &str = "100,000 accounts: component";

const ABOUT: &str = "\
The fold of 100,000 accounts above, uniform, as other systems do it that fold events. Each is installed from its
package registry, has the fastest settings that its documentation names, and must end with the same balances as a plain
fold. A figure is events over seconds from the first event to the last commit or checkpoint, by the peer's own clock,
without start-up; each peer gets as many events as it folds in some ten to ninety seconds. Each has one core, as
Projectionist has. [bench/peers](../bench/peers/README.md) says how each folds and what is not comparable.
`bench/peers/run` measures them anew, then `cargo xtask bench --draw` brings them here.";

/// All peers, fastest first, and after them those that failed.
pub(super) struct Peers(Vec<Peer>);

#[derive(Deserialize)]
struct Results {
    peers: BTreeMap<String, Peer>,
}

/// One peer: what its `peer.toml` says of it, and what it reached.
#[derive(Deserialize)]
struct Peer {
    #[serde(skip)]
    name: String,
    #[serde(default)]
    version: String,
    settings: String,
    /// What the figures alone would hide.
    note: String,
    /// Addresses of the documentation that the settings are from.
    sources: Vec<String>,
    durable: bool,
    events: f64,
    /// Why it has no figures.
    error: Option<String>,
    events_per_second: Option<Rates>,
    measured: Option<Place>,
}

#[derive(Deserialize)]
struct Rates {
    runs: Vec<f64>,
}

/// Where and when a peer was measured.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Place {
    machine: String,
    date: String,
}

impl Peers {
    /// What `bench/peers/run` left last; no peers if it never ran.
    pub(super) fn read() -> Result<Self> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/results.json");
        if !file.exists() {
            return Ok(Self(Vec::new()));
        }
        let results: Results =
            serde_json::from_slice(&fs::read(&file)?).with_context(|| format!("{}", file.display()))?;
        let mut peers: Vec<Peer> =
            results.peers.into_iter().map(|(name, peer)| Peer { name, ..peer }).collect();
        let rate = |peer: &Peer| peer.rate().map_or(0.0, |rate| rate.median());
        peers.sort_by(|one, other| rate(other).total_cmp(&rate(one)));
        Ok(Self(peers))
    }

    /// Projectionist, its limit and the peers; nothing before Projectionist is measured.
    pub(super) fn chart(&self, sections: &[Section]) -> Option<String> {
        let (_, native, projectionist) = ours(sections)?;
        let mut bars = vec![
            Bar::new("native Rust, the limit", native, chart::LIMIT),
            Bar::new("Projectionist", projectionist, chart::OWN),
        ];
        for peer in &self.0 {
            let name = format!("{}{}", peer.name, if peer.durable { "" } else { ", in memory" });
            bars.extend(peer.rate().map(|rate| Bar::new(&name, &rate, chart::OTHER)));
        }
        Some(chart::draw(&bars))
    }

    /// The part of the page about them.
    pub(super) fn text(&self, sections: &[Section]) -> Result<String> {
        let mut text = format!("## peers\n\n{ABOUT}\n\n");
        let Some((section, native, projectionist)) = ours(sections) else {
            return Ok(text + "Projectionist itself is not measured yet.\n\n");
        };
        writeln!(text, "{}\n\n![peers](benchmarks/peers.svg)\n", self.places(section))?;
        text.push_str(
            "| events/s | durable | events | runs | median | min | max | Projectionist over it | target |\n\
             | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
        );
        for (name, rate) in [("native Rust, the limit", native), ("Projectionist", projectionist)] {
            let ([median, min, max, _], runs) = (rate.cells(), rate.values.len());
            writeln!(text, "| {name} | yes | 3,000,000 | {runs} | {median} | {min} | {max} |  |  |")?;
        }
        for peer in &self.0 {
            peer.row(&mut text, projectionist)?;
        }
        text.push('\n');
        for Peer { name, settings, note, sources, .. } in &self.0 {
            let links: Vec<String> =
                sources.iter().zip(1..).map(|(source, number)| format!("[{number}]({source})")).collect();
            writeln!(text, "- **{name}**: {settings} ({}). {note}", links.join(", "))?;
        }
        Ok(text.trim_end().to_owned() + "\n\n")
    }

    /// On which machine they were measured, and when; says so if it was not that of `accounts`.
    fn places(&self, accounts: &Section) -> String {
        let places: BTreeSet<&Place> = self.0.iter().filter_map(|peer| peer.measured.as_ref()).collect();
        if places.is_empty() {
            return "No peer is measured yet.".to_owned();
        }
        let list: Vec<String> =
            places.iter().map(|Place { machine, date }| format!("{machine}, on {date}")).collect();
        let hardware = accounts.machine.hardware();
        let warning = if places.iter().all(|place| place.machine == hardware) {
            ""
        } else {
            " **Projectionist was measured on another machine, so the ratios say little.**"
        };
        format!("The peers on {}.{warning}", list.join("; "))
    }
}

impl Peer {
    fn rate(&self) -> Option<Figure> {
        self.events_per_second.as_ref().map(|rates| Figure::new("", "events/s", rates.runs.clone()))
    }

    fn row(&self, text: &mut String, projectionist: &Figure) -> Result<()> {
        let durable = if self.durable { "yes" } else { "no" };
        let [events, ..] = Figure::new("", "events", vec![self.events]).cells();
        let name = format!("{} {}", self.name, self.version);
        write!(text, "| {} | {durable} | {events} |", name.trim_end())?;
        let Some(rate) = self.rate() else {
            let error = self.error.as_deref().unwrap_or("not measured").replace('|', "\\|");
            writeln!(text, "  | `{error}` |  |  |  |  |")?;
            return Ok(());
        };
        let target = if self.durable { 10.0 } else { 1.0 };
        let over = Figure::new("", "", vec![projectionist.median() / rate.median()]).at_least(target);
        let ([median, min, max, _], runs) = (rate.cells(), rate.values.len());
        let [over, .., target] = over.cells();
        writeln!(text, " {runs} | {median} | {min} | {max} | {over} | {target} |")?;
        Ok(())
    }
}

/// Where Projectionist was measured, its limit and what it reached.
fn ours(sections: &[Section]) -> Option<(&Section, &Figure, &Figure)> {
    let section = sections.iter().find(|section| section.name == WORK)?;
    let named = |name| section.figures.iter().find(|figure| figure.name == name);
    Some((section, named(NATIVE)?, named(PROJECTIONIST)?))
}
