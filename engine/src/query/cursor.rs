//! Where a page goes on: opaque to those who carry it from page to page.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use xxhash_rust::xxh3::xxh3_64;

use super::QueryError;

/// The shape of a cursor; raised when it changes, so that old ones are refused.
const FORM: u8 = 1;

/// A cursor behind `key` of `table`: [`FORM`], four bytes that prove that it
/// was made here for this table, the key.
pub(super) fn after(table: &str, key: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(5 + key.len());
    bytes.push(FORM);
    bytes.extend(proof(table, key));
    bytes.extend(key);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The key that a cursor stands behind.
pub(super) fn key(table: &str, cursor: &str) -> Result<Vec<u8>, QueryError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    match bytes.split_first_chunk::<5>() {
        Some(([FORM, proven @ ..], key)) if *proven == proof(table, key) => Ok(key.to_vec()),
        _ => Err(QueryError::BadParameter {
            parameter: "cursor",
            reason: format!(
                "this is no cursor of \"{table}\": pass on `next` of the page before as it was, with the same table and index"
            ),
        }),
    }
}

fn proof(table: &str, key: &[u8]) -> [u8; 4] {
    let mut bytes = Vec::with_capacity(table.len() + 1 + key.len());
    bytes.extend(table.as_bytes());
    bytes.push(0);
    bytes.extend(key);
    let [a, b, c, d, ..] = xxh3_64(&bytes).to_le_bytes();
    [a, b, c, d]
}
