//! The plan's rules about which part may use which, read off the sources.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use projectionist_tests::program::workspace;

/// What each module of the engine may use, beside those of `FREE`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("client", &[]),
    ("clock", &[]),
    ("event", &[]),
    ("filter", &[]),
    ("log", &[]),
    ("state", &[]),
    ("plugin", &[]),
    ("schema", &["log", "state"]),
    ("projection", &["log", "state", "plugin"]),
    ("reaction", &["log", "state", "plugin", "projection"]),
    ("query", &["log", "state", "plugin", "projection", "reaction"]),
    ("deploy", &["log", "state", "plugin", "projection", "reaction"]),
    // The assembled engine, which both sides above it hold.
    ("engine", &["log", "state", "schema", "plugin", "projection", "reaction", "query", "deploy"]),
    ("fixture", &["log", "state", "plugin", "projection", "reaction", "query"]),
    ("http", &["log", "state", "schema", "plugin", "projection", "reaction", "query", "deploy", "engine"]),
    (
        "cli",
        &[
            "log",
            "state",
            "schema",
            "plugin",
            "projection",
            "reaction",
            "query",
            "deploy",
            "engine",
            "fixture",
            "http",
        ],
    ),
    // The crate's root and the program name the modules, no more.
    ("lib", &[]),
    ("main", &["cli"]),
];

/// What all may use.
const FREE: &[&str] = &["client", "clock", "event", "filter"];

/// Which crates may appear only in some modules.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("redb", &["log", "state"]),
    ("wasmtime", &["plugin"]),
    ("wasmtime_wasi", &["plugin"]),
    ("wasmtime_wasi_http", &["plugin"]),
    ("rustls", &["client"]),
    ("axum", &["http"]),
    ("utoipa_axum", &["http"]),
    ("prometheus_client", &["http"]),
    ("notify", &["deploy"]),
    ("serde_saphyr", &["fixture"]),
    ("jsonschema", &["schema"]),
    ("anyhow", &["cli"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("ratatui", &["cli"]),
];

#[test]
fn modules_use_only_what_the_plan_lets_them_use() {
    let mut wrong = Vec::new();
    for source in engine_sources() {
        let module = source.module();
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: the plan knows no module \"{module}\"", source.name()));
            continue;
        };
        for used in source.modules_used() {
            let free = used == module || FREE.contains(&used.as_str());
            if !free && !allowed.contains(&used.as_str()) && MAY_USE.iter().any(|(name, _)| *name == used) {
                wrong.push(format!("{}: {module} may not use {used}", source.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in engine_sources() {
        for (name, modules) in ONLY_IN {
            if source.names_crate(name) && !modules.contains(&source.module().as_str()) {
                wrong.push(format!("{}: {name} may appear only in {}", source.name(), modules.join(" and ")));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_engine_and_the_sdk_share_only_the_interface() {
    let manifest = |folder: &str| fs::read_to_string(workspace().join(folder).join("Cargo.toml")).unwrap();
    assert!(!manifest("engine").contains("projectionist-sdk"));
    for folder in ["guest-sdk", "guest-sdk/macros"] {
        let manifest = manifest(folder);
        let engine = |line: &str| {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            name == "projectionist"
        };
        assert!(!manifest.lines().any(engine), "{folder} depends on the engine");
    }
}

#[test]
fn every_module_opens_with_a_map() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        let file = source.path.file_name().unwrap_or_default();
        if (file == "mod.rs" || file == "lib.rs" || file == "main.rs") && !source.text.starts_with("//!") {
            wrong.push(source.name());
        }
    }
    assert!(wrong.is_empty(), "these do not begin with what is here and what is not: {wrong:#?}");
}

#[test]
fn files_stay_small() {
    let mut sizes: Vec<(usize, String)> =
        all_sources().iter().map(|source| (source.text.lines().count(), source.name())).collect();
    sizes.sort();
    let median = sizes[sizes.len() / 2].0;
    let large: BTreeMap<_, _> =
        sizes.iter().filter(|(lines, _)| *lines > 500).map(|(n, name)| (name, n)).collect();
    println!("{} files, median {median} lines, largest {:?}", sizes.len(), sizes.last());
    assert!(median <= 200, "the median file has {median} lines");
    assert!(large.is_empty(), "over 500 lines: {large:#?}");
}

#[test]
fn a_path_is_found_in_whatever_form_it_is_written() {
    let source = Source {
        path: engine().join("http/events/append.rs"),
        text: "use crate::{event::Event, log::{A, B}, state};\nlet x = crate::plugin::Y; // crate::cli\n\
               use super::super::super::query::Z; use super::forms; use redb::{Database};\n\
               #[cfg(test)]\nmod tests { use crate::deploy; }"
            .to_owned(),
    };
    let expected = ["event", "log", "plugin", "query", "state"].map(str::to_owned);
    assert_eq!(source.modules_used(), BTreeSet::from(expected));
    assert!(source.names_crate("redb") && !source.names_crate("red") && !source.names_crate("axum"));
}

/// A source file.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Its path within the workspace.
    fn name(&self) -> String {
        self.path.strip_prefix(workspace()).unwrap_or(&self.path).display().to_string()
    }

    /// The modules that lead to it: `http/events/append.rs` → http, events, append.
    fn modules(&self) -> Vec<String> {
        let path = self.path.strip_prefix(engine()).unwrap_or(&self.path).with_extension("");
        let parts = path.iter().map(|part| part.to_string_lossy().into_owned());
        parts.filter(|part| part != "mod").collect()
    }

    /// The module of the engine that it belongs to.
    fn module(&self) -> String {
        self.modules().first().cloned().unwrap_or_default()
    }

    /// Its code, without comments and without the tests at its end.
    fn code(&self) -> String {
        let code = self.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    }

    /// The engine's modules that its paths lead to.
    fn modules_used(&self) -> BTreeSet<String> {
        let code = self.code();
        let mut used = BTreeSet::new();
        for rest in after(&code, "crate::") {
            used.extend(first_names(rest));
        }
        // As many `super::` as it takes to leave all modules lead to the root as well.
        let root = "super::".repeat(self.modules().len());
        for rest in after(&code, &root) {
            if !rest.starts_with("super::") {
                used.extend(first_names(rest));
            }
        }
        used
    }

    /// Whether a path in it begins with this crate.
    fn names_crate(&self, name: &str) -> bool {
        after(&self.code(), &format!("{name}::")).next().is_some()
    }
}

/// What follows each place where a word stands that is not the end of another.
fn after<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(word).filter_map(move |(at, _)| {
        let before = code[..at].chars().next_back();
        let whole = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        whole.then(|| &code[at + word.len()..])
    })
}

/// `event::Event` → event; `{event::Event, log::{A, B}}` → event, log.
fn first_names(path: &str) -> Vec<String> {
    let name =
        |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut names, mut start) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && !c.is_whitespace() => {
                names.push(name(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

fn engine() -> PathBuf {
    workspace().join("engine/src")
}

/// The engine's sources, without files that hold only tests.
fn engine_sources() -> Vec<Source> {
    let mut sources = sources(&engine());
    // Templates of plug-ins are not the engine's own code.
    sources.retain(|source| {
        let parts = source.modules();
        !parts.iter().any(|part| part == "template" || part == "tests")
    });
    assert!(!sources.is_empty());
    sources
}

/// All sources of the workspace.
fn all_sources() -> Vec<Source> {
    ["engine", "guest-sdk", "plugins", "examples", "tests", "bench", "xtask"]
        .iter()
        .flat_map(|folder| sources(&workspace().join(folder)))
        .collect()
}

fn sources(folder: &Path) -> Vec<Source> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut sources = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources.extend(self::sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(Source { text: fs::read_to_string(&path).unwrap(), path });
        }
    }
    sources
}
