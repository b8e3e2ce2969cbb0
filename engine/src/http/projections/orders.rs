//! `/projections/{name}/candidates`, `…/plan`, `…/promote`, `…/roll-back`, `…/abort`: what people
//! ask for.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    compare::{SettingsQuery, folded},
    component,
};
use crate::{
    deploy::{Action, Deployer, OrderError, Other, Plan, PlanError, Wish},
    http::{
        parameters::{Both, NoParameters, Parameters, QueryString, UrlQuery},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
    },
    query::{self, Comparison},
    state::catalog::Order,
};

/// How long an actor's name or a note may be, in bytes.
const LONGEST: usize = 4_096;

/// How to deploy a component, and who does.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveryQuery {
    /// Put it on trial: it keeps up beside the live version, and takes over only when it is told to.
    #[param(required = false)]
    hold: bool,
    /// The file's name, to be shown.
    #[param(required = false)]
    file: Option<String>,
    /// Who deploys it.
    #[param(required = false)]
    actor: Option<String>,
    /// What for.
    #[param(required = false)]
    note: Option<String>,
}

impl Parameters for DeliveryQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        Ok(Self {
            hold: query.flag("hold")?,
            file: query.one("file")?,
            actor: query.one("actor")?,
            note: query.one("note")?,
        })
    }
}

/// Which plan.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PlanQuery {
    /// `promote`, `roll-back` or `abort`.
    action: Action,
    /// The version that it is about, by how its digest begins; by default the newest candidate or, for a rollback, the
    /// version that was live last.
    #[param(required = false)]
    version: Option<String>,
}

impl Parameters for PlanQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        let action = match query.one("action")?.as_deref() {
            Some("promote") => Action::Promote,
            Some("roll-back") => Action::RollBack,
            Some("abort") => Action::Abort,
            other => {
                let detail = format!(
                    "`action` should be promote, roll-back or abort, not \"{}\"",
                    other.unwrap_or_default()
                );
                return Err(Problem::new(Kind::InvalidParameter, detail).with("parameter", "action"));
            }
        };
        Ok(Self { action, version: query.one("version")? })
    }
}

/// What an action would do, as things stand.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Plan)]
pub(crate) struct PlanDocument {
    /// To be sent with the action: it is refused if production has moved on by then.
    id: String,
    /// What would be done.
    action: Action,
    /// The digest of the version that answers now.
    live: Option<String>,
    /// The digest of the version that it is about.
    version: String,
    /// What readers would find changed: from the live version to the other.
    comparison: Option<Comparison>,
    /// If nothing is compared, why.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
}

/// What is to be done.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schema(as = Order)]
pub(crate) struct OrderDocument {
    /// The version, by how its digest begins; by default the newest candidate or, for a rollback, the version that was
    /// live last.
    version: Option<String>,
    /// The plan that was agreed to; without one it is done as things stand.
    plan: Option<String>,
    /// Who wants it.
    actor: Option<String>,
    /// What for.
    note: Option<String>,
}

/// What has been done.
#[derive(Serialize, ToSchema)]
#[schema(as = Ordered)]
pub(crate) struct OrderedDocument {
    /// The digest of the version.
    version: String,
    /// Whether it answers now. One that has to catch up first takes over later.
    live: bool,
}

/// Deploy a component
///
/// Sends a component for a plug-in that is known. It replays beside the live version, which stays untouched; then it
/// takes over or, with `hold`, is on trial until it is promoted or aborted. Answers as soon as it begins to be loaded.
#[utoipa::path(post, path = "/projections/{name}/candidates", tag = "projections", operation_id = "deployComponent",
    params(("name" = String, Path, description = "The plug-in's name", example = "churn"), DeliveryQuery, SettingsQuery),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component."),
    responses(
        (status = 202, description = "It is on its way.", body = OrderedDocument),
        (status = 400, description = "The settings cannot be used.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such plug-in.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "This version is live or a candidate already.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body is no component.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn deliver(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    UrlQuery(query): UrlQuery<Both<DeliveryQuery, SettingsQuery>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<OrderedDocument>), Problem> {
    let [name] = segments;
    let Both(DeliveryQuery { hold, file, actor, note }, SettingsQuery { settings }) = query;
    let order = order(actor, note)?;
    let wasm = component::read(&headers, body).await?.to_vec();
    let file = file.unwrap_or_default().into();
    let version = deployer.deliver(&name, file, wasm, settings, hold, order).await?;
    Ok((StatusCode::ACCEPTED, Json(OrderedDocument { version, live: false })))
}

/// Plan
///
/// What a promotion, a rollback or giving up a candidate would do, as things stand.
#[utoipa::path(get, path = "/projections/{name}/plan", tag = "projections", operation_id = "plan",
    params(("name" = String, Path, description = "The plug-in's name", example = "churn"), PlanQuery),
    responses(
        (status = 200, description = "The plan.", body = PlanDocument),
        (status = 400, description = "A parameter is unknown or does not fit.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such plug-in or version.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "This cannot be done with this version.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn plan(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    UrlQuery(query): UrlQuery<PlanQuery>,
) -> Result<Json<PlanDocument>, Problem> {
    let [name] = segments;
    let PlanQuery { action, version } = query;
    let Plan { id, action, live, version } = deployer.plan(&name, action, version.as_deref())?;
    let (comparison, remark) = match (action, &live) {
        (Action::Abort, _) => (None, Some("readers find nothing changed".to_owned())),
        (_, None) => (None, Some("no version answers now".to_owned())),
        (Action::Promote | Action::RollBack, Some(_)) => {
            match compared(&deployer, &name, &version.digest).await {
                Ok(comparison) => (Some(comparison), None),
                Err(reason) => (None, Some(reason)),
            }
        }
    };
    let live = live.map(|live| live.digest);
    Ok(Json(PlanDocument { id, action, live, version: version.digest, comparison, remark }))
}

/// The live version beside another one, or why they cannot be compared.
async fn compared(deployer: &Deployer, name: &str, digest: &str) -> Result<Comparison, String> {
    let other = Other::Kept(Some(digest.to_owned()));
    let pair = deployer.beside_live(name, other, None).await.map_err(|error| error.to_string())?;
    let comparing = move || query::compare(folded(&pair[0]), folded(&pair[1]), query::DEFAULT_SAMPLES);
    let compared = tokio::task::spawn_blocking(comparing).await.map_err(|error| error.to_string())?;
    compared.map_err(|error| error.to_string())
}

/// Promote a candidate
///
/// A candidate on trial takes over, in one step for readers: at once, or as soon as it has caught up.
#[utoipa::path(post, path = "/projections/{name}/promote", tag = "projections", operation_id = "promote",
    params(("name" = String, Path, description = "The plug-in's name", example = "churn")),
    request_body(content = OrderDocument),
    responses(
        (status = 200, description = "It takes over.", body = OrderedDocument),
        (status = 404, description = "There is no such plug-in or version.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The version is no candidate, or production has moved on since the plan.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn promote(
    state: State<Arc<Deployer>>,
    segments: Segments<1>,
    _query: UrlQuery<NoParameters>,
    body: Bytes,
) -> Result<Json<OrderedDocument>, Problem> {
    carry_out(state, segments, &body, Action::Promote).await
}

/// Roll back
///
/// A version that was live before catches up and takes over again, in one step for readers.
#[utoipa::path(post, path = "/projections/{name}/roll-back", tag = "projections", operation_id = "rollBack",
    params(("name" = String, Path, description = "The plug-in's name", example = "churn")),
    request_body(content = OrderDocument),
    responses(
        (status = 200, description = "It catches up, and takes over then.", body = OrderedDocument),
        (status = 404, description = "There is no such plug-in or version.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The version does not stand by, or production has moved on since the plan.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn roll_back(
    state: State<Arc<Deployer>>,
    segments: Segments<1>,
    _query: UrlQuery<NoParameters>,
    body: Bytes,
) -> Result<Json<OrderedDocument>, Problem> {
    carry_out(state, segments, &body, Action::RollBack).await
}

/// Give up a candidate
///
/// A candidate is given up, and its state deleted; one that was live before stands by again. The live version stays.
#[utoipa::path(post, path = "/projections/{name}/abort", tag = "projections", operation_id = "abort",
    params(("name" = String, Path, description = "The plug-in's name", example = "churn")),
    request_body(content = OrderDocument),
    responses(
        (status = 200, description = "It is given up.", body = OrderedDocument),
        (status = 404, description = "There is no such plug-in or version.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The version is no candidate, or production has moved on since the plan.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn abort(
    state: State<Arc<Deployer>>,
    segments: Segments<1>,
    _query: UrlQuery<NoParameters>,
    body: Bytes,
) -> Result<Json<OrderedDocument>, Problem> {
    carry_out(state, segments, &body, Action::Abort).await
}

async fn carry_out(
    State(deployer): State<Arc<Deployer>>,
    Segments([name]): Segments<1>,
    body: &[u8],
    action: Action,
) -> Result<Json<OrderedDocument>, Problem> {
    let document = match body.trim_ascii().is_empty() {
        true => OrderDocument::default(),
        false => serde_json::from_slice(body).map_err(|error| {
            Problem::new(
                Kind::MalformedRequest,
                format!("the request's body does not say what to do: {error}"),
            )
        })?,
    };
    let OrderDocument { version, plan, actor, note } = document;
    let wish = Wish { action, version, plan, order: order(actor, note)? };
    let version = deployer.order(&name, wish).await?;
    let live = deployer.plugin(&name)?.and_then(|status| status.live) == Some(version.clone());
    Ok(Json(OrderedDocument { version, live }))
}

fn order(actor: Option<String>, note: Option<String>) -> Result<Order, Problem> {
    for (name, text) in [("actor", &actor), ("note", &note)] {
        if text.as_ref().is_some_and(|text| text.len() > LONGEST) {
            let detail = format!("`{name}` has more than {LONGEST} bytes");
            return Err(Problem::new(Kind::InvalidParameter, detail).with("parameter", name));
        }
    }
    Ok(Order { actor, note })
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        let detail = error.to_string();
        match error {
            OrderError::Unknown { name } => {
                Problem::new(Kind::NoSuchProjection, detail).with("projection", name)
            }
            OrderError::Retired { name } => Problem::new(Kind::NotServed, detail).with("projection", name),
            OrderError::Plan(PlanError::NoVersion(error)) => error.into(),
            OrderError::Plan(PlanError::State(error)) | OrderError::State(error) => error.into(),
            OrderError::Plan(PlanError::Station { version, station, .. })
            | OrderError::Known { version, station, .. } => Problem::new(Kind::OtherStation, detail)
                .with("version", version)
                .with("station", station.to_string()),
            OrderError::Stale { now, .. } => Problem::new(Kind::StalePlan, detail).with("plan", now),
            OrderError::Settings(_) => Problem::new(Kind::UnusableComponent, detail),
        }
    }
}
