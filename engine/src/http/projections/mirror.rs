//! `/projections/{name}/mirror`: a share of the reads, asked of a candidate as well.

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::reading::live;
use crate::{
    deploy::{Deployer, MirrorError, MirrorStatus, Reflection},
    event::Position,
    http::{
        parameters::{NoParameters, UrlQuery},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
    },
    query::{self, Question, ReflectError},
};

/// What to mirror.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schema(as = Mirror, example = json!({"share": 0.1}))]
pub(crate) struct MirrorDocument {
    /// The candidate, by how its digest begins; the newest one by default.
    candidate: Option<String>,
    /// Which share of the reads it is asked as well: above 0, at most 1.
    share: f64,
}

/// Mirror reads
///
/// From now on a candidate on trial is asked a share of what readers ask: rows, pages of tables and queries. That is
/// done beside the live version's answer, which it neither delays nor changes, and both answers are compared if they
/// are of one position. Takes the place of what was mirrored before, and lasts until the candidate is promoted or given
/// up, or the server ends.
#[utoipa::path(put, path = "/projections/{name}/mirror", tag = "projections", operation_id = "beginMirror",
    params(("name" = String, Path, description = "The projection's name", example = "churn")),
    request_body(content = MirrorDocument),
    responses(
        (status = 200, description = "It is mirrored.", body = MirrorStatus),
        (status = 400, description = "The body does not fit.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such projection or version.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is a reaction, or the version is no candidate that runs.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn begin(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _: UrlQuery<NoParameters>,
    body: Bytes,
) -> Result<Json<MirrorStatus>, Problem> {
    let [name] = segments;
    let MirrorDocument { candidate, share } = serde_json::from_slice(&body).map_err(|error| {
        let detail = format!("the request's body should be JSON such as {{\"share\": 0.1}}: {error}");
        Problem::new(Kind::MalformedRequest, detail)
    })?;
    Ok(Json(deployer.begin_mirror(&name, candidate.as_deref(), share)?))
}

/// What came of mirrored reads
///
/// How many answers of the candidate were the same as those of the live version, and the last that were not.
#[utoipa::path(get, path = "/projections/{name}/mirror", tag = "projections", operation_id = "mirror",
    params(("name" = String, Path, description = "The projection's name", example = "churn")),
    responses(
        (status = 200, description = "What came of it.", body = MirrorStatus),
        (status = 404, description = "There is no such projection, or nothing of it is mirrored.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn show(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _: UrlQuery<NoParameters>,
) -> Result<Json<MirrorStatus>, Problem> {
    let [name] = segments;
    match deployer.mirror(&name) {
        Some(status) => Ok(Json(status)),
        None => Err(nothing(&deployer, &name)),
    }
}

/// Mirror no more
///
/// Forgets what came of it, too.
#[utoipa::path(delete, path = "/projections/{name}/mirror", tag = "projections", operation_id = "endMirror",
    params(("name" = String, Path, description = "The projection's name", example = "churn")),
    responses(
        (status = 204, description = "Nothing is mirrored any more."),
        (status = 404, description = "There is no such projection, or nothing of it is mirrored.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn end(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _: UrlQuery<NoParameters>,
) -> Result<StatusCode, Problem> {
    let [name] = segments;
    match deployer.end_mirror(&name) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(nothing(&deployer, &name)),
    }
}

fn nothing(deployer: &Deployer, name: &str) -> Problem {
    if let Err(problem) = live(deployer, name) {
        return problem;
    }
    let detail = format!(
        "no reads of \"{name}\" are mirrored, or not any more: its candidate was promoted, given up, or has failed"
    );
    Problem::new(Kind::NotFound, detail).with("projection", name)
}

/// Told of each read that the live version has answered: asks the candidate as well, if it is one
/// of those that are mirrored, beside whatever the reader does.
pub(super) fn reflect(
    deployer: &Deployer,
    name: &str,
    position: Position,
    read: impl FnOnce() -> (String, Question, Vec<u8>),
) {
    let Some(mirrored) = deployer.mirrored(name) else { return };
    let (request, question, answer) = read();
    tokio::spawn(async move {
        let reflection = match query::reflect(&mirrored.candidate, question, position).await {
            Ok(answer) => Reflection::Answer(answer),
            Err(ReflectError::Elsewhere) => Reflection::Elsewhere,
            Err(ReflectError::Failed(reason)) => Reflection::Failed(reason),
        };
        mirrored.note(request, position, &answer, reflection);
    });
}

impl From<MirrorError> for Problem {
    fn from(error: MirrorError) -> Self {
        let detail = error.to_string();
        match error {
            MirrorError::Standing(error) => error.into(),
            MirrorError::NoCandidate { version, station, .. } => Problem::new(Kind::OtherStation, detail)
                .with("version", version)
                .with("station", station.to_string()),
            MirrorError::Share(_) => Problem::new(Kind::MalformedRequest, detail),
        }
    }
}
