//! The search for the first event after which two ways differ.
//!
//! It compares what comes of the reference (each event in a fresh instance) with what comes of
//! the suspects, at one position after another: first at ever later ones, until they differ, then
//! by halving what is left. The reference has nothing but its tables from one event to the next,
//! so it can go on from where it last agreed. A suspect cannot: what it keeps outside its tables
//! would begin anew. So it is folded from the beginning each time.
//!
//! States can come to agree again, by chance or because a row is overwritten. So what is found is an
//! event after which they differ while they agreed before it: nearly always, but not surely, the
//! first.

use super::fold::{Folder, Made, Resting, Trouble};
use crate::event::Position;

/// Where it is looked first.
const FIRST: Position = 64;
/// How many times further it is looked next, as long as all agree.
const FURTHER: u64 = 4;

/// Two folds that differ after an event.
pub(super) struct Found {
    pub(super) position: Position,
    pub(super) reference: Made,
    pub(super) suspect: Made,
    /// Which of the suspects.
    pub(super) which: usize,
}

/// An event, up to a position, after which the reference and one of the suspects differ, while
/// they agreed before it. None: they do not.
pub(super) async fn search(
    reference: &Folder<'_>,
    suspects: &[Folder<'_>],
    to: Position,
) -> Result<Option<Found>, Trouble> {
    let (mut agreed, mut resting, mut next) = (0, None::<Resting>, FIRST);
    let mut found = None::<Found>;
    loop {
        let at = match &found {
            Some(found) if found.position == agreed + 1 => break,
            Some(found) => agreed.midpoint(found.position),
            None if agreed == to => break,
            None => next.min(to),
        };
        let made = reference.fold(resting.as_ref(), at).await?;
        match differs(&made, suspects, at).await? {
            Some((which, suspect)) => {
                found = Some(Found { position: at, reference: made, suspect, which });
            }
            None => (agreed, next, resting) = (at, at.saturating_mul(FURTHER), Some(made.rest())),
        }
    }
    Ok(found)
}

/// The first of the suspects that is not like the reference at a position.
async fn differs(
    reference: &Made,
    suspects: &[Folder<'_>],
    at: Position,
) -> Result<Option<(usize, Made)>, Trouble> {
    for (which, suspect) in suspects.iter().enumerate() {
        let made = suspect.fold(None, at).await?;
        if made.print != reference.print {
            return Ok(Some((which, made)));
        }
    }
    Ok(None)
}
