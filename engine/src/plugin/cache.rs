//! Compiled components on disk, so that a restart compiles nothing.
//!
//! An entry is named by the digest of the component and by a fingerprint of
//! what compiled it: the version of wasmtime, its settings, the processor. It
//! ends with a digest of itself, because loading damaged machine code would be
//! undefined behaviour. A bad entry is compiled again. When an entry was last
//! used is its file's time; `cache/tidy.rs` removes what is not needed.

mod tidy;

use std::{
    fs,
    hash::{Hash, Hasher},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use wasmtime::{Engine, component::Component};

use crate::clock;

/// The folder of compiled components.
pub(super) struct Cache {
    folder: PathBuf,
    fingerprint: String,
}

impl Cache {
    /// The cache in a folder, which is created when there is something to keep.
    pub(super) fn new(folder: &Path, engine: &Engine) -> Self {
        let mut hasher = Fingerprint(blake3::Hasher::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let fingerprint = hasher.0.finalize().to_hex()[..16].to_owned();
        let folder = folder.join("components");
        tidy::remove_foreign(&folder, &fingerprint, clock::now());
        Self { folder, fingerprint }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{}.{}", self.fingerprint, tidy::ENDING))
    }

    /// Removes the code of a component, by its digest.
    pub(super) fn forget(&self, digest: &str) {
        tidy::remove(&self.path(digest));
    }

    /// Removes what has not been used for long. To be called when all that is
    /// in use has been loaded.
    pub(super) fn remove_unused(&self) {
        tidy::remove_unused(&self.folder, clock::now());
    }

    /// A component compiled, from disk if it is there; `digest` is that of its bytes.
    pub(super) fn get(
        &self,
        engine: &Engine,
        digest: blake3::Hash,
        wasm: &[u8],
    ) -> wasmtime::Result<Component> {
        let path = self.path(&digest.to_hex());
        match load(engine, &path) {
            Ok(Some(component)) => {
                tidy::touch(&path, clock::now());
                return Ok(component);
            }
            Ok(None) => {}
            Err(reason) => {
                tracing::warn!("the cached code {} is {reason}: compiling it again", path.display());
            }
        }
        let component = Component::from_binary(engine, wasm)?;
        if let Err(error) = self.keep(&component, &path) {
            // It works without, only slower the next time.
            tracing::warn!("cannot keep compiled code in {}: {error}", path.display());
        }
        Ok(component)
    }

    /// Writes an entry beside its place and then renames it, so that nobody
    /// finds half of one.
    fn keep(&self, component: &Component, path: &Path) -> io::Result<()> {
        let code = component.serialize().map_err(|error| io::Error::other(error.to_string()))?;
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&code)?;
        file.write_all(blake3::hash(&code).as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        tidy::bound(&self.folder);
        Ok(())
    }
}

/// Loads an entry; none if there is none, and what is wrong with it otherwise.
fn load(engine: &Engine, path: &Path) -> Result<Option<Component>, String> {
    let entry = match fs::read(path) {
        Ok(entry) => entry,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("unreadable ({error})")),
    };
    let (code, digest) = entry.split_last_chunk::<32>().ok_or("truncated")?;
    if blake3::hash(code).as_bytes() != digest {
        return Err("damaged".to_owned());
    }
    // SAFETY: the digest at its end shows that these bytes are what `keep` wrote,
    // and `keep` writes nothing but the output of `Component::serialize`. Whoever
    // can forge an entry in the data folder can change the state itself as well.
    #[allow(unsafe_code, reason = "compiled code cannot be loaded otherwise")]
    let component = unsafe { Component::deserialize(engine, code) };
    component.map(Some).map_err(|error| format!("foreign ({error})"))
}

/// A `Hasher` that stays the same from one release of Rust to the next.
struct Fingerprint(blake3::Hasher);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.finalize();
        digest.as_bytes()[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}
