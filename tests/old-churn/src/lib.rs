//! The churn of `examples/git-history` with a mistake: it knows no renames. What the
//! example makes of the same history shows what the mistake has led to.

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct FileChanged {
    author: String,
}

/// How often a file has changed.
#[derive(Default, Serialize, Deserialize)]
pub struct Churn {
    changes: u64,
    last_author: String,
}

/// How often each file changes, and at whose hands.
#[derive(Projection)]
pub struct OldChurn {
    #[index(by_changes: u64 = changes)]
    files: Table<String, Churn>,
}

#[projection]
impl OldChurn {
    #[on("git.file.added", "git.file.modified", "git.file.deleted")]
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
