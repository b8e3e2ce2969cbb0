//! Where figures come from: the machine and the versions.

use std::{fs, thread};

use projectionist::clock;
use serde::{Deserialize, Serialize};

/// The machine and the versions that were measured.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    memory_gib: u64,
    system: String,
    projectionist: String,
}

impl Machine {
    /// The one that this runs on, as far as it tells.
    pub(crate) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| -> Option<String> {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kib = field(&read("/proc/meminfo"), "MemTotal");
        let kib = kib.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        let kernel = read("/proc/sys/kernel/osrelease");
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown processor".into()),
            cores: thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kib.map_or(0, |kib| kib.div_ceil(1 << 20)),
            system: format!(
                "{} {}",
                std::env::consts::OS,
                kernel.split('-').next().unwrap_or_default().trim()
            ),
            projectionist: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    pub(crate) fn sentence(&self) -> String {
        format!("Projectionist {} on {}", self.projectionist, self.hardware())
    }

    /// Without what is measured on it; in the same words as those of `bench/peers/run`.
    pub(crate) fn hardware(&self) -> String {
        let Self { processor, cores, memory_gib, system, .. } = self;
        format!("{cores} cores of {processor}, {memory_gib} GiB, {system}")
    }
}

/// The day, as `2026-11-21`.
pub(crate) fn today() -> String {
    clock::now().to_string().chars().take(10).collect()
}
