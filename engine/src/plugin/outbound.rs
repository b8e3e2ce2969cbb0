//! What a reaction reaches outside: calls over HTTP, whole ones. Who makes them, and
//! which are allowed, is none of the sandbox's business.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};

/// Makes a reaction's calls.
pub trait Outbound: Send + Sync {
    /// A call begins; its number, if it may.
    fn begin(&self) -> Result<u32, OutboundError>;

    /// How many bytes a request's body may have.
    fn most_body(&self) -> u64;

    /// A call is not even tried, since its request is not allowed.
    fn refuse(&self, reason: String) -> OutboundError;

    /// Makes a call. `patience`: how long the guest wants to wait for it.
    fn call(
        self: Arc<Self>,
        number: u32,
        request: Request<Bytes>,
        patience: Option<Duration>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, OutboundError>>;
}

/// Why a call has no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// It is not allowed, or not to be made now.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The name stands for an address that is not to be called.
    #[error("{reason}")]
    Address {
        /// Which.
        reason: String,
    },
    /// No connection was made.
    #[error("no connection: {reason}")]
    NoConnection {
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("no response within {}", super::format_duration(*.limit))]
    TimedOut {
        /// How long was waited.
        limit: Duration,
    },
    /// The response is too large.
    #[error("a response of more than {} (http.response-body)", super::format_size(*.limit))]
    TooLarge {
        /// How large it may be.
        limit: u64,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("{reason}")]
    Broken {
        /// Why.
        reason: String,
    },
}

/// For instances that handle no event.
pub(super) struct NoOutbound;

const NO_EVENT: &str = "a reaction may call out only while it handles an event";

impl Outbound for NoOutbound {
    fn begin(&self) -> Result<u32, OutboundError> {
        Err(self.refuse(String::new()))
    }

    fn most_body(&self) -> u64 {
        0
    }

    fn refuse(&self, _reason: String) -> OutboundError {
        OutboundError::Refused { reason: NO_EVENT.to_owned() }
    }

    fn call(
        self: Arc<Self>,
        _number: u32,
        _request: Request<Bytes>,
        _patience: Option<Duration>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, OutboundError>> {
        Box::pin(async { Err(OutboundError::Refused { reason: NO_EVENT.to_owned() }) })
    }
}
