//! What a version would have made of histories that did not happen.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::{
    Deployer,
    apart::{Standing, StandingError},
    compare::Other,
};
use crate::{
    event::Position,
    log::{
        LogError,
        altered::{Alteration, AlteredLog, ContradictionError, Effect, ResolveError},
    },
    plugin::{Settings, description::Kind},
    projection::{Code, Halt, Version},
};

/// A history that did not happen.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What tells it from the others.
    pub name: String,
    /// How it differs from what happened.
    pub alterations: Vec<Alteration>,
}

/// What became of a scenario.
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// What the alterations did.
    pub effect: Effect,
    /// What was folded; or why the code cannot fold this history.
    pub folded: Result<Standing, Halt>,
}

/// Why it cannot be said what would have been.
#[derive(Debug, thiserror::Error)]
pub enum WhatIfError {
    /// The live version, or the other code, cannot be used for it.
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// Alterations that cannot hold together.
    #[error("scenario \"{scenario}\", alteration {}: {source}", source.alteration() + 1)]
    Contradiction {
        /// The scenario's name.
        scenario: String,
        /// What is wrong.
        source: ContradictionError,
    },
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Deployer {
    /// The live version as it stands, or stood at `to`, and what it, or other code, makes of
    /// each scenario up to the same position. Each is folded apart, all side by side, and
    /// nothing of what runs is touched.
    pub async fn what_if(
        &self,
        name: &str,
        scenarios: Vec<Scenario>,
        code: Option<Other>,
        to: Option<Position>,
    ) -> Result<(Standing, Vec<Outcome>), WhatIfError> {
        let live = self.live(name)?;
        if live.plugin().kind() != Kind::Projection {
            let kind = live.plugin().kind();
            return Err(StandingError::NoProjection { name: name.to_owned(), kind }.into());
        }
        let code = self.code(&live, code).await?;
        let real = match to {
            Some(to) => self.live_at(&live, to).await?,
            None => {
                let view = live.state().view().map_err(StandingError::from)?;
                Standing::of(live, view)
            }
        };
        let to = real.view().position();
        let outcomes = scenarios.into_iter().map(|scenario| self.play(scenario, &code, to));
        let outcomes = try_join_all(outcomes).await?;
        Ok((real, outcomes))
    }

    /// The code that folds: the live version's, if nothing else is said.
    async fn code(&self, live: &Version, code: Option<Other>) -> Result<Code, StandingError> {
        let context = self.registry.context();
        let digest = match code {
            Some(Other::Component { wasm, settings }) => {
                let settings = match settings {
                    Some(text) => Settings::parse(&text)?,
                    None => live.plugin().settings().clone(),
                };
                let code = context.code_of(live.name(), &wasm, &settings).await;
                return code.map_err(StandingError::Plugin);
            }
            Some(Other::Kept(digest)) => digest,
            None => Some(live.digest().to_owned()),
        };
        let record = self.kept(live.name(), digest.as_deref())?;
        context.code(&record).await
    }

    /// Folds one scenario.
    async fn play(
        &self,
        Scenario { name, alterations }: Scenario,
        code: &Code,
        to: Position,
    ) -> Result<Outcome, WhatIfError> {
        let context = self.registry.context();
        let log = Arc::clone(&context.log);
        let altering = move || AlteredLog::new(log, &alterations, to);
        let altered = tokio::task::spawn_blocking(altering).await;
        let altered = altered.map_err(|error| StandingError::Halted {
            name: code.name().to_owned(),
            version: code.digest().to_owned(),
            to,
            halt: Box::new(Halt::of_host(error)),
        })?;
        let (log, effect) = match altered {
            Ok(altered) => altered,
            Err(ResolveError::Contradiction(source)) => {
                return Err(WhatIfError::Contradiction { scenario: name, source });
            }
            Err(ResolveError::Log(error)) => return Err(error.into()),
        };
        let folded = match context.fold_other(Arc::new(log), code.clone(), to).await {
            Ok(standing) => Ok(standing),
            // That is what would have been; where the host is to blame, nothing is known.
            Err(StandingError::Halted { halt, .. }) if !halt.host => Err(*halt),
            Err(error) => return Err(error.into()),
        };
        Ok(Outcome { name, effect, folded })
    }
}

impl From<super::NotServed> for WhatIfError {
    fn from(error: super::NotServed) -> Self {
        Self::Standing(error.into())
    }
}
