//! Which version of a name is meant.

use crate::state::catalog::{Station, VersionRecord};

/// As many characters of a digest as people read.
const SHORT: usize = 12;

/// The name has no such version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{name}\" has no {meant}: {}", known(versions))]
pub struct NoVersion {
    /// The plug-in's name.
    pub name: String,
    /// What was meant, in words.
    pub meant: String,
    /// Those that are kept, by how their digests begin, and their stations.
    pub versions: Vec<String>,
}

fn known(versions: &[String]) -> String {
    match versions {
        [] => "none is kept".to_owned(),
        _ => format!("it has {}", versions.join(", ")),
    }
}

/// The version whose digest begins like `digest`, or else the newest one at a station.
pub(super) fn choose(
    name: &str,
    mut versions: Vec<VersionRecord>,
    digest: Option<&str>,
    station: Station,
) -> Result<VersionRecord, NoVersion> {
    versions.sort_by_key(|version| (version.promoted, version.created));
    let is_meant = |version: &&VersionRecord| match digest {
        Some(digest) => !digest.is_empty() && version.digest.starts_with(digest),
        None => version.station == station,
    };
    let meant: Vec<_> = versions.iter().filter(is_meant).collect();
    match (meant.as_slice(), digest) {
        ([one], _) | ([.., one], None) => Ok((*one).clone()),
        (several, _) => Err(NoVersion {
            name: name.to_owned(),
            meant: match (digest, several) {
                (None, _) => format!("version that is {station}"),
                (Some(digest), []) => format!("version {digest}"),
                (Some(digest), _) => format!("single version {digest}, but several that begin so"),
            },
            versions: versions
                .iter()
                .map(|version| format!("{} ({})", short(&version.digest), version.station))
                .collect(),
        }),
    }
}

/// How a digest begins.
pub(super) fn short(digest: &str) -> &str {
    &digest[..SHORT.min(digest.len())]
}
