//! How long a version takes to start: its code from the compile cache, or
//! compiled, until an instance is ready to fold.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use projectionist::{
    event::Partition,
    plugin::{Host, HostSettings, NoState, Settings},
};
use projectionist_tests::components;
use tokio::runtime::Runtime;

use crate::{Figure, Input, latency::Latencies, native::now, sized};

/// Starts in a run; the run's figure is their median.
const FROM_CACHE: usize = sized(100);
const COMPILED: usize = sized(5);

pub(crate) fn run(input: &Input) -> Result<Vec<Figure>> {
    let runtime = Runtime::new()?;
    let component = components::bytes("accounts");
    let folder = tempfile::tempdir()?;
    // The first start fills the cache.
    start(&runtime, &component, Some(folder.path()), 1)?;
    let (mut cached, mut compiled) = (Vec::new(), Vec::new());
    for _ in 0..input.runs {
        cached.push(start(&runtime, &component, Some(folder.path()), FROM_CACHE)?.median()?);
        compiled.push(start(&runtime, &component, None, COMPILED)?.median()?);
    }
    Ok(vec![
        Figure::new("from the compile cache", "ms", cached).at_most(20.0),
        Figure::new("compiled", "ms", compiled),
    ])
}

/// Starts the component so many times, each time on a host that has never seen it.
fn start(runtime: &Runtime, component: &[u8], cache: Option<&Path>, times: usize) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    for _ in 0..times {
        let host =
            Host::new(HostSettings { cache_dir: cache.map(Path::to_owned), ..HostSettings::default() })?;
        let begun = now();
        runtime.block_on(async {
            let plugin = host.load("accounts", component, &Settings::default()).await?;
            plugin.start(Arc::new(NoState), Partition::WHOLE).await
        })?;
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}
