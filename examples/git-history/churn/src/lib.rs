//! How often each file changes, and at whose hands.

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct FileChanged {
    author: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Churn {
    changes: u64,
    added: u64,
    deleted: u64,
    renamed: u64,
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
    #[on("git.file.modified")]
    fn modified(&mut self, event: &Event, data: FileChanged) {
        let file = self.files.entry(event.subject());
        file.changes += 1;
        file.last_author = data.author;
    }

    #[on("git.file.added", "git.file.deleted", "git.file.renamed")]
    fn came_or_went(&mut self, event: &Event, data: FileChanged) {
        let file = self.files.entry(event.subject());
        match event.event_type() {
            "git.file.added" => file.added += 1,
            "git.file.deleted" => file.deleted += 1,
            _ => file.renamed += 1,
        }
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
            json!([["src/lib.rs", {"changes": 2, "added": 1, "deleted": 0, "renamed": 0, "last_author": "bob"}]])
        );
        harness.read(|churn| assert_eq!(churn.files.get("README.md").unwrap().deleted, 1));
        harness.check_replay();
    }
}
