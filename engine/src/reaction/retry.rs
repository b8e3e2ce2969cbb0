//! When a failed event is tried again, and when it is given up.

use std::time::Duration;

use crate::{
    event::{Position, Timestamp},
    plugin::Retries,
    state::Waiting,
};

/// What follows a failure.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Again(Waiting),
    /// It has been tried often or long enough.
    GiveUp,
}

/// An event has failed now, for the first time or again. `chance`: from 0 to 1,
/// chosen at random; events that failed together are not tried again together.
pub(super) fn after_failure(
    retries: &Retries,
    position: Position,
    before: Option<&Waiting>,
    now: Timestamp,
    reason: String,
    chance: f64,
) -> Verdict {
    let attempts = before.map_or(0, |before| before.attempts).saturating_add(1);
    let since = before.map_or(now, |before| before.since);
    let tried_for = now.as_micros().saturating_sub(since.as_micros());
    if attempts >= retries.attempts || u128::try_from(tried_for).unwrap_or(0) >= retries.total.as_micros() {
        return Verdict::GiveUp;
    }
    let delay = delay(retries, attempts, chance).as_micros();
    let next = now.as_micros().saturating_add(i64::try_from(delay).unwrap_or(i64::MAX));
    Verdict::Again(Waiting { position, attempts, since, next: Timestamp::from_micros(next), reason })
}

/// An event could not even be tried: it is once that is possible again, and this does
/// not count as an attempt.
pub(super) fn when_possible(
    position: Position,
    before: Option<&Waiting>,
    now: Timestamp,
    next: Timestamp,
    reason: String,
) -> Waiting {
    let (attempts, since) = before.map_or((0, now), |before| (before.attempts, before.since));
    // How long it is tried counts from its first own failure.
    let since = if attempts == 0 { now } else { since };
    Waiting { position, attempts, since, next, reason }
}

/// How long to wait after so many attempts.
fn delay(retries: &Retries, attempts: u32, chance: f64) -> Duration {
    let steps = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
    let grown = retries.first.as_secs_f64() * retries.factor.powi(steps);
    let capped = grown.min(retries.most.as_secs_f64());
    // Between so much less and so much more.
    let jittered = capped * (1.0 + retries.jitter * (2.0 * chance - 1.0));
    Duration::try_from_secs_f64(jittered).unwrap_or(retries.most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: Retries = Retries {
        first: Duration::from_secs(1),
        factor: 2.0,
        most: Duration::from_secs(10),
        jitter: 0.5,
        attempts: 7,
        total: Duration::from_secs(100),
    };

    #[test]
    fn delays_grow_up_to_the_longest_and_vary() {
        let seconds = |attempts, chance| delay(&RETRIES, attempts, chance).as_secs_f64();
        assert_eq!(
            [1, 2, 3, 4, 5, 1_000].map(|attempts| seconds(attempts, 0.5)),
            [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
        );
        assert_eq!([0.0, 1.0].map(|chance| seconds(2, chance)), [1.0, 3.0]);
    }

    #[test]
    fn an_event_is_given_up_after_so_many_attempts_or_so_long() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let fail =
            |before: Option<&Waiting>, now| after_failure(&RETRIES, 3, before, at(now), "down".into(), 0.5);
        let Verdict::Again(first) = fail(None, 10) else { panic!("tried once") };
        assert_eq!((first.attempts, first.since, first.next), (1, at(10), at(11)));
        let Verdict::Again(second) = fail(Some(&first), 20) else { panic!("tried twice") };
        assert_eq!((second.attempts, second.since, second.next), (2, at(10), at(22)));
        assert_eq!(fail(Some(&second), 110), Verdict::GiveUp, "too long");
        let often = Waiting { attempts: 6, ..second };
        assert_eq!(fail(Some(&often), 30), Verdict::GiveUp, "too often");
    }
}
