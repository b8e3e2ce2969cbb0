//! The `projectionist` program. Everything it does is in the library's `cli`.

use std::process::ExitCode;

/// Events are made of many small strings, which one thread allocates and another
/// gives back: appending them takes a fifth longer with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    projectionist::cli::main()
}
