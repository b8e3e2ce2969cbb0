//! Files and folders that are not as they should be.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

#[test]
fn an_export_that_cannot_be_written_names_the_file_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    write_events(&folder.path().join("events.ndjson"), 1);
    succeeded(folder.path(), &["import", "events.ndjson"]);
    let (code, error) = failed(folder.path(), &["export", "missing/out.ndjson"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("missing/out.ndjson") && !error.contains(".exporting-"), "{error}");
    assert!(error.contains("there is no folder missing"), "{error}");
}

#[test]
fn a_gzip_file_that_is_cut_off_says_after_which_event() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cut.gz");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    // Random-looking ids, so that it does not all fit into the last few bytes.
    (1..5_000usize)
        .for_each(|id| writeln!(gzip, "{}", event(id.wrapping_mul(0x9E37_79B9_7F4A_7C15))).unwrap());
    let whole = gzip.finish().unwrap();
    for (length, expected) in
        [(whole.len() / 2, " breaks off after line "), (12, "breaks off before its first line")]
    {
        fs::write(&file, &whole[..length]).unwrap();
        let (code, error) = failed(folder.path(), &["import", "cut.gz"]);
        assert_eq!(code, 5, "{error}");
        assert!(error.contains(expected) && !error.contains("line 0"), "{error}");
        assert!(error.contains("cut off or damaged"), "{error}");
        if length > 12 {
            assert!(error.contains("(event \""), "{error}");
        }
    }
}

#[test]
fn files_in_place_of_folders() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for (arguments, what) in [
        (&["serve", "--data", "file"][..], "the data folder file is a file"),
        (&["serve", "--data", "file/data"], "the data folder file/data cannot be created: file is a file"),
        (&["serve", "--plugins", "file"], "the plug-ins folder file is a file"),
        (&["import", "--data", "file", "file"], "the data folder file is a file"),
    ] {
        let (code, error) = failed(folder.path(), &[arguments, &["--log", "off"]].concat());
        assert_eq!(code, 2, "{arguments:?}: {error}");
        assert!(error.contains(what) && error.contains("name a folder"), "{arguments:?}: {error}");
    }
}

#[test]
fn the_greeting_lists_plug_ins_only() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    fs::create_dir_all(plugins.join("folder.wasm")).unwrap();
    for file in ["real.wasm", "not one.wasm", ".hidden.wasm", "README.md", "real.toml"] {
        fs::write(plugins.join(file), "x").unwrap();
    }
    let server = Server::start(folder.path(), &["--log", "off"]);
    let line = server.greeting.iter().find(|line| line.contains("plug-ins")).unwrap();
    assert!(line.ends_with("(real)"), "{line}");
}
