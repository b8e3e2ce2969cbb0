//! `serve`: the engine, and HTTP before it.

mod listen;
mod open_files;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use serde_json::json;

use self::listen::listen;
use super::{
    Context,
    exit::Exit,
    support::{
        folders,
        output::{Output, note},
        presence::Claim,
        text,
        values::at_least_one,
    },
};
use crate::{
    deploy,
    engine::{Engine, EngineSettings},
    http::{self, Access},
    plugin::{ByteSize, Span},
};

/// Run the engine: follow the log, fold it through the plug-ins, answer over HTTP
///
/// Data and plug-ins folders are created where they are missing. Ctrl-c or SIGTERM ends it in an orderly way.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The data folder [default: data]
    #[arg(long, env = "PROJECTIONIST_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// The plug-ins folder [default: plugins]
    #[arg(long, env = "PROJECTIONIST_PLUGINS", value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// The address to listen on, HOST:PORT or a port alone; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "PROJECTIONIST_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// Listen on an address that other machines can reach, and answer by whatever name a request asks,
    /// although everyone who reaches it can read all state and append events
    #[arg(long, env = "PROJECTIONIST_ALLOW_UNPROTECTED_NETWORK")]
    allow_unprotected_network: bool,
    /// How many replays may run at the same time [default: one a processor]
    #[arg(long, env = "PROJECTIONIST_REPLAY_THREADS", value_name = "NUMBER", value_parser = at_least_one)]
    replay_threads: Option<usize>,
    /// The largest event that is taken: 64 KiB, 2 MiB, 1 GB, or a number of bytes [default: 1 MiB]
    #[arg(long, env = "PROJECTIONIST_MAX_EVENT_BYTES", value_name = "SIZE")]
    max_event_bytes: Option<ByteSize>,
    /// How many events may be appended at once [default: 10,000]
    #[arg(long, env = "PROJECTIONIST_MAX_BATCH_EVENTS", value_name = "NUMBER", value_parser = at_least_one)]
    max_batch_events: Option<usize>,
    /// How large the events may be that are appended at once [default: 16 MiB]
    #[arg(long, env = "PROJECTIONIST_MAX_BATCH_BYTES", value_name = "SIZE")]
    max_batch_bytes: Option<ByteSize>,
    /// Refuse events of types that no schema is registered for
    #[arg(long, env = "PROJECTIONIST_REQUIRE_SCHEMAS")]
    require_schemas: bool,
    /// How much stack a plug-in may use [default: 1 MiB]
    #[arg(long, env = "PROJECTIONIST_GUEST_STACK_BYTES", value_name = "SIZE")]
    guest_stack_bytes: Option<ByteSize>,
    /// Verify each projection by itself when there is nothing else to do, so long after the last time: 12h, 7d
    /// [default: never]
    #[arg(long, env = "PROJECTIONIST_VERIFY_EVERY", value_name = "SPAN")]
    verify_every: Option<Span>,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let settings = &context.settings;
    let (data, plugins) = (settings.data(args.data), settings.plugins(args.plugins));
    let exposed = args.allow_unprotected_network || settings.allow_unprotected_network.unwrap_or(false);
    let mut engine_settings = EngineSettings::new(data.clone(), plugins.clone());
    engine_settings.log = settings.log_settings();
    let limits = &mut engine_settings.log;
    limits.max_event_bytes = args.max_event_bytes.map_or(limits.max_event_bytes, ByteSize::in_memory);
    limits.max_batch_events = args.max_batch_events.unwrap_or(limits.max_batch_events);
    limits.max_batch_bytes = args.max_batch_bytes.map_or(limits.max_batch_bytes, ByteSize::in_memory);
    engine_settings.require_schemas = args.require_schemas || settings.require_schemas.unwrap_or(false);
    if let Some(threads) = args.replay_threads.or(settings.replay_threads) {
        // The settings file may say 0.
        engine_settings.replay_threads = threads.max(1);
    }
    if let Some(size) = args.guest_stack_bytes.or(settings.guest_stack_bytes) {
        engine_settings.guest_stack_bytes = size.in_memory();
    }
    engine_settings.verify_every = args.verify_every.or(settings.verify_every).map(|Span(every)| every);
    open_files::allow_all();
    folders::make("plug-ins folder", &plugins)?;
    let claim = Claim::take(&data).await?;
    let listener = listen(&settings.listen(args.listen), exposed).await?;
    let address = listener.local_addr()?;
    let engine = Arc::new(Engine::open(engine_settings).await?);
    // From here on, a signal ends it in an orderly way.
    let signal = Signal::new()?;
    let url = format!("http://{}", reachable(address));
    claim.announce(&url)?;
    greet(&url, &data, &plugins, &engine, &mut context.output)?;
    let access = if exposed { Access::Anybody } else { Access::Loopback };
    let site = |closing| http::site(Arc::clone(&engine), access, closing);
    let served = http::serve(listener, site, signal.received()).await;
    engine.close().await;
    // The log ends its writer; only then may another process take the folder.
    drop(engine);
    drop(claim);
    tracing::info!("closed");
    served.context("the server has failed")
}

/// Where this machine reaches a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        reachable.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    reachable
}

/// Tells where it answers and what it found.
fn greet(url: &str, data: &Path, plugins: &Path, engine: &Engine, output: &mut Output) -> Result<()> {
    let head = engine.log.head();
    let names = deploy::plugins_in(plugins);
    let full = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if output.is_json() {
        output.json(&json!({
            "url": url,
            "pid": std::process::id(),
            "data": full(data),
            "plugins": full(plugins),
            "head": head,
            "found": names,
        }))?;
    } else {
        output.line(format!("Projectionist {} answers at {url}", env!("CARGO_PKG_VERSION")))?;
        output.line(format!("  data      {} ({})", full(data).display(), text::count(head, "event")))?;
        let found = match names.len() {
            0 => "none yet; put a .wasm file there at any time".to_owned(),
            _ => names.join(", "),
        };
        output.line(format!("  plug-ins  {} ({found})", full(plugins).display()))?;
        output.line("ctrl-c ends it")?;
    }
    Ok(output.flush()?)
}

/// What asks the program to end. Made before it is needed, so that none is missed.
struct Signal {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signal {
    fn new() -> Result<Self> {
        #[cfg(unix)]
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate()).context("signals cannot be received")?,
        })
    }

    /// Returns at the first signal. A second one ends the program at once.
    async fn received(mut self) {
        self.next().await;
        note("closing; once more ends it at once");
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(Exit::Failed as i32);
        });
    }

    async fn next(&mut self) {
        let interrupt = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        #[cfg(unix)]
        tokio::select! {
            () = interrupt => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        interrupt.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspecified_addresses_are_reached_by_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(reachable("10.0.0.1:80".parse().unwrap()).to_string(), "10.0.0.1:80");
    }
}
