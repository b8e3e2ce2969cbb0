//! Fixtures that `fixture` writes of history: they pass at once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::fs;

use projectionist_tests::{Server, components, history, program, wait};
use serde_json::{Value, json};

/// What is written of history passes at once, of a running server and of a folder.
#[test]
fn a_fixture_of_history_passes() {
    let mut server = Server::start();
    let history = history::generated(300);
    server.run(&["import", history.file.to_str().unwrap()]).ok();
    let events = server.get("/events?type=git.file.modified&limit=1").ok();
    let subject = events["events"][0]["subject"].as_str().expect("a file").to_owned();
    let component = components::path("churn");
    let component = component.to_str().unwrap();
    let write = |server: &Server, file: &str, more: &[&str]| {
        let arguments = ["fixture", "--from-log", "--subject", &subject, "--output", file];
        server.run(&[&arguments[..], more].concat()).ok();
        fs::read_to_string(server.folder().join(file)).unwrap()
    };
    let passes = |server: &Server, file: &str| {
        let ended = server.run(&["test", component, file]);
        assert!(ended.clone().ok().contains("1 passed"), "{ended:#?}");
    };
    let bare = write(&server, "bare.yaml", &[]);
    assert!(!bare.contains("expect") && bare.contains("from a log"), "{bare}");
    let last = write(&server, "last.yaml", &["--plugin", component]);
    assert_eq!(last.matches("expect:").count(), 1, "{last}");
    assert!(last.contains("events about other subjects"), "{last}");
    let each = write(&server, "each.json", &["--plugin", "churn", "--component", component, "--each"]);
    let steps = serde_json::from_str::<Value>(&each).unwrap()["steps"].as_array().unwrap().len();
    let few = write(&server, "few.yaml", &["--plugin", component, "--each", "--limit", "1"]);
    assert!(few.contains("The first 1 event about") && few.matches("expect:").count() == 1, "{few}");
    for file in ["bare.yaml", "last.yaml", "each.json", "few.yaml"] {
        passes(&server, file);
    }
    // A plug-in that does something else does not pass.
    let changed = last.replace("last_author: ", "last_author: nobody like ");
    fs::write(server.folder().join("changed.yaml"), changed).unwrap();
    assert_eq!(server.run(&["test", component, "changed.yaml"]).code, Some(1));
    let unknown = server.run(&["fixture", "--from-log", "--subject", "nobody"]);
    assert_eq!(unknown.code, Some(4), "{}", unknown.errors);
    assert!(server.stop());
    let data = server.data();
    let arguments =
        ["fixture", "--from-log", "--subject", &subject, "--format", "json", "--each", "-p", component];
    let ended =
        program::run_in(server.folder(), arguments.iter().copied().chain(["--data", data.to_str().unwrap()]));
    let fixture: Value = ended.json();
    assert_eq!(fixture["steps"].as_array().unwrap().len(), steps, "the same as from the server");
}

/// What a reaction has appended is not given to it again: it appends it itself.
#[test]
fn a_fixture_of_a_reactions_history_passes() {
    let server = Server::start();
    server.configure("reminder", "[values]\nmail-service = \"https://mail.example\"\n");
    server.drop_in("welcome");
    let about = |id: &str, event_type: &str, data: Value| {
        json!({"specversion": "1.0", "id": id, "source": "/test", "type": event_type, "subject": "account/ann",
               "time": format!("2026-05-0{id}T10:00:00Z"), "data": data})
    };
    server.client().append(&[
        about("1", "account.created", json!({"mail": "ann@example.org"})),
        about("2", "activation-mail.sent", json!({})),
        about("7", "account.activated", json!({})),
    ]);
    server.until_live("welcome");
    wait::until_true("the reaction has answered", || server.head() == 4);
    let settings = "[[http.allow]]\nhost = \"https://mail.example\"\nmethods = [\"POST\"]\n\
                    [secrets.mail-token]\nenv = \"NOBODY_SETS_THIS\"\nhosts = [\"https://mail.example\"]\n\
                    [values]\nmail-service = \"https://mail.example\"\n";
    let here = server.folder().join("components");
    fs::create_dir(&here).unwrap();
    for plugin in ["welcome", "reminder"] {
        let component = here.join(format!("{plugin}.wasm"));
        fs::write(&component, components::bytes(plugin)).unwrap();
        fs::write(component.with_extension("toml"), settings).unwrap();
        let (component, file) = (component.to_str().unwrap(), format!("{plugin}.yaml"));
        let arguments =
            ["fixture", "--from-log", "--subject", "account/ann", "--each", "-p", component, "-o", &file];
        server.run(&arguments).ok();
        let written = fs::read_to_string(server.folder().join(&file)).unwrap();
        let ended = server.run(&["test", component, &file]);
        assert_eq!(ended.code, Some(0), "{written}\n{ended:#?}");
        let given_again = written.contains("source: /reactions/welcome");
        assert_eq!(given_again, plugin != "welcome", "only to others: {written}");
        // Between the second event and the third the reminder was due.
        assert_eq!(written.contains("POST https://mail.example/send"), plugin == "reminder", "{written}");
    }
}
