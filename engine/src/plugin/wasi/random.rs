//! `wasi:random`: for projections the same numbers in every run, for reactions
//! random ones.
//!
//! Seeds, and what asks for insecure numbers, always get the same: it must not
//! depend on how often a guest has asked before, because that depends on where
//! it was last restarted. Secure numbers are constant while a guest starts, so
//! that language runtimes can, and refused while it folds.

use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::plugin::{description::Kind, guest::Guest, stop::Stop};

const SEED: u64 = 0x70726f_6a656374;
const MOST_BYTES: u64 = 64 << 10;

/// The number at a place in a fixed sequence (SplitMix64).
fn number(index: u64) -> u64 {
    let mut number = SEED.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn bytes(first: u64, length: u64) -> Result<Vec<u8>, Stop> {
    if length > MOST_BYTES {
        return Err(Stop::ManyRandom { asked: length, most: MOST_BYTES });
    }
    let numbers = (first..).flat_map(|index| number(index).to_le_bytes());
    Ok(numbers.take(length as usize).collect())
}

impl Guest {
    fn draw(&mut self, numbers: u64) -> Result<u64, Stop> {
        if !self.starting {
            return Err(Stop::Random);
        }
        let first = self.drawn;
        self.drawn = first.wrapping_add(numbers);
        Ok(first)
    }
}

/// As many as are asked for, from the system.
fn truly_random(length: u64) -> Result<Vec<u8>, Stop> {
    if length > MOST_BYTES {
        return Err(Stop::ManyRandom { asked: length, most: MOST_BYTES });
    }
    let mut bytes = vec![0; length as usize];
    getrandom::fill(&mut bytes).map_err(|error| Stop::NoRandom { reason: error.to_string() })?;
    Ok(bytes)
}

impl random::Host for Guest {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if self.kind == Kind::Reaction {
            return Ok(truly_random(length)?);
        }
        let first = self.draw(length.div_ceil(8))?;
        Ok(bytes(first, length)?)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        if self.kind == Kind::Reaction {
            return Ok(getrandom::u64().map_err(|error| Stop::NoRandom { reason: error.to_string() })?);
        }
        Ok(number(self.draw(1)?))
    }
}

impl insecure::Host for Guest {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        Ok(bytes(0, length)?)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(number(0))
    }
}

impl insecure_seed::Host for Guest {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((number(0), number(1)))
    }
}
