//! Listings that a server writes line by line, handed on as they come.

use anyhow::Result;
use futures_util::StreamExt as _;
use reqwest::RequestBuilder;

use super::{client::Client, output::Output};

/// Writes the listing as it comes. Answers whether it is empty.
pub async fn copy(client: &Client, request: RequestBuilder, output: &mut Output) -> Result<bool> {
    let mut pieces = client.send(request).await?.bytes_stream();
    let mut empty = true;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| client.unreachable(&error))?;
        empty &= piece.is_empty();
        output.bytes(&piece)?;
    }
    Ok(empty)
}
