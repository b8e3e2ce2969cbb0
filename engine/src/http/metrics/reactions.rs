//! What reactions do, and what is stuck.

use std::fmt;

use super::families::Families;
use crate::{
    deploy::{Deployer, status::PluginStatus},
    reaction::{Activity, CallsStatus},
};

/// What a reaction does.
#[derive(Debug)]
pub(super) struct Doing {
    name: String,
    activity: Activity,
    calls: CallsStatus,
}

/// What all reactions do that have a live version.
pub(super) fn of(deployer: &Deployer, plugins: &[PluginStatus]) -> Vec<Doing> {
    let reactions = plugins.iter().filter(|plugin| plugin.kind == "reaction");
    let doing = reactions.filter_map(|plugin| {
        let (_, handle) = deployer.reaction(&plugin.name).ok().flatten()?;
        Some(Doing { name: plugin.name.clone(), activity: handle.activity(), calls: handle.calls() })
    });
    doing.collect()
}

pub(super) fn write(reactions: &[Doing], families: &mut Families<'_>) -> fmt::Result {
    stuck(reactions, families)?;
    done(reactions, families)
}

fn stuck(reactions: &[Doing], families: &mut Families<'_>) -> fmt::Result {
    type Of = fn(&Doing) -> usize;
    let each = |of: Of| reactions.iter().map(move |doing| ([("plugin", &*doing.name)], of(doing) as u64));
    families.gauge(
        "projectionist_reaction_backlog",
        Some("events"),
        "How many events a reaction knows of that are not handled.",
        each(|doing| doing.activity.backlog),
    )?;
    families.gauge(
        "projectionist_reaction_waiting",
        Some("events"),
        "How many events have failed and are to be handled again.",
        each(|doing| doing.activity.waiting.len()),
    )?;
    families.gauge(
        "projectionist_reaction",
        Some("timers"),
        "How many timers a reaction has.",
        each(|doing| doing.activity.timers),
    )?;
    families.gauge(
        "projectionist_reaction_blocked",
        Some("hosts"),
        "How many hosts a reaction leaves alone, since calls to them have failed.",
        each(|doing| doing.calls.breakers.iter().filter(|breaker| breaker.state != "closed").count()),
    )
}

fn done(reactions: &[Doing], families: &mut Families<'_>) -> fmt::Result {
    type Of = fn(&Activity) -> u64;
    let each = |of: Of| reactions.iter().map(move |doing| ([("plugin", &*doing.name)], of(&doing.activity)));
    families.counter(
        "projectionist_reaction_handled",
        Some("events"),
        "How many events a reaction has handled since it was started.",
        each(|activity| activity.handled),
    )?;
    families.counter(
        "projectionist_reaction_appended",
        Some("events"),
        "How many events a reaction has appended since it was started.",
        each(|activity| activity.appended),
    )?;
    families.counter(
        "projectionist_reaction_failures",
        None,
        "How often an event could not be handled since the reaction was started.",
        each(|activity| activity.failures),
    )?;
    families.counter(
        "projectionist_reaction_given_up",
        Some("events"),
        "How many events a reaction has given up since it was started.",
        each(|activity| activity.given_up),
    )?;
    let calls = reactions.iter().flat_map(|doing| {
        let counts = &doing.calls.counts;
        let outcomes = [
            ("answered", counts.answered),
            ("declined", counts.declined),
            ("failed", counts.failed),
            ("replayed", counts.replayed),
            ("blocked", counts.blocked),
            ("refused", counts.refused),
        ];
        outcomes.map(|(outcome, count)| ([("plugin", &*doing.name), ("outcome", outcome)], count))
    });
    families.counter(
        "projectionist_reaction_calls",
        None,
        "What a reaction's calls over HTTP have come to since it was started.",
        calls,
    )
}
