//! What the host keeps for one instance.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, Store, UpdateDeadline, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;

use super::{
    description::Kind,
    output::{Output, Printer, Stream},
    settings::{Limits, Settings},
    state::StateReader,
    stop::Stop,
    units::{format_duration, format_size},
    wasi::Calls,
};
use crate::{
    clock::{self, Clock},
    event::Partition,
};

/// How often the epoch moves on, and so how finely time is measured.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// What one call hands over to the host beside what it flushes.
const HANDED_OVER: usize = 64 << 20;

/// How many things of the host an instance may hold at once.
pub(super) const MOST_RESOURCES: usize = 50_000;

/// The data of a store.
pub(super) struct Guest {
    pub(super) plugin: Arc<str>,
    pub(super) kind: Kind,
    pub(super) started: Instant,
    /// What time it is for a reaction.
    pub(super) clock: Clock,
    pub(super) meter: Meter,
    pub(super) state: Arc<dyn StateReader>,
    /// How many tables it has.
    pub(super) tables: usize,
    /// Random bytes are constant while it starts, and refused afterwards.
    pub(super) starting: bool,
    /// How many random numbers it has drawn while starting.
    pub(super) drawn: u64,
    /// It has looked for directories, of which there are none.
    pub(super) wanted_files: bool,
    pub(super) printer: Printer,
    pub(super) resources: ResourceTable,
    wasi: WasiCtx,
    pub(super) http: WasiHttpCtx,
    /// Who makes its calls.
    pub(super) calls: Calls,
}

impl Guest {
    /// A store for a new instance.
    pub(super) fn store(
        engine: &wasmtime::Engine,
        (kind, plugin): (Kind, &Arc<str>),
        settings: &Settings,
        output: &Output,
        tables: usize,
        (state, partition): (Arc<dyn StateReader>, Partition),
        clock: &Clock,
    ) -> Store<Guest> {
        let printer = Printer::new(plugin.clone(), output.clone());
        let wasi = WasiCtx::builder()
            .stdout(printer.stream(Stream::Stdout))
            .stderr(printer.stream(Stream::Stderr))
            .envs(&settings.environment(partition))
            .build();
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(MOST_RESOURCES);
        let guest = Guest {
            plugin: plugin.clone(),
            kind,
            started: clock::instant(),
            clock: clock.clone(),
            meter: Meter { limits: settings.limits.clone(), memory: 0, ticks: 0, refusal: None },
            state,
            tables,
            starting: true,
            drawn: 0,
            wanted_files: false,
            printer,
            resources,
            wasi,
            http: WasiHttpCtx::new(),
            calls: Calls::default(),
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.meter);
        store.set_max_component_handles(1000);
        store.epoch_deadline_callback(|mut context| {
            context.data_mut().meter.tick()?;
            // Others may run now; this instance goes on when its turn comes.
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }
}

/// A call begins: it has all its time before it.
pub(super) fn begin(store: &mut Store<Guest>, flushing: bool) {
    let guest = store.data_mut();
    guest.meter.ticks = 0;
    guest.meter.refusal = None;
    guest.printer.begin();
    // Guards against changes that are many but point at the same few bytes: what
    // the host copies is limited before it is allocated.
    let fuel = match flushing {
        true => 2 * guest.meter.limits.flush as usize,
        false => HANDED_OVER,
    };
    store.set_hostcall_fuel(fuel);
    store.set_epoch_deadline(1);
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.resources }
    }
}

/// What an instance uses of its limits.
pub(super) struct Meter {
    pub(super) limits: Limits,
    /// Bytes of all its memories.
    pub(super) memory: usize,
    /// Ticks that the current call has computed for.
    ticks: u32,
    /// What the current call was refused; if it traps, this is why.
    pub(super) refusal: Option<String>,
}

impl Meter {
    fn tick(&mut self) -> Result<(), Stop> {
        self.ticks += 1;
        match TICK * self.ticks > self.limits.cpu {
            true => Err(Stop::Cpu { limit: self.limits.cpu }),
            false => Ok(()),
        }
    }

    pub(super) fn cpu_refusal(limit: Duration) -> String {
        format!("used more than {} of CPU in one call (limits.cpu)", format_duration(limit))
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let memory = self.memory + (desired - current);
        if memory as u64 > self.limits.memory {
            let limit = format_size(self.limits.memory);
            self.refusal = Some(format!("needs more than {limit} of memory (limits.memory)"));
            return Ok(false);
        }
        self.memory = memory;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refusal.get_or_insert_with(|| format!("needs memory that it cannot have: {error}"));
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.limits.table_elements;
        if desired > limit {
            self.refusal = Some(format!("needs more than {limit} table elements (limits.table-elements)"));
        }
        Ok(desired <= limit)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.instances
    }

    fn memories(&self) -> usize {
        self.limits.instances
    }
}
