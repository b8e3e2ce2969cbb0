//! `export`: events of the log into a file or to standard output.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use super::{
    Context,
    events::Filter,
    exit::{Exit, Failure},
    support::{
        client::Place,
        log::Log,
        output::{Output, note},
        text,
    },
};
use crate::clock;

/// Write events to a file or standard output, one JSON document a line
///
/// What is exported can be imported, into another log too.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write, - for standard output
    #[arg(default_value = "-", value_name = "FILE")]
    file: PathBuf,
    /// Compress it; a FILE that ends in .gz is compressed anyway
    #[arg(long)]
    gzip: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let log = Log::open(&args.place, &context.settings, false).await?;
    let selection = args.filter.selection(usize::MAX)?;
    let gzip = args.gzip || args.file.extension().is_some_and(|extension| extension == "gz");
    let to_stdout = args.file == Path::new("-");
    let started = clock::instant();
    let mut events = 0u64;
    let sink = Sink::open(&args.file, &mut context.output)?;
    let mut writer = Writer::new(sink, gzip);
    log.read(&selection, false, |line| {
        events += 1;
        writer.line(line).with_context(|| format!("{} cannot be written", args.file.display()))
    })
    .await?;
    writer
        .finish()
        .with_context(|| format!("{} cannot be written", args.file.display()))?
        .keep(&args.file)?;
    let elapsed = started.elapsed();
    let told = format!("{} written in {}", text::count(events, "event"), text::duration(elapsed));
    match (to_stdout, context.output.is_json()) {
        (true, _) => note(told),
        (false, true) => {
            context
                .output
                .json(&json!({"events": events, "file": args.file, "seconds": elapsed.as_secs_f64()}))?;
        }
        (false, false) => context.output.line(told)?,
    }
    Ok(())
}

/// Where the bytes go. A file gets its name only when it is whole.
enum Sink<'a> {
    Stdout(&'a mut Output),
    File(BufWriter<File>, tempfile::TempPath),
    /// A device or a pipe, which cannot be replaced.
    Special(BufWriter<File>),
}

impl<'a> Sink<'a> {
    fn open(path: &Path, output: &'a mut Output) -> Result<Self> {
        let context = || format!("{} cannot be written", path.display());
        if path == Path::new("-") {
            return Ok(Self::Stdout(output));
        }
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            let file = File::options().write(true).open(path).with_context(context)?;
            return Ok(Self::Special(BufWriter::new(file)));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let (path, folder) = (path.display(), folder.display());
            let failure =
                Failure::new(Exit::Failed, format!("{path} cannot be written: there is no folder {folder}"));
            return Err(failure.hint("make the folder first, or name another").into());
        }
        let file = tempfile::Builder::new().prefix(".exporting-").tempfile_in(folder);
        // Its own message would name the temporary file, which nobody has asked for; so would those of writes to it.
        let (file, temporary) =
            file.map_err(|error| io::Error::from(error.kind())).with_context(context)?.into_parts();
        Ok(Self::File(BufWriter::with_capacity(1 << 20, file), temporary))
    }

    fn keep(self, path: &Path) -> Result<()> {
        let context = || format!("{} cannot be written", path.display());
        match self {
            Self::Stdout(output) => output.flush()?,
            Self::Special(mut file) => file.flush().with_context(context)?,
            Self::File(file, temporary) => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error).with_context(context)?;
                super::support::output::readable_by_all(&file).with_context(context)?;
                temporary.persist(path).map_err(|error| error.error).with_context(context)?;
            }
        }
        Ok(())
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(output) => output.bytes(bytes).map(|()| bytes.len()),
            Self::File(file, _) => file.write(bytes),
            Self::Special(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(output) => output.flush(),
            Self::File(file, _) => file.flush(),
            Self::Special(file) => file.flush(),
        }
    }
}

enum Writer<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
}

impl<W: Write> Writer<W> {
    fn new(sink: W, gzip: bool) -> Self {
        match gzip {
            true => Self::Gzip(GzEncoder::new(sink, Compression::default())),
            false => Self::Plain(sink),
        }
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let stream: &mut dyn Write = match self {
            Self::Plain(stream) => stream,
            Self::Gzip(stream) => stream,
        };
        stream.write_all(line)?;
        stream.write_all(b"\n")
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(stream) => Ok(stream),
            Self::Gzip(stream) => stream.finish(),
        }
    }
}
