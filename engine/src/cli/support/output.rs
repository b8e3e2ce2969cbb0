//! Standard output, which may close at any time.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde_json::Value;

use super::{json_table, table::Table};
use crate::cli::logging;

/// The widest a table's cell gets on a terminal.
const WIDEST_CELL: usize = 72;

/// Colours of a terminal, by their codes.
#[derive(Clone, Copy, Debug)]
pub enum Colour {
    /// What is wrong or missing.
    Red = 31,
    /// What is well or there.
    Green = 32,
}

/// Where a command writes its answer. Every write can fail: when the reader
/// has closed the pipe, the command ends quietly (see `exit`).
pub struct Output {
    stream: Box<dyn Write + Send>,
    terminal: bool,
    json: bool,
}

impl Output {
    /// Standard output.
    pub fn standard(json: bool) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Self { stream: Box::new(io::BufWriter::new(stdout)), terminal, json }
    }

    /// Text in a colour, on a terminal whose owner wants colours.
    pub fn painted(&self, colour: Colour, text: &str) -> String {
        match self.terminal && logging::no_color_unset() {
            true => format!("\u{1b}[{}m{text}\u{1b}[0m", colour as u8),
            false => text.to_owned(),
        }
    }

    /// Whether the answer is for machines.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Writes a line.
    pub fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.text(text)?;
        self.stream.write_all(b"\n")
    }

    /// Writes text as it is.
    pub fn text(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.stream.write_all(text.as_ref().as_bytes())
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Writes a table, its cells cut to a readable width on a terminal only.
    pub fn table(&mut self, table: &Table) -> io::Result<()> {
        self.text(table.render(self.widest()))
    }

    /// Writes any JSON for people.
    pub fn shown(&mut self, value: &Value) -> io::Result<()> {
        self.text(json_table::show(value, self.widest()))
    }

    /// Writes JSON for machines: one line.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.stream, value)?;
        self.stream.write_all(b"\n")
    }

    /// Hands over what is still buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }

    fn widest(&self) -> usize {
        if self.terminal { WIDEST_CELL } else { usize::MAX }
    }
}

/// Tells the person something that is not the answer, on standard error.
pub fn note(text: impl AsRef<str>) {
    // There is nobody to tell if standard error is closed.
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}

/// A temporary file is its owner's alone, but the server may run as another user.
#[cfg(unix)]
pub fn readable_by_all(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

/// Elsewhere a temporary file is like any other.
#[cfg(not(unix))]
pub fn readable_by_all(_: &std::fs::File) -> io::Result<()> {
    Ok(())
}
