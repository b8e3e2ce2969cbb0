//! Events to import, and what a plain fold makes of them.
//!
//! The data set (the history of a real repository) lies beside the repository,
//! in `../shared/data`, or where `PROJECTIONIST_TEST_EVENTS` says. Where there
//! is none, a generated stand-in takes its place, with what makes the real one
//! hard: renames, times out of order, unicode, commits of many files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::{Random, program};

const DATA_SET: &str = "../shared/data/wasmtime-history.ndjson.gz";

/// Events in a file.
pub struct History {
    /// NDJSON, plain or gzip.
    pub file: PathBuf,
    /// Whether it is the real data set and not the stand-in.
    pub real: bool,
}

/// What a plain fold makes of a history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// How many events there are.
    pub events: u64,
    /// How many of each type.
    pub types: BTreeMap<String, u64>,
    /// The authors of commits, and how many each wrote.
    pub authors: BTreeMap<String, u64>,
    /// How many commits were made on each day (UTC).
    pub days: BTreeMap<String, u64>,
    /// How often each file was added, modified, renamed to or deleted.
    pub changes: BTreeMap<String, u64>,
    /// The files that are there at the end.
    pub tree: BTreeSet<String>,
}

/// The whole history: the data set, else the stand-in. Says which.
pub fn whole() -> History {
    let given = std::env::var_os("PROJECTIONIST_TEST_EVENTS").map(PathBuf::from);
    let file = given.unwrap_or_else(|| program::workspace().join(DATA_SET));
    if file.is_file() {
        println!("events: {}", file.display());
        return History { file, real: true };
    }
    println!("events: a generated stand-in, for there is no {}", file.display());
    generated(4_000)
}

/// A generated history of so many commits; the same every time.
pub fn generated(commits: u64) -> History {
    let folder = program::target().join("tests");
    fs::create_dir_all(&folder).expect("the target folder takes folders");
    let file = folder.join(format!("generated-{commits}.ndjson"));
    // Others may be doing the same: each writes a file of its own, the last rename wins.
    let mut beside = tempfile::NamedTempFile::new_in(&folder).expect("the target folder takes files");
    let mut out = BufWriter::new(&mut beside);
    for event in generate(commits) {
        writeln!(out, "{event}").expect("the disk takes more");
    }
    out.flush().expect("the disk takes more");
    drop(out);
    beside.persist(&file).expect("renaming within a folder");
    History { file, real: false }
}

impl History {
    /// Its events, one a line.
    pub fn lines(&self) -> impl Iterator<Item = String> + use<> {
        lines(&self.file)
    }

    /// The first so many events.
    pub fn first(&self, count: usize) -> Vec<Value> {
        self.lines().take(count).map(|line| serde_json::from_str(&line).expect("an event a line")).collect()
    }

    /// What a plain fold makes of it.
    pub fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        for line in self.lines() {
            expected.fold(&serde_json::from_str(&line).expect("an event a line"));
        }
        expected
    }
}

impl Expected {
    /// What a plain fold makes of these events.
    pub fn of(events: &[Value]) -> Self {
        let mut expected = Self::default();
        events.iter().for_each(|event| expected.fold(event));
        expected
    }

    /// Folds one more event.
    pub fn fold(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let subject = text(&event["subject"]);
        let event_type = text(&event["type"]);
        self.events += 1;
        match event_type.as_str() {
            "git.commit.authored" => {
                *self.authors.entry(text(&event["data"]["author"])).or_default() += 1;
                *self.days.entry(text(&event["time"])[..10].to_owned()).or_default() += 1;
            }
            "git.file.deleted" => drop(self.tree.remove(&subject)),
            "git.file.renamed" => {
                self.tree.remove(&text(&event["data"]["from"]));
                self.tree.insert(subject.clone());
            }
            _ => drop(self.tree.insert(subject.clone())),
        }
        if event_type.starts_with("git.file.") {
            *self.changes.entry(subject).or_default() += 1;
        }
        *self.types.entry(event_type).or_default() += 1;
    }
}

/// The lines of a file, plain or gzip.
fn lines(file: &Path) -> impl Iterator<Item = String> + use<> {
    let opened = File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let zipped = file.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn Read> = if zipped { Box::new(GzDecoder::new(opened)) } else { Box::new(opened) };
    BufReader::with_capacity(1 << 20, reader).lines().map(|line| line.expect("lines of text"))
}

/// Commits on a handful of branches, whose times overlap; files come and go.
fn generate(commits: u64) -> impl Iterator<Item = Value> {
    const AUTHORS: [&str; 7] = ["Ada", "Grace", "Łukasz", "田中", "Zoë", "author-6", "O’Brien"];
    const FOLDERS: [&str; 5] = ["src", "tests", "docs/guide", "größe", "データ"];
    let mut random = Random::from_seed(7);
    let mut files: Vec<String> = vec!["Cargo.lock".into(), "Cargo.toml".into()];
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut number = 0;
    (1..=commits).flat_map(move |commit| {
        let hash = format!("{commit:040x}");
        let author = *random.pick(&AUTHORS);
        // Branches are merged weeks after they were written.
        let second = commit * 5_000 + random.below(40) * 30_000;
        let time = time(second);
        let count = if commit % 500 == 0 { 600 } else { random.below(8) };
        let mut changes = Vec::new();
        let mut touched = BTreeSet::new();
        for _ in 0..count {
            let new = files.len() < 3 || random.below(6) == 0;
            let path = match new {
                true => format!("{}/file-{}.rs", random.pick(&FOLDERS), random.below(1 << 40)),
                // The first files change most.
                false => files
                    [(random.below(files.len() as u64).min(random.below(files.len() as u64))) as usize]
                    .clone(),
            };
            if !touched.insert(path.clone()) {
                continue;
            }
            let kind = random.below(20);
            let blob = format!("{:040x}", random.next());
            let mut data = json!({ "commit": hash, "author": author });
            if !known.contains(&path) {
                known.insert(path.clone());
                if !files.contains(&path) {
                    files.push(path.clone());
                }
                data["blob"] = blob.into();
                changes.push(("git.file.added", path, data));
            } else if kind == 0 && files.len() > 10 {
                known.remove(&path);
                files.retain(|file| *file != path);
                changes.push(("git.file.deleted", path, data));
            } else if kind == 1 {
                let to = format!("{path}.moved");
                known.remove(&path);
                files.retain(|file| *file != path);
                known.insert(to.clone());
                files.push(to.clone());
                touched.insert(to.clone());
                data["blob"] = blob.into();
                data["from"] = path.into();
                changes.push(("git.file.renamed", to, data));
            } else {
                data["blob"] = blob.into();
                changes.push(("git.file.modified", path, data));
            }
        }
        let authored = json!({
            "author": author, "summary": format!("Change {commit}: “ünïcode” ✓"),
            "parents": if commit > 1 { vec![format!("{:040x}", commit - 1)] } else { vec![] },
            "files": changes.len(),
        });
        let mut events = vec![("git.commit.authored", hash.clone(), authored)];
        events.extend(changes);
        events
            .into_iter()
            .map(|(event_type, subject, data)| {
                number += 1;
                json!({
                    "specversion": "1.0", "id": format!("generated-{number:06}"), "source": "/git/generated",
                    "type": event_type, "subject": subject, "time": time, "correlationid": hash,
                    "datacontenttype": "application/json", "data": data,
                })
            })
            .collect::<Vec<_>>()
    })
}

/// A second after the start of 2020, with months of 28 days.
fn time(second: u64) -> String {
    let (day, second) = (second / 86_400, second % 86_400);
    let (month, day) = (day / 28, day % 28 + 1);
    let (year, month) = (2020 + month / 12, month % 12 + 1);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stand_in_is_the_same_every_time_and_has_what_makes_it_hard() {
        let once: Vec<Value> = generate(600).collect();
        let again: Vec<Value> = generate(600).collect();
        assert_eq!(once, again);
        let expected = Expected::of(&once);
        assert_eq!(expected.types.len(), 5, "{:?}", expected.types);
        assert_eq!(expected.authors.len(), 7);
        assert!(once.windows(2).any(|pair| pair[0]["time"].as_str() > pair[1]["time"].as_str()));
        assert!(expected.changes.keys().any(|path| !path.is_ascii()));
    }
}
