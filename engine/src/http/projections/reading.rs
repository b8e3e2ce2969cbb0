//! What all reads of state share: which version answers, how long to wait for a
//! position, and the headers that tell about it.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};

use crate::{
    deploy::{Deployer, NotServed, RowAt, RowKey, Standing},
    event::Position,
    http::{
        POSITION,
        etag::Tag,
        health::not_looked,
        parameters::{Parameters, QueryString, invalid},
        problem::{Kind, Problem},
    },
    log::Moment,
    plugin::description::Description,
    projection::Version,
    query::{self, QueryError, WaitError},
    state::{Checkpoint, StateError, View},
};

/// The header that says which version answered.
pub(super) const VERSION: HeaderName = HeaderName::from_static("projectionist-version");

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How fresh an answer has to be.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Freshness {
    /// Wait until the event at this position has been folded: that of an append's answer, to read your own write.
    #[param(rename = "at-least", required = false)]
    at_least: Option<Position>,
    /// How long to wait: `5s` by default, `250ms`, `60s` at most. After that, 504.
    #[param(value_type = String, required = false, example = "5s")]
    timeout: Duration,
    /// As it stood then: after the event at this position, or with all that was recorded up to this time (RFC 3339).
    #[param(value_type = Option<String>, required = false)]
    at: Option<Moment>,
    /// With the code of another version that is kept or was lent, by how its digest begins.
    #[param(required = false)]
    version: Option<String>,
}

impl Parameters for Freshness {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        let at_least: Option<Position> = query.parsed("at-least", "a position")?;
        let timeout = query.duration("timeout")?.unwrap_or(DEFAULT_TIMEOUT);
        if timeout > LONGEST_TIMEOUT {
            let value = format!("{}s", timeout.as_secs());
            return Err(invalid("timeout", &value, "60s is the longest; ask again for more"));
        }
        let at = query.moment("at")?;
        let version = query.one("version")?;
        if let Some(position) = at_least.filter(|_| at.is_some() || version.is_some()) {
            let why = "it is for what the live version folds; leave out `at` and `version`, or this";
            return Err(invalid("at-least", &position.to_string(), why));
        }
        Ok(Self { at_least, timeout, at, version })
    }
}

/// What an answer is read from.
pub(crate) struct Reading {
    pub(crate) version: Arc<Version>,
    pub(crate) view: Arc<View>,
    /// It is deleted when nobody reads from it any more.
    standing: Option<Arc<Standing>>,
}

impl Reading {
    /// Whether it is of what the live version has folded by now.
    pub(crate) fn is_live(&self) -> bool {
        self.standing.is_none()
    }
}

impl Freshness {
    /// The row that is meant, as old as asked, if it can be had without all others.
    pub(crate) async fn row(
        &self,
        deployer: &Deployer,
        name: &str,
        find: impl FnOnce(&Description) -> Result<RowKey, Problem>,
    ) -> Result<Option<RowAt>, Problem> {
        let Some(at) = self.at else { return Ok(None) };
        live(deployer, name)?;
        deployer.row_at(name, self.version.as_deref(), at, find).await
    }

    /// What answers, once it is as fresh as asked, or as old.
    pub(crate) async fn reading(&self, deployer: &Deployer, name: &str) -> Result<Reading, Problem> {
        if self.at.is_some() || self.version.is_some() {
            live(deployer, name)?;
            let standing = deployer.standing(name, self.version.as_deref(), self.at).await?;
            let (version, view) = (Arc::clone(standing.version()), Arc::clone(standing.view()));
            return Ok(Reading { version, view, standing: Some(standing) });
        }
        let live = || live(deployer, name);
        let version = match self.at_least {
            None => live()?,
            Some(at_least) => {
                let waited = query::wait(live, at_least, self.timeout).await;
                waited.map_err(|problem| problem.with("projection", name))?
            }
        };
        let view = version.state().view()?;
        Ok(Reading { version, view, standing: None })
    }
}

/// The version that answers now.
pub(crate) fn live(deployer: &Deployer, name: &str) -> Result<Arc<Version>, Problem> {
    deployer.live(name).map_err(|error| match error {
        // It may well be there.
        NotServed::Unknown { .. } if !deployer.has_looked() => {
            Problem::new(Kind::NotServed, not_looked(deployer)).with("projection", name).retry()
        }
        error => error.into(),
    })
}

impl From<WaitError> for Problem {
    fn from(error: WaitError) -> Self {
        let detail = error.to_string();
        match error {
            WaitError::Timeout { at_least, position, .. } => {
                let detail = format!("{detail}; ask again, or give it longer with timeout=");
                Problem::new(Kind::PositionNotReached, detail)
                    .with("at-least", at_least)
                    .with("position", position)
            }
            WaitError::Halted { at_least, halt } => {
                let event = halt.event.as_ref().map(|event| {
                    serde_json::json!({"position": event.position, "id": event.id, "type": event.event_type})
                });
                let problem = Problem::new(Kind::Halted, detail).with("at-least", at_least);
                problem.with("event", event).with("reason", halt.reason)
            }
        }
    }
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        let detail = error.to_string();
        match error {
            StateError::Apart { .. } => Problem::new(Kind::NotServed, detail).retry(),
            StateError::TwoPartitions { .. } => Problem::new(Kind::PluginFailed, detail),
            _ => Problem::new(Kind::StorageFailed, detail),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let detail = error.to_string();
        match error {
            QueryError::NoTable { tables, .. } => {
                Problem::new(Kind::NoSuchTable, detail).with("tables", tables)
            }
            QueryError::NoIndex { indexes, .. } => Problem::new(Kind::InvalidParameter, detail)
                .with("parameter", "index")
                .with("indexes", indexes),
            QueryError::BadParameter { parameter, .. } => {
                Problem::new(Kind::InvalidParameter, detail).with("parameter", parameter)
            }
            QueryError::State(error) => error.into(),
            error if error.is_request_fault() => Problem::new(Kind::MalformedRequest, detail),
            _ => Problem::new(Kind::PluginFailed, detail),
        }
    }
}

/// The tag of whatever is read from a version at a checkpoint. The state's
/// digest is in it, for positions and versions come again where data is wiped.
pub(crate) fn tag(version: &Version, checkpoint: Checkpoint) -> Tag {
    Tag::from_parts(&[&version.digest(), &checkpoint.position, &checkpoint.digest])
}

/// Adds the headers that tell which state an answer was read from.
pub(crate) fn told(version: &Version, position: Position, answer: impl IntoResponse) -> Response {
    let mut answer = answer.into_response();
    let digest = HeaderValue::from_str(version.digest()).expect("a digest is hexadecimal digits");
    answer.headers_mut().insert(POSITION, position.into());
    answer.headers_mut().insert(VERSION, digest);
    answer
}
