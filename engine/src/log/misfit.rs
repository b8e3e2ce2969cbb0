//! Why an event does not fit the schema of its type.

use std::fmt;

/// An event that does not fit the schema of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The event's type.
    pub event_type: String,
    /// The version of its schema, as its attribute `dataschema` names it.
    pub dataschema: Option<String>,
    /// What does not fit: at least one, and not all of very many.
    pub faults: Vec<Fault>,
}

/// A value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands: a JSON Pointer into the event in JSON, as in `/data/author`.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The faults as a sentence: the first, and how many others there are.
impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it does not fit the schema of \"{}\"", self.event_type)?;
        if let Some(dataschema) = &self.dataschema {
            write!(f, " (dataschema \"{dataschema}\")")?;
        }
        if let Some(Fault { path, reason }) = self.faults.first() {
            write!(f, ": at {path}: {reason}")?;
        }
        match self.faults.len() {
            0 | 1 => Ok(()),
            2 => f.write_str("; and one more fault"),
            faults => write!(f, "; and {} more faults", faults - 1),
        }
    }
}
