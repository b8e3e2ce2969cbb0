//! Comparing memory, on wasm: the C library of the target goes byte by byte,
//! and looking up keys and the names of fields is mostly comparing memory.

const WORD: usize = size_of::<u64>();

/// Takes the place of the C library's function: the linker looks into the
/// library only for what is not defined.
///
/// # Safety
/// `length` bytes are readable from both pointers.
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    // SAFETY: the caller promises the same.
    unsafe { compare(left, right, length) }
}

/// Negative, zero or positive, as the first byte that differs says.
///
/// # Safety
/// `length` bytes are readable from both pointers.
#[inline]
unsafe fn compare(left: *const u8, right: *const u8, length: usize) -> i32 {
    let mut at = 0;
    // SAFETY: all reads lie below `length`; words need not be aligned.
    unsafe {
        while length - at >= WORD {
            let left = left.add(at).cast::<u64>().read_unaligned();
            let right = right.add(at).cast::<u64>().read_unaligned();
            if left != right {
                return left.to_be().cmp(&right.to_be()) as i32;
            }
            at += WORD;
        }
        while at < length {
            let (left, right) = (*left.add(at), *right.add(at));
            if left != right {
                return i32::from(left) - i32::from(right);
            }
            at += 1;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::compare;

    proptest! {
        #[test]
        fn compares_as_slices_do(
            (common, left, right) in (".{0,20}", any::<Vec<u8>>(), any::<Vec<u8>>())
        ) {
            let with_common = |rest: &[u8]| [common.as_bytes(), rest].concat();
            let (left, right) = (with_common(&left), with_common(&right));
            let length = left.len().min(right.len());
            // SAFETY: both slices are at least so long.
            let compared = unsafe { compare(left.as_ptr(), right.as_ptr(), length) };
            prop_assert_eq!(compared.cmp(&0), left[..length].cmp(&right[..length]));
        }
    }
}
