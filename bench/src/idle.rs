//! Many plug-ins with nothing to do: what they hold and use, and how soon an
//! event has reached all of them.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use projectionist_tests::{Server, components, wait};
use tokio::runtime::Runtime;

use crate::{
    Figure, Input, append,
    http::{self, Connection},
    native::now,
    sized,
};

/// It subscribes to all events.
const COMPONENT: &str = "event-types";
const PLUGINS: usize = sized(1_000);
/// After so long an event has left nothing to do: commits are durable within a second.
const SETTLED: Duration = Duration::from_secs(3);
/// How long idling is watched.
const WATCHED: Duration = Duration::from_secs(5);
/// Connections that wait for the event to arrive.
const CONNECTIONS: usize = 16;
/// In a second, of the processor times that Linux tells, on all machines.
const TICKS: f64 = 100.0;

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let mut server = Server::stopped();
    let names: Vec<String> = (0..PLUGINS).map(|number| format!("copy-{number:04}")).collect();
    let component = components::bytes(COMPONENT);
    names.iter().for_each(|name| components::put(&server.plugin_file(name), &component));
    let begun = now();
    server.restart();
    wait::until_true("all plug-ins are live", || {
        let list = server.get("/projections").ok();
        let projections = list["projections"].as_array().into_iter().flatten();
        projections.filter(|status| status["health"] == "ok").count() == PLUGINS
    });
    let start = begun.elapsed().as_secs_f64();

    let (mut memory, mut share, mut reached, mut folding) = (vec![], vec![], vec![], vec![]);
    for number in 0..input.runs {
        thread::sleep(SETTLED);
        let before = processor_seconds(&server)?;
        thread::sleep(WATCHED);
        let used = processor_seconds(&server)? - before;
        share.push(used / WATCHED.as_secs_f64() * 100.0);
        memory.push(mebibytes(&server)?);
        reached.push(reach(&server, &names, number)?);
        folding.push(mebibytes(&server)?);
    }
    let plugins = format!("{PLUGINS} plug-ins");
    Ok(vec![
        Figure::new(format!("{plugins}: memory while idle"), "MiB", memory).at_most(2048.0),
        Figure::new(format!("{plugins}: memory after an event"), "MiB", folding).at_most(2048.0),
        Figure::new(format!("{plugins}: share of a core while idle"), "%", share).at_most(2.0),
        Figure::new(format!("{plugins}: until an event has reached all"), "s", reached).at_most(1.0),
        Figure::new(format!("{plugins}: first start, until all are live"), "s", vec![start]),
    ])
}

/// Seconds from sending an event until the last plug-in's table shows it: asks
/// all of them, with reads that wait. So the requests are in it too.
fn reach(server: &Server, names: &[String], number: usize) -> Result<f64> {
    let address = http::address(server.client().url())?;
    Runtime::new()?.block_on(async {
        let mut connection = Connection::open(address).await?;
        // Connected beforehand: the event's way is to be measured.
        let mut readers = try_join_all((0..CONNECTIONS).map(|_| Connection::open(address))).await?;
        let begun = now();
        let position = connection.send(&append::request(number, 1)).await?.ok()?.position()?;
        let waiting = readers.iter_mut().enumerate().map(async |(lane, reader)| -> Result<()> {
            for name in names.iter().skip(lane).step_by(CONNECTIONS) {
                let path =
                    format!("/projections/{name}/tables/types?limit=1&at-least={position}&timeout=60s");
                reader.send(&http::get(&path)).await?.ok().with_context(|| name.clone())?;
            }
            Ok(())
        });
        try_join_all(waiting).await?;
        Ok(begun.elapsed().as_secs_f64())
    })
}

fn mebibytes(server: &Server) -> Result<f64> {
    let bytes = server.memory().context("this system does not tell how much memory a process holds")?;
    Ok(bytes as f64 / f64::from(1 << 20))
}

/// How much processor time the server has used so far, all its threads together.
fn processor_seconds(server: &Server) -> Result<f64> {
    let id = server.id().context("the server does not run")?;
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))
        .context("this system does not tell how much processor time a process has used")?;
    // Behind the program's name, which stands in parentheses: the times are fields 14 and 15 of all.
    let (_, fields) = stat.rsplit_once(')').context("a process has a name")?;
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = times.map(|ticks| ticks.parse::<f64>()).sum::<Result<_, _>>()?;
    Ok(ticks / TICKS)
}
