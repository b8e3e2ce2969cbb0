//! `build`: a plug-in crate, compiled into the plug-ins folder.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::json;

use super::{
    Context,
    exit::{Exit, Failure},
    support::{
        output::{Output, note, readable_by_all},
        text,
    },
};
use crate::clock;

mod sources;

/// What components are compiled for.
const TARGET: &str = "wasm32-wasip2";

/// WebAssembly's vector instructions give the same results everywhere, and
/// parsing JSON is much faster with them.
const FLAGS: &str = r#"target.wasm32-wasip2.rustflags=["-Ctarget-feature=+simd128"]"#;

/// How often `--watch` looks.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Build again whenever the sources change
    #[arg(long)]
    watch: bool,
    /// The plug-ins folder [default: plugins]
    #[arg(long, env = "PROJECTIONIST_PLUGINS", value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// The crate's Cargo.toml [default: the one in this folder or above it]
    #[arg(long, value_name = "FILE")]
    manifest_path: Option<PathBuf>,
    /// The package, where the manifest is that of a workspace
    #[arg(long, short, value_name = "NAME")]
    package: Option<String>,
    /// The cargo profile to build with
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let plugins = context.settings.plugins(args.plugins.clone());
    ensure_target(args.manifest_path.as_deref())?;
    let build = Build { args, plugins };
    if !build.args.watch {
        return build.once(&mut context.output);
    }
    let mut seen = None;
    loop {
        let now = sources::state(build.args.manifest_path.as_deref())?;
        if seen.as_ref() != Some(&now) {
            if let Err(error) = build.once(&mut context.output) {
                if super::exit::exit_of(&error) == Exit::Usage {
                    return Err(error);
                }
                note(format!("error: {error:#}"));
            }
            context.output.flush()?;
            note("watching the sources; ctrl-c ends it");
            seen = Some(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

struct Build {
    args: Args,
    plugins: PathBuf,
}

/// One line of what cargo says in JSON.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact {
        manifest_path: PathBuf,
        filenames: Vec<PathBuf>,
    },
    #[serde(other)]
    Other,
}

impl Build {
    fn once(&self, output: &mut Output) -> Result<()> {
        let started = clock::instant();
        let components = self.compile()?;
        if components.is_empty() {
            let failure = Failure::new(Exit::Input, "the build made no component");
            return Err(failure
                .hint("a plug-in's Cargo.toml says: [lib] crate-type = [\"cdylib\", \"rlib\"]")
                .into());
        }
        fs::create_dir_all(&self.plugins)
            .with_context(|| format!("the plug-ins folder {} cannot be created", self.plugins.display()))?;
        for component in components {
            let file = self.plugins.join(format!("{}.wasm", component.package));
            let size = place(&component.path, &file)
                .with_context(|| format!("{} cannot be written", file.display()))?;
            if output.is_json() {
                output.json(&json!({"plugin": component.package, "file": file, "size": size}))?;
            } else {
                let took = text::duration(started.elapsed());
                output.line(format!("built {} ({}) in {took}", file.display(), text::bytes(size)))?;
            }
        }
        Ok(())
    }

    /// Has cargo build, and gives what came out.
    fn compile(&self) -> Result<Vec<Component>> {
        let mut command = cargo();
        command.args(["build", "--target", TARGET, "--profile", &self.args.profile, "--config", FLAGS]);
        command.args(["--lib", "--message-format", "json-render-diagnostics"]);
        if let Some(path) = &self.args.manifest_path {
            command.arg("--manifest-path").arg(path);
        }
        if let Some(package) = &self.args.package {
            command.args(["--package", package]);
        }
        let mut cargo = command.stdout(Stdio::piped()).spawn().map_err(|error| no_cargo(&error))?;
        let mut components = Vec::new();
        for line in cargo.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
            let Ok(Message::CompilerArtifact { manifest_path, filenames }) = serde_json::from_str(&line?)
            else {
                continue;
            };
            for path in filenames.into_iter().filter(|path| path.extension().is_some_and(|end| end == "wasm"))
            {
                components.push(Component { package: package_name(&manifest_path)?, path });
            }
        }
        if !cargo.wait()?.success() {
            bail!("cargo could not build it; see above");
        }
        Ok(components)
    }
}

struct Component {
    package: String,
    path: PathBuf,
}

/// Puts a component into the plug-ins folder in one step, so that a server
/// never sees half of it.
fn place(component: &Path, file: &Path) -> Result<u64> {
    let bytes = fs::read(component)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    // A hidden name without `.wasm`, which the server does not look at.
    let mut temporary = tempfile::Builder::new().prefix(".building-").tempfile_in(folder)?;
    std::io::Write::write_all(&mut temporary, &bytes)?;
    readable_by_all(temporary.as_file())?;
    temporary.persist(file)?;
    Ok(bytes.len() as u64)
}

fn package_name(manifest: &Path) -> Result<String> {
    let manifest: toml::Table = toml::from_str(&fs::read_to_string(manifest)?)?;
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    Ok(name.context("cargo built a package without a name")?.to_owned())
}

/// The cargo that runs us, or else the one on the path.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn no_cargo(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cargo could not be started: {error}"))
        .hint("install Rust from https://rustup.rs")
}

/// Sees that the standard library for components is there; rustup can add it.
fn ensure_target(manifest: Option<&Path>) -> Result<()> {
    // The folder decides about the toolchain (rust-toolchain.toml).
    let folder = manifest.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let rustc = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(folder)
        .output();
    let installed = rustc.is_ok_and(|output| {
        output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    });
    if installed {
        return Ok(());
    }
    note(format!("adding the target {TARGET} to the Rust toolchain"));
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(folder)
        .stdout(Stdio::null())
        .status();
    match added {
        Ok(status) if status.success() => Ok(()),
        _ => {
            let failure = Failure::new(Exit::Failed, format!("the Rust toolchain lacks the target {TARGET}"));
            Err(failure.hint(format!("add it: rustup target add {TARGET}")).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_placed_in_one_step_over_an_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a_b.wasm"), folder.path().join("plugins"));
        fs::create_dir(&to).unwrap();
        for content in ["old", "newer"] {
            fs::write(&from, content).unwrap();
            assert_eq!(place(&from, &to.join("a-b.wasm")).unwrap(), content.len() as u64);
            assert_eq!(fs::read_to_string(to.join("a-b.wasm")).unwrap(), content);
        }
        assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
    }
}
