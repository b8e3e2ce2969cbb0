//! The program on a terminal.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    io::{Read, Write},
    sync::{Arc, Mutex},
    thread,
};

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};
use projectionist_tests::{Server, history, program, wait};

/// The program, on a terminal of its own.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    /// All that it has written.
    written: Arc<Mutex<Vec<u8>>>,
    // As long as it lives, so does the terminal.
    _master: Box<dyn portable_pty::MasterPty + Send>,
}

impl Terminal {
    fn run(server: &Server, arguments: &[&str]) -> Self {
        let size = PtySize { rows: 30, cols: 110, ..PtySize::default() };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program::path());
        command.args(arguments);
        command.cwd(server.folder());
        command.env("TERM", "xterm-256color");
        command.env("PROJECTIONIST_URL", server.client().url());
        let child = pair.slave.spawn_command(command).unwrap();
        let (mut reader, keys) =
            (pair.master.try_clone_reader().unwrap(), pair.master.take_writer().unwrap());
        let written = Arc::new(Mutex::new(Vec::new()));
        let output = Arc::clone(&written);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut piece) {
                output.lock().unwrap().extend_from_slice(&piece[..read]);
            }
        });
        Self { child, keys, written, _master: pair.master }
    }

    /// Presses keys, and waits until something is shown that was not before. Only what changes
    /// is drawn, so that `shown` should have no spaces.
    #[track_caller]
    fn press(&mut self, keys: &str, shown: &str) {
        let before = self.written.lock().unwrap().len();
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.until_shown(before, shown);
    }

    #[track_caller]
    fn until_shown(&self, from: usize, shown: &str) {
        wait::until_true(&format!("\"{shown}\" is shown"), || {
            String::from_utf8_lossy(&self.written.lock().unwrap()[from..]).contains(shown)
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
    }
}

#[test]
fn history_is_stepped_through_with_keys() {
    let server = Server::start();
    server.client().append(&history::whole().first(500));
    server.drop_in("churn");
    server.until_live("churn");
    let mut terminal = Terminal::run(&server, &["step", "churn"]);
    terminal.until_shown(0, "changes:");
    terminal.press("p", "first");
    terminal.press("c", "breakpoint;");
    terminal.press("b", "lift");
    terminal.press("type=git.file.nothing\r", "type=git.file.nothing");
    // The server's own words.
    terminal.press("c", "git.file.added");
    terminal.press("\x1b[C", "type=git.file.nothing");
    terminal.press("q", "\x1b[?1049l");
    let ended = wait::until("it ends", || terminal.child.try_wait().unwrap());
    assert!(ended.success(), "{ended:?}");
}
