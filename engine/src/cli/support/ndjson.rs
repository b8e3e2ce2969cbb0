//! Lines of events from files and standard input, plain or gzip.
//!
//! A thread of its own reads and parses, so that the log writes at the same
//! time; another one unpacks.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;
use tokio::sync::mpsc;

use super::{ahead::Ahead, text};
use crate::{
    cli::exit::{Exit, Failure},
    event::{Envelope, cloudevents},
};

/// A batch is full at so many events, unless told otherwise …
pub const BATCH_EVENTS: usize = 5_000;
/// … or at so many bytes of JSON.
const BATCH_BYTES: usize = 4 << 20;
/// How many batches may wait for the log.
const WAITING: usize = 4;
/// A longer line is no event, whatever it is; it must not fill the memory.
const LONGEST_LINE: u64 = 64 << 20;
const BUFFER: usize = 256 << 10;

/// A file of events, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// `-` on the command line.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl FromStr for Input {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdin } else { Self::File(text.into()) })
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// What of the lines is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Leave lines out that are no event, instead of ending there.
    pub skip_invalid: bool,
    /// Keep the lines as they are, beside what was parsed.
    pub keep_text: bool,
    /// End after so many events.
    pub limit: Option<u64>,
    /// How many events a batch may hold.
    pub batch_events: Option<usize>,
}

/// Some consecutive events of an input.
#[derive(Debug, Default)]
pub struct Batch {
    /// The events.
    pub events: Vec<Envelope>,
    /// The lines that they stood in, if those were to be kept.
    pub text: Vec<u8>,
    /// Where each event stands.
    pub places: Places,
    /// Lines that were left out before or among these, and why.
    pub skipped: Vec<Failure>,
}

/// Where the events of a batch stand.
#[derive(Debug, Default)]
pub struct Places {
    input: Option<Arc<Input>>,
    /// Line numbers, from 1.
    lines: Vec<u64>,
}

impl Places {
    /// Where an event of the batch stands: `events.ndjson, line 12`.
    pub fn of(&self, event: usize) -> String {
        match (&self.input, self.lines.get(event)) {
            (Some(input), Some(line)) => format!("{input}, line {line}"),
            (Some(input), None) => input.to_string(),
            (None, _) => "the input".to_owned(),
        }
    }

    /// Splits off the places from an event on.
    pub fn split_off(&mut self, event: usize) -> Self {
        Self { input: self.input.clone(), lines: self.lines.split_off(event) }
    }

    /// The first and the last line of the batch.
    pub fn range(&self) -> String {
        match (&self.input, self.lines.first(), self.lines.last()) {
            (Some(input), Some(first), Some(last)) if first == last => format!("{input}, line {first}"),
            (Some(input), Some(first), Some(last)) => format!("{input}, lines {first} to {last}"),
            _ => "the input".to_owned(),
        }
    }
}

/// The batches of all inputs, in order. The last message may be why it ended
/// early; batches before it are whole.
pub struct Batches {
    receiver: mpsc::Receiver<Result<Batch, Failure>>,
    done: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Batches {
    /// Starts to read. A file that is not there is found out at once.
    pub fn read(inputs: Vec<Input>, options: Options) -> Result<Self, Failure> {
        let mut total = Some(0);
        for input in &inputs {
            let size = size(input)?;
            total = total.zip(size).map(|(total, size)| total + size);
        }
        let done = Arc::new(AtomicU64::new(0));
        let (sender, receiver) = mpsc::channel(WAITING);
        let reader = Reader { sender, done: Arc::clone(&done), options, events: 0 };
        let spawned = std::thread::Builder::new().name("events".into()).spawn(|| reader.run(inputs));
        spawned
            .map_err(|error| Failure::new(Exit::Failed, format!("no thread could be started: {error}")))?;
        Ok(Self { receiver, done, total })
    }

    /// The next batch; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Batch, Failure>> {
        self.receiver.recv().await
    }

    /// How many bytes there are in all, if that is known, as they lie in the files.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total
    }

    /// How many bytes have been read.
    pub fn bytes_read(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

fn size(input: &Input) -> Result<Option<u64>, Failure> {
    let Input::File(path) = input else { return Ok(None) };
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(input, &error))?;
    match metadata.is_dir() {
        true => Err(Failure::new(Exit::Input, format!("{input} is a folder")).hint("name the files in it")),
        // A named pipe has no size.
        false => Ok(metadata.is_file().then_some(metadata.len())),
    }
}

fn unreadable(input: &Input, error: &io::Error) -> Failure {
    Failure::new(Exit::Input, format!("{input} cannot be read: {error}"))
}

struct Reader {
    sender: mpsc::Sender<Result<Batch, Failure>>,
    done: Arc<AtomicU64>,
    options: Options,
    events: u64,
}

/// Whoever wanted the batches does not any more, or has enough.
struct Enough;

impl Reader {
    fn run(mut self, inputs: Vec<Input>) {
        for input in inputs {
            match self.read(Arc::new(input)) {
                Ok(()) => {}
                Err(Ok(Enough)) => return,
                Err(Err(failure)) => {
                    let _ = self.sender.blocking_send(Err(failure));
                    return;
                }
            }
        }
    }

    fn read(&mut self, input: Arc<Input>) -> Result<(), Result<Enough, Failure>> {
        let mut lines = self.open(&input).map_err(|error| Err(unreadable(&input, &error)))?;
        let mut last_id = String::new();
        let (mut batch, mut line, mut number) = (Batch::default(), Vec::new(), 0u64);
        let mut bytes = 0;
        loop {
            line.clear();
            number += 1;
            let read = (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut line);
            let read = read.map_err(|error| {
                let id = batch.events.last().map_or(&last_id, |event| &event.id);
                Err(unreadable_after(&input, number - 1, id, &error))
            })?;
            let enough = self.options.limit.is_some_and(|limit| self.events >= limit);
            if read == 0 || enough || self.is_full(&batch, bytes) {
                batch.places.input = Some(Arc::clone(&input));
                if let Some(event) = batch.events.last() {
                    last_id.clone_from(&event.id);
                }
                bytes = 0;
                self.send(std::mem::take(&mut batch))?;
            }
            if enough {
                return Err(Ok(Enough));
            }
            if read == 0 {
                return Ok(());
            }
            let text = trim(&line, number);
            if text.is_empty() {
                continue;
            }
            match parse(text) {
                Ok(event) => {
                    bytes += text.len();
                    self.events += 1;
                    batch.events.push(event);
                    batch.places.lines.push(number);
                    if self.options.keep_text {
                        batch.text.extend_from_slice(text);
                        batch.text.push(b'\n');
                    }
                }
                Err(reason) => {
                    let failure = Failure::new(Exit::Input, format!("{input}, line {number}: {reason}"));
                    if !self.options.skip_invalid {
                        return Err(Err(failure));
                    }
                    batch.skipped.push(failure);
                }
            }
        }
    }

    fn is_full(&self, batch: &Batch, bytes: usize) -> bool {
        let most = self.options.batch_events.unwrap_or(BATCH_EVENTS).max(1);
        batch.events.len() >= most || bytes >= BATCH_BYTES
    }

    fn send(&self, batch: Batch) -> Result<(), Result<Enough, Failure>> {
        if batch.events.is_empty() && batch.skipped.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Ok(batch)).map_err(|_| Ok(Enough))
    }

    /// Opens an input, and unpacks it if it begins as gzip does.
    fn open(&self, input: &Input) -> io::Result<Box<dyn BufRead>> {
        let stream: Box<dyn Read + Send> = match input {
            Input::Stdin => Box::new(io::stdin()),
            Input::File(path) => Box::new(File::open(path)?),
        };
        let mut stream = BufReader::with_capacity(BUFFER, Counted { stream, done: Arc::clone(&self.done) });
        match stream.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
            true => Ok(Box::new(Ahead::of(MultiGzDecoder::new(stream))?)),
            false => Ok(Box::new(stream)),
        }
    }
}

/// An input that could be read up to a line, whose number is 0 if there was none.
/// `id`: of the last event so far, if there was one.
fn unreadable_after(input: &Input, line: u64, id: &str, error: &io::Error) -> Failure {
    let place = match (line, id) {
        (0, _) => "before its first line".to_owned(),
        (line, "") => format!("after line {line}"),
        (line, id) => format!("after line {line} (event \"{}\")", text::printable(id)),
    };
    let failure = Failure::new(Exit::Input, format!("{input} breaks off {place}: {error}"));
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            failure.hint("the gzip file seems to be cut off or damaged")
        }
        _ => failure,
    }
}

/// A line without what surrounds its text.
fn trim(line: &[u8], number: u64) -> &[u8] {
    let line = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
    line.trim_ascii()
}

/// Parses a line, and says what to do where many go wrong the same way.
fn parse(text: &[u8]) -> Result<Envelope, String> {
    if text.len() as u64 >= LONGEST_LINE - 1 {
        return Err("the line is far too long for an event".into());
    }
    let reason = match (text.first(), cloudevents::from_slice(text)) {
        (_, Ok(event)) => return Ok(event),
        (Some(b'['), Err(_)) => {
            "this is a JSON array; write one event a line (jq -c '.[]' does that)".to_owned()
        }
        (Some(b'{'), Err(error)) => match text == b"{" {
            true => "an event must stand in one line (jq -c . does that)".to_owned(),
            // The parser counts lines too, but has seen this one only.
            false => error.to_string().replace(" at line 1 column ", " at column "),
        },
        (_, Err(_)) => "this is no CloudEvent in JSON, which would begin with {".to_owned(),
    };
    Err(reason)
}

struct Counted<R> {
    stream: R,
    done: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.done.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
