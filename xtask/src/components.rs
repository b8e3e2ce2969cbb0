//! Building plug-ins as components.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::{self, WASM_TARGET};

/// Something that cargo has built.
pub(crate) struct Artifact {
    /// The library's or example's name.
    pub(crate) target: String,
    /// The crate's folder.
    pub(crate) folder: PathBuf,
    /// The files, of which some may be components.
    pub(crate) files: Vec<PathBuf>,
    /// The program, if it is one.
    pub(crate) executable: Option<PathBuf>,
}

/// Which crates to build.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Which {
    /// Those for any log, and those for the history of a repository.
    Demo,
    /// Those of `examples/sign-up`.
    SignUp,
    /// Those that ship: `plugins/` and `examples/`.
    Shipped,
    /// Those and the tests' own.
    All,
}

impl Which {
    /// Where they lie.
    fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Demo => &["plugins", "examples/git-history"],
            Self::SignUp => &["examples/sign-up"],
            Self::Shipped => &["plugins", "examples"],
            Self::All => &[
                "plugins",
                "examples",
                "tests/astray",
                "tests/echo",
                "tests/guests",
                "tests/leaky",
                "tests/meter",
                "tests/old-churn",
                "tests/tally",
            ],
        }
    }

    fn has(self, folder: &Path) -> bool {
        self.folders().iter().any(|part| folder.starts_with(workspace::root().join(part)))
    }
}

/// Plug-ins as components, each under its plug-in's name (`file-churn.wasm`).
pub(crate) struct Built {
    /// Where they are; others may lie there too.
    pub(crate) folder: PathBuf,
    /// Those that were asked for.
    pub(crate) names: Vec<String>,
}

/// Builds the workspace's plug-ins and gathers them in `target/components`.
pub(crate) fn build(which: Which) -> Result<Built> {
    workspace::ensure_wasm_target()?;
    let folder = workspace::target().join("components");
    fs::create_dir_all(&folder)?;
    let mut build = workspace::cargo("build");
    build.args(["--profile", "component", "--target", WASM_TARGET]);
    for package in packages(which)? {
        build.args(["--package", &package]);
    }
    if which == Which::All {
        // Of the tests' guests, each is an example.
        build.args(["--lib", "--examples"]);
    }
    let mut names = Vec::new();
    for artifact in artifacts(&mut build)? {
        if !which.has(&artifact.folder) {
            continue;
        }
        for file in artifact.files.iter().filter(|file| file.extension().is_some_and(|e| e == "wasm")) {
            let name = artifact.target.replace('_', "-");
            install(file, &folder.join(format!("{name}.wasm")))?;
            names.push(name);
        }
    }
    Ok(Built { folder, names })
}

/// Copies a component so that a reader sees the old file or the new one, and
/// leaves an equal one as it is.
fn install(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("could not read {}", from.display()))?;
    if fs::read(to).is_ok_and(|existing| existing == bytes) {
        return Ok(());
    }
    let beside = to.with_extension("new");
    fs::write(&beside, bytes)?;
    fs::rename(&beside, to)?;
    Ok(())
}

/// The names of the workspace's crates that are plug-ins.
fn packages(which: Which) -> Result<Vec<String>> {
    let mut metadata = workspace::cargo("metadata");
    metadata.args(["--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&crate::step::output(&mut metadata)?)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let packages = packages.filter(|package| {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let targets = package["targets"].as_array().into_iter().flatten();
        let mut types = targets.flat_map(|target| target["crate_types"].as_array().into_iter().flatten());
        // Beside plug-ins there may be programs that they need.
        manifest.parent().is_some_and(|folder| which.has(folder)) && types.any(|kind| kind == "cdylib")
    });
    Ok(packages.map(|package| text(&package["name"])).collect())
}

/// Runs a `cargo build` and gives what it built (or found up to date).
pub(crate) fn artifacts(build: &mut Command) -> Result<Vec<Artifact>> {
    build.args(["--message-format", "json-render-diagnostics"]).stdout(Stdio::piped());
    let shown = crate::step::shown(build);
    let mut child = build.spawn().with_context(|| format!("could not start: {shown}"))?;
    let stdout = child.stdout.take().expect("standard output is piped");
    let mut artifacts = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let message: Value = serde_json::from_str(&line?).context("cargo's messages are JSON")?;
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        artifacts.push(Artifact {
            target: text(&message["target"]["name"]),
            folder: Path::new(&text(&message["manifest_path"])).parent().unwrap_or(Path::new("")).to_owned(),
            files: message["filenames"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|file| text(file).into())
                .collect(),
            executable: message["executable"].as_str().map(PathBuf::from),
        });
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{status}: {shown}");
    }
    Ok(artifacts)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
