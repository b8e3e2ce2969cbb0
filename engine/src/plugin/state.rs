//! `projectionist:plugin/state`: what a guest can read of its own state.

use super::{
    bindings::state::{Entry, Host, Range},
    guest::Guest,
    stop::Stop,
};

/// How many entries are read at a time while a guest scans.
const SCAN_STEP: usize = 1024;

/// A key and its value, as they are kept.
pub type Row = (Vec<u8>, Vec<u8>);

/// The state of a plug-in as of one position, but for what its instance has not
/// flushed. Tables are numbered as in the plug-in's description. An error stops
/// the plug-in with that reason.
pub trait StateReader: Send + Sync {
    /// The value of a key.
    fn get(&self, table: u32, key: &[u8]) -> Result<Option<Vec<u8>>, String>;

    /// The entries from `start` (included) to `end` (excluded), at most `limit`
    /// of them, in the order of their keys or in reverse.
    fn scan(
        &self,
        table: u32,
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Row>, String>;

    /// Whether a table holds nothing.
    fn is_empty(&self, table: u32) -> Result<bool, String>;
}

/// The state of a plug-in that has folded nothing yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoState;

impl StateReader for NoState {
    fn get(&self, _table: u32, _key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }

    fn scan(
        &self,
        _table: u32,
        _start: Option<&[u8]>,
        _end: Option<&[u8]>,
        _reverse: bool,
        _limit: usize,
    ) -> Result<Vec<Row>, String> {
        Ok(Vec::new())
    }

    fn is_empty(&self, _table: u32) -> Result<bool, String> {
        Ok(true)
    }
}

impl Guest {
    fn known_table(&self, table: u32) -> Result<(), Stop> {
        match (table as usize) < self.tables {
            true => Ok(()),
            false => Err(Stop::UnknownTable { table, tables: self.tables }),
        }
    }

    /// What the host gathers for one answer must fit into the guest.
    fn fits(&self, bytes: usize) -> Result<(), Stop> {
        match bytes as u64 <= self.meter.limits.memory {
            true => Ok(()),
            false => Err(Stop::AnswerTooLarge { limit: self.meter.limits.memory }),
        }
    }
}

impl Host for Guest {
    fn get(&mut self, table: u32, key: Vec<u8>) -> wasmtime::Result<Option<Vec<u8>>> {
        self.known_table(table)?;
        Ok(self.state.get(table, &key).map_err(Stop::State)?)
    }

    fn get_many(&mut self, table: u32, keys: Vec<Vec<u8>>) -> wasmtime::Result<Vec<Option<Vec<u8>>>> {
        self.known_table(table)?;
        let mut bytes = 0;
        let mut values = Vec::with_capacity(keys.len());
        for key in &keys {
            let value = self.state.get(table, key).map_err(Stop::State)?;
            bytes += value.as_ref().map_or(0, Vec::len);
            self.fits(bytes)?;
            values.push(value);
        }
        Ok(values)
    }

    fn scan(&mut self, table: u32, range: Range) -> wasmtime::Result<Vec<Entry>> {
        self.known_table(table)?;
        let Range { mut start, mut end, reverse, limit } = range;
        let mut left = limit as usize;
        let mut bytes = 0;
        let mut entries = Vec::new();
        // In steps, so that a guest cannot make the host read a whole table at once.
        while left > 0 {
            let step = left.min(SCAN_STEP);
            let rows = self.state.scan(table, start.as_deref(), end.as_deref(), reverse, step);
            let rows = rows.map_err(Stop::State)?;
            let complete = rows.len() < step;
            left -= rows.len().min(left);
            for (key, value) in rows {
                bytes += key.len() + value.len();
                entries.push(Entry { key, value });
            }
            self.fits(bytes)?;
            let Some(last) = entries.last().filter(|_| !complete) else { break };
            match reverse {
                true => end = Some(last.key.clone()),
                // The smallest key after `last`.
                false => start = Some([last.key.as_slice(), &[0]].concat()),
            }
        }
        Ok(entries)
    }

    fn is_empty(&mut self, table: u32) -> wasmtime::Result<bool> {
        self.known_table(table)?;
        Ok(self.state.is_empty(table).map_err(Stop::State)?)
    }
}
