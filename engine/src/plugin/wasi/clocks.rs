//! `wasi:clocks`: clocks that stand still. An event brings its own times.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynPollable, Pollable,
    bindings::clocks::{
        monotonic_clock::{self, Duration, Instant},
        wall_clock::{self, Datetime},
    },
    subscribe,
};

use crate::plugin::{guest::Guest, stop::Stop};

impl wall_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        Ok(Datetime { seconds: 0, nanoseconds: 0 })
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(Datetime { seconds: 0, nanoseconds: 1 })
    }
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        Ok(0)
    }

    fn resolution(&mut self) -> wasmtime::Result<Duration> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_duration(when)
    }

    fn subscribe_duration(&mut self, duration: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        // The event loops of some languages wait for no time at all.
        if duration > 0 {
            return Err(Stop::Timer.into());
        }
        let past = self.resources.push(Past)?;
        subscribe(&mut self.resources, past)
    }
}

/// A timer that has run out.
struct Past;

#[wasmtime_wasi::async_trait]
impl Pollable for Past {
    async fn ready(&mut self) {}
}
