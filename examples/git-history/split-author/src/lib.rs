//! Commits of old give their author as name and pseudonym, as commits do today.

use std::collections::BTreeMap;

use projectionist_sdk::prelude::*;

/// A commit as it was recorded at first: `"author": "ann-0042"`.
#[derive(Deserialize)]
struct Commit {
    author: String,
    /// All that stays as it is.
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// A commit as it is recorded today. It still says `author`, for those who read that.
#[derive(Serialize)]
struct SplitCommit {
    name: String,
    /// The number behind the name, if there is one.
    pseudonym: Option<String>,
    author: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

struct SplitAuthor;

/// Commits of old give their author as name and pseudonym, as commits do today.
#[upcaster]
impl SplitAuthor {
    #[upcast(from("git.commit.authored"), to("git.commit.authored", "/schemas/git.commit.authored/2"))]
    fn split(commit: Commit) -> SplitCommit {
        let Commit { author, rest } = commit;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (name, pseudonym) = match author.rsplit_once('-') {
            Some((name, number)) if is_number(number) => (name.to_owned(), Some(number.to_owned())),
            _ => (author.clone(), None),
        };
        SplitCommit { name, pseudonym, author, rest }
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::{UpcasterHarness, event};

    use super::*;

    #[test]
    fn a_number_behind_a_name_is_a_pseudonym() {
        let made = |author: &str| {
            let commit = event("git.commit.authored").data(json!({"author": author, "files": 3}));
            UpcasterHarness::<SplitAuthor>::new().upcast(commit)
        };
        let split = |author: &str, name: &str, pseudonym: Option<&str>| json!({"name": name, "pseudonym": pseudonym, "author": author, "files": 3});
        assert_eq!(made("ann-0042"), [split("ann-0042", "ann", Some("0042"))]);
        assert_eq!(made("Jean-Luc"), [split("Jean-Luc", "Jean-Luc", None)]);
        assert_eq!(made("ann-"), [split("ann-", "ann-", None)]);
    }
}
