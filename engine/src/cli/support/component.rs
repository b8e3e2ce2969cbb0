//! A component's file, and the settings beside it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};

use crate::{
    cli::exit::{Exit, Failure},
    fixture::Component,
    plugin::{Host, Settings, description::Kind, version_digest},
    projection::{Upcaster, Upcasters},
};

/// Which upcasters give events their newest shape.
#[derive(Debug, clap::Args)]
pub struct UpcasterFiles {
    /// Give events the shape that this upcaster gives them; can be given several times
    #[arg(long = "upcaster", value_name = "FILE.wasm")]
    files: Vec<PathBuf>,
}

impl UpcasterFiles {
    /// Loads them.
    pub async fn load(&self, host: &Host) -> Result<Arc<Upcasters>> {
        let mut all = Upcasters::default();
        for file in &self.files {
            let (name, wasm, settings) = read_parsed(file)?;
            let wrong = |reason: String| Failure::new(Exit::Input, format!("{}: {reason}", file.display()));
            let plugin =
                host.load(&name, &wasm, &settings).await.map_err(|error| wrong(error.to_string()))?;
            if plugin.kind() != Kind::Upcaster {
                return Err(wrong(format!("it is a {}, and no upcaster", plugin.kind())).into());
            }
            let digest = version_digest(&wasm, &settings);
            all = all.with(Upcaster { plugin, digest }).map_err(|conflict| wrong(conflict.to_string()))?;
        }
        Ok(Arc::new(all))
    }
}

/// A component, and the text of the settings beside it.
pub fn read(path: &Path) -> Result<(Vec<u8>, Option<String>), Failure> {
    let unreadable = |path: &Path, error: std::io::Error| {
        Failure::new(Exit::Input, format!("{} cannot be read: {error}", path.display()))
    };
    let wasm = std::fs::read(path).map_err(|error| unreadable(path, error))?;
    let beside = path.with_extension("toml");
    match std::fs::read_to_string(&beside) {
        Ok(text) => Ok((wasm, Some(text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok((wasm, None)),
        Err(error) => Err(unreadable(&beside, error)),
    }
}

/// A component's name and bytes, and the settings beside it.
pub fn read_parsed(path: &Path) -> Result<(String, Vec<u8>, Settings)> {
    let (wasm, text) = read(path)?;
    let settings = match text {
        Some(text) => {
            Settings::parse(&text).with_context(|| path.with_extension("toml").display().to_string())?
        }
        None => Settings::default(),
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, wasm, settings))
}

/// A plug-in that fixtures can be played with; `name`: instead of the file's.
pub async fn load(path: &Path, name: Option<String>, upcasters: &UpcasterFiles) -> Result<Component> {
    let (stem, wasm, settings) = read_parsed(path)?;
    let component = Component::load(&name.unwrap_or(stem), wasm, settings).await;
    let component = component.map_err(|error| Failure::new(Exit::Input, error.to_string()))?;
    if component.plugin().kind() == Kind::Upcaster {
        let message = format!("{} is an upcaster: it folds nothing by itself", path.display());
        let hint = "give it with --upcaster beside a plug-in that folds";
        return Err(Failure::new(Exit::Input, message).hint(hint).into());
    }
    let upcasters = upcasters.load(component.host()).await?;
    Ok(component.upcast_by(upcasters))
}
