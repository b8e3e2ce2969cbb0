//! Reads that the live version has answered, asked of a candidate as well: what readers
//! would have got of it, before it answers anybody.
//!
//! Here is what is mirrored and what came of it; who asks the candidate is `query`.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_64;

use super::{Deployer, StandingError};
use crate::{
    clock, event::Position, plugin::description::Kind, projection::Version, state::catalog::Station,
};

/// So many of the last answers that differed are kept.
const KEPT: usize = 100;
/// So many bytes of an answer that differed are kept.
const KEPT_BYTES: usize = 4096;
/// So much of it before the first byte that differs.
const AHEAD: usize = 256;
/// So many questions wait for a candidate; further ones are not asked.
const WAITING: usize = 64;

/// All that is mirrored.
#[derive(Default)]
pub(super) struct Mirrors {
    /// How many there are: readers look no further where it is none.
    count: AtomicUsize,
    by_name: Mutex<BTreeMap<String, Arc<Mirror>>>,
}

/// A share of a name's reads, asked of a candidate as well.
pub(super) struct Mirror {
    /// The candidate's digest.
    candidate: String,
    /// Of all reads, from 0 to 1.
    share: f64,
    reads: AtomicU64,
    places: Arc<Semaphore>,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    same: u64,
    different: u64,
    failed: u64,
    not_comparable: u64,
    not_asked: u64,
    differences: VecDeque<MirrorDifference>,
}

/// A read that the candidate is asked as well.
pub struct MirroredRead {
    mirror: Arc<Mirror>,
    /// Whom to ask.
    pub candidate: Arc<Version>,
    _place: OwnedSemaphorePermit,
}

/// What came of asking the candidate.
pub enum Reflection {
    /// It answered.
    Answer(Vec<u8>),
    /// It could not.
    Failed(String),
    /// It was not at the position of the live version's answer.
    Elsewhere,
}

/// What is mirrored of a projection, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MirrorStatus {
    /// The digest of the candidate.
    pub candidate: String,
    /// Which share of the reads it is asked as well: above 0, at most 1.
    pub share: f64,
    /// How many it was asked and has answered or failed to.
    pub asked: u64,
    /// How many answers were the same.
    pub same: u64,
    /// How many differed.
    pub different: u64,
    /// How many it could not answer.
    pub failed: u64,
    /// How many were not compared, since it was not at the position of the live version's answer.
    pub not_comparable: u64,
    /// How many were not asked, since too many waited already.
    pub not_asked: u64,
    /// The last that differed or that it could not answer, the latest first; at most 100.
    pub differences: Vec<MirrorDifference>,
}

/// A read that the candidate has answered otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MirrorDifference {
    /// When it was asked.
    pub when: String,
    /// What was asked.
    pub request: String,
    /// The position of which both answers are.
    pub position: Position,
    /// What the live version answered: at most 4 KiB of it.
    pub live: String,
    /// What the candidate answered, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    /// Why it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// At which byte of the answers both begin, where they are too long to be kept whole.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub from: usize,
}

fn is_zero(from: &usize) -> bool {
    *from == 0
}

/// Why nothing is mirrored.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// No version answers, or there is no such candidate.
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// The version is none that is on its way or on trial.
    #[error("version {version} of \"{name}\" is {station}: only candidates that run are asked")]
    NoCandidate {
        /// The plug-in's name.
        name: String,
        /// The version's digest.
        version: String,
        /// Where it stands.
        station: Station,
    },
    /// Not a share.
    #[error("a share of {0} cannot be mirrored: give one above 0, and 1 at most")]
    Share(f64),
}

impl Deployer {
    /// From now on, asks a candidate a share of what the live version is asked: the one whose
    /// digest begins like `candidate`, else the newest one. Takes the place of what was mirrored
    /// before.
    pub fn begin_mirror(
        &self,
        name: &str,
        candidate: Option<&str>,
        share: f64,
    ) -> Result<MirrorStatus, MirrorError> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(MirrorError::Share(share));
        }
        let live = self.live(name).map_err(StandingError::from)?;
        if live.plugin().kind() != Kind::Projection {
            let kind = live.plugin().kind();
            return Err(StandingError::NoProjection { name: name.to_owned(), kind }.into());
        }
        let record = self.kept(name, candidate)?;
        if self.candidate(name, &record.digest).is_none() {
            let (name, version, station) = (name.to_owned(), record.digest, record.station);
            return Err(MirrorError::NoCandidate { name, version, station });
        }
        let mirror = Arc::new(Mirror {
            candidate: record.digest,
            share,
            reads: AtomicU64::new(0),
            places: Arc::new(Semaphore::new(WAITING)),
            record: Mutex::default(),
        });
        let status = mirror.status();
        self.mirrors.change(|mirrors| drop(mirrors.insert(name.to_owned(), mirror)));
        Ok(status)
    }

    /// What is mirrored of a name; `None` if nothing is.
    pub fn mirror(&self, name: &str) -> Option<MirrorStatus> {
        self.mirror_of(name).map(|(mirror, _)| mirror.status())
    }

    /// Mirrors no more, and forgets what came of it. Answers whether anything was mirrored.
    pub fn end_mirror(&self, name: &str) -> bool {
        self.mirrors.change(|mirrors| mirrors.remove(name)).is_some()
    }

    /// Told of each read that the live version has answered: whom else to ask, if this is one
    /// of those that are mirrored.
    pub fn mirrored(&self, name: &str) -> Option<MirroredRead> {
        // Most often nothing is.
        if self.mirrors.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let (mirror, candidate) = self.mirror_of(name)?;
        if !mirror.takes(mirror.reads.fetch_add(1, Ordering::Relaxed)) {
            return None;
        }
        match Arc::clone(&mirror.places).try_acquire_owned() {
            Ok(place) => Some(MirroredRead { mirror, candidate, _place: place }),
            Err(_) => {
                mirror.record().not_asked += 1;
                None
            }
        }
    }

    /// What is mirrored of a name, as long as there is the candidate.
    fn mirror_of(&self, name: &str) -> Option<(Arc<Mirror>, Arc<Version>)> {
        let mirror = Arc::clone(self.mirrors.lock().get(name)?);
        if let Some(candidate) = self.candidate(name, &mirror.candidate) {
            return Some((mirror, candidate));
        }
        // It was promoted, given up, or has failed.
        self.mirrors.change(|mirrors| {
            if mirrors.get(name).is_some_and(|known| Arc::ptr_eq(known, &mirror)) {
                mirrors.remove(name);
            }
        });
        None
    }

    fn candidate(&self, name: &str, digest: &str) -> Option<Arc<Version>> {
        let candidates = self.registry.view(name)?.get().candidates;
        candidates.into_iter().find(|candidate| candidate.digest == digest)?.version
    }
}

impl Mirrors {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mirror>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<Mirror>>) -> T) -> T {
        let mut by_name = self.lock();
        let changed = change(&mut by_name);
        self.count.store(by_name.len(), Ordering::Relaxed);
        changed
    }
}

impl Mirror {
    /// Whether a read is mirrored, by its number. Not every so many, for clients may take turns.
    fn takes(&self, read: u64) -> bool {
        self.share >= 1.0 || (xxh3_64(&read.to_le_bytes()) as f64) < self.share * u64::MAX as f64
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> MirrorStatus {
        let record = self.record();
        let Record { same, different, failed, not_comparable, not_asked, .. } = *record;
        MirrorStatus {
            candidate: self.candidate.clone(),
            share: self.share,
            asked: same + different + failed,
            same,
            different,
            failed,
            not_comparable,
            not_asked,
            differences: record.differences.iter().cloned().collect(),
        }
    }
}

impl MirroredRead {
    /// Notes what came of it. `live`: what the live version has answered at the position.
    pub fn note(self, request: String, position: Position, live: &[u8], reflection: Reflection) {
        let mut record = self.mirror.record();
        let (candidate, failure) = match reflection {
            Reflection::Elsewhere => return record.not_comparable += 1,
            Reflection::Answer(answer) if is_same(live, &answer) => return record.same += 1,
            Reflection::Answer(answer) => {
                record.different += 1;
                (Some(answer), None)
            }
            Reflection::Failed(reason) => {
                record.failed += 1;
                (None, Some(reason))
            }
        };
        let from = match &candidate {
            Some(answer) => shown_from(live, answer),
            None => 0,
        };
        let differing = MirrorDifference {
            when: clock::now().to_string(),
            request: shown(request.as_bytes(), 0),
            position,
            live: shown(live, from),
            candidate: candidate.map(|answer| shown(&answer, from)),
            failure: failure.map(|reason| shown(reason.as_bytes(), 0)),
            from,
        };
        record.differences.truncate(KEPT - 1);
        record.differences.push_front(differing);
    }
}

/// Whether two answers in JSON say the same.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let parsed = |json| serde_json::from_slice::<serde_json::Value>(json);
    one == other || matches!((parsed(one), parsed(other)), (Ok(one), Ok(other)) if one == other)
}

/// From where on two answers are kept: a little before they differ, if they are too long.
fn shown_from(one: &[u8], other: &[u8]) -> usize {
    if one.len().max(other.len()) <= KEPT_BYTES {
        return 0;
    }
    let differ = one.iter().zip(other).position(|(one, other)| one != other);
    differ.unwrap_or(one.len().min(other.len())).saturating_sub(AHEAD)
}

fn shown(text: &[u8], from: usize) -> String {
    let text = &text[from.min(text.len())..];
    String::from_utf8_lossy(&text[..text.len().min(KEPT_BYTES)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(share: f64) -> Mirror {
        let (reads, places) = (AtomicU64::new(0), Arc::new(Semaphore::new(1)));
        Mirror { candidate: String::new(), share, reads, places, record: Mutex::default() }
    }

    #[test]
    fn about_the_share_is_taken() {
        for (share, least, most) in [(0.1, 900, 1_100), (0.5, 4_800, 5_200), (1.0, 10_000, 10_000)] {
            let mirror = mirror(share);
            let taken = (0..10_000).filter(|read| mirror.takes(*read)).count();
            assert!((least..=most).contains(&taken), "{taken} of 10,000 at {share}");
            // Also of those who take turns.
            let taken = (0..10_000).step_by(2).filter(|read| mirror.takes(*read)).count();
            assert!((least / 2 - 60..=most / 2 + 60).contains(&taken), "{taken} of 5,000 at {share}");
        }
    }

    #[test]
    fn long_answers_are_kept_from_where_they_differ() {
        let one = [b'a'; 10_000];
        let mut other = one;
        other[7_000] = b'b';
        let from = shown_from(&one, &other);
        assert_eq!(from, 7_000 - AHEAD);
        assert_eq!(shown(&other, from).find('b'), Some(AHEAD));
        assert_eq!(shown_from(&one, &one[..9_000]), 9_000 - AHEAD);
        assert_eq!(shown_from(b"a", b"b"), 0);
        assert_eq!(shown(&one, 0).len(), KEPT_BYTES);
    }

    #[test]
    fn the_order_of_fields_is_no_difference() {
        assert!(is_same(br#"{"a":1,"b":2}"#, br#"{"b":2, "a":1}"#));
        assert!(!is_same(b"1", b"2") && is_same(b"x", b"x") && !is_same(b"x", b"y"));
    }
}
