//! What has been seen at one place of the data.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::strings::Strings;

/// Objects with more different fields are maps: their fields are keys, not names.
const MOST_FIELDS: usize = 100;

/// All values seen at one place.
#[derive(Debug, Default)]
pub(super) struct Shape {
    nulls: u64,
    booleans: u64,
    integers: u64,
    /// Those that are no integers.
    fractions: u64,
    strings: Strings,
    arrays: u64,
    /// What the arrays hold.
    items: Option<Box<Shape>>,
    objects: u64,
    fields: Fields,
}

/// The fields of all objects seen at one place.
#[derive(Debug)]
enum Fields {
    Named(BTreeMap<String, Shape>),
    /// So many different ones that only their values are told.
    Map(Box<Shape>),
}

impl Default for Fields {
    fn default() -> Self {
        Self::Named(BTreeMap::new())
    }
}

impl Shape {
    pub(super) fn observe(&mut self, value: &Value) {
        match value {
            Value::Null => self.nulls += 1,
            Value::Bool(_) => self.booleans += 1,
            Value::Number(number) if number.is_i64() || number.is_u64() => self.integers += 1,
            Value::Number(_) => self.fractions += 1,
            Value::String(_) => self.strings.observe(value),
            Value::Array(items) => {
                self.arrays += 1;
                for item in items {
                    self.items.get_or_insert_default().observe(item);
                }
            }
            Value::Object(fields) => {
                self.objects += 1;
                for (name, value) in fields {
                    self.fields.of(name).observe(value);
                }
            }
        }
    }

    /// How many values have been seen.
    pub(super) fn count(&self) -> u64 {
        self.nulls
            + self.booleans
            + self.integers
            + self.fractions
            + self.strings.count()
            + self.arrays
            + self.objects
    }

    /// Takes in what has been seen at another place.
    fn merge(&mut self, other: Self) {
        self.nulls += other.nulls;
        self.booleans += other.booleans;
        self.integers += other.integers;
        self.fractions += other.fractions;
        self.strings.merge(other.strings);
        self.arrays += other.arrays;
        if let Some(items) = other.items {
            self.items.get_or_insert_default().merge(*items);
        }
        self.objects += other.objects;
        match other.fields {
            Fields::Named(fields) => {
                fields.into_iter().for_each(|(name, shape)| self.fields.of(&name).merge(shape));
            }
            Fields::Map(values) => self.fields.as_map().merge(*values),
        }
    }

    /// Adds to a schema what all these values have in common.
    pub(super) fn describe(&self, schema: &mut Map<String, Value>) {
        let types = [
            ("null", self.nulls),
            ("boolean", self.booleans),
            // Of mixed numbers all are numbers.
            ("integer", if self.fractions == 0 { self.integers } else { 0 }),
            ("number", self.fractions),
            ("string", self.strings.count()),
            ("array", self.arrays),
            ("object", self.objects),
        ];
        let types: Vec<Value> =
            types.into_iter().filter(|(_, count)| *count > 0).map(|(name, _)| name.into()).collect();
        match types.as_slice() {
            // Nothing has been seen: nothing is known.
            [] => return,
            [one] => schema.insert("type".into(), one.clone()),
            _ => schema.insert("type".into(), types.into()),
        };
        // An enumeration would have to name all other values, too.
        let others = self.count() - self.nulls - self.strings.count();
        self.strings.describe(schema, others == 0, self.nulls > 0);
        if let Some(items) = &self.items {
            schema.insert("items".into(), items.as_schema());
        }
        match &self.fields {
            Fields::Named(fields) if !fields.is_empty() => {
                let properties: Map<_, _> =
                    fields.iter().map(|(name, shape)| (name.clone(), shape.as_schema())).collect();
                schema.insert("properties".into(), properties.into());
                let always = fields.iter().filter(|(_, shape)| shape.count() == self.objects);
                let required: Vec<Value> = always.map(|(name, _)| name.as_str().into()).collect();
                if !required.is_empty() {
                    schema.insert("required".into(), required.into());
                }
            }
            Fields::Named(_) => {}
            Fields::Map(values) => {
                schema.insert("additionalProperties".into(), values.as_schema());
            }
        }
    }

    fn as_schema(&self) -> Value {
        let mut schema = Map::new();
        self.describe(&mut schema);
        schema.into()
    }
}

impl Fields {
    /// What has been seen in this field.
    fn of(&mut self, name: &str) -> &mut Shape {
        if let Self::Named(fields) = self
            && fields.len() >= MOST_FIELDS
            && !fields.contains_key(name)
        {
            self.as_map();
        }
        match self {
            Self::Named(fields) => fields.entry(name.to_owned()).or_default(),
            Self::Map(values) => values,
        }
    }

    /// What has been seen in all fields, which are not told apart from now on.
    fn as_map(&mut self) -> &mut Shape {
        if let Self::Named(fields) = self {
            let mut values = Box::<Shape>::default();
            std::mem::take(fields).into_values().for_each(|shape| values.merge(shape));
            *self = Self::Map(values);
        }
        match self {
            Self::Map(values) => values,
            Self::Named(_) => unreachable!("it has just become a map"),
        }
    }
}
