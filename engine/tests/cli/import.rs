//! `import`: batches that are larger than the log takes.

use super::*;

/// How many events an import read and how many were new.
fn imported(folder: &Path, arguments: &[&str]) -> [u64; 2] {
    let told: serde_json::Value =
        serde_json::from_str(&succeeded(folder, &[&["import", "--json"], arguments].concat())).unwrap();
    ["read", "new"].map(|name| told[name].as_u64().unwrap())
}

/// An event of about so many bytes.
fn large(id: usize, bytes: usize) -> String {
    let data = "x".repeat(bytes);
    format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t","data":"{data}"}}"#)
}

#[test]
fn a_batch_that_the_server_does_not_take_is_sent_in_parts() {
    for limit in ["--max-batch-events=7", "--max-batch-bytes=2000"] {
        let folder = tempfile::tempdir().unwrap();
        write_events(&folder.path().join("events.ndjson"), 100);
        let _server = Server::start(folder.path(), &[limit]);
        assert_eq!(imported(folder.path(), &["events.ndjson"]), [100, 100], "{limit}");
        let exported = succeeded(folder.path(), &["export"]);
        let ids: Vec<String> = exported
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().into()
            })
            .collect();
        assert_eq!(ids, (1..=100).map(|id| id.to_string()).collect::<Vec<_>>(), "{limit}: in order");
    }
}

/// The server answers before it has read all of such a request.
#[test]
fn a_batch_far_larger_than_the_server_takes_is_sent_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..3_000).map(|id| large(id, 1_000)).collect();
    fs::write(folder.path().join("events.ndjson"), lines.join("\n")).unwrap();
    let _server = Server::start(folder.path(), &["--max-batch-bytes=65536"]);
    assert_eq!(imported(folder.path(), &["events.ndjson"]), [3_000, 3_000]);
}

#[test]
fn so_is_one_that_the_folder_does_not_take() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("projectionist.toml"), "max-batch-bytes = 100\nmax-batch-events = 7")
        .unwrap();
    write_events(&folder.path().join("events.ndjson"), 100);
    assert_eq!(imported(folder.path(), &["events.ndjson"]), [100, 100]);
}

#[test]
fn an_event_that_is_too_large_is_named_with_the_limit() {
    let lines = [event(1), event(2), large(3, 5_000), event(4)].join("\n");
    let check = |folder: &Path, limit: &str| {
        let (code, error) = failed(folder, &["import", "events.ndjson"]);
        assert_eq!(code, 5, "{error}");
        for part in ["events.ndjson, line 3", "\"3\"", limit] {
            assert!(error.contains(part), "no {part} in: {error}");
        }
    };
    for limit in ["--max-event-bytes=1000", "--max-batch-bytes=1000"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("events.ndjson"), &lines).unwrap();
        let _server = Server::start(folder.path(), &[limit]);
        check(folder.path(), limit.split('=').next().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("events.ndjson"), &lines).unwrap();
    fs::write(folder.path().join("projectionist.toml"), "max-event-bytes = 1000").unwrap();
    check(folder.path(), "max-event-bytes");
}
