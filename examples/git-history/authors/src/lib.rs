//! Who works on a repository, and on how much of it.

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct Authored {
    author: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Author {
    commits: u64,
    /// How often one of the author's commits touched a file.
    file_changes: u64,
    /// How many different files the author touched.
    files: u64,
    first: Timestamp,
    last: Timestamp,
}

/// Who works on a repository, and on how much of it.
#[derive(Projection)]
struct Authors {
    #[index(by_commits: u64 = commits)]
    authors: Table<String, Author>,
    /// How often each author touched each file.
    touched: Table<(String, String), u64>,
}

#[projection]
impl Authors {
    #[on("git.commit.authored")]
    fn committed(&mut self, event: &Event, data: Authored) {
        let time = event.time();
        let author = self.authors.entry(&data.author);
        if author.commits == 0 || time < author.first {
            author.first = time;
        }
        author.last = author.last.max(time);
        author.commits += 1;
    }

    #[on("git.file.added", "git.file.modified", "git.file.renamed", "git.file.deleted")]
    fn touched(&mut self, event: &Event, data: Authored) {
        let touched = self.touched.entry((&data.author, event.subject()));
        *touched += 1;
        let is_first = *touched == 1;
        let author = self.authors.entry(&data.author);
        author.file_changes += 1;
        author.files += u64::from(is_first);
    }

    /// The authors with the most commits.
    #[query]
    fn busiest(&self, limit: usize) -> Vec<(String, Ref<'_, Author>)> {
        self.authors_by_commits().iter().rev().take(limit).collect()
    }

    /// The files that an author touched most often.
    #[query]
    fn files_of(&self, author: &str, limit: Option<usize>) -> Result<Vec<(String, u64)>, QueryError> {
        if !self.authors.contains(author) {
            return Err(QueryError::NotFound);
        }
        let mut files: Vec<_> =
            self.touched.prefix(author).map(|((_, file), count)| (file, *count)).collect();
        files.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        files.truncate(limit.unwrap_or(10));
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::{Harness, event};

    use super::*;

    #[test]
    fn counts_commits_and_files_by_author() {
        let mut harness = Harness::<Authors>::new();
        let commit = |author, time| event("git.commit.authored").data(json!({"author": author})).time(time);
        harness
            .fold(commit("ann", "2024-05-02T00:00:00Z"))
            .event("git.file.added", "a.rs", json!({"author": "ann"}))
            .event("git.file.added", "b.rs", json!({"author": "ann"}))
            .fold(commit("bob", "2024-05-03T00:00:00Z"))
            .event("git.file.modified", "a.rs", json!({"author": "bob"}))
            .fold(commit("ann", "2024-05-01T00:00:00Z"))
            .event("git.file.deleted", "b.rs", json!({"author": "ann"}));
        let ann = json!({
            "commits": 2,
            "file_changes": 3,
            "files": 2,
            "first": "2024-05-01T00:00:00Z",
            "last": "2024-05-02T00:00:00Z",
        });
        assert_eq!(harness.query("busiest", json!({"limit": 1})), json!([["ann", ann]]));
        assert_eq!(harness.query("files_of", json!({"author": "ann"})), json!([["b.rs", 2], ["a.rs", 1]]));
        assert_eq!(harness.try_query("files_of", json!({"author": "eve"})), Err(QueryError::NotFound));
        harness.check_replay();
    }
}
