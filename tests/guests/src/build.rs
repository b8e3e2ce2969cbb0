//! Builds the test guests.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The file of a test guest (`spins`). They are built once in each process that
/// asks, unless `PROJECTIONIST_TEST_GUESTS` names the folder that they are in.
///
/// # Panics
/// If they cannot be built or there is none of that name.
pub fn component(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let path = FOLDER.get_or_init(folder).join(format!("{}.wasm", name.replace('-', "_")));
    let path = if path.exists() { path } else { path.with_file_name(format!("{name}.wasm")) };
    assert!(path.exists(), "there is no test guest {}", path.display());
    path
}

/// The bytes of a test guest.
///
/// # Panics
/// As [`component`].
pub fn component_bytes(name: &str) -> Vec<u8> {
    fs::read(component(name)).expect("a component that was just built is readable")
}

fn folder() -> PathBuf {
    if let Some(folder) = env::var_os("PROJECTIONIST_TEST_GUESTS") {
        return folder.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(&root).args(["build", "--quiet", "--package", "projectionist-test-guests"]);
    build.args(["--examples", "--target", "wasm32-wasip2", "--profile", "component"]);
    // What cargo tells a test about its own build is not meant for this one.
    build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let built = build.status().expect("cargo runs, because it runs this test");
    assert!(built.success(), "the test guests cannot be built");
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target));
    target.join("wasm32-wasip2/component/examples")
}
