//! A component that has been loaded.

use std::sync::Arc;

use super::{
    code::{Code, Work},
    description::{Description, Kind, OnFailure},
    error::PluginError,
    guest::{self, Guest},
    instance::{Calls, Instance},
    output::Output,
    settings::{PARTITIONS, Settings, secrets},
    state::{NoState, StateReader},
    stop, validate,
};
use crate::{clock::Clock, event::Partition};

/// A component that has been loaded and has described itself.
pub struct Plugin {
    name: Arc<str>,
    code: Arc<Code>,
    settings: Settings,
    clock: Clock,
    description: Description,
    tables: Arc<[String]>,
    output: Output,
}

impl Plugin {
    /// Asks a component to describe itself.
    pub(super) async fn describe(
        name: Arc<str>,
        code: Arc<Code>,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, PluginError> {
        let mut plugin = Self {
            name,
            code,
            settings,
            clock,
            description: Description::default(),
            tables: Arc::default(),
            output: Output::default(),
        };
        let (_, json) = plugin.instantiate(Arc::new(NoState), Partition::WHOLE, true).await?;
        let description = validate::parse(&json.unwrap_or_default())
            .map_err(|reason| PluginError::Description { plugin: plugin.name.to_string(), reason })?;
        validate::fits_kind(&description, plugin.kind())
            .map_err(|reason| PluginError::Description { plugin: plugin.name.to_string(), reason })?;
        let chosen = plugin.settings.policies.on_failure.or(description.on_failure);
        validate::on_failure_fits(chosen, plugin.kind())
            .map_err(|reason| PluginError::Description { plugin: plugin.name.to_string(), reason })?;
        if plugin.kind() == Kind::Reaction {
            secrets::check(&plugin.settings.secrets)
                .map_err(|reason| PluginError::Secret { plugin: plugin.name.to_string(), reason })?;
        }
        let asked = plugin.settings.policies.partitions;
        if asked.is_some_and(|count| count > 1) && description.partition_by.is_none() {
            return Err(PluginError::Description {
                plugin: plugin.name.to_string(),
                reason: "the settings file asks for policies.partitions, but the plug-in does not say by what its \
                         events can be divided (`partition-by`)"
                    .to_owned(),
            });
        }
        plugin.tables = description.tables.iter().map(|table| table.name.clone()).collect();
        plugin.description = description;
        Ok(plugin)
    }

    /// The same code, whose instances print apart from those of this one.
    pub fn apart(&self) -> Self {
        let (name, code, tables) = (Arc::clone(&self.name), Arc::clone(&self.code), Arc::clone(&self.tables));
        let (settings, description) = (self.settings.clone(), self.description.clone());
        let (clock, output) = (self.clock.clone(), Output::default());
        Self { name, code, settings, clock, description, tables, output }
    }

    /// Its name: the stem of its file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.code.work {
            Work::Projection(_) => Kind::Projection,
            Work::Reaction(_) => Kind::Reaction,
            Work::Upcaster(_) => Kind::Upcaster,
        }
    }

    /// What it says about itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The settings that it was loaded with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What time it is for it and for whoever drives it.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The names of its tables, in the order by which they are numbered.
    pub fn tables(&self) -> &[String] {
        &self.tables
    }

    /// What happens with an event that it cannot fold: as the settings say, or
    /// else the plug-in itself.
    pub fn on_failure(&self) -> OnFailure {
        let chosen = self.settings.policies.on_failure.or(self.description.on_failure);
        chosen.unwrap_or(match self.kind() {
            Kind::Projection | Kind::Upcaster => OnFailure::Halt,
            Kind::Reaction => OnFailure::DeadLetter,
        })
    }

    /// How many instances fold it side by side.
    pub fn partitions(&self) -> usize {
        match self.description.partition_by {
            Some(_) => self.settings.policies.partitions.unwrap_or(PARTITIONS),
            None => 1,
        }
    }

    /// What its instances have printed last.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Its code, which it may share with others.
    #[cfg(test)]
    pub(super) fn code(&self) -> &Arc<Code> {
        &self.code
    }

    /// A new instance that reads the given state, for a partition or for all.
    pub async fn start(
        &self,
        state: Arc<dyn StateReader>,
        partition: Partition,
    ) -> Result<Instance, PluginError> {
        Ok(self.instantiate(state, partition, self.code.needs_start).await?.0)
    }

    async fn instantiate(
        &self,
        state: Arc<dyn StateReader>,
        partition: Partition,
        describe: bool,
    ) -> Result<(Instance, Option<String>), PluginError> {
        let Code { pre, plugin, work, .. } = &*self.code;
        let reads = (state, partition);
        let about = (self.kind(), &self.name);
        let tables = self.tables.len();
        let mut store =
            Guest::store(pre.engine(), about, &self.settings, &self.output, tables, reads, &self.clock);
        guest::begin(&mut store, false);
        let stopped = |doing, reason| PluginError::Stopped { plugin: self.name.to_string(), doing, reason };
        let started = pre.instantiate_async(&mut store).await.and_then(|instance| {
            let plugin = plugin.load(&mut store, &instance)?;
            let work = match work {
                Work::Projection(apply) => {
                    let apply = instance.get_func(&mut store, apply);
                    Calls::Projection { apply: apply.ok_or_else(|| wasmtime::format_err!("no apply"))? }
                }
                Work::Reaction(reaction) => Calls::Reaction(reaction.load(&mut store, &instance)?),
                Work::Upcaster(upcaster) => Calls::Upcaster(upcaster.load(&mut store, &instance)?),
            };
            Ok((plugin, work))
        });
        let (exports, calls) = match started {
            Ok(started) => started,
            Err(error) => return Err(stopped("starting", stop::explain(&mut store, &error, false))),
        };
        store.data().printer.end();
        let mut json = None;
        if describe {
            guest::begin(&mut store, false);
            match exports.call_describe(&mut store).await {
                Ok(answer) => json = Some(answer),
                Err(error) => {
                    return Err(stopped("describing itself", stop::explain(&mut store, &error, false)));
                }
            }
            store.data().printer.end();
        }
        store.data_mut().starting = false;
        Ok((Instance::new(store, exports, calls, self.name.clone(), self.tables.clone()), json))
    }
}
