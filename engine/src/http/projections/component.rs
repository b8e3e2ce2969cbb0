//! A component in the body of a request, with its settings beside it.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};

use crate::http::problem::{Kind, Problem};

/// The media type of a component.
pub(crate) const WASM: &str = "application/wasm";

/// How large a component may be.
const LARGEST: usize = 256 << 20;

/// Reads the component that a request carries.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if media_type.split(';').next().map(str::trim) != Some(WASM) {
        let detail = format!("the request's body should be a component, with Content-Type: {WASM}");
        return Err(Problem::new(Kind::UnsupportedMediaType, detail).with("media-types", vec![WASM]));
    }
    axum::body::to_bytes(body, LARGEST).await.map_err(|error| {
        let detail = format!("the component could not be read, or has more than {LARGEST} bytes: {error}");
        Problem::new(Kind::TooLarge, detail).with("limit", LARGEST)
    })
}
