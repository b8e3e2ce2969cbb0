//! The page as text.

use std::fmt::Write as _;

use anyhow::Result;

use super::{
    Section,
    peers::{self, Peers},
};

const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench`; `cargo xtask bench NAME…` measures some of them anew. Figures are medians of paired
runs, with the least and the greatest. The *native fold* is the same fold written in Rust without a sandbox, over the
same log, with the same commits to the same store, in the same process; shares of it are taken pair by pair, because
machines are noisy. Both must end with the same digest, or the run fails. What the time goes into where a figure misses
its target, [the profiles](benchmarks/profile.md) say.

";

/// The whole page. The peers follow the benchmark that has the same work.
pub(super) fn page(sections: &[Section], peers: &Peers) -> Result<String> {
    let mut page = HEAD.to_owned();
    let mut machine = None;
    for section in sections {
        let Section { name, about, day, figures, .. } = section;
        let runs = figures.iter().map(|figure| figure.values.len()).max().unwrap_or(0);
        write_line(&mut page, &format!("## {name}\n\n{about}\n"));
        if machine != Some((&section.machine, day)) {
            write_line(&mut page, &format!("{}, on {day}.\n", section.machine.sentence()));
            machine = Some((&section.machine, day));
        }
        if super::chart::bars(figures).is_some() {
            write_line(&mut page, &format!("![{name}](benchmarks/{name}.svg)\n"));
        }
        write_line(
            &mut page,
            &format!("| median of {runs} | | min | max | target |\n| --- | ---: | ---: | ---: | --- |"),
        );
        for figure in figures {
            let [median, min, max, target] = figure.cells();
            let unit = if figure.unit.is_empty() { String::new() } else { format!(" {}", figure.unit) };
            write_line(
                &mut page,
                &format!("| {} | {median}{unit} | {min} | {max} | {target} |", figure.name),
            );
        }
        page.push('\n');
        if name == peers::WORK {
            page.push_str(&peers.text(sections)?);
            // They name machines of their own.
            machine = None;
        }
    }
    Ok(page.trim_end().to_owned() + "\n")
}

fn write_line(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("a string takes everything");
}
