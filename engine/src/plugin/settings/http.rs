//! What a reaction may call over HTTP, and how.
//!
//! ```toml
//! [http]
//! timeout = "10s"                      # for one call, until its response is complete
//! [[http.allow]]
//! host = "https://*.mail.example"      # scheme, name and port; `*.` for its subdomains
//! methods = ["POST"]
//! [http.breaker]
//! failures = 10
//! ```
//!
//! What no entry names is refused.

use std::{fmt, net::IpAddr, time::Duration};

use http::{Method, Uri};
use serde::{Deserialize, Deserializer, de};

use super::{SettingsError, duration, size};
use crate::plugin::units::format_size;

/// What a reaction may call over HTTP, and how.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Http {
    /// What it may call: the first that fits.
    pub allow: Vec<Allowed>,
    /// How long a call may take, until its response is complete.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// Bytes of a request's body.
    #[serde(deserialize_with = "size")]
    pub request_body: u64,
    /// Bytes of a response's body.
    #[serde(deserialize_with = "size")]
    pub response_body: u64,
    /// How many calls one event may lead to.
    pub calls: u32,
    /// When a host that fails is left alone.
    pub breaker: Breaker,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            timeout: Duration::from_secs(10),
            request_body: 1 << 20,
            response_body: 1 << 20,
            calls: 16,
            breaker: Breaker::default(),
        }
    }
}

/// A host that a reaction may call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Allowed {
    /// Which.
    pub host: HostPattern,
    /// With which methods.
    #[serde(deserialize_with = "methods")]
    pub methods: Vec<Method>,
    /// Whether its name may stand for private addresses.
    #[serde(default)]
    pub private: bool,
}

/// When a host that fails is left alone, and for how long.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Breaker {
    /// After so many failures in a row it is left alone …
    pub failures: u32,
    /// … for so long; then one call tries it. Twice as long after each that fails …
    #[serde(deserialize_with = "duration")]
    pub first: Duration,
    /// … but no longer than this.
    #[serde(deserialize_with = "duration")]
    pub most: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 10, first: Duration::from_secs(1), most: Duration::from_secs(60) }
    }
}

/// Hosts by scheme, name and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    https: bool,
    name: Name,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Address(IpAddr),
    /// In lower case.
    Exactly(String),
    /// With the dot before it.
    SubdomainsOf(String),
}

/// Why a call is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// No entry names the host.
    #[error("{host} is not allowed: the settings file names it in no [[http.allow]]")]
    Host {
        /// Scheme, name and port.
        host: String,
    },
    /// Entries name the host with other methods.
    #[error("{method} to {host} is not allowed: [[http.allow]] in the settings file names other methods")]
    Method {
        /// Which was asked for.
        method: Method,
        /// Scheme, name and port.
        host: String,
    },
    /// Nothing that can be called.
    #[error("{uri} is no URL that can be called: {reason}")]
    Url {
        /// What was asked for.
        uri: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Http {
    /// The entry that allows a call.
    pub fn allowed(&self, method: &Method, uri: &Uri) -> Result<&Allowed, NotAllowed> {
        let host = Host::of(uri).map_err(|reason| NotAllowed::Url { uri: uri.to_string(), reason })?;
        let mut of_host = self.allow.iter().filter(|allowed| allowed.host.matches(&host)).peekable();
        if of_host.peek().is_none() {
            return Err(NotAllowed::Host { host: host.to_string() });
        }
        of_host
            .find(|allowed| allowed.methods.contains(method))
            .ok_or_else(|| NotAllowed::Method { method: method.clone(), host: host.to_string() })
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let range = |field, value: String, range: &str| {
            Err(SettingsError::Range { field, value, range: range.to_owned() })
        };
        if self.timeout < Duration::from_millis(10) || self.timeout > Duration::from_secs(3600) {
            return range("http.timeout", format!("{:?}", self.timeout), "from 10ms to 1h");
        }
        for (field, value) in
            [("http.request-body", self.request_body), ("http.response-body", self.response_body)]
        {
            if value > 64 << 20 {
                return range(field, format_size(value), "at most 64 MiB");
            }
        }
        if !(1..=10_000).contains(&self.calls) {
            return range("http.calls", self.calls.to_string(), "from 1 to 10000");
        }
        let Breaker { failures, first, most } = self.breaker;
        if failures == 0 {
            return range("http.breaker.failures", failures.to_string(), "at least 1");
        }
        if first < Duration::from_millis(10) || first > most {
            return range("http.breaker.first", format!("{first:?}"), "from 10ms to http.breaker.most");
        }
        Ok(())
    }
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host {
    https: bool,
    /// In lower case; an address in its usual form, without brackets.
    name: String,
    port: u16,
}

impl Host {
    /// That of a URL; or what is wrong with it.
    pub fn of(uri: &Uri) -> Result<Self, &'static str> {
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("it begins neither with https:// nor with http://"),
        };
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("a URL must not contain a user's name; use a header");
        }
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        if name.is_empty() {
            return Err("it names no host");
        }
        let name = name.parse::<IpAddr>().map_or_else(|_| name.to_owned(), |address| address.to_string());
        let port = match authority.as_str().rsplit_once(':') {
            // The last colon of an address in brackets is its own.
            Some((_, port)) if !port.ends_with(']') => port.parse().map_err(|_| "its port is no number")?,
            _ if https => 443,
            _ => 80,
        };
        Ok(Self { https, name, port })
    }

    /// The address that it names, if it names one and no name.
    pub fn address(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { https, name, port } = self;
        let scheme = if *https { "https" } else { "http" };
        let (open, close) = if name.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{name}{close}")?;
        match (https, port) {
            (true, 443) | (false, 80) => Ok(()),
            _ => write!(f, ":{port}"),
        }
    }
}

impl HostPattern {
    /// Whether a host is one of these.
    pub fn matches(&self, host: &Host) -> bool {
        let is_named = match &self.name {
            Name::Address(address) => host.address() == Some(*address),
            Name::Exactly(name) => *name == host.name,
            Name::SubdomainsOf(domain) => {
                host.name.len() > domain.len() && host.name.ends_with(domain.as_str())
            }
        };
        is_named && self.https == host.https && self.port == host.port
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |reason: &str| {
            format!(
                "{text:?} is no host: {reason}; write it like \"https://api.example.com\" or \"http://127.0.0.1:8025\""
            )
        };
        let (subdomains, plain) = match text.split_once("://*.") {
            Some((scheme, rest)) => (true, format!("{scheme}://{rest}")),
            None => (false, text.to_owned()),
        };
        if plain.contains('*') {
            return Err(wrong("a `*` stands for subdomains only, at the beginning of the name"));
        }
        let uri: Uri = plain.parse().map_err(|_| wrong("that is no URL"))?;
        let host = Host::of(&uri).map_err(wrong)?;
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") || plain.ends_with('/') {
            return Err(wrong("a host has no path"));
        }
        let name = match (host.address(), subdomains) {
            (Some(_), true) => return Err(wrong("an address has no subdomains")),
            (Some(address), false) => Name::Address(address),
            (None, true) => Name::SubdomainsOf(format!(".{}", host.name)),
            (None, false) => Name::Exactly(host.name),
        };
        Ok(Self { https: host.https, name, port: host.port })
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn methods<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Method>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    if names.is_empty() {
        return Err(de::Error::custom("no methods: name at least one, like \"POST\""));
    }
    let known = |name: &String| {
        const KNOWN: [Method; 7] = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ];
        KNOWN.into_iter().find(|method| method.as_str() == name).ok_or_else(|| {
            de::Error::custom(format!(
                "{name:?} is no method: there are GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS"
            ))
        })
    };
    names.iter().map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(uri: &str) -> Host {
        Host::of(&uri.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_pattern_matches_what_it_names_and_nothing_else() {
        for (pattern, uri, matches) in [
            ("https://api.example.com", "https://api.example.com/v1?x=1", true),
            ("https://api.example.com", "https://API.example.com.", true),
            ("https://api.example.com", "https://api.example.com:443/", true),
            ("https://api.example.com", "http://api.example.com/", false),
            ("https://api.example.com", "https://api.example.com:8443/", false),
            ("https://api.example.com", "https://api.example.com.evil.org/", false),
            ("https://*.example.com", "https://a.b.example.com/", true),
            ("https://*.example.com", "https://example.com/", false),
            ("https://*.example.com", "https://badexample.com/", false),
            ("http://127.0.0.1:8025", "http://127.0.0.1:8025/send", true),
            ("http://127.0.0.1:8025", "http://127.0.0.1/send", false),
            ("http://127.0.0.1:8025", "http://localhost:8025/send", false),
            ("http://[::1]:80", "http://[0:0::1]/", true),
        ] {
            assert_eq!(HostPattern::parse(pattern).unwrap().matches(&host(uri)), matches, "{pattern}: {uri}");
        }
    }

    #[test]
    fn hosts_are_written_as_one_would_type_them() {
        for (uri, shown) in [
            ("https://a.example:443/x", "https://a.example"),
            ("http://a.example:8080", "http://a.example:8080"),
            ("http://[::1]:81/", "http://[::1]:81"),
        ] {
            assert_eq!(host(uri).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_host_says_why() {
        for (text, reason) in [
            ("api.example.com", "https://"),
            ("https://user@api.example.com", "user's name"),
            ("https://api.example.com/v1", "no path"),
            ("https://api.*.com", "subdomains only"),
            ("https://*.127.0.0.1", "no subdomains"),
            ("https://", "no URL"),
        ] {
            let error = HostPattern::parse(text).unwrap_err();
            assert!(error.contains(reason) && error.contains("write it like"), "{text}: {error}");
        }
    }

    #[test]
    fn a_call_is_refused_by_host_or_by_method() {
        let settings = super::super::Settings::parse(
            "[[http.allow]]\nhost = \"https://mail.example\"\nmethods = [\"POST\"]\n",
        )
        .unwrap();
        let allowed = |method: Method, uri: &str| {
            settings.http.allowed(&method, &uri.parse().unwrap()).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(allowed(Method::POST, "https://mail.example/send"), Ok(()));
        let method = allowed(Method::GET, "https://mail.example/send").unwrap_err();
        assert!(method.contains("GET to https://mail.example is not allowed"), "{method}");
        let other = allowed(Method::POST, "https://other.example/send").unwrap_err();
        assert!(other.contains("https://other.example is not allowed"), "{other}");
        assert!(allowed(Method::POST, "ftp://mail.example/").unwrap_err().contains("neither"));
    }
}
