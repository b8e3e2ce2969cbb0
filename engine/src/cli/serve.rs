//! `serve`: the engine, and HTTP before it.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    Context,
    exit::{Exit, Failure},
    support::{
        output::{Output, note},
        presence::Claim,
        text,
    },
};
use crate::{
    engine::{Engine, EngineSettings},
    http,
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
    /// The address to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "PROJECTIONIST_LISTEN", value_name = "ADDRESS")]
    listen: Option<String>,
    /// Listen on an address that other machines can reach, although everyone who reaches it can read all
    /// state and append events
    #[arg(long, env = "PROJECTIONIST_ALLOW_UNPROTECTED_NETWORK")]
    allow_unprotected_network: bool,
    /// How many replays may run at the same time [default: one a processor]
    #[arg(long, env = "PROJECTIONIST_REPLAY_THREADS", value_name = "NUMBER")]
    replay_threads: Option<usize>,
    /// The largest event that is taken, in bytes [default: 1 MiB]
    #[arg(long, env = "PROJECTIONIST_MAX_EVENT_BYTES", value_name = "BYTES")]
    max_event_bytes: Option<usize>,
    /// How many events may be appended at once [default: 10,000]
    #[arg(long, env = "PROJECTIONIST_MAX_BATCH_EVENTS", value_name = "NUMBER")]
    max_batch_events: Option<usize>,
    /// How many bytes of events may be appended at once [default: 16 MiB]
    #[arg(long, env = "PROJECTIONIST_MAX_BATCH_BYTES", value_name = "BYTES")]
    max_batch_bytes: Option<usize>,
    /// How many bytes of stack a plug-in may use [default: 1 MiB]
    #[arg(long, env = "PROJECTIONIST_GUEST_STACK_BYTES", value_name = "BYTES")]
    guest_stack_bytes: Option<usize>,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let settings = &context.settings;
    let (data, plugins) = (settings.data(args.data), settings.plugins(args.plugins));
    let exposed = args.allow_unprotected_network || settings.allow_unprotected_network.unwrap_or(false);
    let mut engine_settings = EngineSettings::new(data.clone(), plugins.clone());
    engine_settings.log = settings.log_settings();
    let limits = &mut engine_settings.log;
    limits.max_event_bytes = args.max_event_bytes.unwrap_or(limits.max_event_bytes);
    limits.max_batch_events = args.max_batch_events.unwrap_or(limits.max_batch_events);
    limits.max_batch_bytes = args.max_batch_bytes.unwrap_or(limits.max_batch_bytes);
    if let Some(threads) = args.replay_threads.or(settings.replay_threads) {
        engine_settings.replay_threads = threads.max(1);
    }
    if let Some(bytes) = args.guest_stack_bytes.or(settings.guest_stack_bytes) {
        engine_settings.guest_stack_bytes = bytes;
    }
    let claim = Claim::take(&data).await?;
    let listener = listen(&settings.listen(args.listen), exposed).await?;
    let address = listener.local_addr()?;
    let engine = Arc::new(Engine::open(engine_settings).await?);
    // From here on, a signal ends it in an orderly way.
    let signal = Signal::new()?;
    let url = format!("http://{}", reachable(address));
    claim.announce(&url)?;
    greet(&url, &data, &plugins, &engine, &mut context.output)?;
    let served = http::serve(listener, http::router(Arc::clone(&engine)), signal.received()).await;
    engine.close().await;
    // The log ends its writer; only then may another process take the folder.
    drop(engine);
    drop(claim);
    tracing::info!("closed");
    served.context("the server has failed")
}

/// Listens, if that is safe or allowed.
async fn listen(text: &str, exposed: bool) -> Result<TcpListener> {
    let addresses = resolve(text).await?;
    if let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback())
        && !exposed
    {
        let message =
            format!("{text} can be reached from other machines ({}), and nothing protects it", open.ip());
        return Err(Failure::new(Exit::Usage, message)
            .hint(
                "everyone who reaches it can read all state and append events\n\
                 if that is what you want, say so with --allow-unprotected-network",
            )
            .into());
    }
    TcpListener::bind(&addresses[..]).await.map_err(|error| {
        let failure = Failure::new(Exit::Failed, format!("cannot listen on {text}: {}", plain(&error)));
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                failure.hint("choose another port with --listen; 127.0.0.1:0 takes a free one").into()
            }
            io::ErrorKind::PermissionDenied => failure.hint("ports from 1024 on need no rights").into(),
            _ => failure.into(),
        }
    })
}

fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program uses that port".to_owned(),
        _ => error.to_string(),
    }
}

/// The addresses that `host:port`, or a port alone, stands for.
async fn resolve(text: &str) -> Result<Vec<SocketAddr>> {
    let full = match text.trim_start_matches(':').parse::<u16>() {
        Ok(port) => format!("127.0.0.1:{port}"),
        Err(_) => text.to_owned(),
    };
    let addresses: Vec<SocketAddr> = match tokio::net::lookup_host(&full).await {
        Ok(addresses) => addresses.collect(),
        Err(_) => Vec::new(),
    };
    match addresses.is_empty() {
        false => Ok(addresses),
        true => {
            let failure = Failure::new(Exit::Usage, format!("\"{text}\" is no address to listen on"));
            Err(failure.hint("write it like 127.0.0.1:8080").into())
        }
    }
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
    let names = components(plugins);
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

/// The plug-ins that stand in the folder now.
fn components(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut names: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
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

    fn failure(error: anyhow::Error) -> (Exit, String) {
        (super::super::exit::exit_of(&error), error.to_string())
    }

    #[tokio::test]
    async fn only_loopback_unless_the_risk_is_named() {
        for text in ["127.0.0.1:0", "localhost:0", "[::1]:0", "0", ":0"] {
            match listen(text, false).await {
                Ok(listener) => assert!(listener.local_addr().unwrap().ip().is_loopback(), "{text}"),
                // Not every machine speaks IPv6.
                Err(error) => assert!(text.contains("::1"), "{text}: {error}"),
            }
        }
        let (exit, message) = failure(listen("0.0.0.0:0", false).await.unwrap_err());
        assert_eq!(exit, Exit::Usage);
        assert!(message.contains("--allow-unprotected-network"), "{message}");
        assert!(listen("0.0.0.0:0", true).await.is_ok());
    }

    #[tokio::test]
    async fn a_port_in_use() {
        let first = listen("127.0.0.1:0", false).await.unwrap();
        let taken = first.local_addr().unwrap().to_string();
        let (exit, message) = failure(listen(&taken, false).await.unwrap_err());
        assert_eq!(exit, Exit::Failed);
        assert!(message.contains("another program uses that port"), "{message}");
    }

    #[tokio::test]
    async fn nonsense_is_no_address() {
        for text in ["", "nonsense", "127.0.0.1", "127.0.0.1:99999"] {
            assert_eq!(failure(listen(text, false).await.unwrap_err()).0, Exit::Usage, "{text}");
        }
    }

    #[test]
    fn unspecified_addresses_are_reached_by_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(reachable("10.0.0.1:80".parse().unwrap()).to_string(), "10.0.0.1:80");
    }
}
