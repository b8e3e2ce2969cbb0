//! `/projections/{name}/folds`: how far history is folded apart, for those who wait for it.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    deploy::{Deployer, Fold},
    http::{
        parameters::{NoParameters, UrlQuery},
        path::Segments,
        problem::{Problem, ProblemDocument},
    },
};

/// What is folded apart.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Folds)]
pub(crate) struct FoldsDocument {
    /// The folds that are under way, the one that was begun first at the head.
    folds: Vec<Fold>,
}

/// Read what is folded apart
///
/// How far history is folded, apart from all that runs, for answers that wait for it: of comparisons, of `what-if`, of
/// reads of the past.
#[utoipa::path(get, path = "/projections/{name}/folds", tag = "projections", operation_id = "listFolds",
    params(("name" = String, Path, description = "The projection's name", example = "churn")),
    responses(
        (status = 200, description = "The folds that are under way.", body = FoldsDocument),
        (status = 404, description = "There is no such projection.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
) -> Result<Json<FoldsDocument>, Problem> {
    let [name] = segments;
    Ok(Json(FoldsDocument { folds: deployer.folds(&name)? }))
}
