//! From an append's answer until a table shows the event, while events come
//! steadily: offered on a timetable, however long the ones before take.
//!
//! A read with `at-least=POSITION` is sent as soon as the answer is there, and
//! what is measured is its whole way. The same read again, which has nothing to
//! wait for, shows how much of that is reading alone.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use projectionist_tests::Server;
use tokio::time::sleep_until;

use crate::{
    Figure, Input, append,
    http::{self, Connection},
    latency::Latencies,
    native::now,
    single_thread, sized,
};

/// Events a second, over all connections.
const RATE: usize = 5_000;
const EVENTS: usize = sized(30_000);
/// Before anything counts.
const WARM_UP: usize = sized(10_000);
const CONNECTIONS: usize = 64;
/// Each connection follows one in so many of its events into the table.
const SAMPLED: usize = 15;
const ACCOUNTS: u64 = 10_000;

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let (mut visible, mut half, mut again, mut rates) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..input.runs {
        let server = Server::start();
        server.drop_in("accounts");
        server.until_live("accounts");
        let address = http::address(server.client().url())?;
        offer(address, 0, WARM_UP)?;
        let seen = offer(address, WARM_UP, EVENTS)?;
        half.push(seen.visible.clone().median()?);
        visible.push(seen.visible.p99()?);
        again.push(seen.again.p99()?);
        rates.push(EVENTS as f64 / seen.took.as_secs_f64());
    }
    let rate = RATE as f64;
    Ok(vec![
        Figure::new("acknowledged to visible, median", "ms", half),
        Figure::new("acknowledged to visible, p99", "ms", visible).at_most(5.0),
        Figure::new("the same read again, p99", "ms", again),
        // A little less than was offered: the last answer comes after the last event is due.
        Figure::new("acknowledged", "events/s", rates).at_least(rate * 0.98),
    ])
}

/// What came of a stretch of the timetable.
#[derive(Default)]
struct Seen {
    visible: Latencies,
    again: Latencies,
    /// From the first event's time to the last answer.
    took: Duration,
}

/// Offers the events from number `first` on, each at its time.
fn offer(address: SocketAddr, first: usize, count: usize) -> Result<Seen> {
    // One thread for all connections: the server needs the other cores.
    let runtime = single_thread()?;
    runtime.block_on(async {
        let begun = now() + Duration::from_millis(10);
        let connections =
            (0..CONNECTIONS.min(count)).map(|lane| offer_lane(address, begun, first, lane, count));
        let mut all = Seen::default();
        for seen in try_join_all(connections).await? {
            all.visible.extend(seen.visible);
            all.again.extend(seen.again);
            all.took = all.took.max(seen.took);
        }
        Ok(all)
    })
}

/// One connection's part: every so many-th of the events.
async fn offer_lane(
    address: SocketAddr,
    begun: Instant,
    first: usize,
    lane: usize,
    count: usize,
) -> Result<Seen> {
    let mut connection = Connection::open(address).await?;
    let mut seen = Seen::default();
    for (turn, index) in (lane..count).step_by(CONNECTIONS).enumerate() {
        sleep_until((begun + Duration::from_secs_f64(index as f64 / RATE as f64)).into()).await;
        let number = first + index;
        let position = connection.send(&append::request(number, ACCOUNTS)).await?.ok()?.position()?;
        let acknowledged = now();
        seen.took = acknowledged.duration_since(begun);
        if (turn + lane).is_multiple_of(SAMPLED) {
            let key = append::account(number, ACCOUNTS);
            let read = http::get(&format!("/projections/accounts/tables/accounts/{key}?at-least={position}"));
            let shown = connection.send(&read).await?.ok()?.position()?;
            seen.visible.push(acknowledged.elapsed());
            ensure!(shown >= position, "read at position {shown}, not at {position} or later");
            let asked = now();
            connection.send(&read).await?.ok()?;
            seen.again.push(asked.elapsed());
        }
    }
    Ok(seen)
}
