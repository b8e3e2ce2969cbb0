//! The first few answers, each with the command that gave it.

use std::io::Write;

use anyhow::Result;

use super::server::Server;
use crate::step;

/// What the example plug-ins can be asked, in the program's own words.
const QUESTIONS: [&[&str]; 4] = [
    &["query", "churn", "hottest", "limit=5"],
    &["query", "authors", "busiest", "limit=5"],
    &["get", "commits-per-day", "days", "--reverse", "--limit", "5"],
    &["query", "event-types", "most"],
];

/// Asks, and says where to go on.
pub(crate) fn show(server: &Server) -> Result<()> {
    for question in QUESTIONS {
        let mut command = server.command(question);
        println!("\n$ {}", step::shown(&command));
        std::io::stdout().flush()?;
        step::run(&mut command)?;
    }
    let url = server.url();
    println!("\nTry:");
    for path in [
        "/projections",
        "/projections/churn/tables/files?limit=10",
        "/projections/churn/queries/hottest?limit=10",
        "/events?reverse=true&limit=5",
        "/openapi.json",
    ] {
        println!("  {url}{path}");
    }
    Ok(())
}
