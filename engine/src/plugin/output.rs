//! What a guest prints: line by line to `tracing`, and the last lines kept.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// How many lines are kept.
const KEPT_LINES: usize = 200;
/// How much of a line is kept.
const LINE_BYTES: usize = 4096;
/// How many lines a call may write to the log; the rest is counted.
const LOGGED_LINES: usize = 1000;
/// How many lines of a call's `stderr` are searched for the reason of a trap.
const LAST_WORDS: usize = 50;

/// Which of the two streams a line was printed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error; panics too.
    Stderr,
}

/// The last lines that a plug-in has printed, whichever instance it was.
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<(Stream, String)>,
    /// How many lines there were before these.
    forgotten: u64,
}

/// What a plug-in has printed in some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// The last 200 lines, oldest first.
    pub lines: Vec<(Stream, String)>,
    /// How many lines there were before these.
    pub forgotten: u64,
}

impl Output {
    /// The last 200 lines, oldest first.
    pub fn lines(&self) -> Vec<(Stream, String)> {
        self.lock().lines.iter().cloned().collect()
    }

    /// Takes what was printed since this was asked last.
    pub fn take(&self) -> Printed {
        let Kept { lines, forgotten } = std::mem::take(&mut *self.lock());
        Printed { lines: lines.into(), forgotten }
    }

    fn push(&self, stream: Stream, line: String) {
        let mut kept = self.lock();
        if kept.lines.len() == KEPT_LINES {
            kept.lines.pop_front();
            kept.forgotten += 1;
        }
        kept.lines.push_back((stream, line));
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two streams of one instance.
#[derive(Clone)]
pub(super) struct Printer(Arc<Mutex<Printing>>);

struct Printing {
    plugin: Arc<str>,
    output: Output,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// What the current call has printed to `stderr`.
    last_words: VecDeque<String>,
    /// How many lines the current call has printed.
    printed: usize,
}

impl Printer {
    pub(super) fn new(plugin: Arc<str>, output: Output) -> Self {
        Self(Arc::new(Mutex::new(Printing {
            plugin,
            output,
            stdout: Vec::new(),
            stderr: Vec::new(),
            last_words: VecDeque::new(),
            printed: 0,
        })))
    }

    /// One of the streams, to be given to the guest.
    pub(super) fn stream(&self, stream: Stream) -> PrinterStream {
        PrinterStream { printer: self.clone(), stream }
    }

    /// A call begins.
    pub(super) fn begin(&self) {
        let mut printing = self.lock();
        printing.last_words.clear();
        printing.printed = 0;
    }

    /// A call has ended: what is left of a line is a line. Answers what the call
    /// has printed to `stderr`.
    pub(super) fn end(&self) -> Vec<String> {
        let mut printing = self.lock();
        printing.end_line(Stream::Stdout);
        printing.end_line(Stream::Stderr);
        if printing.printed > LOGGED_LINES {
            let left_out = printing.printed - LOGGED_LINES;
            tracing::warn!(target: "plugin", name = &*printing.plugin, "{left_out} more lines, not shown");
        }
        printing.last_words.drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Printing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Printing {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = match stream {
                Stream::Stdout => &mut self.stdout,
                Stream::Stderr => &mut self.stderr,
            };
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = LINE_BYTES.saturating_sub(line.len());
            line.extend_from_slice(&text[..text.len().min(room)]);
            if piece.len() > text.len() {
                // An empty line is a line too, but tells nobody anything.
                self.end_line(stream);
            }
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let line = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        if line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(line);
        // A guest must not move the cursor of the terminal that the log is read on.
        let clean = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        let text: String = text.trim_end_matches('\r').chars().map(clean).collect();
        line.clear();
        self.printed += 1;
        if self.printed <= LOGGED_LINES {
            match stream {
                Stream::Stdout => tracing::info!(target: "plugin", name = &*self.plugin, "{text}"),
                Stream::Stderr => tracing::warn!(target: "plugin", name = &*self.plugin, "{text}"),
            }
        }
        if stream == Stream::Stderr {
            if self.last_words.len() == LAST_WORDS {
                self.last_words.pop_front();
            }
            self.last_words.push_back(text.clone());
        }
        self.output.push(stream, text);
    }
}

/// One of a guest's streams: takes everything at once and never blocks.
#[derive(Clone)]
pub(super) struct PrinterStream {
    printer: Printer,
    stream: Stream,
}

impl IsTerminal for PrinterStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for PrinterStream {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for PrinterStream {
    async fn ready(&mut self) {}
}

impl OutputStream for PrinterStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.printer.lock().write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_kept() {
        let output = Output::default();
        let printer = Printer::new("talks".into(), output.clone());
        printer.begin();
        let write = |stream, text: &str| printer.lock().write(stream, text.as_bytes());
        write(Stream::Stdout, "one\ntw");
        write(Stream::Stderr, "warning: \u{1b}[2Jgone\n\n");
        write(Stream::Stdout, "o\r\nthree");
        assert_eq!(printer.end(), ["warning: \u{fffd}[2Jgone"]);
        let expected = [
            (Stream::Stdout, "one"),
            (Stream::Stderr, "warning: \u{fffd}[2Jgone"),
            (Stream::Stdout, "two"),
            (Stream::Stdout, "three"),
        ];
        assert_eq!(output.lines(), expected.map(|(stream, line)| (stream, line.to_owned())));
    }

    #[test]
    fn neither_many_lines_nor_long_ones_fill_the_memory() {
        let output = Output::default();
        let printer = Printer::new("talks".into(), output.clone());
        for number in 0..1000 {
            printer.lock().write(Stream::Stdout, format!("{number}\n").as_bytes());
        }
        assert_eq!(output.lines().len(), KEPT_LINES);
        assert_eq!(output.lines()[0].1, "800");
        for _ in 0..100 {
            printer.lock().write(Stream::Stdout, "x".repeat(1000).as_bytes());
        }
        printer.end();
        assert_eq!(output.lines().last().map(|(_, line)| line.len()), Some(LINE_BYTES));
        let printed = output.take();
        assert_eq!((printed.lines.len(), printed.forgotten), (KEPT_LINES, 801));
        assert_eq!(output.take(), Printed::default());
    }
}
