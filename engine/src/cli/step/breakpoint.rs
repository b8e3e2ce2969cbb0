//! Where to stop, as people write it.

use std::{fmt, str::FromStr};

/// Where to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Breakpoint {
    /// The server's parameter for it.
    pub(super) parameter: &'static str,
    /// What it should be.
    pub(super) value: String,
}

/// All kinds, and what their values are.
const KINDS: [(&str, &str); 4] =
    [("type", "TYPE"), ("subject", "SUBJECT"), ("key", "TABLE/KEY"), ("change", "TABLE/KEY")];

impl FromStr for Breakpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = text.split_once('=').and_then(|(name, value)| {
            let (parameter, shape) = KINDS.into_iter().find(|(known, _)| *known == name.trim())?;
            let value = value.trim();
            let fits = !value.is_empty() && (shape != "TABLE/KEY" || value.contains('/'));
            fits.then(|| Self { parameter, value: value.to_owned() })
        });
        found.ok_or_else(|| {
            let forms = KINDS.map(|(name, value)| format!("{name}={value}"));
            format!("write a breakpoint like {}", forms.join(", "))
        })
    }
}

impl fmt::Display for Breakpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.parameter, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_it_is_read() {
        for text in ["type=a.b", "subject=user/7", "key=files/src/lib.rs", "change=files/a=b"] {
            assert_eq!(text.parse::<Breakpoint>().unwrap().to_string(), text);
        }
        for text in ["", "a.b", "typ=a", "type=", "key=files"] {
            assert!(text.parse::<Breakpoint>().unwrap_err().contains("change=TABLE/KEY"), "{text}");
        }
    }
}
