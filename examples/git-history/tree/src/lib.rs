//! The files of a repository as they stand.

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct FileChanged {
    commit: String,
    blob: String,
}

#[derive(Deserialize)]
struct FileRenamed {
    commit: String,
    blob: String,
    from: String,
}

#[derive(Serialize, Deserialize)]
struct File {
    blob: String,
    /// The commit that last changed it.
    commit: String,
}

/// The files of a repository as they stand, and how many each folder holds.
#[derive(Projection)]
struct Tree {
    files: Table<String, File>,
    /// What lies in each folder, by folder and name; the topmost folder is "".
    entries: Table<(String, String), Entry>,
}

#[derive(Default, Serialize, Deserialize)]
struct Entry {
    /// How many files it is or holds: 1 for a file.
    files: u64,
    is_folder: bool,
}

#[projection]
impl Tree {
    #[on("git.file.added", "git.file.modified")]
    fn written(&mut self, event: &Event, data: FileChanged) {
        self.put(event.subject(), File { blob: data.blob, commit: data.commit });
    }

    #[on("git.file.renamed")]
    fn renamed(&mut self, event: &Event, data: FileRenamed) {
        self.remove(&data.from);
        self.put(event.subject(), File { blob: data.blob, commit: data.commit });
    }

    #[on("git.file.deleted")]
    fn deleted(&mut self, event: &Event) {
        self.remove(event.subject());
    }

    fn put(&mut self, path: &str, file: File) {
        if !self.files.contains(path) {
            for (folder, name) in folders_of(path) {
                let entry = self.entries.entry((folder, name));
                entry.files += 1;
                entry.is_folder =
                    folder.len() + name.len() + 1 < path.len() || (folder.is_empty() && name != path);
            }
        }
        self.files.insert(path, file);
    }

    fn remove(&mut self, path: &str) {
        // A history with branches may remove a file twice.
        if self.files.take(path).is_none() {
            return;
        }
        for key in folders_of(path) {
            let is_empty = self.entries.get_mut(key).is_some_and(|entry| {
                entry.files -= 1;
                entry.files == 0
            });
            if is_empty {
                self.entries.remove(key);
            }
        }
    }

    /// What lies in a folder, by name; without a folder, in the topmost one.
    #[query]
    fn list(&self, folder: Option<String>) -> Result<Vec<(String, Ref<'_, Entry>)>, QueryError> {
        let folder = folder.unwrap_or_default();
        let folder = folder.trim_end_matches('/');
        let entries: Vec<_> = self.entries.prefix(folder).map(|((_, name), entry)| (name, entry)).collect();
        if entries.is_empty() && !folder.is_empty() { Err(QueryError::NotFound) } else { Ok(entries) }
    }

    /// The files whose paths begin so.
    #[query]
    fn find(&self, path: &str, limit: Option<usize>) -> Vec<String> {
        self.files.starts_with(path).take(limit.unwrap_or(100)).map(|(path, _)| path).collect()
    }
}

/// The folders that a path lies in, each with the name of what in it leads to
/// the path: `("", "src")`, `("src", "lib.rs")` for `src/lib.rs`.
fn folders_of(path: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    ends.scan(0, |start, end| {
        let begin = std::mem::replace(start, end + 1);
        Some((&path[..begin.saturating_sub(1)], &path[begin..end]))
    })
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    fn harness() -> Harness<Tree> {
        let mut harness = Harness::new();
        let file = |blob| json!({"commit": "c1", "author": "ann", "blob": blob});
        harness
            .event("git.file.added", "README.md", file("1"))
            .event("git.file.added", "src/lib.rs", file("2"))
            .event("git.file.added", "src/log/mod.rs", file("3"))
            .event("git.file.modified", "src/lib.rs", file("4"));
        harness
    }

    #[test]
    fn lists_folders() {
        let mut harness = harness();
        let file = json!({"files": 1, "is_folder": false});
        let folder = |files: u64| json!({"files": files, "is_folder": true});
        assert_eq!(harness.query("list", json!({})), json!([["README.md", file], ["src", folder(2)]]));
        let src = json!([["lib.rs", file], ["log", folder(1)]]);
        assert_eq!(harness.query("list", json!({"folder": "src"})), src);
        assert_eq!(harness.try_query("list", json!({"folder": "docs"})), Err(QueryError::NotFound));
        assert_eq!(harness.query("find", json!({"path": "src/l"})), json!(["src/lib.rs", "src/log/mod.rs"]));
        harness.check_replay();
    }

    #[test]
    fn a_renamed_file_leaves_its_old_place() {
        let mut harness = harness();
        harness
            .event(
                "git.file.renamed",
                "log/mod.rs",
                json!({"commit": "c2", "author": "bob", "blob": "3", "from": "src/log/mod.rs"}),
            )
            .event("git.file.deleted", "README.md", json!({"commit": "c2", "author": "bob"}))
            .event("git.file.deleted", "README.md", json!({"commit": "c3", "author": "bob"}));
        assert_eq!(
            harness.rows("files"),
            [
                (json!("log/mod.rs"), json!({"blob": "3", "commit": "c2"})),
                (json!("src/lib.rs"), json!({"blob": "4", "commit": "c1"})),
            ]
        );
        let keys: Vec<_> = harness.rows("entries").into_iter().map(|(key, _)| key).collect();
        assert_eq!(json!(keys), json!([["", "log"], ["", "src"], ["log", "mod.rs"], ["src", "lib.rs"]]));
        harness.check_replay();
    }
}
