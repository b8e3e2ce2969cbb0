//! What is removed from the folder of compiled components, and when.
//!
//! Whatever is missing is compiled again, so this may be wrong about what is
//! still needed. What cannot be removed now is tried again at the next start.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::event::Timestamp;

/// An entry that nobody has loaded for so long is not needed any more.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How large the folder may become.
const BYTES: u64 = 1 << 30;
/// A temporary file that is so old was left behind by a process that was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

/// How an entry's file name ends.
pub(super) const ENDING: &str = "cwasm";

/// A file of the folder.
struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// Removes what no host like this one can load: entries of other versions of
/// the program or other processors, and halves of entries.
pub(super) fn remove_foreign(folder: &Path, fingerprint: &str, now: Timestamp) {
    let ours = format!("-{fingerprint}.{ENDING}");
    for entry in entries(folder) {
        let name = entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let foreign = is_entry(&entry.path) && !name.ends_with(&ours);
        let left_behind = name.starts_with(".tmp") && unused_for(&entry, now) > LEFT_BEHIND;
        if foreign || left_behind {
            remove(&entry.path);
        }
    }
}

/// Removes entries that have not been used for long.
pub(super) fn remove_unused(folder: &Path, now: Timestamp) {
    let entries = entries(folder).into_iter().filter(|entry| is_entry(&entry.path));
    entries.filter(|entry| unused_for(entry, now) > UNUSED).for_each(|entry| remove(&entry.path));
}

/// Removes entries until the folder is small enough, the least recently used
/// ones first.
pub(super) fn bound(folder: &Path) {
    bound_to(folder, BYTES);
}

fn bound_to(folder: &Path, bytes: u64) {
    let mut entries = entries(folder);
    entries.retain(|entry| is_entry(&entry.path));
    let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
    entries.sort_by_key(|entry| entry.used);
    for entry in entries {
        if total <= bytes {
            break;
        }
        remove(&entry.path);
        total -= entry.bytes;
    }
}

/// Notes that an entry has been used. If that cannot be written, it is removed
/// sooner than it need be.
pub(super) fn touch(path: &Path, now: Timestamp) {
    let file = fs::File::options().append(true).open(path);
    let touched = file.and_then(|file| file.set_modified(moment(now)));
    if let Err(error) = touched {
        tracing::debug!("the use of {} is not noted: {error}", path.display());
    }
}

/// Removes a file that may be there.
pub(super) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => tracing::debug!("removed compiled code that is not needed: {}", path.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("compiled code cannot be removed: {}: {error}", path.display()),
    }
}

fn entries(folder: &Path) -> Vec<Entry> {
    // There is no folder before the first entry.
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let entry = |file: fs::DirEntry| {
        let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
        Some(Entry { path: file.path(), bytes: metadata.len(), used: metadata.modified().ok()? })
    };
    files.filter_map(entry).collect()
}

fn is_entry(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == ENDING)
}

fn unused_for(entry: &Entry, now: Timestamp) -> Duration {
    // A file from the future has just been used.
    moment(now).duration_since(entry.used).unwrap_or_default()
}

fn moment(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// A folder with files of 10 bytes, used so many days ago.
    fn folder(files: &[(&str, u32)], now: Timestamp) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, days) in files {
            let path = folder.path().join(name);
            fs::write(&path, [0; 10]).unwrap();
            let file = fs::File::options().append(true).open(path).unwrap();
            file.set_modified(moment(now) - DAY * *days).unwrap();
        }
        folder
    }

    fn left(folder: &tempfile::TempDir) -> Vec<String> {
        let files = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn what_another_host_compiled_is_removed() {
        let files =
            [("a-ours.cwasm", 90), ("a-other.cwasm", 0), (".tmpOld", 1), (".tmpNew", 0), ("README", 90)];
        let folder = folder(&files, now());
        remove_foreign(folder.path(), "ours", now());
        assert_eq!(left(&folder), [".tmpNew", "README", "a-ours.cwasm"]);
        remove_foreign(&folder.path().join("none"), "ours", now());
    }

    #[test]
    fn what_nobody_used_for_long_is_removed() {
        let folder =
            folder(&[("a-x.cwasm", 29), ("b-x.cwasm", 31), ("c-x.cwasm", 31), ("README", 90)], now());
        touch(&folder.path().join("b-x.cwasm"), now());
        remove_unused(folder.path(), now());
        assert_eq!(left(&folder), ["README", "a-x.cwasm", "b-x.cwasm"]);
    }

    #[test]
    fn a_folder_that_is_too_large_loses_what_was_used_least_recently() {
        let folder = folder(&[("a-x.cwasm", 1), ("b-x.cwasm", 3), ("c-x.cwasm", 2), ("README", 90)], now());
        bound_to(folder.path(), 30);
        assert_eq!(left(&folder).len(), 4);
        bound_to(folder.path(), 19);
        assert_eq!(left(&folder), ["README", "a-x.cwasm"]);
    }
}
