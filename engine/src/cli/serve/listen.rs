//! Where `serve` listens: an address, if it is safe or the risk is accepted.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::Result;
use tokio::net::TcpListener;

use crate::cli::exit::{Exit, Failure};

/// The port that messages suggest.
const PORT: u16 = 8080;

/// Listens, if that is safe or allowed.
pub(super) async fn listen(text: &str, exposed: bool) -> Result<TcpListener> {
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
async fn resolve(text: &str) -> Result<Vec<SocketAddr>, Failure> {
    let wrong = |what: String, hint: String| Err(Failure::new(Exit::Usage, what).hint(hint));
    let no_address = || format!("\"{text}\" is no address to listen on");
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]);
    }
    if let Some((_, address)) = text.split_once("://") {
        return wrong(
            format!("\"{text}\" is a URL, no address to listen on"),
            format!("write {}", address.trim_end_matches('/')),
        );
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        let address = SocketAddr::new(ip, PORT);
        return wrong(format!("{}: it has no port", no_address()), format!("write {address}"));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => (host, port),
        _ if text.is_empty() || text.starts_with(':') => {
            return wrong(no_address(), format!("write it like 127.0.0.1:{PORT}"));
        }
        _ => {
            return wrong(format!("{}: it has no port", no_address()), format!("write {text}:{PORT}"));
        }
    };
    if port.parse::<u16>().is_err() {
        return wrong(
            format!("{}: \"{port}\" is no port", no_address()),
            format!("a port is a number from 0 to 65535, as in {host}:{PORT}"),
        );
    }
    match tokio::net::lookup_host(text).await.map(Iterator::collect::<Vec<_>>) {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        found => {
            let reason = found.err().map(|error| format!(" ({error})")).unwrap_or_default();
            wrong(
                format!("{}: the host {host} is not known here{reason}", no_address()),
                format!("name an address of this machine, like 127.0.0.1:{PORT}"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(error: anyhow::Error) -> (Exit, String) {
        (crate::cli::exit::exit_of(&error), error.to_string())
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
}
