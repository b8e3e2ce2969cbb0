//! An upcaster behind the interface in `wit/`.

use super::bindings::{
    plugin::exports::projectionist::plugin::plugin::Changes,
    upcaster::exports::projectionist::plugin::upcaster::{Block, Failure, Shape, Shapes},
};
use crate::{
    event,
    upcaster::{self, Upcaster},
};

pub fn describe<U: Upcaster>() -> String {
    upcaster::describe::<U>()
}

/// It has no state.
pub fn flush() -> Changes {
    Changes { changes: Vec::new(), bytes: Vec::new() }
}

pub fn upcast<U: Upcaster>(block: Block) -> Result<Shapes, Failure> {
    let block = event::Block { names: &block.names, heads: &block.heads, bytes: &block.bytes };
    let made = upcaster::upcast::<U>(block).map_err(|(position, message)| Failure { position, message })?;
    let shape = |(event, data)| Shape { event, data: Some(data) };
    Ok(Shapes { shapes: made.shapes.into_iter().map(shape).collect(), bytes: made.bytes })
}
