//! Settings: from the settings file, then the environment, then flags; what
//! comes later wins.
//!
//! This module reads the file. The environment (`PROJECTIONIST_*`) and the
//! flags are clap's: a command takes an `Option` with both, and what neither
//! says comes from here.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    exit::{Exit, Failure},
    logging::Format,
};
use crate::{
    log::LogSettings,
    plugin::{ByteSize, Span},
};

/// The settings file that is read if it is there.
pub const FILE: &str = "projectionist.toml";

/// Where data are kept if nothing else is said.
pub const DATA: &str = "data";

/// Where plug-ins are looked for if nothing else is said.
pub const PLUGINS: &str = "plugins";

/// Where the server listens if nothing else is said.
pub const LISTEN: &str = "127.0.0.1:8080";

/// What the settings file says. Everything may be absent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// The data folder.
    pub data: Option<PathBuf>,
    /// The plug-ins folder.
    pub plugins: Option<PathBuf>,
    /// The address to listen on.
    pub listen: Option<String>,
    /// The server that other commands talk to.
    pub url: Option<String>,
    /// Whether to listen on addresses that others can reach.
    pub allow_unprotected_network: Option<bool>,
    /// How many replays may run at the same time.
    pub replay_threads: Option<usize>,
    /// The largest event that is taken.
    pub max_event_bytes: Option<ByteSize>,
    /// How many events may be appended at once.
    pub max_batch_events: Option<usize>,
    /// How many bytes of events may be appended at once.
    pub max_batch_bytes: Option<ByteSize>,
    /// Whether events of types without a schema are refused.
    pub require_schemas: Option<bool>,
    /// How many bytes of stack a plug-in may use.
    pub guest_stack_bytes: Option<ByteSize>,
    /// How long after it was verified last a projection is verified by itself.
    pub verify_every: Option<Span>,
    /// What to log.
    pub log: Option<String>,
    /// How to log.
    pub log_format: Option<Format>,
}

impl Settings {
    /// Reads a settings file, or `projectionist.toml` if that is there.
    pub fn load(path: Option<&Path>) -> Result<Self, Failure> {
        let text = match (fs::read_to_string(path.unwrap_or(Path::new(FILE))), path) {
            (Ok(text), _) => text,
            (Err(error), None) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            (Err(error), _) => {
                let path = path.unwrap_or(Path::new(FILE)).display();
                return Err(Failure::new(
                    Exit::Usage,
                    format!("the settings file {path} cannot be read: {error}"),
                ));
            }
        };
        let path = path.unwrap_or(Path::new(FILE));
        let settings = Self::parse(&text).map_err(|error| {
            let reason = error.to_string();
            Failure::new(Exit::Usage, format!("the settings file {} is wrong", path.display()))
                .hint(reason.trim_end())
        })?;
        Ok(settings.relative_to(path.parent().unwrap_or(Path::new(""))))
    }

    /// Reads the text of a settings file.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Folders in the file are meant from where the file is.
    fn relative_to(mut self, folder: &Path) -> Self {
        for path in [&mut self.data, &mut self.plugins].into_iter().flatten() {
            *path = folder.join(&*path);
        }
        self
    }

    /// The data folder: the flag or environment variable, the file, the default.
    pub fn data(&self, given: Option<PathBuf>) -> PathBuf {
        given.or_else(|| self.data.clone()).unwrap_or_else(|| DATA.into())
    }

    /// The plug-ins folder, likewise.
    pub fn plugins(&self, given: Option<PathBuf>) -> PathBuf {
        given.or_else(|| self.plugins.clone()).unwrap_or_else(|| PLUGINS.into())
    }

    /// Limits of the log: the file, the defaults.
    pub fn log_settings(&self) -> LogSettings {
        let defaults = LogSettings::default();
        LogSettings {
            max_event_bytes: self.max_event_bytes.map_or(defaults.max_event_bytes, ByteSize::in_memory),
            max_batch_events: self.max_batch_events.unwrap_or(defaults.max_batch_events),
            max_batch_bytes: self.max_batch_bytes.map_or(defaults.max_batch_bytes, ByteSize::in_memory),
            ..defaults
        }
    }

    /// The address to listen on, likewise.
    pub fn listen(&self, given: Option<String>) -> String {
        given.or_else(|| self.listen.clone()).unwrap_or_else(|| LISTEN.into())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn later_wins() {
        let file = Settings::parse("data = \"from-file\"\nlisten = \"127.0.0.1:1\"").unwrap();
        assert_eq!(file.data(Some("from-flag".into())), Path::new("from-flag"));
        assert_eq!(file.data(None), Path::new("from-file"));
        assert_eq!(file.plugins(None), Path::new(PLUGINS));
        assert_eq!(file.listen(None), "127.0.0.1:1");
        assert_eq!(Settings::default().listen(None), LISTEN);
    }

    #[test]
    fn folders_are_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        fs::write(&path, "data = \"here\"\nplugins = \"/there\"\nlog-format = \"json\"").unwrap();
        let settings = Settings::load(Some(&path)).unwrap();
        assert_eq!(settings.data, Some(folder.path().join("here")));
        assert_eq!(settings.plugins, Some("/there".into()));
        assert_eq!(settings.log_format, Some(Format::Json));
    }

    #[test]
    fn mistakes_are_named() {
        expect![[r#"
            TOML parse error at line 2, column 1
              |
            2 | plugin = "x"
              | ^^^^^^
            unknown field `plugin`, expected one of `data`, `plugins`, `listen`, `url`, `allow-unprotected-network`, `replay-threads`, `max-event-bytes`, `max-batch-events`, `max-batch-bytes`, `require-schemas`, `guest-stack-bytes`, `verify-every`, `log`, `log-format`
        "#]]
        .assert_eq(&Settings::parse("data = \"x\"\nplugin = \"x\"").unwrap_err().to_string());
        let missing = Settings::load(Some(Path::new("/no/such/file.toml"))).unwrap_err();
        assert_eq!(missing.exit, Exit::Usage);
        assert!(missing.message.contains("/no/such/file.toml"));
    }
}
