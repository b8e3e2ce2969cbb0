//! The progress bar.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::text;

/// Shows on a terminal's standard error how far a command has come, and
/// nothing anywhere else.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Over so many bytes, or over an unknown amount.
    pub fn over_bytes(total: Option<u64>) -> Self {
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), "{bar:30} {percent:>3} %  {msg}  {eta} left"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
        };
        let style = ProgressStyle::with_template(template).expect("the templates are valid");
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    /// Over positions of the log.
    pub fn over_positions() -> Self {
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}");
        let bar = ProgressBar::new(0);
        bar.set_style(style.expect("the template is valid").progress_chars("█▉▊▋▌▍▎▏ "));
        Self { bar }
    }

    /// So many positions of so many are done, in a step.
    pub fn at_position(&self, position: u64, of: u64, step: &str) {
        self.bar.set_length(of);
        self.bar.set_position(position);
        self.bar.set_message(step.to_owned());
    }

    /// So many bytes are done, which were so many events.
    pub fn at(&self, bytes: u64, events: u64) {
        self.bar.set_position(bytes);
        self.bar.set_message(format!(
            "{}, {} events/s",
            text::count(events, "event"),
            text::rate(events, self.bar.elapsed())
        ));
    }

    /// Tells something else, with the bar out of the way.
    pub fn aside(&self, tell: impl FnOnce()) {
        self.bar.suspend(tell);
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
