//! `cargo xtask demo`: the history of a git repository, projected and served; or
//! `cargo xtask demo sign-up`: accounts and their mails.
//!
//! - `sign_up.rs`: the latter.
//! - `history.rs`: what git tells, as events.
//! - `server.rs`: the program, started and waited for.
//! - `answers.rs`: the first few answers.

mod answers;
mod history;
mod server;
mod sign_up;

use std::{
    fs,
    io::BufWriter,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use history::Repository;
use server::Server;

use crate::{
    args::Args,
    components::{self, Which},
    step, workspace,
};

pub(crate) const HELP: &str = "\
Usage: cargo xtask demo [--repo DIR | --events FILE] [--data DIR] [--listen ADDR] [--once]
       cargo xtask demo sign-up [--listen ADDR] [--once]

Imports the history of the repository that this folder belongs to, drops in the
plug-ins of plugins/ and examples/, prints a first few answers and the URLs to
try, and serves until ctrl-c.

With `sign-up`, it runs examples/sign-up instead: accounts are created, mails sent
by a service that goes down and comes up again, and who does not activate the
account is reminded.

  --repo DIR     the history of another repository
  --events FILE  events instead: NDJSON, plain or gzip
  --data DIR     keep the data there (otherwise it begins anew in target/demo)
  --listen ADDR  where to serve, otherwise 127.0.0.1:8080, or a free port
  --once         end after the answers
";

/// Where to serve unless told, as `projectionist serve` does.
const LISTEN: &str = "127.0.0.1:8080";

pub(crate) fn run(mut args: Args) -> Result<()> {
    let repository = args.path("--repo")?;
    let events = args.path("--events")?;
    let data = args.path("--data")?;
    let listen = args.option::<String>("--listen")?;
    let once = args.flag("--once");
    let words = args.words()?;
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {}
        ["sign-up"] if repository.is_none() && events.is_none() && data.is_none() => {
            return sign_up::run(listen, once);
        }
        ["sign-up"] => bail!("sign-up takes only --listen and --once"),
        [other, ..] => bail!("there is no demo \"{other}\": there is `sign-up`, and that without a name"),
    }
    if repository.is_some() && events.is_some() {
        bail!("--repo and --events exclude each other");
    }

    let folder = workspace::target().join("demo");
    let data = match data {
        Some(data) => data,
        None => fresh(&folder.join("data"))?,
    };
    // What can be wrong with the history is said before anything is compiled.
    let source = match events {
        Some(file) if file.is_file() => Source::Events(file),
        Some(file) => bail!("there is no file {}", file.display()),
        None => {
            let folder =
                repository.map_or_else(|| std::env::current_dir().context("no current folder"), Ok)?;
            Source::Repository(Repository::open(&folder)?)
        }
    };

    eprintln!("building the program and the plug-ins (the first time takes some minutes)");
    let program = workspace::build_program("dev")?;
    let built = components::build(Which::Demo)?;
    let plugins = fresh(&folder.join("plugins"))?;

    let events = source.events(&folder)?;
    let mut server =
        Server::start(&program, &data, &plugins, listen.as_deref().unwrap_or(LISTEN), listen.is_some())?;
    server.import(&events)?;
    for name in &built.names {
        let file = format!("{name}.wasm");
        fs::copy(built.folder.join(&file), plugins.join(&file))?;
    }
    server.wait_until_live(&built.names)?;
    answers::show(&server)?;
    if once {
        return server.stop();
    }
    eprintln!("\nserving until ctrl-c");
    server.wait()
}

enum Source {
    Repository(Repository),
    Events(PathBuf),
}

impl Source {
    /// The file of events to import.
    fn events(self, folder: &Path) -> Result<PathBuf> {
        let repository = match self {
            Source::Events(file) => return Ok(file),
            Source::Repository(repository) => repository,
        };
        eprintln!("reading the history of {} ({} commits)", repository.name, repository.commits);
        let file = folder.join("history.ndjson");
        let started = step::now();
        let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(&file)?);
        let events = repository.write_events(&mut out)?;
        eprintln!("{events} events in {:.1} s", started.elapsed().as_secs_f64());
        Ok(file)
    }
}

/// An empty folder.
fn fresh(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("could not empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder)?;
    Ok(folder.to_owned())
}
