//! `/projections`: what the plug-ins have folded, and how they are.
//!
//! - `status.rs`: `/projections`, `/projections/{name}` and what belongs to a
//!   plug-in as a whole: output, deployments, dead letters, purge.
//! - `tables.rs`: `…/tables/{table}` and `…/tables/{table}/{key}`.
//! - `queries.rs`: `…/queries/{query}`; `arguments.rs`: from a URL's parameters
//!   to what the query takes.
//! - `compare.rs`: `…/compare`, with other code; `component.rs`: a component in a request;
//!   `folds.rs`: `…/folds`, how far history is folded for it.
//! - `verify.rs`: `…/verify`, whether state is what history makes of it.
//! - `what_if.rs`: `…/what-if`, over altered histories; `lines.rs`: listings that leave as they are made.
//! - `mirror.rs`: `…/mirror`, reads asked of a candidate as well.
//! - `steps.rs`: `…/steps`, what each event did; `history.rs`: `…/history/{table}/{key}`, what became of a row.
//! - `orders.rs`: `…/candidates`, `…/plan`, `…/promote`, `…/roll-back`, `…/abort`.
//! - `reading.rs`: what all reads of state share: which version answers, how
//!   long to wait for a position, the headers that tell about it.
//!
//! Point reads and small pages run where they are: they take microseconds, less
//! than handing them to another thread. Large pages are handed over, so that
//! they don't hold up others.

mod arguments;
mod compare;
mod component;
mod folds;
mod history;
mod lines;
mod mirror;
mod orders;
mod queries;
mod reading;
mod status;
mod steps;
pub(crate) mod tables;
mod verify;
mod what_if;

use std::sync::Arc;

use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::status::json;
use super::problem::{Kind, Problem};
use crate::deploy::{Deployer, NotServed};

/// The routes.
pub(crate) fn routes(deployer: Arc<Deployer>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(status::list))
        .routes(routes!(status::one, status::purge))
        .routes(routes!(status::output))
        .routes(routes!(status::deployments))
        .routes(routes!(status::dead_letters))
        .routes(routes!(tables::page))
        .routes(routes!(tables::row))
        .routes(routes!(queries::get, queries::post))
        .routes(routes!(compare::with_kept, compare::with_component))
        .routes(routes!(compare::lend))
        .routes(routes!(folds::list))
        .routes(routes!(verify::begin, verify::status))
        .routes(routes!(what_if::ask))
        .routes(routes!(mirror::begin, mirror::show, mirror::end))
        .routes(routes!(steps::page))
        .routes(routes!(history::page))
        .routes(routes!(orders::deliver))
        .routes(routes!(orders::plan))
        .routes(routes!(orders::promote))
        .routes(routes!(orders::roll_back))
        .routes(routes!(orders::abort))
        .with_state(deployer)
}

impl From<NotServed> for Problem {
    fn from(error: NotServed) -> Self {
        let detail = error.to_string();
        let problem = |kind, name: &str| Problem::new(kind, detail).with("projection", name);
        match &error {
            NotServed::Unknown { name } | NotServed::Upcaster { name } => {
                problem(Kind::NoSuchProjection, name)
            }
            NotServed::Replaying { name, position, head } => {
                problem(Kind::NotServed, name).with("position", *position).with("head", *head).retry()
            }
            NotServed::Failed { name, .. } | NotServed::Retired { name } => problem(Kind::NotServed, name),
        }
    }
}
