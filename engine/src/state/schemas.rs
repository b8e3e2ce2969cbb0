//! Which types of events have registered schemas, and whether these are checked: one redb
//! file, every change of it durable.
//!
//! Not here: what a schema means and when one may be changed (`schema`).

use std::path::Path;

use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition,
    WriteTransaction, backends::InMemoryBackend,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    error::{Origin, StateError},
    partition::{guarded, open_database},
};
use crate::event::{Position, Timestamp};

/// The layout of this file. See the same of `meta.rs`.
const FORMAT: u32 = 1;
const META: TableDefinition<'static, &str, u32> = TableDefinition::new("meta");

/// By type and `dataschema`, which is empty for events that name none.
type Schemas = TableDefinition<'static, (&'static str, &'static str), &'static [u8]>;
const SCHEMAS: Schemas = TableDefinition::new("schemas");
/// By type.
const TYPES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("types");

/// Schemas are few and small.
const CACHE_BYTES: usize = 4 << 20;

const ACTION: &str = "change schemas";

/// A registered schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaRecord {
    /// The type of events that it is for.
    pub event_type: String,
    /// The version, as the events' attribute `dataschema` names it; empty for events that
    /// name none.
    pub dataschema: String,
    /// The JSON Schema, as it was registered.
    pub document: String,
    /// When it was.
    pub registered: Timestamp,
    /// The log's head at that time: it can have been relied upon by later events only.
    pub head: Position,
}

/// What holds for all schemas of a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeRecord {
    /// Whether events of the type must fit.
    pub check: bool,
}

/// Registered schemas, in one file.
pub struct SchemaStore {
    database: Database,
    origin: Origin,
}

impl SchemaStore {
    /// Opens the file, or makes it with the folders above it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let origin = Origin::new(&path.display().to_string());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(origin.io("make its folder"))?;
        }
        let database = open_database(&origin, |builder| builder.create(path), CACHE_BYTES)?;
        Self::with_database(database, origin)
    }

    /// A store that lives as long as the process, for tests.
    pub fn in_memory() -> Result<Self, StateError> {
        let origin = Origin::new("schemas in memory");
        let memory = InMemoryBackend::new();
        let database = open_database(&origin, |builder| builder.create_with_backend(memory), CACHE_BYTES)?;
        Self::with_database(database, origin)
    }

    fn with_database(database: Database, origin: Origin) -> Result<Self, StateError> {
        guarded(&origin, || initialise(&database, &origin))?;
        Ok(Self { database, origin })
    }

    /// All schemas, by type and then by `dataschema`.
    pub fn schemas(&self) -> Result<Vec<SchemaRecord>, StateError> {
        const ACTION: &str = "read schemas";
        let read = self.database.begin_read().map_err(self.origin.failed(ACTION))?;
        let table = read.open_table(SCHEMAS).map_err(self.origin.failed(ACTION))?;
        let mut records = Vec::new();
        for entry in table.iter().map_err(self.origin.failed(ACTION))? {
            let (_, record) = entry.map_err(self.origin.failed(ACTION))?;
            records.push(decode(record.value(), &self.origin)?);
        }
        Ok(records)
    }

    /// The types about which something is said, and what.
    pub fn types(&self) -> Result<Vec<(String, TypeRecord)>, StateError> {
        const ACTION: &str = "read schemas";
        let read = self.database.begin_read().map_err(self.origin.failed(ACTION))?;
        let table = read.open_table(TYPES).map_err(self.origin.failed(ACTION))?;
        let mut types = Vec::new();
        for entry in table.iter().map_err(self.origin.failed(ACTION))? {
            let (name, record) = entry.map_err(self.origin.failed(ACTION))?;
            types.push((name.value().to_owned(), decode(record.value(), &self.origin)?));
        }
        Ok(types)
    }

    /// Writes a schema in place of the one that its version has, and what holds for its type.
    pub fn put(&self, schema: &SchemaRecord, of_type: TypeRecord) -> Result<(), StateError> {
        self.change(|write| {
            let mut schemas = write.open_table(SCHEMAS).map_err(self.origin.failed(ACTION))?;
            let key = (schema.event_type.as_str(), schema.dataschema.as_str());
            schemas.insert(key, encode(schema).as_slice()).map_err(self.origin.failed(ACTION))?;
            self.write_type(write, &schema.event_type, of_type)
        })
    }

    /// Says what holds for all schemas of a type.
    pub fn put_type(&self, name: &str, record: TypeRecord) -> Result<(), StateError> {
        self.change(|write| self.write_type(write, name, record))
    }

    /// Removes a schema. What holds for its type goes with the last one.
    pub fn remove(&self, event_type: &str, dataschema: &str) -> Result<(), StateError> {
        self.change(|write| {
            let mut schemas = write.open_table(SCHEMAS).map_err(self.origin.failed(ACTION))?;
            schemas.remove((event_type, dataschema)).map_err(self.origin.failed(ACTION))?;
            let mut rest = schemas.range((event_type, "")..).map_err(self.origin.failed(ACTION))?;
            let next = rest.next().transpose().map_err(self.origin.failed(ACTION))?;
            if next.is_none_or(|(key, _)| key.value().0 != event_type) {
                let mut types = write.open_table(TYPES).map_err(self.origin.failed(ACTION))?;
                types.remove(event_type).map_err(self.origin.failed(ACTION))?;
            }
            Ok(())
        })
    }

    fn write_type(&self, write: &WriteTransaction, name: &str, record: TypeRecord) -> Result<(), StateError> {
        let mut types = write.open_table(TYPES).map_err(self.origin.failed(ACTION))?;
        types.insert(name, encode(&record).as_slice()).map_err(self.origin.failed(ACTION))?;
        Ok(())
    }

    fn change(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let write = self.database.begin_write().map_err(self.origin.failed(ACTION))?;
        change(&write)?;
        write.commit().map_err(self.origin.failed(ACTION))
    }
}

/// Makes a new file's tables, or checks an old one's format.
fn initialise(database: &Database, origin: &Origin) -> Result<(), StateError> {
    const ACTION: &str = "initialise the file";
    let write = database.begin_write().map_err(origin.failed(ACTION))?;
    {
        let mut meta = write.open_table(META).map_err(origin.failed(ACTION))?;
        let format = meta.get("format").map_err(origin.failed(ACTION))?.map(|format| format.value());
        match format {
            Some(FORMAT) => return Ok(()),
            Some(found) => {
                return Err(StateError::Format { path: origin.path(), found, supported: FORMAT });
            }
            None if meta.len().map_err(origin.failed(ACTION))? > 0 => {
                return Err(origin.damaged("it does not say which format it is in"));
            }
            None => {}
        }
        meta.insert("format", FORMAT).map_err(origin.failed(ACTION))?;
        write.open_table(SCHEMAS).map_err(origin.failed(ACTION))?;
        write.open_table(TYPES).map_err(origin.failed(ACTION))?;
    }
    write.commit().map_err(origin.failed(ACTION))
}

fn encode(record: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(record).expect("records hold only what MessagePack can say")
}

fn decode<T: DeserializeOwned>(bytes: &[u8], origin: &Origin) -> Result<T, StateError> {
    rmp_serde::from_slice(bytes).map_err(|error| origin.damaged(format!("a record is not readable: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_there_when_the_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schemas.redb");
        let record = |event_type: &str, dataschema: &str| SchemaRecord {
            event_type: event_type.to_owned(),
            dataschema: dataschema.to_owned(),
            document: "true".to_owned(),
            registered: Timestamp::from_micros(1),
            head: 7,
        };
        let checked = TypeRecord { check: true };
        {
            let store = SchemaStore::open(&path).unwrap();
            store.put(&record("b", ""), TypeRecord::default()).unwrap();
            store.put(&record("a", "/2"), TypeRecord::default()).unwrap();
            store.put(&record("a", ""), checked).unwrap();
            store.put(&record("ab", ""), TypeRecord::default()).unwrap();
        }
        let store = SchemaStore::open(&path).unwrap();
        let schemas = || store.schemas().unwrap();
        assert_eq!(schemas(), [record("a", ""), record("a", "/2"), record("ab", ""), record("b", "")]);
        store.remove("a", "").unwrap();
        assert_eq!(store.types().unwrap()[0], ("a".to_owned(), checked), "it has another one");
        store.remove("a", "/2").unwrap();
        assert_eq!(store.types().unwrap()[0].0, "ab");
        store.put_type("ab", checked).unwrap();
        assert_eq!(store.types().unwrap()[0].1, checked);
        assert_eq!(schemas(), [record("ab", ""), record("b", "")]);
    }
}
