//! `status`: what is deployed and how it does.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Context,
    support::{
        client::{Client, Place},
        output::{Output, note},
        table::Table,
        text, verification,
    },
};
use crate::{
    clock,
    deploy::status::{DeploymentStatus, Health, PluginStatus, StateStatus, VersionStatus},
    plugin::description::UpcastDescription,
};

/// How long progress is measured for.
const SAMPLE: Duration = Duration::from_millis(500);

/// Show what is deployed and how it does
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this plug-in, in detail
    name: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let client = args.place.required_server(&context.settings)?;
    let output = &mut context.output;
    let path: Vec<&str> = ["projections"].into_iter().chain(args.name.as_deref()).collect();
    let document: Value = client.json(client.get(&path)).await?;
    if output.is_json() {
        output.json(&document)?;
        return Ok(());
    }
    match args.name {
        Some(_) => detail(&serde_json::from_value(document)?, output),
        None => {
            let trouble = document["plugins-folder"].as_str().map(str::to_owned);
            overview(&client, list(document)?, output).await?;
            if let Some(trouble) = trouble {
                output.line(format!("\n{}", text::printable(&trouble)))?;
            }
            Ok(())
        }
    }
}

fn list(document: Value) -> Result<Vec<PluginStatus>> {
    #[derive(Deserialize)]
    struct Listing {
        projections: Vec<PluginStatus>,
    }
    Ok(match document {
        Value::Array(_) => serde_json::from_value(document)?,
        _ => serde_json::from_value::<Listing>(document)?.projections,
    })
}

async fn overview(client: &Client, plugins: Vec<PluginStatus>, output: &mut Output) -> Result<()> {
    if plugins.is_empty() {
        note(format!("{} has no plug-ins yet; put a .wasm file into its plug-ins folder", client.url()));
        return Ok(());
    }
    // Where something is on its way, a second look tells how fast.
    let (mut plugins, mut rates) = (plugins, HashMap::new());
    if plugins.iter().any(|plugin| plugin.versions.iter().any(is_behind)) {
        let before = events(&plugins);
        let started = clock::instant();
        tokio::time::sleep(SAMPLE).await;
        plugins = list(client.json(client.get(&["projections"])).await?)?;
        let elapsed = started.elapsed();
        rates = events(&plugins)
            .into_iter()
            .filter_map(|(version, now)| {
                let folded = now.checked_sub(*before.get(&version)?)?;
                Some((version, text::rate(folded, elapsed)))
            })
            .collect();
    }
    output.table(&versions_table(&plugins, &rates))?;
    let troubled = plugins.iter().filter(|plugin| plugin.health != Health::Ok);
    for (plugin, reason) in troubled.filter_map(|plugin| Some((plugin, plugin.reason.as_deref()?))) {
        output.line(format!("\n{} is {}: {}", plugin.name, plugin.health.word(), text::printable(reason)))?;
    }
    for plugin in &plugins {
        if let Some(summary) = plugin.versions.iter().find_map(difference) {
            let summary = text::printable(summary);
            output.line(format!("\n{} differs when it is folded again: {summary}", plugin.name))?;
        }
    }
    Ok(())
}

/// What differs from a verification of the version that answers, in words.
fn difference(version: &VersionStatus) -> Option<&str> {
    let last = version.verification.as_ref().filter(|_| version.station == "live")?;
    last.difference.as_ref().map(|found| found.summary.as_str())
}

/// How many events each loaded version has folded.
fn events(plugins: &[PluginStatus]) -> HashMap<String, u64> {
    let versions = plugins.iter().flat_map(|plugin| &plugin.versions);
    versions.filter_map(|version| Some((version.digest.clone(), version.state.as_ref()?.events))).collect()
}

fn is_behind(version: &VersionStatus) -> bool {
    version.state.as_ref().is_some_and(|state| state.phase == "catch-up")
}

/// A row a version that runs, and one for a plug-in of which none does.
fn versions_table(plugins: &[PluginStatus], rates: &HashMap<String, String>) -> Table {
    let mut table = Table::new(["name", "station", "health", "position", "lag", "events/s", "state digest"]);
    for plugin in plugins {
        let running: Vec<_> =
            plugin.versions.iter().filter_map(|version| Some((version, version.state.as_ref()?))).collect();
        for (version, state) in &running {
            table.row([
                plugin.name.clone(),
                version.station.clone(),
                if version.station == "live" { plugin.health.word().to_owned() } else { state.phase.clone() },
                text::number(state.position),
                text::number(plugin.head.saturating_sub(state.position)),
                rates.get(&version.digest).cloned().unwrap_or_default(),
                text::short(&state.digest).to_owned(),
            ]);
        }
        if running.is_empty() {
            let station = plugin.versions.first().map_or("–", |version| &version.station);
            table.row([&plugin.name, station, plugin.health.word(), "–", "–", "", "–"]);
        }
    }
    table
}

fn detail(plugin: &PluginStatus, output: &mut Output) -> Result<()> {
    output.line(format!("{} ({}): {}", plugin.name, plugin.kind, plugin.health.word()))?;
    if let Some(reason) = &plugin.reason {
        output.line(format!("  {}", text::printable(reason)))?;
    }
    // An upcaster has none, and what could not be loaded neither.
    if plugin.kind != "upcaster" && plugin.kind != "unknown" {
        output.line(format!(
            "position {} of {}, {} behind",
            text::number(plugin.position),
            text::number(plugin.head),
            text::number(plugin.lag)
        ))?;
    }
    for UpcastDescription { from, to } in &plugin.upcasts {
        output.line(format!("  makes of events of {from} such of {to}"))?;
    }
    output.line("\nversions")?;
    output.table(&versions(&plugin.versions))?;
    for version in plugin.versions.iter().filter(|version| !version.upcasters.is_empty()) {
        let by = version.upcasters.iter().map(|one| format!("{} ({})", one.name, text::short(&one.digest)));
        let (digest, by) = (text::short(&version.digest), by.collect::<Vec<_>>().join(", "));
        output.line(format!("  {digest} {}: given events in the shape of {by}", version.station))?;
    }
    for version in &plugin.versions {
        if let Some(reason) = &version.reason {
            output.line(format!(
                "  {} {}: {}",
                text::short(&version.digest),
                version.station,
                text::printable(reason)
            ))?;
        }
    }
    for version in &plugin.versions {
        if let Some(last) = &version.verification {
            let (digest, verdict) = (text::short(&version.digest), verification::verdict(last));
            output.line(format!("  {digest} {}: {verdict}", version.station))?;
            last.difference.as_ref().map_or(Ok(()), |found| verification::difference(found, output))?;
        }
    }
    let live = plugin.versions.iter().find(|version| version.station == "live");
    if let Some(state) = live.and_then(|version| version.state.as_ref()) {
        offers(state, output)?;
    }
    if !plugin.deployments.is_empty() {
        output.line("\ndeployments")?;
        output.table(&deployments(&plugin.deployments))?;
    }
    if !plugin.output.is_empty() {
        output.line("\noutput")?;
        for line in &plugin.output {
            output.line(format!("  {}: {}", line.stream, text::printable(&line.line)))?;
        }
    }
    Ok(())
}

fn versions(versions: &[VersionStatus]) -> Table {
    let mut table = Table::new([
        "version",
        "station",
        "phase",
        "position",
        "events",
        "dead letters",
        "partitions",
        "state digest",
        "on disk",
        "created",
    ]);
    for version in versions {
        let state = version.state.as_ref();
        let of = |value: fn(&StateStatus) -> String| state.map_or_else(|| "–".to_owned(), value);
        table.row([
            text::short(&version.digest).to_owned(),
            version.station.clone(),
            of(|state| state.phase.clone()),
            of(|state| text::number(state.position)),
            of(|state| text::number(state.events)),
            of(|state| text::number(state.dead_letters)),
            of(|state| state.partitions.to_string()),
            of(|state| state.digest.clone()),
            of(|state| text::bytes(state.size)),
            version.created.to_string(),
        ]);
    }
    table
}

/// The tables and queries of a version.
fn offers(state: &StateStatus, output: &mut Output) -> Result<()> {
    if !state.tables.is_empty() {
        let mut table = Table::new(["table", "keys", "key", "indexes"]);
        for entry in &state.tables {
            table.row([
                entry.name.clone(),
                text::number(entry.keys),
                entry.key.join(", "),
                entry.indexes.join(", "),
            ]);
        }
        output.line("\ntables")?;
        output.table(&table)?;
    }
    if !state.queries.is_empty() {
        let mut table = Table::new(["query", "parameters", "summary"]);
        for query in &state.queries {
            let parameters = query.parameters.get("properties").and_then(Value::as_object);
            let names: Vec<_> = parameters.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            table.row([query.name.clone(), names.join(", "), query.summary.clone().unwrap_or_default()]);
        }
        output.line("\nqueries")?;
        output.table(&table)?;
    }
    Ok(())
}

fn deployments(deployments: &[DeploymentStatus]) -> Table {
    let mut table =
        Table::new(["id", "when", "action", "version", "size", "outcome", "replay", "events", "reason"]);
    for deployment in deployments {
        table.row([
            text::number(deployment.id),
            deployment.when.to_string(),
            deployment.action.clone(),
            text::short(&deployment.digest).to_owned(),
            text::bytes(deployment.size),
            deployment.outcome.clone(),
            deployment
                .replay_micros
                .map(|micros| text::duration(Duration::from_micros(micros)))
                .unwrap_or_default(),
            deployment.events.map(text::number).unwrap_or_default(),
            deployment.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn plugins() -> Vec<PluginStatus> {
        let version = |digest: &str, station: &str, state: Value| {
            json!({
                "digest": digest, "station": station, "file": "/plugins/churn.wasm", "size": 120_000,
                "created": "2026-01-01T00:00:00Z", "promoted": null, "reason": null, "state": state,
            })
        };
        let state = |phase: &str, position: u64, digest: &str| {
            json!({
                "phase": phase, "position": position, "digest": digest, "events": position, "dead-letters": 0,
                "partitions": 1, "size": 2_000_000, "queries": [],
                "tables": [{"name": "files", "key": ["string"], "keys": 15_521, "indexes": ["changes"]}],
            })
        };
        let plugin = |name: &str, health: &str, reason: Value, versions: Value| {
            json!({
                "name": name, "kind": "projection", "health": health, "reason": reason, "position": 154_852,
                "head": 154_852, "lag": 0, "live": null, "versions": versions, "deployments": [], "output": [],
            })
        };
        let live = version(
            "aaaaaaaaaaaaaaaaaaaa",
            "live",
            state("live", 154_852, "0123456789abcdef0123456789abcdef"),
        );
        let next = version(
            "bbbbbbbbbbbbbbbbbbbb",
            "candidate",
            state("catch-up", 77_000, "ffff456789abcdef0123456789abcdef"),
        );
        let document = json!({"projections": [
            plugin("churn", "ok", Value::Null, json!([live, next])),
            plugin("broken", "failed", "it exports no projection".into(), json!([version("cc", "failed", Value::Null)])),
        ]});
        list(document).unwrap()
    }

    #[test]
    fn an_overview() {
        let rates = HashMap::from([("bbbbbbbbbbbbbbbbbbbb".to_owned(), "1,200,000".to_owned())]);
        expect![[r#"
            name    station    health    position     lag   events/s  state digest
            churn   live       ok         154,852       0             0123456789ab
            churn   candidate  catch-up    77,000  77,852  1,200,000  ffff456789ab
            broken  failed     failed           –       –             –
        "#]]
        .assert_eq(&versions_table(&plugins(), &rates).render(60));
    }

    #[test]
    fn what_is_behind() {
        let plugins = plugins();
        assert_eq!(plugins[0].versions.iter().map(is_behind).collect::<Vec<_>>(), [false, true]);
        assert_eq!(events(&plugins).len(), 2);
        assert_eq!(text::short("abc"), "abc");
    }
}
