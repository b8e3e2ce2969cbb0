//! Commits of old give their author as name and pseudonym, as commits do today.

use std::borrow::Cow;

use projectionist_sdk::prelude::*;

/// A commit as it was recorded at first: `"author": "ann-0042"`.
#[derive(Deserialize)]
struct Commit<'a> {
    #[serde(borrow)]
    author: Cow<'a, str>,
    #[serde(borrow)]
    summary: Cow<'a, str>,
    #[serde(borrow)]
    parents: Vec<Cow<'a, str>>,
    files: u64,
}

/// A commit as it is recorded today. It still says `author`, for those who read that.
#[derive(Serialize)]
struct SplitCommit<'a> {
    name: String,
    /// The number behind the name, if there is one.
    pseudonym: Option<String>,
    author: Cow<'a, str>,
    summary: Cow<'a, str>,
    parents: Vec<Cow<'a, str>>,
    files: u64,
}

struct SplitAuthor;

/// Commits of old give their author as name and pseudonym, as commits do today.
#[upcaster]
impl SplitAuthor {
    #[upcast(from("git.commit.authored"), to("git.commit.authored", "/schemas/git.commit.authored/2"))]
    fn split(commit: Commit<'_>) -> SplitCommit<'_> {
        let Commit { author, summary, parents, files } = commit;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (name, pseudonym) = match author.rsplit_once('-') {
            Some((name, number)) if is_number(number) => (name.to_owned(), Some(number.to_owned())),
            _ => (author.clone().into_owned(), None),
        };
        SplitCommit { name, pseudonym, author, summary, parents, files }
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::{UpcasterHarness, event};

    use super::*;

    #[test]
    fn a_number_behind_a_name_is_a_pseudonym() {
        let old = |author: &str| json!({"author": author, "summary": "\"Ü\"", "parents": ["c0"], "files": 3});
        let made = |author: &str| {
            let commit = event("git.commit.authored").data(old(author));
            UpcasterHarness::<SplitAuthor>::new().upcast(commit)
        };
        let split = |author: &str, name: &str, pseudonym: Option<&str>| {
            let mut new = old(author);
            (new["name"], new["pseudonym"]) = (json!(name), json!(pseudonym));
            new
        };
        assert_eq!(made("ann-0042"), [split("ann-0042", "ann", Some("0042"))]);
        assert_eq!(made("Jean-Luc"), [split("Jean-Luc", "Jean-Luc", None)]);
        assert_eq!(made("ann-"), [split("ann-", "ann-", None)]);
    }
}
