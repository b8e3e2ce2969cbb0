//! Fixtures of the examples and of the documentation: they pass.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{fs, path::Path};

use projectionist_tests::{components, program};

#[test]
fn the_fixtures_of_the_examples_pass() {
    for (example, plugin) in [
        ("git-history", "churn"),
        ("sign-up", "account-page"),
        ("sign-up", "activation-mail"),
        ("sign-up", "reminder"),
        ("sign-up", "welcome"),
    ] {
        let file = program::workspace().join(format!("examples/{example}/fixtures/{plugin}.yaml"));
        let component = components::path(plugin);
        let ended = program::run_in(Path::new("."), [Path::new("test"), &component, &file]);
        assert!(ended.clone().ok().contains(" passed, 0 failed"), "{ended:#?}");
        assert_eq!(ended.errors, "", "nothing to say beside it");
    }
}

/// Each fixture of the documentation, with the plug-in that it is about.
#[test]
fn the_fixtures_of_the_documentation_pass() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[[http.allow]]\nhost = \"https://mail.example\"\nmethods = [\"POST\"]\n\
                    [secrets.mail-token]\nenv = \"NOBODY_SETS_THIS\"\nhosts = [\"https://mail.example\"]\n\
                    [values]\nmail-service = \"https://mail.example\"\n";
    for plugin in ["churn", "activation-mail"] {
        fs::write(folder.path().join(format!("{plugin}.wasm")), components::bytes(plugin)).unwrap();
    }
    fs::write(folder.path().join("activation-mail.toml"), settings).unwrap();
    for (page, count) in [("reference/fixtures.md", 2), ("guide/README.md", 1)] {
        let text = fs::read_to_string(program::workspace().join("docs").join(page)).unwrap();
        let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let fixtures: Vec<&str> = blocks.filter(|block| block.contains("steps:")).collect();
        assert_eq!(fixtures.len(), count, "{page}");
        for fixture in fixtures {
            fs::write(folder.path().join("f.yaml"), fixture).unwrap();
            let plugin = if fixture.contains("git.") { "churn.wasm" } else { "activation-mail.wasm" };
            let ended = program::run_in(folder.path(), ["test", plugin, "f.yaml"]);
            assert_eq!(ended.code, Some(0), "{fixture}\n{}", ended.output);
        }
    }
}
