//! The tables of the log's file and their keys.

use std::{path::Path, sync::Arc};

use redb::{Database, DatabaseError, ReadOnlyTable, ReadableTable, StorageError, Table, TableDefinition};

use super::super::{LogError, block};
use crate::event::{Block, Position};

/// First position and number of the piece to a piece of a block (see
/// `block.rs`); sealed ones and the tail. In pieces because redb gives a value
/// the next power of two of pages: a block in one would waste a third on average.
pub(super) const BLOCKS: TableDefinition<(Position, u32), &[u8]> = TableDefinition::new("blocks");

/// How long a piece of a block is: what fits 64 pages, beside redb's own.
const PIECE: usize = (256 << 10) - 64;

/// Source and id (see `index::id_key`) to position, of sealed events.
pub(super) const IDS: TableDefinition<&[u8], Position> = TableDefinition::new("ids");

/// Term and first position of a sealed block to where in that block the term's
/// events are. See [`Term`].
pub(super) const INDEX: TableDefinition<&[u8], &[u8]> = TableDefinition::new("index");

/// Type and first position of a sealed block, as in [`INDEX`], to the block's
/// events of that type, where they are few. See `rare.rs`.
pub(super) const RARE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rare");

/// Single numbers.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// Up to which position the log is sealed.
pub(super) const SEALED: &str = "sealed";

/// The version of this layout.
const FORMAT: &str = "format";
const CURRENT_FORMAT: u64 = 2;

/// What one can look for in the index, and what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Term<'a> {
    /// The subject's version after the block (u64), then its events' places in
    /// the block (u16 each), little endian.
    Subject(&'a str),
    /// The events' places.
    Tag(&'a str),
    /// The last event's place. A type is usually in many events of a block, so
    /// it is only worth knowing which blocks don't have it.
    Type(&'a str),
}

impl Term<'_> {
    /// What all of a term's keys begin with; no term's beginning is another's.
    pub(super) fn prefix(self) -> Vec<u8> {
        let (kind, name) = match self {
            Term::Subject(name) => (b's', name),
            Term::Tag(name) => (b't', name),
            Term::Type(name) => (b'y', name),
        };
        let mut key = Vec::with_capacity(1 + 4 + name.len() + 8);
        key.push(kind);
        key.extend_from_slice(&(name.len() as u32).to_be_bytes());
        key.extend_from_slice(name.as_bytes());
        key
    }
}

/// The key of a term's entry for one block.
pub(super) fn index_key(prefix: &[u8], block: Position) -> Vec<u8> {
    [prefix, &block.to_be_bytes()].concat()
}

/// Which block an index key is for.
pub(super) fn block_of(key: &[u8]) -> Position {
    key.last_chunk().map_or(0, |bytes| Position::from_be_bytes(*bytes))
}

/// The places in a subject's or tag's entry.
pub(super) fn places(term: Term<'_>, value: &[u8]) -> Vec<u16> {
    let places = match term {
        Term::Subject(_) => value.get(8..).unwrap_or_default(),
        Term::Tag(_) | Term::Type(_) => value,
    };
    places.chunks_exact(2).map(|place| u16::from_le_bytes([place[0], place[1]])).collect()
}

/// The subject's version in its entry.
pub(super) fn version(value: &[u8]) -> u64 {
    value.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Writes a block.
pub(super) fn insert_block(
    table: &mut Table<'_, (Position, u32), &'static [u8]>,
    first: Position,
    encoded: &[u8],
) -> Result<(), StorageError> {
    for (number, piece) in (0..).zip(encoded.chunks(PIECE)) {
        table.insert((first, number), piece)?;
    }
    Ok(())
}

/// The first position of the last block that begins at or before a position.
pub(super) fn block_before(
    table: &ReadOnlyTable<(Position, u32), &'static [u8]>,
    position: Position,
) -> Result<Option<Position>, StorageError> {
    let entry = table.range(..=(position, u32::MAX))?.next_back().transpose()?;
    Ok(entry.map(|(key, _)| key.value().0))
}

/// The first position of the first block that begins at or after a position.
pub(super) fn block_after(
    table: &ReadOnlyTable<(Position, u32), &'static [u8]>,
    position: Position,
) -> Result<Option<Position>, StorageError> {
    let entry = table.range((position, 0)..)?.next().transpose()?;
    Ok(entry.map(|(key, _)| key.value().0))
}

/// Reads and checks the block that begins at a position.
pub(super) fn read_block(
    table: &ReadOnlyTable<(Position, u32), &'static [u8]>,
    first: Position,
) -> Result<Block, LogError> {
    const ACTION: &str = "read a block";
    let mut pieces = Vec::new();
    for piece in table.range((first, 0)..=(first, u32::MAX)).doing(ACTION)? {
        pieces.push(piece.doing(ACTION)?.1);
    }
    // Made large enough at once: growing would copy what is there again.
    let mut encoded = Vec::with_capacity(pieces.iter().map(|piece| piece.value().len()).sum());
    for piece in &pieces {
        encoded.extend_from_slice(piece.value());
    }
    block::decode(&encoded.into(), first).map_err(|reason| LogError::Damaged { position: first, reason })
}

/// Opens the file, makes it and its folder if they are not there.
pub(super) fn open_file(path: &Path, cache_bytes: usize) -> Result<Database, LogError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).doing("make its folder")?;
    let database =
        redb::Builder::new().set_cache_size(cache_bytes).create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => LogError::InUse { path: path.to_owned() },
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == std::io::ErrorKind::InvalidData =>
            {
                LogError::Foreign { path: path.to_owned(), reason: error.to_string() }
            }
            DatabaseError::UpgradeRequired(_) => {
                LogError::Foreign { path: path.to_owned(), reason: error.to_string() }
            }
            error => LogError::Storage { action: "open its file", source: Arc::new(error) },
        })?;
    // A new file is only there to stay once its folder says so.
    #[cfg(unix)]
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).doing("sync its folder")?;
    match set_up(&database)? {
        CURRENT_FORMAT => Ok(database),
        other => {
            let reason = format!("it has format {other}, this program reads format {CURRENT_FORMAT}");
            Err(LogError::Foreign { path: path.to_owned(), reason })
        }
    }
}

/// The format of a file. A new one gets its tables and the current format.
pub(super) fn set_up(database: &Database) -> Result<u64, LogError> {
    const ACTION: &str = "set up its tables";
    let transaction = database.begin_write().doing(ACTION)?;
    let format = {
        let mut meta = transaction.open_table(META).doing(ACTION)?;
        let format = meta.get(FORMAT).doing(ACTION)?.map(|format| format.value());
        if format.is_none() {
            meta.insert(FORMAT, CURRENT_FORMAT).doing(ACTION)?;
            meta.insert(SEALED, 0).doing(ACTION)?;
            transaction.open_table(BLOCKS).doing(ACTION)?;
            transaction.open_table(IDS).doing(ACTION)?;
            transaction.open_table(INDEX).doing(ACTION)?;
            transaction.open_table(RARE).doing(ACTION)?;
        }
        format
    };
    match format {
        Some(format) => {
            transaction.abort().doing(ACTION)?;
            Ok(format)
        }
        None => {
            transaction.commit().doing(ACTION)?;
            Ok(CURRENT_FORMAT)
        }
    }
}

/// Says what the log was doing when its storage failed.
pub(super) trait Doing<T> {
    fn doing(self, action: &'static str) -> Result<T, LogError>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Doing<T> for Result<T, E> {
    fn doing(self, action: &'static str) -> Result<T, LogError> {
        self.map_err(|error| LogError::Storage { action, source: Arc::new(error) })
    }
}
