//! Where things are, and cargo.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::step;

/// What components are built for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    }
}

/// The cargo that runs this chore, in the workspace's folder.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(root());
    // `cargo run` told us about our own crate; the next cargo is not to hear of it.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// Whether cargo has this subcommand.
pub(crate) fn has(subcommand: &str) -> bool {
    cargo(subcommand).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Adds the components' target to the toolchain if it is missing.
pub(crate) fn ensure_wasm_target() -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = step::output(Command::new(rustc).args(["--print", "sysroot"]).current_dir(root()))?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(WASM_TARGET).is_dir() {
        return Ok(());
    }
    eprintln!("adding the target {WASM_TARGET}");
    step::run(Command::new("rustup").args(["target", "add", WASM_TARGET]).current_dir(root())).with_context(
        || {
            format!(
                "the Rust target {WASM_TARGET} is missing and rustup could not add it; see https://rustup.rs"
            )
        },
    )
}

/// Builds the program and gives its path.
pub(crate) fn build_program(profile: &str) -> Result<PathBuf> {
    let [program] = build_programs(profile, ["projectionist"])?;
    Ok(program)
}

/// Builds some of the workspace's programs; where they are.
pub(crate) fn build_programs<const N: usize>(profile: &str, names: [&str; N]) -> Result<[PathBuf; N]> {
    let mut build = cargo("build");
    // The whole workspace's features, so that dependencies are compiled once for all programs and the tests.
    build.args(["--workspace", "--profile", profile]);
    for name in names {
        build.args(["--bin", name]);
    }
    let artifacts = crate::components::artifacts(&mut build)?;
    let program = |name: &str| {
        let mut built = artifacts.iter().filter(|artifact| artifact.target == name);
        built.find_map(|artifact| artifact.executable.clone())
    };
    let mut programs = [const { PathBuf::new() }; N];
    for (place, name) in programs.iter_mut().zip(names) {
        *place = program(name).with_context(|| format!("cargo built no program {name:?}"))?;
    }
    Ok(programs)
}
