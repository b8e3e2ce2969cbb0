//! Which upcasters are at work, and what that makes of a version.
//!
//! An upcaster is deployed as all plug-ins are. It folds nothing, so it is at work as soon as it is
//! loaded. What it is part of is made anew with it: see `supervisor/recast.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use super::supervisor::Context;
use crate::{
    plugin::{
        Plugin, PluginError, Settings,
        description::{Description, Kind},
        version_digest,
    },
    projection::{Code, Upcaster, UpcasterConflict, Upcasters},
    state::catalog::{UpcastRecord, UpcasterRecord, VersionRecord},
};

/// The upcasters that are at work, as they change.
#[derive(Default)]
pub(super) struct AtWork {
    lineup: watch::Sender<Lineup>,
    /// One change at a time.
    changing: Mutex<()>,
}

/// The upcasters that are at work at one time.
#[derive(Clone, Default)]
pub(super) struct Lineup {
    /// By the plug-in's name.
    members: BTreeMap<String, Member>,
    all: Arc<Upcasters>,
    /// Those that were at work when the process last ended and could not be started again.
    missing: BTreeSet<String>,
    /// Those that were at work when the process last ended are again.
    is_complete: bool,
}

#[derive(Clone)]
struct Member {
    upcaster: Upcaster,
    record: UpcasterRecord,
}

/// What tells a version from others of its name.
pub(super) struct Identity {
    pub(super) digest: String,
    /// What gives its events their newest shape, if anything does.
    pub(super) upcast: Option<UpcastRecord>,
    /// The upcasters that were at work when this was found out; see [`Lineup::mark`].
    pub(super) mark: String,
}

impl Identity {
    /// Of a version whose events nothing gives another shape.
    pub(super) fn plain(digest: String, mark: String) -> Self {
        Self { digest, upcast: None, mark }
    }

    /// The digest that its component and its settings alone make.
    pub(super) fn base(&self) -> &str {
        self.upcast.as_ref().map_or(&self.digest, |upcast| &upcast.base)
    }
}

impl AtWork {
    /// Tells when they change.
    pub(super) fn follow(&self) -> watch::Receiver<Lineup> {
        self.lineup.subscribe()
    }

    pub(super) fn now(&self) -> Lineup {
        self.lineup.borrow().clone()
    }

    /// Changes them, unless that fails.
    pub(super) fn change<E>(&self, change: impl FnOnce(&Lineup) -> Result<Lineup, E>) -> Result<(), E> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&self.now())?;
        self.lineup.send_replace(changed);
        Ok(())
    }

    /// Those that were at work when the process last ended are again: from now on, what has
    /// changed has changed.
    pub(super) fn complete(&self) {
        let complete =
            |now: &Lineup| Ok::<_, std::convert::Infallible>(Lineup { is_complete: true, ..now.clone() });
        let Ok(()) = self.change(complete);
    }
}

impl Lineup {
    /// These and one more, in the place of an earlier version of it.
    pub(super) fn with(
        &self,
        record: &VersionRecord,
        plugin: &Arc<Plugin>,
    ) -> Result<Self, UpcasterConflict> {
        let VersionRecord { name, digest, component, settings, .. } = record.clone();
        let upcaster = Upcaster { plugin: Arc::clone(plugin), digest: digest.clone() };
        let record = UpcasterRecord { name, digest, component, settings };
        let mut with = self.clone();
        with.members.remove(&record.name);
        with.missing.remove(&record.name);
        with.all =
            Arc::new(chain(with.members.values().map(|member| &member.upcaster))?.with(upcaster.clone())?);
        with.members.insert(record.name.clone(), Member { upcaster, record });
        Ok(with)
    }

    /// All but one.
    pub(super) fn without(&self, name: &str) -> Result<Self, UpcasterConflict> {
        let mut without = self.clone();
        without.members.remove(name);
        without.missing.remove(name);
        without.all = Arc::new(chain(without.members.values().map(|member| &member.upcaster))?);
        Ok(without)
    }

    /// All, and one that should be among them.
    pub(super) fn missing(&self, name: &str) -> Self {
        let mut missing = self.clone();
        missing.missing.insert(name.to_owned());
        missing
    }

    /// Whether one of this name is at work, or should be.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name) || self.missing.contains(name)
    }

    /// Whether those that were at work when the process last ended are again, or have been removed.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete && self.missing.is_empty()
    }

    /// The names of their plug-ins, in order.
    pub(super) fn names(&self) -> Vec<&str> {
        self.members.keys().map(String::as_str).collect()
    }

    /// What tells these from others: their digests, in order; empty where there are none.
    pub(super) fn mark(&self) -> String {
        let digests: Vec<&str> = self.members.values().map(|member| member.record.digest.as_str()).collect();
        digests.join(" ")
    }

    /// What a plug-in is with these; `base`: what its component and its settings make its digest.
    fn identity(&self, base: String, description: &Description) -> Identity {
        let digests = self.all.digests(description.events.as_deref());
        if digests.is_empty() {
            return Identity::plain(base, self.mark());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(base.as_bytes());
        for digest in &digests {
            hasher.update(digest.as_bytes());
        }
        let by = |digest: &&str| self.members.values().find(|member| member.record.digest == *digest);
        let by = digests.iter().filter_map(by).map(|member| member.record.clone()).collect();
        let digest = hasher.finalize().to_hex().to_string();
        Identity { digest, upcast: Some(UpcastRecord { base, by }), mark: self.mark() }
    }
}

/// Upcasters that work together.
fn chain<'a>(all: impl IntoIterator<Item = &'a Upcaster>) -> Result<Upcasters, UpcasterConflict> {
    all.into_iter().try_fold(Upcasters::default(), |all, one| all.with(one.clone()))
}

impl Context {
    /// What a component is with the upcasters that are at work. `described`: what it says about
    /// itself, if that is known; else it is asked. What cannot be loaded stands alone.
    pub(super) async fn identify(
        &self,
        name: &str,
        wasm: &[u8],
        settings: &Settings,
        described: Option<&Description>,
    ) -> Identity {
        let base = version_digest(wasm, settings);
        let lineup = self.upcasters.now();
        if lineup.members.is_empty() {
            return Identity::plain(base, lineup.mark());
        }
        if let Some(description) = described {
            return lineup.identity(base, description);
        }
        match self.host.load(name, wasm, settings).await {
            Ok(plugin) if plugin.kind() != Kind::Upcaster => lineup.identity(base, plugin.description()),
            _ => Identity::plain(base, lineup.mark()),
        }
    }

    /// A component that nobody has deployed, with the upcasters that are at work.
    pub(super) async fn code_of(
        &self,
        name: &str,
        wasm: &[u8],
        settings: &Settings,
    ) -> Result<Code, PluginError> {
        let plugin = self.host.load(name, wasm, settings).await?;
        let base = version_digest(wasm, settings);
        let identity = match plugin.kind() {
            Kind::Upcaster => Identity::plain(base, String::new()),
            Kind::Projection | Kind::Reaction => self.upcasters.now().identity(base, plugin.description()),
        };
        let upcasters = self.upcasters_of(identity.upcast.as_ref()).await?;
        Ok(Code::new(&identity.digest, plugin).upcast_by(upcasters))
    }

    /// The upcasters of a version, be they at work or not.
    pub(super) async fn upcasters_of(
        &self,
        upcast: Option<&UpcastRecord>,
    ) -> Result<Arc<Upcasters>, PluginError> {
        let Some(UpcastRecord { by, .. }) = upcast else { return Ok(Arc::default()) };
        let mut all = Vec::with_capacity(by.len());
        for record in by {
            let lineup = self.upcasters.now();
            let at_work = lineup.members.get(&record.name).map(|member| &member.upcaster);
            all.push(match at_work.filter(|upcaster| upcaster.digest == record.digest) {
                Some(upcaster) => upcaster.clone(),
                None => self.upcaster(record).await?,
            });
        }
        let chained = chain(&all).map_err(|conflict| PluginError::Host {
            plugin: by[0].name.clone(),
            reason: format!("the upcasters of a version do not work together any more: {conflict}"),
        })?;
        Ok(Arc::new(chained))
    }

    /// An upcaster that is kept.
    async fn upcaster(&self, record: &UpcasterRecord) -> Result<Upcaster, PluginError> {
        let failed = |reason: String| PluginError::Host { plugin: record.name.clone(), reason };
        let wasm = self.store.component(&record.component);
        let wasm = wasm.map_err(|error| {
            failed(format!(
                "its component cannot be read ({error}): put {}.wasm into the plug-ins folder again",
                record.name
            ))
        })?;
        let settings = Settings::parse(&record.settings).map_err(|error| failed(error.to_string()))?;
        let plugin = self.host.load(&record.name, &wasm, &settings).await?;
        Ok(Upcaster { plugin, digest: record.digest.clone() })
    }
}
