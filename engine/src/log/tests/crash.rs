//! A storage that loses what was not synced.
