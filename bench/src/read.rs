//! Point reads over HTTP: how many, as a share of a bare axum route that gives
//! the same answer, and how long one takes while a replay runs beside it.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, HeaderName},
    routing,
    serve::ListenerExt as _,
};
use futures_util::future::try_join_all;
use projectionist_tests::{Server, components};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    time::MissedTickBehavior,
};

use crate::{
    Figure, Input,
    http::{self, Answer, Connection},
    latency::Latencies,
    native::now,
    single_thread, sized,
    workload::{
        self,
        accounts::{Spread, name},
    },
};

/// The log, long enough for its replay to take seconds.
const EVENTS: usize = sized(5_000_000);
const ACCOUNTS: u64 = sized(100_000) as u64;
/// Reads in a row for a rate, over all connections.
const READS: usize = sized(100_000);
const WARM_UP: usize = sized(10_000);
const CONNECTIONS: usize = 32;
/// A read each while latencies are taken.
const EVERY: Duration = Duration::from_millis(1);
/// So many of them without a replay.
const ALONE: u32 = sized(5_000) as u32;

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let mut server = Server::stopped();
    let runtime = Runtime::new()?;
    let events = workload::accounts::events(EVENTS, ACCOUNTS, Spread::Uniform)?;
    drop(workload::fill(&runtime, &server.data(), events)?);
    server.drop_in("accounts");
    server.restart();
    server.until_live("accounts");

    let address = http::address(server.client().url())?;
    let requests = requests();
    let bare = Bare::answering_like(address, &requests[0])?;
    let (mut bare_rates, mut rates) = (Vec::new(), Vec::new());
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for number in 0..input.runs {
        for (address, rates) in [(bare.address, &mut bare_rates), (address, &mut rates)] {
            rate(address, &requests, WARM_UP)?;
            rates.push(rate(address, &requests, READS)?);
        }
        let pauses = Pauses::around_a_replay(&server, address, &requests, number)?;
        alone.push(pauses.alone.p99()?);
        beside.push(pauses.beside.p99()?);
    }
    let bare = Figure::new("a bare axum route", "reads/s", bare_rates);
    let row = Figure::new("a row of a table", "reads/s", rates);
    let share = Figure::ratio("share of the bare route", &row, &bare).at_least(0.80);
    let alone = Figure::new("p99 alone", "ms", alone);
    let beside = Figure::new("p99 beside a replay", "ms", beside);
    let times = Figure::ratio("p99 beside a replay over alone", &beside, &alone).at_most(2.0);
    Ok(vec![row, bare, share, alone, beside, times])
}

/// Reads of accounts at random.
fn requests() -> Vec<Vec<u8>> {
    let mut random = SmallRng::seed_from_u64(1);
    let path = |account| format!("/projections/accounts/tables/accounts/{}", name(account));
    (0..1_000).map(|_| http::get(&path(random.random_range(0..ACCOUNTS)))).collect()
}

/// A server of this process with a single route, which always gives the same answer.
struct Bare {
    address: SocketAddr,
    /// Serves for as long as it lives.
    _runtime: Runtime,
}

impl Bare {
    /// With the answer that another server gives, its headers included.
    fn answering_like(original: SocketAddr, request: &[u8]) -> Result<Self> {
        // As many threads as the program has.
        let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
        let address = runtime.block_on(async {
            let mut connection = Connection::open(original).await?;
            let answer = connection.send(request).await?.ok()?;
            let mut headers = HeaderMap::new();
            for (name, value) in told(&answer) {
                headers.insert(HeaderName::try_from(name)?, value.parse()?);
            }
            let body = Bytes::copy_from_slice(answer.body);
            let route = routing::get(move || async move { (headers, body) });
            let router = Router::new().route("/projections/{name}/tables/{table}/{*key}", route);
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            // As the program does.
            let listener = listener.tap_io(|connection| {
                let _ = connection.set_nodelay(true);
            });
            tokio::spawn(axum::serve(listener, router).into_future());
            let mut bare = Connection::open(address).await?;
            let same = bare.send(request).await?.ok()?;
            ensure!(
                same.body == answer.body && told(&same).eq(told(&answer)),
                "the bare route gives another answer"
            );
            Ok(address)
        })?;
        Ok(Self { address, _runtime: runtime })
    }
}

/// The headers that the handler gave, in the order of their names, without those
/// that the HTTP library adds itself.
fn told<'a>(answer: &'a Answer<'_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut headers: Vec<_> =
        answer.headers().filter(|(name, _)| !["date", "content-length"].contains(name)).collect();
    headers.sort_unstable();
    headers.into_iter()
}

/// Reads a second over all connections, each with its next request when it has
/// the answer to the one before.
fn rate(address: SocketAddr, requests: &[Vec<u8>], count: usize) -> Result<f64> {
    // One thread for all connections: the server needs the other cores.
    let runtime = single_thread()?;
    let reader = async |lane: usize| -> Result<()> {
        let mut connection = Connection::open(address).await?;
        for number in (lane..count).step_by(CONNECTIONS) {
            connection.send(&requests[number % requests.len()]).await?.ok()?;
        }
        Ok(())
    };
    let begun = now();
    runtime.block_on(try_join_all((0..CONNECTIONS).map(reader)))?;
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// How long reads took, before and during a replay.
#[derive(Default)]
struct Pauses {
    alone: Latencies,
    beside: Latencies,
}

impl Pauses {
    /// Reads on a timetable, then lets a changed component replay all of history
    /// beside that. Loading the component, before the replay, does not count.
    fn around_a_replay(
        server: &Server,
        address: SocketAddr,
        requests: &[Vec<u8>],
        number: usize,
    ) -> Result<Self> {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| read_until(&done, address, requests));
            let replay = replayed(server, number);
            done.store(true, Ordering::Relaxed);
            let reads = reader.join().map_err(|_| anyhow!("the reads panicked"))??;
            let [dropped_in, begun, ended] = replay?;
            let mut pauses = Self::default();
            let (before, during) = (|at| at < dropped_in, |at| begun <= at && at < ended);
            pauses.alone.extend(reads.iter().filter(|(at, _)| before(*at)).map(|(_, took)| *took));
            pauses.beside.extend(reads.iter().filter(|(at, _)| during(*at)).map(|(_, took)| *took));
            Ok(pauses)
        })
    }
}

/// Waits a while, then drops in a changed component and waits until it is live.
/// When that was, when its replay began, and when it had taken over.
fn replayed(server: &Server, number: usize) -> Result<[Instant; 3]> {
    let status = server.until_live("accounts");
    let live = status["live"].as_str().unwrap_or_default().to_owned();
    thread::sleep(EVERY * ALONE);
    let dropped_in = now();
    let changed = components::remarked(&components::bytes("accounts"), &format!("run {number}"));
    components::put(&server.plugin_file("accounts"), &changed);
    server.until_status("accounts", "replays", |status| {
        let mut versions = status["versions"].as_array().into_iter().flatten();
        // A candidate has a state from when it is loaded.
        let replays =
            versions.any(|version| version["station"] == "candidate" && !version["state"].is_null());
        replays || status["live"] != live.as_str()
    });
    let begun = now();
    server.until_status("accounts", "has taken over", |status| status["live"] != live.as_str());
    Ok([dropped_in, begun, now()])
}

/// Reads at equal intervals, with when each was sent and how long it took.
fn read_until(
    done: &AtomicBool,
    address: SocketAddr,
    requests: &[Vec<u8>],
) -> Result<Vec<(Instant, Duration)>> {
    let runtime = single_thread()?;
    runtime.block_on(async {
        let mut connection = Connection::open(address).await?;
        let mut timetable = tokio::time::interval(EVERY);
        timetable.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reads = Vec::new();
        for request in requests.iter().cycle() {
            if done.load(Ordering::Relaxed) {
                break;
            }
            timetable.tick().await;
            let begun = now();
            connection.send(request).await?.ok()?;
            reads.push((begun, begun.elapsed()));
        }
        Ok(reads)
    })
}
