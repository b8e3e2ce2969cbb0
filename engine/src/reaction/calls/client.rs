//! How a request is sent.

use std::{
    error::Error,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use reqwest::redirect;

use super::addresses::{PrivateAddress, PublicOnly};
use crate::{
    client,
    plugin::{HttpHost, OutboundError},
};

/// Sends requests. Connections are kept and used again.
#[derive(Default)]
pub(super) struct Client {
    /// To public addresses only.
    public: OnceLock<Result<reqwest::Client, String>>,
    /// To any.
    any: OnceLock<Result<reqwest::Client, String>>,
}

/// A request as it is sent: with the values of secrets.
pub(super) struct Sent {
    request: reqwest::Request,
    private: bool,
}

impl Sent {
    /// `private`: whether the host's name may stand for private addresses.
    pub(super) fn new(
        request: &Request<Bytes>,
        headers: HeaderMap,
        host: &HttpHost,
        private: bool,
    ) -> Result<Self, String> {
        let url = reqwest::Url::parse(&request.uri().to_string())
            .map_err(|error| format!("{} is no URL that can be called: {error}", request.uri()))?;
        // What is checked and what is called are read by two parsers, which must agree.
        let called = url.as_str().parse().ok().and_then(|uri| HttpHost::of(&uri).ok());
        if called.as_ref() != Some(host) {
            return Err(format!("{} is no URL that can be called: its host is ambiguous", request.uri()));
        }
        let mut sent = reqwest::Request::new(request.method().clone(), url);
        *sent.headers_mut() = headers;
        if !request.body().is_empty() {
            *sent.body_mut() = Some(request.body().clone().into());
        }
        Ok(Self { request: sent, private })
    }
}

impl Client {
    /// Sends a request, and waits for all of the response: at most so long, for at most
    /// so many bytes of body.
    pub(super) async fn send(
        &self,
        Sent { request, private }: Sent,
        limit: Duration,
        most: u64,
    ) -> Result<Response<Bytes>, OutboundError> {
        let client = match private {
            true => self.any.get_or_init(|| build(false)),
            false => self.public.get_or_init(|| build(true)),
        };
        let client = client.as_ref().map_err(|reason| OutboundError::Broken { reason: reason.clone() })?;
        let whole = async {
            let mut response = client.execute(request).await.map_err(explained)?;
            let mut body = BytesMut::new();
            while let Some(chunk) = response.chunk().await.map_err(explained)? {
                if (body.len() + chunk.len()) as u64 > most {
                    return Err(OutboundError::TooLarge { limit: most });
                }
                body.extend_from_slice(&chunk);
            }
            let mut whole = Response::new(body.freeze());
            *whole.status_mut() = response.status();
            *whole.headers_mut() = std::mem::take(response.headers_mut());
            Ok(whole)
        };
        tokio::time::timeout(limit, whole).await.unwrap_or(Err(OutboundError::TimedOut { limit }))
    }
}

fn build(public_only: bool) -> Result<reqwest::Client, String> {
    let failed = |error: &dyn Error| format!("HTTP could not be set up: {error}");
    let mut builder = client::builder()
        // Where it leads may not be allowed; the reaction sees it, and may call that.
        .redirect(redirect::Policy::none())
        .user_agent(concat!("projectionist/", env!("CARGO_PKG_VERSION")));
    if public_only {
        builder = builder.dns_resolver(Arc::new(PublicOnly));
    }
    builder.build().map_err(|error| failed(&error))
}

/// A failure in words, without the URL, which everybody knows who reads them.
fn explained(error: reqwest::Error) -> OutboundError {
    let (is_connect, is_timeout) = (error.is_connect(), error.is_timeout());
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = source {
        if let Some(private) = cause.downcast_ref::<PrivateAddress>() {
            return OutboundError::Address { reason: private.to_string() };
        }
        // Each says what the one inside it has said already, or something useful.
        reason = cause.to_string();
        source = cause.source();
    }
    match is_connect || is_timeout {
        true => OutboundError::NoConnection { reason },
        false => OutboundError::Broken { reason },
    }
}
