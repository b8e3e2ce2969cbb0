//! `/projections/{name}/steps`: what each event did, forwards and backwards.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};

use super::reading::VERSION;
use crate::{
    deploy::{Breakpoint, Deployer, RowKey, StepsRead, Walker},
    event::Position,
    http::{
        parameters::{Both, Parameters, QueryString, UrlQuery, invalid},
        path::{Segments, decode},
        problem::{Problem, ProblemDocument},
    },
    query::{self, StepsPage},
};

const DEFAULT_LIMIT: usize = 20;
const MOST: usize = 1_000;

/// Which version, and which part of its past.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PastQuery {
    /// A version that is kept, by how its digest begins; the live one by default.
    #[param(required = false)]
    pub(super) version: Option<String>,
    /// The first position; 1 by default.
    #[param(required = false, minimum = 1)]
    pub(super) from: Position,
    /// The last position; as far as there is something by default.
    #[param(required = false)]
    pub(super) to: Option<Position>,
    /// Newest first.
    #[param(required = false)]
    pub(super) reverse: bool,
    /// At most so many: 20 by default, 1,000 at most.
    #[param(required = false, minimum = 1, maximum = 1_000)]
    pub(super) limit: usize,
}

impl Parameters for PastQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        let from: Position = query.parsed("from", "a position, from 1")?.unwrap_or(1);
        let to: Option<Position> = query.parsed("to", "a position, from 1")?;
        if let Some(to) = to.filter(|to| *to < from) {
            return Err(invalid("to", &to.to_string(), format_args!("it lies before `from`, {from}")));
        }
        Ok(Self {
            version: query.one("version")?,
            from,
            to,
            reverse: query.flag("reverse")?,
            limit: query.count("limit", MOST)?.unwrap_or(DEFAULT_LIMIT),
        })
    }
}

/// Breakpoints: only steps that meet one of them. Each may be repeated.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct BreakpointsQuery {
    /// Only events of this type.
    #[param(rename = "type")]
    types: Option<Vec<String>>,
    /// Only events about this subject.
    #[param(rename = "subject")]
    subjects: Option<Vec<String>>,
    /// Only events that wrote this row, be it with the same value: the table and the key, as in a row's address.
    #[param(rename = "key", example = "files/Cargo.toml")]
    keys: Option<Vec<String>>,
    /// Only events that changed this row, written as for `key`.
    #[param(rename = "change", example = "files/Cargo.toml")]
    changes: Option<Vec<String>>,
}

impl Parameters for BreakpointsQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        let [types, subjects, keys, changes] =
            ["type", "subject", "key", "change"].map(|name| Some(query.all(name)));
        Ok(Self { types, subjects, keys, changes })
    }
}

impl BreakpointsQuery {
    fn breakpoints(self, walker: &Walker) -> Result<Vec<Breakpoint>, Problem> {
        let description = walker.plugin().description();
        let mut breakpoints = Vec::new();
        for event_type in self.types.into_iter().flatten() {
            let wanted = description.events.as_ref();
            if let Some(wanted) = wanted.filter(|wanted| !wanted.contains(&event_type)) {
                let why = format!("the plug-in gets no such events; it wants {}", wanted.join(", "));
                return Err(invalid("type", &event_type, why));
            }
            breakpoints.push(Breakpoint::Type(event_type));
        }
        breakpoints.extend(self.subjects.into_iter().flatten().map(Breakpoint::Subject));
        for key in self.keys.into_iter().flatten() {
            breakpoints.push(Breakpoint::Key(row(walker, "key", &key)?));
        }
        for key in self.changes.into_iter().flatten() {
            breakpoints.push(Breakpoint::Change(row(walker, "change", &key)?));
        }
        Ok(breakpoints)
    }
}

/// The row that a parameter names.
fn row(walker: &Walker, parameter: &str, text: &str) -> Result<RowKey, Problem> {
    let Some((table, key)) = text.split_once('/') else {
        let why = "it should be a table and a key, as in a row's address: files/Cargo.toml";
        return Err(invalid(parameter, text, why));
    };
    let segments = key.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    let (table, key) = query::find_row(walker.plugin().description(), &decode(table)?, &segments)?;
    Ok(RowKey { table, key })
}

/// Step through history
///
/// Event by event: the event, the rows that it changed with their values before and afterwards, and what the plug-in
/// printed. The version's code folds history once more for it, apart from what runs. With breakpoints only those steps
/// are answered that meet one. An event at which the version halts is always the last.
#[utoipa::path(get, path = "/projections/{name}/steps", tag = "projections", operation_id = "readSteps",
    params(("name" = String, Path, description = "The projection's name", example = "churn"), PastQuery, BreakpointsQuery),
    responses(
        (status = 200, description = "The steps.", body = StepsPage,
            headers(("Projectionist-Version" = String, description = "The digest of the version"))),
        (status = 400, description = "A parameter is unknown or does not fit.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such projection, version or table.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is a reaction, or it halts before it comes there.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn page(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    UrlQuery(Both(past, breakpoints)): UrlQuery<Both<PastQuery, BreakpointsQuery>>,
) -> Result<Response, Problem> {
    let [name] = segments;
    let PastQuery { version, from, to, reverse, limit } = past;
    let walker = deployer.walker(&name, version.as_deref()).await?;
    let breakpoints = breakpoints.breakpoints(&walker)?;
    let to = to.unwrap_or(Position::MAX);
    let read = walker.steps(&StepsRead { from, to, reverse, limit, breakpoints }).await?;
    let description = walker.plugin().description();
    let steps = read.steps.iter().map(|step| query::shown_step(description, step));
    let page = StepsPage {
        version: walker.digest().to_owned(),
        head: walker.head(),
        steps: steps.collect::<Result<_, _>>()?,
        next: read.next,
    };
    Ok(([(VERSION, page.version.clone())], Json(page)).into_response())
}
