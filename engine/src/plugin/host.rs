//! The host: one engine for all plug-ins, and the loading of components.

use std::{num::NonZero, path::PathBuf, sync::Arc, thread};

use tokio::{runtime, sync::Semaphore};
use wasmtime::{
    Config, Engine, OptLevel, WasmFeatures,
    component::{Component, HasSelf, Linker},
};

use super::{
    bindings::{self, plugin_interface, reaction_interface, upcaster_interface},
    cache::Cache,
    code::{Code, Codes, Work},
    component::Plugin,
    description::Kind,
    error::PluginError,
    guest::{Guest, TICK},
    inspect,
    settings::Settings,
    wasi,
};
use crate::clock::Clock;

/// What a host is set up with.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Where compiled components are kept; none: nowhere.
    pub cache_dir: Option<PathBuf>,
    /// Bytes of native stack that a guest may use.
    pub max_stack: usize,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self { cache_dir: None, max_stack: 1 << 20 }
    }
}

/// Runs plug-ins. Cheap to clone.
#[derive(Clone)]
pub struct Host(Arc<Shared>);

struct Shared {
    engine: Engine,
    linker: Linker<Guest>,
    cache: Option<Cache>,
    codes: Codes,
    /// To make code. As many as there are processors keep these busy; more at
    /// once would be no sooner done, but hold more memory.
    turns: Arc<Semaphore>,
}

impl Host {
    /// A host, and the thread that keeps its time.
    pub fn new(settings: HostSettings) -> Result<Self, PluginError> {
        let failed = |error: wasmtime::Error| PluginError::Host {
            plugin: "all plug-ins".to_owned(),
            reason: format!("{error:#}"),
        };
        let engine = Engine::new(&config(settings.max_stack)).map_err(failed)?;
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker).map_err(failed)?;
        bindings::state::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)
            .map_err(failed)?;
        keep_time(&engine).map_err(|error| failed(error.into()))?;
        let cache = settings.cache_dir.map(|folder| Cache::new(&folder, &engine));
        let turns = Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, NonZero::get)));
        Ok(Self(Arc::new(Shared { engine, linker, cache, codes: Codes::default(), turns })))
    }

    /// Deletes the compiled code of a component that no version uses any more,
    /// by the digest of its bytes.
    pub fn forget_code(&self, component: &str) {
        if let Some(cache) = &self.0.cache {
            cache.forget(component);
        }
    }

    /// Deletes compiled code that has not been used for long. To be called when
    /// all that is in use has been loaded.
    pub fn forget_unused_code(&self) {
        if let Some(cache) = &self.0.cache {
            cache.remove_unused();
        }
    }

    /// Compiles a component (or takes it from the cache, or shares it with the
    /// plug-ins that have been loaded from the same bytes), checks that it fits
    /// and asks it to describe itself.
    pub async fn load(
        &self,
        name: &str,
        wasm: &[u8],
        settings: &Settings,
    ) -> Result<Arc<Plugin>, PluginError> {
        self.load_with_clock(name, wasm, settings, Clock::default()).await
    }

    /// The same, where it is another time than the machine's.
    pub async fn load_with_clock(
        &self,
        name: &str,
        wasm: &[u8],
        settings: &Settings,
        clock: Clock,
    ) -> Result<Arc<Plugin>, PluginError> {
        inspect::check_form(wasm)
            .map_err(|reason| PluginError::NotAComponent { plugin: name.to_owned(), reason })?;
        let code = self.code(name, wasm).await?;
        Ok(Arc::new(Plugin::describe(name.into(), code, settings.clone(), clock).await?))
    }

    async fn code(&self, name: &str, wasm: &[u8]) -> Result<Arc<Code>, PluginError> {
        let failed = |reason| PluginError::Host { plugin: name.to_owned(), reason };
        let digest = blake3::hash(wasm);
        let mut place = self.0.codes.place(digest).await;
        if let Some(code) = place.upgrade() {
            return Ok(code);
        }
        let (shared, plugin, wasm) = (self.0.clone(), name.to_owned(), wasm.to_vec());
        let mut make = move || {
            let code = Arc::new(shared.prepare(&plugin, digest, &wasm)?);
            *place = Arc::downgrade(&code);
            Ok(code)
        };
        let Ok(runtime) = runtime::Handle::try_current() else { return make() };
        let turn = self.0.turns.clone().acquire_owned().await.map_err(|error| failed(error.to_string()))?;
        let making = runtime.spawn_blocking(move || {
            let _turn = turn;
            make()
        });
        making.await.unwrap_or_else(|error| Err(failed(format!("the compiler gave up: {error}"))))
    }
}

impl Shared {
    fn prepare(&self, name: &str, digest: blake3::Hash, wasm: &[u8]) -> Result<Code, PluginError> {
        let unfit = |reason| PluginError::Unfit { plugin: name.to_owned(), reason };
        let compiled = match &self.cache {
            Some(cache) => cache.get(&self.engine, digest, wasm),
            None => Component::from_binary(&self.engine, wasm),
        };
        let component = compiled.map_err(|error| PluginError::NotAComponent {
            plugin: name.to_owned(),
            reason: inspect::explain(wasm, &error),
        })?;
        let kind = inspect::check_fit(&self.engine, &component).map_err(unfit)?;
        let mut linker = self.linker.clone();
        let linked = wasi::refuse(&self.engine, kind, &mut linker, &component).and_then(|()| {
            if kind == Kind::Reaction {
                wasi::add_http_to_linker(&mut linker)?;
            }
            let pre = linker.instantiate_pre(&component)?;
            let plugin = plugin_interface::GuestIndices::new(&pre)?;
            let work = match kind {
                Kind::Projection => {
                    let apply = inspect::export(&component, "projection", "apply");
                    Work::Projection(
                        apply.ok_or_else(|| wasmtime::format_err!("there is no function apply"))?,
                    )
                }
                Kind::Reaction => Work::Reaction(reaction_interface::GuestIndices::new(&pre)?),
                Kind::Upcaster => Work::Upcaster(upcaster_interface::GuestIndices::new(&pre)?),
            };
            Ok((pre, plugin, work))
        });
        let (pre, plugin, work) =
            linked.map_err(|error| unfit(format!("its imports and exports have other types: {error:#}")))?;
        let needs_start = inspect::imports(&self.engine, &component, "wasi:random/random");
        Ok(Code { pre, plugin, work, needs_start })
    }
}

fn config(max_stack: usize) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.cranelift_opt_level(OptLevel::Speed);
    config.epoch_interruption(true);
    // What the guest leaves of its stack belongs to the host functions it calls.
    config.max_wasm_stack(max_stack).async_stack_size(max_stack + (1 << 20));
    config.memory_init_cow(true);
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(20));
    // The same result on every machine.
    config.cranelift_nan_canonicalization(true);
    config.wasm_simd(true).wasm_relaxed_simd(true).relaxed_simd_deterministic(true);
    for refused in [
        WasmFeatures::THREADS,
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        WasmFeatures::MEMORY64,
        WasmFeatures::MULTI_MEMORY,
        WasmFeatures::CUSTOM_PAGE_SIZES,
        WasmFeatures::STACK_SWITCHING,
    ] {
        config.wasm_features(refused, false);
    }
    config
}

/// Moves the epoch on, for as long as the engine is in use.
fn keep_time(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    thread::Builder::new().name("epoch".to_owned()).spawn(tick)?;
    Ok(())
}
