//! `/projections/{name}/what-if`: what would have come of other histories.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

use super::{
    compare::{JSON, LINES, folded},
    lines,
};
use crate::{
    deploy::{Deployer, Other, Outcome, Scenario, Standing, WhatIfError},
    event::Position,
    http::{
        POSITION, accept,
        parameters::{Parameters, QueryString, UrlQuery},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
    },
    log::altered::Alteration,
    query::{self, DEFAULT_SAMPLES, MAX_SAMPLES, QueryError, RowComparison, ScenarioOutcome, WhatIf},
};

/// So many scenarios can be set side by side: each is folded at the same time as the others.
const MOST_SCENARIOS: usize = 16;

/// How large a request may be: a component in base64, and alterations.
const LARGEST: usize = 384 << 20;

/// How to fold and compare.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhatIfQuery {
    /// Stop at this position, and compare with the live version's state there; where that stands by default.
    #[param(required = false)]
    to: Option<Position>,
    /// How many rows that differ are shown of each table: 5 by default, 1,000 at most.
    #[param(required = false, minimum = 0, maximum = 1000)]
    samples: usize,
    /// Fold with the code of this version, by how its digest begins; the live one by default.
    #[param(required = false)]
    version: Option<String>,
}

impl Parameters for WhatIfQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        let samples = query.parsed("samples", "a number from 0 to 1000")?.unwrap_or(DEFAULT_SAMPLES);
        let (to, version) = (query.parsed("to", "a position")?, query.one("version")?);
        Ok(Self { to, samples: samples.min(MAX_SAMPLES), version })
    }
}

/// Histories that did not happen.
#[derive(ToSchema)]
#[schema(as = WhatIfQuestion, example = json!({"scenarios": [
    {"name": "without-renames", "alterations": [{"leave-out": {"type": "git.file.renamed"}}]},
]}))]
#[allow(dead_code, reason = "it describes `Question`, which keeps alterations as they were written")]
pub(crate) struct QuestionDocument {
    /// From 1 to 16, side by side.
    scenarios: Vec<ScenarioDocument>,
    /// Fold with this component, in base64, which nobody has to have deployed.
    component: Option<String>,
    /// The text of the component's settings file; the live version's settings by default.
    settings: Option<String>,
}

/// A history that did not happen.
#[derive(ToSchema)]
#[schema(as = Scenario)]
#[allow(dead_code, reason = "it describes `Named`")]
pub(crate) struct ScenarioDocument {
    /// What tells it from the others.
    name: String,
    /// How it differs from what happened: `{"leave-out": {"position" | "id" | "type" | "subject": …}}`,
    /// `{"replace": {"position" | "id": …}, "event": {…}}` or `{"insert": {"before" | "after": POSITION}, "event": {…}}`.
    alterations: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question<'a> {
    #[serde(borrow)]
    scenarios: Vec<Named<'a>>,
    component: Option<String>,
    settings: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named<'a> {
    name: String,
    #[serde(borrow)]
    alterations: Vec<&'a RawValue>,
}

/// A row that differs, in a listing.
#[derive(Serialize)]
struct Line<'a> {
    scenario: &'a str,
    table: &'a str,
    #[serde(flatten)]
    row: RowComparison,
}

/// A scenario that could not be folded, in a listing.
#[derive(Serialize)]
struct HaltedLine<'a> {
    scenario: &'a str,
    halted: String,
}

/// Ask what if
///
/// What would have come of other histories: without some events, with others in their place, or with more. Each
/// scenario is folded apart, all side by side, and compared with the real state at the same position; nothing of what
/// runs is touched. As NDJSON (`Accept: application/x-ndjson`) every row that differs, as `{"scenario", "table", "key",
/// "before", "after"}`; a scenario whose history cannot be folded is one line, `{"scenario", "halted"}`.
#[utoipa::path(post, path = "/projections/{name}/what-if", tag = "projections", operation_id = "whatIf",
    params(("name" = String, Path, description = "The projection's name", example = "churn"), WhatIfQuery),
    request_body(content = QuestionDocument),
    responses(
        (status = 200, description = "What would have been.",
            content((WhatIf = "application/json"), (String = "application/x-ndjson")),
            headers(("Projectionist-Position" = u64, description = "The position up to which all were folded"))),
        (status = 400, description = "A parameter or an alteration does not fit, or the component or its settings cannot be used.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such projection, version or position.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It is a reaction, or its code cannot fold the real history.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The request is larger than 384 MiB.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "No version answers.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn ask(
    State(deployer): State<Arc<Deployer>>,
    Segments(segments): Segments<1>,
    UrlQuery(query): UrlQuery<WhatIfQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let [name] = segments;
    let body = axum::body::to_bytes(body, LARGEST).await.map_err(|error| {
        let detail = format!("the request could not be read, or has more than {LARGEST} bytes: {error}");
        Problem::new(Kind::TooLarge, detail).with("limit", LARGEST)
    })?;
    let (scenarios, code) = read(&body, query.version)?;
    let (real, outcomes) = deployer.what_if(&name, scenarios, code, query.to).await?;
    let position = real.view().position();
    let response = match accept::choose(&headers, &[JSON, LINES]) {
        1 => ([(header::CONTENT_TYPE, LINES)], listing(real, outcomes)).into_response(),
        _ => {
            let comparing = move || answer(&real, outcomes, query.samples);
            let compared = tokio::task::spawn_blocking(comparing).await;
            let failed = |_| Problem::new(Kind::Internal, "the engine failed while comparing");
            Json(compared.map_err(failed)??).into_response()
        }
    };
    Ok(([(POSITION, position.to_string()), (header::VARY, "accept".to_owned())], response).into_response())
}

/// The scenarios of a request, and the code that folds them.
fn read(body: &[u8], version: Option<String>) -> Result<(Vec<Scenario>, Option<Other>), Problem> {
    let malformed = |detail: String| Problem::new(Kind::MalformedRequest, detail);
    let Question { scenarios, component, settings } = serde_json::from_slice(body).map_err(|error| {
        malformed(format!(
            "the request's body should be JSON with \"scenarios\", each with a \"name\" and \"alterations\": {error}"
        ))
    })?;
    if !(1..=MOST_SCENARIOS).contains(&scenarios.len()) {
        let count = scenarios.len();
        return Err(malformed(format!(
            "a request has from 1 to {MOST_SCENARIOS} scenarios, this one {count}"
        )));
    }
    let mut names = BTreeSet::new();
    let scenarios = scenarios.into_iter().map(|Named { name, alterations }| {
        if !names.insert(name.clone()) {
            return Err(malformed(format!("two scenarios have the name \"{name}\": give each its own")));
        }
        let read = |(index, json): (usize, &RawValue)| {
            Alteration::from_slice(json.get().as_bytes()).map_err(|error| {
                let detail = format!("scenario \"{name}\", alteration {}: {error}", index + 1);
                malformed(detail).with("scenario", &*name).with("alteration", index + 1)
            })
        };
        let alterations = alterations.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Scenario { name, alterations })
    });
    let scenarios = scenarios.collect::<Result<_, _>>()?;
    let code = match (component, version, settings) {
        (Some(_), Some(_), _) => {
            let detail = "the request has a component and names a version: leave out one of them";
            return Err(malformed(detail.to_owned()));
        }
        (None, _, Some(_)) => {
            let detail = "the request has settings, but no component that they are for";
            return Err(malformed(detail.to_owned()));
        }
        (Some(component), None, settings) => {
            let wasm = STANDARD.decode(component).map_err(|error| {
                malformed(format!("\"component\" is not base64 (RFC 4648, with padding): {error}"))
            })?;
            Some(Other::Component { wasm, settings })
        }
        (None, version, None) => version.map(|version| Other::Kept(Some(version))),
    };
    Ok((scenarios, code))
}

fn answer(real: &Standing, outcomes: Vec<Outcome>, samples: usize) -> Result<WhatIf, QueryError> {
    let outcome = |Outcome { name, effect, folded: other }| {
        let (comparison, halted) = match &other {
            Ok(other) => (Some(query::compare(folded(real), folded(other), samples)?), None),
            Err(halt) => (None, Some(halt.to_string())),
        };
        Ok(ScenarioOutcome {
            name,
            left_out: effect.left_out,
            replaced: effect.replaced,
            inserted: effect.inserted,
            without_effect: effect.idle.into_iter().map(|index| index as u64 + 1).collect(),
            halted,
            comparison,
        })
    };
    let scenarios = outcomes.into_iter().map(outcome).collect::<Result<Vec<_>, QueryError>>()?;
    let same = scenarios.iter().all(ScenarioOutcome::is_same);
    Ok(WhatIf { position: real.view().position(), same, real: query::compared(folded(real)), scenarios })
}

/// All rows that differ, scenario by scenario.
fn listing(real: Standing, outcomes: Vec<Outcome>) -> Body {
    lines::body(move |lines| {
        for Outcome { name: scenario, folded: other, .. } in &outcomes {
            let mut flow = std::ops::ControlFlow::Continue(());
            match other {
                Ok(other) => query::list_differences(folded(&real), folded(other), |table, row| {
                    flow = lines.add(&Line { scenario, table, row });
                    flow
                })?,
                Err(halt) => flow = lines.add(&HaltedLine { scenario, halted: halt.to_string() }),
            }
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    })
}

impl From<WhatIfError> for Problem {
    fn from(error: WhatIfError) -> Self {
        let detail = error.to_string();
        match error {
            WhatIfError::Standing(error) => error.into(),
            WhatIfError::Log(error) => error.into(),
            WhatIfError::Contradiction { scenario, source } => Problem::new(Kind::MalformedRequest, detail)
                .with("scenario", scenario)
                .with("alteration", source.alteration() + 1),
        }
    }
}
