//! `GET /events` and `GET /events/{position}`: read the log, and follow it.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use utoipa::ToSchema;

use super::{
    CloudEventDocument, Events,
    feed::{self, Feed},
};
use crate::{
    event::{Position, cloudevents},
    http::{
        LiveStream, POSITION, accept,
        etag::Tag,
        parameters::{NoParameters, Parameters, QueryString, UrlQuery, invalid},
        path::Segments,
        problem::{Kind, Problem, ProblemDocument},
    },
    log::{LogError, Selection},
};

const DEFAULT_LIMIT: usize = 100;
const MOST: usize = 10_000;
/// A page is cut short when it grows beyond this.
const PAGE_BYTES: usize = 16 << 20;
const HEARTBEAT: Duration = Duration::from_secs(15);

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";

/// Which events to read, and in which order.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The first position that may be read; 1 by default.
    #[param(minimum = 0)]
    from: Option<Position>,
    /// The last position that may be read; the log's head by default.
    to: Option<Position>,
    /// Only events of these types: repeated, or separated by commas.
    #[param(rename = "type")]
    types: Option<Vec<String>>,
    /// Only events about this subject.
    subject: Option<String>,
    /// Only events that have all of these tags; may be repeated.
    #[param(rename = "tag")]
    tags: Option<Vec<String>>,
    /// Only a story: the event of this id, and those that came of it (whose `correlationid` it is).
    correlation: Option<String>,
    /// At most so many: of a JSON page 100 by default and 10,000 at most; the streaming forms have no limit by default.
    #[param(minimum = 1)]
    limit: Option<usize>,
    /// Newest first.
    reverse: bool,
    /// For NDJSON: wait for more at the head. Server-sent events always do, up to `to`.
    follow: bool,
}

impl Parameters for EventsQuery {
    fn read(query: &mut QueryString) -> Result<Self, Problem> {
        let types = query.all("type");
        let types: Vec<String> =
            types.iter().flat_map(|list| list.split(',')).map(|name| name.trim().to_owned()).collect();
        if types.iter().any(String::is_empty) {
            return Err(invalid("type", &types.join(","), "it should name types, separated by commas"));
        }
        let parameters = Self {
            from: query.parsed("from", "a position, from 1")?,
            to: query.parsed("to", "a position, from 1")?,
            types: (!types.is_empty()).then_some(types),
            subject: query.one("subject")?,
            tags: Some(query.all("tag")),
            correlation: query.one("correlation")?,
            limit: query.count("limit", usize::MAX)?,
            reverse: query.flag("reverse")?,
            follow: query.flag("follow")?,
        };
        match parameters.reverse && parameters.follow {
            true => Err(invalid("follow", "true", "what is read newest first cannot be followed")),
            false => Ok(parameters),
        }
    }
}

impl EventsQuery {
    fn selection(self) -> Selection {
        Selection {
            from: self.from.unwrap_or(1).max(1),
            to: self.to.unwrap_or(Position::MAX),
            types: self.types.unwrap_or_default(),
            subject: self.subject,
            tags: self.tags.unwrap_or_default(),
            correlation: self.correlation,
            reverse: self.reverse,
            limit: self.limit.unwrap_or(usize::MAX),
        }
    }
}

/// A page of events.
#[derive(ToSchema)]
#[schema(as = EventsPage)]
#[allow(dead_code, reason = "it describes what `page` writes")]
pub(crate) struct EventsDocument {
    /// The events.
    events: Vec<CloudEventDocument>,
    /// The log's head when the page was read.
    position: Position,
    /// Where to go on: `from` of the next page, or `to` if newest first; null at the end.
    next: Option<Position>,
}

/// Read events
///
/// Oldest first unless `reverse`. As JSON, a page; as NDJSON (`Accept: application/x-ndjson`), all of the
/// selection, streamed; as server-sent events (`Accept: text/event-stream`), all of it and then what comes,
/// with the position as id, so that a client that reconnects goes on where it was.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    operation_id = "readEvents",
    params(EventsQuery, ("Last-Event-ID" = Option<Position>, Header, description = "Server-sent events: go on after this position")),
    responses(
        (status = 200, description = "The selected events.",
            content(
                (EventsDocument = "application/json"),
                (String = "application/x-ndjson"),
                (String = "text/event-stream"),
            ),
            headers(("Projectionist-Position" = u64, description = "The log's head"), ("ETag" = String, description = "Of a JSON page"))),
        (status = 204, description = "Server-sent events: `to` has been reached; do not reconnect."),
        (status = 304, description = "The page is as `If-None-Match` says."),
        (status = 400, description = "A parameter is unknown or does not fit.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The log is closed.", body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn read(
    State(events): State<Events>,
    UrlQuery(query): UrlQuery<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let position = [(POSITION, events.log.head().to_string()), (header::VARY, "accept".to_owned())];
    let follow = query.follow;
    let response = match accept::choose(&headers, &[JSON, LINES, SSE]) {
        1 => {
            let selection = query.selection();
            let feed = match follow {
                true => Feed::following(events.log, selection, events.closing),
                false => Feed::new(events.log, selection),
            };
            let mut response =
                ([(header::CONTENT_TYPE, LINES)], Body::from_stream(lines(feed))).into_response();
            if follow {
                response.extensions_mut().insert(LiveStream);
            }
            response
        }
        2 => {
            if query.reverse {
                return Err(invalid("reverse", "true", "server-sent events come oldest first"));
            }
            let mut selection = query.selection();
            if let Some(last) = last_event_id(&headers)? {
                selection.from = last.saturating_add(1);
            }
            if selection.from > selection.to {
                // The only answer after which an EventSource does not come back.
                return Ok((position, StatusCode::NO_CONTENT).into_response());
            }
            let feed = Feed::following(events.log, selection, events.closing);
            Sse::new(server_sent(feed)).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response()
        }
        _ if follow => {
            let why = format!("only streams can be followed: ask for them with Accept: {LINES} or {SSE}");
            return Err(invalid("follow", "true", why));
        }
        _ => {
            if let Some(limit) = query.limit.filter(|limit| *limit > MOST) {
                let why = format!("a page holds at most {MOST}; ask for more with Accept: {LINES}");
                return Err(invalid("limit", &limit.to_string(), why));
            }
            let page = page(&events, query).await?;
            Tag::of(&page).respond(&headers, || ([(header::CONTENT_TYPE, JSON)], page).into_response())
        }
    };
    Ok((position, response).into_response())
}

/// Read one event
#[utoipa::path(
    get,
    path = "/events/{position}",
    tag = "events",
    operation_id = "readEvent",
    description = "The event at a position of the log. It never changes.",
    params(("position" = Position, Path, description = "Its position, from 1", example = 1)),
    responses(
        (status = 200, description = "The event.", body = CloudEventDocument,
            headers(("ETag" = String, description = "Of the event"))),
        (status = 304, description = "The event is as `If-None-Match` says."),
        (status = 400, description = "That is no position.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "The log has no such position.", body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn read_one(
    State(events): State<Events>,
    Segments(segments): Segments<1>,
    _query: UrlQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [position] = segments;
    let wanted: Position = position.parse().map_err(|_| {
        Problem::new(
            Kind::InvalidParameter,
            format!("\"{position}\" is no position: those are numbers from 1"),
        )
    })?;
    let selection = Selection { from: wanted, to: wanted, limit: 1, ..Selection::default() };
    let found = match wanted {
        0 => Vec::new(),
        _ => feed::read(&events.log, selection).await?,
    };
    let Some(event) = found.first() else {
        let head = events.log.head();
        let detail = match head {
            0 => "the log holds no events yet".to_owned(),
            _ => format!("the log has no event at position {wanted}; it holds 1 to {head}"),
        };
        return Err(Problem::new(Kind::NoSuchEvent, detail).with("position", head));
    };
    let mut body = Vec::new();
    cloudevents::to_json(event, &mut body);
    Ok(Tag::of(&body).respond(&headers, || {
        ([(header::CONTENT_TYPE, "application/cloudevents+json")], body).into_response()
    }))
}

/// Writes a page. One event more than asked for is read, to know where to go on.
async fn page(events: &Events, query: EventsQuery) -> Result<Vec<u8>, LogError> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let head = events.log.head();
    let mut selection = query.selection();
    selection.limit = limit + 1;
    selection.to = selection.to.min(head);
    let mut feed = Feed::new(events.log.clone(), selection);
    let mut page = b"{\"events\":[".to_vec();
    let mut count = 0;
    let mut next = None;
    'page: while let Some(events) = feed.next().await? {
        for event in &events {
            if count == limit || page.len() > PAGE_BYTES {
                next = Some(event.position);
                break 'page;
            }
            if count > 0 {
                page.push(b',');
            }
            cloudevents::to_json(event, &mut page);
            count += 1;
        }
    }
    let next = next.map_or("null".to_owned(), |next| next.to_string());
    page.extend_from_slice(format!("],\"position\":{head},\"next\":{next}}}").as_bytes());
    Ok(page)
}

/// NDJSON. When the log fails in the middle, the connection is broken off, so
/// that nobody takes a part for the whole.
fn lines(feed: Feed) -> impl Stream<Item = Result<Bytes, LogError>> {
    stream::try_unfold(feed, |mut feed| async move {
        let Some(events) = feed.next().await? else { return Ok(None) };
        let mut text = Vec::new();
        for event in &events {
            cloudevents::to_json(event, &mut text);
            text.push(b'\n');
        }
        Ok(Some((Bytes::from(text), feed)))
    })
}

/// Server-sent events. They have no name of their own, for a browser's
/// `onmessage` gets only those without; the type is in the data.
fn server_sent(feed: Feed) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    use futures_util::StreamExt;
    let pieces = stream::unfold(Some(feed), |feed| async move {
        let mut feed = feed?;
        match feed.next().await {
            Ok(None) => None,
            Ok(Some(events)) => {
                let sent = events.iter().map(|event| {
                    let mut text = Vec::new();
                    cloudevents::to_json(event, &mut text);
                    Ok(sse::Event::default()
                        .id(event.position.to_string())
                        .data(String::from_utf8_lossy(&text)))
                });
                Some((stream::iter(sent.collect::<Vec<_>>()), Some(feed)))
            }
            Err(error) => {
                let problem = Problem::from(error).to_json().to_string();
                Some((stream::iter(vec![Ok(sse::Event::default().event("problem").data(problem))]), None))
            }
        }
    });
    pieces.flatten()
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let position = value.to_str().ok().and_then(|text| text.parse().ok());
    position.map(Some).ok_or_else(|| {
        Problem::new(
            Kind::InvalidParameter,
            "header Last-Event-ID should be the position of the last event seen",
        )
    })
}
