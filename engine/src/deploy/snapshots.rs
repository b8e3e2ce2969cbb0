//! Snapshots: states that are kept in the background, so that looking back need not fold all of
//! history again.
//!
//! They are taken at a spacing and thin out with age: of what was long ago there are fewer, and
//! never do they take more of the disk than they may.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::supervisor::Context;
use crate::{event::Position, projection::Version, state::KeptState};

/// How much wider the gaps may be the older they are: so many would fit between one and the
/// head.
const THINNING: u64 = 4;

/// Takes snapshots of a version until it is dropped.
pub(super) struct Snapshots(JoinHandle<()>);

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Snapshots {
    /// Takes snapshots of a version that folds, as its settings say.
    pub(super) fn of(context: &Arc<Context>, version: &Arc<Version>) -> Self {
        Self(tokio::spawn(take(Arc::clone(context), Arc::clone(version))))
    }
}

async fn take(context: Arc<Context>, version: Arc<Version>) {
    let policies = &version.plugin().settings().policies;
    let (every, disk) = (policies.snapshot_every, policies.snapshot_disk);
    if every == 0 {
        return;
    }
    let (name, digest) = (version.name().to_owned(), version.digest().to_owned());
    let mut last = context.store.snapshots(&name, &digest).last().map_or(0, |kept| kept.position);
    let mut progress = version.progress();
    while progress.wait_for(|progress| progress.position >= last.saturating_add(every)).await.is_ok() {
        // One at a time, whatever how many versions there are.
        let Ok(alone) = Arc::clone(&context.snapshotting).acquire_owned().await else { return };
        let Ok(view) = version.state().view() else { continue };
        last = view.position();
        let (context, name, digest) = (Arc::clone(&context), name.clone(), digest.clone());
        let head = context.log.head();
        let taken = tokio::task::spawn_blocking(move || {
            // It goes on to its end, also when nobody waits for it any more.
            let _alone = alone;
            context.store.take_snapshot(&name, &digest, &view)?;
            let kept = context.store.snapshots(&name, &digest);
            superfluous(&kept, head, every, disk)
                .into_iter()
                .try_for_each(|position| context.store.drop_snapshot(&name, &digest, position))
        });
        match taken.await {
            Ok(Ok(())) => tracing::debug!(plugin = version.name(), position = last, "a snapshot"),
            Ok(Err(error)) => {
                tracing::warn!(plugin = version.name(), position = last, %error, "no snapshot was taken");
            }
            Err(_) => return,
        }
    }
}

/// Which snapshots to give up; they come with the earliest first.
fn superfluous(kept: &[KeptState], head: Position, spacing: u64, disk: u64) -> Vec<Position> {
    let mut kept = kept.to_vec();
    let mut given_up = Vec::new();
    // The gap that one leaves that goes.
    let gap = |kept: &[KeptState], index: usize| {
        let before = index.checked_sub(1).map_or(0, |before| kept[before].position);
        let after = kept.get(index + 1).map_or(head, |after| after.position);
        after.saturating_sub(before)
    };
    let age = |snapshot: KeptState| head.saturating_sub(snapshot.position);
    let mut index = 0;
    while index + 1 < kept.len() {
        match gap(&kept, index) <= (age(kept[index]) / THINNING).max(spacing) {
            true => given_up.push(kept.remove(index).position),
            false => index += 1,
        }
    }
    while kept.iter().map(|snapshot| snapshot.bytes).sum::<u64>() > disk {
        // The one that is missed least, for its age; the newest goes last.
        let missed = |index: &usize| {
            let share = u128::from(gap(&kept, *index)) * 1_000 / u128::from(age(kept[*index]).max(spacing));
            (index + 1 == kept.len(), share)
        };
        let Some(index) = (0..kept.len()).min_by_key(missed) else { break };
        given_up.push(kept.remove(index).position);
    }
    given_up
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn snapshots(positions: &[u64]) -> Vec<KeptState> {
        positions.iter().map(|position| KeptState { position: *position, bytes: 10 }).collect()
    }

    /// What is left when one is taken at every spacing, and the superfluous go each time.
    fn left(count: u64, spacing: u64, disk: u64) -> Vec<u64> {
        let mut kept = Vec::new();
        for number in 1..=count {
            kept.push(KeptState { position: number * spacing, bytes: 10 });
            let gone = superfluous(&kept, number * spacing, spacing, disk);
            kept.retain(|snapshot| !gone.contains(&snapshot.position));
        }
        kept.into_iter().map(|snapshot| snapshot.position).collect()
    }

    #[test]
    fn they_thin_out_with_age() {
        let left = left(1_000, 10, u64::MAX);
        assert_eq!(left.last(), Some(&10_000), "the newest stays");
        assert!(left.len() < 60, "{left:?}");
        for pair in left.windows(2) {
            let allowed = ((10_000 - pair[0]) / THINNING).max(20);
            assert!(pair[1] - pair[0] <= allowed, "a gap from {} to {}: {left:?}", pair[0], pair[1]);
        }
    }

    #[test]
    fn without_room_there_is_none() {
        assert_eq!(superfluous(&snapshots(&[10, 20]), 25, 10, 0).len(), 2);
        assert_eq!(superfluous(&snapshots(&[10, 20]), 25, 10, 15), [10]);
        assert!(superfluous(&[], 25, 10, 0).is_empty());
    }

    proptest! {
        #[test]
        fn they_never_take_more_than_they_may(count in 1_u64..200, spacing in 1_u64..1_000, disk in 0_u64..200) {
            let left = left(count, spacing, disk);
            prop_assert!(left.len() as u64 * 10 <= disk);
            prop_assert!(disk < 10 || left.last() == Some(&(count * spacing)));
        }
    }
}
