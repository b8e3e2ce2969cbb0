//! What can happen to a version: each in one durable transaction, together with
//! the deployment record that tells of it.

use super::{
    super::error::StateError, Catalog, DeploymentAction, DeploymentOutcome, DeploymentRecord, Replay,
    Station, VersionRecord, tables::Writing,
};
use crate::event::Timestamp;

impl Catalog {
    /// A new version appears: it becomes a candidate, whatever it was before,
    /// its deployment begins, and other candidates of the name are superseded
    /// (they are retired). The record's station counts for nothing.
    pub fn deploy(&self, version: VersionRecord) -> Result<DeploymentRecord, StateError> {
        let writing = self.change()?;
        let when = version.created;
        for mut other in writing.versions(&version.name)? {
            if other.station == Station::Candidate && other.digest != version.digest {
                other.station = Station::Retired;
                end(&writing, &other, when, DeploymentOutcome::Superseded, None)?;
                writing.put_version(&other)?;
            }
        }
        if let Some(open) = writing.open_deployment(&version.name, &version.digest)? {
            let outcome = DeploymentOutcome::Superseded;
            writing.put_deployment(DeploymentRecord { outcome, ended: Some(when), ..open })?;
        }
        let candidate = VersionRecord { station: Station::Candidate, reason: None, ..version };
        writing.put_version(&candidate)?;
        let record = begun(&candidate, DeploymentAction::Deploy, when);
        let record = writing.put_deployment(record)?;
        writing.commit()?;
        Ok(record)
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
        version.promoted = Some(when);
        writing.put_version(&version)?;
        if !end(&writing, &version, when, DeploymentOutcome::Promoted, replay)? {
            let outcome = DeploymentOutcome::Promoted;
            let record = begun(&version, action, when);
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
            let record = begun(&version, DeploymentAction::Fail, when);
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
                let record = begun(&version, DeploymentAction::Retire, when);
                writing.put_deployment(DeploymentRecord { outcome, ended: Some(when), ..record })?;
            }
        }
        if any {
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

    fn change(&self) -> Result<Writing<'_>, StateError> {
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

fn begun(version: &VersionRecord, action: DeploymentAction, when: Timestamp) -> DeploymentRecord {
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
