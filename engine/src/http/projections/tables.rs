//! `/projections/{name}/tables/{table}`: rows, a page at a time or one of them.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    response::{IntoResponse, Response},
};

use super::{
    mirror::reflect,
    reading::{Freshness, tag, told},
};
use crate::{
    deploy::{Deployer, RowAt, RowKey},
    http::{
        etag::Tag,
        parameters::{Both, Parameters, QueryString, UrlQuery},
        path::{Segments, decode},
        problem::{Kind, Problem, ProblemDocument},
    },
    plugin::description::Description,
    query::{self, DEFAULT_LIMIT, MAX_LIMIT, Question, Row, TablePage, TableRead},
};

/// Pages of at most so many rows are read on the spot.
const SMALL: usize = 200;

/// Which rows of a table to read.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RowsQuery {
    /// Only keys that begin with it: the first part, or the first few as a JSON array; the last one may be cut short.
    #[param(example = "src/")]
    prefix: Option<String>,
    /// Only this key and those behind it, written as for `prefix`.
    start: Option<String>,
    /// Only keys before this one, written as for `prefix`.
    end: Option<String>,
    /// The last key first.
    #[param(required = false)]
    reverse: bool,
    /// At most so many rows: 100 by default, 10,000 at most.
    #[param(required = false, minimum = 1, maximum = 10_000)]
    limit: usize,
    /// Where the page before ended: its `next`.
    cursor: Option<String>,
    /// In the order of this index of the table, to whose keys the other parameters then apply.
    index: Option<String>,
}

impl Parameters for RowsQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        Ok(Self {
            prefix: query.one("prefix")?,
            start: query.one("start")?,
            end: query.one("end")?,
            reverse: query.flag("reverse")?,
            limit: query.count("limit", MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT),
            cursor: query.one("cursor")?,
            index: query.one("index")?,
        })
    }
}

impl From<RowsQuery> for TableRead {
    fn from(query: RowsQuery) -> Self {
        let RowsQuery { prefix, start, end, reverse, limit, cursor, index } = query;
        Self { prefix, start, end, reverse, limit, cursor, index }
    }
}

/// Read a table
///
/// A page of a table's rows, in the order of their keys.
#[utoipa::path(get, path = "/projections/{name}/tables/{table}", tag = "projections", operation_id = "readTable",
    params(
        ("name" = String, Path, description = "The projection's name", example = "churn"),
        ("table" = String, Path, description = "The table's name", example = "files"),
        Freshness, RowsQuery,
    ),
    responses(
        (status = 200, description = "The page.", body = TablePage, headers(
            ("Projectionist-Position" = u64, description = "The position of the state that was read"),
            ("Projectionist-Version" = String, description = "The digest of the version that answered"),
            ("ETag" = String, description = "Of the page"))),
        (status = 304, description = "The page is as `If-None-Match` says."),
        (status = 400, description = "A parameter is unknown or does not fit.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such projection or table.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It cannot be looked back: the code that was named cannot fold this history, or it is a reaction.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers, or the live one has halted before `at-least`.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "`at-least` was not reached in time.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn page(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<2>,
    UrlQuery(Both(freshness, rows)): UrlQuery<Both<Freshness, RowsQuery>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [name, table] = segments;
    let reading = freshness.reading(&deployer, &name).await?;
    let (version, view) = (&reading.version, Arc::clone(&reading.view));
    let checkpoint = view.checkpoint();
    let tag = tag(version, checkpoint);
    let read = TableRead::from(rows);
    let small = read.limit <= SMALL;
    let plugin = Arc::clone(version.plugin());
    let question = (table.clone(), read.clone());
    let read = move || query::read_table(&view, plugin.description(), &table, &read);
    let page = match small {
        true => read(),
        false => tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| Problem::new(Kind::Internal, "the engine failed while reading the table"))?,
    }?;
    if reading.is_live() {
        reflect(&deployer, &name, checkpoint.position, || {
            let (table, read) = question;
            let answer = serde_json::to_vec(&page).unwrap_or_default();
            (uri.to_string(), Question::Page { table, read }, answer)
        });
    }
    Ok(told(version, checkpoint.position, tag.respond(&headers, || Json(page).into_response())))
}

/// Read a row
///
/// The row of a key. Each segment behind the table is a part of the key, percent-encoded; segments that are left
/// over belong to the last part, if that is text: `/projections/churn/tables/files/src/lib.rs`.
#[utoipa::path(get, path = "/projections/{name}/tables/{table}/{*key}", tag = "projections", operation_id = "readRow",
    params(
        ("name" = String, Path, description = "The projection's name", example = "churn"),
        ("table" = String, Path, description = "The table's name", example = "files"),
        ("key" = String, Path, description = "The key's parts, separated by slashes", example = "Cargo.toml"),
        Freshness,
    ),
    responses(
        (status = 200, description = "The row.", body = Row, headers(
            ("Projectionist-Position" = u64, description = "The position of the state that was read"),
            ("Projectionist-Version" = String, description = "The digest of the version that answered"),
            ("ETag" = String, description = "Of the row: it stays the same as long as the row does"))),
        (status = 304, description = "The row is as `If-None-Match` says."),
        (status = 400, description = "That is no key of this table, or a parameter does not fit.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such projection, table or key.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It cannot be looked back: the code that was named cannot fold this history, or it is a reaction.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers, or the live one has halted before `at-least`.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 504, description = "`at-least` was not reached in time.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn row(
    State(deployer): State<Arc<Deployer>>,
    request: Request,
) -> Result<Response, Problem> {
    let Some([name, table, key]) = row_address(request.uri().path()) else {
        return Err(Problem::new(Kind::Internal, "a route and its handler differ about a row's address"));
    };
    let (name, table) = (decode(name)?, decode(table)?);
    let key = key.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    let freshness = UrlQuery::<Freshness>::of(request.uri())?;
    let find = |description: &Description| {
        let (table, key) = query::find_row(description, &table, &key)?;
        Ok(RowKey { table, key })
    };
    let (version, position, is_live, found) = match freshness.row(&deployer, &name, find).await? {
        Some(RowAt { version, position, row, value }) => {
            let value = value.map(|value| query::shown_row(&table, &row.key, &value)).transpose()?;
            (version, position, false, value)
        }
        None => {
            let reading = freshness.reading(&deployer, &name).await?;
            let found = query::read_key(&reading.view, reading.version.plugin().description(), &table, &key)?;
            (Arc::clone(&reading.version), reading.view.position(), reading.is_live(), found)
        }
    };
    let version = &*version;
    let asked = |answer| {
        let key = key.iter().map(|part| part.clone().into_owned()).collect();
        (request.uri().to_string(), Question::Row { table: table.clone().into_owned(), key }, answer)
    };
    let Some(row) = found else {
        if is_live {
            reflect(&deployer, &name, position, || asked(b"null".to_vec()));
        }
        let detail = format!(
            "table \"{table}\" of \"{name}\" has no key \"{}\" at position {position}",
            key.join("/")
        );
        let problem = Problem::new(Kind::NoSuchKey, detail).with("position", position);
        return Ok(told(version, position, problem));
    };
    let body = serde_json::to_vec(&row).map_err(|error| {
        Problem::new(Kind::PluginFailed, format!("the row cannot be written as JSON: {error}"))
    })?;
    if is_live {
        reflect(&deployer, &name, position, || asked(body.clone()));
    }
    let tag = Tag::within(version.digest(), &body);
    let answer = || {
        let mut answer = Response::new(Body::from(body));
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    };
    Ok(told(version, position, tag.respond(request.headers(), answer)))
}

/// Whether a request reads a row, so that [`row`] answers it as the router would
/// have it do. The router's boxes take as long as the read.
pub(crate) fn is_row(request: &Request) -> bool {
    request.method() == Method::GET && row_address(request.uri().path()).is_some()
}

/// The name, the table and the key in a row's address, as they stand there.
fn row_address(path: &str) -> Option<[&str; 3]> {
    let (name, rest) = path.strip_prefix("/projections/")?.split_once('/')?;
    let (table, key) = rest.strip_prefix("tables/")?.split_once('/')?;
    let parts = [name, table, key];
    parts.iter().all(|part| !part.is_empty()).then_some(parts)
}
