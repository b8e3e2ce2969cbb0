//! The server itself and its log.

use std::fmt;

use super::{
    Standing,
    families::{Families, seconds},
};

pub(super) fn write(standing: &Standing, families: &mut Families<'_>) -> fmt::Result {
    families.info("projectionist_build", "The program.", [[("version", env!("CARGO_PKG_VERSION"))]])?;
    families.gauge(
        "process_start_time",
        Some("seconds"),
        "When the program was started, in seconds since 1970.",
        [([], seconds(standing.started.as_micros()))],
    )?;
    families.gauge(
        "projectionist_log_head_position",
        None,
        "The log's last position, which is how many events it has.",
        [([], standing.head)],
    )?;
    families.gauge(
        "projectionist_plugins_folder_readable",
        None,
        "1 as long as the plug-ins folder can be read.",
        [([], i64::from(standing.folder_is_read))],
    )
}
