//! What a partition's file says about itself: format, tables, checkpoint.

use redb::{ReadOnlyTable, ReadableTable, Table, TableDefinition};

use super::{
    digest::Digest,
    error::{Origin, StateError},
};
use crate::event::Position;

/// The layout of the file, this table included. A change of it raises the
/// number, and files of another one are refused, not guessed at.
pub(crate) const FORMAT: u32 = 1;

/// `format`: [`FORMAT`], little endian; `tables`: the names as a JSON array;
/// `checkpoint`: [`Checkpoint::to_bytes`].
pub(crate) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");

/// Up to where state is complete. Committed with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// All events up to here, itself included, are folded; 0: none.
    pub position: Position,
    /// The digest of the state.
    pub digest: Digest,
    /// How many events have been folded: those that the plug-in subscribed to.
    pub events: u64,
}

impl Checkpoint {
    /// Of a version whose partitions have these: where it stands is not their
    /// sum, and is told.
    pub(super) fn sum(partitions: impl Iterator<Item = Self>, position: Position) -> Self {
        partitions.fold(Self { position, ..Self::default() }, |sum, partition| Self {
            digest: Digest(sum.digest.0.wrapping_add(partition.digest.0)),
            events: sum.events + partition.events,
            ..sum
        })
    }

    /// Position, events, digest; little endian.
    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.position.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.events.to_le_bytes());
        bytes[16..].copy_from_slice(&self.digest.0.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        Some(Self {
            position: u64::from_le_bytes(bytes[..8].try_into().ok()?),
            events: u64::from_le_bytes(bytes[8..16].try_into().ok()?),
            digest: Digest(u128::from_le_bytes(bytes[16..].try_into().ok()?)),
        })
    }
}

type MetaTable<'txn> = Table<'txn, &'static str, &'static [u8]>;

/// Writes what a new file says about itself.
pub(crate) fn initialise(
    meta: &mut MetaTable<'_>,
    tables: &[String],
    origin: &Origin,
) -> Result<(), StateError> {
    let action = "initialise the file";
    meta.insert("format", FORMAT.to_le_bytes().as_slice()).map_err(origin.failed(action))?;
    write_tables(meta, tables, origin)?;
    write_checkpoint(meta, &Checkpoint::default(), origin)
}

/// Writes the names of the tables.
pub(crate) fn write_tables(
    meta: &mut MetaTable<'_>,
    tables: &[String],
    origin: &Origin,
) -> Result<(), StateError> {
    let names = serde_json::to_vec(tables).expect("a list of strings is always JSON");
    meta.insert("tables", names.as_slice()).map_err(origin.failed("write the names of the tables"))?;
    Ok(())
}

/// Refuses a file of another format or with other tables. `false`: the file is
/// new and says nothing yet.
pub(crate) fn check(meta: &MetaTable<'_>, tables: &[String], origin: &Origin) -> Result<bool, StateError> {
    let action = "read what the file says about itself";
    let Some(format) = meta.get("format").map_err(origin.failed(action))? else { return Ok(false) };
    let format = format.value().try_into().map(u32::from_le_bytes);
    let format = format.map_err(|_| origin.damaged("its format number is not readable"))?;
    if format != FORMAT {
        return Err(StateError::Format { path: origin.path(), found: format, supported: FORMAT });
    }
    let names = meta.get("tables").map_err(origin.failed(action))?;
    let stored: Vec<String> = names
        .and_then(|names| serde_json::from_slice(names.value()).ok())
        .ok_or_else(|| origin.damaged("its list of tables is not readable"))?;
    if stored != tables {
        return Err(StateError::OtherTables { path: origin.path(), stored, asked: tables.to_vec() });
    }
    Ok(true)
}

pub(crate) fn write_checkpoint(
    meta: &mut MetaTable<'_>,
    checkpoint: &Checkpoint,
    origin: &Origin,
) -> Result<(), StateError> {
    let bytes = checkpoint.to_bytes();
    meta.insert("checkpoint", bytes.as_slice()).map_err(origin.failed("write the checkpoint"))?;
    Ok(())
}

pub(crate) fn read_checkpoint(
    meta: &ReadOnlyTable<&'static str, &'static [u8]>,
    origin: &Origin,
) -> Result<Checkpoint, StateError> {
    let bytes = meta.get("checkpoint").map_err(origin.failed("read the checkpoint"))?;
    bytes
        .and_then(|bytes| Checkpoint::from_bytes(bytes.value()))
        .ok_or_else(|| origin.damaged("its checkpoint is not readable"))
}
