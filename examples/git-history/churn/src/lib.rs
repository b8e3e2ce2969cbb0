//! How often each file changes, and at whose hands.

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct FileChanged {
    author: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Churn {
    /// Added, modified, renamed to, deleted: each counts.
    changes: u64,
    last_author: String,
}

/// How often each file changes, and at whose hands.
#[derive(Projection)]
struct FileChurn {
    #[index(by_changes: u64 = changes)]
    files: Table<String, Churn>,
}

#[projection]
impl FileChurn {
    #[on("git.file.added", "git.file.modified", "git.file.renamed", "git.file.deleted")]
    fn changed(&mut self, event: &Event, data: FileChanged) {
        let file = self.files.entry(event.subject());
        file.changes += 1;
        file.last_author = data.author;
    }

    /// The files that changed most often.
    #[query]
    fn hottest(&self, limit: usize) -> Vec<(String, Ref<'_, Churn>)> {
        self.files_by_changes().iter().rev().take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn counts_changes_by_file() {
        let mut harness = Harness::<FileChurn>::new();
        harness
            .event("git.file.added", "src/lib.rs", json!({"author": "ann"}))
            .event("git.file.modified", "src/lib.rs", json!({"author": "ann"}))
            .event("git.file.modified", "README.md", json!({"author": "ann"}))
            .event("git.file.modified", "src/lib.rs", json!({"author": "bob"}))
            .event("git.file.deleted", "README.md", json!({"author": "bob"}));

        assert_eq!(
            harness.query("hottest", json!({"limit": 1})),
            json!([["src/lib.rs", {"changes": 3, "last_author": "bob"}]])
        );
        assert_eq!(
            harness.rows("files.by_changes"),
            [(json!([2, "README.md"]), json!(null)), (json!([3, "src/lib.rs"]), json!(null)),]
        );
        harness.check_replay();
    }
}
