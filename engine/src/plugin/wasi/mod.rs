//! What a guest finds of WASI: a projection nothing that differs from run to run;
//! a reaction, which is not replayed, also the time and random numbers.
//!
//! - `clocks.rs`: clocks that stand still; timers stop a projection.
//! - `files.rs`: no directories, so nothing can be opened.
//! - `random.rs`: constant seeds; random bytes while folding stop a projection.
//! - `http.rs`: HTTP for reactions.
//! - `refused.rs`: sockets, and HTTP for projections: they link but stop the plug-in
//!   when called.
//!
//! Streams, environment, exit and what can be done with open files come from
//! `wasmtime-wasi` as they are: with the context of `guest.rs` they reach
//! nothing outside.

mod clocks;
mod files;
mod http;
mod random;
mod refused;

pub(super) use http::{Calls, add_http_to_linker};
pub(super) use refused::{is_refused, refuse};
use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{
    WasiView as _,
    cli::{WasiCli, WasiCliView as _},
    filesystem::{WasiFilesystem, WasiFilesystemView as _},
    p2::bindings as wasi,
};

use super::guest::Guest;

/// The packages of WASI 0.2 that a guest may import.
pub(super) const PACKAGES: [&str; 5] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random"];

struct Streams;

impl HasData for Streams {
    type Data<'a> = &'a mut ResourceTable;
}

/// Gives guests their WASI.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasi::io::error::add_to_linker::<Guest, Streams>(linker, |guest| guest.ctx().table)?;
    wasi::io::poll::add_to_linker::<Guest, Streams>(linker, |guest| guest.ctx().table)?;
    wasi::io::streams::add_to_linker::<Guest, Streams>(linker, |guest| guest.ctx().table)?;

    wasi::clocks::wall_clock::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wasi::clocks::monotonic_clock::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wasi::random::random::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wasi::random::insecure::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wasi::random::insecure_seed::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;

    wasi::cli::exit::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    wasi::cli::environment::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    wasi::cli::stdin::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    wasi::cli::stdout::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    wasi::cli::stderr::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    wasi::cli::terminal_input::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    wasi::cli::terminal_output::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    wasi::cli::terminal_stdin::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    wasi::cli::terminal_stdout::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    wasi::cli::terminal_stderr::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;

    wasi::filesystem::preopens::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    wasi::filesystem::types::add_to_linker::<Guest, WasiFilesystem>(linker, Guest::filesystem)
}
