//! Sockets, and HTTP for projections. Many a library imports them without ever calling them, so
//! they link; a call stops the plug-in.

use wasmtime::{
    Engine,
    component::{Component, Linker, ResourceType, types::ComponentItem},
};

use crate::plugin::{description::Kind, guest::Guest, stop::Stop};

const HTTP: &str = "wasi:http/";

/// Packages that link but refuse to do anything, and what they are for.
const REFUSED: [(&str, &str); 2] = [("wasi:sockets/", "network"), (HTTP, "network")];

fn kind(import: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(package, _)| import.starts_with(package)).map(|(_, kind)| *kind)
}

/// Whether an import links but stops the plug-in when it is called.
pub(in crate::plugin) fn is_refused(import: &str) -> bool {
    kind(import).is_some()
}

/// Defines all such imports of a component, but for what its kind of plug-in has.
pub(in crate::plugin) fn refuse(
    engine: &Engine,
    of: Kind,
    linker: &mut Linker<Guest>,
    component: &Component,
) -> wasmtime::Result<()> {
    // A resource that an earlier import has brought appears again under the
    // same type where it is used, and then needs no definition.
    let mut known: Vec<ResourceType> = Vec::new();
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else { continue };
        let kind = match of {
            Kind::Reaction if name.starts_with(HTTP) => None,
            _ => kind(name),
        };
        for (item, export) in interface.exports(engine) {
            match export.ty {
                ComponentItem::Resource(resource) if !known.contains(&resource) => {
                    known.push(resource);
                    if kind.is_some() {
                        let of_host = ResourceType::host::<()>();
                        linker.instance(name)?.resource(item, of_host, |_, _| Ok(()))?;
                    }
                }
                ComponentItem::ComponentFunc(_) => {
                    if let Some(kind) = kind {
                        let stop = Stop::Refused { function: format!("{name}#{item}"), of, kind };
                        linker.instance(name)?.func_new(item, move |_, _, _, _| Err(stop.clone().into()))?;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}
