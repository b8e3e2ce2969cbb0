//! What has come of verifying a version: kept with it, and forgotten with it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Catalog, tables};
use crate::{
    event::{Position, Timestamp},
    state::StateError,
};

/// What has come of verifying a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Verification {
    /// The version's digest.
    pub version: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub began: Timestamp,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// Up to this position history was folded again.
    pub position: Position,
    /// What came of it.
    pub verdict: Verdict,
    /// The digest of the state that stands there, worked out from its rows; absent for a version that does not run,
    /// whose state is not looked at.
    pub digest: Option<String>,
    /// How history was folded again, and what each time came out.
    pub folds: Vec<FoldedAgain>,
    /// What differs, if anything does.
    pub difference: Option<FoundDifference>,
    /// Why there is no verdict, if there is none.
    pub reason: Option<String>,
}

/// What came of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// However history was folded, the same came out, and it is what stands.
    Verified,
    /// Not everything was the same.
    Differs,
    /// It could not be found out.
    Failed,
}

impl Verdict {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Verified, Self::Differs, Self::Failed];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Differs => "differs",
            Self::Failed => "failed",
        }
    }
}

/// History, folded again in some way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FoldedAgain {
    /// In which way, in words.
    pub way: String,
    /// The digest of what came out; absent where it could not be folded to the end.
    pub digest: Option<String>,
    /// How many events were put aside as dead letters.
    pub dead_letters: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FoundDifference {
    /// What it means, in words.
    pub summary: String,
    /// Of what `before` shows the values.
    pub before: String,
    /// Of what `after` shows the values.
    pub after: String,
    /// An event after which they differ, while they agreed before it; absent where there is none to be named.
    pub event: Option<EventNamed>,
    /// How many rows differ, after that event.
    pub count: u64,
    /// The first of them.
    pub rows: Vec<RowFound>,
}

/// An event, as far as it is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct EventNamed {
    /// Where it stands in the log.
    pub position: Position,
    /// Its id.
    pub id: String,
    /// Its type.
    pub r#type: String,
    /// Its subject, if it has one.
    pub subject: Option<String>,
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RowFound {
    /// Its table.
    pub table: String,
    /// The key: its part if it has one, else an array of them.
    pub key: Value,
    /// Its value on one side; absent where there is no such key.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before: Option<Value>,
    /// Its value on the other side; absent where there is no such key.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub after: Option<Value>,
}

/// A value that is there, even if it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Catalog {
    /// What came of the last verification of a version, if there was one.
    pub fn verification(&self, name: &str, digest: &str) -> Result<Option<Verification>, StateError> {
        tables::verification(&self.read()?, name, digest, &self.origin)
    }

    /// Keeps what came of a verification, in the place of the one before. Of a version that has
    /// been forgotten meanwhile nothing is kept.
    pub fn set_verification(&self, name: &str, verification: &Verification) -> Result<(), StateError> {
        let writing = self.change()?;
        let is_it = |version: &super::VersionRecord| version.digest == verification.version;
        if !writing.versions(name)?.iter().any(is_it) {
            return Ok(());
        }
        writing.put_verification(name, verification)?;
        writing.commit()
    }
}
