//! `/reactions`: what reactions are doing, and their dead letters.
//!
//! - `status.rs`: `/reactions` and `/reactions/{name}`.
//! - `dead_letters.rs`: `…/dead-letters`: listed, looked at, tried again, dropped.
//! - `effects.rs`: `…/effects`: what an event led to.
//!
//! Their tables and queries, versions and deployments are read as those of
//! projections are, at `/projections/{name}`.

mod dead_letters;
mod effects;
mod status;

use std::sync::Arc;

use utoipa_axum::{router::OpenApiRouter, routes};

use super::problem::{Kind, Problem};
use crate::{
    deploy::{Deployer, NotServed},
    projection::Version,
    reaction::{Handle, LetterError},
};

/// The routes.
pub(crate) fn routes(deployer: Arc<Deployer>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(status::list))
        .routes(routes!(status::one))
        .routes(routes!(dead_letters::list, dead_letters::drop_all))
        .routes(routes!(dead_letters::retry_all))
        .routes(routes!(dead_letters::one, dead_letters::drop_one))
        .routes(routes!(dead_letters::retry_one))
        .routes(routes!(effects::read))
        .with_state(deployer)
}

/// A reaction that is at work.
fn at_work(deployer: &Deployer, name: &str) -> Result<(Arc<Version>, Handle), Problem> {
    match deployer.reaction(name) {
        Ok(Some(reaction)) => Ok(reaction),
        Ok(None) => {
            let detail = format!("\"{name}\" is a projection; look at /projections/{name}");
            Err(Problem::new(Kind::NoSuchReaction, detail).with("reaction", name))
        }
        Err(NotServed::Unknown { .. }) => {
            let detail = format!(
                "there is no reaction \"{name}\": put {name}.wasm into the plug-ins folder, or check the name"
            );
            Err(Problem::new(Kind::NoSuchReaction, detail).with("reaction", name))
        }
        Err(error) => Err(error.into()),
    }
}

impl From<LetterError> for Problem {
    fn from(error: LetterError) -> Self {
        let kind = match &error {
            LetterError::Unknown { .. } => Kind::NoSuchDeadLetter,
            LetterError::NotAtWork => Kind::Halted,
            LetterError::Host { .. } => Kind::StorageFailed,
        };
        Problem::new(kind, error.to_string())
    }
}
