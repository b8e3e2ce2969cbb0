//! The state of one partition of a version: its file, opened.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend};

use super::{
    commit::Durability,
    dead_letter::{DEAD_LETTERS, DeadLetter},
    error::{Origin, StateError},
    meta::{self, Checkpoint, META},
    snapshot::Snapshot,
    view::View,
};

/// The state of one partition of a version, which most often has but one: a
/// redb file with its tables, its checkpoint, its digest and its dead letters.
/// Cloning shares it.
///
/// One runner commits to it; anybody may take a [`View`] at any time.
///
/// Commits that are not durable are visible at once but lost if the process
/// dies, back to the last durable one, checkpoint included. Pages that they set
/// free are only reused after the next durable commit, so whoever commits
/// [`Durability::Eventual`] must call [`PartitionState::sync`] or commit
/// durably now and then (the runner: at least once a second), or the file grows
/// with every commit. A partition that is dropped properly writes out what is left.
#[derive(Clone)]
pub struct PartitionState {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) database: Arc<Database>,
    pub(super) tables: Arc<[TableName]>,
    pub(super) origin: Origin,
    pub(super) path: Option<PathBuf>,
    /// What the last commit wrote.
    pub(super) checkpoint: ArcSwap<Checkpoint>,
    /// Held for the whole of a commit. Whether the last one was not durable.
    pub(super) committing: Mutex<bool>,
}

/// What tells a plug-in's tables from all others of the file.
const PREFIX: &str = "table/";

/// A table's name in the plug-in's words and in the file's.
pub(super) struct TableName {
    pub(super) name: String,
    pub(super) stored: String,
}

impl PartitionState {
    /// Opens the file, or makes it with the folders above it. `tables` are the
    /// plug-in's, in its order; a file that was made for others is refused.
    /// `cache_bytes` is how much memory redb may use for this file, for pages
    /// read and pages not yet written.
    pub fn open(path: &Path, tables: &[String], cache_bytes: usize) -> Result<Self, StateError> {
        let origin = Origin::new(&path.display().to_string());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(origin.io("make its folder"))?;
        }
        let database = open_database(&origin, |builder| builder.create(path), cache_bytes)?;
        Self::with_database(database, tables, origin, Some(path.to_owned()))
    }

    /// State that lives as long as the process, for `run` and for tests.
    pub fn in_memory(tables: &[String]) -> Result<Self, StateError> {
        Self::with_backend(redb::backends::InMemoryBackend::new(), tables, 256 << 20)
    }

    /// State over any storage that redb can use; tests let it fail.
    pub(crate) fn with_backend(
        backend: impl StorageBackend,
        tables: &[String],
        cache_bytes: usize,
    ) -> Result<Self, StateError> {
        let origin = Origin::new("state in memory");
        let database = open_database(&origin, |builder| builder.create_with_backend(backend), cache_bytes)?;
        Self::with_database(database, tables, origin, None)
    }

    fn with_database(
        database: Database,
        tables: &[String],
        origin: Origin,
        path: Option<PathBuf>,
    ) -> Result<Self, StateError> {
        let names = TableName::all(tables)?;
        let checkpoint = guarded(&origin, || {
            initialise(&database, &names, tables, &origin)?;
            let read = database.begin_read().map_err(origin.failed("begin to read"))?;
            let meta = read.open_table(META).map_err(origin.failed("read the checkpoint"))?;
            meta::read_checkpoint(&meta, &origin)
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                database: Arc::new(database),
                tables: names,
                origin,
                path,
                checkpoint: ArcSwap::from_pointee(checkpoint),
                committing: Mutex::new(false),
            }),
        })
    }

    pub(super) fn of(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The checkpoint of the last commit, from memory.
    pub fn checkpoint(&self) -> Checkpoint {
        **self.inner.checkpoint.load()
    }

    /// The names of the tables, in the order of their numbers.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = &str> {
        self.inner.tables.iter().map(|table| table.name.as_str())
    }

    /// The state as it stands now, to read from; later commits do not change it.
    ///
    /// As long as it lives, the file cannot reuse the pages it may still read,
    /// so it should not be kept for long beside a busy runner.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StateError> {
        let Inner { database, tables, origin, .. } = &*self.inner;
        let read = database.begin_read().map_err(origin.failed("begin to read"))?;
        Snapshot::new(read, tables.clone(), origin.clone())
    }

    /// The state as it stands now, as the view of a version that has no other
    /// partition.
    pub fn view(&self) -> Result<View, StateError> {
        let snapshot = self.snapshot()?;
        let position = snapshot.checkpoint().position;
        Ok(View::new([Arc::new(snapshot)], Arc::default(), position))
    }

    /// All dead letters, oldest first.
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>, StateError> {
        let origin = &self.inner.origin;
        let action = "read the dead letters";
        let read = self.inner.database.begin_read().map_err(origin.failed(action))?;
        let table = read.open_table(DEAD_LETTERS).map_err(origin.failed(action))?;
        let mut letters = Vec::new();
        for entry in table.iter().map_err(origin.failed(action))? {
            let (position, bytes) = entry.map_err(origin.failed(action))?;
            let letter = rmp_serde::from_slice(bytes.value()).map_err(|_| {
                origin.damaged(format!("its dead letter at position {} is not readable", position.value()))
            })?;
            letters.push(letter);
        }
        Ok(letters)
    }

    /// How many dead letters there are.
    pub fn dead_letter_count(&self) -> Result<u64, StateError> {
        let origin = &self.inner.origin;
        let action = "count the dead letters";
        let read = self.inner.database.begin_read().map_err(origin.failed(action))?;
        let table = read.open_table(DEAD_LETTERS).map_err(origin.failed(action))?;
        table.len().map_err(origin.failed(action))
    }

    /// How much of the disk the file takes; 0 for state in memory.
    pub fn size_bytes(&self) -> u64 {
        let path = self.inner.path.as_ref();
        path.and_then(|path| std::fs::metadata(path).ok()).map_or(0, |file| disk_size(&file))
    }

    /// The file; none for state in memory.
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// Makes durable what has been committed without. Does nothing if all is.
    pub fn sync(&self) -> Result<(), StateError> {
        let pending = *self.inner.committing.lock().unwrap_or_else(PoisonError::into_inner);
        if pending {
            self.commit([], self.checkpoint().position, 0, None, Durability::Durable)?;
        }
        Ok(())
    }
}

/// redb lets a file grow by doubling it; what was never written takes no space.
fn disk_size(file: &std::fs::Metadata) -> u64 {
    #[cfg(unix)]
    let taken = std::os::unix::fs::MetadataExt::blocks(file) * 512;
    #[cfg(not(unix))]
    let taken = u64::MAX;
    taken.min(file.len())
}

/// redb's own guard for a file that it did not write is partly a panic; a
/// damaged file of one version must not take the host down.
pub(super) fn guarded<T>(
    origin: &Origin,
    open: impl FnOnce() -> Result<T, StateError>,
) -> Result<T, StateError> {
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|panic| {
        let reason = panic.downcast_ref::<String>().map(String::as_str);
        let reason = reason.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(origin.damaged(reason.unwrap_or("it could not be read")))
    })
}

/// Opens any database of this module.
pub(super) fn open_database(
    origin: &Origin,
    open: impl FnOnce(&mut Builder) -> Result<Database, redb::DatabaseError>,
    cache_bytes: usize,
) -> Result<Database, StateError> {
    guarded(origin, || {
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        open(&mut builder).map_err(origin.failed("open the file"))
    })
}

/// Makes a new file's tables, or checks that an old one has them.
fn initialise(
    database: &Database,
    names: &[TableName],
    tables: &[String],
    origin: &Origin,
) -> Result<(), StateError> {
    let action = "initialise the file";
    let write = database.begin_write().map_err(origin.failed(action))?;
    {
        let mut meta = write.open_table(META).map_err(origin.failed(action))?;
        if meta::check(&meta, tables, origin)? {
            return Ok(());
        }
        if meta.len().map_err(origin.failed(action))? > 0 {
            return Err(origin.damaged("it does not say which format it is in"));
        }
        meta::initialise(&mut meta, tables, origin)?;
        write.open_table(DEAD_LETTERS).map_err(origin.failed(action))?;
        for table in names {
            write.open_table(table.definition()).map_err(origin.failed(action))?;
        }
    }
    write.commit().map_err(origin.failed(action))
}

impl TableName {
    /// Those of a plug-in's tables.
    pub(super) fn all(tables: &[String]) -> Result<Arc<[Self]>, StateError> {
        let mut seen = HashSet::new();
        if let Some(name) = tables.iter().find(|name| !seen.insert(*name)) {
            return Err(StateError::TableTwice { name: name.clone() });
        }
        let table = |name: &String| Self { name: name.clone(), stored: format!("{PREFIX}{name}") };
        Ok(tables.iter().map(table).collect())
    }

    /// Whether a table of the file is a plug-in's.
    pub(super) fn is_plugins(stored: &str) -> bool {
        stored.starts_with(PREFIX)
    }

    pub(super) fn definition(&self) -> redb::TableDefinition<'_, &'static [u8], &'static [u8]> {
        redb::TableDefinition::new(&self.stored)
    }
}
