//! What is known of a plug-in, as documents for people and machines.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::{View, ViewState};
use crate::{
    event::{Position, Timestamp},
    plugin::{
        Output,
        description::{Description, Kind, UpcastDescription},
    },
    projection::{Phase, Version},
    reaction::Handle,
    state::{
        StateError,
        catalog::{Catalog, DeploymentOutcome, DeploymentRecord, Verification, VersionRecord},
    },
};

/// How many deployments a status lists.
const DEPLOYMENTS: usize = 20;

/// A plug-in, its versions and its last deployments.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PluginStatus {
    /// The plug-in's name: the stem of its file.
    pub name: String,
    /// `projection`, `reaction` or `upcaster`; `unknown` as long as no version of it has been
    /// loaded.
    pub kind: String,
    /// In one word, how it is.
    pub health: Health,
    /// If it is not well, why.
    pub reason: Option<String>,
    /// Up to which position its live version has folded; of an upcaster, which folds nothing, the
    /// log's last.
    pub position: Position,
    /// The log's last position.
    pub head: Position,
    /// How many positions the live version is behind the head.
    pub lag: u64,
    /// The digest of the version that answers queries, or of the upcaster at work.
    pub live: Option<String>,
    /// What an upcaster makes of which events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upcasts: Vec<UpcastDescription>,
    /// All versions that are kept, the live one first.
    pub versions: Vec<VersionStatus>,
    /// The last deployments, the latest first.
    pub deployments: Vec<DeploymentStatus>,
    /// The last lines that the plug-in printed: of the candidate, if there is
    /// one, else of the version that failed last, else of the live one.
    pub output: Vec<OutputLine>,
}

/// How a plug-in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Its live version folds and answers.
    Ok,
    /// Its first version replays; nothing answers yet.
    Replaying,
    /// Its live version answers but cannot fold on.
    Halted,
    /// A reaction whose events have all failed of late; it begins no new ones until
    /// one that is tried again succeeds.
    Paused,
    /// It has no version that works.
    Failed,
    /// Its file is gone.
    Retired,
}

impl Health {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Replaying, Self::Halted, Self::Paused, Self::Failed, Self::Retired];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Replaying => "replaying",
            Self::Halted => "halted",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Retired => "retired",
        }
    }
}

/// A version of a plug-in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VersionStatus {
    /// What tells it from the others, in hexadecimal.
    pub digest: String,
    /// `candidate`, `live`, `standby`, `retired` or `failed`.
    pub station: String,
    /// The file that it came from.
    pub file: String,
    /// The size of the component, in bytes.
    pub size: u64,
    /// When it first appeared.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it last became live.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub promoted: Option<Timestamp>,
    /// Why it failed or halted.
    pub reason: Option<String>,
    /// It is on trial: it keeps up beside the live version, and takes over only when it is told
    /// to.
    #[serde(default)]
    pub held: bool,
    /// The upcasters that give its events their newest shape, which are part of what it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upcasters: Vec<UpcasterStatus>,
    /// What it has folded; only of versions that are loaded.
    pub state: Option<StateStatus>,
    /// What came of the last time that it was verified.
    #[serde(default)]
    pub verification: Option<Verification>,
}

/// An upcaster that is part of a version.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UpcasterStatus {
    /// The upcaster's name.
    pub name: String,
    /// Which version of it.
    pub digest: String,
}

/// What a version has folded, and what it offers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StateStatus {
    /// `catch-up`, `live`, `halted` or `stopped`.
    pub phase: String,
    /// Up to which position it has folded.
    pub position: Position,
    /// The digest of its state: equal at equal positions means equal state.
    pub digest: String,
    /// How many events it has folded.
    pub events: u64,
    /// How many of them it could not fold and kept as dead letters.
    pub dead_letters: u64,
    /// Into how many parts its events are divided, which are folded side by side.
    pub partitions: usize,
    /// Bytes on disk.
    pub size: u64,
    /// Its tables.
    pub tables: Vec<TableStatus>,
    /// Its queries.
    pub queries: Vec<QueryStatus>,
}

/// A table and how much is in it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TableStatus {
    /// Its name.
    pub name: String,
    /// The types of its key's parts.
    pub key: Vec<String>,
    /// How many keys it has.
    pub keys: u64,
    /// The names of its indexes.
    pub indexes: Vec<String>,
}

/// A query.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct QueryStatus {
    /// Its name.
    pub name: String,
    /// What it answers.
    pub summary: Option<String>,
    /// A JSON Schema of its parameters.
    pub parameters: serde_json::Value,
}

/// A deployment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DeploymentStatus {
    /// Its number.
    pub id: u64,
    /// The version's digest.
    pub digest: String,
    /// What it set out to do: `deploy`, `promote`, `roll-back`, `abort`, `retire`,
    /// `resume` or `fail`.
    pub action: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub when: Timestamp,
    /// The file that it came from.
    pub file: String,
    /// The size of the component, in bytes.
    pub size: u64,
    /// `replaying`, `promoted`, `failed`, `superseded`, `tried` (it was on trial until another
    /// deployment promoted it), `aborted` or `retired`.
    pub outcome: String,
    /// If it failed, why.
    pub reason: Option<String>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
    /// How long the replay took, in microseconds; over a restart, with the pause
    /// that it made.
    pub replay_micros: Option<u64>,
    /// How many events the replay folded.
    pub events: Option<u64>,
    /// Who asked for it; absent: a file in the plug-ins folder has changed.
    #[serde(default)]
    pub actor: Option<String>,
    /// What they said of it.
    #[serde(default)]
    pub note: Option<String>,
}

/// A line that a plug-in printed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct OutputLine {
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Without its line end.
    pub line: String,
}

pub(super) fn of(
    name: &str,
    view: &View,
    catalog: &Catalog,
    head: Position,
) -> Result<PluginStatus, StateError> {
    let view = view.get();
    let (health, reason) = health(&view);
    let mut versions = Vec::new();
    for record in catalog.versions(name)?.into_iter().rev() {
        let verification = catalog.verification(name, &record.digest)?;
        versions.push(version_status(record, &view, verification)?);
    }
    versions.sort_by_key(|version| version.station != "live");
    let deployments = catalog.deployments_of(name, DEPLOYMENTS)?;
    let position = match (&view.live, &view.upcaster) {
        (Some(live), _) => live.state().checkpoint().position,
        (None, Some(_)) => head,
        (None, None) => 0,
    };
    let upcaster = view.upcaster.as_ref();
    Ok(PluginStatus {
        name: name.to_owned(),
        kind: kind(&view),
        health,
        reason,
        position,
        head,
        lag: head.saturating_sub(position),
        live: match &view.live {
            Some(live) => Some(live.digest().to_owned()),
            None => upcaster.map(|upcaster| upcaster.digest.clone()),
        },
        upcasts: upcaster.map_or(Vec::new(), |upcaster| upcaster.plugin.description().upcasts.clone()),
        versions,
        deployments: deployments.into_iter().map(DeploymentStatus::from).collect(),
        output: output(&view),
    })
}

fn kind(view: &ViewState) -> String {
    let loaded = view.live.as_ref().or_else(|| view.newest_candidate());
    let kind =
        view.upcaster.as_ref().map(|_| Kind::Upcaster).or(loaded.map(|version| version.plugin().kind()));
    kind.map_or("unknown".to_owned(), |kind| word(&kind))
}

fn health(view: &ViewState) -> (Health, Option<String>) {
    if let Some(live) = &view.live {
        return match &live.progress().borrow().phase {
            Phase::Halted(halt) => (Health::Halted, Some(halt.to_string())),
            _ => match view.reaction.as_ref().and_then(Handle::paused) {
                Some(reason) => (Health::Paused, Some(reason)),
                None => (Health::Ok, None),
            },
        };
    }
    if view.upcaster.is_some() {
        return (Health::Ok, None);
    }
    if !view.candidates.is_empty() {
        return (Health::Replaying, None);
    }
    if view.retired {
        return (Health::Retired, None);
    }
    let reason = view.failed.as_ref().map(|failed| failed.reason.clone()).or_else(|| view.unreadable.clone());
    match reason {
        Some(reason) => (Health::Failed, Some(reason)),
        // Its file has just been seen; its first version is about to be looked at.
        None => (Health::Replaying, None),
    }
}

fn output(view: &ViewState) -> Vec<OutputLine> {
    let of = |version: &std::sync::Arc<Version>| version.plugin().output().clone();
    let candidate = view.newest_candidate().map(of);
    let failed = || view.failed.as_ref().and_then(|failed| failed.output.clone());
    let upcaster = || view.upcaster.as_ref().map(|upcaster| upcaster.plugin.output().clone());
    let live = || view.live.as_ref().map(of).or_else(upcaster);
    let source: Option<Output> = candidate.or_else(failed).or_else(live);
    let lines = source.map(|output| output.lines()).unwrap_or_default();
    lines.into_iter().map(|(stream, line)| OutputLine { stream: word(&stream), line }).collect()
}

fn version_status(
    record: VersionRecord,
    view: &ViewState,
    verification: Option<Verification>,
) -> Result<VersionStatus, StateError> {
    let candidates = view.candidates.iter().filter_map(|candidate| candidate.version.as_ref());
    let loaded = view.live.iter().chain(candidates).find(|version| version.digest() == record.digest);
    let upcasters = record.upcasters().iter();
    let upcasters =
        upcasters.map(|one| UpcasterStatus { name: one.name.clone(), digest: one.digest.clone() }).collect();
    let halted = loaded.and_then(|version| match &version.progress().borrow().phase {
        Phase::Halted(halt) => Some(halt.to_string()),
        _ => None,
    });
    Ok(VersionStatus {
        station: word(&record.station),
        digest: record.digest,
        file: record.file,
        size: record.size,
        created: record.created,
        promoted: record.promoted,
        reason: record.reason.or(halted),
        held: record.held,
        upcasters,
        state: loaded.map(|version| state_status(version)).transpose()?,
        verification,
    })
}

fn state_status(version: &Version) -> Result<StateStatus, StateError> {
    let state = version.state();
    let view = state.parts();
    let checkpoint = view.checkpoint();
    let description = version.plugin().description();
    let phase = match version.progress().borrow().phase {
        Phase::Stopped => "stopped",
        Phase::CatchUp => "catch-up",
        Phase::Live => "live",
        Phase::Halted(_) => "halted",
    };
    let mut tables = Vec::new();
    for (index, table) in description.tables.iter().enumerate() {
        if table.index_of.is_none() {
            tables.push(TableStatus {
                name: table.name.clone(),
                key: table.key.iter().map(word).collect(),
                keys: view.len(index as u32)?,
                indexes: indexes(description, &table.name),
            });
        }
    }
    let queries = description.queries.iter().cloned();
    Ok(StateStatus {
        phase: phase.to_owned(),
        position: checkpoint.position,
        digest: checkpoint.digest.to_string(),
        events: checkpoint.events,
        dead_letters: state.dead_letter_count()?,
        partitions: state.partitions().len(),
        size: state.size_bytes(),
        tables,
        queries: queries
            .map(|query| QueryStatus {
                name: query.name,
                summary: query.summary,
                parameters: query.parameters,
            })
            .collect(),
    })
}

/// The names of a table's indexes, without the table's name before them.
fn indexes(description: &Description, table: &str) -> Vec<String> {
    let indexes = description.tables.iter().filter(|index| index.index_of.as_deref() == Some(table));
    indexes.map(|index| index.name.trim_start_matches(table).trim_start_matches('.').to_owned()).collect()
}

impl From<DeploymentRecord> for DeploymentStatus {
    fn from(record: DeploymentRecord) -> Self {
        let (outcome, reason) = match record.outcome {
            DeploymentOutcome::Replaying => ("replaying", None),
            DeploymentOutcome::Promoted => ("promoted", None),
            DeploymentOutcome::Failed { reason } => ("failed", Some(reason)),
            DeploymentOutcome::Superseded => ("superseded", None),
            DeploymentOutcome::Tried => ("tried", None),
            DeploymentOutcome::Aborted => ("aborted", None),
            DeploymentOutcome::Retired => ("retired", None),
        };
        DeploymentStatus {
            id: record.id,
            digest: record.digest,
            action: word(&record.action),
            when: record.when,
            file: record.file,
            size: record.size,
            outcome: outcome.to_owned(),
            reason,
            ended: record.ended,
            replay_micros: record.replay_micros,
            events: record.events,
            actor: record.actor,
            note: record.note,
        }
    }
}

/// An enum's value as the word that it is serialised as.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
