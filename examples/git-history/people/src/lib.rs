//! Who is behind each pseudonym, and how many commits they made.
//!
//! It reads commits as they are recorded today; `split-author` gives old ones that shape.

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct Commit {
    name: String,
    pseudonym: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
struct Person {
    name: String,
    commits: u64,
}

/// Who is behind each pseudonym, and how many commits they made.
#[derive(Projection)]
struct People {
    /// By pseudonym; those without one, by name.
    people: Table<String, Person>,
}

#[projection]
impl People {
    #[on("git.commit.authored")]
    fn committed(&mut self, _event: &Event, commit: Commit) {
        let Commit { name, pseudonym } = commit;
        let person = self.people.entry(pseudonym.as_ref().unwrap_or(&name));
        person.name = name;
        person.commits += 1;
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::Harness;

    use super::*;

    #[test]
    fn counts_commits_by_pseudonym() {
        let mut harness = Harness::<People>::new();
        harness
            .event("git.commit.authored", "c1", json!({"name": "ann", "pseudonym": "0042"}))
            .event("git.commit.authored", "c2", json!({"name": "bob", "pseudonym": null}))
            .event("git.commit.authored", "c3", json!({"name": "ann", "pseudonym": "0042"}));
        let person = |pseudonym: &str, name: &str, commits: u64| {
            (json!(pseudonym), json!({"name": name, "commits": commits}))
        };
        assert_eq!(harness.rows("people"), [person("0042", "ann", 2), person("bob", "bob", 1)]);
        harness.check_replay();
    }
}
