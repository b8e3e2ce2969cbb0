//! What a promotion, a rollback or giving up a candidate would do, before it is done.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::choose::{NoVersion, choose};
use crate::state::{
    StateError,
    catalog::{Catalog, Station, VersionRecord},
};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A candidate on trial takes over, as soon as it has caught up.
    Promote,
    /// A version that stands by catches up and takes over.
    RollBack,
    /// A candidate is given up.
    Abort,
}

impl Action {
    /// The station of the version that it is about.
    fn station(self) -> Station {
        match self {
            Self::Promote | Self::Abort => Station::Candidate,
            Self::RollBack => Station::Standby,
        }
    }
}

/// What an action would do, as things stand.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Another one where production has moved on: other versions, or at other stations.
    pub id: String,
    /// What would be done.
    pub action: Action,
    /// The version that answers now.
    pub live: Option<VersionRecord>,
    /// The version that it is about.
    pub version: VersionRecord,
}

/// Why there is no such plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is no version that it could be about.
    #[error(transparent)]
    NoVersion(#[from] NoVersion),
    /// The version is at a station at which this cannot be done.
    #[error("version {version} of \"{name}\" is {station}, not {needed}: {}", advice(*station))]
    Station {
        /// The plug-in's name.
        name: String,
        /// The version's digest.
        version: String,
        /// Where it is.
        station: Station,
        /// Where it would have to be.
        needed: Station,
    },
    /// The catalog could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

fn advice(station: Station) -> &'static str {
    match station {
        Station::Candidate => "a candidate can be promoted or aborted",
        Station::Live => "it answers already",
        Station::Standby => "a version that stands by can be rolled back to",
        Station::Retired | Station::Failed => "deploy it again",
    }
}

impl Plan {
    /// What an action would do to the version whose digest begins like `digest`; by default the
    /// newest that it could be about.
    pub(super) fn make(
        catalog: &Catalog,
        name: &str,
        action: Action,
        digest: Option<&str>,
    ) -> Result<Self, PlanError> {
        let versions = catalog.versions(name)?;
        let live = versions.iter().find(|version| version.station == Station::Live).cloned();
        let needed = action.station();
        let version = choose(name, versions, digest, needed)?;
        if version.station != needed {
            let (name, station) = (name.to_owned(), version.station);
            return Err(PlanError::Station { name, version: version.digest, station, needed });
        }
        Ok(Self { id: identity(action, live.as_ref(), &version), action, live, version })
    }
}

/// All that a plan rests on.
fn identity(action: Action, live: Option<&VersionRecord>, version: &VersionRecord) -> String {
    let mut hasher = blake3::Hasher::new();
    for record in live.into_iter().chain([version]) {
        let promoted = record.promoted.map(crate::event::Timestamp::as_micros);
        let text = format!("{action:?} {} {} {promoted:?} {}\n", record.digest, record.station, record.held);
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex()[..12].to_owned()
}
