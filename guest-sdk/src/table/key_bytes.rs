//! The encoded key of a cached row. Short keys, which most are, lie in the row
//! itself and cost neither an allocation nor a second look into memory.

const INLINE: usize = 22;

pub(crate) enum KeyBytes {
    Inline(u8, [u8; INLINE]),
    Heap(Box<[u8]>),
}

impl KeyBytes {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        if bytes.len() > INLINE {
            return Self::Heap(bytes.into());
        }
        let mut inline = [0; INLINE];
        copy(&mut inline[..bytes.len()], bytes);
        Self::Inline(bytes.len() as u8, inline)
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline(length, bytes) => &bytes[..usize::from(*length)],
            Self::Heap(bytes) => bytes,
        }
    }

    /// Whether it is this key. As keys are compared whose hashes are equal, they
    /// mostly are; by words it takes less than a call of `memcmp`.
    #[inline]
    pub(crate) fn is(&self, key: &[u8]) -> bool {
        let own = self.as_slice();
        match own.len() {
            length if length != key.len() => false,
            4..=7 => ends::<4>(own) == ends::<4>(key),
            8..=16 => ends::<8>(own) == ends::<8>(key),
            _ => own == key,
        }
    }

    /// What it takes beside its own size.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Inline(..) => 0,
            Self::Heap(bytes) => bytes.len() + 16,
        }
    }
}

/// Copies a key that is not long. On wasm, a copy whose length is not known is a
/// call out of the guest.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        4..=7 => copy_ends::<4>(to, from),
        8..=16 => copy_ends::<8>(to, from),
        _ => to.copy_from_slice(from),
    }
}

#[inline]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk()) {
        *to = *from;
    }
}

#[inline]
fn ends<const N: usize>(bytes: &[u8]) -> (Option<&[u8; N]>, Option<&[u8; N]>) {
    (bytes.first_chunk(), bytes.last_chunk())
}
