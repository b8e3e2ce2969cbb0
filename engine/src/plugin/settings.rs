//! The settings file beside a component: `balances.toml` for `balances.wasm`.
//!
//! ```toml
//! [limits]                      # what the component may use
//! memory = "512 MiB"
//! cpu = "2s"                    # in one call
//! [policies]                    # how it is run
//! on-failure = "dead-letter"
//! partitions = 8
//! [retries]                     # how a reaction goes on after a failure
//! attempts = 5
//! [http]                        # what a reaction may call: see `settings/http.rs`
//! [secrets.mail-token]          # what it may use unseen: see `settings/secrets.rs`
//! [values]                      # what the component reads from its environment
//! currency = "EUR"
//! ```
//!
//! Unknown keys are refused: a limit that is misspelt would protect nobody.

pub(super) mod http;
mod retries;
pub(super) mod secrets;

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use serde::{Deserialize, Deserializer, de};

pub use self::{http::Http, retries::Retries, secrets::Secret};
use super::{
    description::OnFailure,
    units::{ByteSize, format_size, parse_duration},
};
use crate::event::Partition;

/// How many instances fold a plug-in's partitions, unless told otherwise: the
/// same on every machine, since another number is another version.
pub(super) const PARTITIONS: usize = 4;

/// Everything that a settings file may say; the default is that of no file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What the plug-in may use.
    pub limits: Limits,
    /// How it is run.
    pub policies: Policies,
    /// How a reaction goes on after a failure.
    pub retries: Retries,
    /// What a reaction may call over HTTP, and how.
    pub http: Http,
    /// What it may use in headers without seeing it.
    pub secrets: BTreeMap<String, Secret>,
    /// What it reads from its environment.
    #[serde(deserialize_with = "scalars")]
    pub values: BTreeMap<String, String>,
}

/// What a plug-in may use, an instance and a call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Bytes of linear memory of an instance.
    #[serde(deserialize_with = "size")]
    pub memory: u64,
    /// Time that one call may compute; waiting for its turn does not count.
    #[serde(deserialize_with = "duration")]
    pub cpu: Duration,
    /// Time that a reaction may take for one event, waiting included.
    #[serde(deserialize_with = "duration")]
    pub time: Duration,
    /// Bytes of keys and values in one flush.
    #[serde(deserialize_with = "size")]
    pub flush: u64,
    /// Bytes that the guest's table cache should keep at most; the SDK's own
    /// default where absent.
    #[serde(deserialize_with = "optional_size")]
    pub cache: Option<u64>,
    /// Entries of an instance's function tables.
    pub table_elements: usize,
    /// Core modules that a component may consist of.
    pub instances: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            cpu: Duration::from_secs(2),
            time: Duration::from_secs(60),
            flush: 256 << 20,
            cache: None,
            table_elements: 100_000,
            instances: 100,
        }
    }
}

/// How a plug-in is run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Policies {
    /// What to do with an event that it cannot fold; absent: what the plug-in
    /// itself says.
    pub on_failure: Option<OnFailure>,
    /// How many instances fold side by side, where the plug-in divides its
    /// events; 4 where absent.
    pub partitions: Option<usize>,
    /// Whether a new version takes over by itself.
    pub deploy: Deploy,
    /// How many earlier versions stand by for a rollback.
    pub keep: usize,
    /// After how many positions a snapshot is taken, to look back; 0: none are.
    pub snapshot_every: u64,
    /// How much of the disk a version's snapshots may take.
    #[serde(deserialize_with = "size")]
    pub snapshot_disk: u64,
    /// While it catches up, commit once so many bytes have changed.
    #[serde(deserialize_with = "size")]
    pub commit_bytes: u64,
    /// While it catches up, take from an instance what it has changed once that
    /// is so many bytes; a quarter of `limits.memory` where absent. Less once its
    /// memory is half full.
    #[serde(deserialize_with = "optional_size")]
    pub flush_bytes: Option<u64>,
    /// While it catches up, commit after so long, or after a few times as long as
    /// the last commit took.
    #[serde(deserialize_with = "duration")]
    pub commit_interval: Duration,
    /// How many events a call gets at most.
    pub block_events: usize,
    /// How many events a reaction handles side by side, each of another lane.
    pub lanes: usize,
    /// A reaction does not act upon events that happened longer ago than this, but
    /// records them as late; absent: it acts upon all.
    #[serde(deserialize_with = "optional_duration")]
    pub late_after: Option<Duration>,
    /// How many events may fail while a reaction makes its tables anew; with more the
    /// version fails.
    pub rebuild_failures: u64,
    /// How long after its last verification a projection is verified by itself;
    /// absent: what holds for all.
    pub verify_every: Option<VerifyEvery>,
}

/// When a projection is verified by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyEvery {
    /// It is not.
    Never,
    /// So long after the last time.
    Span(Duration),
}

impl<'de> Deserialize<'de> for VerifyEvery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "never" => Ok(Self::Never),
            text => parse_duration(text)
                .map(Self::Span)
                .map_err(|reason| de::Error::custom(format!("{reason}; or \"never\""))),
        }
    }
}

/// When a new version takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deploy {
    /// As soon as it has caught up.
    #[default]
    Auto,
    /// When it is told to; until then it is on trial, beside the live version.
    Manual,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            on_failure: None,
            partitions: None,
            deploy: Deploy::Auto,
            keep: 1,
            snapshot_every: 1_000_000,
            snapshot_disk: 1 << 30,
            commit_bytes: 64 << 20,
            flush_bytes: None,
            commit_interval: Duration::from_secs(5),
            block_events: 4096,
            lanes: 32,
            late_after: None,
            rebuild_failures: 50,
            verify_every: None,
        }
    }
}

/// A settings file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not TOML, an unknown key or a value of the wrong form.
    #[error("line {line} of the settings: {reason}")]
    Line {
        /// Where, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A value outside its range.
    #[error("{field} in the settings is {value}: it must be {range}")]
    Range {
        /// `limits.memory`
        field: &'static str,
        /// What the file says.
        value: String,
        /// What would be right.
        range: String,
    },
    /// A value that cannot be an environment variable.
    #[error("values.{name:?} in the settings {reason}")]
    Value {
        /// Its name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
}

/// The variable that tells the SDK how much its table cache may keep.
pub const CACHE_VARIABLE: &str = "PROJECTIONIST_CACHE_BYTES";
/// The variable that tells an instance which partition it folds, as `1/4` to
/// `4/4`; absent where it folds all events, and where it answers queries.
pub(super) const PARTITION_VARIABLE: &str = "PROJECTIONIST_PARTITION";

impl Settings {
    /// Reads a settings file.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = toml::from_str(text).map_err(|error| SettingsError::Line {
            line: error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count()),
            reason: error.message().trim().replace('\n', " "),
        })?;
        settings.check()?;
        Ok(settings)
    }

    /// Settings for a plug-in whose calls reach nobody: its secrets need no values.
    pub fn with_stand_ins(mut self) -> Self {
        self.secrets.values_mut().for_each(Secret::stand_in);
        self
    }

    /// A canonical text of those settings that can change what is folded, or how
    /// its state lies on disk. They belong to the version: another text is another
    /// version.
    pub fn identity(&self) -> String {
        let on_failure = match self.policies.on_failure {
            None => "plug-in",
            Some(OnFailure::Halt) => "halt",
            Some(OnFailure::DeadLetter) => "dead-letter",
            Some(OnFailure::HoldLane) => "hold-lane",
        };
        let mut text = format!("on-failure: {on_failure}\n");
        if let Some(partitions) = self.policies.partitions {
            writeln!(text, "partitions: {partitions}").expect("a String takes any text");
        }
        for (name, value) in &self.values {
            writeln!(text, "{name:?} = {value:?}").expect("a String takes any text");
        }
        text
    }

    /// The environment of the guest.
    pub(super) fn environment(&self, partition: Partition) -> Vec<(String, String)> {
        let cache = self.limits.cache.map(|bytes| (CACHE_VARIABLE.to_owned(), bytes.to_string()));
        let Partition { index, count } = partition;
        let part = (!partition.is_whole())
            .then(|| (PARTITION_VARIABLE.to_owned(), format!("{}/{count}", index + 1)));
        self.values.clone().into_iter().chain(cache).chain(part).collect()
    }

    fn check(&self) -> Result<(), SettingsError> {
        let Limits { memory, cpu, time, flush, table_elements, instances, cache } = self.limits;
        let size = |field, value: u64, least: u64, most: u64| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(SettingsError::Range {
                field,
                value: format_size(value),
                range: format!("from {} to {}", format_size(least), format_size(most)),
            }),
        };
        let count = |field, value: usize, least: usize, most: usize| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(SettingsError::Range {
                field,
                value: value.to_string(),
                range: format!("from {least} to {most}"),
            }),
        };
        size("limits.memory", memory, 1 << 20, 4 << 30)?;
        size("limits.flush", flush, 1 << 10, 2 << 30)?;
        size("limits.cache", cache.unwrap_or(1 << 20), 0, 4 << 30)?;
        count("limits.table-elements", table_elements, 1, 10_000_000)?;
        count("limits.instances", instances, 1, 10_000)?;
        if cpu < Duration::from_millis(20) || cpu > Duration::from_secs(3600) {
            return Err(SettingsError::Range {
                field: "limits.cpu",
                value: format!("{cpu:?}"),
                range: "from 20ms to 1h".to_owned(),
            });
        }
        if time < Duration::from_millis(100) || time > Duration::from_secs(24 * 3600) {
            return Err(SettingsError::Range {
                field: "limits.time",
                value: format!("{time:?}"),
                range: "from 100ms to 24h".to_owned(),
            });
        }
        count("policies.partitions", self.policies.partitions.unwrap_or(1), 1, 64)?;
        count("policies.keep", self.policies.keep, 0, 100)?;
        count("policies.block-events", self.policies.block_events, 1, 65_536)?;
        count("policies.lanes", self.policies.lanes, 1, 10_000)?;
        self.retries.check()?;
        self.http.check()?;
        size("policies.commit-bytes", self.policies.commit_bytes, 1, 2 << 30)?;
        size("policies.flush-bytes", self.policies.flush_bytes.unwrap_or(1), 1, 2 << 30)?;
        for name in self.values.keys() {
            let wrong = |reason| Err(SettingsError::Value { name: name.clone(), reason });
            if name.is_empty() || name.contains(['=', '\0']) {
                return wrong("is no name for an environment variable");
            }
            if name.starts_with("PROJECTIONIST_") {
                return wrong("must not start with PROJECTIONIST_: the host sets those itself");
            }
            if self.values[name].contains('\0') {
                return wrong("contains a NUL character, which an environment variable cannot");
            }
        }
        Ok(())
    }
}

/// The identity of a version: the digest of a component and of the settings
/// that can change its result.
pub fn version_digest(wasm: &[u8], settings: &Settings) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(wasm.len() as u64).to_le_bytes());
    hasher.update(wasm);
    hasher.update(settings.identity().as_bytes());
    hasher.finalize().to_hex().to_string()
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    ByteSize::deserialize(deserializer).map(|size| size.0)
}

fn optional_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    size(deserializer).map(Some)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

fn scalars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let table = toml::Table::deserialize(deserializer)?;
    let text = |(name, value)| match value {
        toml::Value::String(text) => Ok((name, text)),
        toml::Value::Array(_) | toml::Value::Table(_) => {
            Err(de::Error::custom(format!("{name:?} must be text, a number, a date or true or false")))
        }
        scalar => Ok((name, scalar.to_string())),
    };
    table.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_means_the_defaults() {
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
    }

    #[test]
    fn everything_can_be_set() {
        let settings = Settings::parse(
            r#"
            [limits]
            memory = "64 MiB"
            cpu = "250ms"
            flush = 1048576
            cache = "16 MiB"
            table-elements = 10
            instances = 3
            [policies]
            on-failure = "dead-letter"
            partitions = 3
            keep = 2
            commit-bytes = "1 MB"
            commit-interval = "1s"
            block-events = 16
            verify-every = "12h"
            [values]
            currency = "EUR"
            rate = 1.5
            strict = true
            "#,
        )
        .unwrap();
        assert_eq!(settings.limits.memory, 64 << 20);
        assert_eq!(settings.limits.cpu, Duration::from_millis(250));
        assert_eq!(settings.limits.flush, 1 << 20);
        assert_eq!(settings.policies.on_failure, Some(OnFailure::DeadLetter));
        assert_eq!(settings.policies.commit_bytes, 1_000_000);
        let half_a_day = VerifyEvery::Span(Duration::from_secs(12 * 3600));
        assert_eq!(settings.policies.verify_every, Some(half_a_day));
        let environment =
            [("currency", "EUR"), ("rate", "1.5"), ("strict", "true"), (CACHE_VARIABLE, "16777216")];
        let mut environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(settings.environment(Partition::WHOLE), environment);
        environment.push((PARTITION_VARIABLE.into(), "2/3".into()));
        assert_eq!(settings.environment(Partition { index: 1, count: 3 }), environment);
        assert_eq!(settings.policies.partitions, Some(3));
    }

    #[test]
    fn mistakes_say_where_and_what_would_be_right() {
        for (text, reason) in [
            (
                "[limits]\nmemroy = 1",
                "line 2 of the settings: unknown field `memroy`, expected one of `memory`",
            ),
            ("\n\n[limit]", "line 3 of the settings: unknown field `limit`, expected one of `limits`"),
            ("[limits]\nmemory = \"lots\"", "line 2 of the settings: \"lots\" is no size"),
            ("[limits]\ncpu = \"2\"", "line 2 of the settings: \"2\" is no span of time"),
            ("[limits]\nmemory = 12", "limits.memory in the settings is 12 bytes: it must be from 1 MiB"),
            ("[policies]\non-failure = \"ignore\"", "line 2 of the settings: unknown variant `ignore`"),
            ("[policies]\nverify-every = \"often\"", "line 2 of the settings: \"often\" is no span of time"),
            ("[policies]\nverify-every = \"\"", "or \"never\""),
            ("[values]\nlist = [1]", "\"list\" must be text"),
            ("[values]\nPROJECTIONIST_X = 1", "the host sets those itself"),
            ("limits = ", "line 1 of the settings"),
        ] {
            let error = Settings::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn only_what_changes_the_result_makes_another_version() {
        let parse = |text| Settings::parse(text).unwrap();
        let digest = |settings: &Settings| version_digest(b"component", settings);
        let plain = digest(&Settings::default());
        assert_eq!(plain, digest(&parse("[limits]\ncpu = \"1s\"\n[policies]\nkeep = 3")));
        assert_eq!(plain, digest(&parse("[policies]\nverify-every = \"7d\"")));
        assert_eq!(plain, digest(&parse("[policies]\nverify-every = \"never\"")));
        assert_ne!(plain, digest(&parse("[values]\na = 1")));
        let (one, other) = ("[values]\na = 1\nb = 2", "[values]\nb = 2\na = 1");
        assert_eq!(digest(&parse(one)), digest(&parse(other)), "in whatever order");
        assert_ne!(plain, digest(&parse("[policies]\non-failure = \"halt\"")));
        assert_ne!(plain, digest(&parse("[policies]\npartitions = 2")), "its state lies in other files");
        assert_ne!(plain, version_digest(b"Component", &Settings::default()));
        assert_ne!(
            digest(&parse("[values]\na = \"1\\n\\\"b\\\" = 2\"")),
            digest(&parse("[values]\na = 1\nb = 2"))
        );
    }
}
