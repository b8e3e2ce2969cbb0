//! What the journal says of a call, and whether another one is the same.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use crate::{
    clock,
    event::Position,
    plugin::OutboundError,
    state::{Call, CallOutcome, Header},
};

/// A call as it is noted if nobody waits for it any longer; `place`: the event and which of
/// its calls it is.
pub(super) fn cut_off(place: (Position, u32), request: &Request<Bytes>, attempts: u32) -> Call {
    let (position, number) = place;
    Call {
        position,
        number,
        method: request.method().to_string(),
        url: request.uri().to_string(),
        headers: stored(request.headers()),
        body: request.body().to_vec(),
        outcome: CallOutcome::Failed { reason: "it was cut off before there was a response".to_owned() },
        made: clock::now(),
        took: 0,
        attempts,
    }
}

/// What came of a call.
pub(super) fn outcome(response: &Result<Response<Bytes>, OutboundError>) -> CallOutcome {
    match response {
        Ok(response) => CallOutcome::Response {
            status: response.status().as_u16(),
            headers: stored(response.headers()),
            body: response.body().to_vec(),
        },
        Err(error) => CallOutcome::Failed { reason: error.to_string() },
    }
}

/// Whether a call is another one than that of the journal.
pub(super) fn differs(call: &Call, request: &Request<Bytes>) -> bool {
    call.method != request.method().as_str()
        || request.uri() != call.url.as_str()
        || call.body != request.body()[..]
}

/// How a call differs from that of the journal, in words.
pub(super) fn difference(call: &Call, request: &Request<Bytes>) -> String {
    let then = format!("{} {}", call.method, call.url);
    let now = format!("{} {}", request.method(), request.uri());
    let how = match then == now {
        true => format!("{now} with another body"),
        false => format!("{now}; it was {then}"),
    };
    format!("call {} differs from the one that was made for this event before: {how}", call.number)
}

fn stored(headers: &HeaderMap) -> Vec<Header> {
    let header = |(name, value): (&HeaderName, &HeaderValue)| Header {
        name: name.as_str().to_owned(),
        value: value.as_bytes().to_vec(),
    };
    headers.iter().map(header).collect()
}

/// A response as it came the first time.
pub(super) fn response(status: u16, headers: &[Header], body: &[u8]) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(body));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&header.value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
