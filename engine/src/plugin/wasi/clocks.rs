//! `wasi:clocks`: for projections clocks that stand still, since an event brings
//! its own times; for reactions the real ones.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynPollable, Pollable,
    bindings::clocks::{
        monotonic_clock::{self, Duration, Instant},
        wall_clock::{self, Datetime},
    },
    subscribe,
};

use crate::{
    clock,
    plugin::{description::Kind, guest::Guest, stop::Stop},
};

impl wall_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        match self.kind {
            Kind::Projection | Kind::Upcaster => Ok(Datetime { seconds: 0, nanoseconds: 0 }),
            Kind::Reaction => {
                let micros = u64::try_from(self.clock.now().as_micros()).unwrap_or(0);
                let nanoseconds = (micros % 1_000_000) as u32 * 1_000;
                Ok(Datetime { seconds: micros / 1_000_000, nanoseconds })
            }
        }
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(Datetime { seconds: 0, nanoseconds: 1 })
    }
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        match self.kind {
            Kind::Projection | Kind::Upcaster => Ok(0),
            Kind::Reaction => Ok(nanoseconds(self.started.elapsed())),
        }
    }

    fn resolution(&mut self) -> wasmtime::Result<Duration> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let now = monotonic_clock::Host::now(self)?;
        self.subscribe_duration(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, duration: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        // The event loops of some languages wait for no time at all.
        if duration > 0 && self.kind != Kind::Reaction {
            return Err(Stop::Timer.into());
        }
        let at = clock::instant().checked_add(std::time::Duration::from_nanos(duration));
        let timer = self.resources.push(Timer(at))?;
        subscribe(&mut self.resources, timer)
    }
}

fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Runs out at this moment; `None`: never, as far as anybody will see.
struct Timer(Option<std::time::Instant>);

#[wasmtime_wasi::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        match self.0 {
            // Who waits for no time at all needs no runtime that keeps it.
            Some(at) if at <= clock::instant() => {}
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    }
}
