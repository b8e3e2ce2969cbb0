//! The program's command line, from the outside: what needs no server.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
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
