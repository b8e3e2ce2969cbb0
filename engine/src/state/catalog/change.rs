//! What can happen to a version: each in one durable transaction, together with
//! the deployment record that tells of it.

use super::{
    super::error::StateError, Catalog, DeploymentAction, DeploymentOutcome, DeploymentRecord, Order, Replay,
    Station, VersionRecord, tables::Writing,
};
use crate::event::Timestamp;

impl Catalog {
    /// A new version appears: it becomes a candidate, whatever it was before, and its
    /// deployment begins. Unless it is held, other candidates of the name that are not are
    /// superseded. The record's station counts for nothing. `from_file`: it is what the name's
    /// file holds.
    pub fn deploy(
        &self,
        version: VersionRecord,
        order: Order,
        from_file: bool,
    ) -> Result<DeploymentRecord, StateError> {
        let writing = self.change()?;
        let when = version.created;
        if !version.held {
            supersede(&writing, &version.name, &version.digest, when)?;
        }
        if let Some(open) = writing.open_deployment(&version.name, &version.digest)? {
            let outcome = DeploymentOutcome::Superseded;
            writing.put_deployment(DeploymentRecord { outcome, ended: Some(when), ..open })?;
        }
        if from_file {
            writing.put_file(&version.name, Some(version.base()))?;
        }
        // One that was live before could be again, whatever becomes of this.
        let before = writing.versions(&version.name)?.into_iter().find(|one| one.digest == version.digest);
        let before = before.filter(|before| before.station != Station::Failed);
        let promoted = before.and_then(|before| before.promoted);
        let candidate = VersionRecord { station: Station::Candidate, reason: None, promoted, ..version };
        writing.put_version(&candidate)?;
        let record = begun(&candidate, DeploymentAction::Deploy, when, order);
        let record = writing.put_deployment(record)?;
        writing.commit()?;
        Ok(record)
    }

    /// Notes which version a name's file holds, where that is no deployment; none if the file is
    /// gone.
    pub fn set_file(&self, name: &str, digest: Option<&str>) -> Result<(), StateError> {
        if self.file(name)?.as_deref() == digest {
            return Ok(());
        }
        let writing = self.change()?;
        writing.put_file(name, digest)?;
        writing.commit()
    }

    /// Notes which upcasters a name's versions have been made with; none: with several.
    pub fn set_upcasters(&self, name: &str, upcasters: Option<&str>) -> Result<(), StateError> {
        let writing = self.change()?;
        writing.put_upcasters(name, upcasters)?;
        writing.commit()
    }

    /// Candidates that are not on trial are not to take over any more, but for `keep`.
    pub fn supersede(&self, name: &str, keep: &str, when: Timestamp) -> Result<(), StateError> {
        let writing = self.change()?;
        supersede(&writing, name, keep, when)?;
        writing.commit()
    }

    /// A candidate on trial is to take over as soon as it has caught up. Its deployment ends, and
    /// that of its promotion begins.
    pub fn release(&self, name: &str, digest: &str, when: Timestamp, order: Order) -> Result<(), StateError> {
        let writing = self.change()?;
        let mut version = find(&writing.versions(name)?, name, digest, "promote")?;
        if version.station != Station::Candidate || !version.held {
            return Err(refused(name, digest, "promote", "it is not on trial"));
        }
        supersede(&writing, name, digest, when)?;
        let open = writing.open_deployment(name, digest)?;
        let replay_began = open.as_ref().and_then(|open| open.replay_began);
        end(&writing, &version, when, DeploymentOutcome::Tried, None)?;
        version.held = false;
        writing.put_version(&version)?;
        let record = begun(&version, DeploymentAction::Promote, when, order);
        writing.put_deployment(DeploymentRecord { replay_began, ..record })?;
        writing.commit()
    }

    /// A version that was live before is to be again: it becomes a candidate, and catches up.
    pub fn roll_back(
        &self,
        name: &str,
        digest: &str,
        when: Timestamp,
        order: Order,
    ) -> Result<(), StateError> {
        let writing = self.change()?;
        let mut version = find(&writing.versions(name)?, name, digest, "roll back to")?;
        if version.station != Station::Standby {
            return Err(refused(name, digest, "roll back to", "it does not stand by"));
        }
        supersede(&writing, name, digest, when)?;
        version.station = Station::Candidate;
        writing.put_version(&version)?;
        writing.put_deployment(begun(&version, DeploymentAction::RollBack, when, order))?;
        writing.commit()
    }

    /// A candidate is given up. One that was live before stands by again, as it did; another one
    /// is forgotten, and its state should be deleted. Answers whether it is.
    pub fn abort(&self, name: &str, digest: &str, when: Timestamp, order: Order) -> Result<bool, StateError> {
        let writing = self.change()?;
        let version = find(&writing.versions(name)?, name, digest, "abort")?;
        if version.station != Station::Candidate {
            return Err(refused(name, digest, "abort", "it is no candidate"));
        }
        end(&writing, &version, when, DeploymentOutcome::Aborted, None)?;
        let outcome = DeploymentOutcome::Aborted;
        let record = begun(&version, DeploymentAction::Abort, when, order);
        writing.put_deployment(DeploymentRecord { outcome, ended: Some(when), ..record })?;
        let forgotten = version.promoted.is_none();
        match forgotten {
            true => writing.remove_version(name, digest)?,
            false => writing.put_version(&stood_by(version))?,
        }
        writing.commit()?;
        Ok(forgotten)
    }

    /// A candidate begins to fold, or goes on after a restart; `events` is how
    /// many its state holds. Answers what has been done of the replay before.
    pub fn begin_replay(
        &self,
        name: &str,
        digest: &str,
        events: u64,
        now: Timestamp,
    ) -> Result<Replay, StateError> {
        let writing = self.change()?;
        let Some(open) = writing.open_deployment(name, digest)? else { return Ok(Replay::default()) };
        if let Some((began, folded)) = open.replay_began {
            let micros = now.as_micros().saturating_sub(began.as_micros());
            // A clock may have been set back meanwhile, and a damaged state begun anew.
            let micros = u64::try_from(micros).unwrap_or_default();
            return Ok(Replay { micros, events: events.saturating_sub(folded) });
        }
        writing.put_deployment(DeploymentRecord { replay_began: Some((now, events)), ..open })?;
        writing.commit()?;
        Ok(Replay::default())
    }

    /// A version becomes live, and the one that was live stands by. Ends the
    /// candidate's deployment; of a version that is no candidate it records a
    /// roll-back. A version that is live already stays so, and nothing is written.
    pub fn promote(
        &self,
        name: &str,
        digest: &str,
        when: Timestamp,
        replay: Option<Replay>,
    ) -> Result<(), StateError> {
        let writing = self.change()?;
        let versions = writing.versions(name)?;
        let mut version = find(&versions, name, digest, "promote")?;
        match version.station {
            Station::Live => return Ok(()),
            Station::Failed => return Err(refused(name, digest, "promote", "it has failed")),
            Station::Candidate | Station::Standby | Station::Retired => {}
        }
        stand_by(&writing, &versions)?;
        let action = match version.station {
            Station::Retired => DeploymentAction::Resume,
            _ => DeploymentAction::RollBack,
        };
        version.station = Station::Live;
        version.held = false;
        version.promoted = Some(when);
        writing.put_version(&version)?;
        if !end(&writing, &version, when, DeploymentOutcome::Promoted, replay)? {
            let outcome = DeploymentOutcome::Promoted;
            let record = begun(&version, action, when, Order::default());
            writing.put_deployment(DeploymentRecord { outcome, ended: Some(when), ..record })?;
        }
        writing.commit()
    }

    /// A version fails, with the reason. Ends its deployment; of a version that
    /// was no candidate any more it records the failure.
    pub fn fail(
        &self,
        name: &str,
        digest: &str,
        reason: &str,
        when: Timestamp,
        replay: Option<Replay>,
    ) -> Result<(), StateError> {
        let writing = self.change()?;
        let mut version = find(&writing.versions(name)?, name, digest, "fail")?;
        version.station = Station::Failed;
        version.reason = Some(reason.to_owned());
        writing.put_version(&version)?;
        let outcome = DeploymentOutcome::Failed { reason: reason.to_owned() };
        if !end(&writing, &version, when, outcome.clone(), replay)? {
            let record = begun(&version, DeploymentAction::Fail, when, Order::default());
            writing.put_deployment(DeploymentRecord { outcome, ended: Some(when), ..record })?;
        }
        writing.commit()
    }

    /// A plug-in's file is gone: its live version and its candidates retire.
    /// Versions that stand by keep standing by. Answers whether there was one.
    pub fn retire(&self, name: &str, when: Timestamp) -> Result<bool, StateError> {
        let writing = self.change()?;
        let mut any = false;
        for mut version in writing.versions(name)? {
            if !matches!(version.station, Station::Live | Station::Candidate) {
                continue;
            }
            any = true;
            version.station = Station::Retired;
            writing.put_version(&version)?;
            let outcome = DeploymentOutcome::Retired;
            if !end(&writing, &version, when, outcome.clone(), None)? {
                let record = begun(&version, DeploymentAction::Retire, when, Order::default());
                writing.put_deployment(DeploymentRecord { outcome, ended: Some(when), ..record })?;
            }
        }
        if any {
            writing.put_file(name, None)?;
            writing.commit()?;
        }
        Ok(any)
    }

    /// The file of a retired version is back: it is live again, from where its
    /// state stands, and recorded so.
    pub fn resume(&self, name: &str, digest: &str, when: Timestamp) -> Result<(), StateError> {
        let version = find(&self.versions(name)?, name, digest, "resume")?;
        if version.station != Station::Retired {
            return Err(refused(name, digest, "resume", "it is not retired"));
        }
        self.promote(name, digest, when, None)
    }

    /// Moves a version that stands by or is retired between these two, which is
    /// no deployment.
    pub fn set_station(&self, name: &str, digest: &str, station: Station) -> Result<(), StateError> {
        let quiet = |station| matches!(station, Station::Standby | Station::Retired);
        let writing = self.change()?;
        let mut version = find(&writing.versions(name)?, name, digest, "move")?;
        if !quiet(version.station) || !quiet(station) {
            let reason = "only versions that stand by or are retired can be moved, and only there";
            return Err(refused(name, digest, "move", reason));
        }
        version.station = station;
        writing.put_version(&version)?;
        writing.commit()
    }

    /// Other settings for a version, which do not change its digest.
    pub fn set_settings(&self, name: &str, digest: &str, settings: &str) -> Result<(), StateError> {
        let writing = self.change()?;
        let mut version = find(&writing.versions(name)?, name, digest, "change the settings of")?;
        version.settings = settings.to_owned();
        writing.put_version(&version)?;
        writing.commit()
    }

    /// Forgets a version whose state is about to be deleted. Its deployments
    /// stay; one that is under way has been superseded.
    pub fn forget(&self, name: &str, digest: &str, when: Timestamp) -> Result<(), StateError> {
        let writing = self.change()?;
        if let Some(open) = writing.open_deployment(name, digest)? {
            let outcome = DeploymentOutcome::Superseded;
            writing.put_deployment(DeploymentRecord { outcome, ended: Some(when), ..open })?;
        }
        writing.remove_version(name, digest)?;
        writing.commit()
    }

    pub(super) fn change(&self) -> Result<Writing<'_>, StateError> {
        Writing::begin(&self.database, &self.origin)
    }
}

/// Whoever is live stands by from now on.
fn stand_by(writing: &Writing<'_>, versions: &[VersionRecord]) -> Result<(), StateError> {
    for live in versions.iter().filter(|version| version.station == Station::Live) {
        writing.put_version(&VersionRecord { station: Station::Standby, ..live.clone() })?;
    }
    Ok(())
}

/// Candidates that were to take over are not any more: something newer is. One that was live
/// before stands by again, others retire.
fn supersede(writing: &Writing<'_>, name: &str, keep: &str, when: Timestamp) -> Result<(), StateError> {
    for other in writing.versions(name)? {
        if other.station == Station::Candidate && !other.held && other.digest != keep {
            end(writing, &other, when, DeploymentOutcome::Superseded, None)?;
            let other = match other.promoted {
                Some(_) => stood_by(other),
                None => VersionRecord { station: Station::Retired, ..other },
            };
            writing.put_version(&other)?;
        }
    }
    Ok(())
}

/// A candidate that was live before, and stands by again.
fn stood_by(version: VersionRecord) -> VersionRecord {
    VersionRecord { station: Station::Standby, held: false, ..version }
}

/// Ends the version's deployment. `false`: it has none that is under way.
fn end(
    writing: &Writing<'_>,
    version: &VersionRecord,
    when: Timestamp,
    outcome: DeploymentOutcome,
    replay: Option<Replay>,
) -> Result<bool, StateError> {
    let Some(mut record) = writing.open_deployment(&version.name, &version.digest)? else {
        return Ok(false);
    };
    record.outcome = outcome;
    record.ended = Some(when);
    record.replay_micros = replay.map(|replay| replay.micros);
    record.events = replay.map(|replay| replay.events);
    writing.put_deployment(record)?;
    Ok(true)
}

fn begun(
    version: &VersionRecord,
    action: DeploymentAction,
    when: Timestamp,
    Order { actor, note }: Order,
) -> DeploymentRecord {
    DeploymentRecord {
        id: 0,
        name: version.name.clone(),
        digest: version.digest.clone(),
        action,
        when,
        size: version.size,
        file: version.file.clone(),
        outcome: DeploymentOutcome::Replaying,
        ended: None,
        replay_began: None,
        replay_micros: None,
        events: None,
        actor,
        note,
    }
}

fn find(
    versions: &[VersionRecord],
    name: &str,
    digest: &str,
    action: &'static str,
) -> Result<VersionRecord, StateError> {
    let version = versions.iter().find(|version| version.digest == digest);
    version.cloned().ok_or_else(|| refused(name, digest, action, "it does not know that version"))
}

fn refused(name: &str, digest: &str, action: &'static str, reason: &str) -> StateError {
    StateError::Catalog {
        action,
        name: name.to_owned(),
        digest: digest.to_owned(),
        reason: reason.to_owned(),
    }
}
