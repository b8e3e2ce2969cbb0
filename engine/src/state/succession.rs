//! How a reaction's file goes from one version to the next: with its tables as they
//! stand, or with tables that the next one has made of all of history itself. The books
//! and the journal stay as they are.
//!
//! The file says whose it is. So whatever is killed whenever, who opens it again knows
//! which version's tables these are.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use redb::{ReadableDatabase, ReadableTable};

use super::{
    PartitionState,
    books::{BookEntry, write_entries},
    error::StateError,
    meta::{self, Checkpoint, META},
    partition::{Inner, TableName},
};

/// Whose tables these are: the digest of a version.
const OWNER: &str = "owner";

impl PartitionState {
    /// The digest of the version whose tables these are, if one has taken them over from
    /// another.
    pub fn owner(&self) -> Result<Option<String>, StateError> {
        let Inner { database, origin, .. } = self.inner();
        let action = "read what the file says about itself";
        let read = database.begin_read().map_err(origin.failed(action))?;
        let meta = read.open_table(META).map_err(origin.failed(action))?;
        let owner = meta.get(OWNER).map_err(origin.failed(action))?;
        Ok(owner.map(|owner| String::from_utf8_lossy(owner.value()).into_owned()))
    }

    /// The same file for the version `owner`, which goes on with the tables as they stand,
    /// or with others: those that it does not name stay in the file. The version before
    /// must commit no more.
    pub fn handed_on(&self, tables: &[String], owner: Option<&str>) -> Result<Self, StateError> {
        let names = TableName::all(tables)?;
        let Inner { database, origin, .. } = self.inner();
        let action = "change the tables";
        let write = database.begin_write().map_err(origin.failed(action))?;
        {
            let mut meta = write.open_table(META).map_err(origin.failed(action))?;
            meta::write_tables(&mut meta, tables, origin)?;
            if let Some(owner) = owner {
                meta.insert(OWNER, owner.as_bytes()).map_err(origin.failed(action))?;
            }
            for table in names.iter() {
                write.open_table(table.definition()).map_err(origin.failed(action))?;
            }
        }
        write.commit().map_err(origin.failed(action))?;
        Ok(self.with_names(names, self.checkpoint()))
    }

    /// The same file for the version `owner`, with the tables of `rebuilt` in place of
    /// its own and these entries in its books: all in one transaction or, with an error,
    /// nothing. The version before must commit no more.
    pub fn rebuilt(
        &self,
        rebuilt: &PartitionState,
        entries: &[BookEntry],
        owner: &str,
    ) -> Result<Self, StateError> {
        let names = &rebuilt.inner().tables;
        let Inner { database, origin, .. } = self.inner();
        let action = "take over rebuilt tables";
        let read = rebuilt.inner().database.begin_read().map_err(rebuilt.inner().origin.failed(action))?;
        let write = database.begin_write().map_err(origin.failed(action))?;
        // Also those that versions before the last one have left.
        let old = write.list_tables().map_err(origin.failed(action))?;
        let old: Vec<_> = old.filter(|table| TableName::is_plugins(redb::TableHandle::name(table))).collect();
        for table in old {
            write.delete_table(table).map_err(origin.failed(action))?;
        }
        for name in names.iter() {
            let from = read.open_table(name.definition()).map_err(rebuilt.inner().origin.failed(action))?;
            let mut to = write.open_table(name.definition()).map_err(origin.failed(action))?;
            for entry in from.iter().map_err(rebuilt.inner().origin.failed(action))? {
                let (key, value) = entry.map_err(rebuilt.inner().origin.failed(action))?;
                to.insert(key.value(), value.value()).map_err(origin.failed(action))?;
            }
        }
        // Where it stands the books know; what the tables are, the rebuilt ones.
        let checkpoint = Checkpoint { digest: rebuilt.checkpoint().digest, ..self.checkpoint() };
        {
            let tables: Vec<String> = names.iter().map(|name| name.name.clone()).collect();
            let mut meta = write.open_table(META).map_err(origin.failed(action))?;
            meta::write_tables(&mut meta, &tables, origin)?;
            meta::write_checkpoint(&mut meta, &checkpoint, origin)?;
            meta.insert(OWNER, owner.as_bytes()).map_err(origin.failed(action))?;
        }
        write_entries(&write, entries).map_err(origin.failed(action))?;
        write.commit().map_err(origin.failed(action))?;
        Ok(self.with_names(Arc::clone(names), checkpoint))
    }

    fn with_names(&self, tables: Arc<[TableName]>, checkpoint: Checkpoint) -> Self {
        let Inner { database, origin, path, .. } = self.inner();
        Self::of(Inner {
            database: Arc::clone(database),
            tables,
            origin: origin.clone(),
            path: path.clone(),
            checkpoint: ArcSwap::from_pointee(checkpoint),
            committing: Mutex::new(false),
        })
    }
}
