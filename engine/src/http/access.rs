//! Who may ask a server that listens on this machine only.
//!
//! A page of any site can have a browser on this machine send requests here: to
//! a name of its own that it has led to 127.0.0.1 (DNS rebinding), and then it
//! may even read the answers; or straight to localhost, blindly. So a request
//! must be for a name of this machine, and one that changes something must not
//! come from a page of another site. That is no protection from whoever else
//! runs programs here.

use std::net::{IpAddr, Ipv6Addr};

use axum::{
    extract::Request,
    http::{HeaderValue, Method, header},
};

use super::problem::{Kind, Problem};

/// By which names a server may be asked, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By names of this machine, from its own pages: for a server on a
    /// loopback address.
    Loopback,
    /// By any name, from anywhere: the risk has been accepted.
    Anybody,
}

impl Access {
    /// Refuses a request that may not be made.
    pub(super) fn check(self, request: &Request) -> Result<(), Problem> {
        if self == Self::Anybody {
            return Ok(());
        }
        let headers = request.headers();
        // HTTP/2 and proxies put it into the request line. What has it nowhere is no browser.
        let named = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        let hosts = headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes).chain(named);
        if let Some(foreign) = hosts.into_iter().find(|host| !is_loopback(host)) {
            return Err(foreign_host(&String::from_utf8_lossy(foreign)));
        }
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
            return Ok(());
        }
        let mut origins = headers.get_all(header::ORIGIN).iter().map(HeaderValue::as_bytes);
        match origins.find(|origin| !is_loopback_origin(origin)) {
            Some(foreign) => Err(foreign_origin(&String::from_utf8_lossy(foreign))),
            None => Ok(()),
        }
    }
}

fn is_loopback_origin(origin: &[u8]) -> bool {
    let host = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    host.is_some_and(is_loopback)
}

/// Whether `host` or `host:port` names this machine and no other, whatever DNS
/// says: browsers lead `localhost` and all below it nowhere else.
fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else { return false };
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, ""),
            Some((address, port)) if port.starts_with(':') => (address, &port[1..]),
            _ => return false,
        },
        None => host.split_once(':').unwrap_or((host, "")),
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => is_loopback_v6(address),
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Err(_) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

fn is_loopback_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback())
}

fn foreign_host(host: &str) -> Problem {
    let detail = format!(
        "the request is for the host \"{host}\", but this server answers this machine only: ask it as localhost, \
         127.0.0.1 or [::1], and have a proxy before it send one of these as Host; \
         `serve --allow-unprotected-network` lifts this, with all that it risks"
    );
    Problem::new(Kind::ForeignHost, detail).with("host", host)
}

fn foreign_origin(origin: &str) -> Problem {
    let detail = format!(
        "a page of \"{origin}\" sent this, but only pages of this machine (localhost, 127.0.0.1, [::1]) may change \
         something here; `serve --allow-unprotected-network` lifts this, with all that it risks"
    );
    Problem::new(Kind::ForeignOrigin, detail).with("origin", origin)
}
