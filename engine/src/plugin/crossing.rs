//! How a block crosses into a guest.
//!
//! The bindings would store the fields of each head one by one, which takes
//! several times as long as folding the event. The log's heads and those of
//! `plugin.wit` have the same fields in the same order, less the log's flags,
//! so two copies a head do.

use std::mem::{MaybeUninit, offset_of};

use bytemuck::TransparentWrapper;
use wasmtime::component::{
    __internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext},
    ComponentType, Lower,
};

use super::bindings::events;
use crate::event::{Block, Head, Span};

#[cfg(target_endian = "big")]
compile_error!("blocks are kept in little endian, as guests read them");

/// A block as `apply` takes it: `events.block`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Crossing<'a> {
    names: &'a [&'a str],
    heads: &'a [CrossingHead],
    bytes: &'a [u8],
}

impl<'a> Crossing<'a> {
    /// A block, with its names.
    pub(super) fn new(block: &'a Block, names: &'a [&'a str]) -> Self {
        Self { names, heads: CrossingHead::wrap_slice(&block.heads), bytes: &block.bytes }
    }
}

/// A head as the guest sees it: `events.head`.
#[repr(transparent)]
pub(super) struct CrossingHead(Head);

// SAFETY: it is `repr(transparent)`.
#[allow(unsafe_code, reason = "a slice of heads is a slice of crossing heads")]
unsafe impl TransparentWrapper<Head> for CrossingHead {}

type Generated = events::Head;

/// Where the log's head has its flags and the guest's has not.
const FLAGS: usize = offset_of!(Head, flags);
const AFTER_FLAGS: usize = offset_of!(Head, id);
const USED: usize = size_of::<Head>() - (AFTER_FLAGS - FLAGS);

const _: () = assert!(
    FLAGS == 44 && AFTER_FLAGS == 48 && USED == 84 && <Generated as ComponentType>::SIZE32 == 88,
    "the heads of the log and of plugin.wit have the same layout, but for the flags"
);

// SAFETY: all that could be unsound, the size, the flat form and the check of
// the guest's type, is that of the generated type.
#[allow(unsafe_code, reason = "the trait promises a layout")]
unsafe impl ComponentType for CrossingHead {
    type Lower = <Generated as ComponentType>::Lower;
    const ABI: CanonicalAbiInfo = <Generated as ComponentType>::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        Generated::typecheck(ty, types)
    }
}

// SAFETY: `linear_lower_to_flat` is that of the generated type; the others write
// only within the guest's memory, through slices that are checked.
#[allow(unsafe_code, reason = "the trait promises that all of the flat form is written")]
unsafe impl Lower for CrossingHead {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> wasmtime::Result<()> {
        Generated::from(&self.0).linear_lower_to_flat(cx, ty, dst)
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
    ) -> wasmtime::Result<()> {
        Generated::from(&self.0).linear_lower_to_memory(cx, ty, offset)
    }

    fn linear_store_list_to_memory<T>(
        cx: &mut LowerContext<'_, T>,
        _ty: InterfaceType,
        offset: usize,
        heads: &[Self],
    ) -> wasmtime::Result<()> {
        let guest = &mut cx.as_slice_mut()[offset..][..heads.len() * Self::SIZE32];
        store(guest, Self::peel_slice(heads));
        Ok(())
    }
}

/// Writes heads in the guest's layout.
fn store(guest: &mut [u8], heads: &[Head]) {
    let (places, _) = guest.as_chunks_mut::<{ CrossingHead::SIZE32 }>();
    for (place, head) in places.iter_mut().zip(heads) {
        let head = bytemuck::bytes_of(head);
        place[..FLAGS].copy_from_slice(&head[..FLAGS]);
        place[FLAGS..USED].copy_from_slice(&head[AFTER_FLAGS..]);
        place[USED..].fill(0);
    }
}

impl From<&Head> for Generated {
    fn from(head: &Head) -> Self {
        let span = |Span { offset, length }| events::Span { offset, length };
        Self {
            position: head.position,
            time: head.time,
            recorded: head.recorded,
            version: head.version,
            type_: head.event_type,
            source: head.source,
            content_type: head.content_type,
            id: span(head.id),
            subject: span(head.subject),
            data: span(head.data),
            extensions: span(head.extensions),
            tags: span(head.tags),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_stored_as_the_canonical_abi_says() {
        let span = |first| Span { offset: first, length: first + 1 };
        let head = Head {
            position: 1,
            time: -2,
            recorded: 3,
            version: 4,
            event_type: 5,
            source: 6,
            content_type: 7,
            flags: 0xffff_ffff,
            id: span(8),
            subject: span(10),
            data: span(12),
            extensions: span(14),
            tags: span(16),
        };
        let mut guest = [0xaa; 2 * 88];
        store(&mut guest, &[head, head]);
        let mut expected = Vec::new();
        for long in [1i64, -2, 3, 4] {
            expected.extend_from_slice(&long.to_le_bytes());
        }
        for short in (5u32..=17).chain([0]) {
            expected.extend_from_slice(&short.to_le_bytes());
        }
        assert_eq!(guest.as_slice(), expected.repeat(2));
    }
}
