//! What the catalog keeps.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::Timestamp;

/// Where a version is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Station {
    /// Replays history beside the live version.
    Candidate,
    /// Answers queries. At most one version of a name.
    Live,
    /// Was live, and could be again.
    Standby,
    /// Its file is gone; its state stays until purged.
    Retired,
    /// Could not be folded; see its reason.
    Failed,
}

impl fmt::Display for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Candidate => "candidate",
            Self::Live => "live",
            Self::Standby => "standby",
            Self::Retired => "retired",
            Self::Failed => "failed",
        })
    }
}

/// A version of a plug-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The plug-in's name.
    pub name: String,
    /// The version's digest: component and settings that change its result.
    pub digest: String,
    /// Where it is on its way.
    pub station: Station,
    /// The digest of the component's bytes.
    pub component: String,
    /// The text of the settings file; empty if there was none.
    pub settings: String,
    /// The file that it came from.
    pub file: String,
    /// The size of the component.
    pub size: u64,
    /// When it first appeared.
    pub created: Timestamp,
    /// When it last became live.
    pub promoted: Option<Timestamp>,
    /// Why it failed.
    pub reason: Option<String>,
    /// A candidate on trial: it keeps up beside the live version and takes over only when it
    /// is told to.
    #[serde(default)]
    pub held: bool,
    /// What gives its events their newest shape; absent: it folds them as the log has them.
    #[serde(default)]
    pub upcast: Option<UpcastRecord>,
}

impl VersionRecord {
    /// What its component and its settings alone make its digest.
    pub fn base(&self) -> &str {
        self.upcast.as_ref().map_or(&self.digest, |upcast| &upcast.base)
    }

    /// Those that give its events their newest shape.
    pub fn upcasters(&self) -> &[UpcasterRecord] {
        self.upcast.as_ref().map_or(&[], |upcast| &upcast.by)
    }

    /// Whether it needs a component, given by its digest.
    pub fn needs(&self, component: &str) -> bool {
        self.component == component || self.upcasters().iter().any(|one| one.component == component)
    }
}

/// What gives a version's events their newest shape, which is part of what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpcastRecord {
    /// The digest that the version would have without.
    pub base: String,
    /// The upcasters, by their digests.
    pub by: Vec<UpcasterRecord>,
}

/// A version of an upcaster, as others need it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpcasterRecord {
    /// The plug-in's name.
    pub name: String,
    /// The version's digest.
    pub digest: String,
    /// The digest of the component's bytes.
    pub component: String,
    /// The text of its settings file.
    pub settings: String,
}

/// Who asked for a change, and what they said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Who; absent: nobody did, a file in the plug-ins folder has changed.
    pub actor: Option<String>,
    /// What they said of it.
    pub note: Option<String>,
}

/// What a deployment set out to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeploymentAction {
    /// Replay a new version and promote it.
    Deploy,
    /// Make a candidate live that was on trial.
    Promote,
    /// Make a version live that had been before.
    RollBack,
    /// Give up a candidate.
    Abort,
    /// Take a plug-in out of service, because its file is gone.
    Retire,
    /// Put a retired version back into service, because its file is back.
    Resume,
    /// Take a version out that was no candidate any more.
    Fail,
}

/// How a deployment ended, if it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeploymentOutcome {
    /// It has not ended.
    Replaying,
    /// The version became live.
    Promoted,
    /// The version failed.
    Failed {
        /// Why.
        reason: String,
    },
    /// A newer version appeared before this one had caught up.
    Superseded,
    /// It was on trial, until another deployment promoted it.
    Tried,
    /// It was given up.
    Aborted,
    /// The file went away.
    Retired,
}

/// One deployment. Records are never removed, and their ids only grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// Its number; the first is 1.
    pub id: u64,
    /// The plug-in's name.
    pub name: String,
    /// The version's digest.
    pub digest: String,
    /// What it set out to do.
    pub action: DeploymentAction,
    /// When it began.
    pub when: Timestamp,
    /// The size of the component.
    pub size: u64,
    /// The file that it came from.
    pub file: String,
    /// How it ended.
    pub outcome: DeploymentOutcome,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// When the version began to fold for it, and how many events it had folded
    /// by then: a version that stood by has a state already.
    #[serde(default)]
    pub replay_began: Option<(Timestamp, u64)>,
    /// How long the replay took, in microseconds; over a restart, with the
    /// pause that it made.
    pub replay_micros: Option<u64>,
    /// How many events the replay folded.
    pub events: Option<u64>,
    /// Who asked for it; absent: the plug-ins folder.
    #[serde(default)]
    pub actor: Option<String>,
    /// What they said of it.
    #[serde(default)]
    pub note: Option<String>,
}

/// What a replay took, to be kept with its deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// How long it took, in microseconds.
    pub micros: u64,
    /// How many events it folded.
    pub events: u64,
}
