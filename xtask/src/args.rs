//! A chore's command line: flags, options and words, each taken by name.

use std::{path::PathBuf, str::FromStr};

use anyhow::{Result, anyhow, bail};

/// What is left of the command line.
pub(crate) struct Args(Vec<String>);

impl Args {
    pub(crate) fn new(arguments: Vec<String>) -> Self {
        Self(arguments)
    }

    /// Takes `--name`.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|argument| argument != name);
        self.0.len() < before
    }

    /// Takes `--name VALUE` or `--name=VALUE`.
    pub(crate) fn option<T: FromStr>(&mut self, name: &str) -> Result<Option<T>> {
        let joined = format!("{name}=");
        let Some(index) =
            self.0.iter().position(|argument| argument == name || argument.starts_with(&joined))
        else {
            return Ok(None);
        };
        let argument = self.0.remove(index);
        let value = match argument.strip_prefix(&joined) {
            Some(value) => value.to_owned(),
            None if index < self.0.len() => self.0.remove(index),
            None => bail!("{name} wants a value"),
        };
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(anyhow!("{name} cannot be \"{value}\"")),
        }
    }

    /// Takes `--name PATH`, made absolute, for not every child runs in this folder.
    pub(crate) fn path(&mut self, name: &str) -> Result<Option<PathBuf>> {
        let Some(path) = self.option::<PathBuf>(name)? else { return Ok(None) };
        Ok(Some(std::path::absolute(path)?))
    }

    /// Takes all that is left, which must be words.
    pub(crate) fn words(self) -> Result<Vec<String>> {
        match self.0.iter().find(|argument| argument.starts_with('-')) {
            Some(unknown) => bail!("there is no option \"{unknown}\" (see --help)"),
            None => Ok(self.0),
        }
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<()> {
        match self.words()?.first() {
            Some(word) => bail!("\"{word}\" is not expected here (see --help)"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn options_come_in_both_forms() {
        let mut args = args("--listen 127.0.0.1:1 word --data=x --once");
        assert_eq!(args.option::<String>("--listen").unwrap().unwrap(), "127.0.0.1:1");
        assert_eq!(args.option::<String>("--data").unwrap().unwrap(), "x");
        assert!(args.flag("--once"));
        assert!(!args.flag("--once"));
        assert_eq!(args.words().unwrap(), ["word"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(args("--repo").option::<String>("--repo").unwrap_err().to_string().contains("wants a value"));
        assert!(args("--what").finish().unwrap_err().to_string().contains("--what"));
        assert!(args("what").finish().unwrap_err().to_string().contains("not expected"));
        assert!(args("--runs x").option::<usize>("--runs").unwrap_err().to_string().contains("\"x\""));
    }
}
