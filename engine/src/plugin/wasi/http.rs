//! `wasi:http` for reactions: its calls go to whoever handles the event, as whole
//! requests and responses.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p2::add_only_http_to_linker_async,
};

use crate::plugin::{
    guest::Guest,
    outbound::{NoOutbound, Outbound, OutboundError},
    units::format_size,
};

/// Gives reactions HTTP.
pub(in crate::plugin) fn add_http_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    add_only_http_to_linker_async(linker)
}

/// An instance's calls.
pub(in crate::plugin) struct Calls {
    /// Who makes them.
    pub(in crate::plugin) outbound: Arc<dyn Outbound>,
    /// How many there were.
    pub(in crate::plugin) made: usize,
}

impl Default for Calls {
    fn default() -> Self {
        Self { outbound: Arc::new(NoOutbound), made: 0 }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.calls, table: &mut self.resources, ctx: &mut self.http }
    }
}

/// What becomes of the exchange behind a response; there is nothing behind a whole one.
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Calls {
    fn set_host_header(&mut self) -> bool {
        // Whoever makes the call does.
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Rest,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Rest), Error>> + Send> {
        self.made += 1;
        let outbound = Arc::clone(&self.outbound);
        let number = outbound.begin();
        let patience = options.and_then(|options| {
            [options.first_byte_timeout, options.between_bytes_timeout].into_iter().flatten().min()
        });
        Box::new(async move {
            let number = number.map_err(error)?;
            let (parts, body) = request.into_parts();
            let body = whole(body, &*outbound).await?;
            let request = Request::from_parts(parts, body);
            let response = outbound.call(number, request, patience).await.map_err(error)?;
            let body = |bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
            let rest: Rest = Box::new(std::future::ready(Ok(())));
            Ok((response.map(body), rest))
        })
    }
}

/// Waits until the guest has written all of a request.
async fn whole(body: WasiBody, outbound: &dyn Outbound) -> Result<Bytes, Error> {
    let limit = outbound.most_body();
    let limited = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
    let collected =
        limited.collect().await.map_err(|failed| match failed.downcast::<LengthLimitError>() {
            Ok(_) => {
                let limit = format_size(limit);
                error(
                    outbound
                        .refuse(format!("a request of more than {limit} is not allowed (http.request-body)")),
                )
            }
            Err(other) => match other.downcast::<Error>() {
                Ok(error) => *error,
                Err(other) => Error::InternalError(Some(other.to_string())),
            },
        })?;
    Ok(collected.to_bytes())
}

fn error(error: OutboundError) -> Error {
    match error {
        OutboundError::Refused { .. } => Error::HttpRequestDenied,
        OutboundError::Address { .. } => Error::DestinationIpProhibited,
        OutboundError::NoConnection { .. } => Error::ConnectionRefused,
        OutboundError::TimedOut { .. } => Error::HttpResponseTimeout,
        OutboundError::TooLarge { limit } => Error::HttpResponseBodySize(Some(limit)),
        OutboundError::Broken { reason } => Error::InternalError(Some(reason)),
    }
}
