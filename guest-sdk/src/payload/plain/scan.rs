//! Finding where text and numbers end, eight and sixteen bytes at a time.
//!
//! Loops cost more on wasm than elsewhere: each turn looks whether the guest has
//! computed for too long. So what is short is done without one.

/// Each byte is one, and each byte's high bit.
const ONES: u64 = u64::MAX / 0xff;
const HIGH: u64 = ONES << 7;

const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The end of the text that begins at `at`: the next quote, backslash or control
/// character. Answers also whether all before it is ASCII.
#[inline]
pub(super) fn text(json: &[u8], mut at: usize) -> (usize, bool) {
    while let Some(chunk) = json[at..].first_chunk::<16>() {
        let passed = passed(chunk);
        at += passed;
        if passed < 16 {
            return if json[at].is_ascii() { (at, true) } else { text_by_words(json, at) };
        }
    }
    text_by_words(json, at)
}

/// How many bytes come before one that may end a text; those that are not ASCII
/// count as such.
#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
#[inline]
fn passed(chunk: &[u8; 16]) -> usize {
    use std::arch::wasm32::{i8x16_bitmask, i8x16_eq, i8x16_lt, i8x16_splat, v128_load, v128_or};
    // SAFETY: the chunk has as many bytes, and they need not be aligned.
    #[allow(unsafe_code, reason = "the compiler makes no SIMD of a loop that looks for a place")]
    let bytes = unsafe { v128_load(chunk.as_ptr().cast()) };
    let quotes = i8x16_eq(bytes, i8x16_splat(b'"' as i8));
    let backslashes = i8x16_eq(bytes, i8x16_splat(b'\\' as i8));
    // What is not ASCII is negative.
    let others = i8x16_lt(bytes, i8x16_splat(b' ' as i8));
    let found = i8x16_bitmask(v128_or(v128_or(quotes, backslashes), others));
    (u32::from(found) | 1 << 16).trailing_zeros() as usize
}

#[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
#[inline]
fn passed(chunk: &[u8; 16]) -> usize {
    let stops = |byte: &u8| ends_text(*byte) || !byte.is_ascii();
    chunk.iter().position(stops).unwrap_or(chunk.len())
}

fn ends_text(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// The same as `text`, for what is not ASCII and for what is short.
fn text_by_words(json: &[u8], mut at: usize) -> (usize, bool) {
    let mut high = 0;
    while let Some(chunk) = json[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // The high bit of each byte that is zero, less than a space, or that.
        // A borrow can only set bits behind the first one, which is what counts.
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zeros(word ^ (ONES * u64::from(b'"')));
        let backslash = zeros(word ^ (ONES * u64::from(b'\\')));
        let found = (control | quote | backslash) & HIGH;
        // What is below the lowest bit: all of it where nothing is found.
        high |= word & HIGH & found.wrapping_sub(1) & !found;
        at += (found.trailing_zeros() / 8) as usize;
        if found != 0 {
            return (at, high == 0);
        }
    }
    while let Some(byte) = json.get(at).filter(|byte| !ends_text(**byte)) {
        high |= u64::from(*byte) & HIGH;
        at += 1;
    }
    (at, high == 0)
}

/// The end of the digits that begin at `at`, and what they mean. Eighteen always
/// fit; to refuse more is up to the caller.
#[inline]
pub(super) fn digits(json: &[u8], mut at: usize) -> (usize, u64) {
    let mut number = 0_u64;
    while let Some(chunk) = json[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk) ^ (ONES * u64::from(b'0'));
        // The high bit of each byte that is no digit; a carry can only set bits
        // behind the first one.
        let others = (word.wrapping_add(ONES * (0x7f - 9)) | word) & HIGH;
        let length = others.trailing_zeros() / 8;
        if length == 0 {
            return (at, number);
        }
        at += length as usize;
        number = number.wrapping_mul(POWERS[length as usize]).wrapping_add(eight(word << (64 - 8 * length)));
        if length < 8 {
            return (at, number);
        }
    }
    while let Some(digit @ b'0'..=b'9') = json.get(at) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        at += 1;
    }
    (at, number)
}

/// What eight digits mean, the first of them in the lowest byte: neighbours are
/// joined, three times.
#[inline]
fn eight(digits: u64) -> u64 {
    let pairs = (digits.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(1 + (10_000 << 32)) >> 32
}
