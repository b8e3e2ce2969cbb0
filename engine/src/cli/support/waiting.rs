//! How far the history is folded that an answer waits for.

use std::{future::Future, io::IsTerminal as _, pin::pin, time::Duration};

use anyhow::Result;
use serde::Deserialize;

use super::{client::Client, progress::Progress, text};
use crate::deploy::Fold;

/// How often it is asked how far it is.
const ASK: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
struct Folds {
    folds: Vec<Fold>,
}

/// Waits for an answer; shows meanwhile, on a terminal's standard error, how far history is folded for it with
/// code of a plug-in.
pub async fn showing_folds<T>(
    client: &Client,
    name: &str,
    answer: impl Future<Output = Result<T>>,
) -> Result<T> {
    if !std::io::stderr().is_terminal() {
        return answer.await;
    }
    let mut answer = pin!(answer);
    let mut bar = None::<Progress>;
    loop {
        let asked = async {
            tokio::time::sleep(ASK).await;
            client.json::<Folds>(client.get(&["projections", name, "folds"])).await
        };
        let folds = tokio::select! {
            answer = &mut answer => return answer,
            asked = asked => asked.map(|asked| asked.folds).unwrap_or_default(),
        };
        match folds.is_empty() {
            true => bar = None,
            false => show(bar.get_or_insert_with(Progress::over_positions), &folds),
        }
    }
}

/// All together, since one answer may wait for several.
fn show(bar: &Progress, folds: &[Fold]) {
    let position = folds.iter().map(|fold| fold.position).sum();
    let to = folds.iter().map(|fold| fold.to).sum();
    let what = match folds {
        [fold] => format!("folding history with {}", text::short(&fold.version)),
        _ => format!("folding history {} times", folds.len()),
    };
    bar.at_position(position, to, &what);
}
