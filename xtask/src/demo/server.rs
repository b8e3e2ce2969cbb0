//! The program, started and waited for.

use std::{
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{http, step};

const PAUSE: Duration = Duration::from_millis(100);
/// A server that has not answered after so many pauses will not.
const PATIENCE: u32 = 600;

/// A running server; stopped when dropped.
pub(crate) struct Server {
    program: PathBuf,
    child: Child,
    /// Host and port.
    address: String,
}

impl Server {
    /// Starts the program and waits until it answers. Unless `insist`, it takes
    /// a free port when `listen` is taken.
    pub(crate) fn start(
        program: &Path,
        data: &Path,
        plugins: &Path,
        listen: &str,
        insist: bool,
    ) -> Result<Self> {
        let taken = std::net::TcpListener::bind(listen).is_err();
        let listen = if taken && !insist { "127.0.0.1:0" } else { listen };
        let mut command = Command::new(program);
        command.arg("serve").arg("--data").arg(data).arg("--plugins").arg(plugins).args(["--listen", listen]);
        command.stdin(Stdio::null());
        if std::env::var_os("PROJECTIONIST_LOG").is_none() {
            // Its progress is shown here; what goes wrong it says itself.
            command.env("PROJECTIONIST_LOG", "warn");
        }
        let child = command.spawn().with_context(|| format!("could not start {}", program.display()))?;
        let mut server = Self { program: program.to_owned(), child, address: String::new() };
        for _ in 0..PATIENCE {
            server.check()?;
            if let Some(address) = announced(data, server.child.id())
                && http::get(&address, "/healthz").is_ok()
            {
                server.address = address;
                return Ok(server);
            }
            thread::sleep(PAUSE);
        }
        bail!("the server does not answer")
    }

    /// Where it answers.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The program, told to talk to this server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("PROJECTIONIST_URL", self.url());
        command
    }

    /// Imports a file of events, with progress.
    pub(crate) fn import(&mut self, events: &Path) -> Result<()> {
        self.check()?;
        step::run(self.command(&["import"]).arg(events))
    }

    /// Shows how far the plug-ins are until all are live.
    pub(crate) fn wait_until_live(&mut self, names: &[String]) -> Result<()> {
        let started = step::now();
        let mut shown = String::new();
        loop {
            self.check()?;
            let all = http::get(&self.address, "/projections")?;
            let plugins: Vec<&Value> = plugins(&all).collect();
            for plugin in &plugins {
                if ["failed", "halted"].contains(&text(plugin, "health").as_str()) {
                    bail!("the plug-in {} is {}:\n{plugin:#}", text(plugin, "name"), text(plugin, "health"));
                }
            }
            let progress: Vec<String> = names.iter().map(|name| progress(name, &plugins)).collect();
            show(&progress.join("  "), &mut shown);
            if progress.iter().all(|progress| progress.ends_with(LIVE)) {
                eprintln!("\nall live after {:.1} s", started.elapsed().as_secs_f64());
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
    }

    /// Serves until something ends it.
    pub(crate) fn wait(mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended: {status}");
        Ok(())
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the server ended: {status}"),
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server writes into its data folder once it listens.
fn announced(data: &Path, process: u32) -> Option<String> {
    let document: Value = serde_json::from_slice(&fs::read(data.join("server.json")).ok()?).ok()?;
    let ours = document["pid"].as_u64() == Some(process.into());
    let url = document["url"].as_str()?.strip_prefix("http://")?;
    ours.then(|| url.trim_end_matches('/').to_owned())
}

const LIVE: &str = "live";

/// One plug-in's part of the line: `file-churn 43%`.
fn progress(name: &str, plugins: &[&Value]) -> String {
    let Some(plugin) = plugins.iter().find(|plugin| text(plugin, "name") == name) else {
        return format!("{name} –");
    };
    if plugin["health"] == "ok" && plugin["live"].is_string() {
        return format!("{name} {LIVE}");
    }
    let head = plugin["head"].as_f64().unwrap_or_default().max(1.0);
    let versions = plugin["versions"].as_array().into_iter().flatten();
    let positions = versions.filter_map(|version| version["state"]["position"].as_f64());
    let percent = 100.0 * positions.fold(0.0, f64::max) / head;
    format!("{name} {percent:.0}%")
}

/// Rewrites the line on a terminal; elsewhere prints it when it changes.
fn show(line: &str, shown: &mut String) {
    if line == shown {
        return;
    }
    let mut stderr = std::io::stderr();
    let terminal = stderr.is_terminal();
    let written = if terminal { write!(stderr, "\r{line}\x1b[K") } else { writeln!(stderr, "{line}") };
    // Progress that nobody sees is no reason to stop.
    let _ = written.and_then(|()| stderr.flush());
    line.clone_into(shown);
}

fn plugins(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["projections"].as_array().into_iter().flatten()
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
