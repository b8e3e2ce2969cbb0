//! Plug-ins, their versions and tables, what came of verifications.

use std::fmt;

use super::families::{Families, seconds};
use crate::{
    deploy::status::{Health, PluginStatus, StateStatus, VersionStatus},
    state::catalog::{Verdict, Verification},
};

pub(super) fn write(plugins: &[PluginStatus], families: &mut Families<'_>) -> fmt::Result {
    of_plugins(plugins, families)?;
    of_versions(plugins, families)?;
    of_verifications(plugins, families)
}

fn of_plugins(plugins: &[PluginStatus], families: &mut Families<'_>) -> fmt::Result {
    let info = plugins.iter().map(|plugin| {
        let live = plugin.live.as_deref().unwrap_or_default();
        [("plugin", &*plugin.name), ("kind", &plugin.kind), ("live", live)]
    });
    families.info(
        "projectionist_plugin",
        "A plug-in: its kind, and the digest of its live version, empty if it has none.",
        info,
    )?;
    let health = plugins.iter().flat_map(|plugin| {
        Health::ALL.map(|health| {
            ([("plugin", &*plugin.name), ("health", health.word())], i64::from(plugin.health == health))
        })
    });
    families.gauge("projectionist_plugin_health", None, "1 for how a plug-in is, 0 for all else.", health)?;
    // Without a live version there is nothing that is anywhere.
    let live = || plugins.iter().filter(|plugin| plugin.live.is_some());
    families.gauge(
        "projectionist_plugin_position",
        None,
        "Up to which position the live version has folded.",
        live().map(|plugin| ([("plugin", &*plugin.name)], plugin.position)),
    )?;
    families.gauge(
        "projectionist_plugin_lag",
        Some("positions"),
        "How many positions the live version is behind the log's head.",
        live().map(|plugin| ([("plugin", &*plugin.name)], plugin.lag)),
    )
}

/// All versions, with their plug-ins' names.
fn versions(plugins: &[PluginStatus]) -> impl Iterator<Item = (&str, &VersionStatus)> {
    plugins.iter().flat_map(|plugin| plugin.versions.iter().map(|version| (&*plugin.name, version)))
}

fn of_versions(plugins: &[PluginStatus], families: &mut Families<'_>) -> fmt::Result {
    let info = versions(plugins).map(|(name, version)| {
        [("plugin", name), ("version", &*version.digest), ("station", &version.station)]
    });
    families.info(
        "projectionist_version",
        "A version that is kept, by its digest, and its station.",
        info,
    )?;
    type Of = fn(&StateStatus) -> u64;
    let loaded = |of: Of| {
        versions(plugins).filter_map(move |(name, version)| {
            let state = version.state.as_ref()?;
            Some(([("plugin", name), ("version", &*version.digest)], of(state)))
        })
    };
    families.gauge(
        "projectionist_version_position",
        None,
        "Up to which position a loaded version has folded.",
        loaded(|state| state.position),
    )?;
    families.counter(
        "projectionist_version_folded",
        Some("events"),
        "How many events are folded in a version's state.",
        loaded(|state| state.events),
    )?;
    families.gauge(
        "projectionist_version_dead_letters",
        None,
        "How many events a version could not fold or handle and keeps as dead letters.",
        loaded(|state| state.dead_letters),
    )?;
    families.gauge(
        "projectionist_version_state",
        Some("bytes"),
        "How much of the disk a version's state takes.",
        loaded(|state| state.size),
    )?;
    let tables = versions(plugins).flat_map(|(name, version)| {
        version.state.iter().flat_map(move |state| {
            state.tables.iter().map(move |table| {
                ([("plugin", name), ("version", &*version.digest), ("table", &*table.name)], table.keys)
            })
        })
    });
    families.gauge("projectionist_table_keys", None, "How many keys a table of a version has.", tables)
}

fn of_verifications(plugins: &[PluginStatus], families: &mut Families<'_>) -> fmt::Result {
    let verdicts = versions(plugins)
        .filter_map(|(name, version)| Some((name, version.verification.as_ref()?)))
        .flat_map(|(name, verification)| {
            Verdict::ALL.map(|verdict| {
                let labels =
                    [("plugin", name), ("version", &*verification.version), ("verdict", verdict.word())];
                (labels, i64::from(verification.verdict == verdict))
            })
        });
    families.gauge(
        "projectionist_verification_verdict",
        None,
        "1 for what came of the last verification of a version, 0 for all else.",
        verdicts,
    )?;
    type Of = fn(&Verification) -> f64;
    let verified = |of: Of| {
        versions(plugins).filter_map(move |(name, version)| {
            let verification = version.verification.as_ref()?;
            Some(([("plugin", name), ("version", &*version.digest)], of(verification)))
        })
    };
    families.gauge(
        "projectionist_verification_start_time",
        Some("seconds"),
        "When the last verification of a version began, in seconds since 1970.",
        verified(|verification| seconds(verification.began.as_micros())),
    )?;
    families.gauge(
        "projectionist_verification_duration",
        Some("seconds"),
        "How long the last verification of a version took.",
        verified(|verification| seconds(i64::try_from(verification.micros).unwrap_or(i64::MAX))),
    )?;
    families.gauge(
        "projectionist_verification_position",
        None,
        "Up to which position a version was last verified.",
        verified(|verification| verification.position as f64),
    )
}
