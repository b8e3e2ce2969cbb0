//! Calls over `wasi:http`.

use wasip2::{
    http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
            RequestOptions, Scheme,
        },
    },
    io::streams::StreamError,
};

use crate::http::{Error, Request, Response};

/// `blocking-write-and-flush` takes no more at once.
const CHUNK: usize = 4096;

/// Makes a call, and waits for the whole response.
pub fn send(request: Request) -> Result<Response, Error> {
    let url = Url::parse(&request.url)?;
    let wrong = |what: &str| Error::Refused(format!("{}: {what}", request.url));
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_lowercase(), value.clone().into_bytes()))
        .collect();
    let headers =
        Fields::from_list(&headers).map_err(|error| wrong(&format!("a header cannot be sent: {error}")))?;
    let outgoing = OutgoingRequest::new(headers);
    outgoing.set_method(&method(&request.method)).map_err(|()| wrong("its method is none"))?;
    outgoing.set_scheme(Some(&url.scheme)).map_err(|()| wrong("its scheme is none"))?;
    outgoing.set_authority(Some(url.authority)).map_err(|()| wrong("its host is none"))?;
    outgoing.set_path_with_query(Some(&url.path)).map_err(|()| wrong("its path is none"))?;
    let options = request.timeout.map(|timeout| {
        let options = RequestOptions::new();
        let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        // A host that knows no such option uses its own.
        let _ = options.set_first_byte_timeout(Some(nanoseconds));
        options
    });
    let body = outgoing.body().map_err(|()| wrong("it has no body"))?;
    let answer = outgoing_handler::handle(outgoing, options).map_err(unanswered)?;
    // Who does not want the body answers all the same, or says why not.
    let _ = write(body, &request.body);
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(response)) => read(response.map_err(unanswered)?),
        _ => Err(Error::Unanswered("the call has come to nothing".to_owned())),
    }
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), ()> {
    let stream = body.write()?;
    for chunk in bytes.chunks(CHUNK) {
        stream.blocking_write_and_flush(chunk).map_err(drop)?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(drop)
}

fn read(response: IncomingResponse) -> Result<Response, Error> {
    let broken = |_| Error::Unanswered("the response could not be read".to_owned());
    let mut whole =
        Response { status: response.status(), headers: response.headers().entries(), body: Vec::new() };
    let body = response.consume().map_err(broken)?;
    let stream = body.stream().map_err(broken)?;
    loop {
        match stream.blocking_read(1 << 16) {
            Ok(bytes) => whole.body.extend(bytes),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(Error::Unanswered(error.to_debug_string()));
            }
        }
    }
    drop(stream);
    drop(IncomingBody::finish(body));
    Ok(whole)
}

fn unanswered(error: ErrorCode) -> Error {
    match error {
        // The host knows why, and says so where the failure is shown.
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            Error::Refused("the call is not allowed".to_owned())
        }
        ErrorCode::HttpRequestBodySize(_) => Error::Refused("the request is too large".to_owned()),
        ErrorCode::ConnectionRefused => Error::Unanswered("no connection could be made".to_owned()),
        ErrorCode::HttpResponseTimeout => Error::Unanswered("no response came in time".to_owned()),
        ErrorCode::HttpResponseBodySize(_) => Error::Unanswered("the response is too large".to_owned()),
        ErrorCode::InternalError(Some(reason)) => Error::Unanswered(reason),
        other => Error::Unanswered(other.to_string()),
    }
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        other => Method::Other(other.to_owned()),
    }
}

struct Url<'u> {
    scheme: Scheme,
    authority: &'u str,
    path: String,
}

impl<'u> Url<'u> {
    fn parse(url: &'u str) -> Result<Self, Error> {
        let (scheme, rest) = match url.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            _ => {
                let reason = format!(
                    "{url} is no URL that can be called: it begins neither with https:// nor http://"
                );
                return Err(Error::Refused(reason));
            }
        };
        // What stands behind a `#` is not sent.
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { scheme, authority, path })
    }
}
