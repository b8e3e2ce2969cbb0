//! `/projections/{name}/history/{table}/{key}`: what became of a row.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};

use super::{reading::VERSION, steps::PastQuery};
use crate::{
    deploy::{Deployer, HistoryRead, RowKey},
    http::{
        POSITION,
        parameters::{Both, Parameters, QueryString, UrlQuery},
        path::decode,
        problem::{Kind, Problem, ProblemDocument},
    },
    query::{self, HistoryPage},
    state,
};

/// Whose events have to be folded.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SubjectQuery {
    /// Of a projection that is partitioned by subject: the subject that the row belongs to, if its key does not say it.
    #[param(required = false)]
    subject: Option<String>,
}

impl Parameters for SubjectQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        Ok(Self { subject: query.one("subject")? })
    }
}

/// Read a row's history
///
/// Each event that changed the row, with its value before and afterwards, up to where the version stands. The row is
/// addressed as under `/tables`.
#[utoipa::path(get, path = "/projections/{name}/history/{table}/{*key}", tag = "projections", operation_id = "readHistory",
    params(
        ("name" = String, Path, description = "The projection's name", example = "churn"),
        ("table" = String, Path, description = "The table's name", example = "files"),
        ("key" = String, Path, description = "The key's parts, separated by slashes", example = "Cargo.toml"),
        PastQuery, SubjectQuery,
    ),
    responses(
        (status = 200, description = "The history; empty if there never was such a row.", body = HistoryPage, headers(
            ("Projectionist-Position" = u64, description = "The last position that it tells of"),
            ("Projectionist-Version" = String, description = "The digest of the version"))),
        (status = 400, description = "That is no key of this table, or a parameter does not fit.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such projection, version or table.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is a reaction, or it halts before it comes there.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn page(
    State(deployer): State<Arc<Deployer>>,
    request: Request,
) -> Result<Response, Problem> {
    let Some([name, table, key]) = address(request.uri().path()) else {
        return Err(Problem::new(Kind::Internal, "a route and its handler differ about a row's address"));
    };
    let (name, table) = (decode(name)?, decode(table)?);
    let segments = key.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    let Both(past, SubjectQuery { subject }) = UrlQuery::<Both<PastQuery, SubjectQuery>>::of(request.uri())?;
    let PastQuery { version, from, to, reverse, limit } = past;
    let walker = deployer.walker(&name, version.as_deref()).await?;
    let (number, key) = query::find_row(walker.plugin().description(), &table, &segments)?;
    let shown = state::key::shown(&key);
    let row = RowKey { table: number, key };
    let history = walker.history(&HistoryRead { row, subject, from, to, reverse, limit }).await?;
    let changes = history.changes.iter().map(|(event, change)| query::shown_change(&table, event, change));
    let page = HistoryPage {
        version: walker.digest().to_owned(),
        position: history.position,
        table: table.to_string(),
        key: shown.expect("a key that was encoded just now can be shown"),
        changes: changes.collect::<Result<_, _>>()?,
        subject: history.subject,
        next: history.next,
    };
    let headers = [(POSITION, page.position.to_string()), (VERSION, page.version.clone())];
    Ok((headers, Json(page)).into_response())
}

/// The name, the table and the key in the address, as they stand there.
fn address(path: &str) -> Option<[&str; 3]> {
    let (name, rest) = path.strip_prefix("/projections/")?.split_once('/')?;
    let (table, key) = rest.strip_prefix("history/")?.split_once('/')?;
    Some([name, table, key])
}
