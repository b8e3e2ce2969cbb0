//! The program's command line, from the outside: what needs no plug-in.
//!
//! - `access.rs`: who may ask a server.
//! - `import.rs`: `import`, with and without a server.
//! - `files.rs`: files and folders that are not as they should be.
//! - `values.rs`: numbers, sizes and addresses on the command line.
//! - here: all the rest, and how tests run the program.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod access;
mod files;
mod import;
mod values;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use expect_test::expect;

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_projectionist"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PROJECTIONIST_"))
    {
        command.env_remove(name);
    }
    command.current_dir(folder).args(arguments);
    command
}

/// The exit code and standard error.
fn failed(folder: &Path, arguments: &[&str]) -> (i32, String) {
    told(program(folder, arguments).output().unwrap())
}

fn told(output: Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn succeeded(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder, arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["serv"][..],
        &["serve", "--listen", "0.0.0.0:0"],
        &["serve", "--listen", "nonsense"],
        &["import"],
        &["get", "name"],
        &["status", "--url", "localhost:8080"],
        &["query", "name", "query", "no-value"],
        &["events", "--from", "9", "--to", "3"],
        &["new", "Not A Name"],
        &["status", "--config", "missing.toml"],
        &["status", "--log", "what?=?"],
    ] {
        let (code, error) = failed(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments:?}: {error}");
        assert!(error.starts_with("error: "), "{arguments:?}: {error}");
    }
}

#[test]
fn without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let (code, error) = failed(folder.path(), &["status"]);
    assert_eq!(code, 3);
    expect![[r#"
        error: no server works on the data folder data
          start one with `projectionist serve`, or name one with --url http://…
    "#]]
    .assert_eq(&error);
    assert_eq!(failed(folder.path(), &["get", "a", "b", "--url", "http://127.0.0.1:1"]).0, 3);
    assert_eq!(failed(folder.path(), &["export"]).0, 4);
}

#[test]
fn settings_come_from_file_environment_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("projectionist.toml"), "data = \"from-file\"").unwrap();
    assert!(failed(folder.path(), &["status"]).1.contains("data folder from-file"));
    let from_environment = |arguments: &[&str]| {
        told(
            program(folder.path(), arguments).env("PROJECTIONIST_DATA", "from-environment").output().unwrap(),
        )
    };
    assert!(from_environment(&["status"]).1.contains("data folder from-environment"));
    assert!(from_environment(&["status", "--data", "from-flag"]).1.contains("data folder from-flag"));
}

#[test]
fn a_wrong_settings_file_is_told_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("projectionist.toml"), "dat = \"x\"").unwrap();
    let (code, error) = failed(folder.path(), &["status"]);
    assert_eq!(code, 2);
    assert!(error.contains("line 1") && error.contains("unknown field `dat`"), "{error}");
}

#[test]
fn new_writes_a_crate() {
    let folder = tempfile::tempdir().unwrap();
    let told = succeeded(folder.path(), &["new", "order-totals"]);
    assert!(told.starts_with("created the plug-in order-totals in order-totals\n"), "{told}");
    let read = |file: &str| fs::read_to_string(folder.path().join("order-totals").join(file)).unwrap();
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    assert_eq!(manifest["package"]["name"].as_str(), Some("order-totals"));
    assert!(manifest["dependencies"]["projectionist-sdk"]["path"].as_str().unwrap().ends_with("guest-sdk"));
    assert!(manifest.contains_key("workspace") && manifest.contains_key("profile"));
    assert!(read("src/lib.rs").contains("struct OrderTotals {"));
    for file in ["Cargo.toml", "src/lib.rs", "README.md", ".gitignore"] {
        assert!(!read(file).contains("{{"), "{file}");
    }
    let (code, error) = failed(folder.path(), &["new", "order-totals"]);
    assert_eq!((code, error.contains("already there")), (5, true), "{error}");
}

#[test]
fn new_inside_a_workspace_becomes_a_member() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Cargo.toml"), "[workspace]\nmembers = [\"plugins/*\"]").unwrap();
    let told = succeeded(folder.path(), &["new", "plugins/totals", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["name"], "totals");
    let manifest = fs::read_to_string(folder.path().join("plugins/totals/Cargo.toml")).unwrap();
    assert!(!manifest.contains("[workspace]"));
}

#[test]
fn version_and_help() {
    let folder = tempfile::tempdir().unwrap();
    let version: serde_json::Value =
        serde_json::from_str(&succeeded(folder.path(), &["version", "--json"])).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(succeeded(folder.path(), &["--help"]).contains("Exit codes:"));
}

fn event(id: usize) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t","subject":"s","data":{{"n":{id}}}}}"#
    )
}

/// The first `count` events, one a line.
fn write_events(file: &Path, count: usize) {
    let lines: Vec<String> = (1..=count).map(event).collect();
    fs::write(file, lines.join("\n")).unwrap();
}

#[test]
fn what_is_imported_can_be_exported_and_imported_again() {
    let folder = tempfile::tempdir().unwrap();
    write_events(&folder.path().join("events.ndjson"), 3);
    let summary = |arguments: &[&str]| {
        let told: serde_json::Value = serde_json::from_str(&succeeded(folder.path(), arguments)).unwrap();
        ["read", "new", "known", "head"].map(|name| told[name].as_u64().unwrap())
    };
    assert_eq!(summary(&["import", "events.ndjson", "--json"]), [3, 3, 0, 3]);
    assert_eq!(summary(&["import", "events.ndjson", "events.ndjson", "--json"]), [6, 0, 6, 3]);
    succeeded(folder.path(), &["export", "export.gz", "--from", "2"]);
    assert_eq!(fs::read(folder.path().join("export.gz")).unwrap()[..2], [0x1f, 0x8b]);
    assert_eq!(summary(&["import", "export.gz", "--data", "other", "--json"]), [2, 2, 0, 2]);
    let lines = succeeded(folder.path(), &["events", "--reverse", "-n", "1", "--json"]);
    assert!(lines.starts_with(r#"{"specversion":"1.0","id":"3""#), "{lines}");
}

#[test]
fn a_malformed_line_is_told_and_its_batch_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (1..=6).map(|id| if id == 5 { "{}\n".to_owned() } else { event(id) + "\n" }).collect();
    fs::write(folder.path().join("events.ndjson"), text).unwrap();
    let output = program(folder.path(), &["import", "events.ndjson", "--batch", "2"]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.starts_with("before the error: 4 events read, 4 new, 0 already there, "), "{printed}");
    let (code, error) = told(output);
    assert_eq!(code, 5);
    assert!(error.starts_with("error: events.ndjson, line 5: "), "{error}");
    let printed = succeeded(folder.path(), &["import", "events.ndjson", "--skip-invalid"]);
    assert!(printed.starts_with("5 events read, 1 new, 4 already there, 1 left out, "), "{printed}");
}

#[test]
fn whoever_reads_our_output_may_stop() {
    let folder = tempfile::tempdir().unwrap();
    write_events(&folder.path().join("events.ndjson"), 3_000);
    succeeded(folder.path(), &["import", "events.ndjson"]);
    let mut child =
        program(folder.path(), &["export"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(told(output), (0, String::new()));
}

/// A server that is killed when the test ends.
struct Server {
    child: Child,
    greeting: Vec<String>,
}

impl Server {
    /// Starts one on the folder's own data, and reads what it says until it answers.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = program(folder, &["serve"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut greeting = Vec::new();
        for line in lines {
            let last = line == "ctrl-c ends it";
            greeting.push(line);
            if last {
                break;
            }
        }
        Self { child, greeting }
    }

    /// Where it answers.
    fn url(&self) -> &str {
        self.greeting[0].split_once(" answers at ").unwrap().1
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_is_found_by_its_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    assert!(server.url().starts_with("http://127.0.0.1:"), "{}", server.url());

    assert_eq!(succeeded(folder.path(), &["status", "--json"]), "{\"projections\":[]}\n");
    write_events(&folder.path().join("events.ndjson"), 3);
    let told = succeeded(folder.path(), &["import", "events.ndjson"]);
    assert!(told.starts_with("3 events read, 3 new, 0 already there, "), "{told}");
    assert_eq!(succeeded(folder.path(), &["export", "--to", "2"]).lines().count(), 2);
    let (code, error) = failed(folder.path(), &["get", "nobody", "table"]);
    assert_eq!((code, error.contains("nobody")), (4, true), "{error}");
    let (code, error) = failed(folder.path(), &["serve"]);
    assert_eq!((code, error.contains("a server already works on the data folder")), (1, true), "{error}");

    let pid = server.child.id().to_string();
    if cfg!(unix) && Command::new("kill").args(["-TERM", &pid]).status().is_ok_and(|status| status.success())
    {
        assert!(server.child.wait().unwrap().success());
        assert!(!folder.path().join("data/server.json").exists());
        assert_eq!(failed(folder.path(), &["status"]).0, 3);
    }
}
