//! How often each file changes, as `examples/git-history/churn` folds it.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Changes, Fold, NativeEvent, Rows};

#[derive(Deserialize)]
struct FileChanged {
    author: String,
}

#[derive(Default, Serialize)]
struct Churn {
    changes: u64,
    last_author: String,
    /// What the index has.
    #[serde(skip)]
    indexed: Option<u64>,
}

#[derive(Default)]
pub(crate) struct FileChurn {
    files: Rows<String, Churn>,
}

impl Fold for FileChurn {
    const TYPES: &'static [&'static str] =
        &["git.file.added", "git.file.modified", "git.file.renamed", "git.file.deleted"];

    fn apply(&mut self, event: &NativeEvent<'_>) -> Result<()> {
        let data: FileChanged = serde_json::from_slice(event.data)?;
        let file = self.files.entry(event.subject);
        file.changes += 1;
        file.last_author = data.author;
        Ok(())
    }

    fn flush(&mut self, changes: &mut Changes) -> Result<()> {
        self.files.each_changed(|file, churn| {
            let Some(churn) = churn else { return };
            if churn.indexed != Some(churn.changes) {
                if let Some(old) = churn.indexed {
                    changes.remove(1, &(old, file.clone()));
                }
                changes.put_empty(1, &(churn.changes, file.clone()));
                churn.indexed = Some(churn.changes);
            }
        });
        self.files.flush(0, changes)
    }

    fn dirty_bytes(&self) -> usize {
        2 * self.files.dirty_bytes()
    }
}
