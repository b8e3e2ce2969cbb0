//! How many commits each day sees.

use projectionist_sdk::prelude::*;

#[derive(Deserialize)]
struct Authored {
    author: String,
    files: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Day {
    commits: u64,
    files: u64,
    authors: u64,
}

/// How many commits each day sees, by the time at which they were made.
#[derive(Projection)]
struct CommitsPerDay {
    #[index(by_commits: u64 = commits)]
    days: Table<Date, Day>,
    /// Who committed on which day, how often.
    authors: Table<(Date, String), u64>,
}

#[projection]
impl CommitsPerDay {
    #[on("git.commit.authored")]
    fn committed(&mut self, event: &Event, data: Authored) {
        let date = event.time().date();
        let by_author = self.authors.entry((date, data.author));
        *by_author += 1;
        let is_first = *by_author == 1;
        let day = self.days.entry(date);
        day.commits += 1;
        day.files += data.files;
        day.authors += u64::from(is_first);
    }

    /// The days with the most commits.
    #[query]
    fn busiest(&self, limit: usize) -> Vec<(Date, Ref<'_, Day>)> {
        self.days_by_commits().iter().rev().take(limit).collect()
    }

    /// The days of a period, the last included.
    #[query]
    fn between(&self, first: Date, last: Date) -> Vec<(Date, Ref<'_, Day>)> {
        self.days.range(first..=last).collect()
    }

    /// How many commits each day of the week saw, from Monday to Sunday.
    #[query]
    fn by_weekday(&self) -> [u64; 7] {
        self.days.iter().fold([0; 7], |mut counts, (date, day)| {
            counts[usize::from(date.weekday()) - 1] += day.commits;
            counts
        })
    }
}

#[cfg(test)]
mod tests {
    use projectionist_sdk::harness::{Harness, event};

    use super::*;

    #[test]
    fn counts_by_the_day_of_the_commit() {
        let mut harness = Harness::<CommitsPerDay>::new();
        let commit = |author, files, time| {
            event("git.commit.authored").data(json!({"author": author, "files": files})).time(time)
        };
        harness
            .fold(commit("ann", 3, "2024-05-02T23:59:59Z"))
            .fold(commit("ann", 1, "2024-05-02T00:00:00Z"))
            .fold(commit("bob", 1, "2024-05-02T02:00:00+02:00"))
            .fold(commit("bob", 2, "2024-05-01T10:00:00Z"));
        let second = json!(["2024-05-02", {"commits": 3, "files": 5, "authors": 2}]);
        assert_eq!(harness.query("busiest", json!({"limit": 1})), json!([second]));
        assert_eq!(
            harness.query("between", json!({"first": "2024-05-02", "last": "2024-06-01"})),
            json!([second])
        );
        assert_eq!(harness.query("by_weekday", json!({})), json!([0, 0, 1, 3, 0, 0, 0]));
        harness.check_replay();
    }
}
