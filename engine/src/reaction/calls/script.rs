//! Who answers a reaction's calls where nobody is to be called.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::plugin::OutboundError;

/// Answers calls in place of the network: those that the settings allow, to hosts that
/// are not left alone.
pub trait Script: Send + Sync {
    /// What comes of a call; `limit`: how long it would be waited for.
    fn answer(&self, request: &Request<Bytes>, limit: Duration) -> Result<Response<Bytes>, OutboundError>;
}
