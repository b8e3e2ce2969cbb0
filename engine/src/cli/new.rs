//! `new`: a plug-in crate, ready to build and test.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{
    Context,
    exit::{Exit, Failure},
};

/// Create a plug-in crate, ready to build and test
///
/// The folder gets the plug-in's name; what stands before the last slash is where to create it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plug-in's name, lower-case: `balances`, `plugins/order-totals`
    name: PathBuf,
    /// Use the SDK in this folder [default: the one beside the program's own sources, or the published one]
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

/// The files of a new crate: where they go, and what is in them.
const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.txt")),
    ("src/lib.rs", include_str!("template/lib.rs.txt")),
    ("README.md", include_str!("template/README.md.txt")),
    (".gitignore", "/target\n"),
];

/// What a crate that is no member of a workspace says about it.
const STANDALONE: &str = include_str!("template/standalone.toml.txt");

/// Where the SDK is when the program was built from a checkout.
const CHECKOUT_SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk");

/// Runs the command.
pub async fn run(args: Args, context: &mut Context) -> Result<()> {
    let name = args.name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    check_name(name)?;
    let folder = std::path::absolute(&args.name)?;
    if folder.exists() {
        let failure = Failure::new(Exit::Input, format!("{} is already there", args.name.display()));
        return Err(failure.hint("choose another name, or remove it").into());
    }
    let workspace = workspace_of(&folder);
    let replacements = Replacements {
        name,
        sdk: sdk_dependency(args.sdk.as_deref())?,
        standalone: if workspace.is_none() { STANDALONE } else { "" },
    };
    for (path, template) in FILES {
        let write = || -> io::Result<()> {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&folder))?;
            fs::write(path, replacements.apply(template))
        };
        write().with_context(|| format!("{} cannot be written", args.name.join(path).display()))?;
    }
    if context.output.is_json() {
        let files: Vec<_> = FILES.iter().map(|(path, _)| folder.join(path)).collect();
        context.output.json(&json!({"name": name, "folder": folder, "files": files}))?;
        return Ok(());
    }
    let shown = args.name.display();
    context.output.line(format!("created the plug-in {name} in {shown}"))?;
    if let Some(workspace) = workspace {
        context.output.line(format!("it is a member of the workspace {}", workspace.display()))?;
    }
    context.output.text(format!(
        "\n  cd {shown}\n  cargo test                  # fold given events, no server and no wasm needed\n  \
         projectionist build         # into the plug-ins folder, where a server picks it up\n"
    ))?;
    Ok(())
}

struct Replacements<'a> {
    name: &'a str,
    sdk: String,
    standalone: &'a str,
}

impl Replacements<'_> {
    fn apply(&self, template: &str) -> String {
        template
            .replace("{{standalone}}", self.standalone)
            .replace("{{name}}", self.name)
            .replace("{{type}}", &type_name(self.name))
            .replace("{{sdk}}", &self.sdk)
    }
}

/// A name serves as package, file and URL, so it is held to what all take.
fn check_name(name: &str) -> Result<(), Failure> {
    let wrong = |reason: &str| {
        Err(Failure::new(Exit::Usage, format!("\"{name}\" cannot be a plug-in's name: {reason}"))
            .hint("use lower-case letters, digits and hyphens, like order-totals"))
    };
    const RESERVED: [&str; 9] =
        ["test", "core", "std", "alloc", "proc-macro", "build", "deps", "examples", "serde"];
    match name {
        "" => wrong("it is empty"),
        _ if name.len() > 64 => wrong("it is longer than 64 characters"),
        _ if !name.starts_with(|c: char| c.is_ascii_lowercase()) => {
            wrong("it does not begin with a lower-case letter")
        }
        _ if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') => {
            wrong("it has other characters")
        }
        _ if name.ends_with('-') || name.contains("--") => wrong("a hyphen stands between two characters"),
        _ if RESERVED.contains(&name) || is_keyword(name) => wrong("Rust or cargo uses it otherwise"),
        _ if name.starts_with("projectionist-sdk") => wrong("the SDK is called so"),
        _ => Ok(()),
    }
}

fn is_keyword(name: &str) -> bool {
    const KEYWORDS: &str = " abstract as async await become box break const continue crate do dyn else enum extern \
        false final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static \
        struct super trait true try type typeof unsafe unsized use virtual where while yield ";
    KEYWORDS.contains(&format!(" {name} "))
}

/// `order-totals` → `OrderTotals`. Types that the template uses keep theirs.
fn type_name(name: &str) -> String {
    const USED: &str = " Activity Date Default Deserialize Event Harness Index Projection QueryError Ref Rows Self \
        Serialize String Table Timestamp Value Vec ";
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let name: String = name.split('-').filter(|word| !word.is_empty()).map(capital).collect();
    if USED.contains(&format!(" {name} ")) { name + "Projection" } else { name }
}

/// The SDK as a dependency: the given folder, the checkout that the program
/// was built from if that still exists, or the published crate.
fn sdk_dependency(given: Option<&Path>) -> Result<String, Failure> {
    let path = match given {
        Some(path) if !path.join("Cargo.toml").is_file() => {
            let failure = Failure::new(Exit::Usage, format!("{} is no crate", path.display()));
            return Err(failure.hint("--sdk takes the folder guest-sdk of a checkout of Projectionist"));
        }
        Some(path) => Some(path),
        None => Some(Path::new(CHECKOUT_SDK)).filter(|path| path.join("Cargo.toml").is_file()),
    };
    let path = path.and_then(|path| path.canonicalize().ok());
    Ok(match path {
        // A TOML string is a JSON string.
        Some(path) => format!("{{ path = {} }}", json!(path)),
        None => json!(env!("CARGO_PKG_VERSION")).to_string(),
    })
}

/// The workspace that a new crate in a folder belongs to, if there is one
/// around it whose members it would be among.
fn workspace_of(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().skip(1).find_map(|root| {
        let manifest: toml::Table =
            toml::from_str(&fs::read_to_string(root.join("Cargo.toml")).ok()?).ok()?;
        let workspace = manifest.get("workspace")?;
        let relative = folder.strip_prefix(root).ok()?;
        let listed = |list: &str| {
            let patterns = workspace.get(list).and_then(toml::Value::as_array);
            patterns
                .into_iter()
                .flatten()
                .filter_map(toml::Value::as_str)
                .any(|pattern| covers(pattern, relative))
        };
        // The nearest workspace decides, as it does for cargo.
        Some((listed("members") && !listed("exclude")).then(|| root.to_owned()))
    })?
}

/// Whether a pattern of `members` (`plugins/*`) covers a folder.
fn covers(pattern: &str, folder: &Path) -> bool {
    let pattern = Path::new(pattern);
    pattern.components().count() == folder.components().count()
        && pattern.components().zip(folder.components()).all(|(pattern, part)| {
            match (pattern.as_os_str().to_str(), part.as_os_str().to_str()) {
                (Some(pattern), Some(part)) => match pattern.split_once('*') {
                    Some((start, end)) => part.starts_with(start) && part.ends_with(end),
                    None => pattern == part,
                },
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["balances", "order-totals", "a1", "top-10"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "Balances",
            "1st",
            "a_b",
            "a b",
            "-a",
            "a-",
            "a--b",
            "match",
            "test",
            "projectionist-sdk",
            "é",
        ] {
            let failure = check_name(name).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{name}");
        }
        assert_eq!(type_name("order-totals-2"), "OrderTotals2");
        assert_eq!(type_name("event"), "EventProjection");
    }

    #[test]
    fn workspaces() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(workspace_of(&root.join("a")), None);
        fs::write(
            root.join("Cargo.toml"),
            "[workspace]\nmembers = [\"engine\", \"plugins/*\"]\nexclude = [\"plugins/old\"]",
        )
        .unwrap();
        assert_eq!(workspace_of(&root.join("plugins/a")), Some(root.to_owned()));
        assert_eq!(workspace_of(&root.join("plugins/old")), None);
        assert_eq!(workspace_of(&root.join("elsewhere/a")), None);
        assert_eq!(workspace_of(&root.join("plugins/a/b")), None);
    }

    #[test]
    fn the_sdk() {
        assert!(sdk_dependency(Some(Path::new("/no/such"))).is_err());
        assert!(sdk_dependency(None).unwrap().contains("guest-sdk"));
    }
}
