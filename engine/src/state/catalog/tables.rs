//! How records lie in the catalog's file: MessagePack with named fields.

use redb::{
    Database, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::error::{Origin, StateError},
    DeploymentRecord, Verification, VersionRecord,
};

/// The layout of this file. See the same of `meta.rs`.
const FORMAT: u32 = 1;
const META: TableDefinition<'static, &str, u32> = TableDefinition::new("meta");

/// By name and digest.
type Versions = TableDefinition<'static, (&'static str, &'static str), &'static [u8]>;
const VERSIONS: Versions = TableDefinition::new("versions");
/// By id.
const DEPLOYMENTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("deployments");
/// Name and id.
const BY_NAME: TableDefinition<'static, (&str, u64), ()> = TableDefinition::new("deployments-by-name");

/// By name: the digest of the version that the file in the plug-ins folder holds, as it was
/// last acted upon.
const FILES: TableDefinition<'static, &str, &str> = TableDefinition::new("files");

/// By name: the upcasters that its versions were last made with.
const UPCASTERS: TableDefinition<'static, &str, &str> = TableDefinition::new("upcasters");

/// By name and digest.
const VERIFICATIONS: Versions = TableDefinition::new("verifications");

/// Makes a new file's tables, or checks an old one's format.
pub(super) fn initialise(database: &Database, origin: &Origin) -> Result<(), StateError> {
    let action = "initialise the file";
    let write = database.begin_write().map_err(origin.failed(action))?;
    {
        let mut meta = write.open_table(META).map_err(origin.failed(action))?;
        let format = meta.get("format").map_err(origin.failed(action))?.map(|format| format.value());
        match format {
            Some(FORMAT) => return Ok(()),
            Some(found) => {
                return Err(StateError::Format { path: origin.path(), found, supported: FORMAT });
            }
            None if meta.len().map_err(origin.failed(action))? > 0 => {
                return Err(origin.damaged("it does not say which format it is in"));
            }
            None => {}
        }
        meta.insert("format", FORMAT).map_err(origin.failed(action))?;
        write.open_table(VERSIONS).map_err(origin.failed(action))?;
        write.open_table(DEPLOYMENTS).map_err(origin.failed(action))?;
        write.open_table(BY_NAME).map_err(origin.failed(action))?;
        write.open_table(FILES).map_err(origin.failed(action))?;
        write.open_table(UPCASTERS).map_err(origin.failed(action))?;
        write.open_table(VERIFICATIONS).map_err(origin.failed(action))?;
    }
    write.commit().map_err(origin.failed(action))
}

/// Versions of one name or all: by name, then the oldest first.
pub(super) fn versions(
    read: &ReadTransaction,
    name: Option<&str>,
    origin: &Origin,
) -> Result<Vec<VersionRecord>, StateError> {
    let table = read.open_table(VERSIONS).map_err(origin.failed("read versions"))?;
    versions_in(&table, name, origin)
}

fn versions_in(
    table: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
    name: Option<&str>,
    origin: &Origin,
) -> Result<Vec<VersionRecord>, StateError> {
    let action = "read versions";
    let mut versions: Vec<VersionRecord> = Vec::new();
    for entry in table.range((name.unwrap_or_default(), "")..).map_err(origin.failed(action))? {
        let (key, record) = entry.map_err(origin.failed(action))?;
        if name.is_some_and(|name| name != key.value().0) {
            break;
        }
        versions.push(decode(record.value(), origin)?);
    }
    versions.sort_by(|a, b| (&a.name, a.created, &a.digest).cmp(&(&b.name, b.created, &b.digest)));
    Ok(versions)
}

/// Deployments of one name or all, the latest first.
pub(super) fn deployments(
    read: &ReadTransaction,
    name: Option<&str>,
    limit: usize,
    origin: &Origin,
) -> Result<Vec<DeploymentRecord>, StateError> {
    let action = "read deployments";
    let table = read.open_table(DEPLOYMENTS).map_err(origin.failed(action))?;
    let mut records = Vec::new();
    let Some(name) = name else {
        for entry in table.iter().map_err(origin.failed(action))?.rev().take(limit) {
            let (_, record) = entry.map_err(origin.failed(action))?;
            records.push(decode(record.value(), origin)?);
        }
        return Ok(records);
    };
    let by_name = read.open_table(BY_NAME).map_err(origin.failed(action))?;
    let ids = by_name.range((name, 0)..=(name, u64::MAX)).map_err(origin.failed(action))?;
    for entry in ids.rev().take(limit) {
        let (key, ()) = entry.map(|(key, _)| (key, ())).map_err(origin.failed(action))?;
        let record = table.get(key.value().1).map_err(origin.failed(action))?;
        let record = record.ok_or_else(|| origin.damaged("a deployment is missing"))?;
        records.push(decode(record.value(), origin)?);
    }
    Ok(records)
}

/// The version that a name's file held when it was last acted upon.
pub(super) fn file(
    read: &ReadTransaction,
    name: &str,
    origin: &Origin,
) -> Result<Option<String>, StateError> {
    text(read, FILES, name, ("read what the files hold", origin))
}

/// The upcasters that a name's versions were last made with.
pub(super) fn upcasters(
    read: &ReadTransaction,
    name: &str,
    origin: &Origin,
) -> Result<Option<String>, StateError> {
    text(read, UPCASTERS, name, ("read the upcasters", origin))
}

/// What is noted of a name.
fn text(
    read: &ReadTransaction,
    table: TableDefinition<'static, &'static str, &'static str>,
    name: &str,
    (action, origin): (&'static str, &Origin),
) -> Result<Option<String>, StateError> {
    let table = match read.open_table(table) {
        // A file from before it was noted.
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table.map_err(origin.failed(action))?,
    };
    let text = table.get(name).map_err(origin.failed(action))?;
    Ok(text.map(|text| text.value().to_owned()))
}

/// What came of the last verification of a version.
pub(super) fn verification(
    read: &ReadTransaction,
    name: &str,
    digest: &str,
    origin: &Origin,
) -> Result<Option<Verification>, StateError> {
    let action = "read a verification";
    let table = match read.open_table(VERIFICATIONS) {
        // A file from before there were any.
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table.map_err(origin.failed(action))?,
    };
    let record = table.get((name, digest)).map_err(origin.failed(action))?;
    record.map(|record| decode(record.value(), origin)).transpose()
}

/// A transaction that changes the catalog, durably.
pub(super) struct Writing<'a> {
    write: WriteTransaction,
    origin: &'a Origin,
}

impl<'a> Writing<'a> {
    pub(super) fn begin(database: &Database, origin: &'a Origin) -> Result<Self, StateError> {
        let write = database.begin_write().map_err(origin.failed("begin a change"))?;
        Ok(Self { write, origin })
    }

    pub(super) fn versions(&self, name: &str) -> Result<Vec<VersionRecord>, StateError> {
        let table = self.write.open_table(VERSIONS).map_err(self.origin.failed("read versions"))?;
        versions_in(&table, Some(name), self.origin)
    }

    pub(super) fn put_version(&self, record: &VersionRecord) -> Result<(), StateError> {
        let action = "write a version";
        let mut table = self.write.open_table(VERSIONS).map_err(self.origin.failed(action))?;
        let key = (record.name.as_str(), record.digest.as_str());
        table.insert(key, encode(record).as_slice()).map_err(self.origin.failed(action))?;
        Ok(())
    }

    pub(super) fn remove_version(&self, name: &str, digest: &str) -> Result<(), StateError> {
        let action = "remove a version";
        let mut table = self.write.open_table(VERSIONS).map_err(self.origin.failed(action))?;
        table.remove((name, digest)).map_err(self.origin.failed(action))?;
        let mut table = self.write.open_table(VERIFICATIONS).map_err(self.origin.failed(action))?;
        table.remove((name, digest)).map_err(self.origin.failed(action))?;
        Ok(())
    }

    pub(super) fn put_verification(&self, name: &str, record: &Verification) -> Result<(), StateError> {
        let action = "write a verification";
        let mut table = self.write.open_table(VERIFICATIONS).map_err(self.origin.failed(action))?;
        let key = (name, record.version.as_str());
        table.insert(key, encode(record).as_slice()).map_err(self.origin.failed(action))?;
        Ok(())
    }

    /// Notes which version a name's file holds; none if there is no file.
    pub(super) fn put_file(&self, name: &str, digest: Option<&str>) -> Result<(), StateError> {
        let action = "write what a file holds";
        let mut table = self.write.open_table(FILES).map_err(self.origin.failed(action))?;
        match digest {
            Some(digest) => drop(table.insert(name, digest).map_err(self.origin.failed(action))?),
            None => drop(table.remove(name).map_err(self.origin.failed(action))?),
        }
        Ok(())
    }

    /// Notes which upcasters a name's versions have been made with.
    pub(super) fn put_upcasters(&self, name: &str, upcasters: Option<&str>) -> Result<(), StateError> {
        let action = "write the upcasters";
        let mut table = self.write.open_table(UPCASTERS).map_err(self.origin.failed(action))?;
        match upcasters {
            Some(upcasters) => drop(table.insert(name, upcasters).map_err(self.origin.failed(action))?),
            None => drop(table.remove(name).map_err(self.origin.failed(action))?),
        }
        Ok(())
    }

    /// The deployment of a version that has not ended: the latest, if it is.
    pub(super) fn open_deployment(
        &self,
        name: &str,
        digest: &str,
    ) -> Result<Option<DeploymentRecord>, StateError> {
        let action = "read deployments";
        let table = self.write.open_table(DEPLOYMENTS).map_err(self.origin.failed(action))?;
        let by_name = self.write.open_table(BY_NAME).map_err(self.origin.failed(action))?;
        let ids = by_name.range((name, 0)..=(name, u64::MAX)).map_err(self.origin.failed(action))?;
        for entry in ids.rev() {
            let (key, _) = entry.map_err(self.origin.failed(action))?;
            let record = table.get(key.value().1).map_err(self.origin.failed(action))?;
            let record = record.ok_or_else(|| self.origin.damaged("a deployment is missing"))?;
            let record: DeploymentRecord = decode(record.value(), self.origin)?;
            if record.digest == digest {
                return Ok(record.ended.is_none().then_some(record));
            }
        }
        Ok(None)
    }

    /// Writes a deployment; one with id 0 gets the next id.
    pub(super) fn put_deployment(
        &self,
        mut record: DeploymentRecord,
    ) -> Result<DeploymentRecord, StateError> {
        let action = "write a deployment";
        let mut table = self.write.open_table(DEPLOYMENTS).map_err(self.origin.failed(action))?;
        if record.id == 0 {
            let last = table.last().map_err(self.origin.failed(action))?;
            record.id = last.map_or(0, |(id, _)| id.value()) + 1;
            let mut by_name = self.write.open_table(BY_NAME).map_err(self.origin.failed(action))?;
            by_name.insert((record.name.as_str(), record.id), ()).map_err(self.origin.failed(action))?;
        }
        table.insert(record.id, encode(&record).as_slice()).map_err(self.origin.failed(action))?;
        Ok(record)
    }

    pub(super) fn commit(self) -> Result<(), StateError> {
        self.write.commit().map_err(self.origin.failed("commit a change"))
    }
}

fn encode(record: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(record).expect("records hold only what MessagePack can say")
}

fn decode<T: DeserializeOwned>(bytes: &[u8], origin: &Origin) -> Result<T, StateError> {
    rmp_serde::from_slice(bytes).map_err(|error| origin.damaged(format!("a record is not readable: {error}")))
}
