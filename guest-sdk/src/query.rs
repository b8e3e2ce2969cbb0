//! Queries: their parameters, answers and errors.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// Why a query has no answer.
///
/// ```
/// # use projectionist_sdk::{harness::Harness, prelude::*};
/// # #[derive(Projection)]
/// # struct Stock { items: Table<String, u64> }
/// #[projection]
/// impl Stock {
/// #   #[on("item.delivered")]
/// #   fn delivered(&mut self, event: &Event) { *self.items.entry(event.subject()) += 1; }
///     /// How many of an item there are.
///     #[query]
///     fn count(&self, item: &str) -> Result<u64, QueryError> {
///         let count = self.items.get(item).ok_or(QueryError::NotFound)?;
///         Ok(*count)
///     }
/// }
/// # let mut harness = Harness::<Stock>::new();
/// # assert_eq!(harness.try_query("count", json!({"item": "tea"})), Err(QueryError::NotFound));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// What was asked for is not there.
    NotFound,
    /// The parameters make no sense; why.
    BadArguments(String),
    /// Something else went wrong; what.
    Failed(String),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::BadArguments(reason) | Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for QueryError {}

impl From<String> for QueryError {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

impl From<&str> for QueryError {
    fn from(reason: &str) -> Self {
        Self::Failed(reason.to_owned())
    }
}

/// The arguments of a call.
#[doc(hidden)]
pub struct Arguments(Map<String, Value>);

impl Arguments {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, QueryError> {
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        let value = serde_json::from_slice(bytes)
            .map_err(|error| QueryError::BadArguments(format!("the arguments are not JSON: {error}")))?;
        match value {
            Value::Object(arguments) => Ok(Self(arguments)),
            Value::Null => Ok(Self(Map::new())),
            _ => Err(QueryError::BadArguments("the arguments must be a JSON object".to_owned())),
        }
    }

    /// Takes one argument; one that is absent counts as null.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, QueryError> {
        let argument = self.0.remove(name);
        let is_absent = argument.is_none();
        serde_json::from_value(argument.unwrap_or_default()).map_err(|error| {
            QueryError::BadArguments(match is_absent {
                true => format!("parameter `{name}` is missing"),
                false => format!("parameter `{name}`: {error}"),
            })
        })
    }

    /// Refuses what no parameter took.
    pub fn finish(self, known: &[&str]) -> Result<(), QueryError> {
        let Some(unknown) = self.0.keys().next() else { return Ok(()) };
        Err(QueryError::BadArguments(match known {
            [] => format!("there is no parameter `{unknown}`; the query takes none"),
            _ => format!("there is no parameter `{unknown}`; the query takes `{}`", known.join("`, `")),
        }))
    }
}

/// Encodes an answer.
#[doc(hidden)]
pub fn answer<T: Serialize>(answer: &T) -> Result<Vec<u8>, QueryError> {
    serde_json::to_vec(answer)
        .map_err(|error| QueryError::Failed(format!("the answer cannot be written as JSON: {error}")))
}

/// A query that the projection does not have.
#[doc(hidden)]
pub fn unknown(name: &str) -> QueryError {
    QueryError::BadArguments(format!("there is no query `{name}`"))
}

/// A parameter's type, of which a JSON Schema is known.
#[doc(hidden)]
pub trait Parameter {
    const OPTIONAL: bool = false;
    fn schema() -> Value;
}

macro_rules! parameters {
    ($($($parameter:ty),+ => $schema:tt;)+) => { $($(
        impl Parameter for $parameter {
            fn schema() -> Value {
                json!($schema)
            }
        }
    )+)+ };
}

parameters! {
    String, char => {"type": "string"};
    bool => {"type": "boolean"};
    f32, f64 => {"type": "number"};
    i8, i16, i32, i64, isize => {"type": "integer"};
    u8, u16, u32, u64, usize => {"type": "integer", "minimum": 0};
    crate::Date => {"type": "string", "format": "date"};
    crate::Timestamp => {"type": "string", "format": "date-time"};
}

impl<T: Parameter> Parameter for Option<T> {
    const OPTIONAL: bool = true;

    fn schema() -> Value {
        T::schema()
    }
}

impl<T: Parameter> Parameter for Vec<T> {
    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }
}

/// Finds a type's schema where it has one. (Method look-up tries the known
/// parameters first, and falls back to the reference.)
#[doc(hidden)]
pub struct Probe<T>(PhantomData<T>);

impl<T> Probe<T> {
    #[expect(clippy::new_without_default, reason = "only the macros make one")]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

#[doc(hidden)]
pub trait KnownParameter {
    fn parameter(&self) -> (Value, bool);
}

impl<T: Parameter> KnownParameter for Probe<T> {
    fn parameter(&self) -> (Value, bool) {
        (T::schema(), T::OPTIONAL)
    }
}

#[doc(hidden)]
pub trait AnyParameter {
    fn parameter(&self) -> (Value, bool);
}

impl<T: DeserializeOwned> AnyParameter for &Probe<T> {
    fn parameter(&self) -> (Value, bool) {
        // Any JSON; what takes null may be left out.
        (json!({}), serde_json::from_value::<T>(Value::Null).is_ok())
    }
}

/// The JSON Schema of all parameters.
#[doc(hidden)]
pub fn schema<const N: usize>(parameters: [(&str, (Value, bool)); N]) -> Value {
    let required: Vec<_> =
        parameters.iter().filter(|(_, (_, optional))| !optional).map(|(name, _)| *name).collect();
    let mut schema = json!({"type": "object", "required": required, "additionalProperties": false});
    schema["properties"] = parameters
        .iter()
        .map(|(name, (schema, _))| ((*name).to_owned(), schema.clone()))
        .collect::<Map<_, _>>()
        .into();
    schema
}
