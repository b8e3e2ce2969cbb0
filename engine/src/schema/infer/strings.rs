//! What strings seen at one place have in common.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::schema::document::FORMATS;

/// An enumeration has at most so many strings …
const MOST_DIFFERENT: usize = 12;

/// … and each has been seen so many times on average, and all together this often.
const SEEN_EACH: u64 = 20;
const SEEN: u64 = 100;

/// Long texts are no names of anything.
const LONGEST: usize = 100;

/// All strings seen at one place.
#[derive(Debug)]
pub(super) struct Strings {
    count: u64,
    /// The different ones; none once there are too many.
    different: Option<BTreeSet<String>>,
    /// Which of the known formats all have so far.
    formats: Vec<usize>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { count: 0, different: Some(BTreeSet::new()), formats: (0..FORMATS.len()).collect() }
    }
}

impl Strings {
    /// `text` is a string.
    pub(super) fn observe(&mut self, text: &Value) {
        self.count += 1;
        let Some(plain) = text.as_str() else { return };
        let is_known = self.different.as_ref().is_some_and(|different| different.contains(plain));
        if is_known {
            return;
        }
        self.formats.retain(|format| FORMATS[*format].takes(text));
        if plain.len() > LONGEST {
            self.different = None;
        }
        if let Some(different) = &mut self.different {
            different.insert(plain.to_owned());
        }
        self.bound();
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.different = self.different.take().zip(other.different).map(|(mut own, other)| {
            own.extend(other);
            own
        });
        self.formats.retain(|format| other.formats.contains(format));
        self.bound();
    }

    fn bound(&mut self) {
        self.different.take_if(|different| different.len() > MOST_DIFFERENT);
    }

    /// Adds to a schema what all these strings have in common. `alone`: beside them there are
    /// at most nulls; `nullable`: there are.
    pub(super) fn describe(&self, schema: &mut Map<String, Value>, alone: bool, nullable: bool) {
        if self.count == 0 {
            return;
        }
        let few = self.different.as_ref().filter(|different| {
            alone && self.count >= SEEN && self.count >= SEEN_EACH * different.len() as u64
        });
        if let Some(&format) = self.formats.first() {
            schema.insert("format".into(), FORMATS[format].name.into());
        } else if let Some(few) = few {
            let strings = few.iter().map(|text| text.as_str().into());
            let all: Vec<Value> = nullable.then_some(Value::Null).into_iter().chain(strings).collect();
            schema.insert("enum".into(), all.into());
        }
    }
}
