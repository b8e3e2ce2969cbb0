//! The server's steps, page by page.

use anyhow::Result;

use super::breakpoint::Breakpoint;
use crate::{cli::support::client::Client, event::Position, query::StepsPage};

/// Which steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) from: Option<Position>,
    pub(super) to: Option<Position>,
    /// Newest first.
    pub(super) reverse: bool,
    pub(super) limit: usize,
    /// Only steps that meet one of these; all where there are none.
    pub(super) breakpoints: Vec<Breakpoint>,
}

/// The steps of one version.
pub(super) struct Pages {
    client: Client,
    name: String,
    version: Option<String>,
}

impl Pages {
    pub(super) fn new(client: Client, name: String, version: Option<String>) -> Self {
        Self { client, name, version }
    }

    /// Asks for a page.
    pub(super) async fn read(&self, asked: &Asked) -> Result<StepsPage> {
        let Asked { from, to, reverse, limit, breakpoints } = asked;
        let request = self.client.get(&["projections", &self.name, "steps"]);
        let request = request.query(&[("from", from), ("to", to)]).query(&[("limit", limit)]);
        let request = request.query(&[("version", &self.version)]);
        let request = request.query(&[("reverse", reverse.then_some("true"))]);
        let breakpoints = breakpoints.iter().map(|breakpoint| (breakpoint.parameter, &breakpoint.value));
        self.client.json(request.query(&breakpoints.collect::<Vec<_>>())).await
    }
}
