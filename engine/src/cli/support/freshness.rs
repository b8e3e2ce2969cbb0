//! How fresh an answer must be, or of when.

use std::path::PathBuf;

use anyhow::Result;
use reqwest::{Method, RequestBuilder, header};
use serde_json::Value;

use super::{client::Client, component};
use crate::event::Position;

/// How fresh an answer must be.
#[derive(Debug, clap::Args)]
pub struct Freshness {
    /// Wait until the plug-in has seen the event at this position
    #[arg(long, value_name = "POSITION")]
    at_least: Option<Position>,
    /// How long to wait for that: 5s, 250ms, 1m
    #[arg(long, requires = "at_least")]
    timeout: Option<String>,
}

impl Freshness {
    /// Adds what was asked for to a request.
    pub fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        request.query(&[("at-least", &self.at_least)]).query(&[("timeout", &self.timeout)])
    }
}

/// Of when an answer is, and by whose code.
#[derive(Debug, clap::Args)]
pub struct Moment {
    /// As it stood then: after the event at a position, or with all that was recorded up to a time
    #[arg(long, value_name = "POSITION|TIME", conflicts_with = "at_least")]
    at: Option<String>,
    /// With the code of another version that is kept, by how its digest begins
    #[arg(long, value_name = "DIGEST", conflicts_with_all = ["at_least", "component"])]
    version: Option<String>,
    /// With the code of a component that nobody has deployed
    #[arg(long, value_name = "FILE.wasm", conflicts_with = "at_least")]
    component: Option<PathBuf>,
}

impl Moment {
    /// Lends the component to the server, if one is named.
    pub async fn lend(&mut self, client: &Client, name: &str) -> Result<()> {
        let Some(file) = &self.component else { return Ok(()) };
        let (wasm, settings) = component::read(file)?;
        let request = client.request(Method::POST, &["projections", name, "lent"]);
        let request = request.query(&[("settings", settings)]);
        let lent: Value =
            client.json(request.header(header::CONTENT_TYPE, "application/wasm").body(wasm)).await?;
        self.version = lent["version"].as_str().map(str::to_owned);
        Ok(())
    }

    /// Adds what was asked for to a request.
    pub fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        request.query(&[("at", &self.at), ("version", &self.version)])
    }
}
