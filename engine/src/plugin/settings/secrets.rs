//! What a reaction may use without ever seeing it.
//!
//! ```toml
//! [secrets.mail-token]
//! env = "MAIL_TOKEN"                   # or file = "/run/secrets/mail-token"
//! hosts = ["https://api.mail.example"]
//! ```
//!
//! The reaction writes `{secret:mail-token}` in a header; the host puts in the value,
//! for these hosts only. The value stands in no settings file, and is never written
//! anywhere.

use std::{collections::BTreeMap, env, fmt, fs, path::PathBuf};

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Deserializer, de};

use super::http::{Host, HostPattern};

/// Where a secret's value is, and whom it may be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Secret {
    source: Source,
    hosts: Vec<HostPattern>,
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    Environment(String),
    File(PathBuf),
    /// For a call that reaches nobody.
    StandIn,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::StandIn => f.write_str("a stand-in"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    env: Option<String>,
    file: Option<PathBuf>,
    hosts: Vec<HostPattern>,
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { env, file, hosts } = Written::deserialize(deserializer)?;
        let source = match (env, file) {
            (Some(name), None) => Source::Environment(name),
            (None, Some(path)) => Source::File(path),
            _ => {
                return Err(de::Error::custom(
                    "a secret has its value from an environment variable or a file: name one of the two, as `env` \
                     or `file`",
                ));
            }
        };
        Ok(Self { source, hosts })
    }
}

impl Secret {
    /// Takes another value than the real one, which does not have to be there: for calls
    /// that reach nobody.
    pub(super) fn stand_in(&mut self) {
        self.source = Source::StandIn;
    }

    /// Its value. Never shown: neither are errors that contain it.
    fn value(&self) -> Result<String, String> {
        let Self { source, .. } = self;
        let value = match source {
            Source::StandIn => STAND_IN.to_owned(),
            Source::Environment(name) => env::var(name).map_err(|error| match error {
                env::VarError::NotPresent => format!("{source} is not set"),
                env::VarError::NotUnicode(_) => format!("{source} is no UTF-8"),
            })?,
            Source::File(path) => {
                fs::read_to_string(path).map_err(|error| format!("{source} cannot be read: {error}"))?
            }
        };
        // An editor ends a file with a line end, which is none of the secret.
        let value = value.trim_end_matches(['\r', '\n']);
        match value.is_empty() || HeaderValue::from_str(value).is_err() {
            true => Err(format!("{source} is empty, or holds what cannot stand in a header")),
            false => Ok(value.to_owned()),
        }
    }
}

/// Checks that all secrets have values; or names one that has none, and says why.
pub(in crate::plugin) fn check(secrets: &BTreeMap<String, Secret>) -> Result<(), String> {
    secrets.iter().try_for_each(|(name, secret)| value(name, secret).map(drop))
}

fn value(name: &str, secret: &Secret) -> Result<String, String> {
    secret.value().map_err(|reason| format!("the secret {name:?} has no value: {reason}"))
}

/// Why the values of secrets were not put in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// What is asked for is not allowed.
    #[error("{0}")]
    Refused(String),
    /// There is no value just now.
    #[error("{0}")]
    NoValue(String),
}

/// The values of the secrets that a call has been sent with.
#[derive(Default)]
pub struct SentSecrets {
    /// Name and value, the longest value first: one may be a part of another.
    values: Vec<(String, String)>,
}

impl SentSecrets {
    /// Puts values in place of `{secret:name}` in headers for a host.
    pub fn fill(
        secrets: &BTreeMap<String, Secret>,
        headers: &mut HeaderMap,
        host: &Host,
    ) -> Result<Self, SecretError> {
        let mut sent = Self::default();
        for (header, value) in headers.iter_mut() {
            let Ok(text) = value.to_str() else { continue };
            if !text.contains(OPEN) {
                continue;
            }
            let filled = sent.filled(secrets, text, host).map_err(|error| match error {
                SecretError::Refused(reason) => SecretError::Refused(format!("{header}: {reason}")),
                no_value @ SecretError::NoValue(_) => no_value,
            })?;
            *value = HeaderValue::from_str(&filled)
                .map_err(|_| SecretError::Refused(format!("{header}: no header")))?;
            value.set_sensitive(true);
        }
        sent.values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Ok(sent)
    }

    fn filled(
        &mut self,
        secrets: &BTreeMap<String, Secret>,
        text: &str,
        host: &Host,
    ) -> Result<String, SecretError> {
        let (mut filled, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once(OPEN) {
            let unclosed = || SecretError::Refused(format!("`{OPEN}` without a `}}` behind it"));
            let (name, after) = after.split_once('}').ok_or_else(unclosed)?;
            let unknown = || SecretError::Refused(format!("the settings file names no secret {name:?}"));
            let secret = secrets.get(name).ok_or_else(unknown)?;
            if !secret.hosts.iter().any(|pattern| pattern.matches(host)) {
                return Err(SecretError::Refused(format!(
                    "the secret {name:?} is not for {host}: its `hosts` in the settings file are others"
                )));
            }
            let value = value(name, secret).map_err(SecretError::NoValue)?;
            filled.push_str(before);
            filled.push_str(&value);
            self.values.push((name.to_owned(), value));
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// Takes the values out of what came back, where somebody may have sent them along.
    pub fn redact(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut redacted: Option<Vec<u8>> = None;
        for (name, value) in &self.values {
            let within = redacted.as_deref().unwrap_or(bytes);
            if let Some(replaced) = replaced(within, value.as_bytes(), format!("{OPEN}{name}}}").as_bytes()) {
                redacted = Some(replaced);
            }
        }
        redacted
    }
}

const OPEN: &str = "{secret:";
/// The value of a secret that is never sent.
const STAND_IN: &str = "a-secret-that-is-never-sent";

/// None: it does not occur.
fn replaced(bytes: &[u8], what: &[u8], with: &[u8]) -> Option<Vec<u8>> {
    let mut result: Option<Vec<u8>> = None;
    let (mut copied, mut at) = (0, 0);
    while at + what.len() <= bytes.len() {
        if bytes[at..].starts_with(what) {
            let result = result.get_or_insert_default();
            result.extend_from_slice(&bytes[copied..at]);
            result.extend_from_slice(with);
            at += what.len();
            copied = at;
        } else {
            at += 1;
        }
    }
    if let Some(result) = &mut result {
        result.extend_from_slice(&bytes[copied..]);
    }
    result
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::plugin::settings::Settings;

    #[test]
    fn values_are_put_in_for_their_hosts_and_taken_out_again() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "s3cret").unwrap();
        let settings = Settings::parse(&format!(
            "[secrets.token]\nfile = {:?}\nhosts = [\"https://mail.example\"]\n",
            file.path()
        ))
        .unwrap();
        let host = |uri: &str| Host::of(&uri.parse().unwrap()).unwrap();
        let fill = |value: &str, uri: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", value.parse().unwrap());
            let sent = SentSecrets::fill(&settings.secrets, &mut headers, &host(uri));
            sent.map(|sent| (headers["authorization"].to_str().unwrap().to_owned(), sent))
        };
        let (header, sent) = fill("Bearer {secret:token}", "https://mail.example/").unwrap();
        assert_eq!(header, "Bearer s3cret");
        assert_eq!(fill("plain", "https://mail.example/").unwrap().0, "plain");
        for (value, uri, reason) in [
            ("{secret:token}", "https://other.example/", "not for https://other.example"),
            ("{secret:token}", "http://mail.example/", "not for http://mail.example"),
            ("{secret:none}", "https://mail.example/", "names no secret \"none\""),
            ("{secret:token", "https://mail.example/", "without a `}`"),
        ] {
            let Err(SecretError::Refused(error)) = fill(value, uri).map(drop) else { panic!("{value}") };
            assert!(error.contains(reason) && !error.contains("s3cret"), "{error}");
        }
        assert_eq!(sent.redact(b"nothing of it"), None);
        let redacted = sent.redact(b"<s3cret> s3cret s3cre").unwrap();
        assert_eq!(String::from_utf8(redacted).unwrap(), "<{secret:token}> {secret:token} s3cre");
        // What has gone away meanwhile may be there again the next time.
        drop(file);
        let gone = fill("{secret:token}", "https://mail.example/").map(drop);
        assert!(matches!(gone, Err(SecretError::NoValue(_))), "{gone:?}");
    }

    #[test]
    fn a_secret_without_a_value_says_where_it_was_looked_for() {
        let settings = Settings::parse(
            "[secrets.token]\nenv = \"NOBODY_SETS_THIS\"\nhosts = [\"https://mail.example\"]\n",
        );
        let error = check(&settings.unwrap().secrets).unwrap_err();
        assert_eq!(
            error,
            "the secret \"token\" has no value: the environment variable NOBODY_SETS_THIS is not set"
        );
        let error = Settings::parse("[secrets.token]\nhosts = [\"https://mail.example\"]\n").unwrap_err();
        assert!(error.to_string().contains("name one of the two"), "{error}");
    }
}
