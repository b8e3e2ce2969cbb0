//! Numbers, sizes and addresses on the command line.

use super::*;

#[test]
fn nought_is_refused_where_it_would_do_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("events.ndjson"), "").unwrap();
    for arguments in [
        &["import", "--batch", "0", "events.ndjson"][..],
        &["events", "--limit", "0"],
        &["events", "--follow", "-n", "0"],
        &["get", "name", "table", "--limit", "0"],
        &["run", "--limit", "0", "x.wasm", "events.ndjson"],
        &["serve", "--max-batch-events", "0"],
        &["serve", "--replay-threads", "0"],
    ] {
        let (code, error) = failed(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments:?}: {error}");
        assert!(error.contains("it must be 1 or more"), "{arguments:?}: {error}");
    }
}

#[test]
fn sizes_are_written_as_people_do() {
    let folder = tempfile::tempdir().unwrap();
    // One event of more than 1,000 and less than 2,048 bytes.
    let data = "x".repeat(1_500);
    let line = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"{data}"}}"#);
    fs::write(folder.path().join("events.ndjson"), line).unwrap();
    for (number, (size, fits)) in
        [("2KiB", true), ("2 KiB", true), ("2k", true), ("2048", true), ("1 kB", false), ("1000", false)]
            .into_iter()
            .enumerate()
    {
        let by_flag = format!("flag-{number}");
        let by_file = format!("file-{number}");
        let _server = Server::start(folder.path(), &["--data", &by_flag, "--max-event-bytes", size]);
        let import = |data: &str, arguments: &[&str]| {
            let output = program(folder.path(), &["import", "events.ndjson", "--data", data]);
            let mut output = output;
            told(output.args(arguments).output().unwrap())
        };
        let (code, error) = import(&by_flag, &[]);
        assert_eq!(code == 0, fits, "{size}: {error}");
        fs::write(folder.path().join("s.toml"), format!("max-event-bytes = \"{size}\"")).unwrap();
        let (code, error) = import(&by_file, &["--config", "s.toml"]);
        assert_eq!(code == 0, fits, "{size}: {error}");
    }
    for flag in ["--max-event-bytes", "--max-batch-bytes", "--guest-stack-bytes"] {
        let (code, error) = failed(folder.path(), &["serve", flag, "lots"]);
        assert_eq!((code, error.contains("write it like")), (2, true), "{error}");
        let variable = format!("PROJECTIONIST_{}", flag[2..].replace('-', "_").to_uppercase());
        let mut command = program(folder.path(), &["serve", "--listen", "nonsense"]);
        let (code, error) = told(command.env(&variable, "64 MiB").output().unwrap());
        // The size was understood, so it comes to the address.
        assert_eq!((code, error.contains("nonsense")), (2, true), "{error}");
        fs::write(folder.path().join("s.toml"), format!("{} = \"many\"", &flag[2..])).unwrap();
        let (code, error) = failed(folder.path(), &["serve", "--config", "s.toml"]);
        assert_eq!((code, error.contains("write it like")), (2, true), "{error}");
    }
}

#[test]
fn addresses_that_lack_something_are_told_what() {
    let folder = tempfile::tempdir().unwrap();
    for (address, right) in [
        ("localhost", "localhost:8080"),
        ("127.0.0.1", "127.0.0.1:8080"),
        ("::1", "[::1]:8080"),
        ("[::1]", "[::1]:8080"),
        ("localhost:http", "from 0 to 65535"),
        ("localhost:70000", "from 0 to 65535"),
        ("http://localhost:8080", "localhost:8080"),
        ("no-such-host.invalid:8080", "no-such-host.invalid"),
    ] {
        let (code, error) = failed(folder.path(), &["serve", "--listen", address]);
        assert_eq!(code, 2, "{address}: {error}");
        assert!(error.contains(right), "{address}: {error}");
    }
    let server = Server::start(folder.path(), &["--listen", "localhost:0"]);
    assert!(server.url().starts_with("http://"), "{}", server.url());
}
