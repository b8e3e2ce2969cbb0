//! The verification of a version, from its beginning to the verdict.

use std::sync::Arc;

use super::{
    super::{StandingError, registry::Registry, supervisor::Context},
    differences::{self, Side},
    fold::{Folder, Made, Print, Trouble},
    progress::Progress,
    search::{Found, search},
    ways::Way,
};
use crate::{
    event::{Position, Timestamp},
    plugin::description::Kind,
    projection::Version,
    state::{
        StateError,
        catalog::{FoldedAgain, FoundDifference, Verdict, Verification, VersionRecord},
    },
};

/// What is verified.
pub(super) struct Judge<'a> {
    /// Where the version is found, if it runs. It is not held on to: it may be stopped and closed
    /// at any time.
    pub(super) registry: &'a Registry,
    pub(super) record: &'a VersionRecord,
    pub(super) progress: &'a Progress,
}

/// The state that a version has.
struct Stands {
    position: Position,
    print: Print,
    /// Its rows are those that were once committed.
    intact: bool,
}

impl Judge<'_> {
    fn context(&self) -> &Context {
        self.registry.context()
    }

    fn running(&self) -> Option<Arc<Version>> {
        self.registry.running(&self.record.name, &self.record.digest)
    }

    /// Folds history again in all ways, and says what came of it.
    pub(super) async fn judge(&self, began: Timestamp) -> Verification {
        let mut verification = Verification {
            version: self.record.digest.clone(),
            began,
            micros: 0,
            position: 0,
            verdict: Verdict::Verified,
            digest: None,
            folds: Vec::new(),
            difference: None,
            reason: None,
        };
        match self.look(&mut verification).await {
            Ok(None) => {}
            Ok(Some(difference)) => {
                verification.verdict = Verdict::Differs;
                verification.difference = Some(difference);
            }
            Err(Trouble::Halted { way, halt }) => {
                verification.verdict = Verdict::Differs;
                verification.difference = Some(differences::halted(&*self.context().log, way, &halt));
            }
            Err(Trouble::Failed(error)) => {
                verification.verdict = Verdict::Failed;
                verification.reason = Some(error.to_string());
            }
        }
        verification
    }

    /// Notes all it comes upon; answers the difference, if there is one.
    async fn look(&self, verification: &mut Verification) -> Result<Option<FoundDifference>, Trouble> {
        let code = self.context().code(self.record).await?;
        let plugin = code.plugin();
        if plugin.kind() != Kind::Projection {
            let (name, kind) = (self.record.name.clone(), plugin.kind());
            return Err(StandingError::NoProjection { name, kind }.into());
        }
        self.progress.step("reading the state that stands".to_owned());
        let stands = self.stands().await?;
        let position = stands.as_ref().map_or_else(|| self.context().log.head(), |stands| stands.position);
        verification.position = position;
        verification.digest = stands.as_ref().map(|stands| stands.print.digest.to_string());
        self.progress.up_to(position);
        let ways = Way::all(plugin, position);
        let mut prints = Vec::new();
        for (number, way) in ways.iter().enumerate() {
            let words = way.words();
            self.progress.step(format!("{} of {}: folding {words}", number + 1, ways.len()));
            let folded = self.folder(*way).await?.fold(None, position).await;
            verification.folds.push(told(words, &folded));
            match folded {
                // It stands by, and may never have come so far.
                Err(Trouble::Halted { halt, .. }) if stands.is_none() && prints.is_empty() => {
                    let (name, version) = (self.record.name.clone(), self.record.digest.clone());
                    return Err(StandingError::Halted { name, version, to: position, halt }.into());
                }
                folded => prints.push((*way, folded?.print)),
            }
        }
        let Some((first, print)) = prints.first() else { return Ok(None) };
        if prints.iter().all(|(_, other)| other == print) {
            return match stands.filter(|stands| stands.print != *print || !stands.intact) {
                Some(stands) => self.stands_otherwise(*first, &stands).await.map(Some),
                None => Ok(None),
            };
        }
        self.search(&prints, position).await.map(Some)
    }

    /// The state of the version, if it runs, with the digest of its rows as they lie there.
    async fn stands(&self) -> Result<Option<Stands>, StateError> {
        let Some(version) = self.running() else { return Ok(None) };
        let view = version.state().view()?;
        let (position, committed) = (view.position(), view.checkpoint().digest);
        let digest = in_background(move || view.digest_from_scratch()).await?;
        let print = Print::of(version.state(), digest, position)?;
        Ok(Some(Stands { position, print, intact: digest == committed }))
    }

    async fn folder(&self, way: Way) -> Result<Folder<'_>, StandingError> {
        Folder::load(self.context(), self.record, way, self.progress).await
    }

    /// The event at which ways part that do not come to the same.
    async fn search(&self, prints: &[(Way, Print)], to: Position) -> Result<FoundDifference, Trouble> {
        self.progress.step("looking for the event after which they differ".to_owned());
        let reference = self.folder(Way::Alone).await?;
        let [(first, print), others @ ..] = prints else { unreachable!("several ways differ") };
        let alone = prints.iter().find(|(way, _)| *way == Way::Alone).map(|(_, print)| print);
        let mut suspects = Vec::new();
        for (way, other) in prints {
            if alone.is_some_and(|alone| alone != other) {
                suspects.push(self.folder(*way).await?);
                break;
            }
        }
        if alone.is_none() {
            // One of two that differ from one another differs from the reference too.
            suspects.push(self.folder(*first).await?);
            if let Some((other, _)) = others.iter().find(|(_, other)| other != print) {
                suspects.push(self.folder(*other).await?);
            }
        }
        let Some(found) = search(&reference, &suspects, to).await? else {
            return Ok(differences::not_again(prints.iter().map(|(way, _)| *way)));
        };
        let Found { position, reference: before, suspect: after, which } = found;
        let ways = [Way::Alone, suspects[which].way];
        let rows = rows(Side::Made(before), Side::Made(after)).await?;
        Ok(differences::outside_its_tables(&*self.context().log, position, ways, rows))
    }

    /// History comes to the same however it is folded, but that is not what stands. The rows are looked for where
    /// the version stands now: its state was not held on to, which would have kept its file from being tidied.
    async fn stands_otherwise(&self, way: Way, stands: &Stands) -> Result<FoundDifference, Trouble> {
        self.progress.step("looking for the rows that differ".to_owned());
        let rows = match self.running() {
            Some(version) => {
                let view = version.state().view()?;
                let made = self.folder(way).await?.fold(None, view.position()).await?;
                rows(Side::Made(made), Side::Stands(version, view)).await?
            }
            // It has been stopped meanwhile.
            None => Default::default(),
        };
        Ok(differences::of_state(stands.intact, rows))
    }
}

fn told(way: String, folded: &Result<Made, Trouble>) -> FoldedAgain {
    let made = folded.as_ref().ok();
    FoldedAgain {
        way,
        digest: made.map(|made| made.print.digest.to_string()),
        dead_letters: made.map_or(0, |made| made.print.dead_letters.len() as u64),
        micros: made.map_or(0, |made| made.micros),
    }
}

async fn rows(before: Side, after: Side) -> Result<differences::Rows, StateError> {
    in_background(move || differences::Rows::of(&before, &after)).await
}

/// Off the threads that answer requests: it reads whole tables.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StateError> + Send + 'static,
) -> Result<T, StateError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // It has panicked, or the process ends.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}
