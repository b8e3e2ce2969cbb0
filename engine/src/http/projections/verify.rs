//! `/projections/{name}/verify`: whether a version's state is what its code makes of history.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};

use crate::{
    deploy::{
        Deployer,
        verify::{Underway, VerificationStatus, VerifyError},
    },
    http::{
        parameters::{Parameters, QueryString, UrlQuery},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
    },
};

/// Which version.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct VersionQuery {
    /// The version, by how its digest begins; the live one by default.
    #[param(required = false)]
    version: Option<String>,
}

impl Parameters for VersionQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        Ok(Self { version: query.one("version")? })
    }
}

/// Verify a projection
///
/// Begins to fold history again, apart from all that runs and after all else that has work: in other blocks, with
/// instances begun anew, in another number of partitions. What comes of it must be what stands. `GET` tells how far it is
/// and what came of it. If the version is being verified already, that is told.
#[utoipa::path(post, path = "/projections/{name}/verify", tag = "projections", operation_id = "verify",
    params(("name" = String, Path, description = "The projection's name", example = "churn"), VersionQuery),
    responses(
        (status = 202, description = "It is under way.", body = Underway),
        (status = 404, description = "There is no such projection or version.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is a reaction, or another version is being verified.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn begin(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    UrlQuery(query): UrlQuery<VersionQuery>,
) -> Result<(StatusCode, Json<Underway>), Problem> {
    let [name] = segments;
    let underway = deployer.verify(&name, query.version.as_deref())?;
    Ok((StatusCode::ACCEPTED, Json(underway)))
}

/// Read a projection's verification
///
/// How far the verification of a version is, and what came of the last one. That is kept with the version.
#[utoipa::path(get, path = "/projections/{name}/verify", tag = "projections", operation_id = "readVerification",
    params(("name" = String, Path, description = "The projection's name", example = "churn"), VersionQuery),
    responses(
        (status = 200, description = "What is under way, and what came of the last verification.", body = VerificationStatus),
        (status = 404, description = "There is no such projection or version.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn status(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    UrlQuery(query): UrlQuery<VersionQuery>,
) -> Result<Json<VerificationStatus>, Problem> {
    let [name] = segments;
    Ok(Json(deployer.verification(&name, query.version.as_deref())?))
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        let detail = error.to_string();
        match error {
            VerifyError::Standing(error) => error.into(),
            VerifyError::Busy { underway } => Problem::new(Kind::Verifying, detail)
                .with("projection", underway.name)
                .with("version", underway.version)
                .retry(),
        }
    }
}
