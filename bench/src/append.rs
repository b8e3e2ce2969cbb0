//! Appends over HTTP, one event a request, against the whole program: how many
//! from many clients, how long one takes for a single client, and what an fsync
//! of the same disk takes, without which no append can be durable.

use std::{
    cell::Cell,
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    net::SocketAddr,
    path::Path,
};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use projectionist::event::Envelope;
use projectionist_tests::Server;

use crate::{
    Figure, Input,
    http::{self, Connection},
    latency::Latencies,
    native::now,
    single_thread, sized,
    workload::accounts::{deposit, name},
};

const CLIENTS: usize = 64;
/// What all clients together append, not counting what warms the server up.
const MANY: usize = sized(100_000);
const WARM_UP: usize = sized(10_000);
/// What the single client appends.
const ALONE: usize = sized(5_000);
const FSYNCS: usize = sized(2_000);
/// How many accounts the deposits go into.
const ACCOUNTS: u64 = 10_000;

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let (mut many, mut alone, mut half, mut fsyncs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..input.runs {
        let server = Server::start();
        let address = http::address(server.client().url())?;
        let events = Cell::new(0);
        append(address, &events, CLIENTS, WARM_UP)?;
        let begun = now();
        append(address, &events, CLIENTS, MANY)?;
        many.push(MANY as f64 / begun.elapsed().as_secs_f64());
        let latencies = append(address, &events, 1, ALONE)?;
        half.push(latencies.clone().median()?);
        alone.push(latencies.p99()?);
        fsyncs.push(fsync(server.folder())?.median()?);
        ensure!(server.head() == events.get() as u64, "the log does not hold what was acknowledged");
    }
    Ok(vec![
        Figure::new(format!("{CLIENTS} clients"), "events/s", many).at_least(2e4),
        Figure::new("one client, median", "ms", half),
        Figure::new("one client, p99", "ms", alone).at_most(2.0),
        Figure::new("fdatasync of 4 KiB on the same disk, median", "ms", fsyncs),
    ])
}

/// Lets so many clients append so many events in all, each its next when the
/// one before is acknowledged; says how long each append took.
fn append(address: SocketAddr, events: &Cell<usize>, clients: usize, count: usize) -> Result<Latencies> {
    // One thread for all clients: the server needs the other cores.
    let runtime = single_thread()?;
    let end = events.get() + count;
    let client = async || -> Result<Latencies> {
        let mut connection = Connection::open(address).await?;
        let mut latencies = Latencies::default();
        while events.get() < end {
            let request = request(events.replace(events.get() + 1), ACCOUNTS);
            let begun = now();
            connection.send(&request).await?.ok()?;
            latencies.push(begun.elapsed());
        }
        Ok(latencies)
    };
    runtime.block_on(async {
        let clients = try_join_all((0..clients).map(|_| client())).await?;
        let mut all = Latencies::default();
        clients.into_iter().for_each(|latencies| all.extend(latencies));
        Ok(all)
    })
}

/// A deposit into one of the accounts, as a request of its own.
pub(crate) fn request(number: usize, accounts: u64) -> Vec<u8> {
    let account = account_number(number, accounts);
    let Envelope { id, source, event_type, subject, content_type, data, .. } =
        deposit(number, account, (number % 1000 + 1) as i64);
    let (subject, data) = (subject.unwrap_or_default(), String::from_utf8_lossy(&data));
    let event = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"{source}","type":"{event_type}","subject":"{subject}","datacontenttype":"{content_type}","data":{data}}}"#
    );
    http::post("/events", "application/cloudevents+json", &event)
}

/// The account that the deposit with this number goes into.
pub(crate) fn account(number: usize, accounts: u64) -> String {
    name(account_number(number, accounts))
}

/// Neighbours lie apart.
fn account_number(number: usize, accounts: u64) -> u64 {
    (number as u64).wrapping_mul(7919) % accounts
}

/// Writes a page and waits for the disk, again and again, over a file that is
/// there already: as the log does it, whose file grows only now and then.
fn fsync(folder: &Path) -> Result<Latencies> {
    const PAGE: usize = 4 << 10;
    const PAGES: usize = 1024;
    let mut file = File::create(folder.join("fsync"))?;
    file.write_all(&vec![0; PAGE * PAGES])?;
    file.sync_all()?;
    let mut latencies = Latencies::default();
    for number in 0..FSYNCS {
        let page = [number as u8; PAGE];
        let begun = now();
        file.seek(SeekFrom::Start((number % PAGES * PAGE) as u64))?;
        file.write_all(&page)?;
        file.sync_data()?;
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}
